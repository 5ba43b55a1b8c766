/* Vectors of 16 floats on AVX-512 F, BW, DQ, VL, as tensor/float_kernels.h wants them. */
#ifndef TENSOR_X86_AVX512_VEC_H
#define TENSOR_X86_AVX512_VEC_H

#include <immintrin.h>

#include "tensor/kernels_int.h"

typedef __m512 vec;
enum { LANES = 16, TILE_TOKENS = 6 };

INLINE __mmask16 first_lanes(size_t n) { return (__mmask16)((1u << n) - 1); }

INLINE vec v_set(float a) { return _mm512_set1_ps(a); }
INLINE vec v_load(const float *p) { return _mm512_loadu_ps(p); }
INLINE vec v_load_n(const float *p, size_t n) { return _mm512_maskz_loadu_ps(first_lanes(n), p); }
INLINE void v_store(float *p, vec v) { _mm512_storeu_ps(p, v); }
INLINE void v_store_n(float *p, vec v, size_t n) { _mm512_mask_storeu_ps(p, first_lanes(n), v); }
INLINE vec v_add(vec a, vec b) { return _mm512_add_ps(a, b); }
INLINE vec v_sub(vec a, vec b) { return _mm512_sub_ps(a, b); }
INLINE vec v_mul(vec a, vec b) { return _mm512_mul_ps(a, b); }
INLINE vec v_div(vec a, vec b) { return _mm512_div_ps(a, b); }
INLINE vec v_fma(vec a, vec b, vec c) { return _mm512_fmadd_ps(a, b, c); }
INLINE vec v_max(vec a, vec b) { return _mm512_max_ps(a, b); }
INLINE vec v_min(vec a, vec b) { return _mm512_min_ps(a, b); }

INLINE vec v_round(vec v) {
    return _mm512_roundscale_ps(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}

INLINE vec v_scale(vec v, vec n) { return _mm512_scalef_ps(v, n); }
INLINE vec v_from_f16(const void *p) { return _mm512_cvtph_ps(_mm256_loadu_si256(p)); }

INLINE vec v_from_bf16(const void *p) {
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_loadu_si256(p)), 16));
}

INLINE vec v_from_i8(const void *p) {
    return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128(p)));
}

INLINE __m128 sum_quarters(vec v) {
    __m256 half = _mm256_add_ps(_mm512_castps512_ps256(v), _mm512_extractf32x8_ps(v, 1));
    return _mm_add_ps(_mm256_castps256_ps128(half), _mm256_extractf128_ps(half, 1));
}

INLINE void v_sum4(float out[4], vec a, vec b, vec c, vec d) {
    _mm_storeu_ps(out, _mm_hadd_ps(_mm_hadd_ps(sum_quarters(a), sum_quarters(b)),
                                   _mm_hadd_ps(sum_quarters(c), sum_quarters(d))));
}

#endif
