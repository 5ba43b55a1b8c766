#include "text/bpe.h"

#include <string.h>

#include "base/mem.h"

hone_status bpe_merges_init(bpe_merges *m, size_t n_expected, uint64_t seed) {
    size_t n_slots = 16;
    while (n_slots / 2 < n_expected) n_slots *= 2;
    *m = (bpe_merges){.n_slots = n_slots, .seed = seed | 1};
    m->slots = mem_alloc_aligned(n_slots, sizeof *m->slots);
    if (!m->slots) return mem_fail("merge table", n_slots * sizeof *m->slots);
    memset(m->slots, 0xFF, n_slots * sizeof *m->slots);
    return HONE_OK;
}

void bpe_merges_release(bpe_merges *m) {
    mem_free(m->slots);
    *m = (bpe_merges){0};
}

/* The slot of the pair, or the free one where it belongs. */
static inline bpe_merge *slot_of(const bpe_merges *m, uint64_t pair) {
    __uint128_t product = (__uint128_t)(pair ^ m->seed) * 0x9E3779B97F4A7C15u;
    size_t mask = m->n_slots - 1;
    for (size_t i = ((uint64_t)product ^ (uint64_t)(product >> 64)) & mask;; i = (i + 1) & mask) {
        bpe_merge *slot = &m->slots[i];
        if (slot->pair == pair || slot->result == BPE_NONE) return slot;
    }
}

void bpe_merges_add(bpe_merges *m, uint32_t left, uint32_t right, uint32_t rank, uint32_t result) {
    uint64_t pair = (uint64_t)left << 32 | right;
    bpe_merge *slot = slot_of(m, pair);
    if (slot->result == BPE_NONE) *slot = (bpe_merge){pair, rank, result};
}

void bpe_work_release(bpe_work *w) {
    mem_free(w->symbols);
    mem_free(w->heap);
    *w = (bpe_work){0};
}

hone_status bpe_work_reserve(bpe_work *w, size_t n) {
    if (n >= BPE_NONE / 4) return fail(HONE_ERR_ARGUMENT, "a text piece of %zu characters", n);
    return mem_grow(&w->symbols, &w->capacity, n, sizeof *w->symbols, "symbols of a text");
}

static inline void look_up(const bpe_merges *m, bpe_symbol *left, const bpe_symbol *right) {
    left->rank = left->result = BPE_NONE;
    if (left->id == BPE_NONE || right->id == BPE_NONE) return;
    const bpe_merge *merge = slot_of(m, (uint64_t)left->id << 32 | right->id);
    left->result = merge->result;
    if (merge->result != BPE_NONE) left->rank = merge->rank;
}

/* --- short pieces: look at every pair for each merge --- */

/* Words have a handful of symbols, for which this is quicker than a heap. */
enum { SHORT_PIECE = 48 };

static void run_short(const bpe_merges *m, bpe_work *w) {
    bpe_symbol *s = w->symbols;
    size_t n = w->n;
    for (size_t i = 0; i + 1 < n; i++) look_up(m, &s[i], &s[i + 1]);
    while (n > 1) {
        size_t best = 0;
        for (size_t i = 1; i + 1 < n; i++)
            if (s[i].rank < s[best].rank) best = i;
        w->steps += n;
        if (s[best].result == BPE_NONE) break;
        s[best].id = s[best].result;
        n--;
        memmove(&s[best + 1], &s[best + 2], (n - best - 1) * sizeof *s);
        if (best + 1 < n) look_up(m, &s[best], &s[best + 1]);
        if (best > 0) look_up(m, &s[best - 1], &s[best]);
    }
    w->n = n;
}

/* --- long pieces: a heap of candidate merges over a linked list --- */

static hone_status heap_push(bpe_work *w, uint64_t entry) {
    TRY(mem_grow(&w->heap, &w->heap_capacity,
                 w->heap_n + 1, sizeof *w->heap, "candidate merges of a text"));
    size_t i = w->heap_n++;
    for (; i > 0 && w->heap[(i - 1) / 2] > entry; i = (i - 1) / 2, w->steps++)
        w->heap[i] = w->heap[(i - 1) / 2];
    w->heap[i] = entry;
    return HONE_OK;
}

static uint64_t heap_pop(bpe_work *w) {
    uint64_t top = w->heap[0], last = w->heap[--w->heap_n];
    size_t i = 0, child;
    while ((child = 2 * i + 1) < w->heap_n) {
        if (child + 1 < w->heap_n && w->heap[child + 1] < w->heap[child]) child++;
        if (w->heap[child] >= last) break;
        w->heap[i] = w->heap[child];
        i = child;
        w->steps++;
    }
    w->heap[i] = last;
    return top;
}

static hone_status offer(const bpe_merges *m, bpe_work *w, uint32_t i) {
    bpe_symbol *s = &w->symbols[i];
    look_up(m, s, &w->symbols[s->next]);
    return s->result == BPE_NONE ? HONE_OK : heap_push(w, (uint64_t)s->rank << 32 | i);
}

static void join_with_next(bpe_work *w, uint32_t i) {
    bpe_symbol *s = &w->symbols[i], *gone = &w->symbols[s->next];
    s->id = s->result;
    s->rank = s->result = BPE_NONE;
    s->next = gone->next;
    if (gone->next != BPE_NONE) w->symbols[gone->next].previous = i;
    gone->rank = gone->result = BPE_NONE;
    gone->at = BPE_NONE; /* marks it as gone */
}

static hone_status run_long(const bpe_merges *m, bpe_work *w) {
    uint32_t n = (uint32_t)w->n;
    w->heap_n = 0;
    for (uint32_t i = 0; i < n; i++) {
        bpe_symbol *s = &w->symbols[i];
        s->previous = i > 0 ? i - 1 : BPE_NONE;
        s->next = i + 1 < n ? i + 1 : BPE_NONE;
        s->rank = s->result = BPE_NONE;
        if (i + 1 < n) TRY(offer(m, w, i));
    }
    while (w->heap_n) {
        uint64_t entry = heap_pop(w);
        uint32_t i = (uint32_t)entry;
        bpe_symbol *s = &w->symbols[i];
        w->steps++;
        /* A candidate is stale when its pair has changed since; the pair that is there now has an
         * entry of its own. */
        if (s->result == BPE_NONE || s->rank != entry >> 32) continue;
        join_with_next(w, i);
        if (s->next != BPE_NONE) TRY(offer(m, w, i));
        if (s->previous != BPE_NONE) TRY(offer(m, w, s->previous));
    }
    size_t kept = 0;
    for (uint32_t i = 0; i < n; i++)
        if (w->symbols[i].at != BPE_NONE) w->symbols[kept++] = w->symbols[i];
    w->n = kept;
    return HONE_OK;
}

hone_status bpe_run(const bpe_merges *m, bpe_work *w) {
    if (w->n > SHORT_PIECE) return run_long(m, w);
    run_short(m, w);
    return HONE_OK;
}
