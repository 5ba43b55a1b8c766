/* The thread pool: every task once, whatever the number of threads; sleep and close. */
#include "base/pool.h"

#include <stdatomic.h>
#include <stdint.h>
#include <time.h>
#include <unistd.h>

#include "test.h"

typedef struct counts {
    atomic_int runs[1000];
    atomic_int bad_threads;
    int n_threads;
} counts;

static void count(void *user, size_t index, int thread) {
    counts *c = user;
    atomic_fetch_add(&c->runs[index], 1);
    if (thread < 0 || thread >= c->n_threads) atomic_fetch_add(&c->bad_threads, 1);
}

static void each_task_runs_once(void) {
    for (int n_threads = 1; n_threads <= 5; n_threads++) {
        pool *p = NULL;
        static counts c;
        if (!CHECK_OK(pool_open(&p, n_threads))) return;
        CHECK(pool_threads(p) == n_threads);
        for (int round = 0; round < 2000; round++) {
            size_t n = (size_t)(round % 37);
            memset(&c, 0, sizeof c);
            c.n_threads = n_threads;
            pool_run(p, n, count, &c);
            for (size_t i = 0; i < 40; i++)
                CHECK_MSG(c.runs[i] == (i < n), "%d threads, round %d, task %zu ran %d times",
                          n_threads,
                          round, i, c.runs[i]);
            CHECK(c.bad_threads == 0);
            if (round % 500 == 0) usleep(20000); /* long enough for the workers to fall asleep */
        }
        pool_close(p);
    }
}

static void add_up(void *user, size_t index, int thread) {
    (void)thread;
    ((uint64_t *)user)[index] = index * index; /* plain memory: visible to the caller afterwards */
}

static void results_are_visible_to_the_caller(void) {
    pool *p = NULL;
    uint64_t squares[1000];
    if (!CHECK_OK(pool_open(&p, 4))) return;
    for (int round = 0; round < 200; round++) {
        memset(squares, 0xFF, sizeof squares);
        pool_run(p, 1000, add_up, squares);
        for (uint64_t i = 0; i < 1000; i++) CHECK(squares[i] == i * i);
    }
    pool_close(p);
}

static void bad_sizes_are_refused(void) {
    pool *p = NULL;
    CHECK(pool_open(&p, 0) == HONE_ERR_ARGUMENT);
    CHECK(pool_open(&p, 5000) == HONE_ERR_ARGUMENT);
    CHECK(p == NULL);
    pool_close(NULL);
}

static double processor_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return 1e3 * (double)t.tv_sec + 1e-6 * (double)t.tv_nsec;
}

static void an_idle_pool_takes_no_processor_time(void) {
    pool *p = NULL;
    uint64_t squares[1000];
    if (!CHECK_OK(pool_open(&p, 4))) return;
    pool_run(p, 1000, add_up, squares);
    double before = processor_ms();
    usleep(200000); /* three workers that waited in a loop would take as much, each */
    double took = processor_ms() - before;
    CHECK_MSG(took < 20, "an idle pool took %.1f ms of 200", took);
    pool_close(p);
}

int main(void) {
    RUN(each_task_runs_once);
    RUN(results_are_visible_to_the_caller);
    RUN(bad_sizes_are_refused);
    RUN(an_idle_pool_takes_no_processor_time);
    return test_summary();
}
