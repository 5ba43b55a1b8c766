/* Products in 8 bits on AVX-512 VNNI: panels of 32 rows, lanes along the rows.
 *
 * vpdpbusd adds four products of unsigned and signed bytes to a sum in 32 bits; it shares its two
 * pipes with float multiplications, so these count. Beside its eight vpdpbusd a block of 32 columns
 * costs one multiplication for the weights' scale, one for the activations' and one for a minimum.
 *
 * Types without minima get unsigned codes too, 128 above their value: that adds 128 times the sum
 * of the activations' codes, a whole number that each sum begins from. K-quants have two scales for
 * a block, or minima; their weights are rounded to such codes, by at most 0.63 of a 127th of the
 * largest magnitude that the scales of the 256 allow, so that one scale serves 256 columns and a
 * block costs one multiplication. */
#include "tensor/x86/pack.h"

enum { PANEL_ROWS = 32, ZERO = 128 };

typedef enum panel_form { PLAIN, WITH_MINIMA, ROUNDED } panel_form;

INLINE panel_form form_of(const dtype type) {
    const unpack_traits traits = unpack_traits_of(type);
    if (traits.block == PIECE && !traits.is_signed) return ROUNDED;
    return traits.has_min ? WITH_MINIMA : PLAIN;
}

/* Columns that share a scale. */
INLINE size_t columns_of_scale(const panel_form form) { return form == ROUNDED ? PIECE : 32; }

/* What sums over 32 columns begin from, -ZERO · Σ q, in the first half of their place. */
static void sum_codes_vnni(void *sums, const int8_t *q, size_t n) {
    int32_t *begin = sums;
    for (size_t b = 0; b < n / 32; b++, q += 32) {
        __m256i sum = _mm256_dpbusd_epi32(_mm256_setzero_si256(), _mm256_set1_epi8((char)ZERO),
                                          _mm256_loadu_si256((const void *)q));
        __m128i four =
            _mm_add_epi32(_mm256_castsi256_si128(sum), _mm256_extracti128_si256(sum, 1));
        four = _mm_add_epi32(four, _mm_unpackhi_epi64(four, four));
        begin[2 * b] = -(_mm_cvtsi128_si32(four) + _mm_extract_epi32(four, 1));
    }
}

/* --- packing --- */

/* What makes the codes of a K-quant into those of the panel: the upper byte of code · factor +
 * offset, modulo 2^16. */
typedef struct rounding {
    __m512i factor, offset; /* of up to 16 groups, in as many lanes of 16 bits */
} rounding;

/* By halves, as they were stored: a longer load would wait for the stores. */
INLINE __m512 sixteen(const float *p) {
    return _mm512_insertf32x8(_mm512_castps256_ps512(_mm256_load_ps(p)), _mm256_load_ps(p + 8), 1);
}

/* For the groups of a block; returns their scale. NaN counts as larger than anything. */
INLINE float rounding_of(const dtype type, rounding *r, const void *block) {
    const unpack_traits traits = unpack_traits_of(type);
    _Alignas(64) float scale[16] = {0}, min[16] = {0};
    unpack_scales_and_minima(type, scale, min, traits.zero, block, PIECE);
    const __m512 s = sixteen(scale), lowest = sixteen(min);
    const __m512 highest = _mm512_fmsub_ps(s, _mm512_set1_ps(traits.max), lowest);
    const __m512i magnitude = _mm512_set1_epi32(0x7fffffff);
    const int bits = _mm512_reduce_max_epi32(
        _mm512_max_epi32(_mm512_and_si512(_mm512_castps_si512(highest), magnitude),
                         _mm512_and_si512(_mm512_castps_si512(lowest), magnitude)));
    float most;
    memcpy(&most, &bits, sizeof most);
    const __m512 unit = _mm512_set1_ps(most == 0 ? 0 : 256 * 127 / most);
    const __m512i factor = _mm512_cvtps_epi32(_mm512_mul_ps(s, unit));
    const __m512i offset = _mm512_sub_epi32(_mm512_set1_epi32(256 * ZERO + 128),
                                            _mm512_cvtps_epi32(_mm512_mul_ps(lowest, unit)));
    r->factor = _mm512_castsi256_si512(_mm512_cvtepi32_epi16(factor));
    r->offset = _mm512_castsi256_si512(_mm512_cvtepi32_epi16(offset));
    return most / 127;
}

/* The groups' values for 64 weights, two in each lane, from the group `first` on. */
INLINE __m512i spread(__m512i of_groups, const int first, const int group) {
    _Alignas(64) static const uint16_t lanes[32] = {
        0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12, 13, 14, 15,
        16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31};
    const __m512i place = _mm512_srli_epi16(_mm512_load_si512(lanes), group == 32 ? 4 : 3);
    return _mm512_permutexvar_epi16(_mm512_add_epi16(place, _mm512_set1_epi16((short)first)),
                                    of_groups);
}

INLINE __m512i rounded_64(__m512i codes, const rounding *r, const int first, const int group) {
    const __m512i factor = spread(r->factor, first, group);
    const __m512i offset = spread(r->offset, first, group);
    const __m512i low = _mm512_and_si512(codes, _mm512_set1_epi16(0xff));
    const __m512i even = _mm512_add_epi16(_mm512_mullo_epi16(low, factor), offset);
    const __m512i odd = _mm512_add_epi16(
        _mm512_mullo_epi16(_mm512_srli_epi16(codes, 8), factor), offset);
    return _mm512_mask_mov_epi8(_mm512_srli_epi16(even, 8), 0xaaaaaaaaaaaaaaaa, odd);
}

INLINE void pack_rounded(const dtype type, uint8_t *q, const void *block, const rounding *r) {
    const int group = unpack_traits_of(type).group;
#pragma GCC unroll 4
    for (int j = 0; j < PIECE / 32; j += 2) {
        __m512i codes = _mm512_inserti64x4(_mm512_castsi256_si512(codes_32(type, block, j)),
                                           codes_32(type, block, j + 1), 1);
        _mm512_store_si512(q + 32 * j, rounded_64(codes, r, 32 / group * j, group));
    }
}

/* PIECE columns of all rows at a time stay in the first cache. */
INLINE void pack_panel_of(const dtype type, const panel *to, const void *rows, size_t row_bytes,
                          size_t n_rows, size_t n) {
    _Alignas(64) uint8_t q[PANEL_ROWS][PIECE];
    _Alignas(64) float scale[PANEL_ROWS][PIECE / 32], min[PANEL_ROWS][PIECE / 32];
    rounding roundings[PANEL_ROWS];
    const unpack_traits traits = unpack_traits_of(type);
    const panel_form form = form_of(type);
    const uint8_t bias = form == PLAIN ? (uint8_t)(ZERO - traits.zero) : 0;
    memset(q + n_rows, 0, (PANEL_ROWS - n_rows) * sizeof *q);
    memset(scale + n_rows, 0, (PANEL_ROWS - n_rows) * sizeof *scale);
    memset(min + n_rows, 0, (PANEL_ROWS - n_rows) * sizeof *min);
    for (size_t k = 0; k < n; k += PIECE) {
        const size_t width = n - k < PIECE ? n - k : PIECE;
        const size_t groups = form == ROUNDED ? 1 : width / 32;
        const size_t bytes = width / traits.block * traits.block_bytes;
        const char *blocks = (const char *)rows + k / traits.block * traits.block_bytes;
        /* The columns behind these; at last the first ones of the rows behind. */
        const char *next = k + width < n ? blocks + bytes : (const char *)rows + n_rows * row_bytes;
        for (size_t r = 0; r < n_rows && form == ROUNDED; r++)
            scale[r][0] = rounding_of(type, &roundings[r], blocks + r * row_bytes);
        for (size_t r = 0; r < n_rows; r++, blocks += row_bytes, next += row_bytes) {
            for (size_t line = 0; line < bytes; line += 64) __builtin_prefetch(next + line, 0, 3);
            if (form == ROUNDED) {
                pack_rounded(type, q[r], blocks, &roundings[r]);
            } else {
                unpack_codes(type, q[r], blocks, width, bias);
                unpack_scales(type, scale[r], min[r], blocks, width);
            }
        }
        const size_t first = k / columns_of_scale(form) * PANEL_ROWS;
        transpose(to->q + k * PANEL_ROWS, q, PIECE / 4, PANEL_ROWS, width / 4);
        transpose(to->scale + first, scale, PIECE / 32, PANEL_ROWS, groups);
        if (form == WITH_MINIMA) transpose(to->min + first, min, PIECE / 32, PANEL_ROWS, groups);
    }
}

static void pack_panel_vnni(dtype type, const panel *to, const void *rows, size_t row_bytes,
                            size_t n_rows, size_t n) {
#define PACK(T) pack_panel_of(T, to, rows, row_bytes, n_rows, n)
    FOR_BLOCK_TYPE(type, PACK)
#undef PACK
}

/* --- products --- */

enum { TILE_TOKENS = 6 };

INLINE __mmask16 first_lanes(size_t n) { return n >= 16 ? 0xffff : (__mmask16)((1u << n) - 1); }

INLINE __m512i four_codes(const int8_t *q) {
    int32_t four;
    memcpy(&four, q, sizeof four);
    return _mm512_set1_epi32(four);
}

/* 32 rows × 6 tokens: twelve sums in 32 bits and twelve in floats stay in registers. Of rounded
 * weights these are `part`; their `sum` is needed once in 256 columns and may lie in memory. */
INLINE void panel_tile(float *y, size_t y_stride, const panel *rows, size_t n_rows,
                       const activations *x, size_t t, const int tokens, const panel_form form) {
    const size_t n = x->n_in, blocks = n / 32, width = columns_of_scale(form);
    const uint8_t *w = rows->q;
    const float *w_scale = rows->scale, *w_min = rows->min;
    const int8_t *in = x->q + t * n;
    const float *x_scale = x->scale + t * blocks, *x_sum = x->sum32 + t * blocks;
    const int32_t *begin = (const int32_t *)x->sums + t * 2 * blocks;
    __m512 sum[TILE_TOKENS][2], part[TILE_TOKENS][2];
    for (int i = 0; i < tokens; i++) sum[i][0] = sum[i][1] = _mm512_setzero_ps();
    for (size_t k = 0; k < n; k += width) {
        for (int i = 0; i < tokens && form == ROUNDED; i++)
            part[i][0] = part[i][1] = _mm512_setzero_ps();
        for (size_t b = 0; b < width; b += 32) {
            __m512i dot[TILE_TOKENS][2];
            for (int i = 0; i < tokens; i++)
                dot[i][0] = dot[i][1] =
                    _mm512_set1_epi32(form == WITH_MINIMA ? 0 : begin[2 * i * blocks]);
#pragma GCC unroll 8
            for (int s = 0; s < 8; s++) {
                __m512i w0 = _mm512_load_si512(w + 128 * s);
                __m512i w1 = _mm512_load_si512(w + 128 * s + 64);
                for (int i = 0; i < tokens; i++) {
                    __m512i a = four_codes(in + i * n + 4 * s);
                    dot[i][0] = _mm512_dpbusd_epi32(dot[i][0], w0, a);
                    dot[i][1] = _mm512_dpbusd_epi32(dot[i][1], w1, a);
                }
            }
            for (int i = 0; i < tokens; i++) {
                const __m512 factor = _mm512_set1_ps(x_scale[i * blocks]);
                const __m512 total = _mm512_set1_ps(x_sum[i * blocks]);
                for (int v = 0; v < 2; v++) {
                    __m512 d = _mm512_cvtepi32_ps(dot[i][v]);
                    if (form == ROUNDED) {
                        part[i][v] = _mm512_fmadd_ps(d, factor, part[i][v]);
                        continue;
                    }
                    d = _mm512_mul_ps(d, _mm512_load_ps(w_scale + 16 * v));
                    if (form == WITH_MINIMA)
                        sum[i][v] =
                            _mm512_fnmadd_ps(_mm512_load_ps(w_min + 16 * v), total, sum[i][v]);
                    sum[i][v] = _mm512_fmadd_ps(d, factor, sum[i][v]);
                }
            }
            w += 32 * PANEL_ROWS;
            in += 32;
            x_scale++;
            x_sum++;
            begin += 2;
        }
        for (int i = 0; i < tokens && form == ROUNDED; i++)
            for (int v = 0; v < 2; v++)
                sum[i][v] =
                    _mm512_fmadd_ps(part[i][v], _mm512_load_ps(w_scale + 16 * v), sum[i][v]);
        w_scale += PANEL_ROWS;
        w_min += PANEL_ROWS;
    }
    const __mmask16 first = first_lanes(n_rows);
    const __mmask16 second = n_rows > 16 ? first_lanes(n_rows - 16) : 0;
    for (int i = 0; i < tokens; i++) {
        float *out = y + (t + i) * y_stride;
        _mm512_mask_storeu_ps(out, first, sum[i][0]);
        _mm512_mask_storeu_ps(out + 16, second, sum[i][1]);
    }
}

INLINE void panel_tiles(float *y, size_t y_stride, const panel *rows, size_t n_rows,
                        const activations *x, const panel_form form) {
#define PANEL_TILE(tokens) panel_tile(y, y_stride, rows, n_rows, x, t, tokens, form)
    size_t t = 0;
    for (; t + TILE_TOKENS <= x->n_tokens; t += TILE_TOKENS) PANEL_TILE(TILE_TOKENS);
    switch (x->n_tokens - t) {
    case 1: PANEL_TILE(1); break;
    case 2: PANEL_TILE(2); break;
    case 3: PANEL_TILE(3); break;
    case 4: PANEL_TILE(4); break;
    case 5: PANEL_TILE(5); break;
    }
#undef PANEL_TILE
}

static void gemm_panel_vnni(float *y, size_t y_stride, dtype type, const panel *rows,
                            size_t n_rows, const activations *x) {
#define PANEL_TILES(form) panel_tiles(y, y_stride, rows, n_rows, x, form)
    switch (form_of(type)) {
    case PLAIN: PANEL_TILES(PLAIN); break;
    case WITH_MINIMA: PANEL_TILES(WITH_MINIMA); break;
    case ROUNDED: PANEL_TILES(ROUNDED); break;
    }
#undef PANEL_TILES
}

void kernels_fill_avx512_vnni(kernels *k) {
    k->name = "avx512-vnni";
    k->sum_codes = sum_codes_vnni;
    k->gemm_rows = NULL;
    k->panel_rows = PANEL_ROWS;
    k->panel_rounds = true;
    k->pack_panel = pack_panel_vnni;
    k->gemm_panel = gemm_panel_vnni;
}
