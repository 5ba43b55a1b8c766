/* What the block encoders of all x86 sets need beside their vectors (tensor/encode_lanes.h):
 * halves, and the 32 codes of a block in one register. */
#ifndef TENSOR_X86_ENCODE_X86_H
#define TENSOR_X86_ENCODE_X86_H

#include <immintrin.h>

#include "tensor/kernels_int.h"

INLINE uint16_t half_bits(float x) { return _cvtss_sh(x, _MM_FROUND_TO_NEAREST_INT); }
INLINE float half_value(uint16_t h) { return _cvtsh_ss(h); }

typedef __m256i codes;

INLINE codes codes_load(const uint8_t *q) { return _mm256_loadu_si256((const __m256i *)q); }

INLINE void codes_store_nibbles(uint8_t *qs, codes q) {
    const __m128i low_bits = _mm_set1_epi8(15);
    __m128i low = _mm_and_si128(_mm256_castsi256_si128(q), low_bits);
    __m128i high = _mm_and_si128(_mm256_extracti128_si256(q, 1), low_bits);
    _mm_storeu_si128((__m128i *)qs, _mm_or_si128(low, _mm_slli_epi16(high, 4)));
}

INLINE uint32_t codes_fifth_bits(codes q) {
    return (uint32_t)_mm256_movemask_epi8(_mm256_slli_epi16(q, 3));
}

#endif
