/* Block formats in scalar C: the specification that every kernel is measured against.
 *
 * The layouts and the quantisers' algorithms are ggml's (docs/formats.md). Decoding is exact: one
 * rounding for each multiplication, never a fused multiply-add. Thread-safe, no allocation. */
#ifndef TENSOR_QUANT_H
#define TENSOR_QUANT_H

#include "base/status.h"
#include "tensor/dtype.h"

/* IEEE binary16 and bfloat16; rounding to nearest even, NaN stays NaN (quiet). */
float f16_to_f32(uint16_t h);
uint16_t f16_from_f32(float x);
float bf16_to_f32(uint16_t b);
uint16_t bf16_from_f32(float x);

/* out[n] = the values of one row. `type` has is_weight, `n` is a multiple of its block; `row` needs
 * no alignment. */
void quant_decode_row(dtype type, float *out, const void *row, size_t n);

/* row = the blocks of x[n], bytes as ggml's reference quantisers write them. `importance`[n] weighs
 * the squared error of each column (NULL: the unweighted algorithm); F32, F16, BF16 and Q8_0 do not
 * use it, and a block whose columns all weigh 0 is encoded as with NULL. `row` needs no alignment.
 * HONE_ERR_NUMERIC for values that are not finite or that the type cannot hold, and for importance
 * that is negative or above 10^12; HONE_ERR_UNSUPPORTED for types that are not weights;
 * HONE_ERR_ARGUMENT unless n is a multiple of the block. The row is undefined after a failure. */
hone_status quant_encode_row(dtype type, void *row, const float *x, size_t n,
                             const float *importance);

#endif
