#include "infer/logprobs.h"

#include <math.h>

/* --- exp --- */

/* Two numbers in a register, which every 64-bit processor has. */
typedef double pair __attribute__((vector_size(16)));
typedef uint64_t pair_bits __attribute__((vector_size(16)));

static inline pair both(double x) { return (pair){x, x}; }

/* e^x for x ≤ 0, relative error below 2e-15; 0 (almost: 1e-307) below −707. Less than half of the
 * C library's instructions, as other numbers are no concern: x = k · ln 2 + r, |r| ≤ ln 2 / 2, k by
 * adding a number at which doubles are whole, e^r by its series, 2^k by its bits. */
static inline pair exp_not_above_1(pair x) {
    static const double ln2_high = 0x1.62e42feep-1, ln2_low = 0x1.a39ef35793c76p-33;
    const pair whole = both(0x1.8p52), lowest = both(-707);
    pair_bits in_range = (pair_bits)(x > lowest);
    x = (pair)(((pair_bits)x & in_range) | ((pair_bits)lowest & ~in_range));
    pair shifted = x * 0x1.71547652b82fep0 + whole, k = shifted - whole;
    pair r = (x - k * ln2_high) - k * ln2_low, y = both(1.0 / 479001600);
    y = y * r + 1.0 / 39916800;
    y = y * r + 1.0 / 3628800;
    y = y * r + 1.0 / 362880;
    y = y * r + 1.0 / 40320;
    y = y * r + 1.0 / 5040;
    y = y * r + 1.0 / 720;
    y = y * r + 1.0 / 120;
    y = y * r + 1.0 / 24;
    y = y * r + 1.0 / 6;
    y = y * r + 0.5;
    y = y * r + 1;
    y = y * r + 1;
    return y * (pair)(((pair_bits)shifted + 1023) << 52);
}

/* --- a row --- */

/* In lanes, as compilers may not reorder a single running maximum or sum into vectors. */
enum { N_LANES = 8 };

static float largest(const float *logits, size_t n) {
    float max[N_LANES], most = -INFINITY;
    size_t i = 0;
    for (size_t j = 0; j < N_LANES; j++) max[j] = -INFINITY;
    for (; i + N_LANES <= n; i += N_LANES)
        for (size_t j = 0; j < N_LANES; j++)
            max[j] = logits[i + j] > max[j] ? logits[i + j] : max[j];
    for (; i < n; i++) max[0] = logits[i] > max[0] ? logits[i] : max[0];
    for (size_t j = 0; j < N_LANES; j++) most = max[j] > most ? max[j] : most;
    return most;
}

/* What all tokens of a row share. */
typedef struct row {
    const float *logits;
    size_t n;
    double max, log_sum; /* ln Σ exp(logit − max): at least one term is 1, unless all are −∞ */
} row;

static row read_row(const float *logits, size_t n) {
    const double max = (double)largest(logits, n);
    pair sum = both(0), more = both(0);
    size_t i = 0;
    for (; i + 4 <= n; i += 4) {
        const float *l = logits + i;
        sum += exp_not_above_1((pair){l[0], l[1]} - max);
        more += exp_not_above_1((pair){l[2], l[3]} - max);
    }
    for (; i < n; i++) sum[0] += exp_not_above_1(both((double)logits[i] - max))[0];
    sum += more;
    return (row){logits, n, max, log(sum[0] + sum[1])};
}

static double logprob(const row *r, int32_t token) {
    float logit = r->logits[token];
    return logit == -INFINITY ? -INFINITY : (double)logit - r->max - r->log_sum;
}

/* Σ (logit − max) */
static double sum_below(const row *r) {
    double lanes[N_LANES] = {0}, sum = 0;
    size_t i = 0;
    for (; i + N_LANES <= r->n; i += N_LANES)
        for (size_t j = 0; j < N_LANES; j++) lanes[j] += (double)r->logits[i + j] - r->max;
    for (; i < r->n; i++) lanes[0] += (double)r->logits[i] - r->max;
    for (size_t j = 0; j < N_LANES; j++) sum += lanes[j];
    return sum;
}

/* Insertion into a short list; n_top is at most 64, and few tokens come near the list. */
static void insert(const float *logits, int32_t *ids, size_t *n, size_t n_top, int32_t id) {
    size_t place = *n < n_top ? (*n)++ : n_top - 1;
    for (; place > 0 && logits[ids[place - 1]] < logits[id]; place--) ids[place] = ids[place - 1];
    ids[place] = id;
}

/* Of the first n_known tokens; how many there are. */
static size_t find_top(const row *r, size_t n_known, size_t n_top, int32_t *ids,
                       double *logprobs) {
    size_t n = 0;
    for (size_t i = 0; i < n_known && n_top; i++)
        if (n < n_top || r->logits[i] > r->logits[ids[n_top - 1]])
            insert(r->logits, ids, &n, n_top, (int32_t)i);
    for (size_t i = 0; i < n; i++) logprobs[i] = logprob(r, ids[i]);
    return n;
}

/* --- exported --- */

/* In eight lanes, which do not wait for each other:
 * a step of eight answers has a million logits. */
int32_t logits_best(const float *logits, size_t n_vocab) {
    enum { LANES = 8 };
    float best[LANES];
    size_t i = 0;
    for (int l = 0; l < LANES; l++) best[l] = logits[0];
    for (; i + LANES <= n_vocab; i += LANES)
        for (int l = 0; l < LANES; l++)
            best[l] = logits[i + (size_t)l] > best[l] ? logits[i + (size_t)l] : best[l];
    for (; i < n_vocab; i++) best[0] = logits[i] > best[0] ? logits[i] : best[0];
    for (int l = 1; l < LANES; l++) best[0] = best[l] > best[0] ? best[l] : best[0];
    for (i = 0; logits[i] < best[0];) i++;
    return (int32_t)i;
}

double logits_logprob(const float *logits, size_t n_vocab, int32_t token) {
    row r = read_row(logits, n_vocab);
    return logprob(&r, token);
}

void logits_top(const float *logits, size_t n_vocab, size_t n_top, int32_t *ids,
                double *logprobs) {
    row r = read_row(logits, n_vocab);
    find_top(&r, n_vocab, n_top, ids, logprobs);
}

void logits_describe(const float *logits, size_t n_vocab, size_t n_known, size_t n_top,
                     hone_piece *piece, top_logprobs *top) {
    row r = read_row(logits, n_vocab);
    piece->logprob = logprob(&r, piece->token);
    piece->certainty = r.log_sum - log((double)n_vocab) - sum_below(&r) / (double)n_vocab;
    piece->n_top = find_top(&r, n_known, n_top, top->ids, top->logprobs);
    piece->top_ids = top->ids;
    piece->top_logprobs = top->logprobs;
}
