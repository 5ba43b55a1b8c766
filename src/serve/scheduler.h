/* Continuous batching over one model: every request that runs takes part in every step.
 *
 * One thread owns the model's sessions. Others submit tickets and wait for what comes of them; a
 * ticket is waited for, cancelled and closed by the thread that submitted it. Sessions of finished
 * answers stay as a cache of prefixes, within a budget of bytes, the least recently used goes
 * first; a new request begins with a fork of the one that shares most with it, and waits for a
 * running one whose prompt would give it more. */
#ifndef SERVE_SCHEDULER_H
#define SERVE_SCHEDULER_H

#include "hone/hone.h"

typedef struct scheduler scheduler;

enum { SCHEDULER_MAX_SLOTS = 256 };

/* What the server knows of its clients; called from any thread. All NULL: they are alike. */
typedef struct client_policy {
    int (*priority)(void *user, const char *client); /* of two that wait, the higher goes first */
    void (*charge)(void *user, const char *client, size_t n_tokens); /* prompt and answer */
    void *user;
} client_policy;

/* How long an answer took, in milliseconds. */
typedef struct answer_times {
    double queue_ms; /* until it began */
    double first_ms; /* until its first token, that time included; −1: it had none */
    double token_ms; /* from token to token, on average; −1: fewer than two */
    double total_ms;
} answer_times;

/* Who hears of every answer that ended well; called from the scheduler's thread. */
typedef struct answer_observer {
    void (*take)(void *user, const char *model, const answer_times *times); /* may be NULL */
    void *user;
} answer_observer;

typedef struct scheduler_options {
    const char *name;     /* of the model, for the observer; stays as long as the scheduler */
    answer_observer observer;
    size_t n_slots;       /* answers at once, at most SCHEDULER_MAX_SLOTS */
    size_t max_queue;     /* tickets that wait for a slot */
    int stall_ms;         /* running answers get their next token within so long (serve/pace.h) */
    int wait_ms, time_ms; /* most that a ticket waits for a slot, and lives; 0 = no limit */
    uint64_t cache_bytes; /* of keys and values, of running and finished answers together */
    hone_session_options session;
    hone_adapter *const *adapters; /* of every session; they stay open as long as the scheduler */
    size_t n_adapters;
    client_policy policy;
} scheduler_options;

/* What a scheduler may hold at the moment; at most what it was opened with. */
typedef struct scheduler_limits {
    size_t n_slots;
    uint64_t cache_bytes;
    bool urgent; /* answers beyond the slots end with what there is of them */
} scheduler_limits;

hone_status scheduler_open(scheduler **out, hone_model *model, const scheduler_options *options);

/* Ends everything as cancelled within one step; nothing is admitted any more. */
void scheduler_stop(scheduler *s);

/* All tickets are closed before. */
void scheduler_close(scheduler *s);

/* From any thread, obeyed before the next step: prefixes beyond the limit go. Of answers beyond it
 * the youngest go back to the queue, if nothing of them was shown; the others may end by
 * themselves, unless it is urgent. The oldest always goes on. What was freed is given back to the
 * system. Whether just these limits are obeyed already. */
bool scheduler_limit(scheduler *s, const scheduler_limits *limits);

typedef struct ticket ticket;

/* `request` has prompt_ids, is borrowed until the ticket is closed, and its on_piece is taken by
 * the scheduler. Those of one `client` take turns with those of others. `eldest`: NULL, or the
 * first of several tickets that one thread waits for together; it is closed last. HONE_ERR_BUSY
 * when the queue is full. */
hone_status scheduler_submit(scheduler *s, const hone_request *request, const char *client,
                             ticket *eldest, ticket **out);

/* What happened next. */
typedef struct ticket_event {
    enum { TICKET_NOTHING, TICKET_PIECE, TICKET_DONE, TICKET_FAILED } kind;
    hone_piece piece;            /* PIECE: valid until the next call */
    const hone_result *result;   /* DONE: until the ticket is closed */
    hone_status status;          /* FAILED, … */
    const char *message;         /* … with its sentence */
} ticket_event;

/* Waits at most that long for news of any of tickets[n], which share an eldest; NOTHING then. NULLs
 * among them are passed over, DONE and FAILED are told again and again. The search begins at
 * *which, and the ticket that has news is left there. */
ticket_event ticket_wait_any(ticket *const *tickets, size_t n, int milliseconds, size_t *which);
void ticket_cancel(ticket *t); /* within one step; DONE follows */
void ticket_close(ticket *t);  /* cancels first; NULL is allowed */

typedef struct scheduler_state {
    size_t n_running, n_waiting, n_cached_sessions;
    scheduler_limits limits;
    uint64_t n_put_back, n_cut; /* answers that limits sent back to the queue, or ended */
    uint64_t growth_bytes;      /* most that a step added to keys and values */
    uint64_t cache_bytes, n_steps, n_prompt_tokens, n_cached_tokens, n_answer_tokens;
    double busy_ms;
} scheduler_state;

scheduler_state scheduler_look(scheduler *s);

#endif
