/* What the files of the kernels share.
 *
 * Each kernels_fill_… lays its slots over those already in the table. Lower sets come first, so
 * that a slot that a set lacks is the best of the sets below it. */
#ifndef TENSOR_KERNELS_INT_H
#define TENSOR_KERNELS_INT_H

#include "tensor/kernels.h"

void kernels_fill_scalar(kernels *k);

/* The scalar slot, for the cache types that an instruction set leaves to it. */
void store_row_scalar(dtype kv, void *row, const float *x, size_t n);

/* The plain encoders (encode_plain.c), which the scalar table has. */
void encode_row_plain(dtype type, void *row, const float *x, size_t n, const float *importance);
bool all_within_plain(const float *x, size_t n, float low, float high);

void kernels_fill_avx2(kernels *k);        /* floats, element-wise */
void kernels_fill_avx2_attention(kernels *k);
void kernels_fill_avx2_quant(kernels *k);  /* activations into 8 bits */
void kernels_fill_avx2_rows(kernels *k);   /* products in 8 bits, few tokens */
void kernels_fill_avx2_gemm(kernels *k);   /* products in 8 bits, many tokens */
void kernels_fill_avx2_encode(kernels *k);
void kernels_fill_avx512(kernels *k);      /* floats, element-wise */
void kernels_fill_avx512_attention(kernels *k);
void kernels_fill_avx512_encode(kernels *k);
void kernels_fill_avx512_vnni(kernels *k);      /* products in 8 bits, many tokens */
void kernels_fill_avx512_vnni_rows(kernels *k); /* the same, few tokens */
void kernels_fill_avx512_bf16(kernels *k);

void kernels_fill_neon(kernels *k);
void kernels_fill_neon_attention(kernels *k);
void kernels_fill_neon_dotprod(kernels *k);

/* For the short functions of which kernels are made: their constant arguments must be seen. */
#define INLINE static inline __attribute__((always_inline))

/* exp below this is 0 in every table, above the other it is infinity. */
#define EXP_LOWEST (-104.0f)
#define EXP_HIGHEST 89.0f

#endif
