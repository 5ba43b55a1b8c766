/* The scheduler's thread: admit, step, hand out (serve/scheduler.h). */
#include "serve/scheduler.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/mem.h"
#include "base/status.h"
#include "base/system.h"

#define MAX_CACHED_SESSIONS 64
#define PROMPT_TOKENS_ALONE 512 /* of a step while nobody decodes */

/* A prefix that somebody is computing is waited for where it saves at least so many tokens. */
#define WORTH_WAITING 64

typedef struct piece_node {
    struct piece_node *next;
    hone_piece piece; /* what it points to lies behind */
} piece_node;

struct ticket {
    scheduler *s;
    hone_request request;
    char client[64];
    ticket *next; /* in the queue, or among those that run */
    /* The scheduler's thread only. */
    hone_session *session;
    hone_answer *answer;
    /* Under the lock. */
    pthread_cond_t news;
    piece_node *first, *last, *shown;
    bool cancelled, ended;
    hone_result result;
    hone_status status;
    char *message;
};

typedef struct cached {
    hone_session *session;
    uint64_t used_at;
} cached;

struct scheduler {
    hone_model *model;
    scheduler_options options;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t work;
    bool stopping;
    ticket *queue;    /* oldest first */
    size_t n_waiting;
    scheduler_state state;
    /* The scheduler's thread only. */
    ticket *running; /* oldest first */
    size_t n_running;
    cached cache[MAX_CACHED_SESSIONS];
    size_t n_cached;
    uint64_t clock; /* counts uses of the cache */
};

/* --- events --- */

/* A copy of a piece in one block; NULL when memory is short. */
static piece_node *copy_piece(const hone_piece *p) {
    size_t ids = p->n_top * sizeof *p->top_ids, logprobs = p->n_top * sizeof *p->top_logprobs;
    piece_node *node = mem_alloc(sizeof *node + logprobs + ids + p->n_bytes + 1);
    if (!node) return NULL;
    char *at = (char *)(node + 1);
    node->next = NULL;
    node->piece = *p;
    if (p->n_top) {
        memcpy(at, p->top_logprobs, logprobs);
        memcpy(at + logprobs, p->top_ids, ids);
    }
    node->piece.top_logprobs = (double *)at;
    node->piece.top_ids = (int32_t *)(at + logprobs);
    memcpy(at + logprobs + ids, p->text, p->n_bytes);
    at[logprobs + ids + p->n_bytes] = '\0';
    node->piece.text = at + logprobs + ids;
    return node;
}

static int on_piece(void *user, const hone_piece *piece) {
    ticket *t = user;
    piece_node *node = copy_piece(piece);
    pthread_mutex_lock(&t->s->lock);
    bool stop = t->cancelled || !node;
    if (node) {
        if (t->last) t->last->next = node;
        else t->first = node;
        t->last = node;
        pthread_cond_signal(&t->news);
    }
    pthread_mutex_unlock(&t->s->lock);
    return stop;
}

/* The ticket's end, good or bad; the words of a failure are this thread's last. */
static void end_ticket(ticket *t, hone_status status) {
    scheduler *s = t->s;
    char *message = NULL;
    if (status != HONE_OK) {
        const char *text = hone_error_message();
        message = mem_copy_string(text, strlen(text));
    }
    pthread_mutex_lock(&s->lock);
    t->status = status;
    t->message = message;
    t->ended = true;
    if (status == HONE_OK) {
        s->state.n_prompt_tokens += t->result.n_prompt_tokens;
        s->state.n_cached_tokens += t->result.n_cached_tokens;
        s->state.n_answer_tokens += t->result.n_tokens;
    }
    pthread_cond_signal(&t->news);
    pthread_mutex_unlock(&s->lock);
}

/* --- the cache of prefixes --- */

static size_t common(const int32_t *a, size_t n_a, const int32_t *b, size_t n_b) {
    size_t n = n_a < n_b ? n_a : n_b, i = 0;
    while (i < n && a[i] == b[i]) i++;
    return i;
}

static size_t shared_prefix(const hone_session *session, const hone_request *r) {
    size_t n;
    const int32_t *tokens = hone_session_tokens(session, &n);
    return common(tokens, n, r->prompt_ids, r->n_prompt_ids);
}

static void drop_cached(scheduler *s, size_t i) {
    hone_session_close(s->cache[i].session);
    s->cache[i] = s->cache[--s->n_cached];
}

static size_t oldest(const scheduler *s) {
    size_t found = 0;
    for (size_t i = 1; i < s->n_cached; i++)
        if (s->cache[i].used_at < s->cache[found].used_at) found = i;
    return found;
}

static uint64_t cache_bytes(const scheduler *s) {
    uint64_t bytes = 0;
    for (size_t i = 0; i < s->n_cached; i++) bytes += hone_session_kv_bytes(s->cache[i].session);
    return bytes;
}

static void keep_session(scheduler *s, hone_session *session) {
    if (s->n_cached == MAX_CACHED_SESSIONS) drop_cached(s, oldest(s));
    s->cache[s->n_cached++] = (cached){session, ++s->clock};
    while (s->n_cached && cache_bytes(s) > s->options.cache_bytes) drop_cached(s, oldest(s));
}

static hone_status open_session(const scheduler *s, hone_session **out) {
    const scheduler_options *o = &s->options;
    TRY(hone_session_open(out, s->model, &o->session));
    hone_status status = hone_session_set_adapters(*out, o->adapters, NULL, o->n_adapters);
    if (status != HONE_OK) hone_session_close(*out);
    return status;
}

/* The session to begin with: the cached one that shares most if all of it is shared, else a fork of
 * whichever shares most, else a new one. False: wait, somebody computes more of it just now. */
static bool find_session(scheduler *s, const hone_request *r, hone_session **out,
                         hone_status *status) {
    const hone_session *best = NULL;
    size_t n_best = 0, promised = 0, at = MAX_CACHED_SESSIONS, n;
    for (size_t i = 0; i < s->n_cached; i++) {
        n = shared_prefix(s->cache[i].session, r);
        if (n > n_best) best = s->cache[i].session, n_best = n, at = i;
    }
    for (const ticket *t = s->running; t; t = t->next) {
        n = shared_prefix(t->session, r);
        if (n > n_best) best = t->session, n_best = n, at = MAX_CACHED_SESSIONS;
        n = common(t->request.prompt_ids, t->request.n_prompt_ids, r->prompt_ids, r->n_prompt_ids);
        if (n > promised) promised = n;
    }
    *status = HONE_OK;
    if (promised >= n_best + WORTH_WAITING) return false;
    if (at < MAX_CACHED_SESSIONS) {
        s->cache[at].used_at = ++s->clock;
        hone_session_tokens(best, &n);
        if (n == n_best) {
            *out = s->cache[at].session;
            s->cache[at] = s->cache[--s->n_cached];
            return true;
        }
    }
    *status = best ? hone_session_fork(out, best) : open_session(s, out);
    return true;
}

/* --- admission --- */

static size_t n_running_of(const scheduler *s, const char *client) {
    size_t n = 0;
    for (const ticket *t = s->running; t; t = t->next) n += !strcmp(t->client, client);
    return n;
}

static void take_out(ticket **list, ticket *t) {
    while (*list != t) list = &(*list)->next;
    *list = t->next;
    t->next = NULL;
}

static void append(ticket **list, ticket *t) {
    while (*list) list = &(*list)->next;
    *list = t;
}

static void start(scheduler *s, ticket *t, hone_session *session) {
    t->session = session;
    hone_status status = hone_answer_open(&t->answer, session, &t->request);
    if (status != HONE_OK) {
        hone_session_close(session);
        end_ticket(t, status);
        return;
    }
    append(&s->running, t);
    s->n_running++;
}

/* The next to admit: of the client that has least running, the oldest that need not wait for a
 * prefix. NULL: none. The lock is held; the session is found without it changing. */
static ticket *next_in_line(scheduler *s, hone_session **session, hone_status *status) {
    for (size_t share = 0; share <= s->n_running; share++)
        for (ticket *t = s->queue; t; t = t->next)
            if (n_running_of(s, t->client) == share &&
                find_session(s, &t->request, session, status))
                return t;
    return NULL;
}

static void admit(scheduler *s) {
    while (s->n_running < s->options.n_slots) {
        hone_session *session = NULL;
        hone_status status = HONE_OK;
        pthread_mutex_lock(&s->lock);
        ticket *t = next_in_line(s, &session, &status);
        if (t) {
            take_out(&s->queue, t);
            s->n_waiting--;
        }
        pthread_mutex_unlock(&s->lock);
        if (!t) return;
        if (status != HONE_OK) end_ticket(t, status);
        else start(s, t, session);
    }
}

/* A ticket that was cancelled (all of them where the scheduler stops) before it was admitted. */
static ticket *take_cancelled(scheduler *s) {
    pthread_mutex_lock(&s->lock);
    ticket *t = s->queue;
    while (t && !t->cancelled && !s->stopping) t = t->next;
    if (t) {
        take_out(&s->queue, t);
        s->n_waiting--;
    }
    pthread_mutex_unlock(&s->lock);
    return t;
}

static void end_cancelled(scheduler *s) {
    for (ticket *t; (t = take_cancelled(s)) != NULL;) {
        t->result = (hone_result){.finish = HONE_FINISH_CANCELLED, .text = mem_copy_string("", 0)};
        end_ticket(t, t->result.text ? HONE_OK : mem_fail("answer", 1));
    }
}

/* --- steps --- */

/* Takes a ticket off: its session goes to the cache, or away where the step failed. */
static void finish(scheduler *s, ticket *t, hone_status status) {
    take_out(&s->running, t);
    s->n_running--;
    if (status == HONE_OK) status = hone_answer_conclude(t->answer, &t->result);
    hone_answer_close(t->answer);
    t->answer = NULL;
    if (status == HONE_OK) keep_session(s, t->session);
    else hone_session_close(t->session);
    t->session = NULL;
    end_ticket(t, status);
}

static bool is_cancelled(ticket *t) {
    pthread_mutex_lock(&t->s->lock);
    bool cancelled = t->cancelled;
    pthread_mutex_unlock(&t->s->lock);
    return cancelled;
}

static void finish_what_has_ended(scheduler *s) {
    for (ticket *t = s->running, *next; t; t = next) {
        next = t->next;
        if (hone_answer_finished(t->answer) || is_cancelled(t)) finish(s, t, HONE_OK);
    }
}

/* Memory is short: first the cache goes, then the youngest answer. Other failures end all. */
static void fail_step(scheduler *s, hone_status status) {
    if (status == HONE_ERR_MEMORY && s->n_cached) {
        while (s->n_cached) drop_cached(s, 0);
        return;
    }
    for (ticket *t = s->running, *next; t; t = next) {
        next = t->next;
        if (status != HONE_ERR_MEMORY || !next) finish(s, t, status);
    }
}

static void step(scheduler *s) {
    hone_answer *answers[SCHEDULER_MAX_SLOTS];
    size_t n = 0, n_done;
    bool decoding = false;
    for (ticket *t = s->running; t; t = t->next) {
        answers[n++] = t->answer;
        decoding |= hone_answer_prompt(t->answer, &n_done) == n_done;
    }
    double begin = clock_ms();
    hone_status status =
        hone_answers_step(answers, n, decoding ? s->options.prompt_tokens : PROMPT_TOKENS_ALONE);
    double busy = clock_ms() - begin;
    if (status != HONE_OK) fail_step(s, status);
    finish_what_has_ended(s);
    pthread_mutex_lock(&s->lock);
    s->state.n_steps++;
    s->state.busy_ms += busy;
    s->state.n_running = s->n_running;
    s->state.n_cached_sessions = s->n_cached;
    s->state.cache_bytes = cache_bytes(s);
    pthread_mutex_unlock(&s->lock);
}

/* Waits for work; false when the scheduler closes. */
static bool wait_for_work(scheduler *s) {
    pthread_mutex_lock(&s->lock);
    while (!s->stopping && !s->queue && !s->running) pthread_cond_wait(&s->work, &s->lock);
    bool go_on = !s->stopping;
    pthread_mutex_unlock(&s->lock);
    return go_on;
}

static void *run(void *user) {
    scheduler *s = user;
    while (wait_for_work(s)) {
        end_cancelled(s);
        admit(s);
        if (s->running) step(s);
    }
    while (s->running) finish(s, s->running, HONE_OK);
    end_cancelled(s);
    while (s->n_cached) drop_cached(s, 0);
    return NULL;
}

/* --- from outside --- */

hone_status scheduler_open(scheduler **out, hone_model *model, const scheduler_options *options) {
    *out = NULL;
    scheduler *s = mem_calloc(1, sizeof *s);
    if (!s) return mem_fail("scheduler", sizeof *s);
    s->model = model;
    s->options = *options;
    if (s->options.n_slots > SCHEDULER_MAX_SLOTS) s->options.n_slots = SCHEDULER_MAX_SLOTS;
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->work, NULL);
    if (pthread_create(&s->thread, NULL, run, s) != 0) {
        mem_free(s);
        return fail(HONE_ERR_IO, "no thread for the scheduler can be started");
    }
    *out = s;
    return HONE_OK;
}

void scheduler_stop(scheduler *s) {
    pthread_mutex_lock(&s->lock);
    s->stopping = true;
    pthread_cond_signal(&s->work);
    pthread_mutex_unlock(&s->lock);
}

void scheduler_close(scheduler *s) {
    if (!s) return;
    scheduler_stop(s);
    pthread_join(s->thread, NULL);
    pthread_cond_destroy(&s->work);
    pthread_mutex_destroy(&s->lock);
    mem_free(s);
}

hone_status scheduler_submit(scheduler *s, const hone_request *request, const char *client,
                             ticket **out) {
    *out = NULL;
    ticket *t = mem_calloc(1, sizeof *t);
    if (!t) return mem_fail("request", sizeof *t);
    t->s = s;
    t->request = *request;
    t->request.on_piece = on_piece;
    t->request.user = t;
    snprintf(t->client, sizeof t->client, "%s", client);
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&t->news, &monotonic);
    pthread_condattr_destroy(&monotonic);
    pthread_mutex_lock(&s->lock);
    bool room = s->n_waiting < s->options.max_queue && !s->stopping;
    if (room) {
        append(&s->queue, t);
        s->n_waiting++;
        pthread_cond_signal(&s->work);
    }
    size_t n_waiting = s->n_waiting;
    pthread_mutex_unlock(&s->lock);
    if (!room) {
        pthread_cond_destroy(&t->news);
        mem_free(t);
        return fail(HONE_ERR_BUSY, "the server is busy: %zu requests wait already; try again later",
                    n_waiting);
    }
    *out = t;
    return HONE_OK;
}

static struct timespec from_now(int milliseconds) {
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    at.tv_sec += milliseconds / 1000;
    at.tv_nsec += (long)(milliseconds % 1000) * 1000000;
    if (at.tv_nsec >= 1000000000) at.tv_sec++, at.tv_nsec -= 1000000000;
    return at;
}

ticket_event ticket_wait(ticket *t, int milliseconds) {
    struct timespec deadline = from_now(milliseconds);
    ticket_event event = {.kind = TICKET_NOTHING};
    pthread_mutex_lock(&t->s->lock);
    mem_free(t->shown);
    t->shown = NULL;
    while (!t->first && !t->ended)
        if (pthread_cond_timedwait(&t->news, &t->s->lock, &deadline) == ETIMEDOUT) break;
    if (t->first) {
        t->shown = t->first;
        t->first = t->first->next;
        if (!t->first) t->last = NULL;
        event = (ticket_event){.kind = TICKET_PIECE, .piece = t->shown->piece};
    } else if (t->ended) {
        event.kind = t->status == HONE_OK ? TICKET_DONE : TICKET_FAILED;
        event.result = &t->result;
        event.status = t->status;
        event.message = t->message ? t->message : "";
    }
    pthread_mutex_unlock(&t->s->lock);
    return event;
}

void ticket_cancel(ticket *t) {
    pthread_mutex_lock(&t->s->lock);
    t->cancelled = true;
    pthread_cond_signal(&t->s->work);
    pthread_mutex_unlock(&t->s->lock);
}

void ticket_close(ticket *t) {
    if (!t) return;
    ticket_cancel(t);
    pthread_mutex_lock(&t->s->lock);
    while (!t->ended) pthread_cond_wait(&t->news, &t->s->lock);
    pthread_mutex_unlock(&t->s->lock);
    for (piece_node *p = t->first, *next; p; p = next) {
        next = p->next;
        mem_free(p);
    }
    mem_free(t->shown);
    mem_free(t->message);
    hone_result_release(&t->result);
    pthread_cond_destroy(&t->news);
    mem_free(t);
}

scheduler_state scheduler_look(scheduler *s) {
    pthread_mutex_lock(&s->lock);
    scheduler_state state = s->state;
    state.n_waiting = s->n_waiting;
    pthread_mutex_unlock(&s->lock);
    return state;
}
