/* Choosing one draw of several. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/status.h"
#include "strategy/strategy_int.h"
#include "strategy/vote.h"
#include "text/thoughts.h"

/* CISC's softmax over the confidences of one question; small ones let the surest decide. */
#define WEIGHT_TEMPERATURE 0.5
/* Alternatives that say neither Yes nor No (no digit) must leave this much, or nothing was said. */
#define LEAST_MASS 0.01

size_t whole_draws(strategy_run *r, size_t first, size_t *draws) {
    size_t n = 0;
    for (size_t i = first; i < r->result->n_draws; i++)
        if (draw_is_whole(run_trace(r, i))) draws[n++] = i;
    return n;
}

/* Where nothing is whole: a text that was cut, the longest one. */
static size_t least_bad(strategy_run *r, size_t first) {
    size_t best = SIZE_MAX;
    for (size_t i = first; i < r->result->n_draws; i++) {
        const hone_draw *d = run_trace(r, i);
        if (d->text && (best == SIZE_MAX || d->n_tokens > run_trace(r, best)->n_tokens)) best = i;
    }
    return best;
}

hone_status run_select(strategy_run *r, size_t first,
                       hone_status (*select)(strategy_run *, const size_t *, size_t, size_t *)) {
    size_t *draws = mem_calloc(r->result->n_draws + 1, sizeof *draws);
    if (!draws) return mem_fail("draws", r->result->n_draws * sizeof *draws);
    size_t n = whole_draws(r, first, draws);
    hone_status status = HONE_OK;
    r->best = n ? draws[0] : least_bad(r, first);
    if (n) status = run_read_answers(r, first);
    if (n && status == HONE_OK) status = select(r, draws, n, &r->best);
    mem_free(draws);
    return status;
}

hone_status select_first(strategy_run *r, const size_t *draws, size_t n, size_t *chosen) {
    (void)r, (void)n;
    *chosen = draws[0];
    return HONE_OK;
}

/* --- votes --- */

hone_status vote_weighted(strategy_run *r, const size_t *draws, const double *weights, size_t n,
                          size_t *chosen) {
    hone_strategy_result *t = r->result;
    const char **answers = mem_calloc(n, sizeof *answers);
    if (!answers) return mem_fail("votes", n * sizeof *answers);
    for (size_t i = 0; i < n; i++) answers[i] = run_trace(r, draws[i])->answer;
    votes_free(t->votes, t->n_votes);
    t->votes = NULL;
    t->n_votes = 0;
    hone_status status = votes_count(&t->votes, &t->n_votes, answers, weights, n);
    *chosen = draws[0];
    for (size_t i = n; status == HONE_OK && t->n_votes && i-- > 0;)
        if (answers[i] && !strcmp(answers[i], t->votes[0].answer)) *chosen = draws[i];
    mem_free(answers);
    return status;
}

hone_status select_vote(strategy_run *r, const size_t *draws, size_t n, size_t *chosen) {
    return vote_weighted(r, draws, NULL, n, chosen);
}

/* --- scores --- */

/* The highest score; the first of equals, and of all where there is no score. */
static bool pick_highest(strategy_run *r, const size_t *draws, size_t n, size_t *chosen) {
    bool any = false;
    *chosen = draws[0];
    for (size_t i = 0; i < n; i++) {
        double score = run_trace(r, draws[i])->score;
        if (isnan(score) || (any && score <= run_trace(r, *chosen)->score)) continue;
        *chosen = draws[i];
        any = true;
    }
    return any;
}

hone_status select_check(strategy_run *r, const size_t *draws, size_t n, size_t *chosen) {
    const hone_strategy_options *o = r->options;
    if (!o->check) return fail(HONE_ERR_UNSUPPORTED, "nothing can check the answers here");
    for (size_t i = 0; i < n; i++) {
        char *fault = NULL;
        hone_draw *d = run_trace(r, draws[i]);
        TRY(o->check(o->user, run_said(r, draws[i]), &d->score, &fault));
        hone_free(fault);
    }
    pick_highest(r, draws, n, chosen);
    return HONE_OK;
}

hone_status select_certainty(strategy_run *r, const size_t *draws, size_t n, size_t *chosen) {
    for (size_t i = 0; i < n; i++) {
        hone_draw *d = run_trace(r, draws[i]);
        d->score = d->certainty;
    }
    pick_highest(r, draws, n, chosen);
    return HONE_OK;
}

/* --- the model asked about its own answers; read from logits, never parsed --- */

typedef struct question {
    const char *stage, *text;
    const char *const *words; /* that the answer may begin with */
    size_t n_words;
    double (*score)(const double *probabilities);
} question;

static double p_yes(const double *p) {
    return p[0] + p[1] < LEAST_MASS ? NAN : p[0] / (p[0] + p[1]);
}

static double expected_digit(const double *p) {
    double mass = 0, sum = 0;
    for (int i = 0; i < 10; i++) mass += p[i], sum += i * p[i];
    return mass < LEAST_MASS ? NAN : sum / mass / 9;
}

static const char *const yes_no[] = {"yes", "no"};
static const char *const digits[] = {"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"};

static const question is_it_right = {
    "P(True)", "Is the answer above right? Say Yes or No, nothing else.", yes_no, 2, p_yes};
static const question rate_it = {
    "rating", "Rate the answer above from 0 (wrong) to 9 (right and complete). Say the digit only.",
    digits, 10, expected_digit};

static size_t judge_of(const strategy_run *r) { return r->service->n_models > 1 ? 1 : 0; }

/* Where the judge's template opens a thought, the tokens that close it: the answer is asked for,
 * not the first word of a thought. The caller frees *closing. */
static hone_status close_thought(strategy_run *r, chat *prompt, int32_t **closing, size_t *n) {
    const hone_model *model = r->service->model(r->service->self, judge_of(r));
    hone_request q = *r->request;
    char *text = NULL;
    if (!model || !hone_model_describe(model)->has_chat_template) return HONE_OK;
    TRY(chat_fill(prompt, &q));
    if (!q.n_messages) return HONE_OK;
    TRY(hone_render_chat(model, q.messages, q.n_messages, q.tools_json, q.variables_json, &text,
                         NULL, NULL));
    const thought_tags *opened = thoughts_opened_by(text, strlen(text));
    hone_free(text);
    if (!opened) return HONE_OK;
    char words[THOUGHT_TAG_BYTES + 4];
    int n_words = snprintf(words, sizeof words, "%s\n\n", opened->close);
    return hone_tokenize(model, words, (size_t)n_words, false, closing, n);
}

static hone_status ask_prompts(strategy_run *r, const question *q, const size_t *draws, size_t n,
                               chat *prompts, draw_order *orders) {
    static const hone_sampling greedy = {.top_p = 1, .typical_p = 1, .repetition_penalty = 1};
    for (size_t i = 0; i < n; i++) {
        TRY(chat_copy(&prompts[i], &r->prompt));
        TRY(chat_add(&prompts[i], "assistant", run_said(r, draws[i])));
        TRY(chat_add(&prompts[i], "user", q->text));
        orders[i] = (draw_order){.stage = q->stage, .model = judge_of(r),
                                 .prompt = &prompts[i], .sampling = &greedy,
                                 .max_tokens = 1, .free_form = true, .n_top = RUN_FIRST_TOP};
    }
    return HONE_OK;
}

static hone_status read_scores(strategy_run *r, const question *q, const size_t *draws, size_t n,
                               size_t first) {
    double p[sizeof digits / sizeof *digits];
    for (size_t i = 0; i < n; i++) {
        TRY(run_first_words(r, first + i, q->words, q->n_words, p));
        run_trace(r, draws[i])->score = q->score(p);
    }
    return HONE_OK;
}

/* Scores draws[n] by the model's answers to a question about each. */
static hone_status ask(strategy_run *r, const question *q, const size_t *draws, size_t n) {
    size_t first, n_closing = 0;
    int32_t *closing = NULL;
    chat *prompts = mem_calloc(n, sizeof *prompts);
    draw_order *orders = mem_calloc(n, sizeof *orders);
    hone_status status = prompts && orders ? ask_prompts(r, q, draws, n, prompts, orders)
                                           : mem_fail("questions", n * sizeof *prompts);
    if (status == HONE_OK) status = close_thought(r, &prompts[0], &closing, &n_closing);
    for (size_t i = 0; status == HONE_OK && i < n; i++) {
        orders[i].begun = closing;
        orders[i].n_begun = n_closing;
    }
    if (status == HONE_OK) status = run_draws(r, orders, n, NULL, NULL, &first);
    if (status == HONE_OK) status = read_scores(r, q, draws, n, first);
    for (size_t i = 0; prompts && i < n; i++) chat_release(&prompts[i]);
    mem_free(prompts);
    mem_free(orders);
    hone_free(closing);
    return status;
}

hone_status score_p_true(strategy_run *r, const size_t *draws, size_t n) {
    return ask(r, &is_it_right, draws, n);
}

hone_status select_p_true(strategy_run *r, const size_t *draws, size_t n, size_t *chosen) {
    TRY(ask(r, &is_it_right, draws, n));
    pick_highest(r, draws, n, chosen);
    return HONE_OK;
}

hone_status select_rating(strategy_run *r, const size_t *draws, size_t n, size_t *chosen) {
    TRY(ask(r, &rate_it, draws, n));
    if (pick_highest(r, draws, n, chosen)) return HONE_OK;
    return select_certainty(r, draws, n, chosen);
}

hone_status select_weighted(strategy_run *r, const size_t *draws, size_t n, size_t *chosen) {
    TRY(ask(r, &is_it_right, draws, n));
    double *weights = mem_calloc(n, sizeof *weights), sum = 0;
    if (!weights) return mem_fail("weights", n * sizeof *weights);
    for (size_t i = 0; i < n; i++) {
        double score = run_trace(r, draws[i])->score;
        sum += weights[i] = isnan(score) ? 0 : exp(score / WEIGHT_TEMPERATURE);
    }
    for (size_t i = 0; i < n; i++) weights[i] = sum > 0 ? weights[i] / sum : 1.0 / (double)n;
    hone_status status = vote_weighted(r, draws, weights, n, chosen);
    mem_free(weights);
    return status;
}
