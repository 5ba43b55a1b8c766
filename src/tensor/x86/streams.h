/* Rows of blocks with few tokens, in pieces of 256 weights: what is the same in all slots dot_rows
 * of this folder. The including file has the arithmetic and defines before:
 *
 *     vec, v_set(0)      vectors of floats (…_vec.h)
 *     STREAMS = 4        rows that are read side by side, from places far apart: one stream alone
 *                        gets two thirds of what the memory gives a core
 *     KEPT_TOKENS        with up to so many tokens, 1 to 3, the sums stay in registers
 *     PIECE, piece_input the activations of a piece of one token, in the order of a type's codes
 *     piece_plan         what else depends on the type alone, and plan_of(type)
 *     arrange(to, type, plan, x)                  to[piece, token] = the activations
 *     vectors_of_rows(type)                       for the sums of STREAMS rows with one token
 *     add_pieces(sum, type, plan, at, x, tokens, columns)
 *                        sum += products of a piece of STREAMS rows; behind `columns` the blocks
 *                        belong to other rows and count nothing, whatever they hold
 *     sum_rows(out, type, sum, t, tokens)         out[STREAMS] = sums of token t */
#ifndef TENSOR_X86_STREAMS_H
#define TENSOR_X86_STREAMS_H

#include "tensor/matmul.h"
#include "tensor/unpack.h"

/* Inputs (tokens times columns) beyond which rows are prefetched: they take half of the first
 * cache, and the processor's own prefetch, which also begins anew with each page, is busy with
 * them. */
enum { FEW_INPUTS = 9 << 10 };

INLINE void prefetch_piece(const char *at, const size_t bytes) {
    enum { AHEAD = 2048 };
    for (size_t line = 0; line < bytes; line += 64) __builtin_prefetch(at + AHEAD + line, 0, 3);
}

/* out[token][stream] = products of one row from each stream with `tokens` tokens. A row's last
 * columns that fill no piece are read with the rows behind, or copied where those end. */
INLINE void dot_streams(float out[][STREAMS], const dtype type, const piece_plan *plan,
                        const char *const rows[STREAMS], const char *end, const piece_input *x,
                        size_t n_in, const size_t tokens) {
    const unpack_traits traits = unpack_traits_of(type);
    const size_t piece_bytes = PIECE / traits.block * (size_t)traits.block_bytes;
    const size_t whole = n_in / PIECE * piece_bytes;
    const size_t rest = n_in % PIECE / traits.block * traits.block_bytes;
    const bool prefetches = tokens * n_in > FEW_INPUTS;
    vec sum[STREAMS * MATMUL_FEW_TOKENS];
    for (size_t i = 0; i < vectors_of_rows(type) * tokens; i++) sum[i] = v_set(0);
    for (size_t at = 0; at < whole; at += piece_bytes, x += tokens) {
        const char *const pieces[STREAMS] = {rows[0] + at, rows[1] + at, rows[2] + at,
                                             rows[3] + at};
        for (int s = 0; s < STREAMS && prefetches; s++) prefetch_piece(pieces[s], piece_bytes);
        add_pieces(sum, type, plan, pieces, x, tokens, PIECE);
    }
    if (traits.block < PIECE && rest) {
        char copies[STREAMS][PIECE / 32 * sizeof(block_q8_0)];
        const char *pieces[STREAMS];
        for (int s = 0; s < STREAMS; s++) {
            pieces[s] = rows[s] + whole;
            if ((size_t)(end - pieces[s]) < piece_bytes)
                pieces[s] = memcpy(memset(copies[s], 0, piece_bytes), pieces[s], rest);
        }
        add_pieces(sum, type, plan, pieces, x, tokens, n_in % PIECE);
    }
    for (size_t t = 0; t < tokens; t++) sum_rows(out[t], type, sum, t, tokens);
}

INLINE void dot_streams_of(float out[][STREAMS], const dtype type, const piece_plan *plan,
                           const char *const rows[STREAMS], const char *end, const piece_input *x,
                           size_t n_tokens, size_t n_in) {
    if (n_tokens == 1)
        dot_streams(out, type, plan, rows, end, x, n_in, 1);
    else if (n_tokens == 2 && KEPT_TOKENS >= 2)
        dot_streams(out, type, plan, rows, end, x, n_in, 2);
    else if (n_tokens == 3 && KEPT_TOKENS >= 3)
        dot_streams(out, type, plan, rows, end, x, n_in, 3);
    else
        dot_streams(out, type, plan, rows, end, x, n_in, n_tokens);
}

/* Stream s has the rows from s · share on; where they run out it repeats the last one. */
INLINE void dot_rows_of(float *y, size_t y_stride, const dtype type, const char *rows,
                        size_t row_bytes, size_t n_rows, const activations *x, piece_input *in) {
    const piece_plan plan = plan_of(type);
    const size_t share = (n_rows + STREAMS - 1) / STREAMS;
    arrange(in, type, &plan, x);
    for (size_t r = 0; r < share; r++) {
        float out[MATMUL_FEW_TOKENS][STREAMS];
        const char *at[STREAMS];
        size_t row[STREAMS];
        for (size_t s = 0; s < STREAMS; s++) {
            row[s] = s * share + r < n_rows ? s * share + r : n_rows - 1;
            at[s] = rows + row[s] * row_bytes;
        }
        dot_streams_of(out, type, &plan, at, rows + n_rows * row_bytes, in, x->n_tokens, x->n_in);
        for (size_t t = 0; t < x->n_tokens; t++)
            for (size_t s = 0; s < STREAMS; s++) y[t * y_stride + row[s]] = out[t][s];
    }
}

#endif
