/* Encoders of the blocks of 32 with one scale: Q4_0, Q4_1, Q5_0, Q5_1, Q8_0.
 *
 * Without importance the scale follows from the extremes alone; codes come from the scale in full
 * precision, although a half is stored. */
#include <math.h>

#include "tensor/blocks.h"
#include "tensor/quant.h"
#include "tensor/quant_int.h"

/* Codes of 5 bits: low nibbles as in all blocks of 32; returns the fifth bits. */
static uint32_t pack_block(uint8_t qs[16], const uint8_t q[32]) {
    uint32_t qh = 0;
    for (int j = 0; j < 16; j++) qs[j] = (uint8_t)((q[j] & 15) | (q[j + 16] & 15) << 4);
    for (int j = 0; j < 32; j++) qh |= (uint32_t)(q[j] >> 4) << j;
    return qh;
}

/* x ≈ d · (q − limit), returns d. The element of largest magnitude gets code 0. */
static float fit_centred(const float *x, const float *importance, float row_mean_square, int limit,
                         uint8_t q[32]) {
    if (importance) {
        float w[32];
        importance_weights(w, x, importance, row_mean_square, 32);
        return search_symmetric(32, limit, x, w, q);
    }
    float d = signed_largest(x, 32) / -(float)limit;
    float inverted = inverse(d);
    for (int j = 0; j < 32; j++)
        q[j] = (uint8_t)truncate_to(x[j] * inverted + ((float)limit + 0.5f), 2 * limit - 1);
    return d;
}

/* x ≈ d · q + m, returns d. */
static float fit_from_minimum(const float *x, const float *importance, float row_mean_square,
                              int levels, uint8_t q[32], float *m) {
    if (importance) {
        const affine_search search = {.levels = levels, .first = -0.9f, .step = 0.05f, .steps = 36};
        float w[32];
        importance_weights(w, x, importance, row_mean_square, 32);
        float d = search_affine(&search, 32, x, w, q, m);
        *m = -*m;
        return d;
    }
    float min = x[0], max = x[0];
    for (int j = 1; j < 32; j++) {
        min = x[j] < min ? x[j] : min;
        max = x[j] > max ? x[j] : max;
    }
    float d = (max - min) / (float)levels;
    float inverted = inverse(d);
    for (int j = 0; j < 32; j++)
        q[j] = (uint8_t)truncate_to((x[j] - min) * inverted + 0.5f, levels);
    *m = min;
    return d;
}

void encode_q4_0(void *block, const float *x, const float *importance, float row_mean_square) {
    block_q4_0 *b = block;
    uint8_t q[32];
    b->d = f16_from_f32(fit_centred(x, importance, row_mean_square, 8, q));
    pack_block(b->qs, q);
}

void encode_q5_0(void *block, const float *x, const float *importance, float row_mean_square) {
    block_q5_0 *b = block;
    uint8_t q[32];
    b->d = f16_from_f32(fit_centred(x, importance, row_mean_square, 16, q));
    b->qh = pack_block(b->qs, q);
}

void encode_q4_1(void *block, const float *x, const float *importance, float row_mean_square) {
    block_q4_1 *b = block;
    uint8_t q[32];
    float m;
    b->d = f16_from_f32(fit_from_minimum(x, importance, row_mean_square, 15, q, &m));
    b->m = f16_from_f32(m);
    pack_block(b->qs, q);
}

void encode_q5_1(void *block, const float *x, const float *importance, float row_mean_square) {
    block_q5_1 *b = block;
    uint8_t q[32];
    float m;
    b->d = f16_from_f32(fit_from_minimum(x, importance, row_mean_square, 31, q, &m));
    b->m = f16_from_f32(m);
    b->qh = pack_block(b->qs, q);
}

/* Eight bits are enough: importance is not used. */
void encode_q8_0(void *block, const float *x, const float *importance, float row_mean_square) {
    (void)importance, (void)row_mean_square;
    block_q8_0 *b = block;
    float d = fabsf(signed_largest(x, 32)) / 127.0f;
    float inverted = inverse(d);
    b->d = f16_from_f32(d);
    for (int j = 0; j < 32; j++)
        b->qs[j] = (int8_t)clamp_int((int)roundf(x[j] * inverted), -127, 127);
}
