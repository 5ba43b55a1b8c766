#include "model/dense_attention.h"

#include <math.h>
#include <string.h>

enum {
    PANEL_KEYS = 64,  /* keys side by side in a panel: 64 floats for each element of a head */
    TILE_QUERIES = 24 /* queries in a task: their scores stay in the second cache */
};

typedef struct dense_work {
    compute *c;
    float *out;
    const float *q, *k, *v;
    size_t n, n_heads, dim;
    size_t n_panels, n_tiles; /* of a head */
    float *keys;              /* [n_heads, n_panels, dim, PANEL_KEYS] */
    float *values;            /* [n_heads, n, dim] */
} dense_work;

static size_t panels_of(size_t n) { return (n + PANEL_KEYS - 1) / PANEL_KEYS; }

size_t dense_attention_floats(size_t n, size_t n_heads, size_t head_dim) {
    return n_heads * head_dim * (panels_of(n) * PANEL_KEYS + n);
}

size_t dense_attention_scratch_bytes(size_t n, size_t head_dim) {
    return TILE_QUERIES * (panels_of(n) * PANEL_KEYS + head_dim) * sizeof(float);
}

/* Keys turned so that 64 of them lie side by side, and their values. */
static void pack_panel(void *user, size_t index, int thread) {
    (void)thread;
    const dense_work *w = user;
    size_t head = index / w->n_panels, first = index % w->n_panels * PANEL_KEYS;
    size_t width = w->n_heads * w->dim, n = w->n - first < PANEL_KEYS ? w->n - first : PANEL_KEYS;
    float *keys = w->keys + index * w->dim * PANEL_KEYS;
    for (size_t i = 0; i < n; i++) {
        const float *key = w->k + (first + i) * width + head * w->dim;
        for (size_t d = 0; d < w->dim; d++) keys[d * PANEL_KEYS + i] = key[d];
        memcpy(w->values + (head * w->n + first + i) * w->dim,
               w->v + (first + i) * width + head * w->dim, w->dim * sizeof(float));
    }
}

static void attend_tile(void *user, size_t index, int thread) {
    const dense_work *w = user;
    const kernels *k = w->c->k;
    size_t head = index / w->n_tiles, first = index % w->n_tiles * TILE_QUERIES;
    size_t rows = w->n - first < TILE_QUERIES ? w->n - first : TILE_QUERIES;
    size_t width = w->n_heads * w->dim, stride = w->n_panels * PANEL_KEYS;
    float *scores = w->c->scratch[thread], *q = scores + TILE_QUERIES * stride;
    const float scale = 1.0f / sqrtf((float)w->dim);
    for (size_t r = 0; r < rows; r++)
        for (size_t d = 0; d < w->dim; d++)
            q[r * w->dim + d] = w->q[(first + r) * width + head * w->dim + d] * scale;
    for (size_t p = 0; p < w->n_panels; p++) {
        size_t begin = p * PANEL_KEYS, n = w->n - begin < PANEL_KEYS ? w->n - begin : PANEL_KEYS;
        k->gemm_dense(scores + begin, stride, q, w->dim,
                      w->keys + (head * w->n_panels + p) * w->dim * PANEL_KEYS, PANEL_KEYS, rows, n,
                      w->dim);
    }
    float inverse[TILE_QUERIES];
    for (size_t r = 0; r < rows; r++) {
        float *row = scores + r * stride;
        float max;
        inverse[r] = 1.0f / k->softmax_row(row, w->n, 1, &max);
    }
    float *out = w->out + first * width + head * w->dim;
    k->gemm_dense(out, width, scores, stride, w->values + head * w->n * w->dim, w->dim, rows,
                  w->dim, w->n);
    for (size_t r = 0; r < rows; r++)
        for (size_t d = 0; d < w->dim; d++) out[r * width + d] *= inverse[r];
}

void op_dense_attention(compute *c, float *out, const float *q, const float *k, const float *v,
                        size_t n, size_t n_heads, size_t head_dim, float *packed) {
    size_t n_panels = panels_of(n);
    dense_work w = {.c = c, .out = out, .q = q, .k = k, .v = v, .n = n, .n_heads = n_heads,
                    .dim = head_dim, .n_panels = n_panels,
                    .n_tiles = (n + TILE_QUERIES - 1) / TILE_QUERIES, .keys = packed,
                    .values = packed + n_heads * n_panels * head_dim * PANEL_KEYS};
    op_parallel(c, n_heads * n_panels, pack_panel, &w);
    op_parallel(c, n_heads * w.n_tiles, attend_tile, &w);
}
