/* `hone prompt`: the prompt of a task shown, tried beside another one, or looked for. */
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "cli/cli.h"
#include "cli/engine.h"
#include "cli/interrupt.h"
#include "cli/options.h"
#include "cli/output.h"
#include "lab/prompt_tune.h"

typedef struct choice {
    const char *instruction;
    int64_t shots, seed, limit, max_tokens;
    bool chat, nearest, json;
    engine_settings engine;
} choice;

static prompt_variant variant_of(const choice *c) {
    return (prompt_variant){.instruction = c->instruction, .n_shots = (size_t)c->shots,
                            .draw = (uint64_t)c->seed, .nearest = c->nearest};
}

/* --- show --- */

static int show(const choice *c, const task *t) {
    char *text;
    const prompt_variant v = variant_of(c);
    hone_status status = prompt_show(&text, t, &v, c->chat, (uint64_t)c->seed);
    if (status != HONE_OK) return cli_fail(status);
    int code = CLI_OK;
    if (c->json) {
        json_t *list = json_array();
        for (size_t i = 0; prompt_instruction(i); i++)
            json_array_append_new(list, json_string(prompt_instruction(i)));
        code = cli_print_json(
            json_pack("{s:s, s:s?, s:s?, s:s?, s:I, s:b, s:o, s:o}", "task", t->name, "plain",
                      t->prompt, "chat", t->chat_prompt, "system", t->system, "shots",
                      (json_int_t)t->shots.n, "takes_shots", prompt_takes_shots(t), "instructions",
                      list, "example", cli_json_text(text)), false);
    } else {
        printf("%s\n", text);
    }
    mem_free(text);
    return code;
}

/* --- test and tune --- */

static bool on_progress(void *context, const char *doing, size_t n_done, size_t n) {
    const prompt_tuning *p = context;
    if (p->n_tries) cli_progress("prompt %zu: %s, %zu of %zu", p->n_tries + 1, doing, n_done, n);
    else cli_progress("%s, %zu of %zu", doing, n_done, n);
    return !interrupt_seen();
}

static json_t *variant_json(const prompt_variant *v) {
    return json_pack("{s:s?, s:I, s:I, s:I, s:b}", "instruction", v->instruction, "shots",
                     (json_int_t)v->n_shots, "draw", (json_int_t)v->draw, "turn",
                     (json_int_t)v->turn, "nearest", (int)v->nearest);
}

static json_t *estimate_json(const estimate *e, size_t n) {
    return json_pack("{s:f, s:f, s:f, s:I}", "value", e->value, "low", e->low, "high", e->high, "n",
                     (json_int_t)n);
}

static bool has_gain(const prompt_tuning *p) {
    return p->is_judged && p->verdict.outcome == COMPARE_BETTER;
}

static int print_json(const prompt_tuning *p, const char *name, const char *model) {
    json_t *tries = json_array(), *difference = json_null();
    const eval_figure *own = &p->entries[0].results[0].figures[0];
    const eval_figure *best = &p->entries[p->is_judged].results[0].figures[0];
    for (size_t i = 0; i < p->n_tries; i++) {
        json_t *one = variant_json(&p->tries[i].variant);
        json_object_set_new(one, "value", json_real(p->tries[i].e.value));
        json_array_append_new(tries, one);
    }
    if (p->is_judged)
        difference = json_pack("{s:f, s:f, s:f, s:f, s:s}", "value", p->verdict.difference.value,
                               "low", p->verdict.difference.low, "high", p->verdict.difference.high,
                               "p", p->verdict.p, "verdict",
                               compare_outcome_name(p->verdict.outcome));
    return cli_print_json(
        json_pack("{s:s, s:o, s:s, s:o, s:o, s:o, s:o, s:b, s:o}", "task", name, "model",
                  cli_json_text(model), "metric", own->metric->name, "best", variant_json(&p->best),
                  "own", estimate_json(&own->e, own->n), "tuned", estimate_json(&best->e, best->n),
                  "difference", difference, "gain", has_gain(p), "tries", tries), false);
}

static void add_variant(cli_table *t, const prompt_variant *v) {
    cli_table_add(t, "%s", v->instruction ? v->instruction : "-");
    if (v->n_shots) cli_table_add(t, "%zu", v->n_shots);
    else cli_table_add(t, "-");
    if (v->nearest) cli_table_add(t, "nearest");
    else if (v->n_shots) cli_table_add(t, "%llu, %zu", (unsigned long long)v->draw, v->turn);
    else cli_table_add(t, "-");
}

static int print_tries(const prompt_tuning *p) {
    static const char *const headers[] = {"INSTRUCTION", "EXAMPLES", "DRAW, TURN", "FIGURE"};
    cli_table t;
    cli_table_init(&t, "lrrr", headers);
    for (size_t i = 0; i < p->n_tries; i++) {
        add_variant(&t, &p->tries[i].variant);
        cli_table_add(&t, "%.3f", p->tries[i].e.value);
    }
    int code = cli_table_print(&t);
    printf("\n");
    return code;
}

static int print_page(const prompt_tuning *p) {
    const eval_figure *own = &p->entries[0].results[0].figures[0];
    int code = p->n_tries ? print_tries(p) : CLI_OK;
    printf("on %zu items held out: the task's own prompt %.3f (%.3f to %.3f)\n", own->n,
           own->e.value, own->e.low, own->e.high);
    if (!p->is_judged) {
        printf("no gain found: no other prompt did better on the items that were tried\n");
        return code;
    }
    const eval_figure *best = &p->entries[1].results[0].figures[0];
    const estimate *d = &p->verdict.difference;
    printf("%s %.3f (%.3f to %.3f), difference %+.3f (%+.3f to %+.3f): %s\n",
           p->n_tries ? "the best of those above" : "the other prompt", best->e.value, best->e.low,
           best->e.high, d->value, d->low, d->high, compare_outcome_name(p->verdict.outcome));
    if (!has_gain(p)) printf("no gain found\n");
    for (size_t i = 0; i < 2; i++) {
        const validity *v = &p->entries[i].results[0].validity;
        for (size_t k = 0; k < v->n; k++)
            printf("doubtful, %s prompt: %s\n", i ? "the other" : "its own", v->reasons[k].words);
    }
    return code;
}

static int measure(const choice *c, const task *t, const char *model, bool tune) {
    subject *s;
    prompt_tuning *p = mem_calloc(1, sizeof *p);
    subject_settings opened = {.model = model, .exact = c->engine.exact,
                               .kv = engine_kv_type(&c->engine)};
    const size_t limit = c->limit == CLI_UNSET ? 0 : (size_t)c->limit;
    const prompt_tune_settings settings = {
        .n_train = limit, .n_held_out = limit, .seed = (uint64_t)c->seed,
        .max_tokens = c->max_tokens == CLI_UNSET ? 0 : (size_t)c->max_tokens,
        .observe = on_progress, .context = p};
    if (!p) return cli_fail(mem_fail("tuning", sizeof *p));
    int code = engine_choose_threads(c->engine.threads, &opened.n_threads);
    if (c->engine.context != CLI_UNSET) opened.n_context = (size_t)c->engine.context;
    hone_status status = code == CLI_OK ? subject_open(&s, &opened) : HONE_OK;
    if (status != HONE_OK) code = engine_fail_model(status, model);
    if (code == CLI_OK) {
        const prompt_variant v = variant_of(c);
        interrupt_arm(NULL);
        status = tune ? prompt_tune(p, s, t, &settings) : prompt_test(p, s, t, &v, &settings);
        interrupt_disarm();
        cli_progress_clear();
        code = status != HONE_OK ? cli_fail(status) : c->json ? print_json(p, t->name, model)
                                                              : print_page(p);
        prompt_tuning_release(p);
        subject_close(s);
    }
    mem_free(p);
    return code;
}

static int run(const choice *c, const cli_operands *o, const cli_usage *usage) {
    const char *what = o->items[0];
    bool is_show = !strcmp(what, "show"), tune = !strcmp(what, "tune");
    if (!is_show && !tune && strcmp(what, "test"))
        return cli_wrong_use(usage, "\"%s\" is none of show, test and tune", what);
    if (is_show ? o->n != 2 : o->n != 3)
        return cli_wrong_use(usage, "%s takes a task%s", what, is_show ? "" : " and a model");
    if (c->nearest && !c->shots)
        return cli_wrong_use(usage, "--nearest says which --shots are taken");
    if (tune && (c->instruction || c->shots))
        return cli_wrong_use(usage, "tune looks for the instruction and the examples itself");
    if (!tune && !is_show && !c->instruction && !c->shots)
        return cli_wrong_use(usage, "test what? Give --instruction or --shots");
    task *t;
    hone_status status = task_open(&t, o->items[1], NULL);
    if (status != HONE_OK) return cli_fail(status);
    int code = is_show ? show(c, t) : measure(c, t, o->items[2], tune);
    task_close(t);
    return code;
}

int cmd_prompt(int argc, char **argv) {
    choice c = {.seed = 1, .limit = CLI_UNSET, .max_tokens = CLI_UNSET,
                .engine = ENGINE_SETTINGS_UNSET};
    const cli_option options[] = {
        CLI_TEXT("instruction", 0, &c.instruction, "TEXT", "put this before the task's prompt"),
        CLI_INTEGER("shots", 0, &c.shots, "N", 0, PROMPT_MAX_SHOTS,
                    "put N answered items of the training half before each question"),
        CLI_FLAG("nearest", 0, &c.nearest, "of --shots: those that resemble each question most"),
        CLI_FLAG("chat", 0, &c.chat, "show the user's turn of a chat instead of the plain text"),
        CLI_INTEGER("limit", 'n', &c.limit, "N", 4, TASK_MAX_ITEMS,
                    "at most so many items of each half, drawn by the seed"),
        CLI_INTEGER("seed", 's', &c.seed, "N", 0, 9e18,
                    "of the halves, the examples and the intervals (default 1)"),
        CLI_INTEGER("max-tokens", 0, &c.max_tokens, "N", 1, 1 << 20,
                    "most tokens of an answer (default: as the task says)"),
        CLI_FLAG("json", 0, &c.json, "print one JSON object"),
        CLI_HEADING("Engine"),
        ENGINE_SESSION_OPTIONS(c.engine),
        CLI_OPTIONS_END,
    };
    const cli_usage usage = {
        .command = "prompt",
        .operands = "show TASK | test TASK MODEL | tune TASK MODEL",
        .about = "Shows a task's prompt by an item; tries an instruction or examples beside "
                 "the task's own prompt; or looks for better ones. The items are cut into two "
                 "halves: tune tries instructions, examples and their order on the one, and tells "
                 "on the other what the best gained, with a paired 95 % interval, or that no gain "
                 "was found. Examples always come from the first half.",
        .examples = "hone prompt show arithmetic --shots 2\n"
                    "hone prompt test logic smollm2:135m --instruction \"Think step by step.\"\n"
                    "hone prompt tune knowledge smollm2:135m --limit 40\n",
        .options = options,
        .min_operands = 1,
        .max_operands = 3,
    };
    cli_operands operands;
    int code = cli_parse(&usage, argc, argv, &operands);
    return code == CLI_PARSED ? run(&c, &operands, &usage) : code;
}
