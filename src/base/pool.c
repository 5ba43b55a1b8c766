#include "base/pool.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>

#include "base/mem.h"

/* How long a worker looks for new work before it sleeps. Between two operations of one step a few
 * microseconds pass; a sleep and its wake-up cost some ten. */
#define SPIN_ROUNDS 4000

/* The fields that every thread writes stand on cache lines of their own. */
struct pool {
    _Alignas(64) atomic_size_t next; /* the next task to take */
    _Alignas(64) atomic_int n_busy;  /* workers that have not finished this round */
    _Alignas(64) atomic_uint round;  /* counts pool_run calls; a change wakes the workers */
    _Alignas(64) pool_task task;
    void *user;
    size_t n_tasks;
    bool closing;
    int n_threads;
    pthread_t *threads; /* n_threads − 1 workers */
    pthread_mutex_t lock;
    pthread_cond_t wake;
    int n_asleep; /* under lock */
};

typedef struct worker {
    pool *p;
    int thread;
} worker;

static void relax(void) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static void take_tasks(pool *p, int thread) {
    for (;;) {
        size_t index = atomic_fetch_add_explicit(&p->next, 1, memory_order_relaxed);
        if (index >= p->n_tasks) return;
        p->task(p->user, index, thread);
    }
}

static void wait_for_round(pool *p, unsigned seen) {
    for (int i = 0; i < SPIN_ROUNDS; i++) {
        if (atomic_load_explicit(&p->round, memory_order_acquire) != seen) return;
        relax();
    }
    pthread_mutex_lock(&p->lock);
    p->n_asleep++;
    while (atomic_load_explicit(&p->round, memory_order_acquire) == seen)
        pthread_cond_wait(&p->wake, &p->lock);
    p->n_asleep--;
    pthread_mutex_unlock(&p->lock);
}

static void *work(void *argument) {
    worker *self = argument;
    pool *p = self->p;
    int thread = self->thread;
    mem_free(self);
    for (unsigned seen = 0;; seen++) {
        wait_for_round(p, seen);
        if (p->closing) return NULL;
        take_tasks(p, thread);
        atomic_fetch_sub_explicit(&p->n_busy, 1, memory_order_release);
    }
}

/* Starts the next round; everything written before is visible to the workers that see it. */
static void begin_round(pool *p) {
    pthread_mutex_lock(&p->lock);
    atomic_fetch_add_explicit(&p->round, 1, memory_order_release);
    if (p->n_asleep) pthread_cond_broadcast(&p->wake);
    pthread_mutex_unlock(&p->lock);
}

static hone_status start_worker(pool *p, int thread) {
    worker *self = mem_alloc(sizeof *self);
    if (!self) return mem_fail("thread", sizeof *self);
    *self = (worker){p, thread};
    int error = pthread_create(&p->threads[thread - 1], NULL, work, self);
    if (!error) return HONE_OK;
    mem_free(self);
    return fail(HONE_ERR_IO, "cannot start compute thread %d: %s", thread, strerror(error));
}

hone_status pool_open(pool **out, int n_threads) {
    if (n_threads < 1 || n_threads > 1024)
        return fail(HONE_ERR_ARGUMENT, "%d threads: give 1 to 1024", n_threads);
    pool *p = mem_alloc_aligned(1, sizeof *p);
    if (!p) return mem_fail("thread pool", sizeof *p);
    memset(p, 0, sizeof *p);
    p->n_threads = 1;
    p->threads = mem_calloc((size_t)n_threads, sizeof *p->threads);
    if (!p->threads) {
        mem_free(p);
        return mem_fail("thread pool", (size_t)n_threads * sizeof(pthread_t));
    }
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->wake, NULL);
    for (int thread = 1; thread < n_threads; thread++) {
        hone_status status = start_worker(p, thread);
        if (status != HONE_OK) {
            pool_close(p);
            return status;
        }
        p->n_threads = thread + 1;
    }
    *out = p;
    return HONE_OK;
}

void pool_close(pool *p) {
    if (!p) return;
    p->closing = true;
    begin_round(p);
    for (int i = 0; i < p->n_threads - 1; i++) pthread_join(p->threads[i], NULL);
    pthread_cond_destroy(&p->wake);
    pthread_mutex_destroy(&p->lock);
    mem_free(p->threads);
    mem_free(p);
}

int pool_threads(const pool *p) { return p->n_threads; }

void pool_run(pool *p, size_t n_tasks, pool_task task, void *user) {
    if (p->n_threads == 1 || n_tasks == 1) {
        for (size_t i = 0; i < n_tasks; i++) task(user, i, 0);
        return;
    }
    p->task = task;
    p->user = user;
    p->n_tasks = n_tasks;
    atomic_store_explicit(&p->next, 0, memory_order_relaxed);
    atomic_store_explicit(&p->n_busy, p->n_threads - 1, memory_order_relaxed);
    begin_round(p);
    take_tasks(p, 0);
    for (int i = 0; atomic_load_explicit(&p->n_busy, memory_order_acquire) > 0; i++) {
        relax();
        if (i > SPIN_ROUNDS) { /* a worker lost its core: let it have this one */
            sched_yield();
            i = 0;
        }
    }
}
