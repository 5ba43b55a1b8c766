/* The float kernels on AVX-512 F, BW, DQ, VL: vectors of 16, 24 accumulators of 32 registers. */
#include "tensor/x86/avx512_vec.h"

enum { DENSE_ROWS = 6, DENSE_VECTORS = 4 };

#include "tensor/dense_kernels.h"

void kernels_fill_avx512(kernels *k) {
    k->name = "avx512";
    fill_float_kernels(k);
    fill_dense_kernels(k);
}
