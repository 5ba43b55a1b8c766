/* Reading and multiplying at full rate on AVX2. An empty piece of assembly keeps each result
 * "used", so that the compiler leaves nothing out. */
#include <immintrin.h>

#include "tensor/limits_int.h"

#define KEEP(v) __asm__ volatile("" : "+x"(v))

static void read_avx2(const char *p, size_t bytes, int n_streams) {
#define LIMIT_READ_LINE(at)                                                     \
    for (int j_ = 0; j_ < 4; j_++) {                                            \
        __m256i v_ = _mm256_load_si256((const __m256i *)((at) + 32 * j_));      \
        KEEP(v_);                                                               \
    }
    LIMIT_READ_STREAMS(p, bytes, n_streams)
#undef LIMIT_READ_LINE
}

/* Sums that do not wait for each other; their loops are unrolled, or they would lie in memory. */
enum { CHAINS = 12 };

static double f32_avx2(size_t rounds) {
    __m256 sum[CHAINS], a = _mm256_set1_ps(1.0f), b = _mm256_set1_ps(1e-9f);
    for (int i = 0; i < CHAINS; i++) sum[i] = _mm256_setzero_ps();
    for (size_t r = 0; r < rounds; r++) {
#pragma GCC unroll 12
        for (int i = 0; i < CHAINS; i++) {
            sum[i] = _mm256_fmadd_ps(a, b, sum[i]);
            KEEP(sum[i]);
        }
    }
    return 2.0 * 8 * CHAINS * (double)rounds;
}

/* A product of bytes is worth nothing before it is added to another: 16-bit sums are the least. */
static double int8_avx2(size_t rounds) {
    __m256i sum[CHAINS], a = _mm256_set1_epi8(1), b = _mm256_set1_epi8(1);
    for (int i = 0; i < CHAINS; i++) sum[i] = _mm256_setzero_si256();
    for (size_t r = 0; r < rounds; r++) {
#pragma GCC unroll 12
        for (int i = 0; i < CHAINS; i++) {
            KEEP(b);
            sum[i] = _mm256_add_epi16(sum[i], _mm256_maddubs_epi16(a, b));
            KEEP(sum[i]);
        }
    }
    return 2.0 * 32 * CHAINS * (double)rounds;
}

void limit_loops_fill_avx2(limit_loops *l) {
    l->read = read_avx2;
    l->f32 = (limit_loop){"vfmadd231ps ymm", f32_avx2};
    l->int8 = (limit_loop){"vpmaddubsw ymm", int8_avx2};
}
