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

/* The inputs of a product: x[n_tokens, n_in] as floats, and in one of two shorter forms besides.
 *
 * INT8: blocks of 32, x ≈ scale · q, q in −127…127, scale = max|x| / 127; n_in is a multiple of 32.
 * The sums of q, times the scale, serve weights with a minimum or a zero point.
 *
 * BF16: x rounded to bfloat16; n_in is even.
 *
 * Buffers, and which form suits which weights: tensor/matmul.h. */
typedef enum activation_form { FORM_FLOAT, FORM_INT8, FORM_BF16 } activation_form;

typedef struct activations {
    size_t n_tokens, n_in;
    const float *x; /* [n_tokens, n_in] */
    activation_form form;
    uint16_t *bf16; /* [n_tokens, n_in] */
    int8_t *q;    /* [n_tokens, n_in] */
    float *scale; /* [n_tokens, n_in / 32] */
    float *sum32; /* [n_tokens, n_in / 32] */
    float *sum16; /* [n_tokens, n_in / 16] */

    /* What the slot sum_codes makes of q, where a table has it: up to 4 bytes for each 16 columns,
     * with which its products with many tokens take zero points off. */
    void *sums; /* [n_tokens, n_in / 16] */
} activations;

/* Scratch that a thread lends to gemm_rows, 64-byte aligned. */
#define GEMM_SCRATCH_BYTES (128 << 10)

/* A panel of R rows of a block type, interleaved for products with many tokens: w = scale · q −
 * min, where each group of 16 or 32 weights (tensor/unpack.h) has a scale and a minimum. Which q
 * stands for 0, and whether groups are larger and without minima (panel_rounds), is a matter
 * between the slots of one table. All are 64-byte aligned. */
typedef struct panel {
    uint8_t *q;         /* [n / 4, R, 4] */
    float *scale, *min; /* [n / group, R] */
} panel;

/* Scratch that a thread lends to dot_rows for each token and each 256 inputs begun. */
#define DOT_ROWS_SCRATCH 384

/* The cache keeps KV_BLOCK positions of one head together:
 *
 *     keys    [dim, KV_BLOCK]: turned, so that a vector holds one element of several positions
 *     values  [KV_BLOCK, dim]
 *
 * in F32 or F16. In Q8_0 the codes (int8) have these shapes, and behind them stand the scales (F16)
 * [dim / 32, KV_BLOCK], each for 32 elements of one position; dim is then a multiple of 32. All
 * rows (queries) that see a block are computed together and share its reading; one row's order of
 * summation does not depend on the others. `scratch` has room for KV_BLOCK · dim floats. `next` is
 * the block that will be read afterwards, a hint, or NULL. */
#define KV_BLOCK 64

/* Columns of a panel of pairs: [n / 2, GEMM_PAIRS_COLUMNS, 2] bfloat16, neighbours of one column
 * side by side. */
enum { GEMM_PAIRS_COLUMNS = 32 };

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

    /* sums[n / 16] of one row of codes, n a multiple of 32; NULL where a table does without. */
    void (*sum_codes)(void *sums, const int8_t *q, size_t n);

    /* y[t · y_stride + r] = products of n_rows rows of a block type with all tokens. Every output
     * has the same order of summation whatever the number of tokens and rows. `scratch` has
     * DOT_ROWS_SCRATCH bytes for each token and each 256 inputs begun, 64-byte aligned; a table
     * with panels sees at most MATMUL_FEW_TOKENS tokens, one without gets no more scratch. */
    void (*dot_rows)(float *y, size_t y_stride, dtype type, const void *rows, size_t row_bytes,
                     size_t n_rows, const activations *x, void *scratch);

    /* The same for many tokens, faster and in another order; NULL where a table has no such form.
     * `scratch` has GEMM_SCRATCH_BYTES. */
    void (*gemm_rows)(float *y, size_t y_stride, dtype type, const void *rows, size_t row_bytes,
                      size_t n_rows, const activations *x, void *scratch);

    /* The same in two steps: `panel_rows` rows, interleaved first; 0 where a table has no such
     * form. Rows from n_rows on become zero. */
    size_t panel_rows;
    void (*pack_panel)(dtype type, const panel *to, const void *rows, size_t row_bytes,
                       size_t n_rows, size_t n);
    void (*gemm_panel)(float *y, size_t y_stride, dtype type, const panel *w, size_t n_rows,
                       const activations *x);

    /* Whether panels round the weights of K-quants to 8 bits with one scale for 256, each by at
     * most 0.63 of that scale, which is a 127th of the largest magnitude that the scales and minima
     * of the 256 allow. */
    bool panel_rounds;

    /* y[t · y_stride + r] = Σ w[r, k] · x[t, k], or added to y where `add`; w[n_rows, n] of F32
     * (aligned), F16 or BF16 with rows `row_bytes` apart, x[n_tokens, n] with rows x_stride apart.
     * One fixed order of summation per output whatever n_rows, n_tokens and the type. */
    void (*gemm_float)(float *y, size_t y_stride, dtype type, const void *w, size_t row_bytes,
                       size_t n_rows, const float *x, size_t x_stride, size_t n_tokens, size_t n,
                       bool add);

    /* --- quantising --- */

    /* row = x[n] in any type of weights but F32, n whole blocks. Finite values; importance NULL or
     * sound. quant_encode_row is its caller and says the rest. Bit-equal to the scalar version. */
    void (*encode_row)(dtype type, void *row, const float *x, size_t n, const float *importance);

    /* Whether low ≤ x[i] ≤ high for all i; NaN is not. */
    bool (*all_within)(const float *x, size_t n, float low, float high);

    /* --- attention over blocks of the key/value cache, see KV_BLOCK --- */

    /* One key or value row as the cache has it: x[n] as F32, F16 (nearest even) or Q8_0 (the blocks
     * of quantise_row with the scale as F16; n a multiple of 32). Bit-equal to the scalar
     * version. */
    void (*store_row)(dtype kv, void *row, const float *x, size_t n);

    /* scores[r, i] = q_r · key_i for all KV_BLOCK keys of a block; rows of `scores` are `stride`
     * floats apart, q[n_rows, dim]. */
    void (*block_scores)(float *scores, size_t stride, const float *q, size_t n_rows, dtype kv,
                         const void *keys, const void *next, size_t dim, float *scratch);

    /* out[r] = Σ_i weights[r, i] · value_i over the first n_values of a block, or added to out[r]
     * where `add`; rows of `out` are `stride`, of `weights` weights_stride floats apart. */
    void (*block_values)(float *out, size_t stride, const float *weights, size_t weights_stride,
                         size_t n_rows, dtype kv, const void *values, const void *next,
                         size_t n_values, size_t dim, bool add, float *scratch);

    /* x[i] = exp(scale · x[i] − max), max = the largest scale · x[i]; scale > 0. Returns their
     * sum. */
    float (*softmax_row)(float *x, size_t n, float scale, float *max);

    /* y = keep · y + add · x */
    void (*blend)(float *y, float keep, const float *x, float add, size_t n);

    /* --- element-wise --- */

    /* y = w ⊙ x / sqrt(mean(x²) + eps), RMSNorm (Zhang & Sennrich 2019). */
    void (*rms_norm)(float *y, const float *x, const float *w, size_t n, float eps);

    /* gate[i] = silu(gate[i]) · up[i], silu(a) = a / (1 + exp(−a)) */
    void (*silu_mul)(float *gate, const float *up, size_t n);

    /* --- encoders: tensor/dense_kernels.h --- */

    /* y[m, n] = a[m, k] · b[k, n], rows y_stride, a_stride and b_stride floats apart; each output's
     * terms are added one by one from k = 0. */
    void (*gemm_dense)(float *y, size_t y_stride, const float *a, size_t a_stride, const float *b,
                       size_t b_stride, size_t m, size_t n, size_t k);

    /* The same over bfloat16 pairs, and for weights: y[m, n] = a[m, 2 · n_pairs] · b, or added to y
     * where `add`; b is a panel of pairs, of which n ≤ GEMM_PAIRS_COLUMNS columns count. Each
     * output's pairs are added one by one from the first, so that a product may go in pieces. NULL,
     * and pack_pairs, where a table has nothing faster than floats. */
    void (*gemm_pairs)(float *y, size_t y_stride, const uint16_t *a, size_t a_stride,
                       const uint16_t *b, size_t m, size_t n, size_t n_pairs, bool add);

    /* A panel of pairs from n_rows ≤ GEMM_PAIRS_COLUMNS rows of n weights, F16 (rounded to nearest
     * even) or BF16, n even: row r becomes column r, columns from n_rows on zero.
     * 64-byte aligned. */
    void (*pack_pairs)(dtype type, uint16_t *to, const void *rows, size_t row_bytes, size_t n_rows,
                       size_t n);

    /* out[n] = x[n] rounded to nearest even; `out` may be x itself.
     * Subnormal numbers may become 0. */
    void (*to_bf16)(uint16_t *out, const float *x, size_t n);

    /* y[n] += x[n]; and x[n] *= factor */
    void (*add)(float *y, const float *x, size_t n);
    void (*scale)(float *x, float factor, size_t n);

    /* The largest of x[n], n > 0; NaN may be passed over. */
    float (*max_of)(const float *x, size_t n);

    /* y = (x − mean(x)) / sqrt(var(x) + eps) ⊙ w + b, LayerNorm (Ba et al. 2016). */
    void (*layer_norm)(float *y, const float *x, const float *w, const float *b, size_t n,
                       float eps);

    /* x[i] = x[i] · Φ(x[i]), the exact GELU (Hendrycks & Gimpel 2016). */
    void (*gelu)(float *x, size_t n);
} kernels;

/* The table for HONE_CPU's choice, or the best this machine has. Built once; thread-safe. */
hone_status kernels_get(const kernels **table);

/* The table for one instruction set (tests, benchmarks). HONE_ERR_UNSUPPORTED when this machine or
 * this build lacks it. `without_extras` leaves VNNI, BF16 and dot-product slots out. */
hone_status kernels_get_isa(const kernels **table, cpu_isa isa, bool without_extras);

#endif
