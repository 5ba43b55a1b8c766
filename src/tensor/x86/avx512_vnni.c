/* Products in 8 bits on AVX-512 VNNI: vpdpbusd adds four products of unsigned weights and signed
 * activations to a sum in 32 bits. Signed weights are stored 128 above their value, and the minimum
 * takes that off again. */
#include "tensor/x86/pack.h"

enum { PANEL_ROWS = 32, MOST_TOKENS = 8, BIAS = 128 };

/* --- one row, lanes along k --- */

INLINE __mmask16 first_lanes(size_t n) { return n >= 16 ? 0xffff : (__mmask16)((1u << n) - 1); }

/* Codes 64j … 64j + 63 from the block at `blocks` on, as unsigned bytes; the upper half is zero
 * where only `width` weights are left. */
INLINE __m512i codes_64(const dtype type, const void *blocks, const int j, size_t width) {
    const unpack_traits traits = unpack_traits_of(type);
    const char *block = (const char *)blocks + 64 * j / traits.block * traits.block_bytes;
    const int at = 64 * j % traits.block / 32;
    __m512i codes = _mm512_zextsi256_si512(codes_32(type, block, at));
    if (64 * (size_t)(j + 1) <= width) {
        const char *next = traits.block == 32 ? block + traits.block_bytes : block;
        codes = _mm512_inserti64x4(codes, codes_32(type, next, traits.block == 32 ? 0 : at + 1), 1);
    }
    return traits.is_signed ? _mm512_xor_si512(codes, _mm512_set1_epi8(-128)) : codes;
}

INLINE __m512i load_64(const void *p, const int j, size_t width) {
    const char *at = (const char *)p + 64 * j;
    if (64 * (size_t)(j + 1) <= width) return _mm512_loadu_si512(at);
    return _mm512_zextsi256_si512(_mm256_loadu_si256((const void *)at));
}

/* A piece of a row: where its codes lie, and its scales. */
typedef struct row_piece {
    const void *codes;
    const float *scale, *min;
} row_piece;

/* Adds the products of up to 16 groups from column k on with `tokens` tokens from t on. */
INLINE void dot_piece(__m512 sum[][2], __m512 minima[], const dtype source, const size_t group,
                      row_piece w, const activations *x, size_t t, size_t k, size_t width,
                      const int tokens) {
    const size_t n = x->n_in;
    const __mmask16 lanes = first_lanes(width / group);
    const __m512i twice = _mm512_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7);
    __m512 scale[MOST_TOKENS];
    for (int i = 0; i < tokens; i++) {
        const float *x_scale = x->scale + ((t + i) * n + k) / 32;
        const float *x_sum = (group == 32 ? x->sum32 : x->sum16) + ((t + i) * n + k) / group;
        __m512 factors = _mm512_maskz_loadu_ps(first_lanes(width / 32), x_scale);
        if (group == 16) factors = _mm512_permutexvar_ps(twice, factors);
        scale[i] = _mm512_mul_ps(_mm512_loadu_ps(w.scale), factors);
        minima[i] = _mm512_fmadd_ps(_mm512_loadu_ps(w.min), _mm512_maskz_loadu_ps(lanes, x_sum),
                                    minima[i]);
    }
    /* Vector j of 64 weights holds groups 2j, 2j + 1 or 4j … 4j + 3. */
    const __m512i quarters = _mm512_setr_epi32(0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3);
    const __m512i of_group = group == 32 ? _mm512_srli_epi32(quarters, 1) : quarters;
#pragma GCC unroll 8
    for (int j = 0; j < (int)(16 * group / 64); j++) {
        if (64 * (size_t)j >= width) break;
        const __m512i codes =
            source == UNPACKED ? load_64(w.codes, j, width) : codes_64(source, w.codes, j, width);
        const __m512i groups = _mm512_add_epi32(of_group, _mm512_set1_epi32(64 / group * j));
        for (int i = 0; i < tokens; i++) {
            __m512i in = load_64(x->q + (t + i) * n + k, j, width);
            __m512 dot = _mm512_cvtepi32_ps(_mm512_dpbusd_epi32(_mm512_setzero_si512(), codes, in));
            sum[i][j % 2] =
                _mm512_fmadd_ps(dot, _mm512_permutexvar_ps(groups, scale[i]), sum[i][j % 2]);
        }
    }
}

/* One row with `tokens` tokens from t on. `source` is the type, and the codes go from the blocks
 * into registers, or UNPACKED: for more tokens they are unpacked first, for the same sums. */
INLINE void dot_row(float *y, size_t y_stride, const dtype source, dtype type, const size_t group,
                    const char *row, const activations *x, size_t t, const int tokens) {
    const size_t n = x->n_in, step = 16 * group;
    const dtype_traits *layout = dtype_get(type);
    __m512 sum[MOST_TOKENS][2], minima[MOST_TOKENS];
    chunk c;
    for (int i = 0; i < tokens; i++) sum[i][0] = sum[i][1] = minima[i] = _mm512_setzero_ps();
    for (size_t begin = 0; begin < n; begin += CHUNK) {
        const size_t width = n - begin < CHUNK ? n - begin : CHUNK;
        const char *blocks = row + begin / layout->block * layout->block_bytes;
        chunk_fill(&c, source, type, group, blocks, width, BIAS);
        for (size_t k = 0; k < width; k += step) {
            const row_piece w = {chunk_codes(&c, source, blocks, k), c.scale + k / group,
                                 c.min + k / group};
            if (width - k >= step)
                dot_piece(sum, minima, source, group, w, x, t, begin + k, step, tokens);
            else
                dot_piece(sum, minima, source, group, w, x, t, begin + k, width - k, tokens);
        }
    }
    for (int i = 0; i < tokens; i++) {
        __m512 total = _mm512_add_ps(sum[i][0], sum[i][1]);
        y[(t + i) * y_stride] = _mm512_reduce_add_ps(_mm512_sub_ps(total, minima[i]));
    }
}

/* All but the last token of an odd number. */
static size_t dot_tokens(float *y, size_t y_stride, dtype type, const char *row,
                         const activations *x) {
#define DOT_ROW(tokens)                                                        \
    if (unpack_traits_of(type).group == 16)                                    \
        dot_row(y, y_stride, UNPACKED, type, 16, row, x, t, tokens);           \
    else                                                                       \
        dot_row(y, y_stride, UNPACKED, type, 32, row, x, t, tokens)
    size_t t = 0;
    for (; t + 8 <= x->n_tokens; t += 8) DOT_ROW(8);
    for (; t + 4 <= x->n_tokens; t += 4) DOT_ROW(4);
    for (; t + 2 <= x->n_tokens; t += 2) DOT_ROW(2);
#undef DOT_ROW
    return t;
}

INLINE void dot_rows_of(float *y, size_t y_stride, const dtype type, const void *rows,
                        size_t row_bytes, size_t n_rows, const activations *x) {
    for (size_t r = 0; r < n_rows; r++) {
        const char *row = (const char *)rows + r * row_bytes;
        size_t t = x->n_tokens > 1 ? dot_tokens(y + r, y_stride, type, row, x) : 0;
        if (t < x->n_tokens)
            dot_row(y + r, y_stride, type, type, unpack_traits_of(type).group, row, x, t, 1);
    }
}

static void dot_rows_vnni(float *y, size_t y_stride, dtype type, const void *rows, size_t row_bytes,
                          size_t n_rows, const activations *x) {
#define DOT_ROWS(block_type) dot_rows_of(y, y_stride, block_type, rows, row_bytes, n_rows, x)
    FOR_BLOCK_TYPE(type, DOT_ROWS)
#undef DOT_ROWS
}

/* --- panels: 32 rows, lanes along the rows --- */

static void pack_panel_vnni(dtype type, const panel *to, const void *rows, size_t row_bytes,
                            size_t n_rows, size_t n) {
    pack_panel_x86(type, to, rows, row_bytes, n_rows, n, PANEL_ROWS, BIAS);
}

enum { TILE_TOKENS = 6 };

/* 32 rows × 6 tokens: twelve sums in 32 bits and twelve in floats stay in registers. */
INLINE void panel_tile(float *y, size_t y_stride, const panel *rows, size_t n_rows,
                       const activations *x, size_t t, const int tokens, const int group) {
    const size_t n = x->n_in, blocks = n / 32;
    const uint8_t *w = rows->q;
    const float *w_scale = rows->scale, *w_min = rows->min;
    const int8_t *in = x->q + t * n;
    const float *x_scale = x->scale + t * blocks;
    __m512 sum[TILE_TOKENS][2];
    for (int i = 0; i < tokens; i++) sum[i][0] = sum[i][1] = _mm512_setzero_ps();
    for (size_t b = 0; b < blocks; b++, in += 32, x_scale++) {
        __m512 block[TILE_TOKENS][2];
        for (int h = 0; h < 32 / group; h++) {
            __m512i dot[TILE_TOKENS][2];
            for (int i = 0; i < tokens; i++) dot[i][0] = dot[i][1] = _mm512_setzero_si512();
            for (int s = 0; s < group / 4; s++) {
                __m512i w0 = _mm512_load_si512(w + 128 * s);
                __m512i w1 = _mm512_load_si512(w + 128 * s + 64);
                for (int i = 0; i < tokens; i++) {
                    int32_t four;
                    memcpy(&four, in + i * n + group * h + 4 * s, 4);
                    __m512i a = _mm512_set1_epi32(four);
                    dot[i][0] = _mm512_dpbusd_epi32(dot[i][0], w0, a);
                    dot[i][1] = _mm512_dpbusd_epi32(dot[i][1], w1, a);
                }
            }
            const float *x_sum =
                group == 32 ? x->sum32 + t * blocks + b : x->sum16 + 2 * (t * blocks + b) + h;
            const size_t sum_stride = 32 / group * blocks;
            for (int i = 0; i < tokens; i++) {
                __m512 total = _mm512_set1_ps(x_sum[i * sum_stride]);
                for (int v = 0; v < 2; v++) {
                    __m512 d = _mm512_cvtepi32_ps(dot[i][v]);
                    __m512 scale = _mm512_load_ps(w_scale + 16 * v);
                    block[i][v] =
                        h ? _mm512_fmadd_ps(d, scale, block[i][v]) : _mm512_mul_ps(d, scale);
                    sum[i][v] = _mm512_fnmadd_ps(_mm512_load_ps(w_min + 16 * v), total, sum[i][v]);
                }
            }
            w += group * PANEL_ROWS;
            w_scale += PANEL_ROWS;
            w_min += PANEL_ROWS;
        }
        for (int i = 0; i < tokens; i++)
            for (int v = 0; v < 2; v++)
                sum[i][v] =
                    _mm512_fmadd_ps(block[i][v], _mm512_set1_ps(x_scale[i * blocks]), sum[i][v]);
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
                        const activations *x, const int group) {
#define PANEL_TILE(tokens) panel_tile(y, y_stride, rows, n_rows, x, t, tokens, group)
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
    if (unpack_traits_of(type).group == 16)
        panel_tiles(y, y_stride, rows, n_rows, x, 16);
    else
        panel_tiles(y, y_stride, rows, n_rows, x, 32);
}

void kernels_fill_avx512_vnni(kernels *k) {
    k->name = "avx512-vnni";
    k->dot_rows = dot_rows_vnni;
    k->panel_rows = PANEL_ROWS;
    k->pack_panel = pack_panel_vnni;
    k->gemm_panel = gemm_panel_vnni;
}
