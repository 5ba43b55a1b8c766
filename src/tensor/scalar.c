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
                            size_t row_bytes, size_t n_rows, const activations *x,
                            void *scratch) {
    (void)scratch;
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

static void attend_scores_scalar(float *scores, const float *q, dtype kv, const void *k, size_t n,
                                 size_t dim, float scale) {
    size_t row_bytes = dim / dtype_get(kv)->block * dtype_get(kv)->block_bytes;
    for (size_t i = 0; i < n; i++)
        scores[i] = dot_any(kv, (const char *)k + i * row_bytes, q, dim) * scale;
}

static void attend_values_scalar(float *out, const float *weights, dtype kv, const void *v,
                                 size_t n, size_t dim) {
    size_t piece = 32;
    const char *row = v;
    float values[32];
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < dim; j += piece) {
            size_t width = dim - j < piece ? dim - j : piece;
            quant_decode_row(kv, values, row, width);
            row += width / dtype_get(kv)->block * dtype_get(kv)->block_bytes;
            for (size_t l = 0; l < width; l++) out[j + l] += weights[i] * values[l];
        }
}

static float exp_sum_scalar(float *x, size_t n, float max) {
    float sum = 0;
    for (size_t i = 0; i < n; i++) sum += x[i] = expf(x[i] - max);
    return sum;
}

/* --- element-wise --- */

static void rms_norm_scalar(float *y, const float *x, const float *w, size_t n, float eps) {
    float factor = 1.0f / sqrtf(dot_f32(x, x, n) / (float)n + eps);
    for (size_t i = 0; i < n; i++) y[i] = x[i] * factor * w[i];
}

static void silu_mul_scalar(float *gate, const float *up, size_t n) {
    for (size_t i = 0; i < n; i++) gate[i] = gate[i] / (1.0f + expf(-gate[i])) * up[i];
}

void kernels_fill_scalar(kernels *k) {
    *k = (kernels){
        .name = "scalar",
        .decode_row = quant_decode_row,
        .quantise_row = quantise_row_scalar,
        .dot_rows = dot_rows_scalar,
        .gemm_float = gemm_float_scalar,
        .store_row = store_row_scalar,
        .attend_scores = attend_scores_scalar,
        .attend_values = attend_values_scalar,
        .exp_sum = exp_sum_scalar,
        .rms_norm = rms_norm_scalar,
        .silu_mul = silu_mul_scalar,
    };
}
