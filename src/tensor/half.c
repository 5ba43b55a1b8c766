/* The two 16-bit float formats, by their bits: no instruction set needed, no table.
 *
 * binary16: 1 sign, 5 exponent (bias 15), 10 fraction bits. bfloat16: the upper half of a binary32.
 * The x86 and Arm conversion instructions give the same bits, NaN payloads included. */
#include "tensor/quant.h"

#include <string.h>

#define EXPONENT_SHIFT (112u << 23) /* difference of the biases, 127 − 15, in place */

static float float_of_bits(uint32_t bits) {
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static uint32_t bits_of_float(float x) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

float f16_to_f32(uint16_t h) {
    uint32_t sign = (uint32_t)(h & 0x8000) << 16;
    uint32_t magnitude = h & 0x7fff;
    if (magnitude > 0x7c00) return float_of_bits(sign | 0x7fc00000 | magnitude << 13); /* NaN */
    if (magnitude == 0x7c00) return float_of_bits(sign | 0x7f800000);
    if (magnitude >= 0x0400) return float_of_bits(sign | ((magnitude << 13) + EXPONENT_SHIFT));
    return float_of_bits(sign | bits_of_float((float)magnitude * 0x1p-24f)); /* subnormal, exact */
}

uint16_t f16_from_f32(float x) {
    uint32_t bits = bits_of_float(x);
    uint32_t sign = bits >> 16 & 0x8000;
    uint32_t magnitude = bits & 0x7fffffff;
    uint32_t h;
    if (magnitude > 0x7f800000) {
        h = 0x7e00 | (magnitude >> 13 & 0x03ff);
    } else if (magnitude >= 0x47800000) { /* 65536 */
        h = 0x7c00;
    } else if (magnitude >= 0x38800000) { /* 2^-14, the smallest normal half */
        /* A carry out of the fraction raises the exponent, up to infinity, as it should. */
        h = (magnitude - EXPONENT_SHIFT + 0x0fff + (magnitude >> 13 & 1)) >> 13;
    } else {
        /* Next to 0.5 a float's step is 2^-24, a subnormal half's unit: the addition rounds. */
        h = bits_of_float(float_of_bits(magnitude) + 0.5f) - 0x3f000000;
    }
    return (uint16_t)(sign | h);
}

float bf16_to_f32(uint16_t b) { return float_of_bits((uint32_t)b << 16); }

uint16_t bf16_from_f32(float x) {
    uint32_t bits = bits_of_float(x);
    if ((bits & 0x7fffffff) > 0x7f800000) return (uint16_t)(bits >> 16 | 0x0040);
    return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}
