/* Attention on AVX2: up to 12 accumulators of 16 registers. */
#include "tensor/x86/avx2_vec.h"

enum { FEW_ROWS_VECTORS = 4, MANY_ROWS_VECTORS = 2 };

#include "tensor/attention_kernels.h"

void kernels_fill_avx2_attention(kernels *k) { fill_attention_kernels(k); }
