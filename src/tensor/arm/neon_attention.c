/* Attention on NEON: up to 24 accumulators of 32 registers. */
#include "tensor/arm/neon_vec.h"

enum { FEW_ROWS_VECTORS = 4, MANY_ROWS_VECTORS = 4 };

#include "tensor/attention_kernels.h"

void kernels_fill_neon_attention(kernels *k) { fill_attention_kernels(k); }
