#include "strategy/nearness.h"

#include <ctype.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

enum { SET_BITS = 1 << 13, SET_WORDS = SET_BITS / 64, MAX_READ_BYTES = 4096 };

/* Trigrams of bytes, hashed; folded to lower case, blanks and signs as one space. */
typedef struct trigrams {
    uint64_t bits[SET_WORDS];
    size_t n;
} trigrams;

static void add_trigram(trigrams *t, uint32_t last_three) {
    uint32_t place = (last_three * 2654435761u) >> (32 - 13);
    uint64_t bit = (uint64_t)1 << place % 64, *word = &t->bits[place / 64];
    t->n += !(*word & bit);
    *word |= bit;
}

static void read_trigrams(trigrams *t, const char *text) {
    uint32_t last = ' ';
    *t = (trigrams){.n = 0};
    for (size_t i = 0; text[i] && i < MAX_READ_BYTES; i++) {
        unsigned char c = (unsigned char)text[i];
        c = c >= 0x80 || isalnum(c) ? (unsigned char)tolower(c) : ' ';
        if (c == ' ' && (last & 0xff) == ' ') continue;
        last = (last << 8 | c) & 0xffffff;
        if (i > 0) add_trigram(t, last);
    }
}

static double cosine(const trigrams *a, const trigrams *b) {
    size_t common = 0;
    for (size_t i = 0; i < SET_WORDS; i++)
        common += (size_t)__builtin_popcountll(a->bits[i] & b->bits[i]);
    return a->n && b->n ? (double)common / sqrt((double)a->n * (double)b->n) : 0;
}

/* The nearest so far, ascending: the first one is the farthest. */
typedef struct ranking {
    double values[NEARNESS_MAX];
    size_t *taken, k, n;
} ranking;

static void rank(ranking *r, size_t place, double value) {
    size_t at = r->k, from = r->k == r->n; /* where it is full, the farthest falls out */
    while (at > 0 && r->values[at - 1] >= value) at--;
    if (from && at == 0) return;
    at -= from;
    r->k -= from;
    memmove(r->values, r->values + from, r->k * sizeof *r->values);
    memmove(r->taken, r->taken + from, r->k * sizeof *r->taken);
    memmove(r->values + at + 1, r->values + at, (r->k - at) * sizeof *r->values);
    memmove(r->taken + at + 1, r->taken + at, (r->k - at) * sizeof *r->taken);
    r->values[at] = value;
    r->taken[at] = place;
    r->k++;
}

size_t nearness_pick(size_t *taken, size_t n, const char *text, nearness_text *text_of, const void *set,
                     size_t n_set) {
    ranking r = {.taken = taken, .n = n < NEARNESS_MAX ? n : NEARNESS_MAX};
    trigrams asked, other;
    read_trigrams(&asked, text);
    for (size_t i = 0; i < n_set && r.n; i++) {
        const char *candidate = text_of(set, i);
        if (!candidate || !strcmp(candidate, text)) continue;
        read_trigrams(&other, candidate);
        rank(&r, i, cosine(&asked, &other));
    }
    return r.k;
}
