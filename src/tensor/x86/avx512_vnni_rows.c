/* Rows of blocks with few tokens on AVX-512 VNNI: the slot dot_rows.
 *
 * What decides with one token is the number of instructions for each byte of weights (one core
 * reads some 8 bytes a cycle from memory), with several how often the two pipes are used that have
 * both vpdpbusd and float multiplications. So a piece of 256 weights is unpacked in registers once
 * for all tokens (pieces512.h), and two rows' products with one token are eight vpdpbusd, whose
 * sums begin from what takes the zero point off, and two or three multiplications. An output is the
 * sum of lanes each of which adds its pieces in order: it depends neither on the tokens nor on the
 * rows computed together. */
#include "tensor/x86/avx512_vec.h"
#include "tensor/x86/pieces512.h"

enum { STREAMS = 4, KEPT_TOKENS = 3 };

/* The activations of a piece in the order of a type's codes, and for each lane the scale. Types
 * with minima have the sum of each lane's group, times the scale; all others what the lane's
 * products begin from, −zero point · Σ q. */
typedef struct piece_input {
    int8_t q[PIECE];
    float scale[16];
    union {
        float sum[16];
        int32_t begin[16];
    };
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

/* The order of a type's codes for vpermt2d over the two halves of a piece: lane l of register i is
 * dword from[i][l] of 64, which the mask says is in the upper half. */
typedef struct code_order {
    __m512i from[4];
    __mmask16 is_high[4];
} code_order;

INLINE code_order code_order_of(const dtype type) {
    code_order order;
    for (int i = 0; i < 4; i++) {
        int32_t from[16];
        for (int l = 0; l < 16; l++) from[l] = order_of(type, i, l / 4, l % 4) / 4;
        order.from[i] = _mm512_loadu_si512(from);
        order.is_high[i] = _mm512_test_epi32_mask(order.from[i], _mm512_set1_epi32(32));
    }
    return order;
}

INLINE void arrange_codes(int8_t *to, const code_order *order, const int8_t *q, size_t k,
                          size_t n) {
    __m512i in[4];
    for (int i = 0; i < 4; i++)
        in[i] = k + PIECE <= n ? load_64(q + k + 64 * i) : first_bytes(q, k + 64 * i, n);
    for (int i = 0; i < 4; i++) {
        __m512i low = _mm512_permutex2var_epi32(in[0], order->from[i], in[1]);
        __m512i high = _mm512_permutex2var_epi32(in[2], order->from[i], in[3]);
        _mm512_storeu_si512(to + 64 * i, _mm512_mask_mov_epi32(low, order->is_high[i], high));
    }
}

INLINE __m512i four_dots(__m512i sum, const __m512i *w, const int8_t *x) {
    for (int k = 0; k < 4; k++) sum = _mm512_dpbusd_epi32(sum, w[k], load_64(x + 64 * k));
    return sum;
}

/* The piece of token t from column k on. A type's minima are added in blocks of 32, otherwise taken
 * off. */
INLINE void arrange_piece(piece_input *to, const dtype type, const piece_plan *plan,
                          const code_order *order, const activations *x, size_t t, size_t k) {
    const unpack_traits traits = unpack_traits_of(type);
    const size_t n = x->n_in, blocks = n / 32;
    arrange_codes(to->q, order, x->q + t * n, k, n);
    __m512 scale = first_floats(x->scale + t * blocks, k / 32, blocks);
    _mm512_storeu_ps(to->scale, _mm512_permutexvar_ps(plan->blocks, scale));
    if (traits.has_min) {
        __m512i group = plan->blocks;
        __m512 sum = first_floats(x->sum32 + t * blocks, k / 32, blocks);
        if (traits.group == 16) {
            group = _mm512_cvtepu8_epi32(plan->groups);
            sum = first_floats(x->sum16 + t * 2 * blocks, k / 16, 2 * blocks);
        }
        sum = _mm512_mul_ps(sum, _mm512_set1_ps(traits.block == 32 ? 1.0f : -1.0f));
        _mm512_storeu_ps(to->sum, _mm512_permutexvar_ps(group, sum));
    } else {
        const __m512i zero = every_byte(traits.is_signed ? 128 : traits.zero);
        __m512i sum = four_dots(_mm512_setzero_si512(), (__m512i[]){zero, zero, zero, zero}, to->q);
        _mm512_storeu_si512(to->begin, _mm512_sub_epi32(_mm512_setzero_si512(), sum));
    }
}

/* to[piece, token] */
INLINE void arrange(piece_input *to, const dtype type, const piece_plan *plan,
                    const activations *x) {
    const code_order order = code_order_of(type);
    for (size_t k = 0; k < x->n_in; k += PIECE)
        for (size_t t = 0; t < x->n_tokens; t++) arrange_piece(to++, type, plan, &order, x, t, k);
}

/* --- products --- */

/* Vectors of sums of two rows and one token: groups of 32 share one. */
INLINE int sums_of_pair(const dtype type) { return unpack_traits_of(type).group == 32 ? 1 : 2; }

/* Loads are as scarce as multiplications here: gcc would load once for each use. */
INLINE __m512i loaded_once(const int8_t *q) {
    __m512i v = load_64(q);
    __asm__("" : "+v"(v));
    return v;
}

INLINE void add_products(__m512 *sum, const dtype type, const pair *p, const piece_input *x) {
    const bool has_min = unpack_traits_of(type).has_min;
    const __m512i begin = has_min ? _mm512_setzero_si512() : load_64(x->begin);
    __m512i dot[2] = {begin, begin};
    for (int k = 0; k < 4; k++) {
        const __m512i in = loaded_once(x->q + 64 * k);
        for (int row = 0; row < 2; row++)
            dot[row] = _mm512_dpbusd_epi32(dot[row], p->q[row][k], in);
    }
    if (sums_of_pair(type) == 1) dot[0] = folded(dot[0], dot[1]);
    for (int i = 0; i < sums_of_pair(type); i++) {
        __m512 factor = _mm512_mul_ps(p->scale[i], _mm512_loadu_ps(x->scale));
        sum[i] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(dot[i]), factor, sum[i]);
        if (has_min) sum[i] = _mm512_fmadd_ps(p->min[i], _mm512_loadu_ps(x->sum), sum[i]);
    }
}

/* --- rows --- */

INLINE __m128 quarter_of(__m512 v) {
    __m256 half = _mm256_add_ps(_mm512_castps512_ps256(v), _mm512_extractf32x8_ps(v, 1));
    return _mm_add_ps(_mm256_castps256_ps128(half), _mm256_extractf128_ps(half, 1));
}

/* The lanes' sums of two pairs of rows. */
INLINE __m128 sum_lanes(const dtype type, const __m512 *first, const __m512 *second) {
    if (sums_of_pair(type) == 1) return _mm_hadd_ps(quarter_of(*first), quarter_of(*second));
    return _mm_hadd_ps(_mm_hadd_ps(quarter_of(first[0]), quarter_of(first[1])),
                       _mm_hadd_ps(quarter_of(second[0]), quarter_of(second[1])));
}

/* sum[pair][token] += the products of a piece of four rows. */
INLINE void add_pieces(vec *sum, const dtype type, const piece_plan *plan,
                       const char *const at[STREAMS], const piece_input *x, const size_t tokens,
                       const size_t columns) {
#pragma GCC unroll 2
    for (int s = 0; s < STREAMS; s += 2) {
        pair p = pair_of(type, plan, at[s], at[s + 1]);
        if (columns < PIECE) cut_pair(&p, plan, columns);
        for (size_t t = 0; t < tokens; t++, sum += sums_of_pair(type))
            add_products(sum, type, &p, x + t);
    }
}

INLINE void sum_rows(float out[STREAMS], const dtype type, const vec *sum, size_t t,
                     const size_t tokens) {
    const size_t vectors = (size_t)sums_of_pair(type);
    const vec *first = sum + t * vectors, *second = first + tokens * vectors;
    _mm_storeu_ps(out, sum_lanes(type, first, second));
}

INLINE size_t vectors_of_rows(const dtype type) { return 2 * (size_t)sums_of_pair(type); }

#include "tensor/x86/streams.h"

static void dot_rows_vnni(float *y, size_t y_stride, dtype type, const void *rows,
                          size_t row_bytes, size_t n_rows, const activations *x, void *scratch) {
#define DOT_ROWS(T) dot_rows_of(y, y_stride, T, rows, row_bytes, n_rows, x, scratch)
    FOR_BLOCK_TYPE(type, DOT_ROWS)
#undef DOT_ROWS
}

void kernels_fill_avx512_vnni_rows(kernels *k) { k->dot_rows = dot_rows_vnni; }
