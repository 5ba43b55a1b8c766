/* Products with weights of any type, on one thread: a slice of the rows.
 *
 * Three arithmetics. *Float*: the row is decoded to floats and multiplied with float activations;
 * the answer is that of the dequantised matrix. *Quantised* (block types only): 8-bit activations,
 * integer products inside a block, float scales between blocks. *BF16* (F16 and BF16, more than
 * MATMUL_FEW_TOKENS tokens, where the machine multiplies pairs of bfloat16): weights and
 * activations rounded to bfloat16, sums in floats.
 *
 * In float and in BF16 arithmetic one output's order of summation depends neither on the number of
 * tokens nor on the slice. In quantised arithmetic the same holds up to MATMUL_FEW_TOKENS tokens;
 * beyond that another order may be used for speed (differences of float rounding only, since the
 * integer parts are exact), and tables that round the weights of K-quants (kernels.panel_rounds) do
 * so there. */
#ifndef TENSOR_MATMUL_H
#define TENSOR_MATMUL_H

#include "tensor/kernels.h"

#define MATMUL_FEW_TOKENS 8

/* Slices begin at multiples of this, except that the last may end anywhere. */
#define MATMUL_ROW_STEP 32

/* The form of inputs with which products of `w` with so many tokens are fastest. */
activation_form matmul_form(const kernels *k, const tensor *w, size_t n_tokens);

/* Bytes of 64-byte aligned memory behind either short form of x[n_tokens, n_in]. */
size_t activations_bytes(size_t n_tokens, size_t n_in);

/* Describes x[n_tokens, n_in]. A short form is laid out in `memory` (activations_bytes; NULL for
 * FORM_FLOAT), to be filled by activations_quantise. */
void activations_init(activations *a, activation_form form, const float *x, size_t n_tokens,
                      size_t n_in, void *memory);

/* Fills the short form of tokens token_begin ≤ t < token_end; threads may share the work. */
void activations_quantise(const kernels *k, activations *a, size_t token_begin, size_t token_end);

/* The same for columns begin … begin + n − 1 of one token, multiples of 32, from x[n]; a->x is not
 * read. */
void activations_quantise_columns(const kernels *k, activations *a, size_t token, size_t begin,
                                  size_t n, const float *x);

/* Whether there are products in 8 bits with this matrix: a block type. */
bool matmul_can_quantise(const tensor *w);

/* Bytes of 64-byte aligned scratch that one thread needs for `w` and up to n_tokens tokens. */
size_t matmul_scratch_bytes(const tensor *w, size_t n_tokens);

/* y[t · y_stride + r] = Σ_k W[r, k] · x[t, k] for rows row_begin ≤ r < row_end and all tokens.
 * Uses the short form of x where it suits w. */
void matmul_rows(const kernels *k, float *y, size_t y_stride, const tensor *w, size_t row_begin,
                 size_t row_end, const activations *x, void *scratch);

#endif
