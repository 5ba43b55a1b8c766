/* Programs for code: best of n by tests with one repair, and the round trip by behaviour. */
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/status.h"
#include "strategy/answer_text.h"
#include "strategy/strategy_int.h"

/* The code in a draw's text, whatever form the run reads; NULL = none. */
static hone_status code_of(strategy_run *r, size_t draw, char **code) {
    return answer_read(run_trace(r, draw)->text, HONE_ANSWER_CODE, code);
}

/* Refuses what would need code to be run where it cannot be. */
static hone_status refuse_code(const strategy_run *r, const char *what) {
    const char *why = r->options->no_code;
    return fail(HONE_ERR_UNSUPPORTED, "%s%s%s", what, why ? ": " : "", why ? why : "");
}

/* --- what programs print --- */

/* Its code runs; *output is NULL where there is none, or where it failed, which the draw tells. */
static hone_status run_code(strategy_run *r, size_t draw, char **output) {
    const hone_strategy_options *o = r->options;
    hone_draw *d = run_trace(r, draw);
    char language[32] = "", *code;
    code_block block;
    *output = NULL;
    if (!draw_is_whole(d)) return HONE_OK;
    if (answer_code_block(d->text, &block))
        snprintf(language, sizeof language, "%.*s", (int)block.n_language, block.language);
    TRY(code_of(r, draw, &code));
    hone_status status = code ? o->run_code(o->user, language, code, output) : HONE_OK;
    mem_free(code);
    if (!run_fails_alone(status)) return status;
    const char *why = hone_error_message();
    mem_free(d->fault);
    d->fault = mem_copy_string(why, strlen(why)); /* without memory there are no words */
    return HONE_OK;
}

/* Sets the answer of each draw to what its code prints; those that fail or print nothing have none.
 * Between two programs the run may end: what was not run then has no answer either. */
static hone_status run_codes(strategy_run *r, const size_t *draws, size_t n) {
    for (size_t i = 0; i < n; i++) {
        hone_draw *d = run_trace(r, draws[i]);
        mem_free(d->answer);
        d->answer = NULL;
    }
    for (size_t i = 0; i < n && !run_is_spent(r); i++) {
        char *output;
        hone_status status = run_code(r, draws[i], &output);
        if (status == HONE_ERR_CANCELLED) r->cancelled = true;
        TRY(status);
        if (output && *output) run_trace(r, draws[i])->answer = output;
        else hone_free(output);
    }
    return HONE_OK;
}

static hone_status select_agreement(strategy_run *r, const size_t *draws, size_t n,
                                    size_t *chosen) {
    TRY(run_codes(r, draws, n));
    return vote_weighted(r, draws, NULL, n, chosen);
}

/* --- best of n by tests --- */

/* One more try at the best draw so far, with what was wrong with it. */
static hone_status repair(strategy_run *r, size_t draw) {
    const hone_strategy_options *o = r->options;
    char *fault = NULL;
    double score;
    chat prompt = {0};
    buf b;
    TRY(o->check(o->user, run_said(r, draw), &score, &fault));
    buf_init(&b, SIZE_MAX / 2);
    hone_status status = buf_add_format(&b, "This failed:\n%s\n\nWrite the whole corrected code.",
                                        fault ? fault : "the tests do not pass");
    hone_free(fault);
    if (status == HONE_OK) status = chat_copy(&prompt, &r->prompt);
    if (status == HONE_OK) status = chat_add(&prompt, "assistant", run_said(r, draw));
    if (status == HONE_OK) status = chat_add(&prompt, "user", b.data);
    size_t mended = SIZE_MAX;
    if (status == HONE_OK)
        status = run_draw(r, &(draw_order){.stage = "repair", .prompt = &prompt}, &mended);
    if (status == HONE_OK && draw_is_whole(run_trace(r, mended))) {
        size_t pair[] = {draw, mended};
        status = select_check(r, pair, 2, &r->best);
    }
    buf_release(&b);
    chat_release(&prompt);
    return status;
}

hone_status program_code_bon(strategy_run *r, size_t n) {
    const hone_strategy_options *o = r->options;
    if (!o->check && !o->run_code)
        return refuse_code(r, "code-bon needs tests, or a way to run code");
    size_t first = r->result->n_draws;
    hone_status status = sample_alike(r, n, &first);
    hone_status selected = run_select(r, first, o->check ? select_check : select_agreement);
    if (status != HONE_OK || selected != HONE_OK) return status != HONE_OK ? status : selected;
    bool failed = o->check && r->best != SIZE_MAX && draw_is_whole(run_trace(r, r->best)) &&
                  run_trace(r, r->best)->score < 1;
    return failed ? repair(r, r->best) : HONE_OK;
}

/* --- the round trip (after Allamanis et al. 2024): code, its description, code from the
 * description in a fresh conversation; the two must behave alike, else a third one decides --- */

/* Describes the code of draw `from` and writes it again from the description. */
static hone_status there_and_back(strategy_run *r, size_t from, size_t *back) {
    size_t described;
    char *code;
    buf b;
    TRY(code_of(r, from, &code));
    buf_init(&b, SIZE_MAX / 2);
    hone_status status = buf_add_format(&b, "%s\n\nDescribe what this code does, exactly enough to "
                                        "write it again.", code ? code : run_said(r, from));
    mem_free(code);
    if (status == HONE_OK) status = run_fresh(r, "description", b.data, NULL, &described);
    b.len = 0;
    if (status == HONE_OK)
        status = buf_add_format(&b,
                                "Write the code for this description, in the same language:\n%s",
                                run_said(r, described));
    if (status == HONE_OK) status = run_fresh(r, "code again", b.data, NULL, back);
    buf_release(&b);
    return status;
}

hone_status program_round_trip(strategy_run *r, size_t n) {
    size_t draws[3], chosen;
    (void)n;
    if (!r->options->run_code)
        return refuse_code(r, "the round trip needs a way to run code");
    r->best = r->result->n_draws;
    TRY(run_draw(r, &(draw_order){.stage = "code"}, &draws[0]));
    TRY(there_and_back(r, draws[0], &draws[1]));
    TRY(run_codes(r, draws, 2));
    const char *a = run_trace(r, draws[0])->answer, *b = run_trace(r, draws[1])->answer;
    if (a && b && !strcmp(a, b)) return HONE_OK;
    hone_sampling sampling = varied_sampling(r);
    TRY(run_draw(r, &(draw_order){.stage = "code", .sampling = &sampling}, &draws[2]));
    TRY(select_agreement(r, draws, 3, &chosen));
    r->best = chosen;
    return HONE_OK;
}
