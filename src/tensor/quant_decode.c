/* Decoding rows of every weight type, block by block, as the layouts in blocks.h say.
 *
 * Every multiplication and addition is rounded once, in the order written: (d · scale) · q, then
 * the minimum. Kernels reproduce these bits. */
#include <string.h>

#include "tensor/blocks.h"
#include "tensor/quant.h"

const int8_t iq4_values[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                               1,    13,   25,  38,  53,  69,  89,  113};

/* --- blocks of 32 --- */

static void decode_q4_0(float *out, const void *block) {
    const block_q4_0 *b = block;
    float d = f16_to_f32(b->d);
    for (int j = 0; j < 16; j++) {
        out[j] = d * (float)((b->qs[j] & 15) - 8);
        out[j + 16] = d * (float)((b->qs[j] >> 4) - 8);
    }
}

static void decode_q4_1(float *out, const void *block) {
    const block_q4_1 *b = block;
    float d = f16_to_f32(b->d), m = f16_to_f32(b->m);
    for (int j = 0; j < 16; j++) {
        out[j] = d * (float)(b->qs[j] & 15) + m;
        out[j + 16] = d * (float)(b->qs[j] >> 4) + m;
    }
}

/* Element j < 32 of the formats with five bits, 0 … 31. */
static int q5_code(uint32_t qh, const uint8_t qs[16], int j) {
    int low = j < 16 ? qs[j] & 15 : qs[j - 16] >> 4;
    return low | (int)(qh >> j & 1) << 4;
}

static void decode_q5_0(float *out, const void *block) {
    const block_q5_0 *b = block;
    float d = f16_to_f32(b->d);
    for (int j = 0; j < 32; j++) out[j] = d * (float)(q5_code(b->qh, b->qs, j) - 16);
}

static void decode_q5_1(float *out, const void *block) {
    const block_q5_1 *b = block;
    float d = f16_to_f32(b->d), m = f16_to_f32(b->m);
    for (int j = 0; j < 32; j++) out[j] = d * (float)q5_code(b->qh, b->qs, j) + m;
}

static void decode_q8_0(float *out, const void *block) {
    const block_q8_0 *b = block;
    float d = f16_to_f32(b->d);
    for (int j = 0; j < 32; j++) out[j] = d * (float)b->qs[j];
}

/* 32 elements whose codes are nibbles into the table. */
static void decode_iq4(float *out, float d, const uint8_t qs[16]) {
    for (int j = 0; j < 16; j++) {
        out[j] = d * (float)iq4_values[qs[j] & 15];
        out[j + 16] = d * (float)iq4_values[qs[j] >> 4];
    }
}

static void decode_iq4_nl(float *out, const void *block) {
    const block_iq4_nl *b = block;
    decode_iq4(out, f16_to_f32(b->d), b->qs);
}

/* --- super-blocks of 256 --- */

static void decode_q2_k(float *out, const void *block) {
    const block_q2_k *b = block;
    float d = f16_to_f32(b->d), dmin = f16_to_f32(b->dmin);
    for (int k = 0; k < 16; k++, out += 16) {
        float scale = d * (float)(b->scales[k] & 15);
        float min = dmin * (float)(b->scales[k] >> 4);
        const uint8_t *qs = b->qs + 32 * (k / 8) + 16 * (k % 2);
        int shift = k % 8 / 2 * 2;
        for (int l = 0; l < 16; l++) out[l] = scale * (float)(qs[l] >> shift & 3) - min;
    }
}

static void decode_q3_k(float *out, const void *block) {
    const block_q3_k *b = block;
    float d = f16_to_f32(b->d);
    for (int k = 0; k < 16; k++, out += 16) {
        float scale = d * (float)q3_k_scale(b->scales, k);
        const uint8_t *qs = b->qs + 32 * (k / 8) + 16 * (k % 2);
        const uint8_t *hmask = b->hmask + 16 * (k % 2);
        int shift = k % 8 / 2 * 2;
        for (int l = 0; l < 16; l++) {
            int code = (qs[l] >> shift & 3) | (hmask[l] >> (k / 2) & 1) << 2;
            out[l] = scale * (float)(code - 4);
        }
    }
}

static void decode_q4_k(float *out, const void *block) {
    const block_q4_k *b = block;
    float d = f16_to_f32(b->d), dmin = f16_to_f32(b->dmin);
    for (int k = 0; k < 8; k++, out += 32) {
        float scale = d * (float)q4_k_scale(b->scales, k);
        float min = dmin * (float)q4_k_min(b->scales, k);
        const uint8_t *qs = b->qs + 32 * (k / 2);
        int shift = 4 * (k % 2);
        for (int l = 0; l < 32; l++) out[l] = scale * (float)(qs[l] >> shift & 15) - min;
    }
}

static void decode_q5_k(float *out, const void *block) {
    const block_q5_k *b = block;
    float d = f16_to_f32(b->d), dmin = f16_to_f32(b->dmin);
    for (int k = 0; k < 8; k++, out += 32) {
        float scale = d * (float)q4_k_scale(b->scales, k);
        float min = dmin * (float)q4_k_min(b->scales, k);
        const uint8_t *qs = b->qs + 32 * (k / 2);
        int shift = 4 * (k % 2);
        for (int l = 0; l < 32; l++) {
            int code = (qs[l] >> shift & 15) | (b->qh[l] >> k & 1) << 4;
            out[l] = scale * (float)code - min;
        }
    }
}

static void decode_q6_k(float *out, const void *block) {
    const block_q6_k *b = block;
    float d = f16_to_f32(b->d);
    for (int k = 0; k < 16; k++, out += 16) {
        float scale = d * (float)b->scales[k];
        int half = k / 8, s = k % 8 / 2, first = 16 * (k % 2);
        const uint8_t *ql = b->ql + 64 * half + 32 * (s & 1) + first;
        const uint8_t *qh = b->qh + 32 * half + first;
        for (int l = 0; l < 16; l++) {
            int code = (ql[l] >> (s < 2 ? 0 : 4) & 15) | (qh[l] >> 2 * s & 3) << 4;
            out[l] = scale * (float)(code - 32);
        }
    }
}

static void decode_iq4_xs(float *out, const void *block) {
    const block_iq4_xs *b = block;
    float d = f16_to_f32(b->d);
    for (int k = 0; k < 8; k++, out += 32)
        decode_iq4(out, d * (float)iq4_xs_scale(b, k), b->qs + 16 * k);
}

/* --- rows --- */

typedef void decode_block(float *out, const void *block);

static decode_block *const decoders[DTYPE_LIMIT] = {
    [DTYPE_Q4_0] = decode_q4_0, [DTYPE_Q4_1] = decode_q4_1,     [DTYPE_Q5_0] = decode_q5_0,
    [DTYPE_Q5_1] = decode_q5_1, [DTYPE_Q8_0] = decode_q8_0,     [DTYPE_Q2_K] = decode_q2_k,
    [DTYPE_Q3_K] = decode_q3_k, [DTYPE_Q4_K] = decode_q4_k,     [DTYPE_Q5_K] = decode_q5_k,
    [DTYPE_Q6_K] = decode_q6_k, [DTYPE_IQ4_NL] = decode_iq4_nl, [DTYPE_IQ4_XS] = decode_iq4_xs,
};

static void decode_halves(float *out, const uint8_t *row, size_t n, float to_f32(uint16_t)) {
    for (size_t i = 0; i < n; i++) {
        uint16_t half;
        memcpy(&half, row + 2 * i, sizeof half);
        out[i] = to_f32(half);
    }
}

void quant_decode_row(dtype type, float *out, const void *row, size_t n) {
    switch (type) {
    case DTYPE_F32: memcpy(out, row, n * sizeof *out); return;
    case DTYPE_F16: decode_halves(out, row, n, f16_to_f32); return;
    case DTYPE_BF16: decode_halves(out, row, n, bf16_to_f32); return;
    default: break;
    }
    const dtype_traits *traits = dtype_get(type);
    const uint8_t *block = row;
    for (size_t i = 0; i < n; i += traits->block, block += traits->block_bytes)
        decoders[type](out + i, block);
}
