#include "infer/logprobs.h"

#include <math.h>
#include <string.h>

enum {
    PIECE = 512, /* logits at a time, so that they and their exponentials stay in the cache */
    N_LANES = 8
};

/* In lanes, as compilers may not reorder a single running sum into vectors. */
static double sum_of(const float *x, size_t n) {
    double lanes[N_LANES] = {0}, sum = 0;
    size_t i = 0;
    for (; i + N_LANES <= n; i += N_LANES)
        for (size_t j = 0; j < N_LANES; j++) lanes[j] += (double)x[i + j];
    for (; i < n; i++) lanes[0] += (double)x[i];
    for (size_t j = 0; j < N_LANES; j++) sum += lanes[j];
    return sum;
}

/* Insertion into a short list; n_top is at most 64, and few tokens come near the list. */
static void insert(const float *logits, int32_t *ids, size_t *n, size_t n_top, int32_t id) {
    size_t place = *n < n_top ? (*n)++ : n_top - 1;
    for (; place > 0 && logits[ids[place - 1]] < logits[id]; place--) ids[place] = ids[place - 1];
    ids[place] = id;
}

/* One reading of all logits. */
typedef struct reading {
    float max;
    double sum;       /* Σ exp(logit − max) */
    double logit_sum; /* if asked for */
    size_t n_top;     /* found so far; ids[n_top] */
    int32_t *ids;
} reading;

/* Tokens begin … end − 1, whose largest logit is at most `largest`. */
static void take_top(reading *r, size_t n_wanted, const float *logits, size_t begin, size_t end,
                     float largest) {
    if (r->n_top == n_wanted && (n_wanted == 0 || largest <= logits[r->ids[n_wanted - 1]])) return;
    for (size_t i = begin; i < end; i++)
        if (r->n_top < n_wanted || logits[i] > logits[r->ids[n_wanted - 1]])
            insert(logits, r->ids, &r->n_top, n_wanted, (int32_t)i);
}

/* Adds a piece whose exponentials are relative to `largest`. */
static void take_sum(reading *r, double sum, float largest) {
    if (largest == -INFINITY) return; /* and the sum means nothing */
    if (largest > r->max) {
        r->sum *= exp((double)r->max - largest);
        r->max = largest;
    }
    r->sum += sum * exp((double)largest - r->max);
}

static reading read_all(const kernels *k, const float *logits, size_t n, size_t n_known,
                        size_t n_top, int32_t *ids, bool sum_logits) {
    reading r = {.max = -INFINITY, .ids = ids};
    float work[PIECE], largest;
    for (size_t i = 0; i < n; i += PIECE) {
        size_t width = n - i < PIECE ? n - i : PIECE;
        memcpy(work, logits + i, width * sizeof *work);
        k->softmax_row(work, width, 1, &largest);
        take_sum(&r, sum_of(work, width), largest);
        take_top(&r, n_top, logits, i, i + width < n_known ? i + width : n_known, largest);
        if (sum_logits) r.logit_sum += sum_of(logits + i, width);
    }
    return r;
}

/* ln Σ exp(logit) − max. At least one term is 1, so that the sum is no 0 unless all are −∞. */
static double logprob(const reading *r, float logit) {
    return logit == -INFINITY ? -INFINITY : (double)logit - r->max - log(r->sum);
}

double logits_logprob(const kernels *k, const float *logits, size_t n_vocab, int32_t token) {
    reading r = read_all(k, logits, n_vocab, 0, 0, NULL, false);
    return logprob(&r, logits[token]);
}

static void fill_top(const reading *r, const float *logits, double *logprobs) {
    for (size_t i = 0; i < r->n_top; i++) logprobs[i] = logprob(r, logits[r->ids[i]]);
}

void logits_top(const kernels *k, const float *logits, size_t n_vocab, size_t n_top, int32_t *ids,
                double *logprobs) {
    reading r = read_all(k, logits, n_vocab, n_vocab, n_top, ids, false);
    fill_top(&r, logits, logprobs);
}

void logits_describe(const kernels *k, const float *logits, size_t n_vocab, size_t n_known,
                     size_t n_top, hone_piece *piece, top_logprobs *top) {
    const double n = (double)n_vocab;
    reading r = read_all(k, logits, n_vocab, n_known, n_top, top->ids, true);
    fill_top(&r, logits, top->logprobs);
    piece->logprob = logprob(&r, logits[piece->token]);
    piece->certainty = r.max + log(r.sum) - log(n) - r.logit_sum / n;
    piece->n_top = r.n_top;
    piece->top_ids = top->ids;
    piece->top_logprobs = top->logprobs;
}
