/* The codes of 32 weights in one AVX2 register, and the scales of blocks. */
#ifndef TENSOR_X86_CODES_H
#define TENSOR_X86_CODES_H

#include <immintrin.h>
#include <string.h>

#include "tensor/blocks.h"
#include "tensor/kernels_int.h"

typedef __m256i raw_codes;

INLINE __m256i load_32(const uint8_t *p) { return _mm256_loadu_si256((const void *)p); }

INLINE __m256i or_32(__m256i a, __m256i b) { return _mm256_or_si256(a, b); }

INLINE __m256i and_bytes(__m256i v, int mask) {
    return _mm256_and_si256(v, _mm256_set1_epi8((char)mask));
}

/* Every byte's bits `mask` >> by, brought down; or up where `by` is negative. The bits that shifts
 * of words drag over from the next byte fall outside the mask. */
INLINE __m256i bits_of_bytes(__m256i v, const int by, const int mask) {
    if (by > 0) v = _mm256_srli_epi16(v, by);
    if (by < 0) v = _mm256_slli_epi16(v, -by);
    return and_bytes(v, mask);
}

/* Low nibbles of 16 bytes, and then their high ones. */
INLINE __m256i nibbles_32(const uint8_t *qs) {
    __m256i twice = _mm256_broadcastsi128_si256(_mm_loadu_si128((const void *)qs));
    return and_bytes(_mm256_srlv_epi32(twice, _mm256_setr_epi32(0, 0, 0, 0, 4, 4, 4, 4)), 15);
}

INLINE __m256i iq4_32(const uint8_t *qs) {
    __m256i values = _mm256_broadcastsi128_si256(_mm_loadu_si128((const void *)iq4_values));
    return _mm256_shuffle_epi8(values, nibbles_32(qs));
}

/* Bit j of `bits` as 16 in byte j. */
INLINE __m256i fifth_bits(uint32_t bits) {
    const __m256i byte_of = _mm256_setr_epi64x(0, 0x0101010101010101, 0x0202020202020202,
                                               0x0303030303030303);
    const __m256i bit_of = _mm256_set1_epi64x((long long)0x8040201008040201);
    __m256i bytes = _mm256_shuffle_epi8(_mm256_set1_epi32((int)bits), byte_of);
    return and_bytes(_mm256_cmpeq_epi8(_mm256_and_si256(bytes, bit_of), bit_of), 16);
}

#include "tensor/codes_32.h"

/* --- scales --- */

/* The `d` of eight blocks that lie `step` bytes apart. */
INLINE __m256 halves_8(const void *first, size_t step) {
    const char *p = first;
    uint16_t h[8];
    for (int i = 0; i < 8; i++) memcpy(&h[i], p + i * step, 2);
    return _mm256_cvtph_ps(_mm_setr_epi16((short)h[0], (short)h[1], (short)h[2], (short)h[3],
                                          (short)h[4], (short)h[5], (short)h[6], (short)h[7]));
}

INLINE __m256 floats_of_bytes(__m128i eight, const bool is_signed) {
    return _mm256_cvtepi32_ps(is_signed ? _mm256_cvtepi8_epi32(eight)
                                        : _mm256_cvtepu8_epi32(eight));
}

/* Of the first 16 bytes of two blocks of Q4_K or Q5_K (d, dmin and twelve bytes of squeezed scales
 * and minima) eight bytes of each (q4_k_scale, q4_k_min in tensor/blocks.h). */
INLINE __m256i scale_codes_of_heads_q4_k(__m256i heads) {
    const __m256i low_at = _mm256_broadcastsi128_si256(
        _mm_setr_epi8(4, 5, 6, 7, 12, 13, 14, 15, 8, 9, 10, 11, 12, 13, 14, 15));
    const __m256i high_at = _mm256_broadcastsi128_si256(
        _mm_setr_epi8(-1, -1, -1, -1, 4, 5, 6, 7, -1, -1, -1, -1, 8, 9, 10, 11));
    const __m256i low_mask = _mm256_set1_epi64x(0x0f0f0f0f3f3f3f3f);
    const __m256i shift = _mm256_setr_epi32(0, 0, 0, 4, 0, 0, 0, 4);
    __m256i low = _mm256_srlv_epi32(_mm256_shuffle_epi8(heads, low_at), shift);
    __m256i high = _mm256_srli_epi32(_mm256_shuffle_epi8(heads, high_at), 2);
    return _mm256_or_si256(_mm256_and_si256(low, low_mask),
                           _mm256_and_si256(high, _mm256_set1_epi32(0x30303030)));
}

INLINE __m128i scale_codes_q4_k(const void *block) {
    __m256i head = _mm256_castsi128_si256(_mm_loadu_si128(block));
    return _mm256_castsi256_si128(scale_codes_of_heads_q4_k(head));
}

INLINE void scale_codes_q3_k(uint8_t codes[16], const uint8_t scales[12]) {
    for (int k = 0; k < 16; k++) codes[k] = (uint8_t)q3_k_scale(scales, k);
}

INLINE void scale_codes_iq4_xs(uint8_t codes[8], const block_iq4_xs *b) {
    for (int k = 0; k < 8; k++) codes[k] = (uint8_t)iq4_xs_scale(b, k);
}

INLINE void scales_q4_k_avx2(float *scale, float *min, const void *block) {
    __m128i codes = scale_codes_q4_k(block);
    __m128 factors = _mm_cvtph_ps(_mm_loadl_epi64(block));
    __m256 d = _mm256_broadcastss_ps(factors);
    __m256 dmin = _mm256_broadcastss_ps(_mm_movehdup_ps(factors));
    _mm256_storeu_ps(scale, _mm256_mul_ps(d, floats_of_bytes(codes, false)));
    codes = _mm_unpackhi_epi64(codes, codes);
    _mm256_storeu_ps(min, _mm256_mul_ps(dmin, floats_of_bytes(codes, false)));
}

#endif
