/* Blocks into 8-bit values with float scales (`unpacked`, tensor/kernels.h), and rows into floats:
 * portable code that each instruction set's file compiles for itself, and that the compiler turns
 * into its vectors. What a profile points at is overridden there.
 *
 * Each unpack_TYPE takes one block: q as unsigned codes (signed values for the types with
 * `is_signed`), scale[] and, where the type has one, min[] of its groups. The decoded value is
 * scale · (q − zero) − min, with one rounding for each operation. */
#ifndef TENSOR_UNPACK_H
#define TENSOR_UNPACK_H

#include <string.h>

#include "tensor/blocks.h"
#include "tensor/kernels.h"
#include "tensor/quant.h"

#if defined(__F16C__)
#include <immintrin.h>
#endif

typedef struct unpack_traits {
    uint8_t group;  /* weights that share a scale; 0: the type has no 8-bit form */
    uint8_t zero;   /* the code of the value 0 */
    uint8_t max;    /* the largest code, or magnitude for signed values */
    bool is_signed; /* q is int8_t, the whole range */
    bool has_min;
} unpack_traits;

static inline unpack_traits unpack_traits_of(dtype type) {
    switch (type) {
    case DTYPE_Q4_0: return (unpack_traits){32, 8, 15, false, false};
    case DTYPE_Q4_1: return (unpack_traits){32, 0, 15, false, true};
    case DTYPE_Q5_0: return (unpack_traits){32, 16, 31, false, false};
    case DTYPE_Q5_1: return (unpack_traits){32, 0, 31, false, true};
    case DTYPE_Q8_0: return (unpack_traits){32, 0, 128, true, false};
    case DTYPE_IQ4_NL: return (unpack_traits){32, 0, 127, true, false};
    case DTYPE_Q2_K: return (unpack_traits){16, 0, 3, false, true};
    case DTYPE_Q3_K: return (unpack_traits){16, 4, 7, false, false};
    case DTYPE_Q4_K: return (unpack_traits){32, 0, 15, false, true};
    case DTYPE_Q5_K: return (unpack_traits){32, 0, 31, false, true};
    case DTYPE_Q6_K: return (unpack_traits){16, 32, 63, false, false};
    case DTYPE_IQ4_XS: return (unpack_traits){32, 0, 127, true, false};
    default: return (unpack_traits){0, 0, 0, false, false};
    }
}

static inline float unpack_f16(uint16_t h) {
#if defined(__F16C__)
    return _cvtsh_ss(h);
#else
    return f16_to_f32(h);
#endif
}

/* --- blocks of 32 --- */

static inline void unpack_nibbles(uint8_t *restrict q, const uint8_t *restrict qs, int n) {
    for (int j = 0; j < n; j++) q[j] = qs[j] & 15;
    for (int j = 0; j < n; j++) q[j + n] = qs[j] >> 4;
}

/* Bit j of `bits` is added to q[j] as its fifth. The product copies byte j / 8 and leaves bit j % 8. */
static inline void unpack_fifth_bits(uint8_t *restrict q, uint32_t bits) {
    for (int i = 0; i < 4; i++) {
        uint64_t eight = (bits >> (8 * i) & 255) * UINT64_C(0x0101010101010101);
        eight &= UINT64_C(0x8040201008040201);
        eight = (eight + UINT64_C(0x7f7f7f7f7f7f7f7f)) | eight;
        eight = eight >> 3 & UINT64_C(0x1010101010101010);
        uint64_t low;
        memcpy(&low, q + 8 * i, 8);
        low |= eight;
        memcpy(q + 8 * i, &low, 8);
    }
}

static inline void unpack_iq4(uint8_t *restrict q, const uint8_t *restrict qs) {
    for (int j = 0; j < 16; j++) {
        q[j] = (uint8_t)iq4_values[qs[j] & 15];
        q[j + 16] = (uint8_t)iq4_values[qs[j] >> 4];
    }
}

static inline void unpack_q4_0(uint8_t *restrict q, float *scale, float *min, const void *block) {
    const block_q4_0 *b = block;
    (void)min;
    scale[0] = unpack_f16(b->d);
    unpack_nibbles(q, b->qs, 16);
}

static inline void unpack_q4_1(uint8_t *restrict q, float *scale, float *min, const void *block) {
    const block_q4_1 *b = block;
    scale[0] = unpack_f16(b->d);
    min[0] = -unpack_f16(b->m);
    unpack_nibbles(q, b->qs, 16);
}

static inline void unpack_q5_0(uint8_t *restrict q, float *scale, float *min, const void *block) {
    const block_q5_0 *b = block;
    (void)min;
    scale[0] = unpack_f16(b->d);
    unpack_nibbles(q, b->qs, 16);
    unpack_fifth_bits(q, b->qh);
}

static inline void unpack_q5_1(uint8_t *restrict q, float *scale, float *min, const void *block) {
    const block_q5_1 *b = block;
    scale[0] = unpack_f16(b->d);
    min[0] = -unpack_f16(b->m);
    unpack_nibbles(q, b->qs, 16);
    unpack_fifth_bits(q, b->qh);
}

static inline void unpack_q8_0(uint8_t *restrict q, float *scale, float *min, const void *block) {
    const block_q8_0 *b = block;
    (void)min;
    scale[0] = unpack_f16(b->d);
    memcpy(q, b->qs, 32);
}

static inline void unpack_iq4_nl(uint8_t *restrict q, float *scale, float *min, const void *block) {
    const block_iq4_nl *b = block;
    (void)min;
    scale[0] = unpack_f16(b->d);
    unpack_iq4(q, b->qs);
}

/* --- super-blocks of 256 --- */

static inline void unpack_q2_k(uint8_t *restrict q, float *restrict scale, float *restrict min,
                               const void *block) {
    const block_q2_k *b = block;
    float d = unpack_f16(b->d), dmin = unpack_f16(b->dmin);
    for (int k = 0; k < 16; k++) {
        scale[k] = d * (float)(b->scales[k] & 15);
        min[k] = dmin * (float)(b->scales[k] >> 4);
    }
    for (int h = 0; h < 2; h++)
        for (int l = 0; l < 32; l++) {
            uint8_t bits = b->qs[32 * h + l];
            q[128 * h + l] = bits & 3;
            q[128 * h + l + 32] = bits >> 2 & 3;
            q[128 * h + l + 64] = bits >> 4 & 3;
            q[128 * h + l + 96] = bits >> 6;
        }
}

static inline void unpack_q3_k(uint8_t *restrict q, float *restrict scale, float *min,
                               const void *block) {
    const block_q3_k *b = block;
    (void)min;
    float d = unpack_f16(b->d);
    for (int k = 0; k < 16; k++) scale[k] = d * (float)q3_k_scale(b->scales, k);
    for (int l = 0; l < 32; l++) {
        uint8_t low = b->qs[l], high = b->qs[l + 32], mask = b->hmask[l];
        q[l] = (low & 3) | (mask << 2 & 4);
        q[l + 32] = (low >> 2 & 3) | (mask << 1 & 4);
        q[l + 64] = (low >> 4 & 3) | (mask & 4);
        q[l + 96] = low >> 6 | (mask >> 1 & 4);
        q[l + 128] = (high & 3) | (mask >> 2 & 4);
        q[l + 160] = (high >> 2 & 3) | (mask >> 3 & 4);
        q[l + 192] = (high >> 4 & 3) | (mask >> 4 & 4);
        q[l + 224] = high >> 6 | (mask >> 5 & 4);
    }
}

/* The six-bit scales and minima of Q4_K and Q5_K, four at a time in the bytes of a word. */
static inline void unpack_scales_k(float *restrict scale, float *restrict min, float d, float dmin,
                                   const uint8_t *packed) {
    uint32_t word[3], codes[4];
    memcpy(word, packed, 12);
    codes[0] = word[0] & 0x3f3f3f3f;
    codes[1] = (word[2] & 0x0f0f0f0f) | (word[0] >> 2 & 0x30303030);
    codes[2] = word[1] & 0x3f3f3f3f;
    codes[3] = (word[2] >> 4 & 0x0f0f0f0f) | (word[1] >> 2 & 0x30303030);
    uint8_t bytes[16];
    memcpy(bytes, codes, 16);
    for (int k = 0; k < 8; k++) scale[k] = d * (float)bytes[k];
    for (int k = 0; k < 8; k++) min[k] = dmin * (float)bytes[k + 8];
}

static inline void unpack_q4_k(uint8_t *restrict q, float *restrict scale, float *restrict min,
                               const void *block) {
    const block_q4_k *b = block;
    unpack_scales_k(scale, min, unpack_f16(b->d), unpack_f16(b->dmin), b->scales);
    for (int c = 0; c < 4; c++) unpack_nibbles(q + 64 * c, b->qs + 32 * c, 32);
}

static inline void unpack_q5_k(uint8_t *restrict q, float *restrict scale, float *restrict min,
                               const void *block) {
    const block_q5_k *b = block;
    unpack_scales_k(scale, min, unpack_f16(b->d), unpack_f16(b->dmin), b->scales);
    for (int l = 0; l < 32; l++) {
        uint8_t high = b->qh[l];
        q[l] = (b->qs[l] & 15) | (high << 4 & 16);
        q[l + 32] = b->qs[l] >> 4 | (high << 3 & 16);
        q[l + 64] = (b->qs[l + 32] & 15) | (high << 2 & 16);
        q[l + 96] = b->qs[l + 32] >> 4 | (high << 1 & 16);
        q[l + 128] = (b->qs[l + 64] & 15) | (high & 16);
        q[l + 160] = b->qs[l + 64] >> 4 | (high >> 1 & 16);
        q[l + 192] = (b->qs[l + 96] & 15) | (high >> 2 & 16);
        q[l + 224] = b->qs[l + 96] >> 4 | (high >> 3 & 16);
    }
}

static inline void unpack_q6_k(uint8_t *restrict q, float *restrict scale, float *min,
                               const void *block) {
    const block_q6_k *b = block;
    (void)min;
    float d = unpack_f16(b->d);
    for (int k = 0; k < 16; k++) scale[k] = d * (float)b->scales[k];
    for (int h = 0; h < 2; h++) {
        const uint8_t *ql = b->ql + 64 * h, *qh = b->qh + 32 * h;
        for (int l = 0; l < 32; l++) {
            q[128 * h + l] = (ql[l] & 15) | (qh[l] << 4 & 48);
            q[128 * h + l + 32] = (ql[l + 32] & 15) | (qh[l] << 2 & 48);
            q[128 * h + l + 64] = ql[l] >> 4 | (qh[l] & 48);
            q[128 * h + l + 96] = ql[l + 32] >> 4 | (qh[l] >> 2 & 48);
        }
    }
}

static inline void unpack_iq4_xs(uint8_t *restrict q, float *restrict scale, float *min,
                                 const void *block) {
    const block_iq4_xs *b = block;
    (void)min;
    float d = unpack_f16(b->d);
    for (int k = 0; k < 8; k++) {
        scale[k] = d * (float)iq4_xs_scale(b, k);
        unpack_iq4(q + 32 * k, b->qs + 16 * k);
    }
}

/* --- rows --- */

/* One row, minima only where the type has them. `row` begins at a block. */
static inline void unpack_codes(dtype type, const unpacked *out, const void *row, size_t n) {
    uint8_t *q = out->q;
    float *scale = out->scale, *min = out->min;
    const char *block = row;
#define UNPACK_BLOCKS(unpack_block, block_type, block_size, groups)                                  \
    for (size_t i = 0; i < n / (block_size); i++)                                                    \
        unpack_block(q + i * (block_size), scale + i * (groups), min + i * (groups),                 \
                     block + i * sizeof(block_type));                                                \
    return
    switch (type) {
    case DTYPE_Q4_0: UNPACK_BLOCKS(unpack_q4_0, block_q4_0, 32, 1);
    case DTYPE_Q4_1: UNPACK_BLOCKS(unpack_q4_1, block_q4_1, 32, 1);
    case DTYPE_Q5_0: UNPACK_BLOCKS(unpack_q5_0, block_q5_0, 32, 1);
    case DTYPE_Q5_1: UNPACK_BLOCKS(unpack_q5_1, block_q5_1, 32, 1);
    case DTYPE_Q8_0: UNPACK_BLOCKS(unpack_q8_0, block_q8_0, 32, 1);
    case DTYPE_IQ4_NL: UNPACK_BLOCKS(unpack_iq4_nl, block_iq4_nl, 32, 1);
    case DTYPE_Q2_K: UNPACK_BLOCKS(unpack_q2_k, block_q2_k, 256, 16);
    case DTYPE_Q3_K: UNPACK_BLOCKS(unpack_q3_k, block_q3_k, 256, 16);
    case DTYPE_Q4_K: UNPACK_BLOCKS(unpack_q4_k, block_q4_k, 256, 8);
    case DTYPE_Q5_K: UNPACK_BLOCKS(unpack_q5_k, block_q5_k, 256, 8);
    case DTYPE_Q6_K: UNPACK_BLOCKS(unpack_q6_k, block_q6_k, 256, 16);
    case DTYPE_IQ4_XS: UNPACK_BLOCKS(unpack_iq4_xs, block_iq4_xs, 256, 8);
    default: return;
    }
#undef UNPACK_BLOCKS
}

/* One row in the form w = scale · q − min. Signed values stay signed, with min 0, unless the table
 * wants them `biased`: 128 above, as unsigned bytes. */
static inline void unpack_row_portable(dtype type, const unpacked *out, const void *row, size_t n,
                                       bool biased) {
    unpack_traits traits = unpack_traits_of(type);
    unpack_codes(type, out, row, n);
    if (traits.has_min) return;
    if (traits.is_signed && biased)
        for (size_t i = 0; i < n; i++) out->q[i] ^= 0x80;
    float zero = traits.is_signed && biased ? 128.0f : (float)traits.zero;
    for (size_t g = 0; g < n / traits.group; g++) out->min[g] = zero * out->scale[g];
}

/* A row of a block type as floats, by way of the codes. */
static inline void decode_blocks_portable(dtype type, float *restrict out, const void *row, size_t n) {
    uint8_t q[QK_SUPER];
    float scale[QK_SUPER / 16], min[QK_SUPER / 16];
    const unpacked codes = {q, scale, min};
    const unpack_traits traits = unpack_traits_of(type);
    const dtype_traits *layout = dtype_get(type);
    const char *block = row;
    memset(min, 0, sizeof min);
    for (size_t done = 0; done < n; done += layout->block, block += layout->block_bytes) {
        unpack_codes(type, &codes, block, layout->block);
        for (int i = 0; i < layout->block; i += 16) {
            float s = scale[i / traits.group], m = min[i / traits.group];
            for (int l = 0; l < 16; l++) {
                int code = traits.is_signed ? (int8_t)q[i + l] : q[i + l] - traits.zero;
                out[done + i + l] = s * (float)code - m;
            }
        }
    }
}

#endif
