/* The float kernels, written once over the vectors that an instruction set's file defines before it
 * includes this:
 *
 *     vec, LANES, TILE_TOKENS                 a vector of floats, and the width of gemm's tile
 *     v_set(a)  v_load(p)  v_store(p, v)
 *     v_load_n(p, n)  v_store_n(p, v, n)      the first n < LANES lanes; zeros behind them
 *     v_add  v_sub  v_mul  v_div              lane by lane
 *     v_fma(a, b, c)                          a · b + c, rounded once
 *     v_max(a, b)  v_min(a, b)                b where either is NaN
 *     v_round(v)                              to the nearest whole number
 *     v_scale(v, n)                           v · 2^n, also where 2^n is no normal number
 *     v_from_f16(p)  v_from_bf16(p)  v_from_i8(p)
 *     v_sum4(out, a, b, c, d)                 out[4] = the sum of each one's lanes, in one order
 */
#ifndef TENSOR_FLOAT_KERNELS_H
#define TENSOR_FLOAT_KERNELS_H

#include <math.h>

#include "tensor/kernels_int.h"
#include "tensor/unpack.h"
#include "tensor/vec_math.h"

/* --- rows of weights --- */

static void decode_halves(float *out, const char *row, size_t n, const bool bf16) {
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        v_store(out + i, bf16 ? v_from_bf16(row + 2 * i) : v_from_f16(row + 2 * i));
    if (i < n) quant_decode_row(bf16 ? DTYPE_BF16 : DTYPE_F16, out + i, row + 2 * i, n - i);
}

INLINE void decode_blocks(const dtype type, float *out, const void *row, size_t n) {
    const unpack_traits traits = unpack_traits_of(type);
    const vec zero = v_set(traits.zero);
    _Alignas(64) uint8_t q[QK_SUPER];
    float scale[QK_SUPER / 16], min[QK_SUPER / 16];
    for (size_t k = 0; k < n; k += traits.block, row = (const char *)row + traits.block_bytes) {
        unpack_codes(type, q, row, traits.block, 0);
        unpack_scales(type, scale, min, row, traits.block);
        for (size_t i = 0; i < traits.block; i += LANES) {
            vec value = v_sub(v_from_i8(q + i), zero);
            value = v_mul(v_set(scale[i / traits.group]), value);
            if (traits.has_min) value = v_sub(value, v_set(min[i / traits.group]));
            v_store(out + k + i, value);
        }
    }
}

static void decode_row_simd(dtype type, float *out, const void *row, size_t n) {
#define DECODE(block_type) decode_blocks(block_type, out, row, n)
    if (type == DTYPE_F32)
        memcpy(out, row, n * sizeof(float));
    else if (type == DTYPE_F16)
        decode_halves(out, row, n, false);
    else if (type == DTYPE_BF16)
        decode_halves(out, row, n, true);
    else
        FOR_BLOCK_TYPE(type, DECODE)
#undef DECODE
}

/* --- y = W · x, lanes along k --- */

enum { TILE_ROWS = 4, TILE_TOKENS_LIMIT = 6 };

INLINE vec load_weights(const dtype type, const char *row, size_t k) {
    if (type == DTYPE_F16) return v_from_f16(row + 2 * k);
    if (type == DTYPE_BF16) return v_from_bf16(row + 2 * k);
    return v_load((const float *)row + k);
}

/* The last n < LANES of a row, zeros behind them. */
INLINE vec load_last_weights(const dtype type, const char *row, size_t k, size_t n) {
    if (type == DTYPE_F32) return v_load_n((const float *)row + k, n);
    uint16_t halves[LANES] = {0};
    memcpy(halves, row + 2 * k, 2 * n);
    return load_weights(type, (const char *)halves, 0);
}

/* A tile of 4 rows or 1 × up to TILE_TOKENS tokens, with an accumulator for each output. Several
 * tokens take so long that the processor does not look far enough ahead by itself. */
INLINE void gemm_tile(float *y, size_t y_stride, const dtype type, const char *w, size_t row_bytes,
                      const float *x, size_t x_stride, size_t n, bool add, const int rows,
                      const int tokens) {
    enum { AHEAD = 2048 };
    const size_t bytes = type == DTYPE_F32 ? 4 : 2;
    vec sum[TILE_ROWS][TILE_TOKENS_LIMIT], in[TILE_TOKENS_LIMIT];
    for (int r = 0; r < TILE_ROWS; r++)
        for (int t = 0; t < tokens; t++) sum[r][t] = v_set(0);
    size_t k = 0;
    for (; k + LANES <= n; k += LANES) {
        for (int t = 0; t < tokens; t++) in[t] = v_load(x + t * x_stride + k);
        for (int r = 0; r < rows; r++) {
            vec weight = load_weights(type, w + r * row_bytes, k);
            if (tokens > 2) __builtin_prefetch(w + r * row_bytes + k * bytes + AHEAD, 0, 2);
            for (int t = 0; t < tokens; t++) sum[r][t] = v_fma(weight, in[t], sum[r][t]);
        }
    }
    if (k < n) {
        for (int t = 0; t < tokens; t++) in[t] = v_load_n(x + t * x_stride + k, n - k);
        for (int r = 0; r < rows; r++) {
            vec weight = load_last_weights(type, w + r * row_bytes, k, n - k);
            for (int t = 0; t < tokens; t++) sum[r][t] = v_fma(weight, in[t], sum[r][t]);
        }
    }
    for (int t = 0; t < tokens; t++) {
        float *out = y + t * y_stride, dots[TILE_ROWS];
        v_sum4(dots, sum[0][t], sum[1][t], sum[2][t], sum[3][t]);
        for (int r = 0; r < rows; r++) out[r] = add ? out[r] + dots[r] : dots[r];
    }
}

INLINE void gemm_rows(float *y, size_t y_stride, const dtype type, const char *w, size_t row_bytes,
                      size_t n_rows, const float *x, size_t x_stride, size_t n, bool add,
                      const int tokens) {
    for (; n_rows >= TILE_ROWS; n_rows -= TILE_ROWS, y += TILE_ROWS, w += TILE_ROWS * row_bytes)
        gemm_tile(y, y_stride, type, w, row_bytes, x, x_stride, n, add, TILE_ROWS, tokens);
    for (; n_rows > 0; n_rows--, y++, w += row_bytes)
        gemm_tile(y, y_stride, type, w, row_bytes, x, x_stride, n, add, 1, tokens);
}

INLINE void gemm_of(float *y, size_t y_stride, const dtype type, const void *w, size_t row_bytes,
                    size_t n_rows, const float *x, size_t x_stride, size_t n_tokens, size_t n,
                    bool add) {
#define GEMM_TOKENS(tokens) \
    gemm_rows(y, y_stride, type, w, row_bytes, n_rows, x, x_stride, n, add, tokens)
    for (; n_tokens >= TILE_TOKENS; n_tokens -= TILE_TOKENS) {
        GEMM_TOKENS(TILE_TOKENS);
        y += TILE_TOKENS * y_stride;
        x += TILE_TOKENS * x_stride;
    }
    switch (n_tokens) {
    case 1: GEMM_TOKENS(1); break;
    case 2: GEMM_TOKENS(2); break;
    case 3: GEMM_TOKENS(3); break;
    case 4: GEMM_TOKENS(4); break;
    case 5: GEMM_TOKENS(5); break;
    }
#undef GEMM_TOKENS
}

static void gemm_float_simd(float *y, size_t y_stride, dtype type, const void *w, size_t row_bytes,
                            size_t n_rows, const float *x, size_t x_stride, size_t n_tokens,
                            size_t n, bool add) {
#define GEMM(T) gemm_of(y, y_stride, T, w, row_bytes, n_rows, x, x_stride, n_tokens, n, add)
    switch (type) {
    case DTYPE_F16: GEMM(DTYPE_F16); break;
    case DTYPE_BF16: GEMM(DTYPE_BF16); break;
    default: GEMM(DTYPE_F32); break;
    }
#undef GEMM
}

/* --- element-wise --- */

static void rms_norm_simd(float *y, const float *x, const float *w, size_t n, float eps) {
    vec even = v_set(0), odd = v_set(0);
    size_t i = 0;
    for (; i + 2 * LANES <= n; i += 2 * LANES) {
        vec a = v_load(x + i), b = v_load(x + i + LANES);
        even = v_fma(a, a, even);
        odd = v_fma(b, b, odd);
    }
    float squares = v_sum(v_add(even, odd));
    for (; i < n; i++) squares += x[i] * x[i];
    float factor = 1.0f / sqrtf(squares / (float)n + eps);
    for (i = 0; i + LANES <= n; i += LANES)
        v_store(y + i, v_mul(v_mul(v_load(x + i), v_set(factor)), v_load(w + i)));
    for (; i < n; i++) y[i] = x[i] * factor * w[i];
}

INLINE vec v_silu(vec a) { return v_div(a, v_add(v_set(1), v_exp(v_sub(v_set(0), a)))); }

static void silu_mul_simd(float *gate, const float *up, size_t n) {
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        v_store(gate + i, v_mul(v_silu(v_load(gate + i)), v_load(up + i)));
    if (i < n) {
        vec last = v_mul(v_silu(v_load_n(gate + i, n - i)), v_load_n(up + i, n - i));
        v_store_n(gate + i, last, n - i);
    }
}

static void fill_float_kernels(kernels *k) {
    k->decode_row = decode_row_simd;
    k->gemm_float = gemm_float_simd;
    k->rms_norm = rms_norm_simd;
    k->silu_mul = silu_mul_simd;
}

#endif
