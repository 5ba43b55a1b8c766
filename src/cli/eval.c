/* `hone eval`: how well a model does tasks; figures with intervals, every item kept. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/new_file.h"
#include "base/system.h"
#include "cli/cli.h"
#include "cli/engine.h"
#include "cli/interrupt.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/record.h"
#include "lab/eval.h"

enum { MAX_TASKS = 32, MAX_NAME = 4096 };

typedef struct eval_choices {
    const char *tasks, *items, *samples, *url, *strategy;
    int64_t limit, seed, parallel, max_tokens;
    int prompting, choices;
    bool json;
    engine_settings engine;
} eval_choices;

/* Everything between opening the subject and telling. */
typedef struct evaluation {
    const eval_choices *c;
    subject *subject;
    task *tasks[MAX_TASKS];
    eval_result results[MAX_TASKS];
    size_t n, n_run; /* tasks named; results that hold something */
    double start_ms;
    record kept;
} evaluation;

/* --- work --- */

/* "gsm8k: asking, 34 of 200, 1 min 20 s left" */
static bool on_progress(void *context, const char *doing, size_t n_done, size_t n) {
    evaluation *e = context;
    double seconds = (clock_ms() - e->start_ms) / 1000;
    double left = n_done ? seconds * (double)(n - n_done) / (double)n_done : 0;
    const char *name = e->tasks[e->n_run]->name;
    if (n_done == 0) cli_progress("%s: %s, 0 of %zu", name, doing, n);
    else if (left < 90)
        cli_progress("%s: %s, %zu of %zu, %.0f s left", name, doing, n_done, n, left);
    else cli_progress("%s: %s, %zu of %zu, %.0f min left", name, doing, n_done, n, left / 60);
    return !interrupt_seen();
}

static hone_status open_tasks(evaluation *e) {
    const char *list = e->c->tasks;
    while (*list) {
        char name[MAX_NAME];
        size_t n = strcspn(list, ",");
        if (n == 0 || n >= sizeof name || e->n == MAX_TASKS)
            return fail(HONE_ERR_ARGUMENT,
                        "--tasks takes at most %d names with commas between them", MAX_TASKS);
        memcpy(name, list, n);
        name[n] = '\0';
        TRY(task_open(&e->tasks[e->n], name, e->c->items));
        e->n++;
        list += n + (list[n] == ',');
    }
    return HONE_OK;
}

static hone_status run_tasks(evaluation *e) {
    const eval_choices *c = e->c;
    for (; e->n_run < e->n; e->n_run++) {
        const eval_settings settings = {
            .limit = c->limit == CLI_UNSET ? 0 : (size_t)c->limit, .seed = (uint64_t)c->seed,
            .prompting = (eval_prompting)(c->prompting + 1), .by_answer = c->choices == 1,
            .max_tokens = c->max_tokens == CLI_UNSET ? 0 : (size_t)c->max_tokens,
            .observe = on_progress, .context = e};
        if (interrupt_seen()) break;
        e->start_ms = clock_ms();
        hone_status status = eval_run(&e->results[e->n_run], e->subject, e->tasks[e->n_run],
                                      &settings);
        if (status != HONE_OK) return fail_context(status, "%s", e->tasks[e->n_run]->name);
        RECORD(&e->kept, eval_store(&e->results[e->n_run], e->kept.db, e->kept.id));
    }
    return HONE_OK;
}

/* --- keeping --- */

static json_t *describe_settings(const evaluation *e) {
    const eval_choices *c = e->c;
    const subject_info *s = subject_describe(e->subject);
    json_t *tasks = json_array();
    for (size_t i = 0; i < e->n; i++)
        json_array_append_new(tasks, json_pack("{s:s, s:s, s:s}", "task", e->tasks[i]->name,
                                               "template_sha256", e->tasks[i]->template_sha256.text,
                                               "items_sha256", e->tasks[i]->items_sha256.text));
    return json_pack("{s:o, s:s, s:s?, s:b, s:I, s:I, s:I, s:i, s:i, s:I}", "tasks", tasks, "kind",
                     s->kind, "strategy", s->strategy, "exact", s->exact, "seed",
                     (json_int_t)c->seed, "limit",
                     (json_int_t)(c->limit == CLI_UNSET ? 0 : c->limit), "max_tokens",
                     (json_int_t)(c->max_tokens == CLI_UNSET ? 0 : c->max_tokens), "prompting",
                     c->prompting, "choices", c->choices, "parallel", (json_int_t)s->n_parallel);
}

static void begin_keeping(evaluation *e, const char *model) {
    const subject_info *s = subject_describe(e->subject);
    if (e->c->url) record_add_server(&e->kept, s->name, e->c->url);
    else record_add_model(&e->kept, "model", model, s->model);
    record_begin(&e->kept, RESULT_EVAL, describe_settings(e));
}

/* One result for all tasks: it is as doubtful as the worst of them. */
static void finish_keeping(evaluation *e) {
    validity all = {.n = 0};
    for (size_t t = 0; t < e->n_run; t++)
        for (size_t i = 0; i < e->results[t].validity.n; i++) {
            const validity_reason *r = &e->results[t].validity.reasons[i];
            validity_doubt(&all, r->code, "%s: %s", e->tasks[t]->name, r->words);
        }
    if (e->n_run < e->n)
        validity_doubt(&all, VALIDITY_UNFINISHED, "ended after %zu of %zu tasks", e->n_run, e->n);
    record_finish(&e->kept, &all, NULL);
}

/* --- samples --- */

static hone_status write_sample(new_file *f, const json_t *sample) {
    char *line = json_dumps(sample, JSON_COMPACT);
    if (!line) return mem_fail("sample", 0);
    hone_status status = new_file_write(f, line, strlen(line));
    if (status == HONE_OK) status = new_file_write(f, "\n", 1);
    mem_free(line);
    return status;
}

static hone_status write_samples(const evaluation *e, const char *path) {
    new_file f;
    TRY(new_file_open(&f, path));
    hone_status status = HONE_OK;
    for (size_t t = 0; t < e->n_run; t++)
        for (size_t i = 0; i < e->results[t].n_items && status == HONE_OK; i++)
            if (e->results[t].items[i].done)
                status = write_sample(&f, e->results[t].items[i].sample);
    if (status == HONE_OK) status = new_file_commit(&f);
    new_file_discard(&f);
    return status;
}

/* --- telling --- */

static int print_json(const evaluation *e) {
    const subject_info *s = subject_describe(e->subject);
    const hone_model_info *m = s->model ? hone_model_describe(s->model) : NULL;
    json_t *list = json_array();
    for (size_t t = 0; t < e->n_run; t++)
        json_array_append_new(list, eval_result_to_json(&e->results[t]));
    json_t *root = json_pack("{s:o, s:s, s:b, s:o, s:o, s:o, s:o}", "model", cli_json_text(s->name),
                             "where", s->where, "exact", s->exact, "kv",
                             m ? json_string(engine_kv_name(s->kv)) : json_null(), "threads",
                             m ? json_integer(m->n_threads) : json_null(), "strategy",
                             s->strategy ? json_string(s->strategy) : json_null(), "tasks", list);
    return cli_print_json(root, false);
}

static void add_interval(cli_table *t, const eval_figure *f) {
    if (isnan(f->e.value)) {
        cli_table_add(t, "-");
        cli_table_add(t, "nothing was done");
        return;
    }
    int digits = f->metric == &metric_chrf ? 1 : 3;
    cli_table_add(t, "%.*f", digits, f->e.value);
    cli_table_add(t, "%.*f to %.*f  (%s)", digits, f->e.low, digits, f->e.high,
                  metric_interval_name(f->metric));
}

static int print_page(const evaluation *e) {
    static const char *const headers[] = {"task", "figure", "items", "value", "95 % interval",
                                          "seconds", "tokens"};
    const subject_info *s = subject_describe(e->subject);
    cli_table t;
    printf("%s, %s%s\n\n", s->name, s->where, s->exact ? ", exact" : "");
    cli_table_init(&t, "llrrlrr", headers);
    t.n_columns = sizeof headers / sizeof *headers;
    for (size_t i = 0; i < e->n_run; i++) {
        const eval_result *r = &e->results[i];
        for (size_t f = 0; f < r->n_figures; f++) {
            cli_table_add(&t, "%s", f ? "" : r->task->name);
            cli_table_add(&t, "%s", r->figures[f].name);
            cli_table_add(&t, "%zu", r->figures[f].n);
            add_interval(&t, &r->figures[f]);
            if (f == 0) cli_table_add(&t, "%.1f", r->seconds);
            else cli_table_add(&t, " ");
            if (f == 0 && r->n_tokens) cli_table_add(&t, "%zu", r->n_tokens);
            else cli_table_add(&t, " ");
        }
    }
    int code = cli_table_print(&t);
    for (size_t i = 0; i < e->n_run && code == CLI_OK; i++) {
        const validity *v = &e->results[i].validity;
        if (v->n) printf("\n%s is not valid:\n", e->results[i].task->name);
        for (size_t k = 0; k < v->n; k++) printf("  %s\n", v->reasons[k].words);
    }
    return code;
}

static int tell(const evaluation *e) {
    if (e->c->samples) {
        hone_status status = write_samples(e, e->c->samples);
        if (status != HONE_OK) return cli_fail(status);
    }
    return e->c->json ? print_json(e) : print_page(e);
}

/* --- the command --- */

static int open_subject(evaluation *e, const char *model) {
    const eval_choices *c = e->c;
    const engine_settings *g = &c->engine;
    adapter_choice adapters[HONE_MAX_ADAPTERS];
    const char *paths[HONE_MAX_ADAPTERS];
    float scales[HONE_MAX_ADAPTERS];
    const char *key = getenv("HONE_API_KEY");
    subject_settings s = {.model = model, .url = c->url, .api_key = key && *key ? key : NULL,
                          .strategy = c->strategy,
                          .exact = g->exact, .kv = engine_kv_type(g),
                          .n_context = g->context == CLI_UNSET ? 0 : (size_t)g->context,
                          .n_parallel = c->parallel == CLI_UNSET ? 0 : (size_t)c->parallel,
                          .adapters = paths, .adapter_scales = scales};
    for (; s.n_adapters < g->adapters.n && s.n_adapters < HONE_MAX_ADAPTERS; s.n_adapters++) {
        int code = adapter_option_read(&adapters[s.n_adapters], g->adapters.items[s.n_adapters]);
        if (code != CLI_OK) return code;
        paths[s.n_adapters] = adapters[s.n_adapters].path.text;
        scales[s.n_adapters] = adapters[s.n_adapters].scale;
    }
    int code = c->url ? CLI_OK : engine_choose_threads(g->threads, &s.n_threads);
    if (code != CLI_OK) return code;
    hone_status status = subject_open(&e->subject, &s);
    if (status == HONE_OK) return CLI_OK;
    return c->url ? cli_fail(status) : engine_fail_model(status, model);
}

static int evaluate(evaluation *e, const char *model) {
    hone_status status = open_tasks(e);
    if (status != HONE_OK) return cli_fail(status);
    int code = open_subject(e, model);
    if (code != CLI_OK) return code;
    const subject_info *s = subject_describe(e->subject);
    if (s->model && hone_model_describe(s->model)->takes_audio) interrupt_arm_model(s->model);
    else interrupt_arm(NULL);
    begin_keeping(e, model);
    status = run_tasks(e);
    interrupt_disarm();
    cli_progress_clear();
    if (status == HONE_OK) finish_keeping(e);
    if (status != HONE_OK) return cli_fail(status);
    code = tell(e);
    return code == CLI_OK && interrupt_seen() ? CLI_INTERRUPTED : code;
}

int cmd_eval(int argc, char **argv) {
    eval_choices c = {.limit = CLI_UNSET, .seed = 1, .parallel = CLI_UNSET, .max_tokens = CLI_UNSET,
                      .prompting = -1, .choices = -1, .engine = ENGINE_SETTINGS_UNSET};
    const cli_option options[] = {
        CLI_TEXT("tasks", 0, &c.tasks, "TASK[,TASK…]",
                 "what to try; `hone tasks` lists them; a path is a manifest"),
        CLI_TEXT("items", 0, &c.items, "FILE",
                 "these items (JSON lines) instead of the task's own"),
        CLI_INTEGER("limit", 'n', &c.limit, "N", 1, TASK_MAX_ITEMS,
                    "only so many items, drawn by the seed"),
        CLI_INTEGER("seed", 's', &c.seed, "N", 0, 9e18,
                    "of the draw and of the bootstrap (default 1)"),
        CLI_TEXT("samples", 0, &c.samples, "FILE",
                 "write each item's prompt, output and verdict there, as JSON lines"),
        CLI_CHOICE("prompting", 0, &c.prompting, "plain|chat",
                   "ask in plain text, or through the model's chat template (default: as the task "
                   "says)"),
        CLI_CHOICE("choices", 0, &c.choices, "likelihood|answer",
                   "multiple choice: the most probable text, or the letter that the model answers "
                   "(default likelihood)"),
        CLI_INTEGER("max-tokens", 0, &c.max_tokens, "N", 1, 1 << 20,
                    "most tokens of an answer (default: as the task says)"),
        CLI_TEXT("strategy", 0, &c.strategy, "NAME",
                 "make each answer by a strategy (hone strategies); \"oracle\" then counts the items "
                 "of which any draw is right"),
        CLI_INTEGER("parallel", 0, &c.parallel, "N", 1, 256, "answers at once (default 8)"),
        CLI_TEXT("url", 0, &c.url, "URL",
                 "ask a server (OpenAI's API or Ollama's); MODEL is its name there, and may be left "
                 "away; $HONE_API_KEY is sent"),
        CLI_FLAG("json", 0, &c.json, "print one JSON object"),
        CLI_HEADING("Engine"),
        ENGINE_SESSION_OPTIONS(c.engine),
        CLI_OPTIONS_END,
    };
    const cli_usage usage = {
        .command = "eval",
        .operands = "[MODEL]",
        .about = "Tries a model on tasks and tells how often it was right, with a 95 % interval: "
                 "Wilson's for shares, a bootstrap over the items otherwise. Ctrl-C gives what "
                 "there is. A result that should not be relied on (empty or cut answers, items "
                 "that did not fit) says so. Programs that a model writes run in a sandbox, or not "
                 "at all.",
        .examples = "hone eval smollm2:135m --tasks arithmetic,knowledge\n"
                    "hone eval smollm2:135m --tasks choice --items mine.jsonl --exact --json\n"
                    "hone eval --url http://127.0.0.1:11434 qwen2.5:1.5b --tasks instruction\n",
        .options = options,
        .max_operands = 1,
    };
    cli_operands operands;
    int code = cli_parse(&usage, argc, argv, &operands);
    if (code != CLI_PARSED) return code;
    if (!c.tasks) return cli_wrong_use(&usage, "which --tasks? `hone tasks` lists them");
    if (!c.url && operands.n == 0) return cli_wrong_use(&usage, "which model?");
    if (c.items && strchr(c.tasks, ','))
        return cli_wrong_use(&usage, "--items belongs to one task");
    evaluation *e = mem_calloc(1, sizeof *e);
    if (!e) return cli_fail(mem_fail("evaluation", sizeof *e));
    e->c = &c;
    code = evaluate(e, operands.n ? operands.items[0] : NULL);
    record_release(&e->kept);
    for (size_t i = 0; i < e->n; i++) {
        eval_result_release(&e->results[i]);
        task_close(e->tasks[i]);
    }
    subject_close(e->subject);
    mem_free(e);
    return code;
}
