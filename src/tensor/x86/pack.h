/* Interleaving rows into panels, for the x86 files with AVX2. */
#ifndef TENSOR_X86_PACK_H
#define TENSOR_X86_PACK_H

#include <immintrin.h>

#include "tensor/kernels_int.h"
#include "tensor/unpack.h"

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
static inline void transpose(void *to, const void *from, size_t from_stride, size_t rows,
                             size_t columns) {
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

#endif
