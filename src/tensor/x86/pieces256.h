/* Pieces of 256 weights in AVX2 registers: the codes of any block type unpacked for products with
 * few tokens, in an order that needs few instructions for each token.
 *
 * vpmaddubsw adds two neighbouring products to a lane of 16 bits. A type's bytes lie so that each
 * register belongs to one or two groups (runs of 16 or 32 weights with one scale); adding up its
 * lanes would cost more than the products do. Here four registers of bytes are turned, lane (32
 * bits) i of register k being lane k of register i, within each half. So the lanes of four code
 * registers, a *set*, belong to the same groups and are added up as they are. A piece has two sets:
 * low and high bits of the same bytes, or whatever a type offers. The activations are turned once
 * for all rows (avx2_rows.c).
 *
 * In most types the two halves of a register have the same blocks of 32: then the halves of both
 * sets are added in the end (is_folded), and lane l belongs to block lane_block(l). In Q4_0, Q4_1,
 * Q5_0, Q5_1, IQ4_NL and IQ4_XS each lane of both sets belongs to block l. */
#ifndef TENSOR_X86_PIECES256_H
#define TENSOR_X86_PIECES256_H

#include <immintrin.h>

#include "tensor/blocks.h"
#include "tensor/kernels_int.h"
#include "tensor/unpack.h"

enum { PIECE = 256 }; /* weights, a whole number of blocks of each type */

INLINE bool is_folded(const dtype type) {
    return (unpack_traits_of(type).block == 256 && type != DTYPE_IQ4_XS) || type == DTYPE_Q8_0;
}

/* The block of 32 that register i of a set is made of, in the types that are folded. */
INLINE int block_of_register(const dtype type, const int set, const int i) {
    switch (type) {
    case DTYPE_Q4_K:
    case DTYPE_Q5_K: return 2 * i + set;
    case DTYPE_Q6_K: return 4 * (i / 2) + 2 * set + i % 2;
    default: return 4 * set + i;
    }
}

/* The block of 32 to which lane l of a piece's sums belongs. */
INLINE int lane_block(const dtype type, const int l) {
    return is_folded(type) ? block_of_register(type, l / 4, l % 4) : l;
}

/* A piece of one row. Groups of 16 have `multiplier`, their integer scales for the lanes of 16 bits
 * of each set, and `scale` for all; in groups of 32 `scale` has them. `min` has the minima of
 * groups of 32, or of even and of odd groups of 16. */
typedef struct piece {
    __m256i q[8], multiplier[2];
    __m256 scale, min[2];
} piece;

/* --- turning --- */

/* Lane i of to[k] = lane k of from[i], in each half. */
INLINE void turn_lanes(__m256i to[4], const __m256i from[4]) {
    __m256i a = _mm256_unpacklo_epi32(from[0], from[1]);
    __m256i b = _mm256_unpacklo_epi32(from[2], from[3]);
    to[0] = _mm256_unpacklo_epi64(a, b);
    to[1] = _mm256_unpackhi_epi64(a, b);
    a = _mm256_unpackhi_epi32(from[0], from[1]);
    b = _mm256_unpackhi_epi32(from[2], from[3]);
    to[2] = _mm256_unpacklo_epi64(a, b);
    to[3] = _mm256_unpackhi_epi64(a, b);
}

INLINE __m256i load_halves(const void *low, const void *high) {
    return _mm256_set_m128i(_mm_loadu_si128(high), _mm_loadu_si128(low));
}

INLINE void load_turned(__m256i to[4], const uint8_t *four) {
    __m256i from[4];
    for (int i = 0; i < 4; i++) from[i] = load_32(four + 32 * i);
    turn_lanes(to, from);
}

/* --- pieces of eight blocks of 32 --- */

/* The fifth bits of elements 16 · set + 4k … as 16, from the bits of each lane's block. */
INLINE __m256i fifth_bits_of(__m256i bits, const int set, const int k) {
    const __m256i byte_of = _mm256_add_epi8(
        _mm256_broadcastsi128_si256(_mm_setr_epi32(0, 0x04040404, 0x08080808, 0x0c0c0c0c)),
        _mm256_set1_epi8((char)(2 * set + k / 2)));
    const __m256i bit_of = _mm256_set1_epi32((int)(0x08040201u << k % 2 * 4));
    __m256i set_bits = _mm256_and_si256(_mm256_shuffle_epi8(bits, byte_of), bit_of);
    return and_bytes(_mm256_cmpeq_epi8(set_bits, bit_of), 16);
}

INLINE __m128i lanes_of_four_blocks(const char *at, const int bytes) {
    __m128i v[4];
    for (int i = 0; i < 4; i++) {
        int32_t four;
        memcpy(&four, at + i * bytes, 4);
        v[i] = _mm_cvtsi32_si128(four);
    }
    return _mm_unpacklo_epi64(_mm_unpacklo_epi32(v[0], v[1]), _mm_unpacklo_epi32(v[2], v[3]));
}

/* scale, and min where the type has it, of eight blocks; they begin with them. */
INLINE void halves_of_blocks(piece *p, const dtype type, const char *first, const int bytes) {
    __m128i pairs[4];
    for (int i = 0; i < 4; i++)
        pairs[i] = _mm_unpacklo_epi16(_mm_loadu_si128((const void *)(first + 2 * i * bytes)),
                                      _mm_loadu_si128((const void *)(first + (2 * i + 1) * bytes)));
    __m128i low = _mm_unpacklo_epi32(pairs[0], pairs[1]);
    __m128i high = _mm_unpacklo_epi32(pairs[2], pairs[3]);
    p->scale = _mm256_cvtph_ps(_mm_unpacklo_epi64(low, high));
    if (unpack_traits_of(type).has_min)
        p->min[0] = _mm256_cvtph_ps(_mm_unpackhi_epi64(low, high));
}

INLINE __m256i iq4_codes_256(__m256i nibbles) {
    return _mm256_shuffle_epi8(
        _mm256_broadcastsi128_si256(_mm_loadu_si128((const void *)iq4_values)), nibbles);
}

/* Nibbles of eight blocks, `bytes` apart; low and high ones are the sets. */
INLINE void nibble_codes(piece *p, const dtype type, const uint8_t *first, const int bytes) {
    __m256i from[4], turned[4];
    for (int i = 0; i < 4; i++)
        from[i] = load_halves(first + i * bytes, first + (i + 4) * bytes);
    turn_lanes(turned, from);
    for (int k = 0; k < 4; k++) {
        p->q[k] = and_bytes(turned[k], 15);
        p->q[4 + k] = bits_of_bytes(turned[k], 4, 15);
    }
    for (int k = 0; k < 8 && (type == DTYPE_IQ4_NL || type == DTYPE_IQ4_XS); k++)
        p->q[k] = iq4_codes_256(p->q[k]);
}

/* Q4_0, Q4_1, Q5_0, Q5_1, IQ4_NL. */
INLINE void piece_of_blocks(piece *p, const dtype type, const char *first) {
    const int bytes = unpack_traits_of(type).block_bytes, nibbles = bytes - 16;
    nibble_codes(p, type, (const uint8_t *)first + nibbles, bytes);
    halves_of_blocks(p, type, first, bytes);
    if (type != DTYPE_Q5_0 && type != DTYPE_Q5_1) return;
    const char *fifths = first + nibbles - 4;
    const __m256i bits = _mm256_set_m128i(lanes_of_four_blocks(fifths + 4 * bytes, bytes),
                                          lanes_of_four_blocks(fifths, bytes));
    for (int k = 0; k < 8; k++)
        p->q[k] = _mm256_or_si256(p->q[k], fifth_bits_of(bits, k / 4, k % 4));
}

INLINE void piece_q8_0(piece *p, const block_q8_0 *b) {
    for (int set = 0; set < 2; set++) {
        __m256i from[4];
        for (int i = 0; i < 4; i++) from[i] = load_32((const uint8_t *)b[4 * set + i].qs);
        turn_lanes(p->q + 4 * set, from);
    }
    halves_of_blocks(p, DTYPE_Q8_0, (const char *)b, sizeof *b);
}

/* --- super-blocks --- */

INLINE __m256 every_half(const uint16_t half) { return _mm256_set1_ps(_cvtsh_ss(half)); }

/* Integer scales of a set whose groups' places in `scales` are known; 16 bits each, for both halves
 * of a lane. */
INLINE __m256i multipliers(const dtype type, __m128i scales, const int set) {
    uint8_t at[16];
    for (int i = 0; i < 16; i++)
        at[i] = (uint8_t)(2 * block_of_register(type, set, i % 8 / 2) + i / 8);
    return _mm256_cvtepi8_epi16(_mm_shuffle_epi8(scales, _mm_loadu_si128((const void *)at)));
}

INLINE void codes_of_piece_q4_k(piece *p, const block_q4_k *b) {
    __m256i turned[4];
    load_turned(turned, b->qs);
    for (int k = 0; k < 4; k++) {
        p->q[k] = and_bytes(turned[k], 15);
        p->q[4 + k] = bits_of_bytes(turned[k], 4, 15);
    }
}

/* Fifth bits: bit 2i for low nibbles, 2i + 1 for high ones, brought to bits 4 and 5. */
INLINE void codes_of_piece_q5_k(piece *p, const block_q5_k *b) {
    __m256i turned[4], fifths[4];
    load_turned(turned, b->qs);
    const __m256i bits = load_32(b->qh);
    turn_lanes(fifths, (__m256i[]){_mm256_slli_epi16(bits, 4), _mm256_slli_epi16(bits, 2), bits,
                                   _mm256_srli_epi16(bits, 2)});
    for (int k = 0; k < 4; k++) {
        p->q[k] = _mm256_or_si256(and_bytes(turned[k], 15), and_bytes(fifths[k], 16));
        p->q[4 + k] = _mm256_or_si256(bits_of_bytes(turned[k], 4, 15),
                                      bits_of_bytes(fifths[k], 1, 16));
    }
}

INLINE void piece_q6_k(piece *p, const block_q6_k *b) {
    __m256i turned[4], upper[4];
    load_turned(turned, b->ql);
    const __m256i bits[2] = {load_32(b->qh), load_32(b->qh + 32)};
    turn_lanes(upper, (__m256i[]){bits[0], _mm256_srli_epi16(bits[0], 2), bits[1],
                                  _mm256_srli_epi16(bits[1], 2)});
    for (int k = 0; k < 4; k++) {
        p->q[k] = _mm256_or_si256(and_bytes(turned[k], 15), bits_of_bytes(upper[k], -4, 48));
        p->q[4 + k] = _mm256_or_si256(bits_of_bytes(turned[k], 4, 15), and_bytes(upper[k], 48));
    }
    const __m128i scales = _mm_loadu_si128((const void *)b->scales);
    for (int set = 0; set < 2; set++) p->multiplier[set] = multipliers(DTYPE_Q6_K, scales, set);
    p->scale = every_half(b->d);
}

/* Lane k of each half in all four lanes, of which lane i takes bits 2i and 2i + 1. */
INLINE __m256i two_bits(__m256i bits, const int k) {
    const __m256i shift = _mm256_setr_epi32(0, 2, 4, 6, 0, 2, 4, 6);
    __m256i lane = k == 0   ? _mm256_shuffle_epi32(bits, 0x00)
                   : k == 1 ? _mm256_shuffle_epi32(bits, 0x55)
                   : k == 2 ? _mm256_shuffle_epi32(bits, 0xaa)
                            : _mm256_shuffle_epi32(bits, 0xff);
    return and_bytes(_mm256_srlv_epi32(lane, shift), 3);
}

INLINE void piece_q2_k(piece *p, const block_q2_k *b) {
    const __m128i both = _mm_loadu_si128((const void *)b->scales), mask = _mm_set1_epi8(15);
    const __m128i even_first = _mm_setr_epi8(0, 2, 4, 6, 8, 10, 12, 14, 1, 3, 5, 7, 9, 11, 13, 15);
    for (int k = 0; k < 8; k++) p->q[k] = two_bits(load_32(b->qs + k / 4 * 32), k % 4);
    for (int set = 0; set < 2; set++)
        p->multiplier[set] = multipliers(DTYPE_Q2_K, _mm_and_si128(both, mask), set);
    p->scale = every_half(b->d);
    __m128i minima = _mm_shuffle_epi8(_mm_and_si128(_mm_srli_epi16(both, 4), mask), even_first);
    p->min[0] = _mm256_mul_ps(every_half(b->dmin), floats_of_bytes(minima, false));
    minima = _mm_unpackhi_epi64(minima, minima);
    p->min[1] = _mm256_mul_ps(every_half(b->dmin), floats_of_bytes(minima, false));
}

/* Third bits: bit i of lane i of the first set, 4 + i of the second, brought to bits 2 and 6. */
INLINE void piece_q3_k(piece *p, const block_q3_k *b) {
    const __m256i bits = load_32(b->hmask);
    __m256i thirds[4];
    turn_lanes(thirds, (__m256i[]){_mm256_slli_epi16(bits, 2), _mm256_slli_epi16(bits, 1), bits,
                                   _mm256_srli_epi16(bits, 1)});
    for (int k = 0; k < 4; k++) {
        p->q[k] = _mm256_or_si256(two_bits(load_32(b->qs), k), and_bytes(thirds[k], 4));
        p->q[4 + k] = _mm256_or_si256(two_bits(load_32(b->qs + 32), k),
                                      bits_of_bytes(thirds[k], 4, 4));
    }
    const __m128i scales = sixteen_scales_q3_k(b);
    for (int set = 0; set < 2; set++) p->multiplier[set] = multipliers(DTYPE_Q3_K, scales, set);
    p->scale = every_half(b->d);
}

INLINE void piece_iq4_xs(piece *p, const block_iq4_xs *b) {
    nibble_codes(p, DTYPE_IQ4_XS, b->qs, 16);
    p->scale = scales_iq4_xs_avx2(b);
}

/* --- two rows --- */

/* Scales and minima of two rows of Q4_K or Q5_K. */
INLINE void scales_of_pair_q4_k(piece *p[2], const void *const blocks[2]) {
    const __m256i in_lanes = _mm256_broadcastsi128_si256(
        _mm_setr_epi8(0, 2, 4, 6, 1, 3, 5, 7, 8, 10, 12, 14, 9, 11, 13, 15));
    __m256i both = scale_codes_of_heads_q4_k(load_halves(blocks[0], blocks[1]));
    both = _mm256_shuffle_epi8(both, in_lanes);
    const __m128i codes[2] = {_mm256_castsi256_si128(both), _mm256_extracti128_si256(both, 1)};
    for (int row = 0; row < 2; row++) {
        __m128 factors = _mm_cvtph_ps(_mm_loadl_epi64(blocks[row])); /* d, dmin */
        p[row]->scale = _mm256_mul_ps(_mm256_broadcastss_ps(factors),
                                      floats_of_bytes(codes[row], false));
        p[row]->min[0] = _mm256_mul_ps(
            _mm256_broadcastss_ps(_mm_movehdup_ps(factors)),
            floats_of_bytes(_mm_unpackhi_epi64(codes[row], codes[row]), false));
    }
}

/* The codes of a row's piece, and the scales of all types but Q4_K and Q5_K. */
INLINE void unpack_piece(piece *p, const dtype type, const void *blocks) {
    switch (type) {
    case DTYPE_Q8_0: piece_q8_0(p, blocks); break;
    case DTYPE_Q2_K: piece_q2_k(p, blocks); break;
    case DTYPE_Q3_K: piece_q3_k(p, blocks); break;
    case DTYPE_Q4_K: codes_of_piece_q4_k(p, blocks); break;
    case DTYPE_Q5_K: codes_of_piece_q5_k(p, blocks); break;
    case DTYPE_Q6_K: piece_q6_k(p, blocks); break;
    case DTYPE_IQ4_XS: piece_iq4_xs(p, blocks); break;
    default: piece_of_blocks(p, type, blocks); break;
    }
}

/* Of types whose block is 32: those behind the first `columns` count nothing. */
INLINE void cut_piece(piece *p, const dtype type, size_t columns) {
    int32_t blocks[8];
    for (int l = 0; l < 8; l++) blocks[l] = lane_block(type, l);
    const __m256i n = _mm256_set1_epi32((int)columns / 32);
    const __m256 kept = _mm256_castsi256_ps(
        _mm256_cmpgt_epi32(n, _mm256_loadu_si256((const void *)blocks)));
    p->scale = _mm256_and_ps(p->scale, kept);
    if (unpack_traits_of(type).has_min) p->min[0] = _mm256_and_ps(p->min[0], kept);
}

#endif
