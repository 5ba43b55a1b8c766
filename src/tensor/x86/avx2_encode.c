/* The block encoders on AVX2: vectors of eight. */
#include "tensor/x86/avx2_vec.h"
#include "tensor/x86/encode_x86.h"

typedef __m256 mask;

INLINE mask v_greater(vec a, vec b) { return _mm256_cmp_ps(a, b, _CMP_GT_OQ); }
INLINE vec v_pick(mask m, vec a, vec b) { return _mm256_blendv_ps(b, a, m); }
INLINE vec v_truncate(vec v) { return _mm256_round_ps(v, _MM_FROUND_TO_ZERO | _MM_FROUND_NO_EXC); }

INLINE float v_lowest(vec v) {
    __m128 four = _mm_min_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    __m128 two = _mm_min_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_min_ss(two, _mm_movehdup_ps(two)));
}

INLINE float v_highest(vec v) {
    __m128 four = _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)));
}

INLINE void v_store_codes(uint8_t *p, vec v) {
    const __m128i low_bytes = _mm_set1_epi32(0x0c080400);
    __m256i whole = _mm256_cvttps_epi32(v);
    __m128i low = _mm_shuffle_epi8(_mm256_castsi256_si128(whole), low_bytes);
    __m128i high = _mm_shuffle_epi8(_mm256_extracti128_si256(whole, 1), low_bytes);
    _mm_storel_epi64((__m128i *)p, _mm_unpacklo_epi32(low, high));
}

INLINE void v_store_halves(uint8_t *p, vec v) {
    _mm_storeu_si128((__m128i *)p, _mm256_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT));
}

/* Packing works within halves of a register, which leaves groups of four in a strange order. */
INLINE codes codes_from(const vec *v) {
    const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
    __m256i first = _mm256_packs_epi32(_mm256_cvttps_epi32(v[0]), _mm256_cvttps_epi32(v[1]));
    __m256i second = _mm256_packs_epi32(_mm256_cvttps_epi32(v[2]), _mm256_cvttps_epi32(v[3]));
    return _mm256_permutevar8x32_epi32(_mm256_packus_epi16(first, second), order);
}

#include "tensor/encode_formats.h"

void kernels_fill_avx2_encode(kernels *k) { fill_encoders(k); }
