/* The block encoders on AVX-512 F, BW, DQ, VL: vectors of sixteen. */
#include <immintrin.h>

#include "tensor/kernels_int.h"

typedef __m512 vec;
typedef __mmask16 mask;
enum { LANES = 16 };

INLINE vec v_set(float a) { return _mm512_set1_ps(a); }
INLINE vec v_load(const float *p) { return _mm512_loadu_ps(p); }
INLINE void v_store(float *p, vec v) { _mm512_storeu_ps(p, v); }
INLINE vec v_min(vec a, vec b) { return _mm512_min_ps(a, b); }
INLINE vec v_max(vec a, vec b) { return _mm512_max_ps(a, b); }
INLINE mask v_greater(vec a, vec b) { return _mm512_cmp_ps_mask(a, b, _CMP_GT_OQ); }
INLINE vec v_pick(mask m, vec a, vec b) { return _mm512_mask_blend_ps(m, b, a); }

INLINE vec v_round(vec v) {
    return _mm512_roundscale_ps(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}

INLINE vec v_truncate(vec v) {
    return _mm512_roundscale_ps(v, _MM_FROUND_TO_ZERO | _MM_FROUND_NO_EXC);
}

INLINE void v_store_codes(uint8_t *p, vec v) {
    _mm_storeu_si128((__m128i *)p, _mm512_cvtepi32_epi8(_mm512_cvttps_epi32(v)));
}

INLINE float v_lowest(vec v) { return _mm512_reduce_min_ps(v); }
INLINE float v_highest(vec v) { return _mm512_reduce_max_ps(v); }

INLINE void v_store_halves(uint8_t *p, vec v) {
    _mm256_storeu_si256((__m256i *)p, _mm512_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT));
}

INLINE uint16_t half_bits(float x) { return _cvtss_sh(x, _MM_FROUND_TO_NEAREST_INT); }
INLINE float half_value(uint16_t h) { return _cvtsh_ss(h); }

#include "tensor/encode_formats.h"

static void encode_row_avx512(dtype type, void *row, const float *x, size_t n,
                              const float *importance) {
    encode_row_lanes(type, row, x, n, importance);
}

static bool all_within_avx512(const float *x, size_t n, float low, float high) {
    return all_within_lanes(x, n, low, high);
}

void kernels_fill_avx512_encode(kernels *k) {
    k->encode_row = encode_row_avx512;
    k->all_within = all_within_avx512;
}
