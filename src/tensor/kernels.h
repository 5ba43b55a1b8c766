/* Arithmetic on one thread, one table of functions for each instruction set.
 *
 * `kernels_get` fills every slot with the scalar version and then lays the SIMD ones of the chosen
 * instruction set over them (scalar.c, x86/, arm/). The order in which one output's terms are added
 * depends only on the table and on the shape in which the caller already fixed it, never on how
 * many rows or tokens are computed together: see each slot.
 *
 * Floats need only the alignment of a float, rows of weights none. Outputs never overlap inputs. */
#ifndef TENSOR_KERNELS_H
#define TENSOR_KERNELS_H

#include "base/cpu.h"
#include "tensor/tensor.h"

/* The inputs of a product: x[n_tokens, n_in] as floats, and, when `quantised`, also as 8-bit blocks
 * of 32: x ≈ scale · q, q in −127…127, scale = max|x| / 127. n_in is then a multiple of 32. The
 * sums of q, times the scale, serve weights with a minimum or a zero point. Buffers:
 * tensor/matmul.h. */
typedef struct activations {
    size_t n_tokens, n_in;
    const float *x; /* [n_tokens, n_in] */
    bool quantised;
    int8_t *q;    /* [n_tokens, n_in] */
    float *scale; /* [n_tokens, n_in / 32] */
    float *sum32; /* [n_tokens, n_in / 32] */
    float *sum16; /* [n_tokens, n_in / 16] */
} activations;

/* A panel of R rows of a block type, interleaved for products with many tokens: w = scale · q −
 * min, where each group of 16 or 32 weights (tensor/unpack.h) has a scale and a minimum. Whether a
 * q above 127 is negative is a matter between the slots of one table. All are 64-byte aligned. */
typedef struct panel {
    uint8_t *q;         /* [n / 4, R, 4] */
    float *scale, *min; /* [n / group, R] */
} panel;

#define DOT_ROWS_SCRATCH 384

typedef struct kernels {
    const char *name; /* "scalar", "avx2", "avx512", "avx512-vnni", "neon", "neon-dotprod" */

    /* --- products with weights: see tensor/matmul.h, their only caller --- */

    /* out[n] = values of a row; bit-equal to quant_decode_row for every type. */
    void (*decode_row)(dtype type, float *out, const void *row, size_t n);

    /* q, scale and sums of one row x[n], n a multiple of 32; q = round to nearest even of x · (1 /
     * scale). A block whose max|x| is below 1e-35 is all zero; one that holds NaN or infinity
     * has a scale that is no finite number and unspecified q, so that its products tell. Otherwise
     * bit-equal to the scalar version. */
    void (*quantise_row)(int8_t *q, float *scale, float *sum32, float *sum16, const float *x,
                         size_t n);

    /* y[t · y_stride + r] = products of n_rows rows of a block type with all tokens. Every output
     * has the same order of summation whatever the number of tokens and rows. `scratch` has
     * DOT_ROWS_SCRATCH bytes for each token and each 256 inputs begun, 64-byte aligned; a table
     * with panels sees at most MATMUL_FEW_TOKENS tokens, one without gets no more scratch. */
    void (*dot_rows)(float *y, size_t y_stride, dtype type, const void *rows, size_t row_bytes,
                     size_t n_rows, const activations *x, void *scratch);

    /* The same for many tokens, faster and in another order: `panel_rows` rows, interleaved first;
     * 0 where a table has no such form. Rows from n_rows on become zero. */
    size_t panel_rows;
    void (*pack_panel)(dtype type, const panel *to, const void *rows, size_t row_bytes,
                       size_t n_rows, size_t n);
    void (*gemm_panel)(float *y, size_t y_stride, dtype type, const panel *w, size_t n_rows,
                       const activations *x);

    /* y[t · y_stride + r] = Σ w[r, k] · x[t, k], or added to y where `add`; w[n_rows, n] of F32
     * (aligned), F16 or BF16 with rows `row_bytes` apart, x[n_tokens, n] with rows x_stride apart.
     * One fixed order of summation per output whatever n_rows, n_tokens and the type. */
    void (*gemm_float)(float *y, size_t y_stride, dtype type, const void *w, size_t row_bytes,
                       size_t n_rows, const float *x, size_t x_stride, size_t n_tokens, size_t n,
                       bool add);

    /* --- attention --- */

    /* One key or value row into the cache: x[n] as F32, F16 (nearest even) or Q8_0 (the blocks of
     * quantise_row with the scale as F16; n a multiple of 32). Bit-equal to the scalar version. */
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
