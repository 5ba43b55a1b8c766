/* The kernels on NEON, which every 64-bit Arm has: vectors of 4 floats, 24 accumulators of 32
 * registers; products of bytes are added in pairs in 16 bits. */
#include <arm_neon.h>

#include "tensor/kernels_int.h"

typedef float32x4_t vec;
enum { LANES = 4, TILE_TOKENS = 6, DENSE_ROWS = 5, DENSE_VECTORS = 4 };

INLINE vec v_set(float a) { return vdupq_n_f32(a); }
INLINE vec v_load(const float *p) { return vld1q_f32(p); }
INLINE void v_store(float *p, vec v) { vst1q_f32(p, v); }
INLINE vec v_add(vec a, vec b) { return vaddq_f32(a, b); }
INLINE vec v_sub(vec a, vec b) { return vsubq_f32(a, b); }
INLINE vec v_mul(vec a, vec b) { return vmulq_f32(a, b); }
INLINE vec v_div(vec a, vec b) { return vdivq_f32(a, b); }
INLINE vec v_fma(vec a, vec b, vec c) { return vfmaq_f32(c, a, b); }
INLINE vec v_max(vec a, vec b) { return vbslq_f32(vcgtq_f32(a, b), a, b); }
INLINE vec v_min(vec a, vec b) { return vbslq_f32(vcltq_f32(a, b), a, b); }
INLINE vec v_round(vec v) { return vrndnq_f32(v); }

INLINE vec v_load_n(const float *p, size_t n) {
    float lanes[LANES] = {0};
    for (size_t i = 0; i < n; i++) lanes[i] = p[i];
    return vld1q_f32(lanes);
}

INLINE void v_store_n(float *p, vec v, size_t n) {
    float lanes[LANES];
    vst1q_f32(lanes, v);
    for (size_t i = 0; i < n; i++) p[i] = lanes[i];
}

/* In two steps, each of which is a normal number. */
INLINE vec v_scale(vec v, vec n) {
    int32x4_t whole = vcvtq_s32_f32(n), half = vshrq_n_s32(whole, 1);
    int32x4_t bias = vdupq_n_s32(127), rest = vsubq_s32(whole, half);
    int32x4_t first = vshlq_n_s32(vaddq_s32(half, bias), 23);
    int32x4_t second = vshlq_n_s32(vaddq_s32(rest, bias), 23);
    return vmulq_f32(vmulq_f32(v, vreinterpretq_f32_s32(first)), vreinterpretq_f32_s32(second));
}

/* Rows of weights need not be aligned to a half. */
INLINE uint16x4_t load_halves(const void *p) { return vreinterpret_u16_u8(vld1_u8(p)); }

INLINE vec v_from_f16(const void *p) {
    return vcvt_f32_f16(vreinterpret_f16_u16(load_halves(p)));
}

INLINE vec v_from_bf16(const void *p) {
    return vreinterpretq_f32_u32(vshll_n_u16(load_halves(p), 16));
}

INLINE vec v_from_i8(const void *p) {
    uint32_t four;
    __builtin_memcpy(&four, p, 4);
    int8x8_t bytes = vreinterpret_s8_u32(vdup_n_u32(four));
    return vcvtq_f32_s32(vmovl_s16(vget_low_s16(vmovl_s8(bytes))));
}

INLINE void v_sum4(float out[4], vec a, vec b, vec c, vec d) {
    vst1q_f32(out, vpaddq_f32(vpaddq_f32(a, b), vpaddq_f32(c, d)));
}

#include "tensor/dense_kernels.h"

static void store_row_neon(dtype kv, void *row, const float *x, size_t n) {
    if (kv != DTYPE_F16 || n % LANES != 0) {
        store_row_scalar(kv, row, x, n);
        return;
    }
    for (size_t i = 0; i < n; i += LANES)
        vst1_u16((uint16_t *)row + i, vreinterpret_u16_f16(vcvt_f16_f32(vld1q_f32(x + i))));
}

/* --- products in 8 bits --- */

static void quantise_row_neon(int8_t *q, float *scale, float *sum32, float *sum16, const float *x,
                              size_t n) {
    for (size_t b = 0; b < n / 32; b++, x += 32, q += 32) {
        float32x4_t v[8], largest = vdupq_n_f32(0);
        for (int i = 0; i < 8; i++) {
            v[i] = vld1q_f32(x + 4 * i);
            largest = vmaxq_f32(largest, vabsq_f32(v[i]));
        }
        float most = vmaxvq_f32(largest), s = most < 1e-35f ? 0.0f : most / 127.0f; /* NaN stays */
        float inverse = s > 0 ? 1.0f / s : 0.0f;
        int sums[2];
        for (int h = 0; h < 2; h++) {
            int16x4_t whole[4];
            for (int i = 0; i < 4; i++)
                whole[i] = vqmovn_s32(vcvtnq_s32_f32(vmulq_n_f32(v[4 * h + i], inverse)));
            int8x16_t codes = vcombine_s8(vqmovn_s16(vcombine_s16(whole[0], whole[1])),
                                          vqmovn_s16(vcombine_s16(whole[2], whole[3])));
            vst1q_s8(q + 16 * h, codes);
            sums[h] = vaddlvq_s8(codes);
            sum16[2 * b + h] = s * (float)sums[h];
        }
        scale[b] = s;
        sum32[b] = s * (float)(sums[0] + sums[1]);
    }
}

/* Two products fit 16 bits: 2 · 128 · 127 < 2^15. */
INLINE int32x4_t dot_16(int32x4_t sum, int8x16_t a, int8x16_t b) {
    return vpadalq_s16(sum, vmlal_high_s8(vmull_s8(vget_low_s8(a), vget_low_s8(b)), a, b));
}

#include "tensor/arm/dot_rows.h"

void kernels_fill_neon(kernels *k) {
    k->name = "neon";
    k->store_row = store_row_neon;
    k->quantise_row = quantise_row_neon;
    k->dot_rows = dot_rows_simd;
    fill_float_kernels(k);
    fill_dense_kernels(k);
}
