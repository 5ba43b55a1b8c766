/* A pool of compute threads that wait for the next piece of work.
 *
 * One caller at a time hands out tasks and takes part in them. Workers spin for some microseconds
 * between pieces of work and then sleep, so that an idle pool costs nothing. */
#ifndef BASE_POOL_H
#define BASE_POOL_H

#include <stddef.h>

#include "base/status.h"

typedef struct pool pool;

/* `n_threads` ≥ 1 counts the caller. HONE_ERR_MEMORY or HONE_ERR_IO when threads cannot be made. */
hone_status pool_open(pool **out, int n_threads);
void pool_close(pool *p); /* NULL is allowed */
int pool_threads(const pool *p);

/* One task: `index` < n_tasks, `thread` < pool_threads identifies the scratch it may use. */
typedef void (*pool_task)(void *user, size_t index, int thread);

/* Runs task(user, 0 … n_tasks − 1) on all threads, in no particular order, and returns when all
 * are done. Tasks are taken one by one, so that a disturbed core does not hold up the others. */
void pool_run(pool *p, size_t n_tasks, pool_task task, void *user);

/* From its next piece of work on the pool gives way to whatever else wants the processor: its
 * workers, for good, and the thread that calls this (niceness 5; Linux only). */
void pool_give_way(pool *p);

#endif
