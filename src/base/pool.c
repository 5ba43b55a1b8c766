#include "base/pool.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#if defined(__linux__)
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

#include "base/mem.h"

/* How long a worker looks for new work before it sleeps. Between two operations of one step a few
 * microseconds pass; a sleep and its wake-up cost some ten. */
#define SPIN_ROUNDS 4000

/* What is left of a round is one word: the round's number above, the tasks nobody has taken below.
 * A thread takes a task by counting the word down. So a worker that sleeps or has lost its core
 * misses the round, and nobody waits for it; and it cannot take a task of a round that it only
 * thinks is on. The fields that every thread writes stand on cache lines of their own. */
struct pool {
    _Alignas(64) _Atomic uint64_t left;
    _Alignas(64) atomic_size_t n_done; /* tasks finished in this round */
    _Alignas(64) pool_task task;       /* this and the next two: written before the round begins, */
    void *user;                        /* read once a task is taken, while it cannot end */
    size_t n_tasks;
    atomic_bool closing, gives_way;
    int n_threads;
    pthread_t *threads; /* n_threads − 1 workers */
    pthread_mutex_t lock;
    pthread_cond_t wake;
    atomic_int n_asleep; /* changed under lock */
};

#define TASKS_MASK 0xFFFFFFFFu

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
    uint64_t left = atomic_load_explicit(&p->left, memory_order_acquire);
    while (left & TASKS_MASK) {
        if (!atomic_compare_exchange_weak_explicit(&p->left, &left, left - 1, memory_order_acquire,
                                                   memory_order_acquire))
            continue;
        p->task(p->user, p->n_tasks - (left & TASKS_MASK), thread);
        atomic_fetch_add_explicit(&p->n_done, 1, memory_order_release);
        left = atomic_load_explicit(&p->left, memory_order_acquire);
    }
}

static bool has_tasks(pool *p) {
    return (atomic_load_explicit(&p->left, memory_order_acquire) & TASKS_MASK) != 0;
}

/* Returns when there may be something to do. */
static void wait_for_tasks(pool *p) {
    for (int i = 0; i < SPIN_ROUNDS; i++) {
        if (has_tasks(p) || atomic_load(&p->closing)) return;
        relax();
    }
    pthread_mutex_lock(&p->lock);
    atomic_fetch_add(&p->n_asleep, 1);
    while (!has_tasks(p) && !atomic_load(&p->closing)) pthread_cond_wait(&p->wake, &p->lock);
    atomic_fetch_sub(&p->n_asleep, 1);
    pthread_mutex_unlock(&p->lock);
}

static void lower_own_priority(void) {
#if defined(__linux__) /* where each thread has a niceness of its own */
    enum { NICENESS = 5 }; /* a third of the weight of others */
    setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), NICENESS);
#endif
}

void pool_give_way(pool *p) {
    atomic_store(&p->gives_way, true);
    lower_own_priority();
}

static void *work(void *argument) {
    worker *self = argument;
    pool *p = self->p;
    int thread = self->thread;
    bool gives_way = false;
    mem_free(self);
    while (!atomic_load(&p->closing)) {
        if (!gives_way && atomic_load(&p->gives_way)) {
            gives_way = true;
            lower_own_priority();
        }
        take_tasks(p, thread);
        wait_for_tasks(p);
    }
    return NULL;
}

/* Whoever goes to sleep counts itself first and looks at `left` after; whoever begins a round
 * writes `left` first and looks at the count after: one of the two sees the other. */
static void wake_sleepers(pool *p) {
    if (atomic_load(&p->n_asleep) == 0) return;
    pthread_mutex_lock(&p->lock);
    pthread_cond_broadcast(&p->wake);
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
    atomic_store(&p->closing, true);
    pthread_mutex_lock(&p->lock);
    pthread_cond_broadcast(&p->wake);
    pthread_mutex_unlock(&p->lock);
    for (int i = 0; i < p->n_threads - 1; i++) pthread_join(p->threads[i], NULL);
    pthread_cond_destroy(&p->wake);
    pthread_mutex_destroy(&p->lock);
    mem_free(p->threads);
    mem_free(p);
}

int pool_threads(const pool *p) { return p->n_threads; }

void pool_run(pool *p, size_t n_tasks, pool_task task, void *user) {
    if (p->n_threads == 1 || n_tasks == 1 || n_tasks > TASKS_MASK) {
        for (size_t i = 0; i < n_tasks; i++) task(user, i, 0);
        return;
    }
    p->task = task;
    p->user = user;
    p->n_tasks = n_tasks;
    atomic_store_explicit(&p->n_done, 0, memory_order_relaxed);
    uint64_t round = atomic_load_explicit(&p->left, memory_order_relaxed) >> 32;
    atomic_store(&p->left, (round + 1) << 32 | n_tasks);
    wake_sleepers(p);
    take_tasks(p, 0);
    for (int i = 0; atomic_load_explicit(&p->n_done, memory_order_acquire) < n_tasks; i++) {
        relax();
        if (i > SPIN_ROUNDS) { /* whoever has the last task may lack a core: offer this one */
            sched_yield();
            i = 0;
        }
    }
}
