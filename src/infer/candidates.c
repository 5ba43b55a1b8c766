#include "infer/candidates.h"

#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "base/mem.h"

/* Logits of language models spread over some 40 units, and the tokens that matter lie within a few
 * units of the best: bands start narrow and double. */
static const float FIRST_DEPTH = 4, LAST_DEPTH = 64;

hone_status candidates_init(candidates *c, size_t n_vocab) {
    size_t n_padded = (n_vocab + CANDIDATE_BLOCK - 1) / CANDIDATE_BLOCK * CANDIDATE_BLOCK;
    *c = (candidates){.n_vocab = n_vocab, .n_padded = n_padded};
    c->logits = mem_alloc_aligned(n_padded, sizeof *c->logits);
    c->best = mem_alloc_aligned(n_vocab, sizeof *c->best);
    c->scratch = mem_alloc_aligned(n_vocab, sizeof *c->scratch);
    if (!c->logits || !c->best || !c->scratch) {
        candidates_release(c);
        return mem_fail("the sampler", n_padded * (sizeof *c->logits + 2 * sizeof *c->best));
    }
    for (size_t i = n_vocab; i < n_padded; i++) c->logits[i] = -INFINITY;
    return HONE_OK;
}

void candidates_release(candidates *c) {
    mem_free(c->logits);
    mem_free(c->best);
    mem_free(c->scratch);
    *c = (candidates){0};
}

/* --- one look at all logits --- */

/* Separate lanes, so that compilers may use vectors without being allowed to reorder floats. */
void candidates_reset(candidates *c) {
    float max[CANDIDATE_BLOCK];
    uint32_t finite[CANDIDATE_BLOCK] = {0};
    for (size_t j = 0; j < CANDIDATE_BLOCK; j++) max[j] = -INFINITY;
    for (size_t i = 0; i < c->n_padded; i += CANDIDATE_BLOCK) {
        const float *l = c->logits + i;
        for (size_t j = 0; j < CANDIDATE_BLOCK; j++) {
            max[j] = l[j] > max[j] ? l[j] : max[j];
            finite[j] += l[j] > -INFINITY;
        }
    }
    c->max = -INFINITY;
    c->n_all = 0;
    for (size_t j = 0; j < CANDIDATE_BLOCK; j++) {
        if (max[j] > c->max) c->max = max[j];
        c->n_all += finite[j];
    }
    c->n_kept = c->n_all;
    c->n_sorted = 0;
    c->floor = INFINITY;
    c->depth = FIRST_DEPTH;
}

int32_t candidates_first(const candidates *c) {
    for (size_t i = 0;; i += CANDIDATE_BLOCK) {
        const float *l = c->logits + i;
        int found = 0;
        for (size_t j = 0; j < CANDIDATE_BLOCK; j++) found |= l[j] == c->max;
        for (size_t j = 0; found; j++)
            if (l[j] == c->max) return (int32_t)(i + j);
    }
}

/* --- the order --- */

/* Ascending in the order that is wanted: the largest logit has the smallest key. */
static uint32_t sort_key(float logit) {
    float without_minus_zero = logit + 0.0f; /* −0 and 0 are a tie */
    uint32_t bits;
    memcpy(&bits, &without_minus_zero, sizeof bits);
    return bits & 0x80000000u ? bits : ~bits & 0x7FFFFFFFu;
}

enum { INSERTION_LIMIT = 48, RADIX_BITS = 11, RADIX = 1 << RADIX_BITS, N_PASSES = 3 };

static void insertion_sort(candidate *list, size_t n) {
    for (size_t i = 1; i < n; i++) {
        candidate moving = list[i];
        size_t j = i;
        for (; j > 0 && list[j - 1].logit < moving.logit; j--) list[j] = list[j - 1];
        list[j] = moving;
    }
}

/* One stable counting pass on the digit at `shift`; counts[] become places. */
static void radix_pass(candidate *to, const candidate *from, size_t n, uint32_t counts[RADIX],
                       int shift) {
    uint32_t place = 0;
    for (size_t digit = 0; digit < RADIX; digit++) {
        uint32_t count = counts[digit];
        counts[digit] = place;
        place += count;
    }
    for (size_t i = 0; i < n; i++)
        to[counts[sort_key(from[i].logit) >> shift & (RADIX - 1)]++] = from[i];
}

/* Both sorts are stable and get the candidates by id: ties end with the lower id first. */
static void sort_by_logit(candidate *list, candidate *scratch, size_t n) {
    if (n <= INSERTION_LIMIT) {
        insertion_sort(list, n);
        return;
    }
    uint32_t counts[N_PASSES][RADIX] = {{0}};
    for (size_t i = 0; i < n; i++) {
        uint32_t key = sort_key(list[i].logit);
        for (int pass = 0; pass < N_PASSES; pass++)
            counts[pass][key >> pass * RADIX_BITS & (RADIX - 1)]++;
    }
    candidate *from = list, *to = scratch;
    for (int pass = 0; pass < N_PASSES; pass++) {
        int shift = pass * RADIX_BITS;
        if (counts[pass][sort_key(from[0].logit) >> shift & (RADIX - 1)] == n) continue;
        radix_pass(to, from, n, counts[pass], shift);
        candidate *swap = from;
        from = to;
        to = swap;
    }
    if (from != list) memcpy(list, from, n * sizeof *list);
}

/* Appends the tokens with low ≤ logit < high to `best`, by id. */
static void gather_band(candidates *c, float low, float high) {
    size_t n = c->n_sorted;
    for (size_t i = 0; i < c->n_padded; i += CANDIDATE_BLOCK) {
        const float *l = c->logits + i;
        int found = 0;
        for (size_t j = 0; j < CANDIDATE_BLOCK; j++) found |= (l[j] >= low) & (l[j] < high);
        for (size_t j = 0; found && j < CANDIDATE_BLOCK; j++)
            if (l[j] >= low && l[j] < high)
                c->best[n++] = (candidate){l[j], (int32_t)(i + j)};
    }
    c->n_sorted = n;
}

/* Makes `best` hold at least the first n of the order, n ≤ n_all. */
static void sort_first(candidates *c, size_t n) {
    while (c->n_sorted < n) {
        bool nearly_all = c->depth > LAST_DEPTH || n > c->n_all / 4;
        float low = nearly_all ? -FLT_MAX : c->max - c->depth;
        size_t begin = c->n_sorted;
        gather_band(c, low, c->floor);
        sort_by_logit(c->best + begin, c->scratch, c->n_sorted - begin);
        c->floor = low;
        c->depth *= 2;
    }
}

const candidate *candidates_at(candidates *c, size_t i) {
    if (i >= c->n_sorted) sort_first(c, i + 1);
    return &c->best[i];
}

/* --- weights --- */

/* ln of the weight. Relative to the maximum: never positive, and no overflow. */
static double log_weight(const candidates *c, float logit, double temperature) {
    return ((double)logit - c->max) / temperature;
}

double candidates_weight(const candidates *c, float logit, double temperature) {
    return exp(log_weight(c, logit, temperature));
}

double candidates_total(candidates *c, double temperature) {
    double total = 0;
    if (c->n_kept == c->n_all) {
        for (size_t i = 0; i < c->n_vocab; i++)
            total += candidates_weight(c, c->logits[i], temperature);
    } else {
        for (size_t i = 0; i < c->n_kept; i++)
            total += candidates_weight(c, candidates_at(c, i)->logit, temperature);
    }
    return total;
}

/* --- filters --- */

void candidates_keep_top_k(candidates *c, size_t k) {
    if (k >= c->n_kept) return;
    sort_first(c, k);
    c->n_kept = k;
}

void candidates_keep_top_p(candidates *c, double mass, double temperature) {
    double needed = mass * candidates_total(c, temperature), running = 0;
    for (size_t i = 0; i < c->n_kept; i++) {
        running += candidates_weight(c, candidates_at(c, i)->logit, temperature);
        if (running >= needed) {
            c->n_kept = i + 1;
            return;
        }
    }
}

void candidates_keep_min_p(candidates *c, double min_p, double temperature) {
    size_t n = 1;
    while (n < c->n_kept &&
           candidates_weight(c, candidates_at(c, n)->logit, temperature) >= min_p)
        n++;
    c->n_kept = n;
}

/* Locally typical sampling (Meister et al. 2023) keeps the tokens whose surprise −ln p is nearest
 * to its mean, the entropy. Down the order the surprise grows: from the place where it passes the
 * entropy, the two sides are merged by their distance from it. */
typedef struct surprise {
    const candidates *c;
    double log_total, entropy, temperature;
} surprise;

/* Surprise of the i-th minus the entropy. */
static double surprise_excess(const surprise *s, size_t i) {
    return s->log_total - log_weight(s->c, s->c->best[i].logit, s->temperature) - s->entropy;
}

static surprise surprise_measure(const candidates *c, double total, double temperature) {
    double mean = 0; /* of ln weight */
    for (size_t i = 0; i < c->n_kept; i++) {
        double log_w = log_weight(c, c->best[i].logit, temperature);
        mean += exp(log_w) / total * log_w;
    }
    return (surprise){c, log(total), log(total) - mean, temperature};
}

/* Keeps begin … end − 1 of the order. */
static void keep_range(candidates *c, size_t begin, size_t end) {
    memmove(c->best, c->best + begin, (end - begin) * sizeof *c->best);
    c->n_sorted = c->n_kept = end - begin;
    c->max = c->best[0].logit;
}

void candidates_keep_typical(candidates *c, double mass, double temperature) {
    sort_first(c, c->n_kept);
    double total = candidates_total(c, temperature), needed = mass * total, running = 0;
    surprise s = surprise_measure(c, total, temperature);
    size_t begin = 0;
    while (begin < c->n_kept && surprise_excess(&s, begin) < 0) begin++;
    size_t end = begin;
    do {
        double above = begin > 0 ? -surprise_excess(&s, begin - 1) : INFINITY;
        double below = end < c->n_kept ? surprise_excess(&s, end) : INFINITY;
        if (above > below) {
            running += candidates_weight(c, c->best[end++].logit, temperature);
            continue;
        }
        /* Tokens at the same distance come in the order, here from their far end. */
        size_t tie_end = begin;
        while (begin > 0 && -surprise_excess(&s, begin - 1) == above) begin--;
        size_t tied = begin;
        do running += candidates_weight(c, c->best[tied++].logit, temperature);
        while (tied < tie_end && running < needed);
        if (tied < tie_end) { /* enough: the rest of them goes */
            memmove(c->best + tied, c->best + tie_end, (end - tie_end) * sizeof *c->best);
            end -= tie_end - tied;
        }
    } while (running < needed && end - begin < c->n_kept);
    keep_range(c, begin, end);
}

/* --- draw --- */

int32_t candidates_draw(candidates *c, double u, double temperature) {
    double target = u * candidates_total(c, temperature), running = 0;
    int32_t last = candidates_at(c, 0)->id;
    for (size_t i = 0; i < c->n_kept; i++) {
        const candidate *each = candidates_at(c, i);
        double weight = candidates_weight(c, each->logit, temperature);
        if (weight > 0) last = each->id;
        running += weight;
        if (running > target) return each->id;
    }
    return last; /* the total was rounded up */
}
