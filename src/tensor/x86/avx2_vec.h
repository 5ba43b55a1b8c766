/* Vectors of 8 floats on AVX2, FMA and F16C, as tensor/float_kernels.h wants them. */
#ifndef TENSOR_X86_AVX2_VEC_H
#define TENSOR_X86_AVX2_VEC_H

#include <immintrin.h>

#include "tensor/kernels_int.h"

typedef __m256 vec;
enum { LANES = 8, TILE_TOKENS = 3 };

/* All ones in the first n < 8 lanes. */
INLINE __m256i first_lanes(size_t n) {
    return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}

INLINE vec v_set(float a) { return _mm256_set1_ps(a); }
INLINE vec v_load(const float *p) { return _mm256_loadu_ps(p); }
INLINE vec v_load_n(const float *p, size_t n) { return _mm256_maskload_ps(p, first_lanes(n)); }
INLINE void v_store(float *p, vec v) { _mm256_storeu_ps(p, v); }
INLINE void v_store_n(float *p, vec v, size_t n) { _mm256_maskstore_ps(p, first_lanes(n), v); }
INLINE vec v_add(vec a, vec b) { return _mm256_add_ps(a, b); }
INLINE vec v_sub(vec a, vec b) { return _mm256_sub_ps(a, b); }
INLINE vec v_mul(vec a, vec b) { return _mm256_mul_ps(a, b); }
INLINE vec v_div(vec a, vec b) { return _mm256_div_ps(a, b); }
INLINE vec v_fma(vec a, vec b, vec c) { return _mm256_fmadd_ps(a, b, c); }
INLINE vec v_max(vec a, vec b) { return _mm256_max_ps(a, b); }
INLINE vec v_min(vec a, vec b) { return _mm256_min_ps(a, b); }

INLINE vec v_round(vec v) {
    return _mm256_round_ps(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}

/* In two steps, each of which is a normal number. */
INLINE vec v_scale(vec v, vec n) {
    __m256i whole = _mm256_cvtps_epi32(n), half = _mm256_srai_epi32(whole, 1);
    __m256i bias = _mm256_set1_epi32(127), rest = _mm256_sub_epi32(whole, half);
    __m256i first = _mm256_slli_epi32(_mm256_add_epi32(half, bias), 23);
    __m256i second = _mm256_slli_epi32(_mm256_add_epi32(rest, bias), 23);
    return _mm256_mul_ps(_mm256_mul_ps(v, _mm256_castsi256_ps(first)), _mm256_castsi256_ps(second));
}

INLINE vec v_from_f16(const void *p) { return _mm256_cvtph_ps(_mm_loadu_si128(p)); }

INLINE vec v_from_bf16(const void *p) {
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(_mm_loadu_si128(p)), 16));
}

INLINE vec v_from_i8(const void *p) {
    return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64(p)));
}

INLINE __m128 sum_halves(vec v) {
    return _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
}

INLINE void v_sum4(float out[4], vec a, vec b, vec c, vec d) {
    _mm_storeu_ps(out, _mm_hadd_ps(_mm_hadd_ps(sum_halves(a), sum_halves(b)),
                                   _mm_hadd_ps(sum_halves(c), sum_halves(d))));
}

#endif
