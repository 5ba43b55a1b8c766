/* The scheduler's thread: admit, step, hand out (serve/scheduler.h). */
#include "serve/scheduler.h"

#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/mem.h"
#include "base/status.h"
#include "base/system.h"
#include "serve/keys.h"
#include "serve/pace.h"
#include "serve/prefix_cache.h"

/* A prefix that somebody is computing is waited for where it saves at least so many tokens. */
#define WORTH_WAITING 64

/* Of so many steps, one gives its prompt tokens to the oldest prompt,
 * the others to the shortest. */
#define OLDEST_FIRST_EVERY 4

/* How long the first request after a rest waits for others: at most, and of its prompt's time. */
#define GATHER_MS 10
#define GATHER_SHARE 0.03

/* How often what is kept is held against its budget. */
#define SHRINK_EVERY_STEPS 16

typedef struct piece_node {
    struct piece_node *next;
    hone_piece piece; /* what it points to lies behind */
} piece_node;

struct ticket {
    scheduler *s;
    hone_request request;
    char client[64];
    int priority;
    double submitted_ms, started_ms; /* clock_ms */
    ticket *next; /* in the queue, or among those that run */
    /* The scheduler's thread only. */
    hone_session *session;
    hone_answer *answer;
    bool has_spoken; /* a piece was shown */
    /* Under the lock. */
    pthread_cond_t own_news, *news; /* `news` is the eldest's */
    piece_node *first, *last, *shown;
    bool cancelled, ended;
    bool lost; /* a piece, for want of memory */
    hone_result result;
    hone_status status;
    char *message;
};

struct scheduler {
    hone_model *model;
    scheduler_options options;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t work;
    bool stopping;
    ticket *queue;    /* oldest first */
    size_t n_waiting;
    scheduler_limits limits;
    bool limits_are_new;
    scheduler_state state;
    /* The scheduler's thread only. */
    ticket *running; /* oldest first */
    size_t n_running;
    prefix_cache cache;
    pace pace;
    scheduler_limits obeyed;
};

static struct timespec from_now(double milliseconds) {
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    long ns = at.tv_nsec + (long)(fmod(milliseconds, 1000) * 1e6);
    at.tv_sec += (time_t)(milliseconds / 1000) + ns / 1000000000;
    at.tv_nsec = ns % 1000000000;
    return at;
}

static void init_condition(pthread_cond_t *condition) {
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(condition, &monotonic);
    pthread_condattr_destroy(&monotonic);
}

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
    t->has_spoken = true;
    pthread_mutex_lock(&t->s->lock);
    bool stop = t->cancelled || !node;
    t->lost |= !node;
    if (node) {
        if (t->last) t->last->next = node;
        else t->first = node;
        t->last = node;
        pthread_cond_signal(t->news);
    }
    pthread_mutex_unlock(&t->s->lock);
    return stop;
}

static void report_times(const ticket *t) {
    const answer_observer *o = &t->s->options.observer;
    const hone_result *r = &t->result;
    if (!o->take || !t->started_ms || r->finish == HONE_FINISH_CANCELLED) return;
    double queue = t->started_ms - t->submitted_ms;
    const answer_times times = {
        .queue_ms = queue, .first_ms = r->n_tokens ? queue + r->ttft_ms : -1,
        .token_ms = r->n_tokens > 1 ? r->decode_ms / (double)(r->n_tokens - 1) : -1,
        .total_ms = clock_ms() - t->submitted_ms};
    o->take(o->user, t->s->options.name, &times);
}

/* The ticket's end, good or bad; the words of a failure are this thread's last. */
static void end_ticket(ticket *t, hone_status status) {
    scheduler *s = t->s;
    char *message = NULL;
    if (status != HONE_OK) {
        const char *text = hone_error_message();
        message = mem_copy_string(text, strlen(text));
    }
    if (status == HONE_OK && s->options.policy.charge)
        s->options.policy.charge(s->options.policy.user, t->client,
                                 t->result.n_prompt_tokens + t->result.n_tokens);
    if (status == HONE_OK) report_times(t);
    pthread_mutex_lock(&s->lock);
    t->status = status;
    t->message = message;
    t->ended = true;
    if (status == HONE_OK) {
        s->state.n_prompt_tokens += t->result.n_prompt_tokens;
        s->state.n_cached_tokens += t->result.n_cached_tokens;
        s->state.n_answer_tokens += t->result.n_tokens;
    }
    pthread_cond_signal(t->news);
    pthread_mutex_unlock(&s->lock);
}

/* --- prefixes --- */

/* Whether memory is short just now. */
static bool is_lowered(const scheduler *s) {
    return s->obeyed.n_slots < s->options.n_slots || s->obeyed.cache_bytes < s->options.cache_bytes;
}

static uint64_t running_bytes(const scheduler *s) {
    uint64_t bytes = 0;
    for (const ticket *t = s->running; t; t = t->next) bytes += hone_session_kv_share(t->session);
    return bytes;
}

/* Finished answers keep what those that run leave of the budget; while memory is short, what that
 * frees goes to the system at once. */
static void shrink_cache(scheduler *s) {
    uint64_t running = running_bytes(s), budget = s->obeyed.cache_bytes;
    size_t n = s->cache.n;
    prefix_cache_shrink(&s->cache, running < budget ? budget - running : 0);
    if (s->cache.n < n && is_lowered(s)) system_return_memory();
}

static void keep_session(scheduler *s, hone_session *session) {
    prefix_cache_keep(&s->cache, session);
    shrink_cache(s);
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
    size_t n_best, promised = 0, n;
    if (r->embedding || r->prompt_logprobs) { /* the prompt is computed anew */
        *status = hone_session_open(out, s->model, &s->options.session);
        return true;
    }
    size_t at = prefix_cache_find(&s->cache, r, &n_best);
    const hone_session *running = NULL;
    for (const ticket *t = s->running; t; t = t->next) {
        n = prefix_shared_with(t->session, r);
        if (n > n_best) running = t->session, n_best = n;
        n = prefix_shared(t->request.prompt_ids, t->request.n_prompt_ids, r->prompt_ids,
                          r->n_prompt_ids);
        if (n > promised) promised = n;
    }
    *status = HONE_OK;
    if (promised >= n_best + WORTH_WAITING) return false;
    if (n_best == 0) {
        *status = open_session(s, out);
        return true;
    }
    const hone_session *best = running ? running : prefix_cache_use(&s->cache, at);
    hone_session_tokens(best, &n);
    if (!running && n == n_best) *out = prefix_cache_take(&s->cache, at);
    else *status = hone_session_fork(out, best);
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
    if (!t->started_ms) t->started_ms = clock_ms(); /* one that was put back starts again */
    hone_status status = hone_answer_open(&t->answer, session, &t->request);
    if (status != HONE_OK) {
        hone_session_close(session);
        end_ticket(t, status);
        return;
    }
    append(&s->running, t);
    s->n_running++;
}

/* The next to admit: of those of the highest priority, of the client that has least running, the
 * oldest that need not wait for a prefix. NULL: none. The lock is held; the session is found
 * without it changing. */
static ticket *next_in_line(scheduler *s, hone_session **session, hone_status *status) {
    for (int priority = PRIORITY_HIGH; priority >= PRIORITY_LOW; priority--)
        for (size_t share = 0; share <= s->n_running; share++)
            for (ticket *t = s->queue; t; t = t->next)
                if (t->priority == priority && n_running_of(s, t->client) == share &&
                    find_session(s, &t->request, session, status))
                    return t;
    return NULL;
}

static void admit(scheduler *s) {
    while (s->n_running < s->obeyed.n_slots) {
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

static bool is_older(const ticket *t, int milliseconds) {
    return milliseconds > 0 && clock_ms() - t->submitted_ms > milliseconds;
}

/* A ticket that ends without having been admitted: it was cancelled, or has waited too long, or the
 * scheduler stops. */
static ticket *take_unadmitted(scheduler *s, bool *cancelled) {
    pthread_mutex_lock(&s->lock);
    ticket *t = s->queue;
    while (t && !t->cancelled && !s->stopping && !is_older(t, s->options.wait_ms)) t = t->next;
    if (t) {
        take_out(&s->queue, t);
        s->n_waiting--;
        *cancelled = t->cancelled;
    }
    pthread_mutex_unlock(&s->lock);
    return t;
}

static void end_unadmitted(scheduler *s) {
    bool cancelled;
    for (ticket *t; (t = take_unadmitted(s, &cancelled)) != NULL;) {
        if (!cancelled) {
            end_ticket(t, fail(HONE_ERR_BUSY, "the server has had no room for this request for "
                               "%.0f s; try again later", (clock_ms() - t->submitted_ms) / 1000));
            continue;
        }
        t->result = (hone_result){.finish = HONE_FINISH_CANCELLED, .text = mem_copy_string("", 0)};
        end_ticket(t, t->result.text ? HONE_OK : mem_fail("answer", 1));
    }
}

/* --- steps --- */

static bool is_cancelled(ticket *t) {
    pthread_mutex_lock(&t->s->lock);
    bool cancelled = t->cancelled;
    pthread_mutex_unlock(&t->s->lock);
    return cancelled;
}

/* The result; an answer that ended before its time and not by its client's wish has its length. */
static hone_status conclude(ticket *t) {
    if (t->lost) return mem_fail("answer", sizeof(piece_node));
    TRY(hone_answer_conclude(t->answer, &t->result));
    if (t->result.finish == HONE_FINISH_CANCELLED && !is_cancelled(t))
        t->result.finish = HONE_FINISH_LENGTH;
    return HONE_OK;
}

/* Takes a ticket off: its session goes to the cache, or away where the step failed. */
static void finish(scheduler *s, ticket *t, hone_status status) {
    take_out(&s->running, t);
    s->n_running--;
    if (status == HONE_OK) status = conclude(t);
    hone_answer_close(t->answer);
    t->answer = NULL;
    if (status == HONE_OK && !t->request.embedding) keep_session(s, t->session);
    else hone_session_close(t->session);
    t->session = NULL;
    end_ticket(t, status);
}

/* The server wants no more of an answer that its client still waits for: what there is of it
 * stands, as if it had reached its length. */
static void cut(scheduler *s, ticket *t) {
    size_t n_done;
    if (hone_answer_prompt(t->answer, &n_done) > n_done)
        finish(s, t, fail(HONE_ERR_BUSY, "the server's time for this request was over before its "
                          "answer began"));
    else
        finish(s, t, HONE_OK);
}

static void finish_what_has_ended(scheduler *s) {
    for (ticket *t = s->running, *next; t; t = next) {
        next = t->next;
        if (hone_answer_finished(t->answer) || is_cancelled(t)) finish(s, t, HONE_OK);
        else if (is_older(t, s->options.time_ms)) cut(s, t);
    }
}

/* Memory is short: first the cache goes, then the answer that takes most. */
static void make_room(scheduler *s, hone_status status) {
    if (s->cache.n) {
        prefix_cache_shrink(&s->cache, 0);
        system_return_memory();
        return;
    }
    ticket *most = s->running;
    for (ticket *t = s->running; t; t = t->next)
        if (hone_session_kv_share(t->session) >= hone_session_kv_share(most->session)) most = t;
    finish(s, most, status);
}

/* Something in the step failed, and no answer moved: alone, only those move that are sound. */
static void step_each(scheduler *s) {
    for (ticket *t = s->running, *next; t; t = next) {
        next = t->next;
        hone_status status = hone_answers_step(&t->answer, 1, PACE_LEAST);
        if (status != HONE_OK) finish(s, t, status);
    }
}

static size_t prompt_left(const hone_answer *a) {
    size_t n_done;
    return hone_answer_prompt(a, &n_done) - n_done;
}

static void sort_by_prompt_left(hone_answer **answers, size_t n) {
    for (size_t i = 1; i < n; i++) {
        hone_answer *a = answers[i];
        size_t left = prompt_left(a), at = i;
        for (; at > 0 && prompt_left(answers[at - 1]) > left; at--) answers[at] = answers[at - 1];
        answers[at] = a;
    }
}

/* Which prompts the step's tokens go to. While others decode, pieces are small and the shortest
 * prompt goes first, and now and then the oldest: a question does not wait for a document, nor the
 * document for ever. While nobody does, all get alike, so that those who came together begin
 * together, and none of them stalls the others later. */
static void share_out(scheduler *s, hone_answer **answers, size_t n, bool decoding,
                      size_t n_prompt_tokens) {
    if (!decoding || s->state.n_steps % OLDEST_FIRST_EVERY) sort_by_prompt_left(answers, n);
    for (size_t i = 0; i < n; i++) {
        size_t left = prompt_left(answers[i]), share = n_prompt_tokens / (n - i);
        hone_answer_set_share(answers[i], decoding ? 0 : share > 0 ? share : 1);
        n_prompt_tokens -= left < share ? left : share;
    }
}

static hone_status compute(scheduler *s, double *busy_ms) {
    hone_answer *answers[SCHEDULER_MAX_SLOTS];
    size_t n = 0, n_decoding = 0, before = 0, after = 0;
    for (ticket *t = s->running; t; t = t->next) {
        size_t left = prompt_left(t->answer);
        answers[n++] = t->answer;
        n_decoding += left == 0;
        before += left;
    }
    bool careful = n_decoding > 0 || is_lowered(s);
    size_t n_prompt_tokens = pace_prompt_tokens(&s->pace, careful);
    share_out(s, answers, n, n_decoding > 0, n_prompt_tokens);
    double begin = clock_ms();
    hone_status status = hone_answers_step(answers, n, n_prompt_tokens);
    *busy_ms = clock_ms() - begin;
    for (size_t i = 0; i < n; i++) after += prompt_left(answers[i]);
    if (status == HONE_OK) pace_note(&s->pace, before - after, n_decoding, *busy_ms);
    return status;
}

static void step(scheduler *s) {
    double busy = 0;
    uint64_t bytes = running_bytes(s);
    hone_status status = compute(s, &busy);
    uint64_t more = running_bytes(s), grown = more > bytes ? more - bytes : 0;
    if (status == HONE_ERR_MEMORY) make_room(s, status);
    else if (status != HONE_OK) step_each(s);
    finish_what_has_ended(s);
    if (s->state.n_steps % SHRINK_EVERY_STEPS == 0) shrink_cache(s);
    pthread_mutex_lock(&s->lock);
    s->state.n_steps++;
    s->state.busy_ms += busy;
    if (grown > s->state.growth_bytes) s->state.growth_bytes = grown;
    pthread_mutex_unlock(&s->lock);
}

/* --- limits --- */

/* Back to the head of the queue: it begins again when there is room. */
static void put_back(scheduler *s, ticket *t) {
    take_out(&s->running, t);
    s->n_running--;
    hone_answer_close(t->answer);
    hone_session_close(t->session);
    t->answer = NULL;
    t->session = NULL;
    pthread_mutex_lock(&s->lock);
    t->next = s->queue;
    s->queue = t;
    s->n_waiting++;
    s->state.n_put_back++;
    pthread_mutex_unlock(&s->lock);
    system_return_memory();
}

/* What there is of it stands, as if it had reached its length. */
static void cut_short(scheduler *s, ticket *t) {
    finish(s, t, HONE_OK);
    pthread_mutex_lock(&s->lock);
    s->state.n_cut++;
    pthread_mutex_unlock(&s->lock);
}

/* The youngest answer that may be taken off; NULL: none. The oldest is never. */
static ticket *youngest_to_spare(const scheduler *s) {
    ticket *found = NULL;
    for (ticket *t = s->running ? s->running->next : NULL; t; t = t->next)
        if (!t->has_spoken || s->obeyed.urgent) found = t;
    return found;
}

/* Makes new limits true; what that freed goes back to the system. */
static void obey_limits(scheduler *s) {
    pthread_mutex_lock(&s->lock);
    bool changed = s->limits_are_new;
    s->limits_are_new = false;
    s->obeyed = s->limits;
    pthread_mutex_unlock(&s->lock);
    if (!changed) return;
    shrink_cache(s);
    for (ticket *t; s->n_running > s->obeyed.n_slots && (t = youngest_to_spare(s));)
        if (t->has_spoken) cut_short(s, t);
        else put_back(s, t);
}

/* What others may see of the thread's own state. */
static void publish(scheduler *s) {
    uint64_t cache_bytes = prefix_cache_bytes(&s->cache);
    pthread_mutex_lock(&s->lock);
    s->state.n_running = s->n_running;
    s->state.n_cached_sessions = s->cache.n;
    s->state.cache_bytes = cache_bytes;
    s->state.limits = s->obeyed;
    pthread_mutex_unlock(&s->lock);
}

/* Waits for work; false when the scheduler closes. */
static bool wait_for_work(scheduler *s) {
    pthread_mutex_lock(&s->lock);
    while (!s->stopping && !s->queue && !s->running && !s->limits_are_new)
        pthread_cond_wait(&s->work, &s->lock);
    bool go_on = !s->stopping;
    pthread_mutex_unlock(&s->lock);
    return go_on;
}

/* Requests that come together are best computed together: the first waits for a blink, in
 * proportion to what its prompt will take. */
static void gather(scheduler *s) {
    double blink = GATHER_SHARE * s->pace.token_ms[0] * (double)prompt_left(s->running->answer);
    if (blink > GATHER_MS) blink = GATHER_MS;
    struct timespec until = from_now(blink);
    pthread_mutex_lock(&s->lock);
    while (!s->stopping && s->n_waiting + s->n_running < s->options.n_slots &&
           pthread_cond_timedwait(&s->work, &s->lock, &until) != ETIMEDOUT)
        continue;
    pthread_mutex_unlock(&s->lock);
    admit(s);
}

static void *run(void *user) {
    scheduler *s = user;
    while (wait_for_work(s)) {
        bool idle = !s->running;
        end_unadmitted(s);
        obey_limits(s);
        admit(s);
        if (idle && s->running) gather(s);
        if (s->running) step(s);
        publish(s);
    }
    while (s->running) cut(s, s->running);
    end_unadmitted(s);
    prefix_cache_shrink(&s->cache, 0);
    return NULL;
}

/* --- from outside --- */

hone_status scheduler_open(scheduler **out, hone_model *model, const scheduler_options *options) {
    *out = NULL;
    scheduler *s = mem_calloc(1, sizeof *s);
    if (!s) return mem_fail("scheduler", sizeof *s);
    s->model = model;
    s->options = *options;
    pace_init(&s->pace, options->stall_ms);
    if (s->options.n_slots > SCHEDULER_MAX_SLOTS) s->options.n_slots = SCHEDULER_MAX_SLOTS;
    s->limits = s->obeyed = s->state.limits =
        (scheduler_limits){s->options.n_slots, s->options.cache_bytes, .urgent = false};
    pthread_mutex_init(&s->lock, NULL);
    init_condition(&s->work);
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

static bool same_limits(const scheduler_limits *a, const scheduler_limits *b) {
    return a->n_slots == b->n_slots && a->cache_bytes == b->cache_bytes && a->urgent == b->urgent;
}

bool scheduler_limit(scheduler *s, const scheduler_limits *limits) {
    const scheduler_options *o = &s->options;
    scheduler_limits wanted = *limits;
    if (wanted.n_slots > o->n_slots) wanted.n_slots = o->n_slots;
    if (wanted.cache_bytes > o->cache_bytes) wanted.cache_bytes = o->cache_bytes;
    pthread_mutex_lock(&s->lock);
    if (!same_limits(&s->limits, &wanted)) {
        s->limits = wanted;
        s->limits_are_new = true;
        pthread_cond_signal(&s->work);
    }
    bool obeyed = same_limits(&s->state.limits, &wanted);
    pthread_mutex_unlock(&s->lock);
    return obeyed;
}

void scheduler_close(scheduler *s) {
    if (!s) return;
    scheduler_stop(s);
    pthread_join(s->thread, NULL);
    pthread_cond_destroy(&s->work);
    pthread_mutex_destroy(&s->lock);
    mem_free(s);
}

/* --- the queue --- */

static size_t n_waiting_of(const scheduler *s, const char *client) {
    size_t n = 0;
    for (const ticket *t = s->queue; t; t = t->next) n += !strcmp(t->client, client);
    return n;
}

/* Whom a full queue turns away in favour of `t`: the newest of the client that waits most, if that
 * is more than its own. NULL: nobody. */
static ticket *find_displaced(scheduler *s, const ticket *t) {
    ticket *displaced = NULL;
    size_t most = n_waiting_of(s, t->client) + 1;
    for (ticket *other = s->queue; other; other = other->next) {
        size_t n = n_waiting_of(s, other->client);
        if (n > most || (displaced && n == most)) displaced = other, most = n;
    }
    return displaced;
}

/* Turned away: its owner hears of it as of any failure. The lock is held. */
static void displace(scheduler *s, ticket *t) {
    static const char words[] =
        "the server is busy, and this client waits for most; try again later";
    take_out(&s->queue, t);
    s->n_waiting--;
    t->status = HONE_ERR_BUSY;
    t->message = mem_copy_string(words, sizeof words - 1);
    t->ended = true;
    pthread_cond_signal(t->news);
}

/* False: the queue is full, or the scheduler stops. */
static bool enqueue(scheduler *s, ticket *t) {
    pthread_mutex_lock(&s->lock);
    bool room = !s->stopping && s->n_waiting < s->options.max_queue;
    ticket *displaced = room || s->stopping ? NULL : find_displaced(s, t);
    if (displaced) displace(s, displaced);
    if (room || displaced) {
        append(&s->queue, t);
        s->n_waiting++;
        pthread_cond_signal(&s->work);
    }
    pthread_mutex_unlock(&s->lock);
    return room || displaced;
}

hone_status scheduler_submit(scheduler *s, const hone_request *request, const char *client,
                             ticket *eldest, ticket **out) {
    *out = NULL;
    ticket *t = mem_calloc(1, sizeof *t);
    if (!t) return mem_fail("request", sizeof *t);
    t->s = s;
    t->request = *request;
    t->request.on_piece = on_piece;
    t->request.user = t;
    snprintf(t->client, sizeof t->client, "%s", client);
    t->submitted_ms = clock_ms();
    if (s->options.policy.priority)
        t->priority = s->options.policy.priority(s->options.policy.user, client);
    init_condition(&t->own_news);
    t->news = eldest ? eldest->news : &t->own_news;
    bool room = enqueue(s, t);
    if (!room) {
        pthread_cond_destroy(&t->own_news);
        mem_free(t);
        return fail(HONE_ERR_BUSY, "the server is busy: %zu requests wait already; try again later",
                    s->options.max_queue);
    }
    *out = t;
    return HONE_OK;
}

/* What the ticket has to tell; the lock is held. */
static ticket_event take_news(ticket *t) {
    ticket_event event = {.kind = TICKET_NOTHING};
    mem_free(t->shown);
    t->shown = NULL;
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
    return event;
}

static ticket_event look_at_all(ticket *const *tickets, size_t n, size_t *which) {
    ticket_event event = {.kind = TICKET_NOTHING};
    for (size_t k = 0, first = *which; k < n && event.kind == TICKET_NOTHING; k++) {
        *which = (first + k) % n;
        if (tickets[*which]) event = take_news(tickets[*which]);
    }
    return event;
}

ticket_event ticket_wait_any(ticket *const *tickets, size_t n, int milliseconds, size_t *which) {
    struct timespec deadline = from_now(milliseconds);
    size_t any = 0;
    while (any < n && !tickets[any]) any++;
    if (any == n) return (ticket_event){.kind = TICKET_NOTHING};
    ticket *t = tickets[any];
    pthread_mutex_lock(&t->s->lock);
    ticket_event event = look_at_all(tickets, n, which);
    while (event.kind == TICKET_NOTHING &&
           pthread_cond_timedwait(t->news, &t->s->lock, &deadline) != ETIMEDOUT)
        event = look_at_all(tickets, n, which);
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
    while (!t->ended) pthread_cond_wait(t->news, &t->s->lock);
    pthread_mutex_unlock(&t->s->lock);
    for (piece_node *p = t->first, *next; p; p = next) {
        next = p->next;
        mem_free(p);
    }
    mem_free(t->shown);
    mem_free(t->message);
    hone_result_release(&t->result);
    pthread_cond_destroy(&t->own_news);
    mem_free(t);
}

scheduler_state scheduler_look(scheduler *s) {
    pthread_mutex_lock(&s->lock);
    scheduler_state state = s->state;
    state.n_waiting = s->n_waiting;
    pthread_mutex_unlock(&s->lock);
    return state;
}
