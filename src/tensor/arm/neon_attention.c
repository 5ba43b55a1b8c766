/* Attention on NEON: up to 24 accumulators of 32 registers. */
#include "tensor/arm/neon_vec.h"

enum { TILE_ROWS = 6 };
static inline int tile_vectors(int rows) { (void)rows; return 4; }

#include "tensor/attention_kernels.h"

void kernels_fill_neon_attention(kernels *k) { fill_attention_kernels(k); }
