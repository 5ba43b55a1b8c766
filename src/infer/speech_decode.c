/* Passes over the decoder: the hypotheses of all windows that are decoded at the moment, whoever
 * asked for them.
 *
 * There is no thread of its own. Of those who wait for their windows one makes the next pass, for
 * all; the others sleep until something of theirs has ended, or it is their turn to go on. */
#include "infer/speech_decode.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "infer/speech_search.h"

enum { ROWS = 2 * SPEECH_MAX_BEAMS, MESSAGE_BYTES = 256 };

/* A window under way. */
typedef struct job {
    speech_search search;
    hone_status status;
    char message[MESSAGE_BYTES]; /* of a failure, which may have happened on another's thread */
    bool over;                   /* under the decoder's lock */
    struct job *next;
} job;

typedef struct job_list {
    job *first, *last;
} job_list;

/* A hypothesis whose logits a pass has made. */
typedef struct look {
    job *j;
    size_t index, row; /* of the search; of the logits */
} look;

struct speech_decoder {
    hone_model *m;
    bool exact;
    pthread_mutex_t lock;
    pthread_cond_t news;
    bool stepping;
    job_list waiting; /* oldest first */
    /* Who steps has the rest, under the model's lock. */
    job_list running;
    bool taken[ROWS];
    whisper_cache cache; /* of ROWS */
    float *logits;       /* [n_logit_rows, n_vocab] */
    size_t n_logit_rows;
    whisper_item items[ROWS];
    uint32_t logit_rows[2 * ROWS];
    look looks[ROWS];
    size_t n_looks;
};

/* --- turns --- */

void speech_turn_begin(hone_model *m) {
    atomic_fetch_add(&m->n_speech_turns, 1);
    pthread_mutex_lock(&m->lock);
}

void speech_turn_end(hone_model *m) {
    if (atomic_fetch_sub(&m->n_speech_turns, 1) == 1) pthread_cond_broadcast(&m->speech_turn);
    pthread_mutex_unlock(&m->lock);
}

static void lock_for_pass(hone_model *m) {
    pthread_mutex_lock(&m->lock);
    while (atomic_load(&m->n_speech_turns) > 0) pthread_cond_wait(&m->speech_turn, &m->lock);
}

/* --- life --- */

static hone_status open_decoder(speech_decoder **out, hone_model *m, bool exact) {
    speech_decoder *d = mem_calloc(1, sizeof *d);
    if (!d) return mem_fail("decoder", sizeof *d);
    hone_status status = whisper_cache_init(&d->cache, &m->speech, exact, ROWS);
    if (status != HONE_OK) {
        mem_free(d);
        return status;
    }
    d->m = m;
    d->exact = exact;
    pthread_mutex_init(&d->lock, NULL);
    pthread_cond_init(&d->news, NULL);
    *out = d;
    return HONE_OK;
}

void speech_decoder_close(speech_decoder *d) {
    if (!d) return;
    whisper_cache_release(&d->cache);
    mem_free(d->logits);
    pthread_cond_destroy(&d->news);
    pthread_mutex_destroy(&d->lock);
    mem_free(d);
}

static hone_status find_decoder(speech_decoder **out, hone_model *m, bool exact) {
    hone_status status = HONE_OK;
    speech_turn_begin(m);
    if (!m->speech_decoders[exact]) status = open_decoder(&m->speech_decoders[exact], m, exact);
    *out = m->speech_decoders[exact];
    speech_turn_end(m);
    return status;
}

size_t speech_context(const hone_model *m) {
    size_t n = m->speech.h.decoder.n_context;
    return n < SPEECH_MAX_TOKENS ? n : SPEECH_MAX_TOKENS;
}

static bool speech_is_cancelled(void *user) {
    return atomic_load(&((hone_model *)user)->speech_cancelled);
}

whisper_run speech_run(hone_model *m, bool exact) {
    return (whisper_run){.m = &m->speech, .c = &m->compute, .scratch = &m->speech_scratch,
                         .exact = exact, .cancelled = speech_is_cancelled, .user = m};
}

/* --- lists --- */

static void append(job_list *list, job *j) {
    j->next = NULL;
    if (list->last) list->last->next = j;
    else list->first = j;
    list->last = j;
}

static job *take_first(job_list *list) {
    job *j = list->first;
    list->first = j->next;
    if (!list->first) list->last = NULL;
    return j;
}

/* --- rows --- */

/* The first of n free rows side by side; ROWS where there are none. */
static size_t find_rows(const speech_decoder *d, size_t n) {
    for (size_t row = 0, run = 0; row < ROWS; row++) {
        run = d->taken[row] ? 0 : run + 1;
        if (run == n) return row + 1 - n;
    }
    return ROWS;
}

/* Those who wait begin, in their order, as long as there are rows for them. */
static void admit(speech_decoder *d) {
    while (d->waiting.first) {
        size_t width = d->waiting.first->search.width, row = find_rows(d, width);
        if (row == ROWS) return;
        job *j = take_first(&d->waiting);
        memset(d->taken + row, true, width);
        speech_search_begin(&j->search, row);
        append(&d->running, j);
    }
}

static void give_rows_back(speech_decoder *d, const speech_search *a) {
    memset(d->taken + a->first_row, false, a->width);
    for (size_t i = 0; i < a->width; i++) whisper_cache_clear(&d->cache, a->first_row + i);
}

/* --- a pass --- */

/* What a window wants computed: its prompt, with logits behind <|startoftranscript|> and at the
 * end, or the last token of every hypothesis that goes on. */
typedef struct pass {
    size_t n_items, n_tokens, n_logits;
} pass;

static void add_prompt(speech_decoder *d, pass *p, job *j) {
    const speech_search *a = &j->search;
    speech_window *w = a->window;
    size_t n = w->n_prompt + w->n_forced;
    d->items[p->n_items++] = (whisper_item){a->first_row, 0, w->prompt, n, w->cross};
    d->logit_rows[p->n_logits++] = (uint32_t)(p->n_tokens + w->start);
    for (size_t i = 0; i < (a->temperature > 0 ? a->n_wanted : 1); i++)
        d->looks[d->n_looks++] = (look){j, i, p->n_logits};
    d->logit_rows[p->n_logits++] = (uint32_t)(p->n_tokens + n - 1);
    p->n_tokens += n;
    w->n_steps += n;
}

static void add_tokens(speech_decoder *d, pass *p, job *j) {
    speech_search *a = &j->search;
    for (size_t i = 0; i < a->n_live; i++) {
        const hypothesis *h = &a->live[i];
        if (h->ended) continue;
        d->looks[d->n_looks++] = (look){j, i, p->n_logits};
        d->logit_rows[p->n_logits++] = (uint32_t)p->n_tokens++;
        d->items[p->n_items++] = (whisper_item){h->row, a->window->n_prompt + h->n - 1,
                                                &h->tokens[h->n - 1], 1, a->window->cross};
        a->window->n_steps++;
    }
}

static hone_status reserve_logits(speech_decoder *d, size_t n_rows) {
    if (n_rows <= d->n_logit_rows) return HONE_OK;
    size_t n_vocab = d->m->speech.h.n_vocab;
    mem_free(d->logits);
    d->n_logit_rows = 0;
    d->logits = mem_alloc_aligned(n_rows, n_vocab * sizeof *d->logits);
    if (!d->logits) return mem_fail("logits", n_rows * n_vocab * sizeof *d->logits);
    d->n_logit_rows = n_rows;
    return HONE_OK;
}

static void examine(void *user, size_t index, int thread) {
    speech_decoder *d = user;
    const look *l = &d->looks[index];
    speech_search_examine(&l->j->search, l->index,
                          d->logits + l->row * d->m->speech.h.n_vocab,
                          d->m->compute.scratch[thread]);
}

/* Behind a prompt: how sure the model is that nobody speaks, and draws part. */
static hone_status begin_text(speech_decoder *d, job *j, size_t first_look) {
    const size_t n_vocab = d->m->speech.h.n_vocab;
    const float *at_start = d->logits + (d->looks[first_look].row - 1) * n_vocab;
    float log_sum = speech_log_sum_exp(d->m->compute.k, at_start, n_vocab,
                                       d->m->compute.scratch[0]);
    j->search.window->no_speech_prob =
        expf(at_start[j->search.s->rules.ids->no_speech] - log_sum);
    return speech_search_spread(&j->search, &d->cache);
}

/* What fails from here on fails for one window alone. */
static void settle(job *j, hone_status status) {
    if (status == HONE_OK || j->status != HONE_OK) return;
    j->status = status;
    snprintf(j->message, sizeof j->message, "%s", hone_error_message());
}

static void begin_texts(speech_decoder *d) {
    for (size_t i = 0; i < d->n_looks; i++)
        if (!d->looks[i].j->search.prompt_is_read)
            settle(d->looks[i].j, begin_text(d, d->looks[i].j, i));
}

static hone_status compute_logits(speech_decoder *d) {
    pass p = {0};
    size_t n_together = 0;
    d->n_looks = 0;
    for (job *j = d->running.first; j; j = j->next, n_together++)
        (j->search.prompt_is_read ? add_tokens : add_prompt)(d, &p, j);
    for (job *j = d->running.first; j; j = j->next)
        if (j->search.window->n_together < n_together) j->search.window->n_together = n_together;
    TRY(reserve_logits(d, p.n_logits));
    whisper_run run = speech_run(d->m, d->exact);
    whisper_batch b = {.cache = &d->cache, .items = d->items, .n_items = p.n_items,
                       .logit_rows = d->logit_rows, .n_logit_rows = p.n_logits,
                       .logits = d->logits};
    TRY(whisper_decode(&run, &b));
    return compute_reserve(&d->m->compute, 2 * d->m->speech.h.n_vocab * sizeof(float));
}

static hone_status advance(speech_decoder *d, job *j, bool *over) {
    speech_search *a = &j->search;
    bool again = false;
    TRY(speech_search_advance(a, &d->cache));
    if (!a->done) return HONE_OK;
    TRY(speech_search_conclude(a, &again));
    if (again) speech_search_begin(a, a->first_row);
    *over = !again;
    return HONE_OK;
}

/* One pass for all; those whose text is settled go from `running` to `ended`. */
static void step(speech_decoder *d, job_list *ended) {
    hone_status status = compute_logits(d);
    if (status == HONE_OK) {
        begin_texts(d);
        op_parallel(&d->m->compute, d->n_looks, examine, d);
    }
    job_list before = d->running;
    d->running = (job_list){0};
    while (before.first) {
        job *j = take_first(&before);
        bool over = false;
        settle(j, status);
        if (j->status == HONE_OK) settle(j, advance(d, j, &over));
        over |= j->status != HONE_OK;
        if (over) give_rows_back(d, &j->search);
        append(over ? ended : &d->running, j);
    }
}

/* --- all of it --- */

static bool all_over(const job *jobs, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (!jobs[i].over) return false;
    return true;
}

/* Holds the lock when called and when it returns. */
static void make_pass(speech_decoder *d) {
    job_list ended = {0};
    d->stepping = true;
    admit(d);
    pthread_mutex_unlock(&d->lock);
    lock_for_pass(d->m);
    step(d, &ended);
    pthread_mutex_unlock(&d->m->lock);
    pthread_mutex_lock(&d->lock);
    d->stepping = false;
    while (ended.first) {
        take_first(&ended)->over = true;
        pthread_cond_broadcast(&d->news); /* to its owner, and to who goes on stepping */
    }
}

static void run_jobs(speech_decoder *d, job *jobs, size_t n) {
    pthread_mutex_lock(&d->lock);
    for (size_t i = 0; i < n; i++) append(&d->waiting, &jobs[i]);
    while (!all_over(jobs, n)) {
        if (d->stepping) pthread_cond_wait(&d->news, &d->lock);
        else make_pass(d);
    }
    pthread_mutex_unlock(&d->lock);
}

hone_status speech_decode(hone_model *m, const speech_settings *s, speech_window *windows,
                          size_t n_windows) {
    speech_decoder *d = NULL;
    job *jobs = mem_calloc(n_windows, sizeof *jobs);
    hone_status status = jobs ? find_decoder(&d, m, s->exact)
                              : mem_fail("windows", n_windows * sizeof *jobs);
    for (size_t i = 0; i < n_windows && status == HONE_OK; i++) {
        windows[i].n_steps = windows[i].n_together = 0;
        status = speech_search_init(&jobs[i].search, m, s, &windows[i]);
    }
    if (status == HONE_OK) run_jobs(d, jobs, n_windows);
    for (size_t i = 0; jobs && i < n_windows; i++) {
        if (status == HONE_OK && jobs[i].status != HONE_OK)
            status = fail(jobs[i].status, "%s", jobs[i].message);
        speech_search_release(&jobs[i].search);
    }
    mem_free(jobs);
    return status;
}
