/* Activations in 8 bits on AVX2. */
#include <immintrin.h>

#include "tensor/kernels_int.h"

INLINE int sum_of_bytes(__m128i q) {
    __m128i sums = _mm_madd_epi16(_mm_maddubs_epi16(_mm_set1_epi8(1), q), _mm_set1_epi16(1));
    sums = _mm_add_epi32(sums, _mm_unpackhi_epi64(sums, sums));
    return _mm_cvtsi128_si32(sums) + _mm_extract_epi32(sums, 1);
}

static void quantise_row_avx2(int8_t *q, float *scale, float *sum32, float *sum16, const float *x,
                              size_t n) {
    const __m256i magnitude = _mm256_set1_epi32(0x7fffffff);
    const __m256i in_order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
    for (size_t b = 0; b < n / 32; b++, x += 32, q += 32) {
        __m256 v[4];
        __m256i largest = _mm256_setzero_si256(); /* as bits, above which NaN stands */
        for (int i = 0; i < 4; i++) {
            v[i] = _mm256_loadu_ps(x + 8 * i);
            largest = _mm256_max_epi32(_mm256_and_si256(_mm256_castps_si256(v[i]), magnitude),
                                       largest);
        }
        __m128i four =
            _mm_max_epi32(_mm256_castsi256_si128(largest), _mm256_extracti128_si256(largest, 1));
        four = _mm_max_epi32(four, _mm_unpackhi_epi64(four, four));
        four = _mm_max_epi32(four, _mm_shuffle_epi32(four, 1));
        float most = _mm_cvtss_f32(_mm_castsi128_ps(four));
        float s = most < 1e-35f ? 0.0f : most / 127.0f;
        __m256 inverse = _mm256_set1_ps(s > 0 ? 1.0f / s : 0.0f);
        __m256i whole[4];
        for (int i = 0; i < 4; i++) whole[i] = _mm256_cvtps_epi32(_mm256_mul_ps(v[i], inverse));
        __m256i codes = _mm256_packs_epi16(_mm256_packs_epi32(whole[0], whole[1]),
                                           _mm256_packs_epi32(whole[2], whole[3]));
        codes = _mm256_permutevar8x32_epi32(codes, in_order);
        _mm256_storeu_si256((void *)q, codes);
        int first = sum_of_bytes(_mm256_castsi256_si128(codes));
        int second = sum_of_bytes(_mm256_extracti128_si256(codes, 1));
        scale[b] = s;
        sum32[b] = s * (float)(first + second);
        sum16[2 * b] = s * (float)first;
        sum16[2 * b + 1] = s * (float)second;
    }
}

void kernels_fill_avx2_quant(kernels *k) {
    k->quantise_row = quantise_row_avx2;
}
