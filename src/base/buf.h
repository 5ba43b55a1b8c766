/* A growable byte string with a maximum size from birth.
 *
 * `data` always ends in a NUL that `len` does not count (NULL only before the first byte). */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include <stddef.h>

#include "base/status.h"

typedef struct buf {
    char *data;
    size_t len, capacity, max;
} buf;

/* An empty buffer that never grows beyond `max_bytes`. Allocates nothing. */
void buf_init(buf *b, size_t max_bytes);
void buf_release(buf *b);

/* Append; HONE_ERR_MEMORY when memory is short or `max_bytes` would be passed. */
hone_status buf_add(buf *b, const void *bytes, size_t n);
hone_status buf_add_text(buf *b, const char *text);
hone_status buf_add_format(buf *b, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Room for `n` more bytes at data + len, without counting them. */
hone_status buf_reserve(buf *b, size_t n);

/* The bytes so far, NUL-terminated ("" when empty); the caller owns and frees them with
 * `mem_free`. NULL when memory is short. The buffer is empty afterwards. */
char *buf_take(buf *b);

#endif
