/* Products in 8 bits with the dot-product extension: sdot adds four products of signed bytes to
 * each sum in 32 bits. */
#include <arm_neon.h>

#include "tensor/kernels_int.h"

INLINE int32x4_t dot_16(int32x4_t sum, int8x16_t a, int8x16_t b) { return vdotq_s32(sum, a, b); }

#include "tensor/arm/dot_rows.h"

/* --- panels: 8 rows, lanes along the rows --- */

enum { PANEL_ROWS = 8, TILE_TOKENS = 4 };

/* to[i · PANEL_ROWS] = from[i] for n words of 32 bits. */
INLINE void spread(void *to, const void *from, size_t n) {
    for (size_t i = 0; i < n; i++)
        memcpy((char *)to + 4 * PANEL_ROWS * i, (const char *)from + 4 * i, 4);
}

/* Row r of a panel. */
INLINE void pack_row(const dtype type, const panel *to, size_t r, const char *row, size_t n) {
    const unpack_traits traits = unpack_traits_of(type);
    const bool small = traits.block < PIECE;
    float scale[PIECE / 16], min[PIECE / 16];
    uint8_t *q = to->q + 4 * r;
    for (size_t k = 0; k < n; k += PIECE) {
        const size_t width = small && n - k < PIECE ? n - k : PIECE, groups = width / traits.group;
        const size_t first_group = k / traits.group * PANEL_ROWS + r;
        unpack_scales(type, scale, min, row, width);
        spread(to->scale + first_group, scale, groups);
        if (traits.has_min) spread(to->min + first_group, min, groups);
        for (size_t j = 0; j < width / 32; j++, q += 32 * PANEL_ROWS) {
            const void *block = small ? row + j * traits.block_bytes : row;
            const int8x16x2_t codes = signed_codes_32(type, block, small ? 0 : (int)j);
            spread(q, &codes, 8);
        }
        row += width / traits.block * traits.block_bytes;
    }
}

INLINE void pack_rows(const dtype type, const panel *to, const void *rows, size_t row_bytes,
                      size_t n_rows, size_t n) {
    const size_t groups = n / unpack_traits_of(type).group;
    if (n_rows < PANEL_ROWS) {
        memset(to->q, 0, PANEL_ROWS * n);
        memset(to->scale, 0, PANEL_ROWS * groups * sizeof(float));
        memset(to->min, 0, PANEL_ROWS * groups * sizeof(float));
    }
    for (size_t r = 0; r < n_rows; r++)
        pack_row(type, to, r, (const char *)rows + r * row_bytes, n);
}

static void pack_panel_dotprod(dtype type, const panel *to, const void *rows, size_t row_bytes,
                               size_t n_rows, size_t n) {
#define PACK_ROWS(block_type) pack_rows(block_type, to, rows, row_bytes, n_rows, n)
    FOR_BLOCK_TYPE(type, PACK_ROWS)
#undef PACK_ROWS
}

/* dot[token][half of the rows] += products of 16 columns. */
INLINE void panel_dots_16(int32x4_t dot[][2], const uint8_t *q, const int8_t *const x[],
                          const int tokens) {
    int8x16_t in[TILE_TOKENS];
    for (int i = 0; i < tokens; i++) in[i] = vld1q_s8(x[i]);
#define FOUR_COLUMNS(lane)                                                 \
    for (int v = 0; v < 2; v++) {                                          \
        int8x16_t w = vld1q_s8((const int8_t *)q + 32 * (lane) + 16 * v);  \
        for (int i = 0; i < tokens; i++)                                   \
            dot[i][v] = vdotq_laneq_s32(dot[i][v], w, in[i], lane);        \
    }
    FOUR_COLUMNS(0)
    FOUR_COLUMNS(1)
    FOUR_COLUMNS(2)
    FOUR_COLUMNS(3)
#undef FOUR_COLUMNS
}

/* 8 rows × 4 tokens: eight sums in 32 bits and sixteen in floats stay in registers. */
INLINE void panel_tile(float *y, size_t y_stride, const panel *rows, size_t n_rows,
                       const activations *x, size_t t, const int tokens, const int group,
                       const bool has_min) {
    const size_t n = x->n_in, blocks = n / 32;
    const uint8_t *q = rows->q;
    const float *w_scale = rows->scale, *w_min = rows->min;
    const int8_t *in[TILE_TOKENS];
    float32x4_t sum[TILE_TOKENS][2];
    for (int i = 0; i < tokens; i++) {
        in[i] = x->q + (t + i) * n;
        sum[i][0] = sum[i][1] = vdupq_n_f32(0);
    }
    for (size_t b = 0; b < blocks; b++) {
        float32x4_t block[TILE_TOKENS][2];
        for (int h = 0; h < 32 / group; h++) {
            int32x4_t dot[TILE_TOKENS][2];
            for (int i = 0; i < tokens; i++) dot[i][0] = dot[i][1] = vdupq_n_s32(0);
            for (int half = 0; half < group / 16; half++, q += 16 * PANEL_ROWS) {
                panel_dots_16(dot, q, in, tokens);
                for (int i = 0; i < tokens; i++) in[i] += 16;
            }
            for (int v = 0; v < 2; v++) {
                float32x4_t scale = vld1q_f32(w_scale + 4 * v);
                for (int i = 0; i < tokens; i++) {
                    float32x4_t d = vcvtq_f32_s32(dot[i][v]);
                    block[i][v] = h ? vfmaq_f32(block[i][v], d, scale) : vmulq_f32(d, scale);
                    if (!has_min) continue;
                    size_t at = (t + i) * blocks + b;
                    float x_sum = group == 32 ? x->sum32[at] : x->sum16[2 * at + h];
                    sum[i][v] = vfmsq_n_f32(sum[i][v], vld1q_f32(w_min + 4 * v), x_sum);
                }
            }
            w_scale += PANEL_ROWS;
            w_min += PANEL_ROWS;
        }
        for (int i = 0; i < tokens; i++)
            for (int v = 0; v < 2; v++)
                sum[i][v] = vfmaq_n_f32(sum[i][v], block[i][v], x->scale[(t + i) * blocks + b]);
    }
    for (int i = 0; i < tokens; i++) {
        float out[PANEL_ROWS];
        vst1q_f32(out, sum[i][0]);
        vst1q_f32(out + 4, sum[i][1]);
        memcpy(y + (t + i) * y_stride, out, n_rows * sizeof(float));
    }
}

INLINE void panel_tiles(float *y, size_t y_stride, const panel *rows, size_t n_rows,
                        const activations *x, const int group, const bool has_min) {
#define PANEL_TILE(tokens) panel_tile(y, y_stride, rows, n_rows, x, t, tokens, group, has_min)
    size_t t = 0;
    for (; t + TILE_TOKENS <= x->n_tokens; t += TILE_TOKENS) PANEL_TILE(TILE_TOKENS);
    switch (x->n_tokens - t) {
    case 1: PANEL_TILE(1); break;
    case 2: PANEL_TILE(2); break;
    case 3: PANEL_TILE(3); break;
    }
#undef PANEL_TILE
}

static void gemm_panel_dotprod(float *y, size_t y_stride, dtype type, const panel *rows,
                               size_t n_rows, const activations *x) {
    const unpack_traits traits = unpack_traits_of(type);
    if (traits.group == 32 && traits.has_min)
        panel_tiles(y, y_stride, rows, n_rows, x, 32, true);
    else if (traits.group == 32)
        panel_tiles(y, y_stride, rows, n_rows, x, 32, false);
    else if (traits.has_min)
        panel_tiles(y, y_stride, rows, n_rows, x, 16, true);
    else
        panel_tiles(y, y_stride, rows, n_rows, x, 16, false);
}

void kernels_fill_neon_dotprod(kernels *k) {
    k->name = "neon-dotprod";
    k->dot_rows = dot_rows_simd;
    k->panel_rows = PANEL_ROWS;
    k->pack_panel = pack_panel_dotprod;
    k->gemm_panel = gemm_panel_dotprod;
}
