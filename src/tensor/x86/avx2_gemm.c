/* Products in 8 bits with many tokens on AVX2: gemm_rows.
 *
 * 32 rows by 512 columns at the most are unpacked into a `piece`, which stays in the first cache
 * while all tokens pass by, two at a time. Lanes run along the rows: four columns of eight rows are
 * a vector; four activations are broadcast; vpmaddubsw adds two products each in 16 bits. (A
 * broadcast takes a place among the arithmetic: four vectors for each are the fastest tile.)
 *
 * What matters then is how many of these sums can be added before they must be widened. Codes are
 * multiplied as they are, unsigned; Σ (q − zero) · x of the 8 columns (groups of 16) or 16 columns
 * that meet in a lane stays below 2^15 for |q − zero| ≤ 32 or 16. So sums may wrap around: taking
 * off zero · Σ x (sum_codes) brings them back. Thus a group of up to 5 bits, or half a
 * group of 6, is widened once. Codes of 8 bits would saturate vpmaddubsw: they are split into two
 * planes of 4 bits, two rows for one.
 *
 * The instruction that widens, vpmaddwd, multiplies as well: by the 6-bit scales of the K types. So
 * their blocks of 256 need one float factor, for every block of 32 activations another. */
#include "tensor/x86/pack.h"

enum { VECTORS = 4, ROWS = 8 * VECTORS, TOKENS = 2, COLUMNS = 512 };

typedef struct piece {
    uint8_t q[COLUMNS / 4][ROWS][4];
    int16_t multiplier[COLUMNS / 16][ROWS][2]; /* K types: a group's integer scale, twice */
    float scale[COLUMNS / 32][ROWS];           /* of blocks of 256, or of 32 */
    float min[COLUMNS / 16][ROWS];             /* of groups */
} piece;

_Static_assert(sizeof(piece) <= GEMM_SCRATCH_BYTES, "a piece fits the scratch");

/* How the products of a type are computed: w = scale · multiplier · (q − zero) − min. */
typedef struct form {
    int group;
    int planes;   /* 2: codes of 8 bits, upper and lower half; the upper one is centred */
    uint8_t zero; /* where codes are centred, or 0 */
    bool has_multipliers, has_min;
} form;

INLINE form form_of(const dtype type) {
    switch (type) {
    case DTYPE_Q4_0: return (form){32, 1, 8, false, false};
    case DTYPE_Q4_1: return (form){32, 1, 0, false, true};
    case DTYPE_Q5_0: return (form){32, 1, 16, false, false};
    case DTYPE_Q5_1: return (form){32, 1, 16, false, true};
    case DTYPE_Q2_K: return (form){16, 1, 0, true, true};
    case DTYPE_Q3_K: return (form){16, 1, 4, true, false};
    case DTYPE_Q4_K: return (form){32, 1, 0, true, true};
    case DTYPE_Q5_K: return (form){32, 1, 16, true, true};
    case DTYPE_Q6_K: return (form){16, 1, 32, true, false};
    case DTYPE_IQ4_XS: return (form){32, 2, 8, true, false};
    default: return (form){32, 2, 8, false, false}; /* Q8_0, IQ4_NL */
    }
}

/* --- packing --- */

enum { STEP = 256 }; /* columns that are unpacked and then interleaved */

/* The lower planes of two stand half the rows further down. */
typedef struct unpacked {
    uint8_t q[ROWS][STEP];
    uint32_t multiplier[ROWS][STEP / 16]; /* two halves, the same */
    float scale[ROWS][STEP / 32];
    float min[ROWS][STEP / 16];
} unpacked;

/* Eight scales of a block in 8 bits, each twice in 16. */
INLINE void put_multipliers(uint32_t *to, __m128i eight, const bool is_signed) {
    __m256i wide = is_signed ? _mm256_cvtepi8_epi32(eight) : _mm256_cvtepu8_epi32(eight);
    _mm256_storeu_si256((void *)to,
                        _mm256_blend_epi16(wide, _mm256_slli_epi32(wide, 16), 0xaa));
}

INLINE void put_min(float *to, float d, __m128i eight) {
    _mm256_storeu_ps(to, _mm256_mul_ps(_mm256_set1_ps(d), floats_of_bytes(eight, false)));
}

/* The scales of one block of 256. */
INLINE void unpack_multipliers(const dtype type, uint32_t *multiplier, float *scale, float *min,
                               const void *block) {
    if (type == DTYPE_Q4_K || type == DTYPE_Q5_K) {
        const block_q4_k *b = block;
        __m128i codes = scale_codes_q4_k(block);
        *scale = unpack_f16(b->d);
        put_multipliers(multiplier, codes, false);
        put_min(min, unpack_f16(b->dmin), _mm_unpackhi_epi64(codes, codes));
        if (type == DTYPE_Q5_K) {
            const __m256 zero = _mm256_set1_ps(form_of(type).zero * *scale);
            __m256 below = _mm256_mul_ps(zero, floats_of_bytes(codes, false));
            _mm256_storeu_ps(min, _mm256_sub_ps(_mm256_loadu_ps(min), below));
        }
    } else if (type == DTYPE_Q6_K) {
        const block_q6_k *b = block;
        *scale = unpack_f16(b->d);
        for (int i = 0; i < 16; i += 8)
            put_multipliers(multiplier + i, _mm_loadl_epi64((const void *)(b->scales + i)), true);
    } else if (type == DTYPE_Q3_K) {
        const block_q3_k *b = block;
        uint8_t codes[16];
        for (int k = 0; k < 16; k++) codes[k] = (uint8_t)q3_k_scale(b->scales, k);
        *scale = unpack_f16(b->d);
        for (int i = 0; i < 16; i += 8)
            put_multipliers(multiplier + i, _mm_loadl_epi64((const void *)(codes + i)), true);
    } else if (type == DTYPE_Q2_K) {
        const block_q2_k *b = block;
        *scale = unpack_f16(b->d);
        for (int i = 0; i < 16; i += 8) {
            __m128i both = _mm_loadl_epi64((const void *)(b->scales + i));
            __m128i mask = _mm_set1_epi8(15);
            put_multipliers(multiplier + i, _mm_and_si128(both, mask), false);
            put_min(min + i, unpack_f16(b->dmin),
                    _mm_and_si128(_mm_srli_epi16(both, 4), mask));
        }
    } else {
        const block_iq4_xs *b = block;
        uint8_t codes[8];
        for (int k = 0; k < 8; k++) codes[k] = (uint8_t)iq4_xs_scale(b, k);
        *scale = unpack_f16(b->d);
        put_multipliers(multiplier, _mm_loadl_epi64((const void *)codes), true);
        uint32_t *lower = multiplier + ROWS / 2 * (STEP / 16);
        memcpy(lower, multiplier, 8 * sizeof *lower);
        for (int k = 0; k < 8; k++) multiplier[k] = multiplier[k] << 4 & 0xfff0fff0;
    }
}

/* Codes of 8 bits into halves: q = 16 · (upper − 8) + lower. */
INLINE void split_planes(uint8_t *upper, uint8_t *lower, size_t n) {
    for (size_t k = 0; k < n; k += 32) {
        __m256i q = load_32(upper + k), flipped = _mm256_xor_si256(q, _mm256_set1_epi8(-128));
        _mm256_storeu_si256((void *)(upper + k), bits_of_bytes(flipped, 4, 15));
        _mm256_storeu_si256((void *)(lower + k), and_bytes(q, 15));
    }
}

INLINE void unpack_columns(const dtype type, unpacked *to, size_t r, const void *blocks,
                           size_t width) {
    const form f = form_of(type);
    unpack_codes(type, to->q[r], blocks, width, 0);
    if (f.planes == 2) split_planes(to->q[r], to->q[r + ROWS / 2], width);
    if (f.has_multipliers) {
        unpack_multipliers(type, to->multiplier[r], to->scale[r], to->min[r], blocks);
    } else {
        unpack_scales(type, to->scale[r], to->min[r], blocks, width);
        for (size_t g = 0; f.has_min && g < width / 32; g++)
            to->min[r][g] -= f.zero * to->scale[r][g];
    }
}

/* `n` columns of n_rows rows; the rows from there on become zero. */
INLINE void pack_piece(const dtype type, piece *to, const char *blocks, size_t row_bytes,
                       size_t n_rows, size_t n) {
    const unpack_traits traits = unpack_traits_of(type);
    const form f = form_of(type);
    const size_t scale_columns = f.has_multipliers ? 256 : 32;
    _Alignas(32) unpacked u;
    if (n_rows < ROWS / (size_t)f.planes) memset(&u, 0, sizeof u);
    for (size_t k = 0; k < n; k += STEP, blocks += STEP / traits.block * traits.block_bytes) {
        const size_t width = n - k < STEP ? n - k : STEP, groups = width / f.group;
        for (size_t r = 0; r < n_rows; r++)
            unpack_columns(type, &u, r, blocks + r * row_bytes, width);
        transpose(to->q[k / 4], u.q, STEP / 4, ROWS, width / 4);
        transpose(to->scale[k / scale_columns], u.scale, STEP / 32, ROWS,
                  (width + scale_columns - 1) / scale_columns);
        if (f.has_multipliers)
            transpose(to->multiplier[k / f.group], u.multiplier, STEP / 16, ROWS, groups);
        if (f.has_min) transpose(to->min[k / f.group], u.min, STEP / 16, ROWS, groups);
    }
}

/* --- products --- */

INLINE __m256i broadcast_4(const void *p) {
    int32_t four;
    memcpy(&four, p, 4);
    return _mm256_set1_epi32(four);
}

/* Keeps the compiler from adding up a chain as a tree, whose leaves would not fit the registers. */
INLINE __m256i in_this_order(__m256i v) {
    __asm__("" : "+x"(v));
    return v;
}

/* Two tokens' view of the columns of a piece. */
typedef struct tile_inputs {
    const int8_t *q;
    const float *scale, *sum; /* sum: of each group */
    const int16_t *pairs;
    size_t q_stride, scale_stride, sum_stride, pairs_stride; /* from token to token */
} tile_inputs;

INLINE tile_inputs inputs_of(const activations *x, size_t t, size_t k, const int group) {
    const size_t n = x->n_in, at = t * n + k;
    return (tile_inputs){x->q + at, x->scale + at / 32,
                         group == 32 ? x->sum32 + at / 32 : x->sum16 + at / 16,
                         (const int16_t *)x->sums + at / 8, n, n / 32, n / group, n / 8};
}

INLINE void prefetch(const void *p, size_t bytes) {
    for (size_t i = 0; i < bytes; i += 64) _mm_prefetch((const char *)p + i, _MM_HINT_T0);
}

/* The tokens of a tile lie far apart: what the next one needs is asked for while this one runs. */
INLINE void prefetch_inputs(const tile_inputs *in, size_t n, const form f) {
    for (int i = 0; i < TOKENS; i++) {
        prefetch(in->q + i * in->q_stride, n);
        prefetch(in->scale + i * in->scale_stride, n / 8);
        if (f.has_min) prefetch(in->sum + i * in->sum_stride, n / f.group * sizeof(float));
        if (f.zero) prefetch(in->pairs + i * in->pairs_stride, n / 4);
    }
}

/* dot[i][v] = the products of one group in 32 bits, times its multipliers. */
INLINE void dot_group(__m256i dot[TOKENS][VECTORS], const piece *p, size_t k,
                      const tile_inputs *in, const form f) {
    __m256i pairs[TOKENS][VECTORS];
#pragma GCC unroll 8
    for (int s = 0; s < f.group / 4; s++) {
        __m256i x[TOKENS];
        for (int i = 0; i < TOKENS; i++) x[i] = broadcast_4(in->q + i * in->q_stride + k + 4 * s);
        for (int v = 0; v < VECTORS; v++) {
            __m256i w = in_this_order(_mm256_load_si256((const void *)p->q[k / 4 + s][8 * v]));
            for (int i = 0; i < TOKENS; i++) {
                __m256i two = _mm256_maddubs_epi16(w, x[i]);
                pairs[i][v] = in_this_order(s ? _mm256_add_epi16(pairs[i][v], two) : two);
            }
        }
    }
    for (int i = 0; i < TOKENS && f.zero; i++) {
        const int16_t *sums = in->pairs + i * in->pairs_stride + k / 8;
        __m256i sum = broadcast_4(sums);
        if (f.group == 32) sum = _mm256_add_epi16(sum, broadcast_4(sums + 2));
        sum = _mm256_mullo_epi16(sum, _mm256_set1_epi16(f.zero));
        for (int v = 0; v < VECTORS / f.planes; v++)
            pairs[i][v] = _mm256_sub_epi16(pairs[i][v], sum);
    }
    for (int v = 0; v < VECTORS; v++) {
        const int upper = f.planes == 2 && v < VECTORS / 2 ? 16 : 1;
        __m256i multiplier = f.has_multipliers
            ? _mm256_load_si256((const void *)p->multiplier[k / f.group][8 * v])
            : _mm256_set1_epi16(upper);
        for (int i = 0; i < TOKENS; i++) dot[i][v] = _mm256_madd_epi16(pairs[i][v], multiplier);
    }
}

/* dot[i][v] of 32 columns from k on; planes together. */
INLINE void dot_32(__m256i dot[TOKENS][VECTORS], const piece *p, size_t k, const tile_inputs *in,
                   const form f) {
    dot_group(dot, p, k, in, f);
    if (f.group == 16) {
        __m256i second[TOKENS][VECTORS];
        dot_group(second, p, k + 16, in, f);
        for (int i = 0; i < TOKENS; i++)
            for (int v = 0; v < VECTORS; v++)
                dot[i][v] = _mm256_add_epi32(dot[i][v], second[i][v]);
    }
    for (int i = 0; i < TOKENS && f.planes == 2; i++)
        for (int v = 0; v < VECTORS / 2; v++)
            dot[i][v] = _mm256_add_epi32(dot[i][v], dot[i][v + VECTORS / 2]);
}

/* sum −= min · Σ x over all groups of n columns. */
INLINE void subtract_minima(__m256 sum[TOKENS][VECTORS], const piece *p, const tile_inputs *in,
                            size_t n, const form f) {
    for (size_t g = 0; g < n / f.group; g++)
        for (int i = 0; i < TOKENS; i++) {
            __m256 x = _mm256_set1_ps(in->sum[i * in->sum_stride + g]);
            for (int v = 0; v < VECTORS; v++)
                sum[i][v] = _mm256_fnmadd_ps(_mm256_load_ps(p->min[g] + 8 * v), x, sum[i][v]);
        }
}

/* sum[i][v] of n columns, scales included. */
INLINE void tile_sums(__m256 sum[TOKENS][VECTORS], const piece *p, const tile_inputs *in,
                      size_t n, const form f) {
    const size_t scale_columns = f.has_multipliers ? 256 : 32;
    const int vectors = VECTORS / f.planes;
    for (int i = 0; i < TOKENS; i++)
        for (int v = 0; v < vectors; v++) sum[i][v] = _mm256_setzero_ps();
    if (f.has_min) subtract_minima(sum, p, in, n, f);
    for (size_t k = 0; k < n; k += scale_columns) {
        __m256 block[TOKENS][VECTORS];
        for (int i = 0; i < TOKENS; i++)
            for (int v = 0; v < vectors; v++) block[i][v] = _mm256_setzero_ps();
        const float *scale = p->scale[k / scale_columns];
        for (size_t b = k; b < k + scale_columns; b += 32) {
            __m256i dot[TOKENS][VECTORS];
            dot_32(dot, p, b, in, f);
            for (int i = 0; i < TOKENS; i++) {
                __m256 x_scale = _mm256_set1_ps(in->scale[i * in->scale_stride + b / 32]);
                for (int v = 0; v < vectors; v++) {
                    __m256 d = _mm256_cvtepi32_ps(dot[i][v]);
                    if (f.has_multipliers)
                        block[i][v] = _mm256_fmadd_ps(d, x_scale, block[i][v]);
                    else
                        sum[i][v] = _mm256_fmadd_ps(
                            d, _mm256_mul_ps(_mm256_load_ps(scale + 8 * v), x_scale), sum[i][v]);
                }
            }
        }
        for (int i = 0; i < TOKENS && f.has_multipliers; i++)
            for (int v = 0; v < vectors; v++)
                sum[i][v] = _mm256_fmadd_ps(block[i][v], _mm256_load_ps(scale + 8 * v), sum[i][v]);
    }
}

/* y[n_rows] = sum, or added to y. */
INLINE void store_sums(float *y, const __m256 sum[VECTORS], size_t n_rows, bool add,
                       const int vectors) {
    float part[ROWS];
    float *out = n_rows == 8 * (size_t)vectors ? y : part;
    if (out == part && add) memcpy(part, y, n_rows * sizeof *y);
    for (int v = 0; v < vectors; v++)
        _mm256_storeu_ps(out + 8 * v,
                         add ? _mm256_add_ps(_mm256_loadu_ps(out + 8 * v), sum[v]) : sum[v]);
    if (out == part) memcpy(y, part, n_rows * sizeof *y);
}

/* All tokens with the n columns from k on that `p` holds. The last tile steps back so that it is
 * full, and stores only what is new. */
INLINE void gemm_piece(float *y, size_t y_stride, const piece *p, size_t n_rows,
                       const activations *x, size_t k, size_t n, const form f) {
    for (size_t t = 0; t < x->n_tokens; t += TOKENS) {
        size_t first = t + TOKENS <= x->n_tokens ? t : x->n_tokens - TOKENS;
        __m256 sum[TOKENS][VECTORS];
        tile_inputs in = inputs_of(x, first, k, f.group);
        if (t + 2 * TOKENS <= x->n_tokens) {
            tile_inputs next = inputs_of(x, t + TOKENS, k, f.group);
            prefetch_inputs(&next, n, f);
        }
        tile_sums(sum, p, &in, n, f);
        for (int i = 0; i < TOKENS; i++)
            if (first + i >= t)
                store_sums(y + (first + i) * y_stride, sum[i], n_rows, k > 0, VECTORS / f.planes);
    }
}

INLINE void gemm_rows_of(float *y, size_t y_stride, const dtype type, const char *rows,
                         size_t row_bytes, size_t n_rows, const activations *x, piece *p) {
    const unpack_traits traits = unpack_traits_of(type);
    const form f = form_of(type);
    const size_t step = ROWS / (size_t)f.planes;
    for (size_t k = 0; k < x->n_in; k += COLUMNS) {
        const size_t n = x->n_in - k < COLUMNS ? x->n_in - k : COLUMNS;
        const char *blocks = rows + k / traits.block * traits.block_bytes;
        for (size_t r = 0; r < n_rows; r += step, blocks += step * row_bytes) {
            const size_t some_rows = n_rows - r < step ? n_rows - r : step;
            pack_piece(type, p, blocks, row_bytes, some_rows, n);
            gemm_piece(y + r, y_stride, p, some_rows, x, k, n, f);
        }
    }
}

static void gemm_rows_avx2(float *y, size_t y_stride, dtype type, const void *rows,
                           size_t row_bytes, size_t n_rows, const activations *x, void *scratch) {
#define GEMM_ROWS(T) gemm_rows_of(y, y_stride, T, rows, row_bytes, n_rows, x, scratch)
    FOR_BLOCK_TYPE(type, GEMM_ROWS)
#undef GEMM_ROWS
}

/* Per 16 columns: pairs in 16 bits, then those of the same place modulo 4 together. */
static void sum_codes_avx2(void *sums, const int8_t *q, size_t n) {
    for (size_t k = 0; k < n; k += 32) {
        __m256i two = _mm256_maddubs_epi16(_mm256_set1_epi8(1),
                                           _mm256_loadu_si256((const void *)(q + k)));
        __m256i four = _mm256_add_epi16(two, _mm256_srli_si256(two, 8));
        four = _mm256_add_epi16(four, _mm256_srli_si256(four, 4));
        int32_t both[2] = {_mm256_extract_epi32(four, 0), _mm256_extract_epi32(four, 4)};
        memcpy((char *)sums + k / 4, both, sizeof both);
    }
}

void kernels_fill_avx2_gemm(kernels *k) {
    k->sum_codes = sum_codes_avx2;
    k->gemm_rows = gemm_rows_avx2;
}
