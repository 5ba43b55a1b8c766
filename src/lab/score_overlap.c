#include "lab/score_overlap.h"

#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#include "base/mem.h"
#include "text/unicode.h"

/* --- chrF --- */

/* The characters without white space; *n of them. NULL when memory is short. */
static uint32_t *characters(const char *text, size_t *n) {
    size_t bytes = strlen(text);
    uint32_t *codes = mem_calloc(bytes + 1, sizeof *codes);
    *n = 0;
    for (size_t i = 0; codes && i < bytes;) {
        uint32_t code;
        i += unicode_decode_valid(text + i, &code);
        if (!(unicode_class(code) & CHAR_SPACE)) codes[(*n)++] = code;
    }
    return codes;
}

/* An n-gram is where it begins. */
typedef struct gram {
    const uint32_t *at;
    size_t order;
} gram;

static int compare_grams(const void *a, const void *b) {
    const gram *x = a, *y = b;
    for (size_t i = 0; i < x->order; i++)
        if (x->at[i] != y->at[i]) return x->at[i] < y->at[i] ? -1 : 1;
    return 0;
}

static size_t sort_grams(gram *grams, const uint32_t *codes, size_t n, size_t order) {
    size_t n_grams = n < order ? 0 : n - order + 1;
    for (size_t i = 0; i < n_grams; i++) grams[i] = (gram){codes + i, order};
    qsort(grams, n_grams, sizeof *grams, compare_grams);
    return n_grams;
}

/* What both sorted lists have, each as often as the poorer one. */
static size_t count_matches(const gram *a, size_t n_a, const gram *b, size_t n_b) {
    size_t i = 0, j = 0, n = 0;
    while (i < n_a && j < n_b) {
        int order = compare_grams(&a[i], &b[j]);
        n += order == 0;
        i += order <= 0;
        j += order >= 0;
    }
    return n;
}

hone_status score_chrf_count(double *counts, const char *hypothesis, const char *reference) {
    size_t n_h, n_r;
    uint32_t *h = characters(hypothesis, &n_h), *r = characters(reference, &n_r);
    gram *grams_h = mem_calloc(n_h + 1, sizeof *grams_h);
    gram *grams_r = mem_calloc(n_r + 1, sizeof *grams_r);
    bool enough = h && r && grams_h && grams_r;
    for (size_t order = 1; enough && order <= CHRF_ORDERS; order++) {
        double *c = counts + 3 * (order - 1);
        size_t in_h = sort_grams(grams_h, h, n_h, order), in_r = sort_grams(grams_r, r, n_r, order);
        c[0] = (double)count_matches(grams_h, in_h, grams_r, in_r);
        c[1] = (double)in_h;
        c[2] = (double)in_r;
    }
    mem_free(h);
    mem_free(r);
    mem_free(grams_h);
    mem_free(grams_r);
    return enough ? HONE_OK : mem_fail("n-grams", strlen(hypothesis));
}

double score_chrf_value(const double *sums) {
    double precision = 0, recall = 0;
    int n_orders = 0;
    for (int order = 0; order < CHRF_ORDERS; order++) {
        const double *c = sums + 3 * order;
        if (c[1] == 0 || c[2] == 0) continue;
        precision += c[0] / c[1];
        recall += c[0] / c[2];
        n_orders++;
    }
    if (precision + recall == 0) return 0;
    precision /= n_orders;
    recall /= n_orders;
    return 100 * 5 * precision * recall / (4 * precision + recall);
}

/* --- ROUGE-L --- */

typedef struct word {
    size_t at, n; /* among the characters */
} word;

typedef struct word_list {
    uint32_t *codes;
    word *words;
    size_t n;
} word_list;

static void release_words(word_list *list) {
    mem_free(list->codes);
    mem_free(list->words);
}

static hone_status find_words(word_list *list, const char *text) {
    size_t bytes = strlen(text), n = 0;
    *list = (word_list){.codes = mem_calloc(bytes + 1, sizeof *list->codes),
                        .words = mem_calloc(bytes / 2 + 1, sizeof *list->words)};
    if (!list->codes || !list->words) return mem_fail("words", bytes);
    bool inside = false;
    for (size_t i = 0; i < bytes;) {
        uint32_t code;
        i += unicode_decode_valid(text + i, &code);
        bool belongs = unicode_class(code) & (CHAR_LETTER | CHAR_NUMBER | CHAR_MARK);
        if (belongs && !inside) list->words[list->n++] = (word){n, 0};
        if (belongs) {
            list->codes[n++] = (uint32_t)utf8proc_tolower((utf8proc_int32_t)code);
            list->words[list->n - 1].n++;
        }
        inside = belongs;
    }
    return HONE_OK;
}

static bool same_word(const word_list *a, size_t i, const word_list *b, size_t j) {
    return a->words[i].n == b->words[j].n &&
           memcmp(a->codes + a->words[i].at, b->codes + b->words[j].at,
                  a->words[i].n * sizeof *a->codes) == 0;
}

/* row[b->n + 1] is scratch, zeroed. */
static size_t common_subsequence(const word_list *a, const word_list *b, size_t *row) {
    for (size_t i = 0; i < a->n; i++) {
        size_t diagonal = 0;
        for (size_t j = 0; j < b->n; j++) {
            size_t above = row[j + 1];
            if (same_word(a, i, b, j)) row[j + 1] = diagonal + 1;
            else if (row[j] > above) row[j + 1] = row[j];
            diagonal = above;
        }
    }
    return row[b->n];
}

hone_status score_rouge_l(double *f1, const char *hypothesis, const char *reference) {
    word_list h = {.n = 0}, r = {.n = 0};
    hone_status status = find_words(&h, hypothesis);
    if (status == HONE_OK) status = find_words(&r, reference);
    size_t *row = mem_calloc(r.n + 1, sizeof *row);
    if (status == HONE_OK && !row) status = mem_fail("words", r.n * sizeof *row);
    if (status == HONE_OK) {
        double common = (double)common_subsequence(&h, &r, row);
        *f1 = common > 0 ? 2 * common / (double)(h.n + r.n) : 0;
    }
    mem_free(row);
    release_words(&h);
    release_words(&r);
    return status;
}
