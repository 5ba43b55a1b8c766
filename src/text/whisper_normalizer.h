/* Whisper's text normaliser, for word error rates (Radford et al. 2022, appendix C): texts that say
 * the same become the same. Rules: docs/models/whisper.md. */
#ifndef TEXT_WHISPER_NORMALIZER_H
#define TEXT_WHISPER_NORMALIZER_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/json.h"

/* Appends text[n] after the English rules: numbers as digits, contractions spelled out, fillers and
 * brackets gone. `spelling`: an object of British words and their American forms, or NULL.
 * HONE_ERR_FORMAT on invalid UTF-8. */
hone_status whisper_normalise_english(buf *out, const char *text, size_t n, const json_t *spelling);

/* Appends text[n] after the rules for all other languages: lower case, signs and marks as spaces.
 * `split_letters`: a space between any two characters, for languages that write none. */
hone_status whisper_normalise_basic(buf *out, const char *text, size_t n, bool remove_diacritics,
                                    bool split_letters);

/* --- inside --- */

/* Numbers of English words in text[n], whose words stand apart by single spaces, as digits;
 * appended (whisper_numbers.c). */
hone_status whisper_write_numbers(buf *out, const char *text, size_t n);

#endif
