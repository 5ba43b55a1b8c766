/* The kernels on NEON, which every 64-bit Arm has: vectors of 4 floats, 24 accumulators of 32
 * registers; products of bytes are added in pairs in 16 bits. */
#include "tensor/arm/neon_vec.h"

enum { DENSE_ROWS = 5, DENSE_VECTORS = 4 };

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
