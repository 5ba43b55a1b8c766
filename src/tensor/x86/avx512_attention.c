/* Attention on AVX-512: up to 24 accumulators of 32 registers. */
#include "tensor/x86/avx512_vec.h"

enum { TILE_ROWS = 8 };
static inline int tile_vectors(int rows) { return rows <= 6 ? 4 : 2; }

#include "tensor/attention_kernels.h"

void kernels_fill_avx512_attention(kernels *k) { fill_attention_kernels(k); }
