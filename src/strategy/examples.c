/* Few-shot prompts: examples with their answers as earlier turns of the conversation. */
#include <ctype.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

#include "base/mem.h"
#include "base/status.h"
#include "strategy/strategy_int.h"

/* The first n examples that are not the question itself. */
static size_t take_first(const hone_strategy_options *o, const char *question, size_t *taken, size_t n) {
    size_t k = 0;
    for (size_t i = 0; i < o->n_examples && k < n; i++)
        if (strcmp(o->examples[i].question, question)) taken[k++] = i;
    return k;
}

/* --- nearness: the cosine of two sets of letter trigrams --- */

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

/* The n nearest, the nearest last, where it stands right before the question; of equals the earlier
 * one is the nearer. */
static size_t take_nearest(const hone_strategy_options *o, const char *question, size_t *taken,
                           size_t n) {
    double values[HONE_MAX_DRAWS];
    size_t k = 0;
    trigrams asked, t;
    read_trigrams(&asked, question);
    for (size_t i = 0; i < o->n_examples; i++) {
        if (!strcmp(o->examples[i].question, question)) continue;
        read_trigrams(&t, o->examples[i].question);
        double value = cosine(&asked, &t);
        size_t at = k; /* ascending; the first one is the farthest */
        while (at > 0 && values[at - 1] >= value) at--;
        if (k == n && at == 0) continue;
        size_t from = k == n ? 1 : 0; /* the farthest falls out */
        at -= from;
        memmove(values, values + from, (k - from) * sizeof *values);
        memmove(taken, taken + from, (k - from) * sizeof *taken);
        k -= from;
        memmove(values + at + 1, values + at, (k - at) * sizeof *values);
        memmove(taken + at + 1, taken + at, (k - at) * sizeof *taken);
        values[at] = value;
        taken[at] = i;
        k++;
    }
    return k;
}

/* --- the prompt --- */

typedef size_t take_examples(const hone_strategy_options *o, const char *question, size_t *taken,
                             size_t n);

static hone_status show_examples(strategy_run *r, size_t n, const char *name, take_examples *take) {
    const hone_strategy_options *o = r->options;
    size_t taken[HONE_MAX_DRAWS];
    char *question;
    if (o->n_examples == 0)
        return fail(HONE_ERR_UNSUPPORTED, "%s needs examples, and none are given (--examples)", name);
    if (o->n_examples > HONE_MAX_EXAMPLES)
        return fail(HONE_ERR_ARGUMENT, "%zu examples, at most %d", o->n_examples, HONE_MAX_EXAMPLES);
    TRY(chat_question(&r->prompt, &question));
    size_t k = take(o, question, taken, n);
    mem_free(question);
    for (size_t i = 0; i < k; i++) {
        TRY(chat_add_before_question(&r->prompt, "user", o->examples[taken[i]].question));
        TRY(chat_add_before_question(&r->prompt, "assistant", o->examples[taken[i]].answer));
    }
    return HONE_OK;
}

hone_status shape_shots(strategy_run *r, size_t n) { return show_examples(r, n, "shots", take_first); }

hone_status shape_nearest(strategy_run *r, size_t n) {
    return show_examples(r, n, "nearest", take_nearest);
}
