/* Programs that shape one answer: a cap on thinking, reflection between tags. */
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/status.h"
#include "strategy/answer_text.h"
#include "strategy/strategy_int.h"

/* --- think-cap: budget forcing, its useful half (Muennighoff et al. 2025), with a probe for the
 * answer within the thoughts (Dynasor: Fu et al. 2024) ---
 *
 * The thoughts are drawn in stretches. Behind each one the model is made to say the answer that it
 * would give now, which is thrown away; once that is the same several times over, or the cap is
 * reached, the thought is closed and the answer follows. */
enum { TOKENS_A_UNIT = 64, PROBE_EVERY = 128, PROBE_TOKENS = 24, EQUAL_PROBES = 3 };

static const char probe_words[] = "\n\n**Final Answer**\n\\boxed{", probe_opening[] = "\\boxed{";

typedef struct thought {
    strategy_run *r;
    buf text; /* all that was said, as people see it */
    int32_t *tokens;
    size_t n, capacity;
    int32_t *question; /* probe_words */
    size_t n_question;
    char *probed; /* the last probe's answer */
    size_t n_equal;
    bool probes;
    bool ended; /* the model has said all that it had to say */
} thought;

static hone_status add_tokens(thought *t, const int32_t *tokens, size_t n) {
    TRY(mem_grow(&t->tokens, &t->capacity, t->n + n, sizeof *t->tokens, "thoughts"));
    if (n) memcpy(t->tokens + t->n, tokens, n * sizeof *tokens);
    t->n += n;
    return HONE_OK;
}

/* A draw that goes on with what was said, and adds to it. */
static hone_status say(thought *t, draw_order order) {
    strategy_run *r = t->r;
    size_t draw = r->result->n_draws;
    order.streams = order.keeps_tokens = true;
    order.begun = t->tokens;
    order.n_begun = t->n;
    hone_status status = run_draw(r, &order, &draw);
    if (draw >= r->result->n_draws) return status; /* it was never begun */
    const draw_detail *detail = &r->details[draw];
    const char *text = run_trace(r, draw)->text;
    r->best = draw;
    if (text) TRY(buf_add_text(&t->text, text));
    TRY(add_tokens(t, detail->tokens, detail->n_tokens));
    return status;
}

/* What the probe says up to the bracket that closes it, in canonical form;
 * NULL where it has none. */
static hone_status read_probe(strategy_run *r, size_t draw) {
    hone_draw *d = run_trace(r, draw);
    buf boxed;
    if (!d->text || !strchr(d->text, '}')) return HONE_OK;
    buf_init(&boxed, SIZE_MAX / 2);
    hone_status status = buf_add_format(&boxed, "%s%s", probe_opening, d->text);
    if (status == HONE_OK) status = answer_read(boxed.data, r->options->form, &d->answer);
    buf_release(&boxed);
    return status;
}

/* Asks for the answer as of now; it leaves no trace in the thoughts. */
static hone_status probe(thought *t) {
    static const hone_sampling greedy = {.top_p = 1, .typical_p = 1, .repetition_penalty = 1};
    strategy_run *r = t->r;
    size_t draw, n = t->n;
    TRY(add_tokens(t, t->question, t->n_question));
    t->n = n;
    TRY(run_draw(r, &(draw_order){.stage = "probe", .sampling = &greedy, .max_tokens = PROBE_TOKENS,
                                  .free_form = true, .think_tokens = SIZE_MAX, .begun = t->tokens,
                                  .n_begun = n + t->n_question}, &draw));
    TRY(read_probe(r, draw));
    const char *answer = run_trace(r, draw)->answer;
    bool equal = answer && t->probed && !strcmp(answer, t->probed);
    t->n_equal = equal ? t->n_equal + 1 : answer != NULL;
    mem_free(t->probed);
    t->probed = answer ? mem_copy_string(answer, strlen(answer)) : NULL;
    return answer && !t->probed ? mem_fail("probe", strlen(answer)) : HONE_OK;
}

/* Thinks until the thought is closed, the cap is reached or the probes agree. */
static hone_status think(thought *t, size_t cap) {
    strategy_run *r = t->r;
    bool thinks = false;
    while (t->n < cap) {
        size_t left = cap - t->n, before = t->n;
        TRY(say(t, (draw_order){.stage = "thoughts", .until_closed = true,
                                .max_tokens = left < PROBE_EVERY ? left : PROBE_EVERY}));
        const draw_detail *detail = &r->details[r->best];
        hone_draw *d = run_trace(r, r->best);
        thinks |= d->n_thought_tokens > 0;
        if (!thinks) d->stage = "answer"; /* a model that does not think has begun to answer */
        t->ended = d->end != HONE_DRAW_LENGTH && !detail->closed_thought;
        if (!thinks || t->ended || detail->closed_thought || t->n == before) return HONE_OK;
        if (t->n < cap && t->probes) TRY(probe(t));
        if (t->n_equal < EQUAL_PROBES) continue;
        run_stop(r, "the probes agree");
        return HONE_OK;
    }
    return HONE_OK;
}

/* Probes read one short answer; where it is a text or a program there is none. */
static hone_status prepare_probes(thought *t) {
    const strategy_run *r = t->r;
    const hone_model *model = r->service->model(r->service->self, 0);
    hone_answer_form form = r->options->form;
    t->probes = form != HONE_ANSWER_TEXT && form != HONE_ANSWER_CODE;
    if (!model || !t->probes) return HONE_OK;
    return hone_tokenize(model, probe_words, sizeof probe_words - 1, false, &t->question,
                         &t->n_question);
}

static hone_status think_and_answer(thought *t, size_t n) {
    const hone_request *q = t->r->request;
    size_t cap = n * TOKENS_A_UNIT, most = q->max_tokens;
    if (q->limit_thinking && q->thinking_budget < cap) cap = q->thinking_budget;
    TRY(prepare_probes(t));
    TRY(think(t, most && most < cap ? most : cap));
    if (t->ended || (most && t->n >= most)) return HONE_OK;
    /* a thought that is still open has its one token, and is closed */
    return say(t, (draw_order){.stage = "answer", .think_tokens = 1,
                               .max_tokens = most ? most - t->n : 0});
}

/* A grammar holds for the answer of one draw, which may do without a thought: no probes there. */
static hone_status cap_alone(strategy_run *r, size_t n) {
    draw_order order = {.stage = "answer", .streams = true, .think_tokens = n * TOKENS_A_UNIT};
    size_t draw = r->result->n_draws;
    r->best = draw;
    hone_status status = run_draw(r, &order, &draw);
    return status == HONE_OK ? run_read_answers(r, draw) : status;
}

hone_status program_think_cap(strategy_run *r, size_t n) {
    thought t = {.r = r};
    if (r->request->grammar || r->request->token_mask) return cap_alone(r, n);
    buf_init(&t.text, SIZE_MAX / 2);
    hone_status status = think_and_answer(&t, n);
    if (t.text.len && !(r->text = buf_take(&t.text)) && status == HONE_OK)
        status = mem_fail("answer", t.text.len);
    if (status == HONE_OK && r->best < r->result->n_draws) status = run_read_answers(r, r->best);
    buf_release(&t.text);
    mem_free(t.tokens);
    mem_free(t.probed);
    hone_free(t.question);
    return status;
}

/* --- reflection: the tags are held by a grammar, so that small models cannot lose them --- */

static const char reflection_grammar[] =
    "root ::= \"<thinking>\" text \"</thinking>\" space \"<reflection>\" text \"</reflection>\" "
    "space \"<output>\" text \"</output>\"\n"
    "text ::= [^<]+\n"
    "space ::= \"\\n\"?\n";

/* What stands in the last <output>…</output>. */
static hone_status take_output(strategy_run *r, size_t draw) {
    static const char open[] = "<output>", close[] = "</output>";
    const char *text = run_trace(r, draw)->text, *from = text ? strstr(text, open) : NULL;
    if (!from) return HONE_OK;
    from += sizeof open - 1;
    const char *to = strstr(from, close);
    size_t n = to ? (size_t)(to - from) : strlen(from);
    r->text = mem_copy_string(from, n);
    return r->text ? HONE_OK : mem_fail("answer", n);
}

hone_status program_reflection(strategy_run *r, size_t n) {
    const hone_model *model = r->service->model(r->service->self, 0);
    hone_grammar *grammar = NULL;
    size_t draw = r->result->n_draws;
    (void)n;
    TRY(chat_add_system(&r->prompt,
                        "Think inside <thinking> and </thinking>, look for mistakes in it inside "
                        "<reflection> and </reflection>, then give the answer inside <output> and "
                        "</output>."));
    if (model)
        TRY(hone_grammar_open(&grammar, model, reflection_grammar, sizeof reflection_grammar - 1));
    r->best = draw;
    hone_status status = run_draw(r, &(draw_order){.stage = "answer", .grammar = grammar}, &draw);
    hone_grammar_close(grammar);
    if (status == HONE_OK) status = take_output(r, draw);
    return status == HONE_OK ? run_read_answers(r, draw) : status;
}
