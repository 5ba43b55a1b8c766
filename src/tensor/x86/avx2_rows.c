/* Products in 8 bits with few tokens on AVX2: dot_rows. Rows one after the other, codes from the
 * blocks straight into registers; eight groups of weights that have a scale each are an *octet*.
 *
 * vpmaddubsw multiplies 32 codes with 32 activations. Its sums of two are added up by a tree of
 * shuffles until every lane holds the product of one group, in 16 bits as long as they fit. Then
 * scales, minima and the activations' scales of an octet are vectors as they lie in memory, and an
 * octet costs one conversion and two multiply-adds, whatever its type. (Those share the ports of
 * the integer multiplications; shuffles and additions do not.)
 *
 * Several tokens: the codes of an octet are unpacked once. Lane g of an output's sum adds the
 * octets from first to last, for any number of tokens. */
#include "tensor/x86/pack.h"

enum { MOST_TOKENS = 8, OCTET_VECTORS = 8 };

/* --- eight groups --- */

/* How many levels of the tree fit 16 bits, when a code is at most `max`; signed ones are widened
 * at once. */
INLINE int narrow_levels(const unpack_traits traits) {
    if (traits.is_signed) return 0;
    return traits.max > 31 ? 1 : traits.max > 15 ? 2 : 3;
}

/* Sums of two products of 32 codes and activations. Signed codes leave their sign to the
 * activations, since vpmaddubsw wants unsigned ones. */
INLINE __m256i dot_pairs(__m256i w, const int8_t *q, const bool is_signed) {
    __m256i x = _mm256_loadu_si256((const void *)q);
    return is_signed ? _mm256_maddubs_epi16(_mm256_abs_epi8(w), _mm256_sign_epi8(x, w))
                     : _mm256_maddubs_epi16(w, x);
}

/* Half as many vectors: words of 32 bits that stand for the same group meet and are added. */
INLINE __m256i join(__m256i a, __m256i b, const int level, const bool wide) {
    __m256i first = level == 0   ? _mm256_unpacklo_epi32(a, b)
                    : level == 1 ? _mm256_unpacklo_epi64(a, b)
                                 : _mm256_permute2x128_si256(a, b, 0x20);
    __m256i second = level == 0   ? _mm256_unpackhi_epi32(a, b)
                     : level == 1 ? _mm256_unpackhi_epi64(a, b)
                                  : _mm256_permute2x128_si256(a, b, 0x31);
    return wide ? _mm256_add_epi32(first, second) : _mm256_add_epi16(first, second);
}

/* Lane g = the product of group g, of the sums of two that fill eight vectors (groups of 32) or
 * four (groups of 16). */
INLINE __m256 sum_groups(__m256i v[OCTET_VECTORS], const unpack_traits traits) {
    const __m256i ones = _mm256_set1_epi16(1);
    const int levels = traits.group == 32 ? 3 : 2, narrow = narrow_levels(traits);
    int n = 1 << levels;
#pragma GCC unroll 4
    for (int level = 0; level < levels; level++) {
        for (int i = 0; i < n && level == narrow; i++) v[i] = _mm256_madd_epi16(v[i], ones);
        n /= 2;
#pragma GCC unroll 4
        for (int i = 0; i < n; i++) v[i] = join(v[2 * i], v[2 * i + 1], level, level >= narrow);
    }
    if (narrow >= levels) v[0] = _mm256_madd_epi16(v[0], ones);
    if (traits.group == 16) /* even groups stand in the lower half, odd ones in the upper */
        v[0] = _mm256_permutevar8x32_epi32(v[0], _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
    return _mm256_cvtepi32_ps(v[0]);
}

INLINE __m256 load_first(const float *p, size_t n) {
    if (n >= 8) return _mm256_loadu_ps(p);
    __m256i lanes = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    return _mm256_maskload_ps(p, _mm256_cmpgt_epi32(_mm256_set1_epi32((int)n), lanes));
}

/* The activations' scales of eight groups, the first n of which exist. */
INLINE __m256 activation_scales(const float *scale, const unpack_traits traits, size_t n) {
    if (traits.group == 32) return load_first(scale, n);
    __m256i twice = _mm256_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3);
    return _mm256_permutevar8x32_ps(_mm256_castps128_ps256(_mm_loadu_ps(scale)), twice);
}

/* --- rows --- */

/* Tokens from one column on, and where the same column of the next token is. */
typedef struct columns {
    const int8_t *q;
    const float *scale, *sum; /* sum: of each group */
    size_t q_stride, scale_stride, sum_stride;
} columns;

/* sum[i] += the products of an octet, of which the first n groups exist. `blocks` holds it from
 * its vector `first` on. */
INLINE void dot_octet(__m256 sum[], const dtype type, const char *blocks, const int first,
                      const float *scales, const float *minima, const size_t n, const columns *x,
                      const size_t tokens) {
    const unpack_traits traits = unpack_traits_of(type);
    const int vectors = traits.group == 32 ? 8 : 4;
    const __m256 scale = load_first(scales, n), min = load_first(minima, n);
    __m256i codes[OCTET_VECTORS];
#pragma GCC unroll 8
    for (int j = 0; j < vectors; j++) {
        const int at = 32 * (first + j);
        codes[j] = (size_t)j * 32 / traits.group < n
                       ? codes_32(type, blocks + at / traits.block * traits.block_bytes,
                                  at % traits.block / 32)
                       : _mm256_setzero_si256();
    }
    for (size_t i = 0; i < tokens; i++) {
        __m256i v[OCTET_VECTORS];
#pragma GCC unroll 8
        for (int j = 0; j < vectors; j++)
            v[j] = (size_t)j * 32 / traits.group < n
                       ? dot_pairs(codes[j], x->q + i * x->q_stride + 32 * j, traits.is_signed)
                       : _mm256_setzero_si256();
        const __m256 factor = _mm256_mul_ps(
            scale, activation_scales(x->scale + i * x->scale_stride, traits, n));
        if (!traits.is_signed)
            sum[i] = _mm256_fnmadd_ps(min, load_first(x->sum + i * x->sum_stride, n), sum[i]);
        sum[i] = _mm256_fmadd_ps(sum_groups(v, traits), factor, sum[i]);
    }
}

INLINE float sum_lanes(__m256 v) {
    __m128 four = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    four = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(four, _mm_movehdup_ps(four)));
}

/* sum[i] += the products of `width` columns, 256 of them or the last ones of a row. */
INLINE void dot_columns(__m256 sum[], const dtype type, const char *blocks, const size_t width,
                        columns x, const size_t tokens) {
    const unpack_traits traits = unpack_traits_of(type);
    _Alignas(32) float scale[16], min[16];
    unpack_scales_and_minima(type, scale, min, traits.zero, blocks, width);
    if (traits.group == 32) {
        dot_octet(sum, type, blocks, 0, scale, min, width / 32, &x, tokens);
        return;
    }
    dot_octet(sum, type, blocks, 0, scale, min, 8, &x, tokens);
    x.q += 128;
    x.scale += 4;
    x.sum += 8;
    dot_octet(sum, type, blocks, 4, scale + 8, min + 8, 8, &x, tokens);
}

INLINE void dot_row(float *y, size_t y_stride, const dtype type, const char *row, size_t n,
                    columns x, const size_t tokens) {
    const unpack_traits traits = unpack_traits_of(type);
    __m256 sum[MOST_TOKENS];
    for (size_t i = 0; i < tokens; i++) sum[i] = _mm256_setzero_ps();
    for (; n >= 256; n -= 256, row += 256 / traits.block * traits.block_bytes) {
        dot_columns(sum, type, row, 256, x, tokens);
        x.q += 256;
        x.scale += 8;
        x.sum += 256 / traits.group;
    }
    if (n && traits.block == 32) dot_columns(sum, type, row, n, x, tokens);
    for (size_t i = 0; i < tokens; i++) y[i * y_stride] = sum_lanes(sum[i]);
}

INLINE void dot_rows_of(float *y, size_t y_stride, const dtype type, const char *row,
                        size_t row_bytes, size_t n_rows, const activations *x) {
    const size_t n = x->n_in, groups = n / unpack_traits_of(type).group;
    const float *sums = unpack_traits_of(type).group == 32 ? x->sum32 : x->sum16;
    for (size_t t = 0; t < x->n_tokens; t += MOST_TOKENS) {
        const size_t rest = x->n_tokens - t, tokens = rest < MOST_TOKENS ? rest : MOST_TOKENS;
        const columns in = {x->q + t * n, x->scale + t * n / 32, sums + t * groups,
                            n, n / 32, groups};
        float *out = y + t * y_stride;
        const char *from = row;
        for (size_t r = 0; r < n_rows; r++, from += row_bytes, out++)
            if (tokens == 1)
                dot_row(out, y_stride, type, from, n, in, 1);
            else
                dot_row(out, y_stride, type, from, n, in, tokens);
    }
}

static void dot_rows_avx2(float *y, size_t y_stride, dtype type, const void *rows,
                          size_t row_bytes, size_t n_rows, const activations *x, void *scratch) {
    (void)scratch;
#define DOT_ROWS(block_type) dot_rows_of(y, y_stride, block_type, rows, row_bytes, n_rows, x)
    FOR_BLOCK_TYPE(type, DOT_ROWS)
#undef DOT_ROWS
}

void kernels_fill_avx2_rows(kernels *k) { k->dot_rows = dot_rows_avx2; }
