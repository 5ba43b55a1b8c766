/* Causal grouped-query attention over the paged cache, and the rotation before it.
 *
 * The positions that a query sees are cut at multiples of ATTENTION_SPLIT; each part is computed by
 * itself (maximum, exponentials, weighted sum) and the parts are merged from the first to the last
 * (Dao 2022, online softmax). So one query's sum has one order, whatever else is in the step. */
#ifndef MODEL_ATTENTION_H
#define MODEL_ATTENTION_H

#include "model/kv.h"
#include "tensor/ops.h"

#define ATTENTION_SPLIT (8 * KV_PAGE)

/* One session's new tokens in a step: tokens first … first + n_tokens − 1 of the step's arrays
 * stand at positions position, position + 1, … of its cache. */
typedef struct kv_segment {
    kv_cache *kv;
    size_t first, n_tokens, position;
} kv_segment;

/* cos and sin, each [n_tokens, n_dims / 2], of every token's position. */
typedef struct rope_table {
    size_t n_dims;
    bool interleaved;
    const float *cos, *sin;
} rope_table;

void rope_table_fill(float *cosines, float *sines, const float *frequencies, float amplitude,
                     size_t n_dims, const kv_segment *segments, size_t n_segments);

/* Rotates x[n_tokens, n_heads · head_dim] in place. */
void op_rope(compute *c, float *x, size_t n_tokens, size_t n_heads, size_t head_dim,
             const rope_table *rope);

/* Writes keys and values [n_tokens, n_kv_heads · head_dim] of one layer into the caches, which have
 * room for them (kv_reserve). */
void op_kv_store(compute *c, const kv_segment *segments, size_t n_segments, size_t layer,
                 const float *keys, const float *values);

/* out[n_tokens, n_heads · head_dim] = softmax(q · K / sqrt(head_dim)) · V of one layer. Each thread
 * needs attention_scratch_bytes of scratch. */
void op_attention(compute *c, const kv_segment *segments, size_t n_segments, size_t layer,
                  size_t n_heads, const float *q, float *out);
size_t attention_scratch_bytes(size_t n_heads, const kv_layout *layout);

#endif
