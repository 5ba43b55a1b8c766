#include "infer/speech_rules.h"

#include <math.h>
#include <string.h>

static void forbid(float *logits, int32_t begin, int32_t end) {
    for (int32_t id = begin; id < end; id++) logits[id] = -INFINITY;
}

float speech_log_sum_exp(const kernels *k, const float *x, size_t n, float *work) {
    if (k->max_of(x, n) == -INFINITY) return -INFINITY;
    float max;
    memcpy(work, x, n * sizeof *x);
    float sum = k->softmax_row(work, n, 1, &max);
    return max + logf(sum);
}

/* Pairs of time marks around text, none earlier than the last. */
static void pair_timestamps(const speech_rules *r, float *logits, const int32_t *sampled,
                            size_t n) {
    const speech_tokens *ids = r->ids;
    int32_t first = ids->first_timestamp, last = -1;
    for (size_t i = n; i > 0 && last < 0; i--)
        if (sampled[i - 1] >= first) last = sampled[i - 1];
    bool ends_in_mark = n > 0 && sampled[n - 1] >= first;
    bool after_pair = ends_in_mark && (n < 2 || sampled[n - 2] >= first);
    if (after_pair) forbid(logits, first, ids->n_vocab);
    else if (ends_in_mark) forbid(logits, 0, ids->end);
    if (last >= 0) forbid(logits, first, ends_in_mark && !after_pair ? last : last + 1);
    if (n > 0) return;
    forbid(logits, 0, first);
    if (r->last_initial >= 0 && r->last_initial < ids->n_vocab - first)
        forbid(logits, first + r->last_initial + 1, ids->n_vocab);
}

/* All time marks together against the best of the rest:
 * it is a sum that text would have to beat. */
static void prefer_timestamps(const speech_rules *r, const kernels *k, float *logits) {
    enum { PIECE = 1024 };
    const int32_t first = r->ids->first_timestamp;
    size_t n = (size_t)(r->ids->n_vocab - first);
    float max = k->max_of(logits + first, n), work[PIECE], sum = 0;
    if (max == -INFINITY) return;
    for (size_t i = 0; i < n; i += PIECE) {
        size_t width = n - i < PIECE ? n - i : PIECE;
        float of_piece = k->max_of(logits + (size_t)first + i, width);
        if (of_piece == -INFINITY) continue;
        memcpy(work, logits + (size_t)first + i, width * sizeof *work);
        sum += k->softmax_row(work, width, 1, &of_piece) * expf(of_piece - max);
    }
    if (max + logf(sum) > k->max_of(logits, (size_t)first)) forbid(logits, 0, first);
}

void speech_rules_apply(const speech_rules *r, const kernels *k, float *logits,
                        const int32_t *sampled, size_t n) {
    const speech_tokens *ids = r->ids;
    for (size_t i = 0; r->suppress_blank && n == 0 && i < ids->n_blanks; i++)
        logits[ids->blanks[i]] = -INFINITY;
    for (size_t i = 0; i < r->n_suppress; i++) logits[r->suppress[i]] = -INFINITY;
    if (!r->timestamps) return;
    logits[ids->no_timestamps] = -INFINITY;
    pair_timestamps(r, logits, sampled, n);
    prefer_timestamps(r, k, logits);
}
