#include "text/word_errors.h"

#include <stdbool.h>
#include <string.h>

#include "base/mem.h"

typedef struct word {
    const char *at;
    size_t n;
} word;

/* words[…], NULL when memory is short. */
static word *split(const char *text, size_t *n_words) {
    size_t n = strlen(text);
    word *words = mem_calloc(n / 2 + 1, sizeof *words);
    *n_words = 0;
    for (size_t i = 0; words && i < n;) {
        size_t begin = i;
        while (i < n && text[i] != ' ') i++;
        if (i > begin) words[(*n_words)++] = (word){text + begin, i - begin};
        else i++;
    }
    return words;
}

static size_t least(size_t a, size_t b, size_t c) {
    size_t m = a < b ? a : b;
    return m < c ? m : c;
}

/* Levenshtein's distance; row[n_b + 1] is scratch. */
static size_t distance(const word *a, size_t n_a, const word *b, size_t n_b, size_t *row) {
    for (size_t j = 0; j <= n_b; j++) row[j] = j;
    for (size_t i = 0; i < n_a; i++) {
        size_t diagonal = row[0];
        row[0] = i + 1;
        for (size_t j = 0; j < n_b; j++) {
            bool same = a[i].n == b[j].n && memcmp(a[i].at, b[j].at, a[i].n) == 0;
            size_t here = least(diagonal + !same, row[j] + 1, row[j + 1] + 1);
            diagonal = row[j + 1];
            row[j + 1] = here;
        }
    }
    return row[n_b];
}

hone_status word_errors_count(word_errors *e, const char *reference, const char *hypothesis) {
    size_t n_a, n_b;
    word *a = split(reference, &n_a), *b = split(hypothesis, &n_b);
    size_t *row = mem_calloc(n_b + 1, sizeof *row);
    hone_status status = a && b && row ? HONE_OK : mem_fail("words", strlen(reference));
    if (status == HONE_OK) *e = (word_errors){n_a, distance(a, n_a, b, n_b, row)};
    mem_free(a);
    mem_free(b);
    mem_free(row);
    return status;
}
