/* Attention of encoders: every position sees every position, nothing is kept.
 *
 * Scores and values are products of matrices: a tile of queries against panels of keys, softmax
 * over whole rows, then the weighted sum of the values. In floats, or in bfloat16 with float sums
 * where the processor is faster at that. */
#ifndef MODEL_DENSE_ATTENTION_H
#define MODEL_DENSE_ATTENTION_H

#include "tensor/ops.h"

/* out[n, heads · dim] = softmax(q · Kᵀ / √dim) · V with q, k, v[n, heads · dim]. `packed` has
 * dense_attention_floats; each thread needs dense_attention_scratch_bytes of scratch. `exact`:
 * floats throughout. */
void op_dense_attention(compute *c, float *out, const float *q, const float *k, const float *v,
                        size_t n, size_t n_heads, size_t head_dim, float *packed, bool exact);
size_t dense_attention_floats(size_t n, size_t n_heads, size_t head_dim);
size_t dense_attention_scratch_bytes(size_t n, size_t head_dim);

#endif
