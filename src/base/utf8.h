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

/* Writes 1 to 4 bytes; `code` is a valid code point. (jansson has a utf8_encode, which a static link
 * would meet.) */
size_t utf8_write(char out[4], uint32_t code);

/* Where utf8_decode finds UTF8_INVALID: how many bytes one U+FFFD stands for. That is the longest
 * beginning of a character there, or 1 byte (Unicode 15, 3.9, "substitution of maximal subparts";
 * Python's errors="replace"). */
size_t utf8_invalid_bytes(const char *text, size_t n);

bool utf8_is_valid(const char *text, size_t n);

/* Length of the longest prefix that does not end inside a character that more bytes could still
 * complete. Invalid bytes count as complete. */
size_t utf8_complete_prefix(const char *text, size_t n);

/* Appends the text with one U+FFFD for each utf8_invalid_bytes. */
hone_status utf8_add_replaced(buf *out, const char *text, size_t n);

#endif
