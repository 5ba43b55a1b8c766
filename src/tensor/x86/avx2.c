/* The float kernels on AVX2, FMA and F16C: vectors of 8, 12 accumulators of 16 registers. */
#include "tensor/x86/avx2_vec.h"

enum { DENSE_ROWS = 6, DENSE_VECTORS = 2 };

#include "tensor/dense_kernels.h"

static void store_row_avx2(dtype kv, void *row, const float *x, size_t n) {
    if (kv != DTYPE_F16 || n % 8 != 0) {
        store_row_scalar(kv, row, x, n);
        return;
    }
    for (size_t i = 0; i < n; i += 8)
        _mm_storeu_si128((__m128i *)((uint16_t *)row + i),
                         _mm256_cvtps_ph(_mm256_loadu_ps(x + i), _MM_FROUND_TO_NEAREST_INT));
}

void kernels_fill_avx2(kernels *k) {
    k->name = "avx2";
    k->store_row = store_row_avx2;
    fill_float_kernels(k);
    fill_dense_kernels(k);
}
