/* The float kernels of encoders (Whisper), over the vectors that tensor/float_kernels.h describes
 * and after it: products of matrices that are both activations, LayerNorm, GELU. An instruction
 * set's file also defines
 *
 *     DENSE_ROWS, DENSE_VECTORS      the tile of gemm_dense: rows × vectors of accumulators
 */
#ifndef TENSOR_DENSE_KERNELS_H
#define TENSOR_DENSE_KERNELS_H

#include "tensor/float_kernels.h"

/* --- y = A · B, lanes along the columns --- */

/* `rows` × `vectors` outputs, the last `tail` > 0 lanes of which count in the last vector. */
INLINE void dense_tile(float *y, size_t y_stride, const float *a, size_t a_stride, const float *b,
                       size_t b_stride, size_t k, const int rows, const int vectors,
                       const size_t tail) {
    vec sum[DENSE_ROWS][DENSE_VECTORS];
    for (int r = 0; r < rows; r++)
        for (int c = 0; c < vectors; c++) sum[r][c] = v_set(0);
    for (size_t i = 0; i < k; i++, b += b_stride) {
        vec in[DENSE_VECTORS];
        for (int c = 0; c < vectors; c++)
            in[c] = c == vectors - 1 && tail < LANES ? v_load_n(b + LANES * c, tail)
                                                     : v_load(b + LANES * c);
        for (int r = 0; r < rows; r++) {
            vec factor = v_set(a[r * a_stride + i]);
            for (int c = 0; c < vectors; c++) sum[r][c] = v_fma(factor, in[c], sum[r][c]);
        }
    }
    for (int r = 0; r < rows; r++)
        for (int c = 0; c < vectors; c++) {
            float *out = y + r * y_stride + LANES * c;
            if (c == vectors - 1 && tail < LANES) v_store_n(out, sum[r][c], tail);
            else v_store(out, sum[r][c]);
        }
}

INLINE void dense_columns(float *y, size_t y_stride, const float *a, size_t a_stride,
                          const float *b, size_t b_stride, size_t m, size_t k, const int vectors,
                          const size_t tail) {
    for (; m >= DENSE_ROWS; m -= DENSE_ROWS, y += DENSE_ROWS * y_stride, a += DENSE_ROWS * a_stride)
        dense_tile(y, y_stride, a, a_stride, b, b_stride, k, DENSE_ROWS, vectors, tail);
    for (; m > 0; m--, y += y_stride, a += a_stride)
        dense_tile(y, y_stride, a, a_stride, b, b_stride, k, 1, vectors, tail);
}

static void gemm_dense_simd(float *y, size_t y_stride, const float *a, size_t a_stride,
                            const float *b, size_t b_stride, size_t m, size_t n, size_t k) {
    const size_t step = DENSE_VECTORS * LANES;
    for (; n >= step; n -= step, y += step, b += step)
        dense_columns(y, y_stride, a, a_stride, b, b_stride, m, k, DENSE_VECTORS, LANES);
    for (; n >= LANES; n -= LANES, y += LANES, b += LANES)
        dense_columns(y, y_stride, a, a_stride, b, b_stride, m, k, 1, LANES);
    if (n > 0) dense_columns(y, y_stride, a, a_stride, b, b_stride, m, k, 1, n);
}

/* --- rows --- */

static void add_simd(float *y, const float *x, size_t n) {
    size_t i = 0;
    for (; i + LANES <= n; i += LANES) v_store(y + i, v_add(v_load(y + i), v_load(x + i)));
    for (; i < n; i++) y[i] += x[i];
}

static void scale_simd(float *x, float factor, size_t n) {
    size_t i = 0;
    for (; i + LANES <= n; i += LANES) v_store(x + i, v_mul(v_load(x + i), v_set(factor)));
    for (; i < n; i++) x[i] *= factor;
}

static float max_of_simd(const float *x, size_t n) {
    float lanes[LANES], most = x[0];
    size_t i = 0;
    if (n >= LANES) {
        vec all = v_load(x);
        for (i = LANES; i + LANES <= n; i += LANES) all = v_max(all, v_load(x + i));
        v_store(lanes, all);
        for (int l = 0; l < LANES; l++) most = lanes[l] > most ? lanes[l] : most;
    }
    for (; i < n; i++) most = x[i] > most ? x[i] : most;
    return most;
}

static void layer_norm_simd(float *y, const float *x, const float *w, const float *b, size_t n,
                            float eps) {
    vec sum = v_set(0), squares = v_set(0);
    size_t i = 0;
    for (; i + LANES <= n; i += LANES) sum = v_add(sum, v_load(x + i));
    float total = v_sum(sum);
    for (; i < n; i++) total += x[i];
    const float mean = total / (float)n;
    for (i = 0; i + LANES <= n; i += LANES) {
        vec off = v_sub(v_load(x + i), v_set(mean));
        squares = v_fma(off, off, squares);
    }
    float variance = v_sum(squares);
    for (; i < n; i++) variance += (x[i] - mean) * (x[i] - mean);
    const float factor = 1.0f / sqrtf(variance / (float)n + eps);
    for (i = 0; i + LANES <= n; i += LANES) {
        vec off = v_mul(v_sub(v_load(x + i), v_set(mean)), v_set(factor));
        v_store(y + i, v_fma(off, v_load(w + i), v_load(b + i)));
    }
    for (; i < n; i++) y[i] = (x[i] - mean) * factor * w[i] + b[i];
}

/* x · Φ(x) = max(x, 0) − |x| · erfc(|x| / √2) / 2, where erfc(z) = t · P(t) · exp(−z²) with
 * t = 1 / (1 + 0.3275911 z), to 1.5e-7 (Abramowitz & Stegun 7.1.26). */
INLINE vec v_gelu(vec x) {
    vec size = v_max(x, v_sub(v_set(0), x));
    vec z = v_mul(size, v_set(0x1.6a09e6p-1f));
    vec t = v_div(v_set(1), v_fma(v_set(0.3275911f), z, v_set(1)));
    vec p = v_set(1.061405429f);
    p = v_fma(p, t, v_set(-1.453152027f));
    p = v_fma(p, t, v_set(1.421413741f));
    p = v_fma(p, t, v_set(-0.284496736f));
    p = v_fma(p, t, v_set(0.254829592f));
    vec tail = v_mul(v_mul(p, t), v_exp(v_sub(v_set(0), v_mul(z, z))));
    return v_sub(v_max(v_set(0), x), v_mul(v_mul(size, v_set(0.5f)), tail));
}

static void gelu_simd(float *x, size_t n) {
    size_t i = 0;
    for (; i + LANES <= n; i += LANES) v_store(x + i, v_gelu(v_load(x + i)));
    if (i < n) v_store_n(x + i, v_gelu(v_load_n(x + i, n - i)), n - i);
}

static void fill_dense_kernels(kernels *k) {
    k->gemm_dense = gemm_dense_simd;
    k->add = add_simd;
    k->scale = scale_simd;
    k->max_of = max_of_simd;
    k->layer_norm = layer_norm_simd;
    k->gelu = gelu_simd;
}

#endif
