/* The block encoders on AVX2: vectors of eight. */
#include <immintrin.h>

#include "tensor/kernels_int.h"

typedef __m256 vec;
typedef __m256 mask;
enum { LANES = 8 };

INLINE vec v_set(float a) { return _mm256_set1_ps(a); }
INLINE vec v_load(const float *p) { return _mm256_loadu_ps(p); }
INLINE void v_store(float *p, vec v) { _mm256_storeu_ps(p, v); }
INLINE vec v_min(vec a, vec b) { return _mm256_min_ps(a, b); }
INLINE vec v_max(vec a, vec b) { return _mm256_max_ps(a, b); }
INLINE mask v_greater(vec a, vec b) { return _mm256_cmp_ps(a, b, _CMP_GT_OQ); }
INLINE vec v_pick(mask m, vec a, vec b) { return _mm256_blendv_ps(b, a, m); }

INLINE vec v_round(vec v) {
    return _mm256_round_ps(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}

INLINE vec v_truncate(vec v) { return _mm256_round_ps(v, _MM_FROUND_TO_ZERO | _MM_FROUND_NO_EXC); }

INLINE void v_store_codes(uint8_t *p, vec v) {
    const __m128i low_bytes = _mm_set1_epi32(0x0c080400);
    __m256i whole = _mm256_cvttps_epi32(v);
    __m128i low = _mm_shuffle_epi8(_mm256_castsi256_si128(whole), low_bytes);
    __m128i high = _mm_shuffle_epi8(_mm256_extracti128_si256(whole, 1), low_bytes);
    _mm_storel_epi64((__m128i *)p, _mm_unpacklo_epi32(low, high));
}

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

INLINE void v_store_halves(uint8_t *p, vec v) {
    _mm_storeu_si128((__m128i *)p, _mm256_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT));
}

INLINE uint16_t half_bits(float x) { return _cvtss_sh(x, _MM_FROUND_TO_NEAREST_INT); }
INLINE float half_value(uint16_t h) { return _cvtsh_ss(h); }

#include "tensor/encode_formats.h"

static void encode_row_avx2(dtype type, void *row, const float *x, size_t n,
                            const float *importance) {
    encode_row_lanes(type, row, x, n, importance);
}

static bool all_within_avx2(const float *x, size_t n, float low, float high) {
    return all_within_lanes(x, n, low, high);
}

void kernels_fill_avx2_encode(kernels *k) {
    k->encode_row = encode_row_avx2;
    k->all_within = all_within_avx2;
}
