/* An answer checked from outside, and asked for again with what was wrong with it. */
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/status.h"
#include "strategy/strategy_int.h"

/* Judges the draw. *fault is freed with hone_free; NULL where nothing is wrong or nothing was
 * said. */
static hone_status judge(strategy_run *r, size_t draw, char **fault) {
    hone_draw *d = run_trace(r, draw);
    *fault = NULL;
    TRY(r->options->check(r->options->user, run_said(r, draw), &d->score, fault));
    if (!draw_is_whole(d) && d->score >= 1) d->score = 0; /* what was cut off is never right */
    return HONE_OK;
}

/* The question, the last answer and its fault: earlier tries would fill the context. */
static hone_status ask_again(strategy_run *r, size_t draw, const char *fault, chat *prompt) {
    const hone_draw *d = run_trace(r, draw);
    const char *words = fault                ? fault
                        : draw_is_whole(d) ? "It is not what was asked for."
                                           : "It was cut off: answer more briefly.";
    buf b;
    buf_init(&b, SIZE_MAX / 2);
    hone_status status = buf_add_format(&b, "Something is wrong with this answer:\n%s\n\nAnswer "
                                            "the question again, with nothing but the answer.",
                                        words);
    if (status == HONE_OK) status = chat_copy(prompt, &r->prompt);
    if (status == HONE_OK && *run_said(r, draw))
        status = chat_add(prompt, "assistant", run_said(r, draw));
    if (status == HONE_OK) status = chat_add(prompt, "user", b.data);
    buf_release(&b);
    return status;
}

hone_status program_retry(strategy_run *r, size_t n) {
    hone_status status = HONE_OK;
    double best = -1;
    char *fault = NULL;
    size_t last = 0;
    if (!r->options->check)
        return fail(HONE_ERR_UNSUPPORTED, "retry needs something that checks the answer (--check)");
    for (size_t i = 0; i < n && status == HONE_OK && best < 1; i++) {
        chat prompt = {0};
        if (i) status = ask_again(r, last, fault, &prompt);
        hone_free(fault);
        fault = NULL;
        if (status == HONE_OK)
            status = run_draw(r, &(draw_order){.stage = i ? "retry" : "answer",
                                               .prompt = i ? &prompt : NULL}, &last);
        chat_release(&prompt);
        if (status == HONE_OK) status = judge(r, last, &fault);
        if (status == HONE_OK && run_trace(r, last)->score > best) {
            best = run_trace(r, last)->score;
            r->best = last;
        }
    }
    hone_free(fault);
    if (best >= 1) run_stop(r, "an answer passed the checks");
    return status;
}
