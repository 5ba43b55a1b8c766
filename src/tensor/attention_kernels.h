/* The attention kernels, written once over the vectors that tensor/float_kernels.h describes. The
 * file that includes this also says what its registers hold:
 *
 *     TILE_ROWS             most rows that are computed together, 6 to 8
 *     tile_vectors(rows)    how many vectors wide their tile is, at most TILE_VECTORS
 *
 * Scores and weighted sums are one product: c[m, n] = a[m, k] · b[k, n], where a stands for queries
 * or weights, b for a block of keys or values. Lanes go along n, k goes one by one: each output has
 * one accumulator, whatever is computed beside it. */
#ifndef TENSOR_ATTENTION_KERNELS_H
#define TENSOR_ATTENTION_KERNELS_H

#include <math.h>

#include "tensor/kernels_int.h"
#include "tensor/unpack.h"
#include "tensor/vec_math.h"

enum { TILE_VECTORS = 4 };

/* Of many rows so many are computed together: the tile that has most products for each load. */
enum { GROUP_ROWS = 6 };

/* A block read by this many rows or more is first widened to floats. */
#define MANY_ROWS 13

/* b: of F32, F16, or the codes of Q8_0; `n` elements from one row to the next. While b is read, as
 * many bytes from `next` on are fetched towards the caches. */
typedef struct operand {
    const char *at;
    size_t n;
    const char *next;
} operand;

INLINE size_t element_bytes(const dtype type) {
    return type == DTYPE_F32 ? 4 : type == DTYPE_F16 ? 2 : 1;
}

INLINE vec load_elements(const dtype type, const char *p) {
    if (type == DTYPE_F32) return v_load((const float *)p);
    return type == DTYPE_F16 ? v_from_f16(p) : v_from_i8(p);
}

/* The last n < LANES of a row of F32 or F16, zeros behind them. */
INLINE vec load_last_elements(const dtype type, const char *p, size_t n) {
    if (type == DTYPE_F32) return v_load_n((const float *)p, n);
    uint16_t halves[LANES] = {0};
    memcpy(halves, p, 2 * n);
    return v_from_f16(halves);
}

/* c = sum, c + sum, or with factors for each column c + factor · sum. */
typedef struct finish {
    bool add;
    const float *factor; /* NULL = none */
} finish;

INLINE vec finished(vec sum, const float *c, const finish f, size_t j) {
    if (f.factor) return v_fma(v_load(f.factor + j), sum, f.add ? v_load(c) : v_set(0));
    return f.add ? v_add(v_load(c), sum) : sum;
}

INLINE void product_tile(float *c, size_t c_stride, const float *a, size_t a_stride,
                         const dtype type, const operand b, size_t j, size_t n_k, const finish f,
                         const int rows, const int vectors) {
    const size_t bytes = element_bytes(type);
    const char *p = b.at + j * bytes, *next = b.next + j * n_k * bytes;
    vec sum[TILE_ROWS][TILE_VECTORS];
    for (int r = 0; r < rows; r++)
        for (int v = 0; v < vectors; v++) sum[r][v] = v_set(0);
    for (size_t k = 0; k < n_k; k++, p += b.n * bytes) {
        /* What there is less of stays in registers. */
        vec in[TILE_VECTORS], weight[TILE_ROWS];
        for (size_t line = 0; line < vectors * LANES * bytes; line += 64)
            __builtin_prefetch(next + line, 0, 3);
        next += vectors * LANES * bytes;
        if (rows < vectors) {
            for (int r = 0; r < rows; r++) weight[r] = v_set(a[r * a_stride + k]);
            for (int v = 0; v < vectors; v++) {
                in[0] = load_elements(type, p + v * LANES * bytes);
                for (int r = 0; r < rows; r++) sum[r][v] = v_fma(weight[r], in[0], sum[r][v]);
            }
        } else {
            for (int v = 0; v < vectors; v++) in[v] = load_elements(type, p + v * LANES * bytes);
            for (int r = 0; r < rows; r++) {
                weight[0] = v_set(a[r * a_stride + k]);
                for (int v = 0; v < vectors; v++) sum[r][v] = v_fma(weight[0], in[v], sum[r][v]);
            }
        }
    }
    for (int r = 0; r < rows; r++)
        for (int v = 0; v < vectors; v++) {
            float *out = c + r * c_stride + j + v * LANES;
            v_store(out, finished(sum[r][v], out, f, j + v * LANES));
        }
}

/* The last columns, fewer than a vector. */
INLINE void product_last(float *c, size_t c_stride, const float *a, size_t a_stride,
                         const dtype type, const operand b, size_t j, size_t n_k, bool add,
                         size_t rows) {
    const size_t bytes = element_bytes(type), width = b.n - j;
    for (size_t r = 0; r < rows; r++) {
        const char *p = b.at + j * bytes;
        float *out = c + r * c_stride + j;
        vec sum = v_set(0);
        for (size_t k = 0; k < n_k; k++, p += b.n * bytes)
            sum = v_fma(v_set(a[r * a_stride + k]), load_last_elements(type, p, width), sum);
        v_store_n(out, add ? v_add(v_load_n(out, width), sum) : sum, width);
    }
}

/* Columns 0 … n_columns − 1 for up to TILE_ROWS rows. */
INLINE void product_rows(float *c, size_t c_stride, const float *a, size_t a_stride,
                         const dtype type, const operand b, size_t n_columns, size_t n_k,
                         const finish f, const int rows) {
    const int wide = tile_vectors(rows);
    size_t j = 0;
    for (; j + wide * LANES <= n_columns; j += wide * LANES)
        product_tile(c, c_stride, a, a_stride, type, b, j, n_k, f, rows, wide);
    for (; j + LANES <= n_columns; j += LANES)
        product_tile(c, c_stride, a, a_stride, type, b, j, n_k, f, rows, 1);
    if (j < n_columns && type != DTYPE_Q8_0)
        product_last(c, c_stride, a, a_stride, type, b, j, n_k, f.add, rows);
}

/* All rows together where there are registers for them, else groups as even as possible. */
INLINE void product(float *c, size_t c_stride, const float *a, size_t a_stride, size_t n_rows,
                    const dtype type, const operand b, size_t n_columns, size_t n_k,
                    const finish f) {
#define ROWS(rows) \
    case rows: \
        if (rows <= TILE_ROWS) \
            product_rows(c, c_stride, a, a_stride, type, b, n_columns, n_k, f, rows); \
        break
    while (n_rows > 0) {
        size_t n_groups = n_rows <= TILE_ROWS ? 1 : (n_rows + GROUP_ROWS - 1) / GROUP_ROWS;
        size_t rows = (n_rows + n_groups - 1) / n_groups;
        switch (rows) {
            ROWS(1);
            ROWS(2);
            ROWS(3);
            ROWS(4);
            ROWS(5);
            ROWS(6);
            ROWS(7);
            ROWS(8);
        }
        n_rows -= rows;
        a += rows * a_stride;
        c += rows * c_stride;
    }
#undef ROWS
}

static void product_f32(float *c, size_t c_stride, const float *a, size_t a_stride, size_t n_rows,
                        const operand b, size_t n_columns, size_t n_k, const finish f) {
    product(c, c_stride, a, a_stride, n_rows, DTYPE_F32, b, n_columns, n_k, f);
}

static void product_f16(float *c, size_t c_stride, const float *a, size_t a_stride, size_t n_rows,
                        const operand b, size_t n_columns, size_t n_k, const finish f) {
    product(c, c_stride, a, a_stride, n_rows, DTYPE_F16, b, n_columns, n_k, f);
}

static void product_codes(float *c, size_t c_stride, const float *a, size_t a_stride,
                          size_t n_rows, const operand b, size_t n_columns, size_t n_k,
                          const finish f) {
    product(c, c_stride, a, a_stride, n_rows, DTYPE_Q8_0, b, n_columns, n_k, f);
}

typedef void (*product_of)(float *c, size_t c_stride, const float *a, size_t a_stride,
                           size_t n_rows, const operand b, size_t n_columns, size_t n_k,
                           const finish f);

/* Widens n elements to floats, codes without their scales. */
static void widen(float *out, dtype type, const char *p, size_t n) {
    size_t i = 0;
    if (type == DTYPE_F16) {
        for (; i + LANES <= n; i += LANES) v_store(out + i, v_from_f16(p + 2 * i));
        if (i < n) v_store_n(out + i, load_last_elements(DTYPE_F16, p + 2 * i, n - i), n - i);
    } else {
        for (; i < n; i += LANES) v_store(out + i, v_from_i8(p + i));
    }
}

/* The product for a block of n elements, which many rows read as floats from `scratch`. */
static product_of choose_product(dtype kv, const char **block, const char **next, size_t n,
                                 size_t n_rows, float *scratch) {
    if (!*next) *next = *block;
    if (kv == DTYPE_F32) return product_f32;
    if (n_rows < MANY_ROWS) return kv == DTYPE_F16 ? product_f16 : product_codes;
    widen(scratch, kv, *block, n);
    *block = *next = (const char *)scratch;
    return product_f32;
}

/* Scales of Q8_0 stand behind the codes; row g belongs to elements 32 g … 32 g + 31. */
INLINE void load_block_scales(float scale[KV_BLOCK], const void *block, size_t dim, size_t g) {
    const char *scales = (const char *)block + (dim + 2 * g) * KV_BLOCK;
    for (size_t i = 0; i < KV_BLOCK; i += LANES) v_store(scale + i, v_from_f16(scales + 2 * i));
}

static void block_scores_simd(float *scores, size_t stride, const float *q, size_t n_rows,
                              dtype kv, const void *keys, const void *next_block, size_t dim,
                              float *scratch) {
    const char *from = keys, *next = next_block;
    product_of multiply = choose_product(kv, &from, &next, dim * KV_BLOCK, n_rows, scratch);
    if (kv != DTYPE_Q8_0) {
        const operand b = {from, KV_BLOCK, next};
        multiply(scores, stride, q, dim, n_rows, b, KV_BLOCK, dim, (finish){0});
        return;
    }
    size_t row_bytes = KV_BLOCK * (from == (const char *)keys ? 1 : sizeof(float));
    for (size_t g = 0; g < dim / 32; g++) {
        float scale[KV_BLOCK];
        load_block_scales(scale, keys, dim, g);
        const size_t at = 32 * g * row_bytes;
        const operand b = {from + at, KV_BLOCK, next + at};
        multiply(scores, stride, q + 32 * g, dim, n_rows, b, KV_BLOCK, 32,
                 (finish){g > 0, scale});
    }
}

/* Columns 32 g … 32 g + 31 of Q8_0: the scales go into the weights. */
INLINE void scaled_values(float *out, size_t stride, const float *weights, size_t weights_stride,
                          size_t n_rows, product_of multiply, const operand b,
                          const float scale[KV_BLOCK], size_t n_keys, bool add) {
    float scaled[2 * GROUP_ROWS * KV_BLOCK];
    for (size_t r = 0; r < n_rows; r += 2 * GROUP_ROWS) {
        size_t rows = n_rows - r < 2 * GROUP_ROWS ? n_rows - r : 2 * GROUP_ROWS;
        for (size_t i = 0; i < rows; i++) {
            const float *from = weights + (r + i) * weights_stride;
            float *to = scaled + i * KV_BLOCK;
            size_t j = 0;
            for (; j + LANES <= n_keys; j += LANES)
                v_store(to + j, v_mul(v_load(from + j), v_load(scale + j)));
            for (; j < n_keys; j++) to[j] = from[j] * scale[j];
        }
        multiply(out + r * stride, stride, scaled, KV_BLOCK, rows, b, 32, n_keys,
                 (finish){add, NULL});
    }
}

static void block_values_simd(float *out, size_t stride, const float *weights,
                              size_t weights_stride, size_t n_rows, dtype kv, const void *values,
                              const void *next_block, size_t n_keys, size_t dim, bool add,
                              float *scratch) {
    const char *from = values, *next = next_block;
    product_of multiply = choose_product(kv, &from, &next, n_keys * dim, n_rows, scratch);
    if (kv != DTYPE_Q8_0) {
        const operand b = {from, dim, next};
        multiply(out, stride, weights, weights_stride, n_rows, b, dim, n_keys, (finish){add, NULL});
        return;
    }
    size_t element = from == (const char *)values ? 1 : sizeof(float);
    for (size_t g = 0; g < dim / 32; g++) {
        float scale[KV_BLOCK];
        load_block_scales(scale, values, dim, g);
        const operand b = {from + 32 * g * element, dim, next + 32 * g * n_keys * element};
        scaled_values(out + 32 * g, stride, weights, weights_stride, n_rows, multiply, b, scale,
                      n_keys, add);
    }
}

static float softmax_row_simd(float *x, size_t n, float scale, float *max) {
    vec most = v_set(-INFINITY), factor = v_set(scale);
    size_t whole = n / LANES * LANES;
    for (size_t i = 0; i < whole; i += LANES) most = v_max(v_load(x + i), most);
    float lanes[LANES], largest = -INFINITY;
    v_store(lanes, most);
    for (int i = 0; i < LANES; i++) largest = lanes[i] > largest ? lanes[i] : largest;
    for (size_t i = whole; i < n; i++) largest = x[i] > largest ? x[i] : largest;
    *max = largest * scale;
    vec sum = v_set(0), shift = v_set(*max);
    for (size_t i = 0; i < whole; i += LANES) {
        vec e = v_exp(v_sub(v_mul(v_load(x + i), factor), shift));
        v_store(x + i, e);
        sum = v_add(sum, e);
    }
    if (whole < n) {
        vec e = v_exp(v_sub(v_mul(v_load_n(x + whole, n - whole), factor), shift));
        v_store_n(x + whole, e, n - whole);
        sum = v_add(sum, v_load_n(x + whole, n - whole));
    }
    return v_sum(sum);
}

static void blend_simd(float *y, float keep, const float *x, float add, size_t n) {
    vec k = v_set(keep), a = v_set(add);
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        v_store(y + i, v_fma(v_load(x + i), a, v_mul(v_load(y + i), k)));
    if (i < n) {
        vec kept = v_mul(v_load_n(y + i, n - i), k);
        v_store_n(y + i, v_fma(v_load_n(x + i, n - i), a, kept), n - i);
    }
}

static void fill_attention_kernels(kernels *k) {
    k->block_scores = block_scores_simd;
    k->block_values = block_values_simd;
    k->softmax_row = softmax_row_simd;
    k->blend = blend_simd;
}

#endif
