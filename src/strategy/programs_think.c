/* Programs that shape one answer: a cap on thinking, reflection between tags. */
#include <string.h>

#include "base/mem.h"
#include "base/status.h"
#include "strategy/strategy_int.h"

/* Budget forcing, its useful half: the thoughts end after n × 64 tokens at the latest, and the
 * answer follows. */
enum { TOKENS_A_UNIT = 64 };

hone_status program_think_cap(strategy_run *r, size_t n) {
    draw_order order = {.stage = "answer", .streams = true, .think_tokens = n * TOKENS_A_UNIT};
    size_t draw = r->result->n_draws;
    r->best = draw;
    hone_status status = run_draw(r, &order, &draw);
    return status == HONE_OK ? run_read_answers(r, draw) : status;
}

/* --- reflection: the tags are held by a grammar, so that small models cannot lose them --- */

static const char reflection_grammar[] =
    "root ::= \"<thinking>\" text \"</thinking>\" space \"<reflection>\" text \"</reflection>\" space "
    "\"<output>\" text \"</output>\"\n"
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
