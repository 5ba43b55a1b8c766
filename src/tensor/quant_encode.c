/* quant_encode_row: checks what comes in, cuts the row into blocks, checks what goes out. */
#include <math.h>

#include "tensor/blocks.h"
#include "tensor/quant.h"
#include "tensor/quant_int.h"

/* An encoder and where its block keeps its halves (twice the same where there is one). */
typedef struct encoder {
    encode_block *encode;
    uint8_t d_at, min_at;
} encoder;

#define ENCODER(type, min) {encode_##type, offsetof(block_##type, d), offsetof(block_##type, min)}

static const encoder encoders[DTYPE_LIMIT] = {
    [DTYPE_Q4_0] = ENCODER(q4_0, d),     [DTYPE_Q4_1] = ENCODER(q4_1, m),
    [DTYPE_Q5_0] = ENCODER(q5_0, d),     [DTYPE_Q5_1] = ENCODER(q5_1, m),
    [DTYPE_Q8_0] = ENCODER(q8_0, d),     [DTYPE_Q2_K] = ENCODER(q2_k, dmin),
    [DTYPE_Q3_K] = ENCODER(q3_k, d),     [DTYPE_Q4_K] = ENCODER(q4_k, dmin),
    [DTYPE_Q5_K] = ENCODER(q5_k, dmin),  [DTYPE_Q6_K] = ENCODER(q6_k, d),
    [DTYPE_IQ4_NL] = ENCODER(iq4_nl, d), [DTYPE_IQ4_XS] = ENCODER(iq4_xs, d),
};

/* No block type reaches 10^9 (Q6_K ends at 2.7 · 10^8), and no mean square of activations comes
 * near 10^12. Up to these bounds the sums of the searches cannot end in a NaN, which would pass for
 * zeros. */
#define LARGEST_VALUE 1e9f
#define LARGEST_IMPORTANCE 1e12f

static hone_status too_large(const char *type, size_t i, double x) {
    return fail(HONE_ERR_NUMERIC, "%s cannot hold %g (value %zu of a row)", type, x, i);
}

static hone_status check_values(dtype type, const float *x, size_t n, const float *importance) {
    const dtype_traits *t = dtype_get(type);
    float largest = t->block > 1 ? LARGEST_VALUE : INFINITY;
    for (size_t i = 0; i < n; i++) {
        if (!isfinite(x[i]) || fabsf(x[i]) > largest) return too_large(t->name, i, (double)x[i]);
        if (importance && !(importance[i] >= 0.0f && importance[i] <= LARGEST_IMPORTANCE))
            return fail(HONE_ERR_NUMERIC, "importance of column %zu is %g, expected 0 to %g", i,
                        (double)importance[i], (double)LARGEST_IMPORTANCE);
    }
    return HONE_OK;
}

static hone_status encode_halves(dtype type, uint8_t *row, const float *x, size_t n) {
    for (size_t i = 0; i < n; i++) {
        uint16_t half = type == DTYPE_F16 ? f16_from_f32(x[i]) : bf16_from_f32(x[i]);
        uint16_t infinity = type == DTYPE_F16 ? 0x7c00 : 0x7f80;
        if ((half & 0x7fff) == infinity) return too_large(dtype_get(type)->name, i, (double)x[i]);
        memcpy(row + 2 * i, &half, sizeof half);
    }
    return HONE_OK;
}

static bool half_is_finite(const uint8_t *at) {
    uint16_t half;
    memcpy(&half, at, sizeof half);
    return (half & 0x7c00) != 0x7c00;
}

static bool any_positive(const float *importance, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (importance[i] > 0.0f) return true;
    return false;
}

static float mean_square(const float *x, size_t n) {
    float sum = 0.0f;
    for (size_t i = 0; i < n; i++) sum += x[i] * x[i];
    return sum / (float)n;
}

hone_status quant_encode_row(dtype type, void *row, const float *x, size_t n,
                             const float *importance) {
    const dtype_traits *t = dtype_get(type);
    if (!t->is_weight)
        return fail(HONE_ERR_UNSUPPORTED, "%s is no type of weights", t->name ? t->name : "this");
    if (n % t->block)
        return fail(HONE_ERR_ARGUMENT, "a row of %zu values is no whole number of %s blocks", n,
                    t->name);
    TRY(check_values(type, x, n, importance));
    if (type == DTYPE_F32) {
        memcpy(row, x, n * sizeof *x);
        return HONE_OK;
    }
    if (type == DTYPE_F16 || type == DTYPE_BF16) return encode_halves(type, row, x, n);

    const encoder *e = &encoders[type];
    uint8_t *block = row;
    float row_mean_square = importance ? mean_square(x, n) : 0.0f;
    for (size_t i = 0; i < n; i += t->block, block += t->block_bytes) {
        /* Columns that calibration never saw: all alike rather than all worthless. */
        bool weighted = importance && any_positive(importance + i, t->block);
        e->encode(block, x + i, weighted ? importance + i : NULL, row_mean_square);
        if (!half_is_finite(block + e->d_at) || !half_is_finite(block + e->min_at))
            return too_large(t->name, i, (double)signed_largest(x + i, t->block));
    }
    return HONE_OK;
}
