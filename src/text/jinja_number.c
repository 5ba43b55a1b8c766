/* Numbers as Python reads and writes them. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "text/jinja_int.h"

/* repr(float): the shortest digits that read back as the same number; exponent form outside of
 * 1e-4 … 1e16. */
void real_to_text(double d, char out[static 40]) {
    if (isnan(d) || isinf(d)) {
        strcpy(out, isnan(d) ? "nan" : d < 0 ? "-inf" : "inf");
        return;
    }
    int digits = 1;
    char scientific[40];
    do snprintf(scientific, sizeof scientific, "%.*e", digits - 1, d);
    while (strtod(scientific, NULL) != d && ++digits <= 17);
    int exponent = atoi(strchr(scientific, 'e') + 1);
    if (exponent < -4 || exponent >= 16) {
        char *e = strchr(scientific, 'e');
        snprintf(out, 40, "%.*se%c%02d", (int)(e - scientific), scientific,
                 exponent < 0 ? '-' : '+', abs(exponent));
        return;
    }
    int decimals = digits - 1 - exponent;
    snprintf(out, 40, "%.*f", decimals > 0 ? decimals : 1, d);
}

/* The text without blanks around it and without underscores between digits, NUL-terminated. */
static bool plain_digits(const text *t, char *out, size_t room) {
    size_t begin = 0, end = t->n, n = 0;
    if (t->n > 10 * NUMBER_TEXT_MAX) return false; /* costs no steps: so it may not be long */
    while (begin < end && is_space((unsigned char)t->bytes[begin])) begin++;
    while (end > begin && is_space((unsigned char)t->bytes[end - 1])) end--;
    for (size_t i = begin; i < end; i++) {
        char c = t->bytes[i];
        if (c == '_') {
            bool between = i > begin && i + 1 < end && t->bytes[i - 1] != '_' &&
                           t->bytes[i + 1] != '_' && t->bytes[i - 1] != '+' &&
                           t->bytes[i - 1] != '-';
            if (!between) return false;
            continue;
        }
        if (n + 1 == room || c == 0) return false;
        out[n++] = c;
    }
    out[n] = 0;
    return n > 0;
}

bool text_to_integer(const text *t, int base, int64_t *out) {
    char digits[NUMBER_TEXT_MAX], *end;
    if (!plain_digits(t, digits, sizeof digits)) return false;
    const char *s = digits;
    bool negative = *s == '-';
    if (*s == '-' || *s == '+') s++;
    if (s[0] == '0' && s[1]) {
        char mark = (char)(s[1] | 0x20);
        int marked = mark == 'x' ? 16 : mark == 'o' ? 8 : mark == 'b' ? 2 : 0;
        if (marked && (base == marked || base == 0)) {
            s += 2;
            base = marked;
        }
    }
    if (base == 0) base = 10;
    if (base < 2 || base > 36) return false;
    /* strtoull would skip these */
    if (*s == '-' || *s == '+' || is_space((unsigned char)*s)) return false;
    if (base == 16 && s[0] == '0' && (s[1] | 0x20) == 'x') return false;
    errno = 0;
    unsigned long long magnitude = strtoull(s, &end, base);
    if (*end || end == s || errno) return false;
    if (magnitude > (unsigned long long)INT64_MAX + negative) return false;
    *out = negative ? (int64_t)(0 - magnitude) : (int64_t)magnitude;
    return true;
}

bool text_to_real(const text *t, double *out) {
    char digits[NUMBER_TEXT_MAX], *end;
    if (!plain_digits(t, digits, sizeof digits)) return false;
    const char *s = digits + (*digits == '-' || *digits == '+');
    bool named = strcasecmp(s, "inf") == 0 || strcasecmp(s, "infinity") == 0 ||
                 strcasecmp(s, "nan") == 0;
    if (!named && strspn(s, "0123456789.eE+-") != strlen(s)) return false; /* C reads more forms */
    *out = strtod(digits, &end);
    return *end == 0 && end != digits;
}
