/* The codes of 32 weights in two NEON registers. */
#ifndef TENSOR_ARM_CODES_H
#define TENSOR_ARM_CODES_H

#include <arm_neon.h>

#include "tensor/unpack.h"

typedef uint8x16x2_t raw_codes;

INLINE uint8x16x2_t load_32(const uint8_t *p) {
    return (uint8x16x2_t){{vld1q_u8(p), vld1q_u8(p + 16)}};
}

INLINE uint8x16x2_t or_32(uint8x16x2_t a, uint8x16x2_t b) {
    return (uint8x16x2_t){{vorrq_u8(a.val[0], b.val[0]), vorrq_u8(a.val[1], b.val[1])}};
}

/* Every byte's bits `mask` >> by, brought down; or up where `by` is negative. */
INLINE uint8x16x2_t bits_of_bytes(uint8x16x2_t v, const int by, const int mask) {
    const int8x16_t shift = vdupq_n_s8((int8_t)-by);
    const uint8x16_t bits = vdupq_n_u8((uint8_t)mask);
    return (uint8x16x2_t){{vandq_u8(vshlq_u8(v.val[0], shift), bits),
                           vandq_u8(vshlq_u8(v.val[1], shift), bits)}};
}

/* Low nibbles of 16 bytes, and then their high ones. */
INLINE uint8x16x2_t nibbles_32(const uint8_t *qs) {
    uint8x16_t bytes = vld1q_u8(qs);
    return (uint8x16x2_t){{vandq_u8(bytes, vdupq_n_u8(15)), vshrq_n_u8(bytes, 4)}};
}

INLINE uint8x16x2_t iq4_32(const uint8_t *qs) {
    const uint8x16_t values = vld1q_u8((const uint8_t *)iq4_values);
    uint8x16x2_t index = nibbles_32(qs);
    return (uint8x16x2_t){{vqtbl1q_u8(values, index.val[0]), vqtbl1q_u8(values, index.val[1])}};
}

/* Bit j of `bits` as 16 in byte j. */
INLINE uint8x16x2_t fifth_bits(uint32_t bits) {
    const uint8x16_t bit_of = vreinterpretq_u8_u64(vdupq_n_u64(UINT64_C(0x8040201008040201)));
    const uint8x16_t sixteen = vdupq_n_u8(16);
    uint8x16x2_t out;
    for (int i = 0; i < 2; i++, bits >>= 16) {
        uint8x16_t bytes = vcombine_u8(vdup_n_u8((uint8_t)bits), vdup_n_u8((uint8_t)(bits >> 8)));
        out.val[i] = vandq_u8(vtstq_u8(bytes, bit_of), sixteen);
    }
    return out;
}

#include "tensor/codes_32.h"

/* The same as signed bytes with the type's zero taken off: the decoded value is scale · code −
 * min. */
INLINE int8x16x2_t signed_codes_32(const dtype type, const void *block, const int j) {
    const uint8x16_t zero = vdupq_n_u8(unpack_traits_of(type).zero);
    raw_codes raw = codes_32(type, block, j);
    return (int8x16x2_t){{vreinterpretq_s8_u8(vsubq_u8(raw.val[0], zero)),
                          vreinterpretq_s8_u8(vsubq_u8(raw.val[1], zero))}};
}

#endif
