/* The kernels in plain C: the specification that the others are measured against. */
#include <math.h>

#include "tensor/kernels_int.h"
#include "tensor/unpack.h"

/* --- products with weights --- */

static void quantise_block(int8_t q[32], float *scale, float *sum32, float sum16[2],
                           const float x[32]) {
    /* The bits of magnitudes order as the magnitudes do, with infinity and NaN above all. */
    uint32_t most = 0;
    for (int i = 0; i < 32; i++) {
        uint32_t bits;
        memcpy(&bits, &x[i], sizeof bits);
        bits &= 0x7fffffff;
        most = bits > most ? bits : most;
    }
    float largest;
    memcpy(&largest, &most, sizeof largest);
    /* Below this 1 / scale would not be finite. */
    float s = largest < 1e-35f ? 0.0f : largest / 127.0f;
    float inverse = s > 0 ? 1.0f / s : 0.0f;
    int sums[2] = {0, 0};
    for (int i = 0; i < 32; i++) {
        q[i] = (int8_t)lrintf(x[i] * inverse);
        sums[i / 16] += q[i];
    }
    *scale = s;
    *sum32 = s * (float)(sums[0] + sums[1]);
    sum16[0] = s * (float)sums[0];
    sum16[1] = s * (float)sums[1];
}

static void quantise_row_scalar(int8_t *q, float *scale, float *sum32, float *sum16, const float *x,
                                size_t n) {
    for (size_t b = 0; b < n / 32; b++)
        quantise_block(q + 32 * b, scale + b, sum32 + b, sum16 + 2 * b, x + 32 * b);
}

/* One block's product with one token. */
static float dot_block(const dtype type, const void *block, const int8_t *x, const float *x_scale,
                       const float *x_sum) {
    const unpack_traits traits = unpack_traits_of(type);
    uint8_t q[QK_SUPER];
    float scale[QK_SUPER / 16], min[QK_SUPER / 16], total = 0;
    const int n = traits.block, group = traits.group;
    unpack_codes(type, q, block, n, 0);
    unpack_scales_and_minima(type, scale, min, traits.zero, block, n);
    for (int g = 0; g < n / group; g++) {
        int dot = 0;
        for (int i = g * group; i < (g + 1) * group; i++)
            dot += x[i] * (traits.is_signed ? (int8_t)q[i] : q[i]);
        total += scale[g] * x_scale[g * group / 32] * (float)dot - min[g] * x_sum[g];
    }
    return total;
}

static void dot_rows_scalar(float *y, size_t y_stride, dtype type, const void *rows,
                            size_t row_bytes, size_t n_rows, const activations *x) {
    const unpack_traits traits = unpack_traits_of(type);
    const size_t n = x->n_in, group = traits.group;
    for (size_t t = 0; t < x->n_tokens; t++)
        for (size_t r = 0; r < n_rows; r++) {
            const char *block = (const char *)rows + r * row_bytes;
            float total = 0;
            for (size_t k = 0; k < n; k += traits.block, block += traits.block_bytes)
                total += dot_block(type, block, x->q + t * n + k, x->scale + (t * n + k) / 32,
                                   (group == 16 ? x->sum16 : x->sum32) + (t * n + k) / group);
            y[t * y_stride + r] = total;
        }
}

/* Eight sums side by side, so that the order is one that vectors can have. */
typedef struct eight {
    float sum[8];
} eight;

static void eight_add(eight *e, const float *a, const float *b, size_t n) {
    size_t i = 0;
    for (; i + 8 <= n; i += 8)
        for (int l = 0; l < 8; l++) e->sum[l] += a[i + l] * b[i + l];
    for (int l = 0; i + l < n; l++) e->sum[l] += a[i + l] * b[i + l];
}

static float eight_total(const eight *e) {
    const float *s = e->sum;
    return ((s[0] + s[4]) + (s[2] + s[6])) + ((s[1] + s[5]) + (s[3] + s[7]));
}

static float dot_f32(const float *a, const float *b, size_t n) {
    eight e = {0};
    eight_add(&e, a, b, n);
    return eight_total(&e);
}

/* Of n elements of any type and n floats. */
static float dot_any(dtype type, const void *a, const float *b, size_t n) {
    const dtype_traits *layout = dtype_get(type);
    const char *at = a;
    float values[32];
    eight e = {0};
    for (size_t i = 0; i < n; i += 32, at += 32 / layout->block * layout->block_bytes) {
        size_t width = n - i < 32 ? n - i : 32;
        quant_decode_row(type, values, at, width);
        eight_add(&e, values, b + i, width);
    }
    return eight_total(&e);
}

static void gemm_float_scalar(float *y, size_t y_stride, dtype type, const void *w,
                              size_t row_bytes, size_t n_rows, const float *x, size_t x_stride,
                              size_t n_tokens, size_t n, bool add) {
    for (size_t t = 0; t < n_tokens; t++)
        for (size_t r = 0; r < n_rows; r++) {
            const void *row = (const char *)w + r * row_bytes;
            float dot = dot_any(type, row, x + t * x_stride, n);
            float *out = &y[t * y_stride + r];
            *out = add ? *out + dot : dot;
        }
}

/* --- attention --- */

void store_row_scalar(dtype kv, void *row, const float *x, size_t n) {
    if (kv == DTYPE_F32) {
        memcpy(row, x, n * sizeof *x);
    } else if (kv == DTYPE_F16) {
        uint16_t *halves = row;
        for (size_t i = 0; i < n; i++) halves[i] = f16_from_f32(x[i]);
    } else {
        block_q8_0 *blocks = row;
        int8_t q[32];
        float scale, sum32, sum16[2];
        for (size_t b = 0; b < n / 32; b++) {
            quantise_block(q, &scale, &sum32, sum16, x + 32 * b);
            blocks[b].d = f16_from_f32(scale);
            memcpy(blocks[b].qs, q, sizeof q);
        }
    }
}

/* Element j of position i in a block of `dim` elements; keys lie turned. */
static float block_element(dtype kv, const void *block, bool keys, size_t i, size_t j, size_t dim) {
    size_t at = keys ? j * KV_BLOCK + i : i * dim + j;
    if (kv == DTYPE_F32) return ((const float *)block)[at];
    if (kv == DTYPE_F16) return f16_to_f32(((const uint16_t *)block)[at]);
    const uint16_t *scales = (const uint16_t *)((const int8_t *)block + KV_BLOCK * dim);
    return (float)((const int8_t *)block)[at] * f16_to_f32(scales[j / 32 * KV_BLOCK + i]);
}

static void block_scores_scalar(float *scores, size_t stride, const float *q, size_t n_rows,
                                dtype kv, const void *keys, const void *next, size_t dim,
                                float *scratch) {
    (void)next, (void)scratch;
    for (size_t r = 0; r < n_rows; r++)
        for (size_t i = 0; i < KV_BLOCK; i++) {
            float sum = 0;
            for (size_t j = 0; j < dim; j++)
                sum += q[r * dim + j] * block_element(kv, keys, true, i, j, dim);
            scores[r * stride + i] = sum;
        }
}

static void block_values_scalar(float *out, size_t stride, const float *weights,
                                size_t weights_stride, size_t n_rows, dtype kv, const void *values,
                                const void *next, size_t n_values, size_t dim, bool add,
                                float *scratch) {
    (void)next, (void)scratch;
    for (size_t r = 0; r < n_rows; r++)
        for (size_t j = 0; j < dim; j++) {
            float sum = 0, *to = &out[r * stride + j];
            for (size_t i = 0; i < n_values; i++)
                sum += weights[r * weights_stride + i] *
                       block_element(kv, values, false, i, j, dim);
            *to = add ? *to + sum : sum;
        }
}

static float softmax_row_scalar(float *x, size_t n, float scale, float *max) {
    float most = -INFINITY, sum = 0;
    for (size_t i = 0; i < n; i++) most = x[i] > most ? x[i] : most;
    *max = most * scale;
    for (size_t i = 0; i < n; i++) sum += x[i] = expf(x[i] * scale - *max);
    return sum;
}

static void blend_scalar(float *y, float keep, const float *x, float add, size_t n) {
    for (size_t i = 0; i < n; i++) y[i] = y[i] * keep + x[i] * add;
}

/* --- element-wise --- */

static void rms_norm_scalar(float *y, const float *x, const float *w, size_t n, float eps) {
    float factor = 1.0f / sqrtf(dot_f32(x, x, n) / (float)n + eps);
    for (size_t i = 0; i < n; i++) y[i] = x[i] * factor * w[i];
}

static void silu_mul_scalar(float *gate, const float *up, size_t n) {
    for (size_t i = 0; i < n; i++) gate[i] = gate[i] / (1.0f + expf(-gate[i])) * up[i];
}

/* --- encoders --- */

static void gemm_dense_scalar(float *y, size_t y_stride, const float *a, size_t a_stride,
                              const float *b, size_t b_stride, size_t m, size_t n, size_t k) {
    for (size_t i = 0; i < m; i++)
        for (size_t j = 0; j < n; j++) {
            float sum = 0;
            for (size_t l = 0; l < k; l++) sum += a[i * a_stride + l] * b[l * b_stride + j];
            y[i * y_stride + j] = sum;
        }
}

static void to_bf16_scalar(uint16_t *out, const float *x, size_t n) {
    for (size_t i = 0; i < n; i++) out[i] = bf16_from_f32(x[i]);
}

static void add_scalar(float *y, const float *x, size_t n) {
    for (size_t i = 0; i < n; i++) y[i] += x[i];
}

static void scale_scalar(float *x, float factor, size_t n) {
    for (size_t i = 0; i < n; i++) x[i] *= factor;
}

static float max_of_scalar(const float *x, size_t n) {
    float most = x[0];
    for (size_t i = 1; i < n; i++) most = x[i] > most ? x[i] : most;
    return most;
}

static void layer_norm_scalar(float *y, const float *x, const float *w, const float *b, size_t n,
                              float eps) {
    float mean = 0, variance = 0;
    for (size_t i = 0; i < n; i++) mean += x[i];
    mean /= (float)n;
    for (size_t i = 0; i < n; i++) variance += (x[i] - mean) * (x[i] - mean);
    float factor = 1.0f / sqrtf(variance / (float)n + eps);
    for (size_t i = 0; i < n; i++) y[i] = (x[i] - mean) * factor * w[i] + b[i];
}

static void gelu_scalar(float *x, size_t n) {
    for (size_t i = 0; i < n; i++) x[i] = 0.5f * x[i] * (1.0f + erff(x[i] * 0x1.6a09e6p-1f));
}

void kernels_fill_scalar(kernels *k) {
    *k = (kernels){
        .name = "scalar",
        .decode_row = quant_decode_row,
        .quantise_row = quantise_row_scalar,
        .encode_row = encode_row_plain,
        .all_within = all_within_plain,
        .dot_rows = dot_rows_scalar,
        .gemm_float = gemm_float_scalar,
        .store_row = store_row_scalar,
        .block_scores = block_scores_scalar,
        .block_values = block_values_scalar,
        .softmax_row = softmax_row_scalar,
        .blend = blend_scalar,
        .rms_norm = rms_norm_scalar,
        .silu_mul = silu_mul_scalar,
        .gemm_dense = gemm_dense_scalar,
        .to_bf16 = to_bf16_scalar,
        .add = add_scalar,
        .scale = scale_scalar,
        .max_of = max_of_scalar,
        .layer_norm = layer_norm_scalar,
        .gelu = gelu_scalar,
    };
}
