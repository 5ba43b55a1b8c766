/* The codes of 32 weights in one AVX2 register: no table, no store. See tensor/unpack.h. */
#ifndef TENSOR_X86_CODES_H
#define TENSOR_X86_CODES_H

#include <immintrin.h>

#include "tensor/blocks.h"
#include "tensor/kernels_int.h"

INLINE __m256i load_32(const uint8_t *p) { return _mm256_loadu_si256((const void *)p); }

INLINE __m256i and_bytes(__m256i v, int mask) { return _mm256_and_si256(v, _mm256_set1_epi8((char)mask)); }

/* Every byte's bits `mask` >> by, brought down; or up where `by` is negative. The bits that shifts
 * of words drag over from the next byte fall outside the mask. */
INLINE __m256i bits_of_bytes(__m256i v, const int by, const int mask) {
    if (by > 0) v = _mm256_srli_epi16(v, by);
    if (by < 0) v = _mm256_slli_epi16(v, -by);
    return and_bytes(v, mask);
}

/* Low nibbles of 16 bytes, and then their high ones. */
INLINE __m256i nibbles_32(const uint8_t *qs) {
    __m256i twice = _mm256_broadcastsi128_si256(_mm_loadu_si128((const void *)qs));
    return and_bytes(_mm256_srlv_epi32(twice, _mm256_setr_epi32(0, 0, 0, 0, 4, 4, 4, 4)), 15);
}

INLINE __m256i iq4_32(const uint8_t *qs) {
    __m256i values = _mm256_broadcastsi128_si256(_mm_loadu_si128((const void *)iq4_values));
    return _mm256_shuffle_epi8(values, nibbles_32(qs));
}

/* Bit j of `bits` as 16 in byte j. */
INLINE __m256i fifth_bits(uint32_t bits) {
    const __m256i byte_of = _mm256_setr_epi64x(0, 0x0101010101010101, 0x0202020202020202,
                                               0x0303030303030303);
    const __m256i bit_of = _mm256_set1_epi64x((long long)0x8040201008040201);
    __m256i bytes = _mm256_shuffle_epi8(_mm256_set1_epi32((int)bits), byte_of);
    return and_bytes(_mm256_cmpeq_epi8(_mm256_and_si256(bytes, bit_of), bit_of), 16);
}

/* Codes 32j … 32j + 31 of the block at `block`; j is 0 for the small formats. */
INLINE __m256i codes_32(const dtype type, const void *block, const int j) {
    switch (type) {
    case DTYPE_Q4_0: return nibbles_32(((const block_q4_0 *)block)->qs);
    case DTYPE_Q4_1: return nibbles_32(((const block_q4_1 *)block)->qs);
    case DTYPE_Q5_0: {
        const block_q5_0 *b = block;
        return _mm256_or_si256(nibbles_32(b->qs), fifth_bits(b->qh));
    }
    case DTYPE_Q5_1: {
        const block_q5_1 *b = block;
        return _mm256_or_si256(nibbles_32(b->qs), fifth_bits(b->qh));
    }
    case DTYPE_Q8_0: return load_32((const uint8_t *)((const block_q8_0 *)block)->qs);
    case DTYPE_IQ4_NL: return iq4_32(((const block_iq4_nl *)block)->qs);
    case DTYPE_IQ4_XS: return iq4_32(((const block_iq4_xs *)block)->qs + 16 * j);
    case DTYPE_Q2_K:
        return bits_of_bytes(load_32(((const block_q2_k *)block)->qs + j / 4 * 32), j % 4 * 2, 3);
    case DTYPE_Q3_K: {
        const block_q3_k *b = block;
        return _mm256_or_si256(bits_of_bytes(load_32(b->qs + j / 4 * 32), j % 4 * 2, 3),
                               bits_of_bytes(load_32(b->hmask), j - 2, 4));
    }
    case DTYPE_Q4_K:
        return bits_of_bytes(load_32(((const block_q4_k *)block)->qs + j / 2 * 32), j % 2 * 4, 15);
    case DTYPE_Q5_K: {
        const block_q5_k *b = block;
        return _mm256_or_si256(bits_of_bytes(load_32(b->qs + j / 2 * 32), j % 2 * 4, 15),
                               bits_of_bytes(load_32(b->qh), j - 4, 16));
    }
    case DTYPE_Q6_K: {
        const block_q6_k *b = block;
        const uint8_t *low = b->ql + j / 4 * 64 + j % 2 * 32, *high = b->qh + j / 4 * 32;
        return _mm256_or_si256(bits_of_bytes(load_32(low), j % 4 / 2 * 4, 15),
                               bits_of_bytes(load_32(high), j % 4 * 2 - 4, 48));
    }
    default: return _mm256_setzero_si256();
    }
}

#endif
