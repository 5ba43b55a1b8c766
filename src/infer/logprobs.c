/* Log-probabilities of the unmodified logits (declared in infer/sampler.h). */
#include <math.h>

#include "infer/sampler.h"

enum { N_LANES = 16 };

/* In lanes, as compilers may not reorder a single running maximum into vectors. */
static float largest(const float *logits, size_t n) {
    float max[N_LANES];
    for (size_t j = 0; j < N_LANES; j++) max[j] = -INFINITY;
    size_t i = 0;
    for (; i + N_LANES <= n; i += N_LANES)
        for (size_t j = 0; j < N_LANES; j++)
            max[j] = logits[i + j] > max[j] ? logits[i + j] : max[j];
    for (; i < n; i++) max[0] = logits[i] > max[0] ? logits[i] : max[0];
    for (size_t j = 1; j < N_LANES; j++) max[0] = max[j] > max[0] ? max[j] : max[0];
    return max[0];
}

/* ln Σ exp(logit − max). At least one term is 1, so that the sum is no 0 unless all are −∞. */
static double log_sum(const float *logits, size_t n, float max) {
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += exp((double)logits[i] - max);
    return log(sum);
}

static double logprob(float logit, float max, double log_total) {
    return logit == -INFINITY ? -INFINITY : (double)logit - max - log_total;
}

double logits_logprob(const float *logits, size_t n_vocab, int32_t token) {
    float max = largest(logits, n_vocab);
    return logprob(logits[token], max, log_sum(logits, n_vocab, max));
}

/* Insertion into a short list; k is at most 64, and few tokens come near the list. */
static void insert(const float *logits, int32_t *ids, size_t *n, size_t k, int32_t id) {
    size_t place = *n < k ? (*n)++ : k - 1;
    for (; place > 0 && logits[ids[place - 1]] < logits[id]; place--) ids[place] = ids[place - 1];
    ids[place] = id;
}

void logits_top(const float *logits, size_t n_vocab, size_t k, int32_t *ids, double *logprobs) {
    if (k > n_vocab) k = n_vocab;
    if (k == 0) return;
    size_t n = 0;
    for (size_t i = 0; i < n_vocab; i++)
        if (n < k || logits[i] > logits[ids[k - 1]]) insert(logits, ids, &n, k, (int32_t)i);
    float max = logits[ids[0]];
    double log_total = log_sum(logits, n_vocab, max);
    for (size_t i = 0; i < k; i++) logprobs[i] = logprob(logits[ids[i]], max, log_total);
}

double logits_certainty(const float *logits, size_t n_vocab) {
    float max = largest(logits, n_vocab);
    double log_total = log_sum(logits, n_vocab, max), sum = 0;
    for (size_t i = 0; i < n_vocab; i++) sum += (double)logits[i] - max;
    return log_total - log((double)n_vocab) - sum / (double)n_vocab;
}
