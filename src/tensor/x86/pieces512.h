/* Pieces of 256 weights in AVX-512 registers: the codes of any block type unpacked for products
 * with few tokens, each with the least instructions.
 *
 * vpdpbusd adds four neighbouring products to a lane of 32 bits. Were the codes in their natural
 * order, each of a piece's four registers would hold other groups (runs of 16 or 32 weights with
 * one scale), and each would need its own conversion to floats, its own scales and their spreading
 * over the lanes. Here lane l of all four registers belongs to the same group, so that a piece is
 * four vpdpbusd into one sum. In groups of 32 lanes 2i and 2i + 1 have the same group: the sums of
 * two rows' pieces fit one register. Where that takes a permutation of the codes within a type's
 * unpacking, the cheapest differs: hence the five orders. The activations are brought into the same
 * order once (avx512_vnni_rows.c).
 *
 * Codes are unsigned; the signed ones of unpack.h stand 128 above their value. */
#ifndef TENSOR_X86_PIECES512_H
#define TENSOR_X86_PIECES512_H

#include <immintrin.h>

#include "tensor/blocks.h"
#include "tensor/kernels_int.h"
#include "tensor/matmul.h"
#include "tensor/unpack.h"

enum { PIECE = 256 }; /* weights, a whole number of blocks of each type */

/* In groups of 32, `scale` is eight scales and behind them eight minima where the type has them; in
 * groups of 16, sixteen scales in the order of the lanes, and `min` has their minima. */
typedef struct piece {
    __m512i q[4];
    __m512 scale, min;
} piece;

/* --- the orders --- */

/* The place in the piece of the first of the four weights in lane 4j + i of q[k]. */
INLINE int order_of(const dtype type, const int k, const int j, const int i) {
    switch (type) {
    case DTYPE_Q4_K:
    case DTYPE_Q5_K: return 64 * j + 32 * (i >> 1) + 16 * (k >> 1) + 4 * (i ^ 2 * (k & 1));
    case DTYPE_Q6_K: return 128 * (i & 1) + 64 * (i >> 1) + 32 * (j >> 1) + 16 * (j & 1) + 4 * k;
    case DTYPE_Q2_K:
    case DTYPE_Q3_K: return 128 * (j >> 1) + 32 * i + 16 * (j & 1) + 4 * ((i + k) & 3);
    case DTYPE_Q8_0:
        return 128 * (j >> 1) + 64 * (i >> 1) + 32 * (j & 1) + 16 * (k & 1) + 8 * (k >> 1) +
               4 * (i & 1);
    default: return 32 * (j + 4 * (i >> 1)) + 16 * (k & 1) + 4 * (2 * (k >> 1) + (i & 1));
    }
}

/* What a type's unpacking permutes by; the same for every piece of a matrix. */
typedef struct piece_plan {
    __m512i quads;  /* 16-bit places of the nibbles of four blocks of 32 in two loads */
    __m512i heads;  /* the same for their fifth bits, d and m, twice for each block */
    __m512i halves; /* 16-bit places of d, and of m or again d, of eight blocks; in types
                     * with fifth bits of the heads of two fours, else of both fours */
    __m128i groups; /* for groups of 16: the group of each lane, as bytes */
    __m512i blocks; /* the block of 32 of each lane;
                     * in groups of 32 once two rows' pieces are one */
    __m512i pairs;  /* for groups of 32: of each lane then, its place in both rows' scales */
} piece_plan;

/* The place of the word at byte `at` of four blocks, for vpermt2w over loads of 64 bytes at 0 and
 * at 4 · bytes − 64. */
INLINE uint16_t word_of_quad(int at, int bytes) {
    return (uint16_t)(at + 2 <= 64 ? at / 2 : 32 + (at - (4 * bytes - 64)) / 2);
}

INLINE bool has_fifths(const dtype type) { return type == DTYPE_Q5_0 || type == DTYPE_Q5_1; }

INLINE piece_plan plan_of(const dtype type) {
    const unpack_traits traits = unpack_traits_of(type);
    const int bytes = traits.block_bytes, nibbles = bytes - 16, fifths = nibbles - 4;
    uint16_t quads[32], heads[32], halves[32] = {0};
    int32_t in_blocks[16], pairs[16];
    uint8_t groups[16];
    for (int i = 0; i < 32; i++) {
        int block = i / 8 * bytes, word = i % 4;
        quads[i] = word_of_quad(block + nibbles + 2 * (i % 8), bytes);
        heads[i] = word_of_quad(block + (word < 2 ? fifths + 2 * word : 2 * word - 4), bytes);
    }
    for (int i = 0; i < 16; i++) {
        int block = i % 8, is_min = i >= 8 && traits.has_min;
        int d = has_fifths(type) ? block % 4 * 8 + block / 4 * 4 + 2
                                 : block % 4 * bytes / 2 + block / 4 * 32;
        halves[i] = (uint16_t)(d + is_min);
    }
    for (int l = 0; l < 16; l++) {
        int lane = traits.group == 32 ? l % 2 * 2 : l % 4; /* before `folded` */
        groups[l] = (uint8_t)(order_of(type, 0, l / 4, lane) / 16);
        in_blocks[l] = groups[l] / 2;
        pairs[l] = l % 4 / 2 * 16 + in_blocks[l];
    }
    return (piece_plan){_mm512_loadu_si512(quads), _mm512_loadu_si512(heads),
                        _mm512_loadu_si512(halves), _mm_loadu_si128((const void *)groups),
                        _mm512_loadu_si512(in_blocks), _mm512_loadu_si512(pairs)};
}

/* --- pieces of eight blocks of 32 --- */

INLINE __m512i load_64(const void *p) { return _mm512_loadu_si512(p); }

INLINE __m512i every_byte(int value) { return _mm512_set1_epi8((char)value); }

INLINE __m512i low_nibbles(__m512i v) { return _mm512_and_si512(v, every_byte(15)); }

INLINE __m512i high_nibbles(__m512i v) { return low_nibbles(_mm512_srli_epi16(v, 4)); }

/* (v & mask) | set */
INLINE __m512i masked_or(__m512i v, __m512i mask, __m512i set) {
    return _mm512_ternarylogic_epi32(v, mask, set, 0xea);
}

INLINE __m512i words_of_quad(__m512i at, const uint8_t *blocks, const int bytes) {
    return _mm512_permutex2var_epi16(load_64(blocks), at, load_64(blocks + 4 * bytes - 64));
}

INLINE __m512i iq4_codes(__m512i nibbles) {
    __m512i values = _mm512_broadcast_i32x4(_mm_loadu_si128((const void *)iq4_values));
    return _mm512_shuffle_epi8(_mm512_xor_si512(values, every_byte(128)), nibbles);
}

/* The lower eight bytes of each quad of a, the upper ones of b. */
INLINE __m512i low_and_high(__m512i a, __m512i b) { return _mm512_mask_mov_epi64(a, 0xaa, b); }

/* Adds the fifth bits to codes of which each quad has eight of two blocks; `byte` of the four that
 * each half of a quad has for its block is theirs. */
INLINE __m512i with_fifths(__m512i codes, __m512i bits, const int byte) {
    const __m512i byte_of = _mm512_broadcast_i32x4(_mm_set_epi64x(
        0x0101010101010101 * (8 + byte), 0x0101010101010101 * byte));
    const __m512i bit_of = _mm512_set1_epi64((long long)0x8040201008040201);
    __mmask64 set = _mm512_test_epi8_mask(_mm512_shuffle_epi8(bits, byte_of), bit_of);
    return _mm512_mask_add_epi8(codes, set, codes, every_byte(16));
}

/* Nibbles of eight blocks, of which a and b hold 16 bytes of four each. */
INLINE void nibble_codes(piece *p, const dtype type, __m512i a, __m512i b) {
    __m512i low = _mm512_unpacklo_epi64(a, b), high = _mm512_unpackhi_epi64(a, b);
    p->q[0] = low_nibbles(low);
    p->q[1] = high_nibbles(low);
    p->q[2] = low_nibbles(high);
    p->q[3] = high_nibbles(high);
    for (int k = 0; k < 4 && (type == DTYPE_IQ4_NL || type == DTYPE_IQ4_XS); k++)
        p->q[k] = iq4_codes(p->q[k]);
}

/* Q4_0, Q4_1, Q5_0, Q5_1, IQ4_NL. */
INLINE void small_piece(piece *p, const dtype type, const piece_plan *plan, const uint8_t *first) {
    const int bytes = unpack_traits_of(type).block_bytes;
    const uint8_t *second = first + 4 * bytes;
    nibble_codes(p, type, words_of_quad(plan->quads, first, bytes),
                 words_of_quad(plan->quads, second, bytes));
    __m512i halves;
    if (has_fifths(type)) {
        const __m512i heads = low_and_high(words_of_quad(plan->heads, first, bytes),
                                           words_of_quad(plan->heads, second, bytes));
        for (int k = 0; k < 4; k++)
            p->q[k] = with_fifths(p->q[k], heads, 2 * (k & 1) + (k >> 1));
        halves = _mm512_permutexvar_epi16(plan->halves, heads);
    } else {
        halves = _mm512_permutex2var_epi16(load_64(first), plan->halves, load_64(second));
    }
    p->scale = _mm512_cvtph_ps(_mm512_castsi512_si256(halves));
}

INLINE __m512i two_blocks_q8_0(const block_q8_0 *b) {
    __m512i first = _mm512_castsi256_si512(_mm256_loadu_si256((const void *)b[0].qs));
    __m256i second = _mm256_loadu_si256((const void *)b[1].qs);
    return _mm512_xor_si512(_mm512_inserti64x4(first, second, 1), every_byte(128));
}

/* Eight bytes of each block to every register. */
INLINE void piece_q8_0(piece *p, const block_q8_0 *b) {
    __m512i two[4];
    for (int v = 0; v < 4; v++) two[v] = two_blocks_q8_0(b + 2 * v);
    __m512i first = _mm512_unpacklo_epi64(two[0], two[1]);
    __m512i second = _mm512_unpacklo_epi64(two[2], two[3]);
    p->q[0] = _mm512_shuffle_i64x2(first, second, 0x88);
    p->q[1] = _mm512_shuffle_i64x2(first, second, 0xdd);
    first = _mm512_unpackhi_epi64(two[0], two[1]);
    second = _mm512_unpackhi_epi64(two[2], two[3]);
    p->q[2] = _mm512_shuffle_i64x2(first, second, 0x88);
    p->q[3] = _mm512_shuffle_i64x2(first, second, 0xdd);
    p->scale = _mm512_castps256_ps512(halves_8(b, sizeof *b));
}

/* --- super-blocks --- */

INLINE __m512 floats_of_codes(__m128i bytes, const bool is_signed) {
    return _mm512_cvtepi32_ps(is_signed ? _mm512_cvtepi8_epi32(bytes)
                                        : _mm512_cvtepu8_epi32(bytes));
}

INLINE __m512 scaled(uint16_t half, __m128i codes, const bool is_signed) {
    return _mm512_mul_ps(_mm512_set1_ps(_cvtsh_ss(half)), floats_of_codes(codes, is_signed));
}

/* Bits to shift or rotate lane 4j + i by, modulo 32. */
INLINE __m512i bits_of_lanes(const int first, const int per_half_j, const int per_j,
                             const int per_half_i, const int per_i) {
    int32_t bits[16];
    for (int l = 0; l < 16; l++)
        bits[l] = (first + per_half_j * (l / 8) + per_j * (l / 4) + per_half_i * (l % 4 / 2) +
                   per_i * (l % 4)) & 31;
    return _mm512_loadu_si512(bits);
}

/* Quads j of the registers are bytes 32j … 32j + 15 and 32j + 16 … of the nibbles. Lanes i < 2 take
 * the low nibbles, others the high ones where they are, sixteen times their value; and the same
 * with the quad's halves exchanged. */
INLINE void piece_q4_k(piece *p, const block_q4_k *b) {
    const __m512i mask = _mm512_set4_epi64(-0x0f0f0f0f0f0f0f10, 0x0f0f0f0f0f0f0f0f,
                                           -0x0f0f0f0f0f0f0f10, 0x0f0f0f0f0f0f0f0f);
    __m512i first = load_64(b->qs), second = load_64(b->qs + 64);
    for (int v = 0; v < 2; v++) {
        __m512i bytes = v == 0 ? _mm512_shuffle_i64x2(first, second, 0x88)
                               : _mm512_shuffle_i64x2(first, second, 0xdd);
        p->q[2 * v] = _mm512_and_si512(bytes, mask);
        p->q[2 * v + 1] = _mm512_and_si512(_mm512_shuffle_epi32(bytes, 0x4e), mask);
    }
}

/* Fifth bits: bit 2j for low nibbles, 2j + 1 for high ones, brought to bit 4. */
INLINE void piece_q5_k(piece *p, const block_q5_k *b) {
    const __m512i shift = bits_of_lanes(0, 0, 0, 4, 0), turn = bits_of_lanes(4, 0, -2, -1, 0);
    __m512i first = load_64(b->qs), second = load_64(b->qs + 64);
    for (int v = 0; v < 2; v++) {
        __m512i bytes = v == 0 ? _mm512_shuffle_i64x2(first, second, 0x88)
                               : _mm512_shuffle_i64x2(first, second, 0xdd);
        __m512i fifths = _mm512_broadcast_i32x4(_mm_loadu_si128((const void *)(b->qh + 16 * v)));
        for (int k = 0; k < 2; k++) {
            __m512i set = _mm512_and_si512(_mm512_rolv_epi32(fifths, turn), every_byte(16));
            p->q[2 * v + k] = masked_or(_mm512_srlv_epi32(bytes, shift), every_byte(15), set);
            bytes = _mm512_shuffle_epi32(bytes, 0x4e);
            fifths = _mm512_shuffle_epi32(fifths, 0x4e);
        }
    }
}

INLINE void piece_q6_k(piece *p, const piece_plan *plan, const block_q6_k *b) {
    const __m512i turn_low = bits_of_lanes(4, -2, 0, 0, 0),
                  turn_high = bits_of_lanes(0, -2, 0, 0, 0);
    __m512i low[2] = {load_64(b->ql), load_64(b->ql + 64)}, high[2];
    for (int h = 0; h < 2; h++)
        high[h] = _mm512_broadcast_i64x4(_mm256_loadu_si256((const void *)(b->qh + 32 * h)));
    for (int v = 0; v < 2; v++) {
        __m512i l = v ? _mm512_unpackhi_epi32(low[0], low[1])
                      : _mm512_unpacklo_epi32(low[0], low[1]);
        __m512i h =
            v ? _mm512_unpackhi_epi32(high[0], high[1]) : _mm512_unpacklo_epi32(high[0], high[1]);
        __m512i set = _mm512_and_si512(_mm512_rolv_epi32(h, turn_low), every_byte(48));
        __m512i first = masked_or(l, every_byte(15), set);
        set = _mm512_and_si512(_mm512_rolv_epi32(h, turn_high), every_byte(48));
        __m512i second = masked_or(_mm512_srli_epi16(l, 4), every_byte(15), set);
        p->q[2 * v] = _mm512_unpacklo_epi64(first, second);
        p->q[2 * v + 1] = _mm512_unpackhi_epi64(first, second);
    }
    __m128i codes = _mm_shuffle_epi8(_mm_loadu_si128((const void *)b->scales), plan->groups);
    p->scale = scaled(b->d, codes, true);
}

/* The dwords of each quad turned by k, so that lane i of it holds dword (i + k) % 4. */
INLINE __m512i turned(__m512i v, const int k) {
    return k == 1   ? _mm512_shuffle_epi32(v, 0x39)
           : k == 2 ? _mm512_shuffle_epi32(v, 0x4e)
           : k == 3 ? _mm512_shuffle_epi32(v, 0x93)
                    : v;
}

/* Lanes i take bits 2i and 2i + 1. */
INLINE void piece_q2_k(piece *p, const piece_plan *plan, const block_q2_k *b) {
    const __m512i shift = bits_of_lanes(0, 0, 0, 0, 2);
    __m512i bits = load_64(b->qs);
    for (int k = 0; k < 4; k++)
        p->q[k] = _mm512_and_si512(_mm512_srlv_epi32(turned(bits, k), shift), every_byte(3));
    __m128i codes = _mm_shuffle_epi8(_mm_loadu_si128((const void *)b->scales), plan->groups);
    p->scale = scaled(b->d, _mm_and_si128(codes, _mm_set1_epi8(15)), false);
    codes = _mm_and_si128(_mm_srli_epi16(codes, 4), _mm_set1_epi8(15));
    p->min = scaled(b->dmin, codes, false);
}

/* As Q2_K; the third bit is bit i of the first half's mask and 4 + i of the second's. */
INLINE void piece_q3_k(piece *p, const piece_plan *plan, const block_q3_k *b) {
    const __m512i shift = bits_of_lanes(0, 0, 0, 0, 2), turn = bits_of_lanes(2, -4, 0, 0, -1);
    __m512i bits = load_64(b->qs);
    __m512i thirds = _mm512_broadcast_i64x4(_mm256_loadu_si256((const void *)b->hmask));
    for (int k = 0; k < 4; k++) {
        __m512i set = _mm512_rolv_epi32(turned(thirds, k), turn);
        set = _mm512_and_si512(set, every_byte(4));
        p->q[k] = masked_or(_mm512_srlv_epi32(turned(bits, k), shift), every_byte(3), set);
    }
    __m128i codes = _mm_shuffle_epi8(sixteen_scales_q3_k(b), plan->groups);
    p->scale = scaled(b->d, codes, true);
}

INLINE void piece_iq4_xs(piece *p, const block_iq4_xs *b) {
    nibble_codes(p, DTYPE_IQ4_XS, load_64(b->qs), load_64(b->qs + 64));
    p->scale = _mm512_castps256_ps512(scales_iq4_xs_avx2(b));
}

INLINE piece piece_of(const dtype type, const piece_plan *plan, const void *blocks) {
    piece p;
    switch (type) {
    case DTYPE_Q8_0: piece_q8_0(&p, blocks); break;
    case DTYPE_Q2_K: piece_q2_k(&p, plan, blocks); break;
    case DTYPE_Q3_K: piece_q3_k(&p, plan, blocks); break;
    case DTYPE_Q4_K: piece_q4_k(&p, blocks); break;
    case DTYPE_Q5_K: piece_q5_k(&p, blocks); break;
    case DTYPE_Q6_K: piece_q6_k(&p, plan, blocks); break;
    case DTYPE_IQ4_XS: piece_iq4_xs(&p, blocks); break;
    default: small_piece(&p, type, plan, blocks); break;
    }
    return p;
}

/* --- two rows --- */

/* The same piece of two rows. In groups of 32 the first scale and minimum are those of both, for
 * the lanes that `folded` makes. */
typedef struct pair {
    __m512i q[2][4];
    __m512 scale[2], min[2];
} pair;

/* One vector of two rows' sums, whose lanes 2i and 2i + 1 belong to one group: quads have two
 * groups of a and the same two of b. */
INLINE __m512i folded(__m512i a, __m512i b) {
    __m512 first = _mm512_castsi512_ps(a), second = _mm512_castsi512_ps(b);
    return _mm512_add_epi32(_mm512_castps_si512(_mm512_shuffle_ps(first, second, 0x88)),
                            _mm512_castps_si512(_mm512_shuffle_ps(first, second, 0xdd)));
}

/* Of Q4_K and of Q5_K: quads have scales 2j and 2j + 1 of both. Those of high nibbles that were
 * left where they are shrink by 16. */
INLINE void scales_of_pair_q4_k(pair *p, const dtype type, const void *a, const void *b) {
    const float shrink = type == DTYPE_Q4_K ? 1.0f / 16 : 1;
    const __m128i first = _mm_loadu_si128(a), second = _mm_loadu_si128(b);
    __m256i both = scale_codes_of_heads_q4_k(_mm256_set_m128i(second, first));
    __m128i low = _mm256_castsi256_si128(both), high = _mm256_extracti128_si256(both, 1);
    __m512 scales = floats_of_codes(_mm_unpacklo_epi16(low, high), false);
    __m512 minima = floats_of_codes(_mm_unpackhi_epi16(low, high), false);
    __m128 factors = _mm_cvtph_ps(_mm_unpacklo_epi32(first, second)); /* d and dmin of both */
    __m128 d = _mm_mul_ps(_mm_moveldup_ps(factors), _mm_setr_ps(1, shrink, 1, shrink));
    p->scale[0] = _mm512_mul_ps(scales, _mm512_broadcast_f32x4(d));
    p->min[0] = _mm512_mul_ps(minima, _mm512_broadcast_f32x4(_mm_movehdup_ps(factors)));
}

INLINE pair pair_of(const dtype type, const piece_plan *plan, const void *a, const void *b) {
    const piece first = piece_of(type, plan, a), second = piece_of(type, plan, b);
    pair p;
    for (int k = 0; k < 4; k++) {
        p.q[0][k] = first.q[k];
        p.q[1][k] = second.q[k];
    }
    if (unpack_traits_of(type).group == 16) {
        p.scale[0] = first.scale, p.scale[1] = second.scale;
        p.min[0] = first.min, p.min[1] = second.min;
    } else if (type == DTYPE_Q4_K || type == DTYPE_Q5_K) {
        scales_of_pair_q4_k(&p, type, a, b);
    } else {
        const __m512i minima = _mm512_add_epi32(plan->pairs, _mm512_set1_epi32(8));
        p.scale[0] = _mm512_permutex2var_ps(first.scale, plan->pairs, second.scale);
        p.min[0] = _mm512_permutex2var_ps(first.scale, minima, second.scale);
    }
    return p;
}

/* Of types whose block is 32: those behind the first `columns` count nothing. */
INLINE void cut_pair(pair *p, const piece_plan *plan, size_t columns) {
    const __m512i blocks = _mm512_set1_epi32((int)columns / 32);
    const __mmask16 kept = _mm512_cmplt_epi32_mask(plan->blocks, blocks);
    p->scale[0] = _mm512_maskz_mov_ps(kept, p->scale[0]);
    p->min[0] = _mm512_maskz_mov_ps(kept, p->min[0]);
}

#endif
