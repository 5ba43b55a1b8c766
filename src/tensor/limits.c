/* Measuring what the machine can do (include/hone/limits.h). */
#include "hone/limits.h"

#include <string.h>

#include "base/mem.h"
#include "base/pool.h"
#include "base/system.h"
#include "tensor/limits_int.h"

enum {
    ROUNDS = 5,            /* the best of so many counts */
    TASKS_PER_THREAD = 16, /* so that a disturbed core does not hold up the others */
    PEAK_ROUNDS = 20000,   /* of a loop in one task: about a tenth of a millisecond */
    PIECE = 8 * 128,
};

#define LEAST_BUFFER (256u << 20)

/* --- the scalar loops --- */

static void read_scalar(const char *p, size_t bytes, int n_streams) {
#define LIMIT_READ_LINE(at)                                       \
    for (int j_ = 0; j_ < 16; j_++) {                             \
        uint64_t v_;                                              \
        memcpy(&v_, (at) + 8 * j_, 8);                            \
        __asm__ volatile("" : : "r"(v_));                         \
    }
    LIMIT_READ_STREAMS(p, bytes, n_streams)
#undef LIMIT_READ_LINE
}

static double f32_scalar(size_t rounds) {
    volatile float keep;
    float sum[8] = {0};
    for (size_t r = 0; r < rounds; r++)
        for (int i = 0; i < 8; i++) sum[i] = sum[i] * 0.5f + 1.0f;
    for (int i = 0; i < 8; i++) keep = sum[i];
    (void)keep;
    return 2.0 * 8 * (double)rounds;
}

void limit_loops_fill_scalar(limit_loops *l) {
    *l = (limit_loops){.read = read_scalar, .f32 = {"multiply and add", f32_scalar}};
}

static hone_status choose_loops(limit_loops *l) {
    cpu_isa isa;
    TRY(cpu_chosen_isa(&isa));
    limit_loops_fill_scalar(l);
#if defined(__x86_64__)
    if (isa == CPU_AVX2 || isa == CPU_AVX512) limit_loops_fill_avx2(l);
    if (isa == CPU_AVX512) limit_loops_fill_avx512(l, cpu_extras());
#elif defined(__aarch64__)
    if (isa == CPU_NEON) limit_loops_fill_neon(l);
#endif
    return HONE_OK;
}

/* --- measuring --- */

typedef struct measuring {
    limit_loops loops;
    pool *pool;
    size_t n_tasks;
    char *buffer;
    size_t task_bytes;
    int n_streams;
    const limit_loop *loop;
} measuring;

static void read_task(void *user, size_t index, int thread) {
    (void)thread;
    measuring *m = user;
    m->loops.read(m->buffer + index * m->task_bytes, m->task_bytes, m->n_streams);
}

static void peak_task(void *user, size_t index, int thread) {
    (void)index, (void)thread;
    measuring *m = user;
    m->loop->run(PEAK_ROUNDS);
}

static double shortest_ms(measuring *m, pool_task task) {
    double best = 0;
    for (int i = 0; i < ROUNDS; i++) {
        double start = clock_ms();
        pool_run(m->pool, m->n_tasks, task, m);
        double ms = clock_ms() - start;
        if (i == 0 || ms < best) best = ms;
    }
    return best;
}

static double peak_of(measuring *m, const limit_loop *loop) {
    if (!loop->run) return 0;
    m->loop = loop;
    double ops = loop->run(1) * PEAK_ROUNDS * (double)m->n_tasks;
    return 1e3 * ops / shortest_ms(m, peak_task);
}

static const char *name_of(const limit_loop *loop) { return loop->run ? loop->name : ""; }

static void measure(measuring *m, hone_limits *l) {
    for (int i = 0; i < HONE_LIMIT_STREAMS; i++) {
        m->n_streams = 1 << i;
        l->read_bytes_per_s[i] = 1e3 * (double)l->buffer_bytes / shortest_ms(m, read_task);
        if (l->read_bytes_per_s[i] > l->best_read_bytes_per_s)
            l->best_read_bytes_per_s = l->read_bytes_per_s[i];
    }
    l->int8_ops_per_s = peak_of(m, &m->loops.int8);
    l->bf16_ops_per_s = peak_of(m, &m->loops.bf16);
    l->f32_ops_per_s = peak_of(m, &m->loops.f32);
    l->int8_name = name_of(&m->loops.int8);
    l->bf16_name = name_of(&m->loops.bf16);
    l->f32_name = name_of(&m->loops.f32);
}

hone_status hone_measure_limits(hone_limits *limits, int n_threads) {
    measuring m = {.n_tasks = (size_t)n_threads * TASKS_PER_THREAD};
    hone_limits l = {.n_threads = n_threads, .cache_bytes = system_cache_bytes()};
    TRY(choose_loops(&m.loops));
    TRY(pool_open(&m.pool, n_threads));
    uint64_t wanted = 4 * l.cache_bytes < LEAST_BUFFER ? LEAST_BUFFER : 4 * l.cache_bytes;
    uint64_t there = system_look_at_memory("").limit;
    if (wanted > there / 8) wanted = there / 8;
    m.task_bytes = wanted / m.n_tasks / PIECE * PIECE + PIECE;
    l.buffer_bytes = m.task_bytes * m.n_tasks;
    m.buffer = mem_alloc_aligned(l.buffer_bytes, 1);
    if (!m.buffer) {
        pool_close(m.pool);
        return mem_fail("measuring memory", l.buffer_bytes);
    }
    memset(m.buffer, 1, l.buffer_bytes); /* so that the pages are there */
    measure(&m, &l);
    mem_free(m.buffer);
    pool_close(m.pool);
    *limits = l;
    return HONE_OK;
}

hone_status hone_instruction_set(const char **name) {
    const kernels *k;
    TRY(kernels_get(&k));
    *name = k->name;
    return HONE_OK;
}
