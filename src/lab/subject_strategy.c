/* Answers made by a strategy: its draws share the passes, so requests go one after the other. */
#include <string.h>

#include "base/mem.h"
#include "lab/code_run.h"
#include "lab/subject_int.h"

/* The texts that the strategy could have returned: whole draws of the stages that answer. */
static hone_status keep_draws(subject_answer *out, const hone_strategy_result *t) {
    static const char *const stages[] = {"answer", "fallback", "repair", "retry", "code", "warm-up",
                                         "combine", "link", "draft", "helpful", "sneaky"};
    out->draws = mem_calloc(t->n_draws, sizeof *out->draws);
    if (!out->draws) return mem_fail("draws", t->n_draws * sizeof *out->draws);
    for (size_t i = 0; i < t->n_draws; i++) {
        const hone_draw *d = &t->draws[i];
        bool answers = false;
        for (size_t k = 0; k < sizeof stages / sizeof *stages; k++)
            answers |= !strcmp(d->stage, stages[k]);
        out->n_drawn += answers;
        if (!answers || d->end != HONE_DRAW_STOP || !d->text) continue;
        char *copy = mem_copy_string(d->text, strlen(d->text));
        if (!copy) return mem_fail("draws", strlen(d->text));
        out->draws[out->n_draws++] = copy;
    }
    return HONE_OK;
}

/* One session for each model; the first is the subject's own. */
typedef struct sessions {
    hone_session *of[1 + HONE_MAX_OTHERS];
} sessions;

static hone_status open_sessions(const subject_local *s, sessions *open) {
    hone_session_options options = s->session;
    options.n_context = 0; /* each its own */
    TRY(subject_local_session(s, &open->of[0]));
    for (size_t i = 0; i < s->n_others; i++)
        TRY(hone_session_open(&open->of[1 + i], s->others[i], &options));
    return HONE_OK;
}

static void close_sessions(sessions *open) {
    for (size_t i = 0; i <= HONE_MAX_OTHERS; i++) hone_session_close(open->of[i]);
}

static hone_status answer(subject_local *s, const sessions *open, const subject_request *r,
                          subject_answer *out) {
    local_request request;
    hone_strategy_result trace;
    hone_strategy_options options = {.form = r->form, .check = r->check, .user = r->check_user,
                                     .others = open->of + 1, .n_others = s->n_others};
    code_run_offer(&options);
    local_request_init(&request, r);
    hone_status status = hone_strategy_run(s->strategy, open->of[0], &request.request, &options,
                                           &trace);
    /* what a strategy lacks, it lacks for every item */
    if (status == HONE_ERR_MEMORY || status == HONE_ERR_UNSUPPORTED) return status;
    if (status != HONE_OK) return subject_note_failure(out, status, hone_error_message());
    out->end = trace.finish == HONE_FINISH_STOP ? SUBJECT_STOPPED : SUBJECT_CUT;
    out->n_prompt_tokens = trace.n_prefill_tokens;
    out->n_tokens = trace.n_decode_tokens;
    out->text = trace.text;
    trace.text = NULL;
    status = keep_draws(out, &trace);
    hone_strategy_result_release(&trace);
    return status;
}

hone_status subject_local_strategy(subject *base, const subject_request *requests, size_t n,
                                   subject_answer *answers, const subject_progress *progress) {
    subject_local *s = (subject_local *)base;
    sessions open = {{NULL}};
    hone_status status = open_sessions(s, &open);
    for (size_t i = 0; i < n && status == HONE_OK; i++) {
        status = answer(s, &open, &requests[i], &answers[i]);
        if (status == HONE_OK && !subject_goes_on(progress, i + 1, n))
            status = fail(HONE_ERR_CANCELLED, "stopped");
    }
    close_sessions(&open);
    return status;
}
