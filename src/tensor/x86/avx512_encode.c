/* The block encoders on AVX-512 F, BW, DQ, VL: vectors of sixteen. */
#include "tensor/x86/avx512_vec.h"
#include "tensor/x86/encode_x86.h"

typedef __mmask16 mask;

INLINE mask v_greater(vec a, vec b) { return _mm512_cmp_ps_mask(a, b, _CMP_GT_OQ); }
INLINE vec v_pick(mask m, vec a, vec b) { return _mm512_mask_blend_ps(m, b, a); }
INLINE float v_lowest(vec v) { return _mm512_reduce_min_ps(v); }
INLINE float v_highest(vec v) { return _mm512_reduce_max_ps(v); }

INLINE vec v_truncate(vec v) {
    return _mm512_roundscale_ps(v, _MM_FROUND_TO_ZERO | _MM_FROUND_NO_EXC);
}

INLINE __m128i to_bytes(vec v) { return _mm512_cvtepi32_epi8(_mm512_cvttps_epi32(v)); }
INLINE void v_store_codes(uint8_t *p, vec v) { _mm_storeu_si128((__m128i *)p, to_bytes(v)); }
INLINE codes codes_from(const vec *v) { return _mm256_set_m128i(to_bytes(v[1]), to_bytes(v[0])); }

INLINE void v_store_halves(uint8_t *p, vec v) {
    _mm256_storeu_si256((__m256i *)p, _mm512_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT));
}

#include "tensor/encode_formats.h"

void kernels_fill_avx512_encode(kernels *k) { fill_encoders(k); }
