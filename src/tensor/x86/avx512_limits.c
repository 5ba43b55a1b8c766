/* Reading and multiplying at full rate on AVX-512, its VNNI and its BF16. */
#include <immintrin.h>

#include "tensor/limits_int.h"

#define KEEP(v) __asm__ volatile("" : "+v"(v))

static void read_avx512(const char *p, size_t bytes, int n_streams) {
#define LIMIT_READ_LINE(at)                                                     \
    for (int j_ = 0; j_ < 2; j_++) {                                            \
        __m512i v_ = _mm512_load_si512((const void *)((at) + 64 * j_));         \
        KEEP(v_);                                                               \
    }
    LIMIT_READ_STREAMS(p, bytes, n_streams)
#undef LIMIT_READ_LINE
}

/* Sums that do not wait for each other; their loops are unrolled, or they would lie in memory. */
enum { CHAINS = 24 };

static double f32_avx512(size_t rounds) {
    __m512 sum[CHAINS], a = _mm512_set1_ps(1.0f), b = _mm512_set1_ps(1e-9f);
    for (int i = 0; i < CHAINS; i++) sum[i] = _mm512_setzero_ps();
    for (size_t r = 0; r < rounds; r++) {
#pragma GCC unroll 24
        for (int i = 0; i < CHAINS; i++) {
            sum[i] = _mm512_fmadd_ps(a, b, sum[i]);
            KEEP(sum[i]);
        }
    }
    return 2.0 * 16 * CHAINS * (double)rounds;
}

static double int8_vnni(size_t rounds) {
    __m512i sum[CHAINS], a = _mm512_set1_epi8(1);
    for (int i = 0; i < CHAINS; i++) sum[i] = _mm512_setzero_si512();
    for (size_t r = 0; r < rounds; r++) {
#pragma GCC unroll 24
        for (int i = 0; i < CHAINS; i++) {
            sum[i] = _mm512_dpbusd_epi32(sum[i], a, a);
            KEEP(sum[i]);
        }
    }
    return 2.0 * 64 * CHAINS * (double)rounds;
}

static double bf16_avx512(size_t rounds) {
    __m512 sum[CHAINS];
    __m512bh a = _mm512_cvtne2ps_pbh(_mm512_set1_ps(1), _mm512_set1_ps(1));
    for (int i = 0; i < CHAINS; i++) sum[i] = _mm512_setzero_ps();
    for (size_t r = 0; r < rounds; r++) {
#pragma GCC unroll 24
        for (int i = 0; i < CHAINS; i++) {
            sum[i] = _mm512_dpbf16_ps(sum[i], a, a);
            KEEP(sum[i]);
        }
    }
    return 2.0 * 32 * CHAINS * (double)rounds;
}

void limit_loops_fill_avx512(limit_loops *l, unsigned extras) {
    l->read = read_avx512;
    l->f32 = (limit_loop){"vfmadd231ps zmm", f32_avx512};
    if (extras & CPU_HAS_VNNI) l->int8 = (limit_loop){"vpdpbusd zmm", int8_vnni};
    if (extras & CPU_HAS_BF16) l->bf16 = (limit_loop){"vdpbf16ps zmm", bf16_avx512};
}
