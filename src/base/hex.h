/* Hexadecimal digits of either case. */
#ifndef BASE_HEX_H
#define BASE_HEX_H

#include <stddef.h>
#include <stdint.h>

/* −1 where it is none. */
static inline int hex_value(char digit) {
    if (digit >= '0' && digit <= '9') return digit - '0';
    if (digit >= 'a' && digit <= 'f') return digit - 'a' + 10;
    if (digit >= 'A' && digit <= 'F') return digit - 'A' + 10;
    return -1;
}

/* Reads at most `most` ≤ 8 digits of text[n]; returns how many there were. */
static inline size_t hex_read(const char *text, size_t n, size_t most, uint32_t *value) {
    size_t i = 0;
    *value = 0;
    for (; i < n && i < most && hex_value(text[i]) >= 0; i++)
        *value = *value << 4 | (uint32_t)hex_value(text[i]);
    return i;
}

#endif
