/* Causal grouped-query attention over the paged cache, and the rotation before it.
 *
 * Order of summation: the positions that a query sees are cut at multiples of ATTENTION_SPLIT;
 * each part is computed by itself (maximum, exponentials, weighted sum) and the parts are merged
 * from the first to the last (Dao et al. 2022, online softmax; Dao 2023, flash decoding). So a
 * query's answer depends neither on what else is in the step nor on the threads.
 *
 * Work: a tile is some tokens of the step with all query heads of one key/value head; its rows
 * share every read of the cache, those of several sessions too where they share the page. Prefill
 * hands out tiles. Where a step has too few of them for the threads (decoding at depth), it hands
 * out each tile's parts and merges them afterwards. */
#ifndef MODEL_ATTENTION_H
#define MODEL_ATTENTION_H

#include "model/kv.h"
#include "tensor/ops.h"

#define ATTENTION_SPLIT (4 * KV_PAGE)

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

/* Rotates q[n_tokens, n_heads · head_dim] and keys[n_tokens, n_kv_heads · head_dim] in place and
 * writes keys and values (of the keys' shape) of one layer into the caches, which have room for
 * them (kv_reserve). */
void op_rope_and_store(compute *c, const kv_segment *segments, size_t n_segments, size_t layer,
                       const rope_table *rope, size_t n_heads, float *q, float *keys,
                       const float *values);

/* How the attention of one step is cut. */
typedef struct attention_plan {
    const kv_segment *segments;
    size_t n_segments, n_heads, n_tokens;
    size_t tile_tokens, n_tiles;
    size_t n_parts;         /* of a tile that are handed out one by one; 0 = tiles are handed out */
    size_t n_part_floats;   /* memory that op_attention needs for the parts' results, */
    size_t scratch_bytes;   /* and that each thread needs as scratch */
} attention_plan;

/* Every segment has a token; `segments` is kept by reference. */
void attention_plan_init(attention_plan *plan, const compute *c, const kv_segment *segments,
                         size_t n_segments, size_t n_heads);

/* out[n_tokens, n_heads · head_dim] = softmax(q · K / sqrt(head_dim)) · V of one layer; `parts` is
 * memory for n_part_floats. */
void op_attention(compute *c, const attention_plan *plan, size_t layer, const float *q, float *out,
                  float *parts);

#endif
