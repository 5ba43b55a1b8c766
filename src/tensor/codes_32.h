/* The codes of 32 weights in registers: no table, no store. See tensor/unpack.h, whose portable
 * loops say the same.
 *
 * Included by the codes.h of an instruction set, which has before it the type raw_codes, 32 bytes
 * in one or two registers, and on it load_32, or_32, bits_of_bytes, nibbles_32, iq4_32 and
 * fifth_bits. */
#ifndef TENSOR_CODES_32_H
#define TENSOR_CODES_32_H

#include "tensor/blocks.h"
#include "tensor/kernels_int.h"

/* Codes 32j … 32j + 31 of the block at `block`; j is 0 for the small formats. */
INLINE raw_codes codes_32(const dtype type, const void *block, const int j) {
    switch (type) {
    case DTYPE_Q4_0: return nibbles_32(((const block_q4_0 *)block)->qs);
    case DTYPE_Q4_1: return nibbles_32(((const block_q4_1 *)block)->qs);
    case DTYPE_Q5_0: {
        const block_q5_0 *b = block;
        return or_32(nibbles_32(b->qs), fifth_bits(b->qh));
    }
    case DTYPE_Q5_1: {
        const block_q5_1 *b = block;
        return or_32(nibbles_32(b->qs), fifth_bits(b->qh));
    }
    case DTYPE_Q8_0: return load_32((const uint8_t *)((const block_q8_0 *)block)->qs);
    case DTYPE_IQ4_NL: return iq4_32(((const block_iq4_nl *)block)->qs);
    case DTYPE_IQ4_XS: return iq4_32(((const block_iq4_xs *)block)->qs + 16 * j);
    case DTYPE_Q2_K:
        return bits_of_bytes(load_32(((const block_q2_k *)block)->qs + j / 4 * 32), j % 4 * 2, 3);
    case DTYPE_Q3_K: {
        const block_q3_k *b = block;
        return or_32(bits_of_bytes(load_32(b->qs + j / 4 * 32), j % 4 * 2, 3),
                     bits_of_bytes(load_32(b->hmask), j - 2, 4));
    }
    case DTYPE_Q4_K:
        return bits_of_bytes(load_32(((const block_q4_k *)block)->qs + j / 2 * 32), j % 2 * 4, 15);
    case DTYPE_Q5_K: {
        const block_q5_k *b = block;
        return or_32(bits_of_bytes(load_32(b->qs + j / 2 * 32), j % 2 * 4, 15),
                     bits_of_bytes(load_32(b->qh), j - 4, 16));
    }
    case DTYPE_Q6_K: {
        const block_q6_k *b = block;
        const uint8_t *low = b->ql + j / 4 * 64 + j % 2 * 32, *high = b->qh + j / 4 * 32;
        return or_32(bits_of_bytes(load_32(low), j % 4 / 2 * 4, 15),
                     bits_of_bytes(load_32(high), j % 4 * 2 - 4, 48));
    }
    default: { /* no block type */
        const raw_codes none = {0};
        return none;
    }
    }
}

#endif
