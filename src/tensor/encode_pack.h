/* Codes and scales squeezed into blocks: the inverse of what tensor/blocks.h and docs/formats.md
 * describe. Codes count from 0, scales are whole numbers in floats. Over the vectors of
 * encode_lanes.h. */
#ifndef TENSOR_ENCODE_PACK_H
#define TENSOR_ENCODE_PACK_H

#include <string.h>

#include "tensor/blocks.h"
#include "tensor/kernels_int.h"

/* The blocks of 32: the scale, the offset, the fifth bits, the low nibbles, whatever a type has. */
typedef struct small_layout {
    bool has_offset, has_fifth_bits;
} small_layout;

INLINE size_t small_block_bytes(const small_layout l) {
    return 18 + (l.has_offset ? 2 : 0) + (l.has_fifth_bits ? 4 : 0);
}

INLINE void pack_small(uint8_t *block, const small_layout l, uint16_t scale, uint16_t offset,
                       codes q) {
    uint32_t fifth = codes_fifth_bits(q);
    memcpy(block, &scale, 2);
    block += 2;
    if (l.has_offset) memcpy(block, &offset, 2), block += 2;
    if (l.has_fifth_bits) memcpy(block, &fifth, 4), block += 4;
    codes_store_nibbles(block, q);
}

/* Two bits an element, as Q2_K and Q3_K store them. */
INLINE void pack_pairs(uint8_t *qs, const uint8_t *q) {
    for (int half = 0; half < 2; half++, qs += 32, q += 128)
        for (int l = 0; l < 32; l++)
            qs[l] = (uint8_t)((q[l] & 3) | (q[l + 32] & 3) << 2 | (q[l + 64] & 3) << 4 |
                              (q[l + 96] & 3) << 6);
}

/* Low nibbles, as Q4_K and Q5_K store them. */
INLINE void pack_nibbles(uint8_t *qs, const uint8_t *q) {
    for (int c = 0; c < 4; c++, qs += 32, q += 64)
        for (int l = 0; l < 32; l++) qs[l] = (uint8_t)((q[l] & 15) | (q[l + 32] & 15) << 4);
}

/* Bit `bit` of the k-th 32 elements becomes bit k. */
INLINE void pack_bits(uint8_t *bits, const uint8_t *q, const int bit) {
    for (int l = 0; l < 32; l++) {
        unsigned byte = 0;
        for (int k = 0; k < 8; k++) byte |= (unsigned)(q[32 * k + l] >> bit & 1) << k;
        bits[l] = (uint8_t)byte;
    }
}

/* The inverse of q4_k_scale and q4_k_min. */
INLINE void pack_q4_k_scales(uint8_t *packed, const float *scale, const float *min) {
    for (int k = 0; k < 4; k++) {
        int s = (int)scale[k], s4 = (int)scale[k + 4], m = (int)min[k], m4 = (int)min[k + 4];
        packed[k] = (uint8_t)(s | (s4 >> 4) << 6);
        packed[k + 4] = (uint8_t)(m | (m4 >> 4) << 6);
        packed[k + 8] = (uint8_t)((s4 & 15) | (m4 & 15) << 4);
    }
}

/* The inverse of q3_k_scale. */
INLINE void pack_q3_k_scales(uint8_t *packed, const float *scale) {
    memset(packed, 0, 12);
    for (int k = 0; k < 16; k++) {
        int code = (int)scale[k] + 32;
        packed[k % 8] |= (uint8_t)((code & 15) << (k / 8 * 4));
        packed[8 + k % 4] |= (uint8_t)(code >> 4 << (k / 4 * 2));
    }
}

INLINE void pack_q6_k(block_q6_k *b, const uint8_t *q) {
    for (int half = 0; half < 2; half++, q += 128)
        for (int l = 0; l < 32; l++) {
            int q0 = q[l], q1 = q[l + 32], q2 = q[l + 64], q3 = q[l + 96];
            b->ql[64 * half + l] = (uint8_t)((q0 & 15) | (q2 & 15) << 4);
            b->ql[64 * half + 32 + l] = (uint8_t)((q1 & 15) | (q3 & 15) << 4);
            b->qh[32 * half + l] =
                (uint8_t)(q0 >> 4 | (q1 >> 4) << 2 | (q2 >> 4) << 4 | (q3 >> 4) << 6);
        }
}

#endif
