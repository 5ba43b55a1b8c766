/* Encoders of the K formats: super-blocks of 256 with quantised scales.
 *
 * All go the same way: a search finds each sub-block's scale (and minimum), these are quantised
 * with a half as their own scale, and then every element is quantised again with the scale that the
 * decoder will see. Sub-blocks whose decoded scale is 0 keep the codes of the search. */
#include <math.h>

#include "tensor/blocks.h"
#include "tensor/quant.h"
#include "tensor/quant_int.h"

/* --- Q2_K, Q4_K, Q5_K: scale and minimum --- */

/* A super-block between search and packing. */
typedef struct affine_super {
    uint8_t q[QK_SUPER];
    uint8_t scale[16], min[16]; /* codes; 8 or 16 of them count */
    uint16_t d, dmin;
} affine_super;

typedef struct affine_format {
    int run;                          /* elements in a sub-block */
    int scale_limit;                  /* largest code of scales and minima */
    affine_search plain, with_weights; /* without and with importance */
    float spread; /* importance is spread by this many mean squares of the super-block */
} affine_format;

static const affine_format q2_k_format = {
    .run = 16,
    .scale_limit = 15,
    .plain = {.levels = 3, .first = -0.5f, .step = 0.1f, .steps = 15, .absolute = true},
    .with_weights = {.levels = 3, .first = -0.9f, .step = 0.05f, .steps = 36},
    .spread = 1.0f,
};
static const affine_format q4_k_format = {
    .run = 32,
    .scale_limit = 63,
    .plain = {.levels = 15, .first = -1.0f, .step = 0.1f, .steps = 20},
    .with_weights = {.levels = 15, .first = -0.9f, .step = 0.05f, .steps = 36},
    .spread = 2.0f,
};
static const affine_format q5_k_format = {
    .run = 32,
    .scale_limit = 63,
    .plain = {.levels = 31, .first = -0.5f, .step = 0.1f, .steps = 15},
    .with_weights = {.levels = 31, .first = -0.9f, .step = 0.05f, .steps = 36},
    .spread = 2.0f,
};

/* Weights without importance: large values count more. Q2_K's are |x| alone. */
static void magnitude_weights(float *w, const float *x, const affine_format *f) {
    float offset = f->run == 32 ? sqrtf(sum_of_squares(x, 32) / 32.0f) : 0.0f;
    for (int i = 0; i < f->run; i++) w[i] = offset + fabsf(x[i]);
}

/* Codes of scales (or minima) that are all ≥ 0, and the half that scales them. */
static uint16_t encode_scales(uint8_t *codes, const float *scales, int n, int limit) {
    float largest = 0.0f;
    for (int k = 0; k < n; k++) largest = scales[k] > largest ? scales[k] : largest;
    float inverted = largest > 0.0f ? (float)limit / largest : 0.0f;
    for (int k = 0; k < n; k++)
        codes[k] = (uint8_t)clamp_int(round_even(inverted * scales[k]), 0, limit);
    return f16_from_f32(largest / (float)limit);
}

static void encode_affine(affine_super *s, const affine_format *f, const float *x,
                          const float *importance) {
    int n_runs = QK_SUPER / f->run;
    float spread = f->spread * sum_of_squares(x, QK_SUPER) / (float)QK_SUPER;
    float scales[16], mins[16], run_weights[16];
    for (int k = 0; k < n_runs; k++) {
        const float *run = x + k * f->run;
        float w[QUANT_RUN];
        if (importance) {
            importance_weights(w, run, importance + k * f->run, spread, f->run);
            run_weights[k] = 0.0f;
            for (int i = 0; i < f->run; i++) run_weights[k] += w[i];
        } else {
            magnitude_weights(w, run, f);
        }
        const affine_search *search = importance ? &f->with_weights : &f->plain;
        scales[k] = search_affine(search, f->run, run, w, s->q + k * f->run, &mins[k]);
    }
    if (importance) {
        s->d = f16_from_f32(search_positive(n_runs, f->scale_limit, scales, run_weights, s->scale));
        s->dmin = f16_from_f32(search_positive(n_runs, f->scale_limit, mins, run_weights, s->min));
    } else {
        s->d = encode_scales(s->scale, scales, n_runs, f->scale_limit);
        s->dmin = encode_scales(s->min, mins, n_runs, f->scale_limit);
    }
    for (int i = 0; i < QK_SUPER; i++) {
        float scale = f16_to_f32(s->d) * (float)s->scale[i / f->run];
        float min = f16_to_f32(s->dmin) * (float)s->min[i / f->run];
        if (scale == 0.0f) continue;
        s->q[i] = (uint8_t)clamp_int(round_even((x[i] + min) / scale), 0, f->plain.levels);
    }
}

/* Two bits an element, as Q2_K and Q3_K store them. */
static void pack_pairs(uint8_t qs[64], const uint8_t q[QK_SUPER]) {
    memset(qs, 0, 64);
    for (int i = 0; i < QK_SUPER; i++)
        qs[i / 128 * 32 + i % 32] |= (uint8_t)((q[i] & 3) << (i % 128 / 32 * 2));
}

/* Low nibbles, as Q4_K and Q5_K store them. */
static void pack_nibbles(uint8_t qs[128], const uint8_t q[QK_SUPER]) {
    for (int i = 0; i < 128; i++) {
        int element = i / 32 * 64 + i % 32;
        qs[i] = (uint8_t)((q[element] & 15) | (q[element + 32] & 15) << 4);
    }
}

/* The inverse of q4_k_scale and q4_k_min. */
static void pack_scales(uint8_t packed[12], const uint8_t scale[8], const uint8_t min[8]) {
    for (int k = 0; k < 4; k++) {
        packed[k] = (uint8_t)(scale[k] | (scale[k + 4] >> 4) << 6);
        packed[k + 4] = (uint8_t)(min[k] | (min[k + 4] >> 4) << 6);
        packed[k + 8] = (uint8_t)((scale[k + 4] & 15) | (min[k + 4] & 15) << 4);
    }
}

void encode_q2_k(void *block, const float *x, const float *importance, float row_mean_square) {
    (void)row_mean_square;
    block_q2_k *b = block;
    affine_super s;
    encode_affine(&s, &q2_k_format, x, importance);
    for (int k = 0; k < 16; k++) b->scales[k] = (uint8_t)(s.scale[k] | s.min[k] << 4);
    b->d = s.d;
    b->dmin = s.dmin;
    pack_pairs(b->qs, s.q);
}

void encode_q4_k(void *block, const float *x, const float *importance, float row_mean_square) {
    (void)row_mean_square;
    block_q4_k *b = block;
    affine_super s;
    encode_affine(&s, &q4_k_format, x, importance);
    b->d = s.d;
    b->dmin = s.dmin;
    pack_scales(b->scales, s.scale, s.min);
    pack_nibbles(b->qs, s.q);
}

void encode_q5_k(void *block, const float *x, const float *importance, float row_mean_square) {
    (void)row_mean_square;
    block_q5_k *b = block;
    affine_super s;
    encode_affine(&s, &q5_k_format, x, importance);
    b->d = s.d;
    b->dmin = s.dmin;
    pack_scales(b->scales, s.scale, s.min);
    pack_nibbles(b->qs, s.q);
    memset(b->qh, 0, sizeof b->qh);
    for (int i = 0; i < QK_SUPER; i++) b->qh[i % 32] |= (uint8_t)(s.q[i] >> 4 << (i / 32));
}

/* --- Q3_K, Q6_K: scale alone, sixteen sub-blocks of 16 --- */

/* Every element again, with the decoded scales. */
static void requantise(uint8_t q[QK_SUPER], const float *x, uint16_t d, const int scale[16],
                       int limit) {
    for (int i = 0; i < QK_SUPER; i++) {
        float decoded = f16_to_f32(d) * (float)scale[i / 16];
        if (decoded == 0.0f) continue;
        q[i] = (uint8_t)(clamp_int(round_even(x[i] / decoded), -limit, limit - 1) + limit);
    }
}

/* The inverse of q3_k_scale, for codes 0 … 63. */
static void pack_q3_k_scales(uint8_t packed[12], const uint8_t code[16]) {
    memset(packed, 0, 12);
    for (int k = 0; k < 16; k++) {
        packed[k % 8] |= (uint8_t)((code[k] & 15) << (k / 8 * 4));
        packed[8 + k % 4] |= (uint8_t)(code[k] >> 4 << (k / 4 * 2));
    }
}

void encode_q3_k(void *block, const float *x, const float *importance, float row_mean_square) {
    (void)row_mean_square;
    block_q3_k *b = block;
    float spread = 2.0f * sum_of_squares(x, QK_SUPER) / (float)QK_SUPER;
    float scales[16], run_weights[16];
    uint8_t q[QK_SUPER], codes[16] = {0};
    for (int k = 0; k < 16; k++) {
        const float *run = x + 16 * k;
        float w[16];
        if (importance) {
            importance_weights(w, run, importance + 16 * k, spread, 16);
            run_weights[k] = 0.0f;
            for (int i = 0; i < 16; i++) run_weights[k] += w[i];
            scales[k] = search_symmetric(16, 4, run, w, q + 16 * k);
        } else {
            for (int i = 0; i < 16; i++) w[i] = run[i] * run[i];
            scales[k] = search_symmetric_descent(16, 4, run, w, q + 16 * k);
        }
    }
    float largest = signed_largest(scales, 16), d = 0.0f;
    if (importance) {
        d = search_symmetric(16, 32, scales, run_weights, codes);
    } else if (largest != 0.0f) {
        float iscale = -32.0f / largest;
        d = 1.0f / iscale;
        for (int k = 0; k < 16; k++)
            codes[k] = (uint8_t)(clamp_int(round_even(iscale * scales[k]), -32, 31) + 32);
    }
    int decoded[16];
    for (int k = 0; k < 16; k++) decoded[k] = codes[k] - 32;
    b->d = f16_from_f32(d);
    requantise(q, x, b->d, decoded, 4);
    pack_q3_k_scales(b->scales, codes);
    pack_pairs(b->qs, q);
    memset(b->hmask, 0, sizeof b->hmask);
    for (int i = 0; i < QK_SUPER; i++) b->hmask[i % 32] |= (uint8_t)(q[i] >> 2 << (i / 32));
}

void encode_q6_k(void *block, const float *x, const float *importance, float row_mean_square) {
    (void)row_mean_square;
    block_q6_k *b = block;
    float scales[16];
    uint8_t q[QK_SUPER];
    for (int k = 0; k < 16; k++) {
        const float *run = x + 16 * k;
        float w[16];
        for (int i = 0; i < 16; i++) w[i] = importance ? importance[16 * k + i] : run[i] * run[i];
        scales[k] = search_symmetric(16, 32, run, w, q + 16 * k);
    }
    memset(b, 0, sizeof *b);
    float largest = signed_largest(scales, 16);
    if (fabsf(largest) < QUANT_NOTHING) return;
    float iscale = -128.0f / largest;
    int decoded[16];
    b->d = f16_from_f32(1.0f / iscale);
    for (int k = 0; k < 16; k++) {
        decoded[k] = clamp_int(round_even(iscale * scales[k]), -128, 127);
        b->scales[k] = (int8_t)decoded[k];
    }
    requantise(q, x, b->d, decoded, 32);
    for (int i = 0; i < QK_SUPER; i++) {
        int half = i / 128, s = i % 128 / 32, l = i % 32;
        b->ql[64 * half + 32 * (s & 1) + l] |= (uint8_t)((q[i] & 15) << (s < 2 ? 0 : 4));
        b->qh[32 * half + l] |= (uint8_t)(q[i] >> 4 << (2 * s));
    }
}
