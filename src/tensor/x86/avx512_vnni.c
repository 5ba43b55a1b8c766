/* Products in 8 bits on AVX-512 VNNI: vpdpbusd adds four products of unsigned weights and signed
 * activations to a sum in 32 bits. Signed weights are stored 128 above their value, and the minimum
 * takes that off again. */
#include "tensor/x86/pack.h"

enum { PANEL_ROWS = 32 };

/* --- one row, lanes along k --- */

static void unpack_row_vnni(dtype type, const unpacked *out, const void *row, size_t n) {
    unpack_row_portable(type, out, row, n, true);
}

INLINE __mmask16 first_lanes(size_t n) { return n >= 16 ? 0xffff : (__mmask16)((1u << n) - 1); }

/* Up to 16 groups of one row with `tokens` tokens from t on. */
INLINE void dot_groups(__m512 sum[][2], __m512 minima[], const unpacked *row, const activations *x,
                       size_t t, size_t g, size_t n_groups, const int tokens, const int group) {
    const size_t n = x->n_in;
    const __mmask16 lanes = first_lanes(n_groups);
    const __m512 w_scale = _mm512_maskz_loadu_ps(lanes, row->scale + g);
    const __m512 w_min = _mm512_maskz_loadu_ps(lanes, row->min + g);
    const __m512i twice = _mm512_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7);
    __m512 scale[4];
    for (int i = 0; i < tokens; i++) {
        const float *x_scale = x->scale + (t + i) * (n / 32), *x_sum;
        if (group == 32) {
            scale[i] = _mm512_mul_ps(w_scale, _mm512_maskz_loadu_ps(lanes, x_scale + g));
            x_sum = x->sum32 + (t + i) * (n / 32);
        } else {
            __m512 eight = _mm512_castps256_ps512(_mm256_loadu_ps(x_scale + g / 2));
            scale[i] = _mm512_mul_ps(w_scale, _mm512_permutexvar_ps(twice, eight));
            x_sum = x->sum16 + (t + i) * (n / 16);
        }
        minima[i] = _mm512_fmadd_ps(w_min, _mm512_maskz_loadu_ps(lanes, x_sum + g), minima[i]);
    }
    /* Vector j of 64 weights holds groups 2j, 2j + 1 or 4j … 4j + 3. */
    const __m512i of_group = _mm512_setr_epi32(0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3);
    const __m512i spread = group == 32 ? _mm512_srli_epi32(of_group, 1) : of_group;
    const size_t bytes = n_groups * group;
    for (int j = 0; 64 * (size_t)j < bytes; j++) {
        const size_t k = g * group + 64 * j;
        const __mmask64 used = bytes - 64 * j >= 64 ? ~0ull : 0xffffffffull;
        const __m512i groups = _mm512_add_epi32(spread, _mm512_set1_epi32(64 / group * j));
        __m512i w = _mm512_maskz_loadu_epi8(used, row->q + k);
        for (int i = 0; i < tokens; i++) {
            __m512i in = _mm512_maskz_loadu_epi8(used, x->q + (t + i) * n + k);
            __m512 dot = _mm512_cvtepi32_ps(_mm512_dpbusd_epi32(_mm512_setzero_si512(), w, in));
            sum[i][j % 2] =
                _mm512_fmadd_ps(dot, _mm512_permutexvar_ps(groups, scale[i]), sum[i][j % 2]);
        }
    }
}

INLINE void dot_tokens(float *y, size_t y_stride, const unpacked *row, const activations *x, size_t t,
                       const int tokens, const int group) {
    __m512 sum[4][2], minima[4];
    for (int i = 0; i < tokens; i++) sum[i][0] = sum[i][1] = minima[i] = _mm512_setzero_ps();
    size_t g = 0, n_groups = x->n_in / group;
    for (; g + 16 <= n_groups; g += 16)
        dot_groups(sum, minima, row, x, t, g, 16, tokens, group);
    if (g < n_groups) dot_groups(sum, minima, row, x, t, g, n_groups - g, tokens, group);
    for (int i = 0; i < tokens; i++) {
        __m512 total = _mm512_add_ps(sum[i][0], sum[i][1]);
        y[(t + i) * y_stride] = _mm512_reduce_add_ps(_mm512_sub_ps(total, minima[i]));
    }
}

INLINE void dot_all(float *y, size_t y_stride, const unpacked *row, const activations *x,
                    const int group) {
    size_t t = 0;
    for (; t + 4 <= x->n_tokens; t += 4) dot_tokens(y, y_stride, row, x, t, 4, group);
    switch (x->n_tokens - t) {
    case 1: dot_tokens(y, y_stride, row, x, t, 1, group); break;
    case 2: dot_tokens(y, y_stride, row, x, t, 2, group); break;
    case 3: dot_tokens(y, y_stride, row, x, t, 3, group); break;
    }
}

static void dot_row_vnni(float *y, size_t y_stride, dtype type, const unpacked *row,
                         const activations *x) {
    if (unpack_traits_of(type).group == 16)
        dot_all(y, y_stride, row, x, 16);
    else
        dot_all(y, y_stride, row, x, 32);
}

/* --- panels: 32 rows, lanes along the rows --- */

static void pack_panel_vnni(dtype type, const unpacked *panel, const void *rows, size_t row_bytes,
                            size_t n_rows, size_t n) {
    pack_panel_x86(type, panel, rows, row_bytes, n_rows, n, PANEL_ROWS, true);
}

enum { TILE_TOKENS = 6 };

/* 32 rows × 6 tokens: twelve sums in 32 bits and twelve in floats stay in registers. */
INLINE void panel_tile(float *y, size_t y_stride, const unpacked *panel, size_t n_rows,
                       const activations *x, size_t t, const int tokens, const int group) {
    const size_t n = x->n_in, blocks = n / 32;
    const uint8_t *w = panel->q;
    const float *w_scale = panel->scale, *w_min = panel->min;
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
    const __mmask16 first = first_lanes(n_rows), second = n_rows > 16 ? first_lanes(n_rows - 16) : 0;
    for (int i = 0; i < tokens; i++) {
        float *out = y + (t + i) * y_stride;
        _mm512_mask_storeu_ps(out, first, sum[i][0]);
        _mm512_mask_storeu_ps(out + 16, second, sum[i][1]);
    }
}

INLINE void panel_tiles(float *y, size_t y_stride, const unpacked *panel, size_t n_rows,
                        const activations *x, const int group) {
#define PANEL_TILE(tokens) panel_tile(y, y_stride, panel, n_rows, x, t, tokens, group)
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

static void gemm_panel_vnni(float *y, size_t y_stride, dtype type, const unpacked *panel,
                            size_t n_rows, const activations *x) {
    if (unpack_traits_of(type).group == 16)
        panel_tiles(y, y_stride, panel, n_rows, x, 16);
    else
        panel_tiles(y, y_stride, panel, n_rows, x, 32);
}

void kernels_fill_avx512_vnni(kernels *k) {
    k->name = "avx512-vnni";
    k->unpack_row = unpack_row_vnni;
    k->dot_row = dot_row_vnni;
    k->panel_rows = PANEL_ROWS;
    k->pack_panel = pack_panel_vnni;
    k->gemm_panel = gemm_panel_vnni;
}
