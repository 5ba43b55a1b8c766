/* Rows of weights in the block formats, and single half floats.
 *
 * The layouts are ggml's (docs/formats.md). Decoding is plain C, the specification that every
 * kernel is measured against, and exact: one rounding for each multiplication, never a fused
 * multiply-add. Encoding gives the same bytes on every machine. Thread-safe, no allocation. */
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

/* row = x[n] in blocks. `importance`[n] ≥ 0 weighs the squared error of each column; NULL: all
 * weigh the same. Without it Q4_0, Q4_1, Q5_0, Q5_1 and Q8_0 round to nearest, bytes as ggml writes
 * them; what is searched leaves less of Σ importance · (x − x̂)² than ggml's quantisers do
 * (docs/quantise.md). F32, F16, BF16 and Q8_0 do not use it. `row` needs no alignment.
 * HONE_ERR_NUMERIC for values that are not finite or that the type cannot hold, and for importance
 * that is negative or above 10^12; HONE_ERR_UNSUPPORTED for types that are not weights;
 * HONE_ERR_ARGUMENT unless n is a multiple of the block. The row is undefined after a failure. */
hone_status quant_encode_row(dtype type, void *row, const float *x, size_t n,
                             const float *importance);

#endif
