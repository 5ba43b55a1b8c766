/* The block encoders in plain C: vectors of four, which every machine's compiler knows how to
 * split. They define the answer; the instruction sets' encoders give the same bytes. */
#include <stdint.h>
#include <string.h>

#include "tensor/kernels_int.h"
#include "tensor/quant.h"

typedef float vec __attribute__((vector_size(16)));
typedef int32_t mask __attribute__((vector_size(16)));
enum { LANES = 4 };

INLINE vec v_set(float a) { return (vec){a, a, a, a}; }
INLINE vec v_load(const float *p) {
    vec v;
    memcpy(&v, p, sizeof v);
    return v;
}
INLINE void v_store(float *p, vec v) { memcpy(p, &v, sizeof v); }
INLINE mask v_greater(vec a, vec b) { return a > b; }
INLINE vec v_pick(mask m, vec a, vec b) { return (vec)(((mask)a & m) | ((mask)b & ~m)); }
INLINE vec v_min(vec a, vec b) { return v_pick(a < b, a, b); }
INLINE vec v_max(vec a, vec b) { return v_pick(a > b, a, b); }
INLINE vec v_truncate(vec v) {
    return __builtin_convertvector(__builtin_convertvector(v, mask), vec);
}

/* For |v| < 2^22: there a float's step at 1.5 · 2^23 is 1. Larger ones give anything; clamp it. */
INLINE vec v_round(vec v) {
    const vec shift = v_set(12582912.0f);
    return (v + shift) - shift;
}

INLINE void v_store_codes(uint8_t *p, vec v) {
    mask whole = __builtin_convertvector(v, mask);
    for (int i = 0; i < LANES; i++) p[i] = (uint8_t)whole[i];
}

INLINE float v_lowest(vec v) {
    float a = v[0] < v[1] ? v[0] : v[1], b = v[2] < v[3] ? v[2] : v[3];
    return a < b ? a : b;
}

INLINE float v_highest(vec v) {
    float a = v[0] > v[1] ? v[0] : v[1], b = v[2] > v[3] ? v[2] : v[3];
    return a > b ? a : b;
}

INLINE uint16_t half_bits(float x) { return f16_from_f32(x); }
INLINE float half_value(uint16_t h) { return f16_to_f32(h); }

INLINE void v_store_halves(uint8_t *p, vec v) {
    for (int i = 0; i < LANES; i++) {
        uint16_t half = f16_from_f32(v[i]);
        memcpy(p + 2 * i, &half, sizeof half);
    }
}

typedef struct codes {
    uint8_t q[32];
} codes;

INLINE codes codes_load(const uint8_t *q) {
    codes c;
    memcpy(c.q, q, sizeof c.q);
    return c;
}

INLINE codes codes_from(const vec *v) {
    codes c;
    for (int i = 0; i < 32 / LANES; i++) v_store_codes(c.q + i * LANES, v[i]);
    return c;
}

INLINE void codes_store_nibbles(uint8_t *qs, codes c) {
    for (int j = 0; j < 16; j++) qs[j] = (uint8_t)((c.q[j] & 15) | (c.q[j + 16] & 15) << 4);
}

/* A product gathers the bits of eight bytes in its top byte. */
INLINE uint32_t codes_fifth_bits(codes c) {
    uint32_t bits = 0;
    for (int j = 0; j < 32; j += 8) {
        uint64_t eight;
        memcpy(&eight, c.q + j, sizeof eight);
        eight = eight >> 4 & 0x0101010101010101;
        bits |= (uint32_t)(eight * 0x0102040810204080 >> 56) << j;
    }
    return bits;
}

#include "tensor/encode_formats.h"

bool all_within_plain(const float *x, size_t n, float low, float high) {
    return all_within_lanes(x, n, low, high);
}

void encode_row_plain(dtype type, void *row, const float *x, size_t n, const float *importance) {
    encode_row_lanes(type, row, x, n, importance);
}
