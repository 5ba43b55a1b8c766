/* The languages that Whisper knows, in the order of their tokens. */
#ifndef FORMAT_SPEECH_LANGUAGES_H
#define FORMAT_SPEECH_LANGUAGES_H

#include <stdbool.h>
#include <stddef.h>

enum { SPEECH_MAX_LANGUAGES = 100 };

/* "en" for 0, …; NULL beyond the languages that hone knows. */
const char *speech_language_code(size_t index);
/* "english", lower case. */
const char *speech_language_name(size_t index);

/* The index of a code or an English name in any case; −1 where unknown. */
int speech_language_find(const char *word);

/* Whether words of this language are not parted by spaces: zh ja th lo my yue. */
bool speech_language_lacks_spaces(const char *code);

#endif
