/* Byte-pair merging: the one engine behind all the BPE kinds.
 *
 * A piece of text starts as one symbol for each byte or character. Again and again the adjacent
 * pair of lowest rank, the leftmost of equals, becomes one symbol, until no pair has a rank. */
#ifndef TEXT_BPE_H
#define TEXT_BPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

#define BPE_NONE UINT32_MAX

typedef struct bpe_merge {
    uint64_t pair; /* left << 32 | right */
    uint32_t rank, result; /* result BPE_NONE = free slot */
} bpe_merge;

/* Pairs of symbols → rank and resulting symbol. Read-only once filled. */
typedef struct bpe_merges {
    bpe_merge *slots; /* n_slots is a power of two */
    size_t n_slots;
    uint64_t seed; /* odd; hostile files cannot make their pairs collide */
} bpe_merges;

hone_status bpe_merges_init(bpe_merges *m, size_t n_expected, uint64_t seed);
void bpe_merges_release(bpe_merges *m);
/* Keeps the first merge of a pair. No more than `n_expected` may be added. */
void bpe_merges_add(bpe_merges *m, uint32_t left, uint32_t right, uint32_t rank, uint32_t result);

/* One symbol and its neighbours. `at` is where its text begins in the piece. */
typedef struct bpe_symbol {
    uint32_t id;     /* BPE_NONE: text without a symbol; merges with nothing */
    uint32_t at;
    uint32_t previous, next; /* BPE_NONE at the ends; used by long pieces only */
    uint32_t rank, result;   /* of the merge with the next symbol; BPE_NONE without one */
} bpe_symbol;

/* Memory for one encoding after another. `steps` counts the units of work done. */
typedef struct bpe_work {
    bpe_symbol *symbols;
    size_t n, capacity;
    uint64_t *heap; /* rank << 32 | symbol */
    size_t heap_n, heap_capacity;
    uint64_t steps;
} bpe_work;

void bpe_work_release(bpe_work *w);

/* Room for `n` symbols at w->symbols; the caller fills `id` and `at` of each, sets w->n. */
hone_status bpe_work_reserve(bpe_work *w, size_t n);

/* Merges; afterwards w->symbols[0 … w->n − 1] are the symbols that remain, in order. */
hone_status bpe_run(const bpe_merges *m, bpe_work *w);

#endif
