/* Blocks into 8-bit codes with float scales (`unpacked`, tensor/kernels.h): what the quantised
 * products and the float decoders of all instruction sets have in common.
 *
 * Codes are unsigned, or signed for the types with `is_signed`. The decoded value is
 * scale · (code − zero) − min, with one rounding for each operation, as in quant_decode.c.
 *
 * Each file with kernels compiles this for its own instruction set. Where that has AVX2 the codes
 * come from x86/codes.h; the portable loops serve all others. */
#ifndef TENSOR_UNPACK_H
#define TENSOR_UNPACK_H

#include <string.h>

#include "tensor/blocks.h"
#include "tensor/kernels_int.h"
#include "tensor/quant.h"

#if defined(__AVX2__)
#include "tensor/x86/codes.h"
#endif

/* All of this is known when a kernel is compiled, unlike dtype_get's table. */
typedef struct unpack_traits {
    uint16_t block, block_bytes;
    uint8_t group;  /* weights that share a scale; 0: the type has no 8-bit form */
    uint8_t zero;   /* the code of the value 0 */
    uint8_t max;    /* the largest code, or magnitude for signed values */
    bool is_signed; /* codes are int8_t, the whole range */
    bool has_min;
} unpack_traits;

INLINE unpack_traits unpack_traits_of(const dtype type) {
    switch (type) {
    case DTYPE_Q4_0: return (unpack_traits){32, sizeof(block_q4_0), 32, 8, 15, false, false};
    case DTYPE_Q4_1: return (unpack_traits){32, sizeof(block_q4_1), 32, 0, 15, false, true};
    case DTYPE_Q5_0: return (unpack_traits){32, sizeof(block_q5_0), 32, 16, 31, false, false};
    case DTYPE_Q5_1: return (unpack_traits){32, sizeof(block_q5_1), 32, 0, 31, false, true};
    case DTYPE_Q8_0: return (unpack_traits){32, sizeof(block_q8_0), 32, 0, 128, true, false};
    case DTYPE_IQ4_NL: return (unpack_traits){32, sizeof(block_iq4_nl), 32, 0, 127, true, false};
    case DTYPE_Q2_K: return (unpack_traits){256, sizeof(block_q2_k), 16, 0, 3, false, true};
    case DTYPE_Q3_K: return (unpack_traits){256, sizeof(block_q3_k), 16, 4, 7, false, false};
    case DTYPE_Q4_K: return (unpack_traits){256, sizeof(block_q4_k), 32, 0, 15, false, true};
    case DTYPE_Q5_K: return (unpack_traits){256, sizeof(block_q5_k), 32, 0, 31, false, true};
    case DTYPE_Q6_K: return (unpack_traits){256, sizeof(block_q6_k), 16, 32, 63, false, false};
    case DTYPE_IQ4_XS: return (unpack_traits){256, sizeof(block_iq4_xs), 32, 0, 127, true, false};
    default: return (unpack_traits){0, 0, 0, 0, 0, false, false};
    }
}

/* `call`(T) with the constant T of the block type `type`. */
#define FOR_BLOCK_TYPE(type, call)                       \
    switch (type) {                                      \
    case DTYPE_Q4_0: call(DTYPE_Q4_0); break;            \
    case DTYPE_Q4_1: call(DTYPE_Q4_1); break;            \
    case DTYPE_Q5_0: call(DTYPE_Q5_0); break;            \
    case DTYPE_Q5_1: call(DTYPE_Q5_1); break;            \
    case DTYPE_Q8_0: call(DTYPE_Q8_0); break;            \
    case DTYPE_IQ4_NL: call(DTYPE_IQ4_NL); break;        \
    case DTYPE_Q2_K: call(DTYPE_Q2_K); break;            \
    case DTYPE_Q3_K: call(DTYPE_Q3_K); break;            \
    case DTYPE_Q4_K: call(DTYPE_Q4_K); break;            \
    case DTYPE_Q5_K: call(DTYPE_Q5_K); break;            \
    case DTYPE_Q6_K: call(DTYPE_Q6_K); break;            \
    case DTYPE_IQ4_XS: call(DTYPE_IQ4_XS); break;        \
    default: break;                                      \
    }

/* --- scales --- */

INLINE float unpack_f16(uint16_t h) {
#if defined(__F16C__)
    return _cvtsh_ss(h);
#else
    return f16_to_f32(h);
#endif
}

/* out[i] = d · codes[i] for eight codes. */
INLINE void scale_8(float *out, float d, const uint8_t *codes, const bool is_signed) {
#if defined(__AVX2__)
    __m256 floats = floats_of_bytes(_mm_loadl_epi64((const void *)codes), is_signed);
    _mm256_storeu_ps(out, _mm256_mul_ps(_mm256_set1_ps(d), floats));
#else
    for (int i = 0; i < 8; i++) out[i] = d * (float)(is_signed ? (int8_t)codes[i] : codes[i]);
#endif
}

INLINE void scales_q2_k(float *scale, float *min, const block_q2_k *b) {
    uint64_t both[2], low[2], high[2];
    memcpy(both, b->scales, 16);
    for (int i = 0; i < 2; i++) {
        low[i] = both[i] & UINT64_C(0x0f0f0f0f0f0f0f0f);
        high[i] = both[i] >> 4 & UINT64_C(0x0f0f0f0f0f0f0f0f);
        scale_8(scale + 8 * i, unpack_f16(b->d), (const uint8_t *)&low[i], false);
        scale_8(min + 8 * i, unpack_f16(b->dmin), (const uint8_t *)&high[i], false);
    }
}

INLINE void scales_q3_k(float *scale, const block_q3_k *b) {
    uint8_t codes[16];
    for (int k = 0; k < 16; k++) codes[k] = (uint8_t)q3_k_scale(b->scales, k);
    for (int i = 0; i < 2; i++) scale_8(scale + 8 * i, unpack_f16(b->d), codes + 8 * i, true);
}

/* Of Q4_K and of Q5_K, whose blocks begin alike. */
INLINE void scales_q4_k(float *scale, float *min, const void *block) {
#if defined(__AVX2__)
    scales_q4_k_avx2(scale, min, block);
#else
    const block_q4_k *b = block;
    float d = unpack_f16(b->d), dmin = unpack_f16(b->dmin);
    for (int k = 0; k < 8; k++) {
        scale[k] = d * (float)q4_k_scale(b->scales, k);
        min[k] = dmin * (float)q4_k_min(b->scales, k);
    }
#endif
}

INLINE void scales_iq4_xs(float *scale, const block_iq4_xs *b) {
    uint8_t codes[8];
    for (int k = 0; k < 8; k++) codes[k] = (uint8_t)iq4_xs_scale(b, k);
    scale_8(scale, unpack_f16(b->d), codes, true);
}

/* The halves at the beginning of n blocks of `step` bytes. */
INLINE void scales_of_halves(float *scale, const void *row, size_t step, size_t n) {
    const char *block = row;
    size_t i = 0;
#if defined(__AVX2__)
    for (; i + 8 <= n; i += 8, block += 8 * step)
        _mm256_storeu_ps(scale + i, halves_8(block, step));
#endif
    for (; i < n; i++, block += step) {
        uint16_t half;
        memcpy(&half, block, 2);
        scale[i] = unpack_f16(half);
    }
}

/* scale[n / group] of the n weights at `row`, and min[n / group] where the type has minima. */
INLINE void unpack_scales(const dtype type, float *scale, float *min, const void *row, size_t n) {
#define SCALES(block_type, size, ...)                          \
    for (size_t i = 0; i < n / (size); i++) {                  \
        const block_type *b = (const block_type *)row + i;     \
        __VA_ARGS__;                                           \
    }                                                          \
    break
    switch (type) {
    case DTYPE_Q4_0: return scales_of_halves(scale, row, sizeof(block_q4_0), n / 32);
    case DTYPE_Q5_0: return scales_of_halves(scale, row, sizeof(block_q5_0), n / 32);
    case DTYPE_Q8_0: return scales_of_halves(scale, row, sizeof(block_q8_0), n / 32);
    case DTYPE_IQ4_NL: return scales_of_halves(scale, row, sizeof(block_iq4_nl), n / 32);
    case DTYPE_Q4_1:
        SCALES(block_q4_1, 32, scale[i] = unpack_f16(b->d), min[i] = -unpack_f16(b->m));
    case DTYPE_Q5_1:
        SCALES(block_q5_1, 32, scale[i] = unpack_f16(b->d); min[i] = -unpack_f16(b->m));
    case DTYPE_Q2_K: SCALES(block_q2_k, 256, scales_q2_k(scale + 16 * i, min + 16 * i, b));
    case DTYPE_Q3_K: SCALES(block_q3_k, 256, scales_q3_k(scale + 16 * i, b));
    case DTYPE_Q4_K: SCALES(block_q4_k, 256, scales_q4_k(scale + 8 * i, min + 8 * i, b));
    case DTYPE_Q5_K: SCALES(block_q5_k, 256, scales_q4_k(scale + 8 * i, min + 8 * i, b));
    case DTYPE_Q6_K:
        SCALES(block_q6_k, 256,
               scale_8(scale + 16 * i, unpack_f16(b->d), (const uint8_t *)b->scales, true);
               scale_8(scale + 16 * i + 8, unpack_f16(b->d), (const uint8_t *)b->scales + 8, true));
    case DTYPE_IQ4_XS: SCALES(block_iq4_xs, 256, scales_iq4_xs(scale + 8 * i, b));
    default: break;
    }
#undef SCALES
}

/* As unpack_scales, with a minimum for every group: that of the type, or what takes `zero` off the
 * codes again. */
INLINE void unpack_scales_and_minima(const dtype type, float *scale, float *min, float zero,
                                     const void *row, size_t n) {
    const unpack_traits traits = unpack_traits_of(type);
    unpack_scales(type, scale, min, row, n);
    if (!traits.has_min)
        for (size_t g = 0; g < n / traits.group; g++) min[g] = zero * scale[g];
}

/* --- codes --- */

#if !defined(__AVX2__)

INLINE void codes_of_nibbles(uint8_t *restrict q, const uint8_t *restrict qs, int n) {
    for (int j = 0; j < n; j++) q[j] = qs[j] & 15;
    for (int j = 0; j < n; j++) q[j + n] = qs[j] >> 4;
}

INLINE void codes_of_iq4(uint8_t *restrict q, const uint8_t *restrict qs) {
    for (int j = 0; j < 16; j++) {
        q[j] = (uint8_t)iq4_values[qs[j] & 15];
        q[j + 16] = (uint8_t)iq4_values[qs[j] >> 4];
    }
}

INLINE void codes_of_five_bits(uint8_t *restrict q, const uint8_t *restrict qs, uint32_t high) {
    codes_of_nibbles(q, qs, 16);
    for (int j = 0; j < 32; j++) q[j] |= (high >> j & 1) << 4;
}

INLINE void codes_q2_k(uint8_t *restrict q, const block_q2_k *b) {
    for (int k = 0; k < 8; k++)
        for (int l = 0; l < 32; l++) q[32 * k + l] = b->qs[k / 4 * 32 + l] >> k % 4 * 2 & 3;
}

INLINE void codes_q3_k(uint8_t *restrict q, const block_q3_k *b) {
    for (int k = 0; k < 8; k++)
        for (int l = 0; l < 32; l++)
            q[32 * k + l] =
                (b->qs[k / 4 * 32 + l] >> k % 4 * 2 & 3) | (b->hmask[l] >> k & 1) << 2;
}

INLINE void codes_q5_k(uint8_t *restrict q, const block_q5_k *b) {
    for (int c = 0; c < 4; c++) codes_of_nibbles(q + 64 * c, b->qs + 32 * c, 32);
    for (int k = 0; k < 8; k++)
        for (int l = 0; l < 32; l++) q[32 * k + l] |= (b->qh[l] >> k & 1) << 4;
}

INLINE void codes_q6_k(uint8_t *restrict q, const block_q6_k *b) {
    for (int h = 0; h < 2; h++) {
        codes_of_nibbles(q + 128 * h, b->ql + 64 * h, 64);
        for (int s = 0; s < 4; s++)
            for (int l = 0; l < 32; l++)
                q[128 * h + 32 * s + l] |= (b->qh[32 * h + l] >> 2 * s & 3) << 4;
    }
}

#endif

/* q[n] = the codes of the n weights at `row`, plus `bias` with wrap-around. */
INLINE void unpack_codes(const dtype type, uint8_t *restrict q, const void *row, size_t n,
                         const uint8_t bias) {
#if defined(__AVX2__)
    const __m256i offset = _mm256_set1_epi8((char)bias);
    const unpack_traits traits = unpack_traits_of(type);
    for (size_t k = 0; k < n; k += traits.block, row = (const char *)row + traits.block_bytes)
#pragma GCC unroll 8
        for (int j = 0; j < traits.block / 32; j++)
            _mm256_storeu_si256((void *)(q + k + 32 * j),
                                _mm256_add_epi8(codes_32(type, row, j), offset));
#else
#define CODES(block_type, size, ...)                           \
    for (size_t i = 0; i < n / (size); i++) {                  \
        const block_type *b = (const block_type *)row + i;     \
        uint8_t *to = q + i * (size);                          \
        __VA_ARGS__;                                           \
    }                                                          \
    break
    switch (type) {
    case DTYPE_Q4_0: CODES(block_q4_0, 32, codes_of_nibbles(to, b->qs, 16));
    case DTYPE_Q4_1: CODES(block_q4_1, 32, codes_of_nibbles(to, b->qs, 16));
    case DTYPE_Q5_0: CODES(block_q5_0, 32, codes_of_five_bits(to, b->qs, b->qh));
    case DTYPE_Q5_1: CODES(block_q5_1, 32, codes_of_five_bits(to, b->qs, b->qh));
    case DTYPE_Q8_0: CODES(block_q8_0, 32, memcpy(to, b->qs, 32));
    case DTYPE_IQ4_NL: CODES(block_iq4_nl, 32, codes_of_iq4(to, b->qs));
    case DTYPE_Q2_K: CODES(block_q2_k, 256, codes_q2_k(to, b));
    case DTYPE_Q3_K: CODES(block_q3_k, 256, codes_q3_k(to, b));
    case DTYPE_Q4_K:
        CODES(block_q4_k, 256,
              for (int c = 0; c < 4; c++) codes_of_nibbles(to + 64 * c, b->qs + 32 * c, 32));
    case DTYPE_Q5_K: CODES(block_q5_k, 256, codes_q5_k(to, b));
    case DTYPE_Q6_K: CODES(block_q6_k, 256, codes_q6_k(to, b));
    case DTYPE_IQ4_XS:
        CODES(block_iq4_xs, 256,
              for (int k = 0; k < 8; k++) codes_of_iq4(to + 32 * k, b->qs + 16 * k));
    default: break;
    }
#undef CODES
    if (bias)
        for (size_t i = 0; i < n; i++) q[i] += bias;
#endif
}

#endif
