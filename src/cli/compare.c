/* `hone compare`: models, quantisations and strategies beside each other. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/system.h"
#include "cli/cli.h"
#include "cli/compare_page.h"
#include "cli/engine.h"
#include "cli/interrupt.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/policies.h"
#include "cli/record.h"
#include "lab/compare.h"
#include "lab/report.h"
#include "weights/quantise.h"
#include "weights/store.h"

#define DEFAULT_TASKS "knowledge,logic,reading"
/* What comes with every comparison of strategies: one answer, made alone as theirs are; one drawn
 * as they draw, where the first is not; several draws, of which the first is taken. */
#define NONE "none"
#define ONE_DRAW "sample1 & first"
#define CONTROL "sample4 & first"
/* The least temperature of draws that have to differ (docs/strategies.md). */
#define DRAWN_FROM 0.7

enum { MAX_LIST = 16, MAX_LIST_BYTES = 1024, DEFAULT_LIMIT = 100 };

typedef struct choice {
    const char *tasks, *strategies, *quants, *instead, *html;
    int64_t limit, seed, max_tokens, repeat;
    double temperature;
    bool json, markdown, no_speed;
    policy_options policies;
    engine_settings engine;
} choice;

/* Everything that the entries' names point to. */
typedef struct cast {
    compare_entry entries[COMPARE_MAX_ENTRIES];
    size_t n;
    char labels[COMPARE_MAX_ENTRIES][256];
    fs_path files[COMPARE_MAX_ENTRIES]; /* quantised on the spot, in … */
    fs_path folder;                     /* … this one, removed at the end; "" = none */
    size_t n_files;
    char strategies[MAX_LIST_BYTES], quants[MAX_LIST_BYTES], tasks[MAX_LIST_BYTES];
    char insteads[MAX_LIST_BYTES];
    const char *strategy[MAX_LIST], *quant[MAX_LIST], *instead[MAX_LIST];
    size_t n_strategies, n_quants, n_instead;
    bool one_model; /* that strategies are tried on: rows go by the strategy */
    bool narrow; /* answers without a strategy are not drawn as those of strategies are */
    task *opened[COMPARE_MAX_TASKS];
    size_t n_tasks;
    double start_ms;
    const char *label; /* whom start_ms belongs to, … */
    const char *doing; /* … and what it was at */
} cast;

/* --- lists --- */

/* Parts `text` at its commas; `copy` holds the parts. */
static int split(char copy[MAX_LIST_BYTES], const char **items, size_t *n, const char *text,
                 const char *option, const cli_usage *usage) {
    if (!text) return CLI_PARSED;
    if (strlen(text) >= MAX_LIST_BYTES) return cli_wrong_use(usage, "%s is too long", option);
    strcpy(copy, text);
    for (char *at = copy; at; *n += 1) {
        char *comma = strchr(at, ',');
        if (comma) *comma = 0;
        if (*n == MAX_LIST || !*at)
            return cli_wrong_use(usage, "%s takes at most %d names with commas between them",
                                 option, MAX_LIST);
        items[*n] = at + strspn(at, " ");
        at = comma ? comma + 1 : NULL;
    }
    return CLI_PARSED;
}

static int check_names(const cast *c, const cli_usage *usage) {
    for (size_t i = 0; i < c->n_strategies; i++) {
        hone_strategy *s;
        if (hone_strategy_parse(&s, c->strategy[i]) != HONE_OK)
            return cli_wrong_use(usage, "%s (hone strategies lists them)", hone_error_message());
        hone_strategy_close(s);
    }
    for (size_t i = 0; i < c->n_quants; i++)
        if (!quant_mix_by_name(c->quant[i]))
            return cli_wrong_use(usage, "--quant: there is no type \"%s\"", c->quant[i]);
    return CLI_PARSED;
}

static int check_draws(const cast *x, const choice *c, const cli_usage *usage) {
    if (c->repeat > 1 && c->temperature == 0)
        return cli_wrong_use(usage, "--repeat needs a --temperature: greedy answers are all alike");
    if (x->n_instead && !x->n_strategies)
        return cli_wrong_use(usage, "--instead is for what stands beside --strategies");
    return CLI_PARSED;
}

static int open_tasks(cast *c, const char *list, const cli_usage *usage) {
    const char *names[MAX_LIST];
    size_t n = 0;
    int code = split(c->tasks, names, &n, list, "--tasks", usage);
    if (code != CLI_PARSED) return code;
    for (size_t i = 0; i < n; i++) {
        hone_status status = task_open(&c->opened[i], names[i], NULL);
        if (status != HONE_OK) return cli_fail(status);
        c->n_tasks++;
    }
    return CLI_PARSED;
}

/* --- who takes part --- */

static int add_entry(cast *c, const char *model, const char *shown, const char *strategy,
                     compare_role role, size_t base) {
    if (c->n == COMPARE_MAX_ENTRIES) {
        cli_error("more than %d to compare", COMPARE_MAX_ENTRIES);
        return CLI_USAGE;
    }
    char *label = c->labels[c->n];
    const char *what = role == COMPARE_ONE_DRAW  ? "one draw"
                       : role == COMPARE_CONTROL ? "A/A"
                                                 : strategy;
    if (role == COMPARE_MODEL) snprintf(label, 256, "%.200s", shown);
    else if (role == COMPARE_INSTEAD) snprintf(label, 256, "%.160s instead", shown);
    else if (c->one_model) snprintf(label, 256, "%.80s", what);
    else snprintf(label, 256, "%.160s, %.80s", shown, what);
    c->entries[c->n++] = (compare_entry){.label = label, .model = model, .strategy = strategy,
                                         .role = role, .base = base};
    return CLI_OK;
}

/* "models/a.gguf" as "a": what tells it from the others. */
static const char *short_name(const char *name, char *text, size_t n) {
    const char *slash = strrchr(name, '/'), *shown = slash && slash[1] ? slash + 1 : name;
    size_t length = strlen(shown);
    if (length > 5 && !strcmp(shown + length - 5, ".gguf")) length -= 5;
    snprintf(text, n, "%.*s", (int)length, shown);
    return text;
}

/* The model with each strategy; one answer and the controls come with them. */
static int add_model(cast *c, const char *model, const char *shown) {
    if (c->n_strategies == 0) return add_entry(c, model, shown, NULL, COMPARE_MODEL, 0);
    size_t none = c->n, drawn = c->n + c->narrow;
    int code = add_entry(c, model, shown, NONE, COMPARE_NONE, 0);
    if (code == CLI_OK && c->narrow)
        code = add_entry(c, model, shown, ONE_DRAW, COMPARE_ONE_DRAW, none);
    if (code == CLI_OK) code = add_entry(c, model, shown, CONTROL, COMPARE_CONTROL, drawn);
    for (size_t i = 0; i < c->n_strategies && code == CLI_OK; i++)
        if (strcmp(c->strategy[i], NONE))
            code = add_entry(c, model, shown, c->strategy[i], COMPARE_STRATEGY, none);
    return code;
}

static bool on_quantised(void *context, uint64_t done, uint64_t total) {
    cli_progress("%s: %.0f %% quantised", (const char *)context,
                 total ? 100.0 * (double)done / (double)total : 0);
    return !interrupt_seen();
}

static int make_folder(cast *c) {
    const char *where = getenv("TMPDIR");
    hone_status status = fs_path_format(&c->folder, "%s/hone-compare-XXXXXX",
                                        where && *where ? where : "/tmp");
    if (status == HONE_OK && !mkdtemp(c->folder.text)) {
        cli_error("%s: no folder can be made there", c->folder.text);
        c->folder.text[0] = 0;
        return CLI_FAILED;
    }
    return status == HONE_OK ? CLI_OK : cli_fail(status);
}

static int add_quantised(cast *c, const char *model, const char *type) {
    char shown[256], name[200], *in;
    fs_path *out = &c->files[c->n_files];
    int code = c->folder.text[0] ? CLI_OK : make_folder(c);
    if (code != CLI_OK) return code;
    snprintf(shown, sizeof shown, "%s as %s", short_name(model, name, sizeof name), type);
    hone_status status = store_resolve(model, &in);
    if (status != HONE_OK) return engine_fail_model(status, model);
    const recode_options options = {.observe = on_quantised, .context = shown};
    status = fs_path_format(out, "%s/%zu-%s.gguf", c->folder.text, c->n_files, type);
    if (status == HONE_OK)
        status = quantise_gguf(in, out->text, quant_mix_by_name(type), &options, NULL);
    cli_progress_clear();
    mem_free(in);
    if (status != HONE_OK) return cli_fail(status);
    c->n_files++;
    return add_model(c, out->text, shown);
}

static int add_all(cast *c, const cli_operands *operands) {
    int code = CLI_OK;
    for (size_t i = 0; i < operands->n && code == CLI_OK; i++) {
        char name[200];
        code = add_model(c, operands->items[i], short_name(operands->items[i], name, sizeof name));
        for (size_t k = 0; k < c->n_quants && code == CLI_OK; k++)
            code = add_quantised(c, operands->items[i], c->quant[k]);
    }
    for (size_t i = 0; i < c->n_instead && code == CLI_OK; i++) {
        char name[200];
        code = add_entry(c, c->instead[i], short_name(c->instead[i], name, sizeof name), NONE,
                         COMPARE_INSTEAD, 0);
    }
    return code;
}

/* --- telling --- */

static bool on_progress(void *context, const char *label, const char *doing, size_t n_done,
                        size_t n) {
    cast *c = context;
    if (c->label != label || c->doing != doing) c->start_ms = clock_ms();
    c->label = label;
    c->doing = doing;
    double left = n_done ? (clock_ms() - c->start_ms) / 1000 * (double)(n - n_done) / (double)n_done
                         : 0;
    cli_progress("%s: %s, %zu of %zu%s%.0f s left", label, doing, n_done, n, n_done ? ", " : "; ",
                 left);
    return !interrupt_seen();
}

static hone_status write_html(const record *kept, const char *path) {
    stored_result stored;
    buf page;
    if (!kept->id)
        return fail(HONE_ERR_IO, "%s: the result was not kept, so there is no page", path);
    TRY(results_get(kept->db, kept->id, &stored));
    buf_init(&page, REPORT_MAX_BYTES);
    hone_status status = report_html(&page, &stored, 1);
    if (status == HONE_OK) status = fs_write_file(path, page.data, page.len);
    buf_release(&page);
    result_release(&stored);
    return status;
}

/* --- the command --- */

static json_t *settings_json(const choice *c, const cast *x, const compare_settings *s) {
    json_t *tasks = json_array(), *entries = json_array();
    for (size_t i = 0; i < x->n_tasks; i++)
        json_array_append_new(tasks, json_string(x->opened[i]->name));
    for (size_t i = 0; i < x->n; i++)
        json_array_append_new(entries, cli_json_text(x->entries[i].label));
    json_t *root = json_pack(
        "{s:o, s:o, s:I, s:I, s:I, s:f, s:s, s:b, s:i}", "entries", entries, "tasks", tasks,
        "limit", (json_int_t)s->eval.limit, "seed", (json_int_t)s->eval.seed, "repeat",
        (json_int_t)c->repeat, "temperature", c->temperature, "kv",
        engine_kv_name(engine_kv_type(&c->engine)), "exact", c->engine.exact, "threads",
        s->n_threads);
    if (root) policies_add_settings(&c->policies, root);
    return root;
}

static int print_done(const comparison *done, const choice *c, json_t *json) {
    if (c->json) return cli_print_json(json_incref(json), false);
    return compare_print(done, c->markdown);
}

static int measure(cast *x, const choice *c, const cli_operands *operands) {
    hone_sampling sampling = hone_sampling_greedy();
    sampling.temperature = (float)c->temperature;
    sampling.seed = (uint64_t)c->seed;
    compare_settings settings = {
        .tasks = x->opened, .n_tasks = x->n_tasks, .exact = c->engine.exact,
        .kv = engine_kv_type(&c->engine), .measure_speed = !c->no_speed,
        .n_context = c->engine.context == CLI_UNSET ? 0 : (size_t)c->engine.context,
        .observe = on_progress, .context = x,
        .eval = {.sampling = &sampling, .repeat = (size_t)c->repeat,
                 .limit = c->limit == 0 ? 0 : (size_t)c->limit, .seed = (uint64_t)c->seed,
                 .max_tokens = c->max_tokens == CLI_UNSET ? 0 : (size_t)c->max_tokens,
                 /* a strategy makes answers: choices are asked for, not scored */
                 .by_answer = x->n_strategies > 0}};
    comparison done = {.entries = x->entries, .n_entries = x->n};
    record kept = {.id = 0};
    int code = engine_choose_threads(c->engine.threads, &settings.n_threads);
    if (code != CLI_OK) return code;
    for (size_t i = 0; i < operands->n && i < RECORD_MAX_MODELS; i++)
        record_add_model(&kept, "model", operands->items[i], NULL);
    record_begin(&kept, RESULT_COMPARE, settings_json(c, x, &settings));
    if (policy_options_are_set(&c->policies)) {
        code = policies_run(&c->policies, x->entries, x->n, &settings, &kept, c->json);
        record_release(&kept);
        return code;
    }
    interrupt_arm(NULL);
    hone_status status = compare_run(&done, &settings);
    interrupt_disarm();
    cli_progress_clear();
    if (status == HONE_OK) {
        validity doubts = {.n = 0};
        json_t *json = compare_to_json(&done);
        if (done.cancelled) validity_doubt(&doubts, VALIDITY_UNFINISHED, "it was ended early");
        RECORD(&kept, compare_store(&done, kept.db, kept.id));
        record_finish(&kept, &doubts, json);
        if (c->html) status = write_html(&kept, c->html);
        code = print_done(&done, c, json);
        json_decref(json);
    }
    compare_release(&done);
    record_release(&kept);
    if (status != HONE_OK) return cli_fail(status);
    return code == CLI_OK && interrupt_seen() ? CLI_INTERRUPTED : code;
}

static int compare(cast *x, const choice *c, const cli_operands *operands, const cli_usage *usage) {
    bool by_policy = policy_options_are_set(&c->policies);
    if (by_policy && (c->strategies || c->html))
        return cli_wrong_use(usage,
                             "--route and --cascade go neither with --strategies nor with --html");
    x->one_model = operands->n == 1 && !c->quants;
    x->narrow = c->temperature < DRAWN_FROM;
    int code = split(x->strategies, x->strategy, &x->n_strategies, c->strategies, "--strategies",
                     usage);
    if (code == CLI_PARSED)
        code = split(x->quants, x->quant, &x->n_quants, c->quants, "--quant", usage);
    if (code == CLI_PARSED)
        code = split(x->insteads, x->instead, &x->n_instead, c->instead, "--instead", usage);
    if (code == CLI_PARSED) code = check_names(x, usage);
    if (code == CLI_PARSED) code = check_draws(x, c, usage);
    if (code == CLI_PARSED) code = open_tasks(x, c->tasks, usage);
    if (code != CLI_PARSED) return code;
    code = add_all(x, operands);
    if (code == CLI_OK && x->n < 2)
        return cli_wrong_use(usage,
                             "there is one model: name another, or give --quant or --strategies");
    bool cascades = c->policies.cascade != CLI_UNSET;
    if (code == CLI_OK && cascades && (c->policies.route || x->n != 2))
        return cli_wrong_use(usage, "--cascade is for two models, and not beside --route");
    return code == CLI_OK ? measure(x, c, operands) : code;
}

int cmd_compare(int argc, char **argv) {
    choice c = {.tasks = DEFAULT_TASKS, .limit = DEFAULT_LIMIT, .seed = 1, .max_tokens = CLI_UNSET,
                .repeat = 1, .policies = POLICY_OPTIONS_UNSET, .engine = ENGINE_SETTINGS_UNSET};
    const cli_option options[] = {
        CLI_TEXT("tasks", 0, &c.tasks, "TASK[,TASK…]",
                 "what to try them on (default " DEFAULT_TASKS "); `hone tasks` lists them"),
        CLI_TEXT("strategies", 0, &c.strategies, "NAME[,NAME…]",
                 "each model with each of them, beside one answer of it; an A/A control (several "
                 "draws, of which the first is taken) comes with them"),
        CLI_TEXT("instead", 0, &c.instead, "MODEL[,MODEL…]",
                 "what the cost of strategies could buy: a larger model or a finer quantisation, with "
                 "one answer each, beside every strategy"),
        CLI_TEXT("quant", 0, &c.quants, "TYPE[,TYPE…]",
                 "each model also in these types, made on the spot"),
        CLI_INTEGER("limit", 'n', &c.limit, "N", 0, TASK_MAX_ITEMS,
                    "only so many items of a task, drawn by the seed; 0 = all (default 100)"),
        CLI_INTEGER("seed", 's', &c.seed, "N", 0, 9e18,
                    "of the draw and of the bootstrap (default 1)"),
        CLI_INTEGER("max-tokens", 0, &c.max_tokens, "N", 1, 1 << 20,
                    "most tokens of an answer (default: as the task says)"),
        CLI_INTEGER("repeat", 'r', &c.repeat, "N", 1, EVAL_MAX_REPEAT,
                    "answers to each item, drawn with a --temperature (default 1)"),
        CLI_REAL("temperature", 'T', &c.temperature, "X", 0, 100,
                 "of answers without a strategy, and the least of those with one (default 0: greedy; "
                 "strategies that need draws to differ use 0.7)"),
        CLI_FLAG("no-speed", 0, &c.no_speed, "measure quality alone"),
        CLI_TEXT("html", 0, &c.html, "FILE", "write a page with charts, too"),
        CLI_FLAG("markdown", 0, &c.markdown, "print tables as Markdown"),
        CLI_FLAG("json", 0, &c.json, "print one JSON object"),
        POLICY_OPTIONS(c.policies),
        CLI_HEADING("Engine"),
        ENGINE_SESSION_OPTIONS(c.engine),
        CLI_OPTIONS_END,
    };
    const cli_usage usage = {
        .command = "compare",
        .operands = "MODEL…",
        .about = "Puts models, quantisations or strategies side by side: size, memory, speed and "
                 "tasks with 95 % intervals, and for each pair whether they differ. All answer the "
                 "same items, so that differences are paired; \"not distinguishable\" is an answer, "
                 "with the number of items that it would take. An asterisk marks a number that "
                 "should not be relied on; the reasons stand below. Ctrl-C gives what there is.",
        .examples = "hone compare smollm2:135m qwen2.5:0.5b\n"
                    "hone compare smollm2:135m --quant Q8_0,Q4_0 --tasks knowledge --html report.html\n"
                    "hone compare smollm2:135m --strategies none,sc8,\"re2 & sc8\" --tasks arithmetic\n"
                    "hone compare smollm2:135m qwen2.5:0.5b --route --priority quality\n"
                    "hone compare smollm2:135m qwen2.5:1.5b --cascade 4 --tasks arithmetic\n",
        .options = options,
        .min_operands = 1,
        .max_operands = COMPARE_MAX_ENTRIES,
    };
    cli_operands operands;
    int code = cli_parse(&usage, argc, argv, &operands);
    if (code != CLI_PARSED) return code;
    cast *x = mem_calloc(1, sizeof *x);
    if (!x) return cli_fail(mem_fail("comparison", sizeof *x));
    code = compare(x, &c, &operands, &usage);
    for (size_t i = 0; i < x->n_tasks; i++) task_close(x->opened[i]);
    if (x->folder.text[0]) fs_remove_tree(x->folder.text);
    mem_free(x);
    return code;
}
