/* Attention on AVX2: up to 12 accumulators of 16 registers. */
#include "tensor/x86/avx2_vec.h"

enum { TILE_ROWS = 6 };
static inline int tile_vectors(int rows) { return rows <= 3 ? 4 : 2; }

#include "tensor/attention_kernels.h"

void kernels_fill_avx2_attention(kernels *k) { fill_attention_kernels(k); }
