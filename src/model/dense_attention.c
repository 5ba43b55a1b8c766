#include "model/dense_attention.h"

#include <math.h>
#include <string.h>

enum {
    PANEL_KEYS = 64, /* keys side by side in a panel */
    PAIRS = GEMM_PAIRS_COLUMNS,
    TILE_QUERIES = 24 /* queries in a task: their scores stay in the second cache */
};

/* A head's keys are panels of 64 side by side, [n_panels, dim, 64], and its values [n, dim]; in
 * bfloat16 both are panels of pairs, as gemm_pairs wants them: keys by 32 of them,
 * [dim / 2, 32, 2], values by 32 of their elements, [positions / 2, 32, 2]. */
typedef struct dense_work {
    compute *c;
    float *out;
    const float *q, *k, *v;
    size_t n, n_heads, dim;
    size_t n_panels, n_tiles; /* of a head */
    bool pairs;
    float *keys, *values;
    size_t head_floats; /* of either, for one head */
} dense_work;

static size_t panels_of(size_t n) { return (n + PANEL_KEYS - 1) / PANEL_KEYS; }

size_t dense_attention_floats(size_t n, size_t n_heads, size_t head_dim) {
    return 2 * n_heads * head_dim * panels_of(n) * PANEL_KEYS;
}

size_t dense_attention_scratch_bytes(size_t n, size_t head_dim) {
    return TILE_QUERIES * (panels_of(n) * PANEL_KEYS + head_dim) * sizeof(float);
}

/* --- packing --- */

static void pack_floats(const dense_work *w, size_t head, size_t first, size_t n) {
    size_t width = w->n_heads * w->dim;
    float *keys = w->keys + head * w->head_floats + first * w->dim;
    float *values = w->values + head * w->head_floats + first * w->dim;
    for (size_t i = 0; i < n; i++) {
        const float *key = w->k + (first + i) * width + head * w->dim;
        for (size_t d = 0; d < w->dim; d++) keys[d * PANEL_KEYS + i] = key[d];
        memcpy(values + i * w->dim, w->v + (first + i) * width + head * w->dim,
               w->dim * sizeof *values);
    }
}

/* Rows beyond n become zeros, so that the last pair of values is whole. */
static void pack_pairs(const dense_work *w, size_t head, size_t first, size_t n) {
    size_t width = w->n_heads * w->dim, dim = w->dim;
    const size_t value_panel = w->n_panels * PANEL_KEYS * PAIRS;
    uint16_t *keys = (uint16_t *)(w->keys + head * w->head_floats) + first * dim;
    uint16_t *values = (uint16_t *)(w->values + head * w->head_floats) + first * PAIRS;
    uint16_t row[PANEL_KEYS];
    for (size_t i = 0; i < PANEL_KEYS; i++) {
        bool inside = i < n;
        const size_t at = inside ? (first + i) * width + head * dim : 0;
        if (inside) w->c->k->to_bf16(row, w->k + at, dim);
        else memset(row, 0, sizeof row);
        for (size_t d = 0; d < dim; d++)
            keys[i / PAIRS * PAIRS * dim + (d / 2 * PAIRS + i % PAIRS) * 2 + d % 2] = row[d];
        if (inside) w->c->k->to_bf16(row, w->v + at, dim);
        for (size_t d = 0; d < dim; d++)
            values[d / PAIRS * value_panel + (i / 2 * PAIRS + d % PAIRS) * 2 + i % 2] = row[d];
    }
}

static void pack_panel_task(void *user, size_t index, int thread) {
    (void)thread;
    const dense_work *w = user;
    size_t head = index / w->n_panels, first = index % w->n_panels * PANEL_KEYS;
    size_t n = w->n - first < PANEL_KEYS ? w->n - first : PANEL_KEYS;
    (w->pairs ? pack_pairs : pack_floats)(w, head, first, n);
}

/* --- a tile of queries --- */

/* Scores of `rows` queries against all keys; q has rows of `dim` side by side, and may be lost. */
static void score_floats(const dense_work *w, size_t head, float *q, size_t rows, float *scores,
                         size_t stride) {
    for (size_t p = 0; p < w->n_panels; p++) {
        size_t begin = p * PANEL_KEYS, n = w->n - begin < PANEL_KEYS ? w->n - begin : PANEL_KEYS;
        w->c->k->gemm_dense(scores + begin, stride, q, w->dim,
                            w->keys + head * w->head_floats + begin * w->dim, PANEL_KEYS, rows, n,
                            w->dim);
    }
}

static void score_pairs(const dense_work *w, size_t head, float *q, size_t rows, float *scores,
                        size_t stride) {
    const uint16_t *keys = (const uint16_t *)(w->keys + head * w->head_floats);
    uint16_t *halves = (uint16_t *)q;
    w->c->k->to_bf16(halves, q, rows * w->dim);
    for (size_t first = 0; first < stride; first += PAIRS)
        w->c->k->gemm_pairs(scores + first, stride, halves, w->dim, keys + first * w->dim, rows,
                            PAIRS, w->dim / 2, false);
}

static void sum_values(const dense_work *w, size_t head, float *out, size_t rows, float *scores,
                       size_t stride) {
    const float *values = w->values + head * w->head_floats;
    size_t width = w->n_heads * w->dim;
    for (size_t d = 0; d < w->dim && w->pairs; d += PAIRS)
        w->c->k->gemm_pairs(out + d, width, (const uint16_t *)scores, 2 * stride,
                            (const uint16_t *)values + d * w->n_panels * PANEL_KEYS, rows, PAIRS,
                            (w->n + 1) / 2, false);
    if (!w->pairs)
        w->c->k->gemm_dense(out, width, scores, stride, values, w->dim, rows, w->dim, w->n);
}

static void attend_tile(void *user, size_t index, int thread) {
    const dense_work *w = user;
    const kernels *k = w->c->k;
    size_t head = index / w->n_tiles, first = index % w->n_tiles * TILE_QUERIES;
    size_t rows = w->n - first < TILE_QUERIES ? w->n - first : TILE_QUERIES;
    size_t width = w->n_heads * w->dim, stride = w->n_panels * PANEL_KEYS;
    float *scores = w->c->scratch[thread], *q = scores + TILE_QUERIES * stride;
    for (size_t r = 0; r < rows; r++)
        memcpy(q + r * w->dim, w->q + (first + r) * width + head * w->dim, w->dim * sizeof *q);
    k->scale(q, 1.0f / sqrtf((float)w->dim), rows * w->dim);
    (w->pairs ? score_pairs : score_floats)(w, head, q, rows, scores, stride);
    float inverse[TILE_QUERIES], max;
    for (size_t r = 0; r < rows; r++) {
        float *row = scores + r * stride;
        inverse[r] = 1.0f / k->softmax_row(row, w->n, 1, &max);
        if (w->n % 2) row[w->n] = 0; /* the other half of the last pair */
        if (w->pairs) k->to_bf16((uint16_t *)row, row, w->n + w->n % 2);
    }
    float *out = w->out + first * width + head * w->dim;
    sum_values(w, head, out, rows, scores, stride);
    for (size_t r = 0; r < rows; r++) k->scale(out + r * width, inverse[r], w->dim);
}

void op_dense_attention(compute *c, float *out, const float *q, const float *k, const float *v,
                        size_t n, size_t n_heads, size_t head_dim, float *packed, bool exact) {
    size_t n_panels = panels_of(n), head_floats = n_panels * PANEL_KEYS * head_dim;
    dense_work w = {.c = c, .out = out, .q = q, .k = k, .v = v, .n = n, .n_heads = n_heads,
                    .dim = head_dim, .n_panels = n_panels,
                    .n_tiles = (n + TILE_QUERIES - 1) / TILE_QUERIES,
                    .pairs = !exact && c->k->gemm_pairs && head_dim == PANEL_KEYS,
                    .keys = packed, .values = packed + n_heads * head_floats,
                    .head_floats = head_floats};
    op_parallel(c, n_heads * n_panels, pack_panel_task, &w);
    op_parallel(c, n_heads * w.n_tiles, attend_tile, &w);
}
