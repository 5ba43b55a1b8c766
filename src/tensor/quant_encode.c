/* quant_encode_row: checks what comes in, has the blocks written, checks what went out. */
#include <math.h>
#include <string.h>

#include "tensor/blocks.h"
#include "tensor/kernels.h"
#include "tensor/quant.h"

/* Where a type's block keeps its halves (twice the same where there is one). */
typedef struct half_places {
    uint8_t d_at, min_at;
} half_places;

#define HALVES(type, min) {offsetof(block_##type, d), offsetof(block_##type, min)}

static const half_places halves[DTYPE_LIMIT] = {
    [DTYPE_Q4_0] = HALVES(q4_0, d),     [DTYPE_Q4_1] = HALVES(q4_1, m),
    [DTYPE_Q5_0] = HALVES(q5_0, d),     [DTYPE_Q5_1] = HALVES(q5_1, m),
    [DTYPE_Q8_0] = HALVES(q8_0, d),     [DTYPE_Q2_K] = HALVES(q2_k, dmin),
    [DTYPE_Q3_K] = HALVES(q3_k, d),     [DTYPE_Q4_K] = HALVES(q4_k, dmin),
    [DTYPE_Q5_K] = HALVES(q5_k, dmin),  [DTYPE_Q6_K] = HALVES(q6_k, d),
    [DTYPE_IQ4_NL] = HALVES(iq4_nl, d), [DTYPE_IQ4_XS] = HALVES(iq4_xs, d),
};

/* No block type reaches 10^9 (Q6_K ends at 2.7 · 10^8), and no mean square of activations comes
 * near 10^12. Up to these bounds the sums of the searches cannot end in a NaN, which would pass for
 * zeros. */
#define LARGEST_VALUE 1e9f
#define LARGEST_IMPORTANCE 1e12f

static hone_status too_large(const char *type, size_t i, double x) {
    return fail(HONE_ERR_NUMERIC, "%s cannot hold %g (value %zu of a row)", type, x, i);
}

/* What rounds to a finite value: for F16 and BF16 the last one before half a step beyond the
 * largest. */
static float largest_value(dtype type) {
    if (type == DTYPE_F32) return 0x1.fffffep127f;
    if (type == DTYPE_BF16) return 0x1.fefffep127f;
    return type == DTYPE_F16 ? 0x1.ffdffep15f : LARGEST_VALUE;
}

static hone_status check_values(const kernels *k, dtype type, const float *x, size_t n,
                                const float *importance) {
    float largest = largest_value(type);
    if (!k->all_within(x, n, -largest, largest)) {
        size_t i = 0;
        while (fabsf(x[i]) <= largest) i++;
        return too_large(dtype_get(type)->name, i, (double)x[i]);
    }
    if (importance && !k->all_within(importance, n, 0.0f, LARGEST_IMPORTANCE)) {
        size_t i = 0;
        while (importance[i] >= 0.0f && importance[i] <= LARGEST_IMPORTANCE) i++;
        return fail(HONE_ERR_NUMERIC, "importance of column %zu is %g, expected 0 to %g", i,
                    (double)importance[i], (double)LARGEST_IMPORTANCE);
    }
    return HONE_OK;
}

static bool half_is_finite(const uint8_t *at) {
    uint16_t half;
    memcpy(&half, at, sizeof half);
    return (half & 0x7c00) != 0x7c00;
}

static hone_status check_blocks(dtype type, const uint8_t *block, const float *x, size_t n) {
    const dtype_traits *t = dtype_get(type);
    half_places at = halves[type];
    for (size_t i = 0; i < n; i += t->block, block += t->block_bytes) {
        if (half_is_finite(block + at.d_at) && half_is_finite(block + at.min_at)) continue;
        size_t largest = i;
        for (size_t j = i; j < i + t->block; j++)
            if (fabsf(x[j]) > fabsf(x[largest])) largest = j;
        return too_large(t->name, largest, (double)x[largest]);
    }
    return HONE_OK;
}

hone_status quant_encode_row(dtype type, void *row, const float *x, size_t n,
                             const float *importance) {
    const dtype_traits *t = dtype_get(type);
    if (!t->is_weight)
        return fail(HONE_ERR_UNSUPPORTED, "%s is no type of weights", t->name ? t->name : "this");
    if (n % t->block)
        return fail(HONE_ERR_ARGUMENT, "a row of %zu values is no whole number of %s blocks", n,
                    t->name);
    const kernels *k;
    TRY(kernels_get(&k));
    TRY(check_values(k, type, x, n, importance));
    if (type == DTYPE_F32) {
        memcpy(row, x, n * sizeof *x);
        return HONE_OK;
    }
    /* Columns that calibration never saw: all alike rather than all worthless. */
    if (importance && k->all_within(importance, n, 0.0f, 0.0f)) importance = NULL;
    k->encode_row(type, row, x, n, importance);
    return t->block > 1 ? check_blocks(type, row, x, n) : HONE_OK;
}
