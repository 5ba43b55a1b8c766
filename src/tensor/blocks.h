/* The block formats as they lie in files: ggml's layouts (docs/formats.md, section 2).
 *
 * A row of weights is a sequence of these structs without gaps. Fields stand in the order of the
 * bytes; `d`, `m` and `dmin` are binary16 in little-endian order. The structs are packed: they have
 * alignment 1, because nothing promises more for a row in a mapped file. Take a field's value, not
 * its address, unless it is an array of bytes.
 *
 * In the descriptions x is the decoded value, and the k-th *sub-block* of a super-block of 256 is a
 * run of 16 or 32 elements with a scale of its own. */
#ifndef TENSOR_BLOCKS_H
#define TENSOR_BLOCKS_H

#include <stdint.h>

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "hone reads weights in place and so needs a little-endian machine"
#endif

#define QK_SMALL 32  /* elements in a block of the small formats */
#define QK_SUPER 256 /* elements in a super-block of the K formats and IQ4_XS */

#define PACKED __attribute__((packed))

/* --- blocks of 32: byte j of qs is element j (low nibble) and element j + 16 (high nibble) --- */

/* x = d · (q − 8) */
typedef struct PACKED block_q4_0 {
    uint16_t d;
    uint8_t qs[16];
} block_q4_0;

/* x = d · q + m */
typedef struct PACKED block_q4_1 {
    uint16_t d, m;
    uint8_t qs[16];
} block_q4_1;

/* x = d · (q − 16); the fifth bit of element j is bit j of qh. */
typedef struct PACKED block_q5_0 {
    uint16_t d;
    uint32_t qh;
    uint8_t qs[16];
} block_q5_0;

/* x = d · q + m; fifth bits as in Q5_0 */
typedef struct PACKED block_q5_1 {
    uint16_t d, m;
    uint32_t qh;
    uint8_t qs[16];
} block_q5_1;

/* x = d · q */
typedef struct PACKED block_q8_0 {
    uint16_t d;
    int8_t qs[32];
} block_q8_0;

/* x = d · iq4_values[q] */
typedef struct PACKED block_iq4_nl {
    uint16_t d;
    uint8_t qs[16];
} block_iq4_nl;

/* --- super-blocks of 256 --- */

/* Sixteen sub-blocks of 16. scales[k]: low nibble the scale, high nibble the minimum.
 * x = d · scale · q − dmin · minimum.
 * Element 128h + 32s + l, l < 32, is (qs[32h + l] >> 2s) & 3. */
typedef struct PACKED block_q2_k {
    uint8_t scales[16];
    uint8_t qs[64];
    uint16_t d, dmin;
} block_q2_k;

/* Sixteen sub-blocks of 16, scales of 6 bits (q3_k_scale). x = d · scale · q, q in −4 … 3.
 * Low bits as in Q2_K; bit 4h + s of hmask[l] is set where 4 need not be subtracted. */
typedef struct PACKED block_q3_k {
    uint8_t hmask[32];
    uint8_t qs[64];
    uint8_t scales[12];
    uint16_t d;
} block_q3_k;

/* Eight sub-blocks of 32, scales and minima of 6 bits (q4_k_scale, q4_k_min).
 * x = d · scale · q − dmin · minimum.
 * Element 64c + l is the low nibble of qs[32c + l], element 64c + 32 + l its high one. */
typedef struct PACKED block_q4_k {
    uint16_t d, dmin;
    uint8_t scales[12];
    uint8_t qs[128];
} block_q4_k;

/* As Q4_K; the fifth bit of element 32k + l is bit k of qh[l]. */
typedef struct PACKED block_q5_k {
    uint16_t d, dmin;
    uint8_t scales[12];
    uint8_t qh[32];
    uint8_t qs[128];
} block_q5_k;

/* Sixteen sub-blocks of 16. x = d · scale · (q − 32).
 * Element 128h + 32s + l, l < 32: lower four bits are a nibble of ql[64h + 32(s & 1) + l], the low
 * one for s < 2 and else the high one; upper bits (qh[32h + l] >> 2s) & 3. */
typedef struct PACKED block_q6_k {
    uint8_t ql[128];
    uint8_t qh[64];
    int8_t scales[16];
    uint16_t d;
} block_q6_k;

/* Eight sub-blocks of 32, scales of 6 bits (iq4_xs_scale). x = d · scale · iq4_values[q].
 * Sub-block k takes qs[16k … 16k + 15], nibbles as in the blocks of 32. */
typedef struct PACKED block_iq4_xs {
    uint16_t d;
    uint16_t scales_h;
    uint8_t scales_l[4];
    uint8_t qs[128];
} block_iq4_xs;

#undef PACKED

_Static_assert(sizeof(block_q4_0) == 18, "Q4_0");
_Static_assert(sizeof(block_q4_1) == 20, "Q4_1");
_Static_assert(sizeof(block_q5_0) == 22, "Q5_0");
_Static_assert(sizeof(block_q5_1) == 24, "Q5_1");
_Static_assert(sizeof(block_q8_0) == 34, "Q8_0");
_Static_assert(sizeof(block_iq4_nl) == 18, "IQ4_NL");
_Static_assert(sizeof(block_q2_k) == 84, "Q2_K");
_Static_assert(sizeof(block_q3_k) == 110, "Q3_K");
_Static_assert(sizeof(block_q4_k) == 144, "Q4_K");
_Static_assert(sizeof(block_q5_k) == 176, "Q5_K");
_Static_assert(sizeof(block_q6_k) == 210, "Q6_K");
_Static_assert(sizeof(block_iq4_xs) == 136, "IQ4_XS");

/* The values behind the codes of IQ4_NL and IQ4_XS, ascending. */
extern const int8_t iq4_values[16];

/* --- scales of 6 bits, squeezed into 12 or 6 bytes --- */

/* Scale k < 16 of Q3_K, −32 … 31: low nibbles in bytes 0–7, upper two bits in bytes 8–11. */
static inline int q3_k_scale(const uint8_t scales[12], int k) {
    int low = k < 8 ? scales[k] & 15 : scales[k - 8] >> 4;
    int high = (scales[8 + k % 4] >> (2 * (k / 4))) & 3;
    return (low | high << 4) - 32;
}

/* Scale and minimum k < 8 of Q4_K and Q5_K, 0 … 63. The first four of each are the low six bits of
 * bytes 0–3 and 4–7; the last four have their low nibbles in bytes 8–11 and their upper two bits at
 * the top of bytes 0–7. */
static inline int q4_k_scale(const uint8_t scales[12], int k) {
    return k < 4 ? scales[k] & 63 : (scales[k + 4] & 15) | (scales[k - 4] >> 6) << 4;
}

static inline int q4_k_min(const uint8_t scales[12], int k) {
    return k < 4 ? scales[k + 4] & 63 : scales[k + 4] >> 4 | (scales[k] >> 6) << 4;
}

/* Scale k < 8 of IQ4_XS, −32 … 31. */
static inline int iq4_xs_scale(const block_iq4_xs *b, int k) {
    int low = (b->scales_l[k / 2] >> (4 * (k % 2))) & 15;
    int high = (b->scales_h >> (2 * k)) & 3;
    return (low | high << 4) - 32;
}

#endif
