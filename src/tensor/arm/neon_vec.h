/* Vectors of 4 floats on NEON, as tensor/float_kernels.h wants them. */
#ifndef TENSOR_ARM_NEON_VEC_H
#define TENSOR_ARM_NEON_VEC_H

#include <arm_neon.h>

#include "tensor/kernels_int.h"

typedef float32x4_t vec;
enum { LANES = 4, TILE_TOKENS = 6 };

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

#endif
