/* Unpacking pieces of rows and interleaving rows into panels, for the x86 files with AVX2. `bias`
 * is added to every code, with wrap-around. */
#ifndef TENSOR_X86_PACK_H
#define TENSOR_X86_PACK_H

#include <immintrin.h>

#include "tensor/kernels_int.h"
#include "tensor/unpack.h"

/* The code of the value 0, after the bias. */
INLINE float zero_code(const dtype type, const uint8_t bias) {
    const unpack_traits traits = unpack_traits_of(type);
    return traits.is_signed ? bias : traits.zero;
}

/* Codes, scales and minima of `width` weights; minima of every type. */
static void unpack_piece(dtype type, uint8_t *codes, float *scale, float *min, const void *blocks,
                         size_t width, const uint8_t bias) {
#define UNPACK(T)                                                                          \
    unpack_codes(T, codes, blocks, width, bias);                                           \
    unpack_scales_and_minima(T, scale, min, zero_code(T, bias), blocks, width)
    FOR_BLOCK_TYPE(type, UNPACK)
#undef UNPACK
}

/* --- panels --- */

enum { PIECE = 256 }; /* weights at a time: of a row, a whole number of blocks of each type */

/* to[c, r] = from[r, c] for eight rows r and eight columns c of 32 bits. */
INLINE void transpose_8x8(uint32_t *to, size_t to_stride, const uint32_t *from,
                          size_t from_stride) {
    __m256 a[8], b[8];
    for (int r = 0; r < 8; r++) a[r] = _mm256_loadu_ps((const float *)(from + r * from_stride));
    for (int r = 0; r < 8; r += 2) {
        b[r] = _mm256_unpacklo_ps(a[r], a[r + 1]);
        b[r + 1] = _mm256_unpackhi_ps(a[r], a[r + 1]);
    }
    for (int r = 0; r < 8; r += 4) {
        a[r] = _mm256_shuffle_ps(b[r], b[r + 2], 0x44);
        a[r + 1] = _mm256_shuffle_ps(b[r], b[r + 2], 0xee);
        a[r + 2] = _mm256_shuffle_ps(b[r + 1], b[r + 3], 0x44);
        a[r + 3] = _mm256_shuffle_ps(b[r + 1], b[r + 3], 0xee);
    }
    for (int r = 0; r < 4; r++) {
        _mm256_storeu_ps((float *)(to + r * to_stride),
                         _mm256_permute2f128_ps(a[r], a[r + 4], 0x20));
        _mm256_storeu_ps((float *)(to + (r + 4) * to_stride),
                         _mm256_permute2f128_ps(a[r], a[r + 4], 0x31));
    }
}

/* to[c, r] = from[r, c], rows a multiple of 8. */
static void transpose(void *to, const void *from, size_t from_stride, size_t rows, size_t columns) {
    const uint32_t *source = from;
    uint32_t *target = to;
    for (size_t r = 0; r < rows; r += 8, source += 8 * from_stride, target += 8) {
        size_t c = 0;
        for (; c + 8 <= columns; c += 8)
            transpose_8x8(target + c * rows, rows, source + c, from_stride);
        for (; c < columns; c++)
            for (size_t i = 0; i < 8; i++) target[c * rows + i] = source[i * from_stride + c];
    }
}

/* As the slot pack_panel. PIECE columns of all rows at a time stay in the first cache. */
static inline void pack_panel_x86(dtype type, const panel *to, const void *rows, size_t row_bytes,
                           size_t n_rows, size_t n, const size_t panel_rows, const uint8_t bias) {
    enum { MOST_ROWS = 32 };
    _Alignas(64) uint8_t q[MOST_ROWS][PIECE];
    _Alignas(64) float scale[MOST_ROWS][PIECE / 16], min[MOST_ROWS][PIECE / 16];
    const unpack_traits traits = unpack_traits_of(type);
    memset(q + n_rows, 0, (panel_rows - n_rows) * sizeof *q);
    memset(scale + n_rows, 0, (panel_rows - n_rows) * sizeof *scale);
    memset(min + n_rows, 0, (panel_rows - n_rows) * sizeof *min);
    for (size_t k = 0; k < n; k += PIECE) {
        const size_t width = n - k < PIECE ? n - k : PIECE, groups = width / traits.group;
        const char *blocks = (const char *)rows + k / traits.block * traits.block_bytes;
        for (size_t r = 0; r < n_rows; r++, blocks += row_bytes) {
            for (size_t line = 0; line < width / traits.block * traits.block_bytes; line += 64)
                __builtin_prefetch(blocks + n_rows * row_bytes + line, 0, 2);
            unpack_piece(type, q[r], scale[r], min[r], blocks, width, bias);
        }
        const size_t first_group = k / traits.group * panel_rows;
        transpose(to->q + k * panel_rows, q, PIECE / 4, panel_rows, width / 4);
        transpose(to->scale + first_group, scale, PIECE / 16, panel_rows, groups);
        transpose(to->min + first_group, min, PIECE / 16, panel_rows, groups);
    }
}

#endif
