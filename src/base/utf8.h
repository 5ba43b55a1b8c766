/* UTF-8 (RFC 3629): no surrogates, no overlong forms, nothing above U+10FFFF. */
#ifndef BASE_UTF8_H
#define BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

/* Decodes the character at `text`. Returns its length, 1 to 4; at an invalid byte returns 1 and
 * sets *code to UTF8_INVALID. `n` > 0 is the number of bytes that may be read. */
#define UTF8_INVALID 0xFFFFFFFFu
size_t utf8_decode(const char *text, size_t n, uint32_t *code);

/* Writes 1 to 4 bytes; `code` is a valid code point. */
size_t utf8_encode(char out[4], uint32_t code);

bool utf8_is_valid(const char *text, size_t n);

/* Length of the longest prefix that does not end inside a character that more bytes could still
 * complete. Invalid bytes count as complete. */
size_t utf8_complete_prefix(const char *text, size_t n);

/* Appends the text with U+FFFD for each maximal ill-formed part (Unicode 15, section 3.9), as
 * Python's errors="replace" does. */
hone_status utf8_add_replaced(buf *out, const char *text, size_t n);

#endif
