/* Log-likelihoods in process. What is common is computed once: the beginning that all contexts of a
 * batch share (few-shot examples) in a stem that lives from batch to batch, each context in a fork
 * of it, each continuation in a fork of its context. Contexts of a batch go in one step, and so do
 * the continuations. */
#include <string.h>

#include "base/mem.h"
#include "base/pool.h"
#include "infer/logprobs.h"
#include "lab/subject_int.h"

enum {
    LEAST_STEM = 32,       /* shared tokens below this are sooner computed than forked */
    MOST_TOKENS = 2048,    /* of the contexts of a batch */
    MOST_LOGIT_BYTES = 64 << 20
};

/* A context with one continuation. */
typedef struct line {
    int32_t *ids, *all; /* `ids` lies within `all` where the beginning was left out */
    size_t n, first;    /* ids[first … n) are scored; first ≥ 1 */
    hone_session *session; /* NULL where the continuation is one token */
    double logprob;
} line;

/* One scoring under way. */
typedef struct job {
    subject_scoring *scoring;
    line *lines;     /* [scoring->n] */
    size_t n_shared; /* ids that all lines begin with, up to what is scored */
    hone_session *session; /* holds these */
} job;

typedef struct scoring_run {
    subject_local *s;
    pool *pool;
    size_t n_vocab, n_context, most_rows;
    hone_session *stem;
    job *jobs; /* of the batch */
    size_t n_jobs, n_lines, n_rows, n_tokens;
    size_t n_stem;
    hone_step_item *items; /* [most lines] */
    line **lines;          /* [n_lines] of the batch, and for each its job */
    job **owners;
} scoring_run;

static void release_job(job *j) {
    for (size_t i = 0; j->lines && i < j->scoring->n; i++) {
        mem_free(j->lines[i].all);
        hone_session_close(j->lines[i].session);
    }
    mem_free(j->lines);
    hone_session_close(j->session);
    *j = (job){.scoring = NULL};
}

/* --- ids --- */

static size_t common_prefix(const int32_t *a, const int32_t *b, size_t n) {
    size_t same = 0;
    while (same < n && a[same] == b[same]) same++;
    return same;
}

static size_t smaller(size_t a, size_t b) { return a < b ? a : b; }

static hone_status tokenise_line(const scoring_run *run, line *l, subject_scoring *scoring,
                                 const char *continuation) {
    size_t n_context = strlen(scoring->context), n = strlen(continuation);
    if (n == 0) return fail(HONE_ERR_ARGUMENT, "an empty continuation has no probability");
    char *text = mem_alloc(n_context + n + 1);
    if (!text) return mem_fail("text", n_context + n);
    memcpy(text, scoring->context, n_context);
    memcpy(text + n_context, continuation, n + 1);
    hone_status status = hone_tokenize(run->s->model, text, n_context + n, true, &l->all, &l->n);
    mem_free(text);
    TRY(status);
    l->ids = l->all;
    /* Where the last id of the context and the continuation become one, that one is scored. */
    l->first = smaller(scoring->n_context_tokens, l->n - 1);
    size_t most = run->n_context + 1; /* the last one is not fed */
    if (l->n > most) {
        size_t left_out = l->n - most;
        scoring->truncated = true;
        l->ids += left_out;
        l->n = most;
        l->first = l->first > left_out ? l->first - left_out : 0;
    }
    if (l->first > 0) return HONE_OK;
    return fail(HONE_ERR_ARGUMENT, scoring->truncated
                    ? "a continuation is longer than the model's context of %zu tokens"
                    : "nothing stands before the continuation, and the model has no beginning of "
                      "text (context of %zu tokens)", run->n_context);
}

static hone_status tokenise_job(const scoring_run *run, job *j, subject_scoring *scoring) {
    int32_t *ids;
    *j = (job){.scoring = scoring};
    scoring->truncated = false;
    TRY(hone_tokenize(run->s->model, scoring->context, strlen(scoring->context), true, &ids,
                      &scoring->n_context_tokens));
    hone_free(ids);
    j->lines = mem_calloc(scoring->n, sizeof *j->lines);
    if (!j->lines) return mem_fail("continuations", scoring->n * sizeof *j->lines);
    for (size_t i = 0; i < scoring->n; i++) {
        line *l = &j->lines[i];
        TRY(tokenise_line(run, l, scoring, scoring->continuations[i]));
        size_t most = i == 0 ? l->first : smaller(j->n_shared, l->first);
        j->n_shared = common_prefix(l->ids, j->lines[0].ids, most);
    }
    return HONE_OK;
}

/* --- a batch --- */

/* Rows of logits that a line needs: its last id is not fed. */
static size_t n_fed(const job *j, const line *l) { return l->n - 1 - j->n_shared; }

static size_t rows_of(const job *j) {
    size_t n = 0;
    for (size_t i = 0; i < j->scoring->n; i++) n += n_fed(j, &j->lines[i]);
    return n;
}

/* Whether another job may join: within the limits, and not at the price of a long stem. */
static bool fits(const scoring_run *run, const job *j, size_t n_stem) {
    if (run->n_jobs == 0) return true;
    return run->n_rows + rows_of(j) <= run->most_rows &&
           run->n_tokens + j->n_shared - n_stem <= MOST_TOKENS &&
           (run->n_stem < 2 * LEAST_STEM || n_stem >= run->n_stem / 2);
}

/* Jobs from scorings[0 … n) until the batch is full; *n_taken of them. The first always goes in. */
static hone_status fill_batch(scoring_run *run, subject_scoring *scorings, size_t n,
                              size_t *n_taken) {
    run->n_jobs = run->n_lines = run->n_rows = run->n_tokens = 0;
    for (*n_taken = 0; *n_taken < n; ++*n_taken) {
        job *j = &run->jobs[*n_taken];
        hone_status status = tokenise_job(run, j, &scorings[*n_taken]);
        if (status != HONE_OK) {
            release_job(j);
            return status;
        }
        const job *first = &run->jobs[0];
        size_t n_stem = run->n_jobs == 0 ? j->n_shared
            : common_prefix(j->lines[0].ids, first->lines[0].ids,
                            smaller(run->n_stem, j->n_shared));
        if (!fits(run, j, n_stem)) {
            release_job(j);
            return HONE_OK;
        }
        run->n_stem = n_stem;
        run->n_jobs++;
        run->n_lines += scorings[*n_taken].n;
        run->n_rows += rows_of(j);
        run->n_tokens += j->n_shared;
    }
    return HONE_OK;
}

static hone_status compute_stem(scoring_run *run) {
    if (run->n_stem < LEAST_STEM) run->n_stem = 0;
    if (run->n_stem == 0) return hone_session_rewind(run->stem, 0);
    return hone_prefill(run->stem, run->jobs[0].lines[0].ids, run->n_stem, NULL, NULL, NULL);
}

static hone_status compute_contexts(scoring_run *run) {
    size_t n_items = 0;
    for (size_t i = 0; i < run->n_jobs; i++) {
        job *j = &run->jobs[i];
        TRY(hone_session_fork(&j->session, run->stem));
        if (j->n_shared > run->n_stem)
            run->items[n_items++] = (hone_step_item){
                j->session, j->lines[0].ids + run->n_stem, j->n_shared - run->n_stem,
                HONE_LOGITS_LAST};
    }
    return n_items ? hone_step(run->items, n_items) : HONE_OK;
}

static hone_status compute_continuations(scoring_run *run) {
    size_t n_items = 0, n_lines = 0;
    for (size_t i = 0; i < run->n_jobs; i++) {
        job *j = &run->jobs[i];
        for (size_t k = 0; k < j->scoring->n; k++) {
            line *l = &j->lines[k];
            run->owners[n_lines] = j;
            run->lines[n_lines++] = l;
            if (n_fed(j, l) == 0) continue;
            TRY(hone_session_fork(&l->session, j->session));
            run->items[n_items++] = (hone_step_item){l->session, l->ids + j->n_shared, n_fed(j, l),
                                                     HONE_LOGITS_ALL};
        }
    }
    return n_items ? hone_step(run->items, n_items) : HONE_OK;
}

/* The id at `at` was foretold by what was fed before it: by the context's last one, or by a row of
 * the line's own. */
static void add_up(void *user, size_t index, int thread) {
    (void)thread;
    const scoring_run *run = user;
    const job *j = run->owners[index];
    line *l = run->lines[index];
    l->logprob = 0;
    for (size_t at = l->first; at < l->n; at++) {
        const float *logits = at == j->n_shared
                                  ? hone_session_logits(j->session, 0)
                                  : hone_session_logits(l->session, at - 1 - j->n_shared);
        l->logprob += logits_logprob(logits, run->n_vocab, l->ids[at]);
    }
}

static hone_status compute_batch(scoring_run *run) {
    run->items = mem_calloc(run->n_lines + run->n_jobs, sizeof *run->items);
    run->lines = mem_calloc(run->n_lines, sizeof *run->lines);
    run->owners = mem_calloc(run->n_lines, sizeof *run->owners);
    if (!run->items || !run->lines || !run->owners)
        return mem_fail("batch", run->n_lines * sizeof *run->items);
    TRY(compute_stem(run));
    TRY(compute_contexts(run));
    TRY(compute_continuations(run));
    pool_run(run->pool, run->n_lines, add_up, run);
    return HONE_OK;
}

static void hand_over(const job *j) {
    for (size_t i = 0; i < j->scoring->n; i++) {
        j->scoring->logprobs[i] = j->lines[i].logprob;
        j->scoring->n_tokens[i] = j->lines[i].n - j->lines[i].first;
    }
    j->scoring->done = true;
}

static hone_status run_batch(scoring_run *run, subject_scoring *scorings, size_t n,
                             size_t *n_taken) {
    hone_status status = fill_batch(run, scorings, n, n_taken);
    if (status == HONE_OK) status = compute_batch(run);
    for (size_t i = 0; i < run->n_jobs; i++) {
        if (status == HONE_OK) hand_over(&run->jobs[i]);
        release_job(&run->jobs[i]);
    }
    mem_free(run->items);
    mem_free(run->lines);
    mem_free(run->owners);
    run->items = NULL;
    run->lines = NULL;
    run->owners = NULL;
    return status;
}

static hone_status open_run(scoring_run *run, size_t n) {
    const hone_model_info *model = hone_model_describe(run->s->model);
    run->n_vocab = model->n_vocab;
    run->n_context = run->s->base.info.n_context;
    run->most_rows = MOST_LOGIT_BYTES / (run->n_vocab * sizeof(float));
    run->jobs = mem_calloc(n, sizeof *run->jobs);
    if (!run->jobs) return mem_fail("items", n * sizeof *run->jobs);
    TRY(subject_local_session(run->s, &run->stem));
    return pool_open(&run->pool, model->n_threads);
}

hone_status subject_local_score(subject *base, subject_scoring *scorings, size_t n,
                                const subject_progress *progress) {
    scoring_run run = {.s = (subject_local *)base};
    size_t n_taken;
    hone_status status = open_run(&run, n);
    for (size_t done = 0; status == HONE_OK && done < n; done += n_taken) {
        status = run_batch(&run, scorings + done, n - done, &n_taken);
        if (status == HONE_OK && !subject_goes_on(progress, done + n_taken, n))
            status = fail(HONE_ERR_CANCELLED, "stopped");
    }
    pool_close(run.pool);
    hone_session_close(run.stem);
    mem_free(run.jobs);
    return status;
}
