#include "text/word_errors.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/philox.h"

enum { N_DRAWS = 10000 };

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

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* A clip of n, by the place in the sequence. */
static size_t draw_clip(uint64_t seed, uint64_t place, size_t n) {
    const philox_block counter = {{(uint32_t)place, (uint32_t)(place >> 32), 0, 0}};
    return (size_t)((uint64_t)philox4x32(counter, seed).word[0] * n >> 32);
}

hone_status word_error_rate(const word_errors *clips, size_t n, uint64_t seed, double *rate,
                            double *low, double *high) {
    double *rates = mem_calloc(N_DRAWS, sizeof *rates);
    if (!rates) return mem_fail("draws", N_DRAWS * sizeof *rates);
    uint64_t counter = 0;
    size_t words = 0, errors = 0;
    for (size_t i = 0; i < n; i++) words += clips[i].n_words, errors += clips[i].n_errors;
    for (size_t draw = 0; draw < N_DRAWS; draw++) {
        size_t drawn_words = 0, drawn_errors = 0;
        for (size_t i = 0; i < n; i++) {
            const word_errors *clip = &clips[draw_clip(seed, counter++, n)];
            drawn_words += clip->n_words;
            drawn_errors += clip->n_errors;
        }
        rates[draw] = drawn_words ? (double)drawn_errors / (double)drawn_words : 0;
    }
    qsort(rates, N_DRAWS, sizeof *rates, ascending);
    *rate = words ? (double)errors / (double)words : 0;
    *low = rates[N_DRAWS * 25 / 1000 - 1];
    *high = rates[N_DRAWS * 975 / 1000 - 1];
    mem_free(rates);
    return HONE_OK;
}
