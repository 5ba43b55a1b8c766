/* Speed of products with weights, by type and number of tokens.
 *
 *     kernels_bench [--threads N] [--columns N] [--cached] [TYPE…]
 *
 * Each thread multiplies its own rows of one matrix that is larger than the caches (with --cached:
 * of one that fits the second cache). Rates are per second of processor time, so that other work on
 * the machine counts only where it takes memory bandwidth or clock: the best round of one thread,
 * the mean of several. For 1 token GB/s of weights and their share of what a plain read of the same
 * memory reaches in the same run; for 2, 3, 4 and 8 the time as a multiple of one token's; for 64
 * and 512 GOP/s. */
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/mem.h"
#include "tensor/matmul.h"
#include "tensor/quant.h"

enum { MOST_THREADS = 64, SECONDS_PERCENT = 20 };

typedef struct job {
    const kernels *k;
    const tensor *w;
    const activations *x; /* NULL: a plain read */
    float *y;
    size_t begin, end; /* rows */
    pthread_barrier_t *start;
    bool alone;  /* no other thread computes */
    double rate; /* rounds a second of this thread's processor time */
} job;

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void *need(void *memory) {
    if (memory) return memory;
    fprintf(stderr, "out of memory\n");
    exit(1);
}

typedef uint64_t words __attribute__((vector_size(16), aligned(1), may_alias));

/* Four streams, as far apart as they go. */
static uint64_t read_all(const char *p, size_t bytes) {
    const size_t part = bytes / 4 / 64 * 64;
    const char *q = p + part, *r = q + part, *s = r + part;
    words a = {0}, b = {0}, c = {0}, d = {0};
#define READ(at) (*(const words *)(at) | *(const words *)((at) + 16) | \
                  *(const words *)((at) + 32) | *(const words *)((at) + 48))
    for (size_t i = 0; i < part; i += 64) {
        a |= READ(p + i);
        b |= READ(q + i);
        c |= READ(r + i);
        d |= READ(s + i);
    }
#undef READ
    a |= b | c | d;
    return a[0] | a[1];
}

static void *run_job(void *argument) {
    job *j = argument;
    size_t n_tokens = j->x ? j->x->n_tokens : 1;
    void *scratch = need(mem_alloc_aligned(matmul_scratch_bytes(j->w, n_tokens), 1));
    volatile uint64_t sink;
    pthread_barrier_wait(j->start);
    const double start = now();
    double best = INFINITY, done = 0;
    int rounds = 1; /* between two looks at the clock, which costs microseconds */
    for (double end = start + SECONDS_PERCENT / 100.0; now() < end;) {
        double begin = now();
        for (int i = 0; i < rounds; i++) {
            if (j->x)
                matmul_rows(j->k, j->y, j->w->ne[1], j->w, j->begin, j->end, j->x, scratch);
            else
                sink = read_all(tensor_row(j->w, j->begin), (j->end - j->begin) * j->w->row_bytes);
        }
        double seconds = now() - begin;
        best = fmin(best, seconds / rounds);
        done += rounds;
        if (seconds < 1e-3) rounds *= 2;
    }
    (void)sink;
    /* Beside others the best round is one that had the memory to itself. */
    j->rate = j->alone ? 1 / best : done / (now() - start);
    mem_free(scratch);
    return NULL;
}

/* Rounds over the whole matrix in a second, all threads together. */
static double rate_of(const kernels *k, const tensor *w, const activations *x, float *y,
                      int n_threads) {
    pthread_t threads[MOST_THREADS];
    job jobs[MOST_THREADS];
    pthread_barrier_t start;
    pthread_barrier_init(&start, NULL, (unsigned)n_threads);
    size_t share = w->ne[1] / (size_t)n_threads;
    for (int i = 0; i < n_threads; i++) {
        jobs[i] = (job){.k = k, .w = w, .x = x, .y = y, .begin = share * (size_t)i,
                        .end = share * (size_t)(i + 1), .start = &start, .alone = n_threads == 1};
        if (pthread_create(&threads[i], NULL, run_job, &jobs[i]) != 0) exit(1);
    }
    double rate = 0;
    for (int i = 0; i < n_threads; i++) {
        pthread_join(threads[i], NULL);
        rate += jobs[i].rate / n_threads;
    }
    pthread_barrier_destroy(&start);
    return rate;
}

static activations inputs_of(const kernels *k, size_t n_tokens, size_t n_in, activation_form form) {
    float *x = need(mem_alloc_aligned(n_tokens * n_in, sizeof(float)));
    for (size_t i = 0; i < n_tokens * n_in; i++) x[i] = (float)(i * 2654435761u % 2001) - 1000;
    activations a;
    void *memory = form == FORM_FLOAT
                       ? NULL
                       : need(mem_alloc_aligned(activations_bytes(n_tokens, n_in), 1));
    activations_init(&a, form, x, n_tokens, n_in, memory);
    activations_quantise(k, &a, 0, n_tokens);
    return a;
}

static void inputs_release(activations *a) {
    mem_free((void *)a->x);
    mem_free(a->form == FORM_BF16 ? (void *)a->bf16 : (void *)a->q);
}

static void measure(const kernels *k, dtype type, size_t n_in, size_t bytes, int n_threads) {
    size_t row_bytes;
    if (!dtype_row_bytes(type, n_in, &row_bytes)) return;
    const size_t step = MATMUL_ROW_STEP * (size_t)n_threads;
    const size_t n_rows = (bytes / row_bytes / step + 1) * step, few = 64 * step;
    tensor w = {.type = type, .n_dims = 2, .ne = {n_in, n_rows, 1, 1}, .row_bytes = row_bytes};
    char *memory = need(mem_alloc_aligned(n_rows, row_bytes));
    for (size_t i = 0; i < n_rows * row_bytes; i++) memory[i] = (char)(i * 2654435761u >> 13) & 59;
    w.data = memory;
    float *y = need(mem_alloc_aligned(n_rows * 8 > few * 512 ? n_rows * 8 : few * 512, 4));
    const size_t counts[] = {1, 2, 3, 4, 8, 64, 512};
    double read = rate_of(k, &w, NULL, y, n_threads), one = 0;
    printf("%-7s %6zu %7.1f", dtype_get(type)->name, n_in,
           read * (double)(n_rows * row_bytes) * 1e-9);
    for (int i = 0; i < 7; i++) {
        tensor part = w;
        if (counts[i] > 8 && part.ne[1] > few) part.ne[1] = few;
        activations x = inputs_of(k, counts[i], n_in, matmul_form(k, &w, counts[i]));
        double rate = rate_of(k, &part, &x, y, n_threads);
        double ops = 2e-9 * (double)(part.ne[1] * n_in * counts[i]) * rate;
        if (i == 0) {
            one = rate;
            printf(" %6.1f %4.0f %% |", rate * (double)(n_rows * row_bytes) * 1e-9,
                   100 * rate / read);
        } else if (counts[i] <= 8) {
            printf(" %5.2f", one / rate);
        } else {
            printf(" | %6.1f", ops);
        }
        fflush(stdout);
        inputs_release(&x);
    }
    printf("\n");
    mem_free(y);
    mem_free(memory);
}

int main(int argc, char **argv) {
    static const char *const all[] = {"Q4_0", "Q4_1", "Q5_0", "Q5_1",   "Q8_0",
                                      "Q2_K", "Q3_K", "Q4_K",
                                      "Q5_K", "Q6_K", "IQ4_NL", "IQ4_XS", "F16", "BF16", "F32"};
    const char *const *types = all;
    int n_types = sizeof all / sizeof *all, n_threads = 1, i = 1;
    size_t n_in = 2048, bytes = 192 << 20;
    for (; i < argc && argv[i][0] == '-'; i++) {
        if (strcmp(argv[i], "--cached") == 0) bytes = 384 << 10;
        else if (i + 1 < argc && strcmp(argv[i], "--threads") == 0) n_threads = atoi(argv[++i]);
        else if (i + 1 < argc && strcmp(argv[i], "--columns") == 0) n_in = (size_t)atoi(argv[++i]);
        else return fprintf(stderr, "unknown option %s\n", argv[i]), 2;
    }
    if (i < argc) types = (const char *const *)argv + i, n_types = argc - i;
    const kernels *k;
    if (n_threads < 1 || n_threads > MOST_THREADS || kernels_get(&k) != HONE_OK) return 2;
    printf("%s, %d threads\n"
           "type   inputs    read  1 token: share |  2     3     4     8 times | "
           "64 and 512: GOP/s\n",
           k->name, n_threads);
    for (int t = 0; t < n_types; t++) {
        int type = dtype_by_name(types[t]);
        if (type >= 0) measure(k, (dtype)type, n_in, bytes, n_threads);
    }
    return 0;
}
