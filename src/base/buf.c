#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"

void buf_init(buf *b, size_t max_bytes) { *b = (buf){.max = max_bytes}; }

void buf_release(buf *b) {
    mem_free(b->data);
    *b = (buf){.max = b->max};
}

hone_status buf_reserve(buf *b, size_t n) {
    if (n > b->max || b->len > b->max - n)
        return fail(HONE_ERR_MEMORY, "text longer than its limit of %zu bytes", b->max);
    size_t needed = b->len + n + 1;
    if (needed <= b->capacity) return HONE_OK;
    size_t capacity = b->capacity ? b->capacity : 64;
    while (capacity < needed) capacity += capacity / 2 + 64;
    char *data = mem_realloc(b->data, capacity, 1);
    if (!data) return mem_fail("text", capacity);
    b->data = data;
    b->capacity = capacity;
    b->data[b->len] = 0;
    return HONE_OK;
}

hone_status buf_add(buf *b, const void *bytes, size_t n) {
    TRY(buf_reserve(b, n));
    if (n) memcpy(b->data + b->len, bytes, n);
    b->len += n;
    b->data[b->len] = 0;
    return HONE_OK;
}

hone_status buf_add_text(buf *b, const char *text) { return buf_add(b, text, strlen(text)); }

hone_status buf_add_format(buf *b, const char *format, ...) {
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    hone_status status = n < 0 ? fail(HONE_ERR_ARGUMENT, "bad format") : buf_reserve(b, (size_t)n);
    if (status == HONE_OK) {
        vsnprintf(b->data + b->len, (size_t)n + 1, format, again);
        b->len += (size_t)n;
    }
    va_end(again);
    return status;
}

char *buf_take(buf *b) {
    char *data = b->data ? b->data : mem_copy_string("", 0);
    *b = (buf){.max = b->max};
    return data;
}
