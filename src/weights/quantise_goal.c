#include "weights/quantise_goal.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "weights/calibrate.h"

enum { CALIBRATION_TOKENS = 2048, MAX_ATTEMPTS = 6, ROW_BYTES = 112 };

typedef struct pursuit {
    const char *in, *out;
    const quantise_goal *goal;
    quantise_plan plan;
    const recode_options *options;
    imatrix importance; /* made here */
    bool has_importance;
    quant_choice choice;
    bool has_choice;
    char goal_text[64];
    char *rows;         /* [choice.n] of ROW_BYTES */
    const char **table; /* [choice.n] */
} pursuit;

static bool on_calibrated(void *context, size_t done, size_t total) {
    const quantise_goal *g = context;
    return !g->observe || g->observe(g->context, "calibration: tokens", done, total);
}

static bool on_measured(void *context, size_t done, size_t total) {
    const quantise_goal *g = context;
    return !g->observe || g->observe(g->context, "sensitivity: matrices", done, total);
}

static hone_status make_importance(pursuit *p) {
    hone_model *model;
    if (p->plan.importance) return HONE_OK;
    const hone_model_options options = {.n_threads = p->options->n_threads};
    const calibrate_options how = {.n_tokens = CALIBRATION_TOKENS, .dataset = p->goal->text_name,
                                   .observe = on_calibrated, .context = (void *)p->goal};
    TRY(hone_model_open(&model, p->in, &options));
    hone_status status = calibrate_model(&p->importance, model, p->goal->text, p->goal->n_bytes,
                                         &how);
    hone_model_close(model);
    p->has_importance = status == HONE_OK;
    if (p->has_importance) p->plan.importance = &p->importance;
    return status;
}

static hone_status measure(pursuit *p) {
    const choice_options how = {.n_threads = p->options->n_threads,
                                .importance = p->plan.importance,
                                .text = p->goal->text,
                                .n_bytes = p->goal->n_bytes,
                                .observe = on_measured,
                                .context = (void *)p->goal};
    TRY(quant_choice_measure(&p->choice, p->in, &how));
    p->has_choice = true;
    p->rows = mem_calloc(p->choice.n, ROW_BYTES);
    p->table = mem_calloc(p->choice.n, sizeof *p->table);
    if (!p->rows || !p->table) return mem_fail("table", p->choice.n * ROW_BYTES);
    p->plan.mix = NULL;
    p->plan.types = p->choice.types;
    p->plan.goal = p->goal_text;
    p->plan.table = p->table;
    p->plan.n_table = p->choice.n;
    return HONE_OK;
}

/* Writes the file with the types that are chosen now. */
static hone_status write_chosen(pursuit *p, const recode_options *options,
                                quantise_result *result) {
    for (size_t i = 0; i < p->choice.n; i++) {
        const choice_tensor *t = &p->choice.tensors[i];
        const choice_offer *o = &t->offers[t->chosen];
        char *row = p->rows + i * ROW_BYTES;
        snprintf(row, ROW_BYTES, "%s %s %.3g", t->name, dtype_get(o->type)->name, o->loss);
        p->table[i] = row;
    }
    *result = (quantise_result){.in_bytes = 0};
    return quantise_gguf_by(p->in, p->out, &p->plan, options, result);
}

static hone_status meet_size(pursuit *p, quantise_result *result) {
    snprintf(p->goal_text, sizeof p->goal_text, "at most %llu bytes",
             (unsigned long long)p->goal->target_bytes);
    if (!quant_choice_by_size(&p->choice, p->goal->target_bytes))
        return fail(HONE_ERR_NOT_FOUND, "%s does not get that small; the least is %llu bytes",
                    p->in, (unsigned long long)quant_choice_bytes(&p->choice));
    return write_chosen(p, p->options, result);
}

/* The forecast is good for the order of the tensors, less so for the sum: what was measured
 * corrects it. A file that meets the bound stays until a smaller one does. */
static hone_status meet_loss(pursuit *p, quantise_result *result) {
    const double bound = p->goal->max_loss;
    double budget = bound, least = 0.0;
    recode_options options = *p->options;
    quantise_text text = *p->plan.text;
    text.max_kl = bound;
    text.must_work = true;
    p->plan.text = &text;
    snprintf(p->goal_text, sizeof p->goal_text, "mean KL at most %g", bound);
    bool met = false;
    for (int attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
        quantise_result tried;
        if (!quant_choice_by_loss(&p->choice, budget) && attempt > 0) break;
        TRY(write_chosen(p, &options, &tried));
        double kl = tried.fidelity.kl.value;
        if (attempt == 0 || kl < least) least = kl;
        if (!tried.rejected) {
            *result = tried;
            met = true;
            options.replace = true; /* by a smaller one */
            if (kl > 0.93 * bound) break;
        } else if (met) {
            break;
        }
        budget *= 0.97 * bound / kl;
    }
    if (met) return HONE_OK;
    return fail(HONE_ERR_NOT_FOUND,
                "%s: no choice of types keeps the mean KL at %g; %.4g was reached", p->in, bound,
                least);
}

static hone_status pursue(pursuit *p, quantise_result *result) {
    TRY(recode_check_output(p->out, p->in, p->options->replace));
    if (p->goal->max_loss > 0.0 && !p->plan.text)
        return fail(HONE_ERR_ARGUMENT, "a bound on the loss needs a text to measure it on");
    TRY(make_importance(p));
    TRY(measure(p));
    return p->goal->target_bytes ? meet_size(p, result) : meet_loss(p, result);
}

hone_status quantise_to_goal(const char *in, const char *out, const quantise_goal *goal,
                             const quantise_plan *plan, const recode_options *options,
                             quantise_result *result, quant_choice *choice) {
    pursuit p = {.in = in, .out = out, .goal = goal, .plan = *plan, .options = options};
    hone_status status = pursue(&p, result);
    if (p.has_importance) imatrix_release(&p.importance);
    mem_free(p.rows);
    mem_free(p.table);
    if (status == HONE_OK) *choice = p.choice;
    else if (p.has_choice) quant_choice_release(&p.choice);
    return status;
}
