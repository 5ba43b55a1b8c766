/* Speed of attention's products and of what works element by element, on one thread: the table that
 * this machine or HONE_CPU chooses (products with weights: kernels_bench.c). Rates are per second of
 * processor time, the best of several runs.
 *
 * Keys and values by type of the cache and head length, for 1, 3, 6 and 8 rows out of memory in GB/s
 * of cache, as decoding at depth reads them; for 96 out of the first cache in GFLOP/s. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/mem.h"
#include "tensor/kernels.h"

enum { MOST_ROWS = 96, LARGEST_DIM = 128, N_ELEMENTS = 4096, MEMORY_BYTES = 64 << 20 };

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t); /* other work on the machine does not count */
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* The least seconds of several runs of `call`, at least 0.15 s of them. */
#define BEST_SECONDS(best, call)                                       \
    do {                                                               \
        best = INFINITY;                                               \
        for (double end_ = now() + 0.15, begin_; now() < end_;) {      \
            begin_ = now();                                            \
            call;                                                      \
            best = fmin(best, now() - begin_);                         \
        }                                                              \
    } while (0)

static uint8_t blocks[MEMORY_BYTES];
static _Alignas(64) float rows[MOST_ROWS * LARGEST_DIM], scores[MOST_ROWS * KV_BLOCK],
    scratch[KV_BLOCK * LARGEST_DIM];

static void time_attention(const kernels *k, dtype kv, size_t dim) {
    size_t row_bytes;
    if (!dtype_row_bytes(kv, dim, &row_bytes)) return;
    const size_t bytes = KV_BLOCK * row_bytes, n_blocks = MEMORY_BYTES / bytes;
    const size_t n_rows[] = {1, 3, 6, 8, MOST_ROWS};
    printf("%-5s %4zu", dtype_get(kv)->name, dim);
    for (int i = 0; i < 5; i++) {
        const size_t n = n_rows[i], used = n == MOST_ROWS ? 4 : n_blocks;
        double keys, values;
        BEST_SECONDS(keys, for (size_t b = 0; b < used; b++)
            k->block_scores(scores, KV_BLOCK, rows, n, kv, blocks + b * bytes,
                            blocks + (b + 1) % used * bytes, dim, scratch));
        BEST_SECONDS(values, for (size_t b = 0; b < used; b++)
            k->block_values(rows, dim, scores, KV_BLOCK, n, kv, blocks + b * bytes,
                            blocks + (b + 1) % used * bytes, KV_BLOCK, dim, false, scratch));
        const double work = n == MOST_ROWS ? 2.0 * n * dim * KV_BLOCK : (double)bytes;
        printf("  %5.1f %5.1f", 1e-9 * used * work / keys, 1e-9 * used * work / values);
        fflush(stdout);
    }
    printf("\n");
}

static void time_elements(const kernels *k) {
    static float x[N_ELEMENTS], y[N_ELEMENTS], numbers[4 * N_ELEMENTS / 32], most;
    static int8_t q[N_ELEMENTS];
    double seconds;
    BEST_SECONDS(seconds, k->rms_norm(y, x, x, N_ELEMENTS, 1e-6f));
    printf("ns an element: rms_norm %.2f", 1e9 * seconds / N_ELEMENTS);
    BEST_SECONDS(seconds, k->silu_mul(x, y, N_ELEMENTS));
    printf(", silu_mul %.2f", 1e9 * seconds / N_ELEMENTS);
    BEST_SECONDS(seconds, k->softmax_row(x, N_ELEMENTS, 1, &most));
    printf(", softmax_row %.2f", 1e9 * seconds / N_ELEMENTS);
    BEST_SECONDS(seconds, k->quantise_row(q, numbers, numbers + N_ELEMENTS / 32,
                                          numbers + 2 * N_ELEMENTS / 32, x, N_ELEMENTS));
    printf(", quantise_row %.2f\n", 1e9 * seconds / N_ELEMENTS);
}

int main(void) {
    static const dtype types[] = {DTYPE_F32, DTYPE_F16, DTYPE_Q8_0};
    const kernels *k;
    if (kernels_get(&k) != HONE_OK) return 2;
    memset(blocks, 1, sizeof blocks); /* pages of its own, not all the one of zeros */
    printf("%s, one thread\ncache head  keys and values for 1, 3, 6, 8 rows in GB/s, for 96 in "
           "GFLOP/s\n", k->name);
    for (int i = 0; i < 3; i++)
        for (size_t dim = 64; dim <= LARGEST_DIM; dim += 64) time_attention(k, types[i], dim);
    time_elements(k);
    return 0;
}
