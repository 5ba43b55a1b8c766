#include "base/utf8.h"

/* Bytes that a sequence with this first byte needs; 0 = cannot start one. */
static size_t sequence_bytes(uint8_t first) {
    if (first < 0x80) return 1;
    if (first < 0xC2) return 0;
    if (first < 0xE0) return 2;
    if (first < 0xF0) return 3;
    return first < 0xF5 ? 4 : 0;
}

/* Whether `second` may follow `first` (excludes overlong forms, surrogates, > U+10FFFF). */
static bool second_fits(uint8_t first, uint8_t second) {
    uint8_t low = first == 0xE0 ? 0xA0 : first == 0xF0 ? 0x90 : 0x80;
    uint8_t high = first == 0xED ? 0x9F : first == 0xF4 ? 0x8F : 0xBF;
    return second >= low && second <= high;
}

size_t utf8_decode(const char *text, size_t n, uint32_t *code) {
    const uint8_t *s = (const uint8_t *)text;
    size_t length = sequence_bytes(s[0]);
    if (length == 1) {
        *code = s[0];
        return 1;
    }
    *code = UTF8_INVALID;
    if (length == 0 || length > n || !second_fits(s[0], s[1])) return 1;
    uint32_t value = s[0] & (0x7Fu >> length);
    for (size_t i = 1; i < length; i++) {
        if ((s[i] & 0xC0) != 0x80) return 1;
        value = value << 6 | (s[i] & 0x3Fu);
    }
    *code = value;
    return length;
}

size_t utf8_invalid_bytes(const char *text, size_t n) {
    const uint8_t *s = (const uint8_t *)text;
    size_t length = sequence_bytes(s[0]);
    if (length < 2 || n < 2 || !second_fits(s[0], s[1])) return 1;
    size_t i = 2;
    while (i < length && i < n && (s[i] & 0xC0) == 0x80) i++;
    return i;
}

size_t utf8_write(char out[4], uint32_t code) {
    if (code < 0x80) {
        out[0] = (char)code;
        return 1;
    }
    size_t length = code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    for (size_t i = length - 1; i > 0; i--, code >>= 6) out[i] = (char)(0x80 | (code & 0x3F));
    out[0] = (char)((0xF00u >> length) | code);
    return length;
}

bool utf8_is_valid(const char *text, size_t n) {
    for (size_t i = 0; i < n;) {
        uint32_t code;
        i += utf8_decode(text + i, n - i, &code);
        if (code == UTF8_INVALID) return false;
    }
    return true;
}

size_t utf8_complete_prefix(const char *text, size_t n) {
    const uint8_t *s = (const uint8_t *)text;
    for (size_t back = 1; back <= 3 && back <= n; back++) {
        uint8_t byte = s[n - back];
        if ((byte & 0xC0) == 0x80) continue;
        bool unfinished = sequence_bytes(byte) > back &&
                          (back == 1 || second_fits(byte, s[n - back + 1]));
        return unfinished ? n - back : n;
    }
    return n;
}

hone_status utf8_add_replaced(buf *out, const char *text, size_t n) {
    for (size_t i = 0; i < n;) {
        uint32_t code;
        size_t length = utf8_decode(text + i, n - i, &code);
        if (code == UTF8_INVALID) {
            length = utf8_invalid_bytes(text + i, n - i);
            TRY(buf_add(out, "\xEF\xBF\xBD", 3));
        } else {
            TRY(buf_add(out, text + i, length));
        }
        i += length;
    }
    return HONE_OK;
}
