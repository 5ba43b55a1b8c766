/* Character classes and NFC for the tokenizers. The data are utf8proc's (Unicode 14). */
#ifndef TEXT_UNICODE_H
#define TEXT_UNICODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

/* Classes in the words of regular expressions. A character has one of them or none. */
enum {
    CHAR_LETTER = 1, /* \p{L} */
    CHAR_NUMBER = 2, /* \p{N} */
    CHAR_MARK = 4,   /* \p{M} */
    CHAR_PUNCT = 8,  /* \p{P} */
    CHAR_SPACE = 16  /* \s: White_Space; no zero-width ones, no U+001C to U+001F */
};

extern const uint8_t unicode_ascii_class[128];
unsigned unicode_class_beyond_ascii(uint32_t code);

static inline unsigned unicode_class(uint32_t code) {
    return code < 128 ? unicode_ascii_class[code] : unicode_class_beyond_ascii(code);
}

/* Decodes the character at `text`, which is known to be valid UTF-8; returns its length. */
static inline size_t unicode_decode_valid(const char *text, uint32_t *code) {
    const uint8_t *s = (const uint8_t *)text;
    if (s[0] < 0x80) return *code = s[0], 1;
    if (s[0] < 0xE0) return *code = (s[0] & 0x1Fu) << 6 | (s[1] & 0x3Fu), 2;
    if (s[0] < 0xF0)
        return *code = (s[0] & 0xFu) << 12 | (s[1] & 0x3Fu) << 6 | (s[2] & 0x3Fu), 3;
    *code = (s[0] & 7u) << 18 | (s[1] & 0x3Fu) << 12 | (s[2] & 0x3Fu) << 6 | (s[3] & 0x3Fu);
    return 4;
}

/* Whether the valid UTF-8 text is surely in Normalisation Form C. False may also mean "look". */
bool unicode_is_nfc(const char *text, size_t n);

/* *out = text[n], which is valid UTF-8, in Normalisation Form C; the caller frees it with mem_free.
 * The work is n log n at most, whatever the marks. */
hone_status unicode_nfc(const char *text, size_t n, char **out, size_t *out_n);

#endif
