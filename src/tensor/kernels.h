/* Arithmetic on one thread, one table of functions for each instruction set.
 *
 * `kernels_get` fills every slot with the scalar version and then lays the SIMD ones of the chosen
 * instruction set over them (scalar.c, x86/avx2.c, x86/avx512.c, arm/neon.c). The order in which one
 * output's terms are added depends only on the table and on the shape in which the caller already
 * fixed it, never on how many rows or tokens are computed together: see each slot.
 *
 * Pointers to floats may be unaligned unless said otherwise. Outputs never overlap inputs. */
#ifndef TENSOR_KERNELS_H
#define TENSOR_KERNELS_H

#include "base/cpu.h"
#include "tensor/dtype.h"
#include "tensor/tensor.h"

/* The inputs of a product: x[n_tokens, n_in] as floats, and, when `quantised`, also as 8-bit blocks
 * of 32: x ≈ scale · q, q in −127…127, scale = max|x| / 127. n_in is then a multiple of 32.
 * sum16[i] = sum of the i-th 16 q of the row (two per block). */
typedef struct activations {
    size_t n_tokens, n_in;
    const float *x; /* [n_tokens, n_in] */
    bool quantised;
    int8_t *q;      /* [n_tokens, n_in], 64-byte aligned rows if n_in is a multiple of 64 */
    float *scale;   /* [n_tokens, n_in / 32] */
    int16_t *sum16; /* [n_tokens, n_in / 16] */
} activations;

typedef struct kernels {
    const char *name; /* "scalar", "avx2", "avx512", "avx512-vnni", "neon", "neon-dotprod" */

    /* --- products with weights: see tensor/matmul.h, their only caller --- */

    /* out[n] = values of a row; bit-equal to quant_decode_row for every type. */
    void (*decode_row)(dtype type, float *out, const void *row, size_t n);

    /* q, scale, sum16 of one row x[n], n a multiple of 32; q = round to nearest even of x · (1 /
     * scale); all zero when max|x| is 0. Bit-equal to the scalar version. */
    void (*quantise_row)(int8_t *q, float *scale, int16_t *sum16, const float *x, size_t n);

    /* y[t · y_stride + r] = Σ w[r, k] · x[t, k]; w[n_rows, n_in] floats with rows w_stride apart, x
     * rows n_in apart. One fixed order of summation per output whatever n_rows and n_tokens. */
    void (*gemm_f32)(float *y, size_t y_stride, const float *w, size_t w_stride, size_t n_rows,
                     const float *x, size_t n_tokens, size_t n_in);

    /* --- attention --- */

    /* One key or value row into the cache: x[n] as F32, F16 (nearest even) or Q8_0 (scale = max|x| /
     * 127, as quant_encode_row; n a multiple of 32). Bit-equal to the scalar version. */
    void (*store_row)(dtype kv, void *row, const float *x, size_t n);

    /* scores[i] = scale · q · k_i for i < n; k holds n rows of `dim` elements back to back, of F32,
     * F16 or Q8_0 (blocks of 32 along the row, `dim` a multiple of 32 then). Each score's order of
     * summation is fixed by `dim`. */
    void (*attend_scores)(float *scores, const float *q, dtype kv, const void *k, size_t n,
                          size_t dim, float scale);

    /* out[dim] += Σ_i weights[i] · v_i, added in the order i = 0 … n − 1; types as above. */
    void (*attend_values)(float *out, const float *weights, dtype kv, const void *v, size_t n,
                          size_t dim);

    /* x[i] = exp(x[i] − max); returns their sum in a fixed order. */
    float (*exp_sum)(float *x, size_t n, float max);

    /* --- element-wise --- */

    /* y = w ⊙ x / sqrt(mean(x²) + eps), RMSNorm (Zhang & Sennrich 2019). */
    void (*rms_norm)(float *y, const float *x, const float *w, size_t n, float eps);

    /* gate[i] = silu(gate[i]) · up[i], silu(a) = a / (1 + exp(−a)) */
    void (*silu_mul)(float *gate, const float *up, size_t n);
} kernels;

/* The table for HONE_CPU's choice, or the best this machine has. Built once; thread-safe. */
hone_status kernels_get(const kernels **table);

/* The table for one instruction set (tests, benchmarks). HONE_ERR_UNSUPPORTED when this machine or
 * this build lacks it. `without_extras` leaves VNNI, BF16 and dot-product slots out. */
hone_status kernels_get_isa(const kernels **table, cpu_isa isa, bool without_extras);

#endif
