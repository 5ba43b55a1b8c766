/* The requests of one HTTP exchange, whatever API it speaks: its prompts and choices run together
 * on one model, and one thread hears of all of them. They stop when the client hangs up. */
#ifndef SERVE_JOB_H
#define SERVE_JOB_H

#include "serve/listener.h"
#include "serve/scheduler.h"

typedef struct job job;

/* Hands requests[n] (n > 0, borrowed until the job is closed) to the scheduler, a limited number at
 * a time; the first one at once, so that HONE_ERR_BUSY is known before the answer begins. `client`:
 * with whom they take turns; borrowed likewise. */
hone_status job_open(job **out, scheduler *s, exchange *x, const char *client,
                     const hone_request *requests, size_t n);
void job_close(job *j); /* what still runs is cancelled; NULL is allowed */

typedef struct job_event {
    enum { JOB_NOTHING, JOB_PIECE, JOB_DONE } kind;
    size_t index;              /* of the request */
    hone_piece piece;          /* PIECE: valid until the next call */
    const hone_result *result; /* DONE: until the job is closed */
} job_event;

/* Waits for what happens next, at most for the blink after which the client is looked for: NOTHING
 * then. HONE_ERR_CANCELLED: it has hung up. Other errors: of a request that failed. */
hone_status job_next(job *j, job_event *event);

/* Waits for the whole of it: calls `take` for each event. */
hone_status job_wait(job *j, hone_status (*take)(void *user, const job_event *event), void *user);

/* That request ends as cancelled within one step; its DONE follows. */
void job_cancel(job *j, size_t index);

bool job_is_done(const job *j);
const hone_result *job_result(const job *j, size_t index); /* NULL: not done */

#endif
