/* Tickets of one exchange (serve/job.h). */
#include "serve/job.h"

#include "base/mem.h"
#include "base/status.h"
#include "base/system.h"

enum {
    LOOK_MS = 50,    /* how often a waiting thread looks whether its client is still there */
    MAX_AT_ONCE = 32 /* tickets of a job: the others wait here and not in the scheduler's queue */
};

struct job {
    scheduler *s;
    exchange *x;
    const char *client;
    const hone_request *requests; /* [n] */
    size_t n, n_submitted, n_done, next; /* `next`: where to look first */
    ticket **tickets;             /* [n]; NULL: not submitted */
    const hone_result **results;  /* [n]; NULL: not done */
    ticket **open;                /* [n]; those that may have news */
    double looked_ms;
};

static hone_status submit_next(job *j) {
    size_t i = j->n_submitted;
    TRY(scheduler_submit(j->s, &j->requests[i], j->client, j->tickets[0], &j->tickets[i]));
    j->open[i] = j->tickets[i];
    j->n_submitted++;
    return HONE_OK;
}

/* A full queue is no failure while something of ours runs: the rest comes later. */
static hone_status submit_more(job *j) {
    while (j->n_submitted < j->n && j->n_submitted - j->n_done < MAX_AT_ONCE) {
        hone_status status = submit_next(j);
        if (status == HONE_ERR_BUSY && j->n_submitted > j->n_done) break;
        TRY(status);
    }
    return HONE_OK;
}

hone_status job_open(job **out, scheduler *s, exchange *x, const char *client,
                     const hone_request *requests, size_t n) {
    *out = NULL;
    job *j = mem_calloc(1, sizeof *j);
    if (!j) return mem_fail("request", sizeof *j);
    *j = (job){.s = s, .x = x, .client = client, .requests = requests, .n = n,
                .looked_ms = clock_ms()};
    j->tickets = mem_calloc(n, sizeof *j->tickets);
    j->open = mem_calloc(n, sizeof *j->open);
    j->results = mem_calloc(n, sizeof *j->results);
    hone_status status = j->tickets && j->open && j->results
                             ? submit_more(j)
                             : mem_fail("request", 3 * n * sizeof *j->tickets);
    if (status != HONE_OK) {
        job_close(j);
        return status;
    }
    *out = j;
    return HONE_OK;
}

void job_close(job *j) {
    if (!j) return;
    for (size_t i = 0; i < j->n_submitted; i++) ticket_cancel(j->tickets[i]);
    for (size_t i = j->n_submitted; i-- > 0;) ticket_close(j->tickets[i]); /* the eldest last */
    mem_free(j->tickets);
    mem_free(j->open);
    mem_free((void *)(uintptr_t)j->results);
    mem_free(j);
}

/* Streams never rest while tokens come, so the clock decides and not the lack of news. */
static hone_status look_for_client(job *j) {
    double now = clock_ms();
    if (now - j->looked_ms < LOOK_MS) return HONE_OK;
    j->looked_ms = now;
    return exchange_is_gone(j->x) ? fail(HONE_ERR_CANCELLED, "the client hung up") : HONE_OK;
}

hone_status job_next(job *j, job_event *event) {
    *event = (job_event){.kind = JOB_NOTHING};
    TRY(submit_more(j));
    TRY(look_for_client(j));
    ticket_event news = ticket_wait_any(j->open, j->n_submitted, LOOK_MS, &j->next);
    event->index = j->next;
    switch (news.kind) {
    case TICKET_NOTHING: return HONE_OK;
    case TICKET_FAILED: return fail(news.status, "%s", news.message);
    case TICKET_PIECE:
        event->kind = JOB_PIECE;
        event->piece = news.piece;
        return HONE_OK;
    case TICKET_DONE: break;
    }
    event->kind = JOB_DONE;
    event->result = j->results[j->next] = news.result;
    j->open[j->next] = NULL;
    j->n_done++;
    return HONE_OK;
}

hone_status job_wait(job *j, hone_status (*take)(void *user, const job_event *event), void *user) {
    while (!job_is_done(j)) {
        job_event event;
        TRY(job_next(j, &event));
        if (event.kind != JOB_NOTHING) TRY(take(user, &event));
    }
    return HONE_OK;
}

void job_cancel(job *j, size_t index) {
    if (index < j->n_submitted && !j->results[index]) ticket_cancel(j->tickets[index]);
}

bool job_is_done(const job *j) { return j->n_done == j->n; }
const hone_result *job_result(const job *j, size_t index) { return j->results[index]; }
