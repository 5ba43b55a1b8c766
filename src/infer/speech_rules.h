/* What the next token of a transcript may be: OpenAI's logit filters, in their order
 * (docs/models/whisper.md). */
#ifndef INFER_SPEECH_RULES_H
#define INFER_SPEECH_RULES_H

#include "infer/speech_tokens.h"
#include "tensor/kernels.h"

typedef struct speech_rules {
    const speech_tokens *ids;
    bool timestamps;         /* segments between time marks; else none is asked for */
    bool suppress_blank;     /* the first token is neither a space nor the end */
    const int32_t *suppress; /* [n_suppress], never written */
    size_t n_suppress;
    int32_t last_initial;    /* the first time mark is at most this one (an index); < 0: any */
} speech_rules;

/* Sets logits[n_vocab] to −∞ where a token may not follow sampled[n], the tokens so far behind the
 * prompt. */
void speech_rules_apply(const speech_rules *r, const kernels *k, float *logits,
                        const int32_t *sampled, size_t n);

/* ln Σ exp(x[i]); −∞ for nothing but −∞. `work` has room for n floats. */
float speech_log_sum_exp(const kernels *k, const float *x, size_t n, float *work);

#endif
