/* Rows of blocks with few tokens on AVX-512 VNNI: the slot dot_rows.
 *
 * What decides is the number of instructions for each byte of weights: one core reads some 8 bytes a
 * cycle from memory. So a piece of 256 weights is unpacked in registers once for all tokens
 * (pieces512.h), and its product with one token is four vpdpbusd, one conversion and two or three
 * float operations. An output is the sum of 16 lanes, each of which adds its pieces in order: it
 * depends neither on the tokens nor on the rows computed together. */
#include "tensor/x86/pieces512.h"

/* Rows that are read side by side, from places far apart: one stream alone gets two thirds of what
 * the memory gives a core. */
enum { STREAMS = 4 };

/* The activations of a piece in the order of a type's codes. `scale` is a factor for each lane of
 * the type's scales. In groups of 32 its upper half serves the minima, and is the negative sum of
 * the activations, or what takes the zero point off; in groups of 16 `min` is that. */
typedef struct piece_input {
    int8_t q[PIECE];
    float scale[16], min[16];
} piece_input;

_Static_assert(sizeof(piece_input) == DOT_ROWS_SCRATCH, "kernels.h");

/* --- activations --- */

/* Values at k … k + 15 of x[n], 0 behind its end. */
INLINE __m512 first_floats(const float *x, size_t k, size_t n) {
    if (k >= n) return _mm512_setzero_ps();
    size_t rest = n - k;
    return _mm512_maskz_loadu_ps(rest >= 16 ? 0xffff : (__mmask16)((1u << rest) - 1), x + k);
}

INLINE __m512i first_bytes(const int8_t *q, size_t k, size_t n) {
    if (k >= n) return _mm512_setzero_si512();
    size_t rest = n - k;
    return _mm512_maskz_loadu_epi8(rest >= 64 ? ~UINT64_C(0) : (UINT64_C(1) << rest) - 1, q + k);
}

INLINE void arrange_codes(int8_t *to, const dtype type, const int8_t *q, size_t k, size_t n) {
    __m512i in[4];
    for (int i = 0; i < 4; i++) in[i] = first_bytes(q, k + 64 * i, n);
    for (int i = 0; i < 4; i++) {
        int32_t from[16]; /* which of 64 dwords */
        for (int l = 0; l < 16; l++) from[l] = order_of(type, i, l / 4, l % 4) / 4;
        __m512i at = _mm512_loadu_si512(from);
        __m512i low = _mm512_permutex2var_epi32(in[0], at, in[1]);
        __m512i high = _mm512_permutex2var_epi32(in[2], at, in[3]);
        __mmask16 is_high = _mm512_test_epi32_mask(at, _mm512_set1_epi32(32));
        _mm512_storeu_si512(to + 64 * i, _mm512_mask_mov_epi32(low, is_high, high));
    }
}

/* The piece of token t from column k on. The minima of the blocks with m are added, all others taken
 * off. */
INLINE void arrange_piece(piece_input *to, const dtype type, const piece_plan *plan,
                          const activations *x, size_t t, size_t k) {
    const unpack_traits traits = unpack_traits_of(type);
    const float zero = traits.is_signed ? 128 : traits.zero;
    const float sign = !traits.has_min ? -zero : traits.block == 32 ? 1.0f : -1.0f;
    const size_t n = x->n_in, blocks = n / 32;
    arrange_codes(to->q, type, x->q + t * n, k, n);
    __m512 scale = first_floats(x->scale + t * blocks, k / 32, blocks);
    if (traits.group == 32) {
        __m512 sum = first_floats(x->sum32 + t * blocks, k / 32, blocks);
        sum = _mm512_mul_ps(sum, _mm512_set1_ps(sign));
        scale = _mm512_insertf32x8(scale, _mm512_castps512_ps256(sum), 1);
    } else {
        __m512 sum = first_floats(x->sum16 + t * 2 * blocks, k / 16, 2 * blocks);
        __m512i group = _mm512_cvtepu8_epi32(plan->groups);
        sum = _mm512_mul_ps(_mm512_permutexvar_ps(group, sum), _mm512_set1_ps(sign));
        scale = _mm512_permutexvar_ps(plan->lanes, scale);
        _mm512_storeu_ps(to->min, sum);
    }
    _mm512_storeu_ps(to->scale, scale);
}

/* to[piece, token] */
INLINE void arrange(piece_input *to, const dtype type, const piece_plan *plan,
                    const activations *x) {
    for (size_t k = 0; k < x->n_in; k += PIECE)
        for (size_t t = 0; t < x->n_tokens; t++) arrange_piece(to++, type, plan, x, t, k);
}

/* --- products --- */

INLINE __m512i four_dots(const piece *p, const int8_t *x) {
    __m512i dot = _mm512_setzero_si512();
    for (int k = 0; k < 4; k++) dot = _mm512_dpbusd_epi32(dot, p->q[k], load_64(x + 64 * k));
    return dot;
}

INLINE __m512 add_product(__m512 sum, const dtype type, const piece_plan *plan, const piece *p,
                          const piece_input *x) {
    __m512 dot = _mm512_cvtepi32_ps(four_dots(p, x->q));
    __m512 factor = _mm512_mul_ps(p->scale, _mm512_loadu_ps(x->scale));
    if (unpack_traits_of(type).group == 16) {
        sum = _mm512_fmadd_ps(dot, factor, sum);
        return _mm512_fmadd_ps(p->min, _mm512_loadu_ps(x->min), sum);
    }
    sum = _mm512_fmadd_ps(dot, _mm512_permutexvar_ps(plan->lanes, factor), sum);
    return _mm512_mask_add_ps(sum, 0xff00, sum, factor);
}

/* --- rows --- */

/* The lanes' sums of four vectors. */
INLINE __m128 sum_lanes_4(const __m512 *v, size_t stride) {
    __m128 quarter[4];
    for (int i = 0; i < 4; i++) {
        __m512 all = v[i * stride];
        __m256 half = _mm256_add_ps(_mm512_castps512_ps256(all), _mm512_extractf32x8_ps(all, 1));
        quarter[i] = _mm_add_ps(_mm256_castps256_ps128(half), _mm256_extractf128_ps(half, 1));
    }
    return _mm_hadd_ps(_mm_hadd_ps(quarter[0], quarter[1]), _mm_hadd_ps(quarter[2], quarter[3]));
}

/* With several tokens a piece takes so long that the processor looks ahead no further than to the
 * next few, and its own prefetch begins anew with each page. */
INLINE void prefetch_piece(const char *at, const size_t bytes) {
    enum { AHEAD = 2048 };
    for (size_t line = 0; line < bytes; line += 64) __builtin_prefetch(at + AHEAD + line, 0, 2);
}

/* out[token][stream] = products of one row from each stream with `tokens` tokens. A row's last
 * columns that fill no piece are copied to one with zeros. The inputs of a piece's successor lie
 * n_tokens further. */
INLINE void dot_streams(float out[][STREAMS], const dtype type, const piece_plan *plan,
                        const char *const rows[STREAMS], const piece_input *x, size_t n_tokens,
                        size_t n_in, const int tokens) {
    const unpack_traits traits = unpack_traits_of(type);
    const size_t piece_bytes = PIECE / traits.block * (size_t)traits.block_bytes;
    const size_t whole = n_in / PIECE * piece_bytes;
    const size_t rest = n_in % PIECE / traits.block * traits.block_bytes;
    __m512 sum[STREAMS * MATMUL_FEW_TOKENS];
    for (int i = 0; i < STREAMS * tokens; i++) sum[i] = _mm512_setzero_ps();
    for (size_t at = 0; at < whole; at += piece_bytes, x += n_tokens)
#pragma GCC unroll 4
        for (int s = 0; s < STREAMS; s++) {
            if (tokens > 3) prefetch_piece(rows[s] + at, piece_bytes);
            const piece p = piece_of(type, plan, rows[s] + at);
#pragma GCC unroll 8
            for (int t = 0; t < tokens; t++)
                sum[s * tokens + t] = add_product(sum[s * tokens + t], type, plan, &p, x + t);
        }
    for (int s = 0; s < STREAMS && rest; s++) {
        char last[PIECE / 32 * sizeof(block_q8_0)] = {0};
        memcpy(last, rows[s] + whole, rest);
        const piece p = piece_of(type, plan, last);
        for (int t = 0; t < tokens; t++)
            sum[s * tokens + t] = add_product(sum[s * tokens + t], type, plan, &p, x + t);
    }
    for (int t = 0; t < tokens; t++) _mm_storeu_ps(out[t], sum_lanes_4(sum + t, (size_t)tokens));
}

/* The same for all tokens, MATMUL_FEW_TOKENS at the most. */
INLINE void dot_streams_of(float out[][STREAMS], const dtype type, const piece_plan *plan,
                           const char *const rows[STREAMS], const piece_input *x, size_t n_tokens,
                           size_t n_in) {
#define DOT_STREAMS(tokens) \
    dot_streams(out + t, type, plan, rows, x + t, n_tokens, n_in, tokens)
    size_t t = 0;
    if (n_tokens == 7) {
        DOT_STREAMS(4);
        t = 4;
    }
    switch (n_tokens - t) {
    case 1: DOT_STREAMS(1); break;
    case 2: DOT_STREAMS(2); break;
    case 3: DOT_STREAMS(3); break;
    case 4: DOT_STREAMS(4); break;
    case 5: DOT_STREAMS(5); break;
    case 6: DOT_STREAMS(6); break;
    case 8: DOT_STREAMS(8); break;
    }
#undef DOT_STREAMS
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
        dot_streams_of(out, type, &plan, at, in, x->n_tokens, x->n_in);
        for (size_t t = 0; t < x->n_tokens; t++)
            for (size_t s = 0; s < STREAMS; s++) y[t * y_stride + row[s]] = out[t][s];
    }
}

static void dot_rows_vnni(float *y, size_t y_stride, dtype type, const void *rows,
                          size_t row_bytes, size_t n_rows, const activations *x, void *scratch) {
#define DOT_ROWS(T) dot_rows_of(y, y_stride, T, rows, row_bytes, n_rows, x, scratch)
    FOR_BLOCK_TYPE(type, DOT_ROWS)
#undef DOT_ROWS
}

void kernels_fill_avx512_vnni_rows(kernels *k) { k->dot_rows = dot_rows_vnni; }
