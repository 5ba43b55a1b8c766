/* Reading and multiplying at full rate on NEON, without the dot-product extension. */
#include <arm_neon.h>

#include "tensor/limits_int.h"

#define KEEP(v) __asm__ volatile("" : "+w"(v))

static void read_neon(const char *p, size_t bytes, int n_streams) {
#define LIMIT_READ_LINE(at)                                                     \
    for (int j_ = 0; j_ < 8; j_++) {                                            \
        uint8x16_t v_ = vld1q_u8((const uint8_t *)(at) + 16 * j_);              \
        KEEP(v_);                                                               \
    }
    LIMIT_READ_STREAMS(p, bytes, n_streams)
#undef LIMIT_READ_LINE
}

/* Sums that do not wait for each other; their loops are unrolled, or they would lie in memory. */
enum { CHAINS = 24 };

static double f32_neon(size_t rounds) {
    float32x4_t sum[CHAINS], a = vdupq_n_f32(1.0f), b = vdupq_n_f32(1e-9f);
    for (int i = 0; i < CHAINS; i++) sum[i] = vdupq_n_f32(0);
    for (size_t r = 0; r < rounds; r++) {
#pragma GCC unroll 24
        for (int i = 0; i < CHAINS; i++) {
            sum[i] = vfmaq_f32(sum[i], a, b);
            KEEP(sum[i]);
        }
    }
    return 2.0 * 4 * CHAINS * (double)rounds;
}

static double int8_neon(size_t rounds) {
    int16x8_t sum[CHAINS];
    int8x8_t a = vdup_n_s8(1);
    for (int i = 0; i < CHAINS; i++) sum[i] = vdupq_n_s16(0);
    for (size_t r = 0; r < rounds; r++) {
#pragma GCC unroll 24
        for (int i = 0; i < CHAINS; i++) {
            sum[i] = vmlal_s8(sum[i], a, a);
            KEEP(sum[i]);
        }
    }
    return 2.0 * 8 * CHAINS * (double)rounds;
}

void limit_loops_fill_neon(limit_loops *l) {
    l->read = read_neon;
    l->f32 = (limit_loop){"fmla 4s", f32_neon};
    l->int8 = (limit_loop){"smlal 8h", int8_neon};
}
