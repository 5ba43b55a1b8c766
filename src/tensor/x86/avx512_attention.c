/* Attention on AVX-512: up to 24 accumulators of 32 registers. */
#include "tensor/x86/avx512_vec.h"

enum { FEW_ROWS_VECTORS = 4, MANY_ROWS_VECTORS = 4 };

#include "tensor/attention_kernels.h"

void kernels_fill_avx512_attention(kernels *k) { fill_attention_kernels(k); }
