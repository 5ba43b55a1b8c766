/* Products in 8 bits with few tokens on AVX2: the slot dot_rows.
 *
 * A piece of 256 weights is unpacked in registers once for all tokens (pieces256.h), in an order in
 * which the products of a set are added up as they are, in 16 bits where they fit. The halves of
 * the sets are folded, and eight lanes of 32 bits, one for each block of activations, cost one
 * conversion and two or three multiplications: those share two ports with the products. (Shuffles
 * and additions do not.)
 *
 * Sums of 16 bits may wrap around as long as what they stand for fits: types without minima begin
 * from −zero point · Σ q. An output is the sum of lanes each of which adds its pieces in order: it
 * depends neither on the tokens nor on the rows computed together. */
#include "tensor/matmul.h"
#include "tensor/x86/avx2_vec.h"
#include "tensor/x86/pieces256.h"

enum { STREAMS = 4, KEPT_TOKENS = 1 };

/* The activations of a piece, turned as the codes are, and the scale of each lane's block. Types
 * with minima have the sums of the lanes' groups, times the scale (groups of 16: even ones, then
 * odd ones); others what the sums of each set begin from. */
typedef struct piece_input {
    int8_t q[PIECE];
    float scale[8];
    union {
        float sum[16];
        int16_t begin[2][16];
    };
} piece_input;

_Static_assert(sizeof(piece_input) <= DOT_ROWS_SCRATCH, "kernels.h");

/* Types need nothing but what is known when this is compiled. */
typedef struct piece_plan {
    dtype type;
} piece_plan;

INLINE piece_plan plan_of(const dtype type) { return (piece_plan){type}; }

/* --- activations --- */

/* A piece of one token in the natural order. */
typedef struct natural_input {
    const int8_t *q;
    const float *scale, *sum32, *sum16;
} natural_input;

INLINE void turn_input(int8_t *to, const dtype type, const int8_t *q) {
    for (int set = 0; set < 2; set++) {
        __m256i from[4], turned[4];
        for (int i = 0; i < 4; i++)
            from[i] = is_folded(type)
                          ? load_32((const uint8_t *)q + 32 * block_of_register(type, set, i))
                          : load_halves(q + 32 * i + 16 * set, q + 32 * (i + 4) + 16 * set);
        turn_lanes(turned, from);
        for (int k = 0; k < 4; k++)
            _mm256_storeu_si256((void *)(to + 128 * set + 32 * k), turned[k]);
    }
}

/* −zero · Σ q of each lane; both sets together where they are not folded. */
INLINE void begin_sums(piece_input *to, const dtype type) {
    const __m256i zero = _mm256_set1_epi8((char)unpack_traits_of(type).zero);
    __m256i begin[2] = {_mm256_setzero_si256(), _mm256_setzero_si256()};
    for (int k = 0; k < 8; k++) {
        const int set = is_folded(type) ? k / 4 : 0;
        const __m256i pairs = _mm256_maddubs_epi16(zero, load_32((const uint8_t *)to->q + 32 * k));
        begin[set] = _mm256_sub_epi16(begin[set], pairs);
    }
    for (int set = 0; set < 2; set++)
        _mm256_storeu_si256((void *)to->begin[set], begin[set]);
}

/* A type's minima are added in blocks of 32, otherwise taken off. */
INLINE void arrange_piece(piece_input *to, const dtype type, const natural_input *x) {
    const unpack_traits traits = unpack_traits_of(type);
    const float sign = traits.block == 32 ? 1.0f : -1.0f;
    turn_input(to->q, type, x->q);
    for (int l = 0; l < 8; l++) to->scale[l] = x->scale[lane_block(type, l)];
    if (traits.zero) begin_sums(to, type);
    for (int l = 0; l < 8 && traits.has_min; l++) {
        const int block = lane_block(type, l);
        to->sum[l] = sign * (traits.group == 32 ? x->sum32[block] : x->sum16[2 * block]);
        to->sum[8 + l] = sign * x->sum16[2 * block + 1];
    }
}

/* to[piece, token]; a last piece ends with zeros. */
INLINE void arrange(piece_input *to, const dtype type, const piece_plan *plan,
                    const activations *x) {
    (void)plan;
    const size_t n = x->n_in, whole = n / PIECE * PIECE, rest = n - whole;
    for (size_t k = 0; k < whole; k += PIECE)
        for (size_t t = 0; t < x->n_tokens; t++) {
            const size_t at = t * n + k;
            const natural_input in = {x->q + at, x->scale + at / 32, x->sum32 + at / 32,
                                      x->sum16 + at / 16};
            arrange_piece(to++, type, &in);
        }
    for (size_t t = 0; t < x->n_tokens && rest; t++) {
        const size_t at = t * n + whole;
        int8_t q[PIECE] = {0};
        float scale[8] = {0}, sum32[8] = {0}, sum16[16] = {0};
        memcpy(q, x->q + at, rest);
        memcpy(scale, x->scale + at / 32, rest / 32 * sizeof *scale);
        memcpy(sum32, x->sum32 + at / 32, rest / 32 * sizeof *sum32);
        memcpy(sum16, x->sum16 + at / 16, rest / 16 * sizeof *sum16);
        const natural_input in = {q, scale, sum32, sum16};
        arrange_piece(to++, type, &in);
    }
}

/* --- products --- */

INLINE __m256i dot_32(__m256i w, const int8_t *q) {
    return _mm256_maddubs_epi16(w, _mm256_loadu_si256((const void *)q));
}

/* The products of a set, in lanes of 16 bits. */
INLINE __m256i dot_set(const __m256i w[4], const int8_t *q) {
    __m256i a = _mm256_add_epi16(dot_32(w[0], q), dot_32(w[1], q + 32));
    return _mm256_add_epi16(a, _mm256_add_epi16(dot_32(w[2], q + 64), dot_32(w[3], q + 96)));
}

/* The same of signed codes, in lanes of 32 bits. They leave their sign to the activations, since
 * vpmaddubsw wants unsigned ones. */
INLINE __m256i dot_signed_set(const __m256i w[4], const int8_t *q) {
    __m256i dot[4];
    for (int k = 0; k < 4; k++) {
        __m256i x = _mm256_sign_epi8(_mm256_loadu_si256((const void *)(q + 32 * k)), w[k]);
        __m256i pairs = _mm256_maddubs_epi16(_mm256_abs_epi8(w[k]), x);
        dot[k] = _mm256_madd_epi16(pairs, _mm256_set1_epi16(1));
    }
    return _mm256_add_epi32(_mm256_add_epi32(dot[0], dot[1]), _mm256_add_epi32(dot[2], dot[3]));
}

INLINE __m256i low_halves(__m256i a, __m256i b) { return _mm256_permute2x128_si256(a, b, 0x20); }
INLINE __m256i high_halves(__m256i a, __m256i b) { return _mm256_permute2x128_si256(a, b, 0x31); }

/* The sums of both sets of a type as one vector. */
INLINE __m256i fold(const dtype type, __m256i a, __m256i b) {
    return is_folded(type) ? _mm256_add_epi32(low_halves(a, b), high_halves(a, b))
                           : _mm256_add_epi32(a, b);
}

INLINE __m256i fold_16(const dtype type, __m256i a, __m256i b) {
    return is_folded(type) ? _mm256_add_epi16(low_halves(a, b), high_halves(a, b))
                           : _mm256_add_epi16(a, b);
}

/* Whether the products of both sets fit 16 bits together. */
INLINE bool is_narrow(const dtype type) {
    const unpack_traits traits = unpack_traits_of(type);
    return traits.group == 32 && (traits.max <= 15 || (!is_folded(type) && !traits.has_min));
}

/* Lane l = the products of block lane_block(l), times its integer scales if the groups have 16. */
INLINE __m256i dot_piece(const dtype type, const piece *p, const piece_input *x) {
    const unpack_traits traits = unpack_traits_of(type);
    const __m256i ones = _mm256_set1_epi16(1);
    if (traits.is_signed)
        return fold(type, dot_signed_set(p->q, x->q), dot_signed_set(p->q + 4, x->q + 128));
    __m256i sum[2];
    for (int set = 0; set < 2; set++) {
        sum[set] = dot_set(p->q + 4 * set, x->q + 128 * set);
        if (traits.zero && (set == 0 || is_folded(type)))
            sum[set] = _mm256_add_epi16(sum[set], load_32((const uint8_t *)x->begin[set]));
    }
    if (is_narrow(type)) return _mm256_madd_epi16(fold_16(type, sum[0], sum[1]), ones);
    for (int set = 0; set < 2; set++)
        sum[set] = _mm256_madd_epi16(sum[set], traits.group == 16 ? p->multiplier[set] : ones);
    return fold(type, sum[0], sum[1]);
}

INLINE __m256 add_products(__m256 sum, const dtype type, const piece *p, const piece_input *x) {
    const unpack_traits traits = unpack_traits_of(type);
    __m256 factor = _mm256_mul_ps(p->scale, _mm256_loadu_ps(x->scale));
    sum = _mm256_fmadd_ps(_mm256_cvtepi32_ps(dot_piece(type, p, x)), factor, sum);
    if (traits.has_min) sum = _mm256_fmadd_ps(p->min[0], _mm256_loadu_ps(x->sum), sum);
    if (traits.has_min && traits.group == 16)
        sum = _mm256_fmadd_ps(p->min[1], _mm256_loadu_ps(x->sum + 8), sum);
    return sum;
}

/* --- rows --- */

/* sum[stream][token] += the products of a piece of four rows. */
INLINE void add_pieces(vec *sum, const dtype type, const piece_plan *plan,
                       const char *const at[STREAMS], const piece_input *x, const size_t tokens,
                       const size_t columns) {
    (void)plan;
#pragma GCC unroll 2
    for (int s = 0; s < STREAMS; s += 2) {
        piece p[2];
        if (type == DTYPE_Q4_K || type == DTYPE_Q5_K)
            scales_of_pair_q4_k((piece *[]){&p[0], &p[1]}, (const void *[]){at[s], at[s + 1]});
        for (int row = 0; row < 2; row++) {
            unpack_piece(&p[row], type, at[s + row]);
            if (columns < PIECE) cut_piece(&p[row], type, columns);
            for (size_t t = 0; t < tokens; t++, sum++)
                *sum = add_products(*sum, type, &p[row], x + t);
        }
    }
}

INLINE void sum_rows(float out[STREAMS], const dtype type, const vec *sum, size_t t,
                     const size_t tokens) {
    (void)type;
    v_sum4(out, sum[t], sum[tokens + t], sum[2 * tokens + t], sum[3 * tokens + t]);
}

INLINE size_t vectors_of_rows(const dtype type) { return (void)type, STREAMS; }

#include "tensor/x86/streams.h"

static void dot_rows_avx2(float *y, size_t y_stride, dtype type, const void *rows,
                          size_t row_bytes, size_t n_rows, const activations *x, void *scratch) {
#define DOT_ROWS(T) dot_rows_of(y, y_stride, T, rows, row_bytes, n_rows, x, scratch)
    FOR_BLOCK_TYPE(type, DOT_ROWS)
#undef DOT_ROWS
}

void kernels_fill_avx2_rows(kernels *k) { k->dot_rows = dot_rows_avx2; }
