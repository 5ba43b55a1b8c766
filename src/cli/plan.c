/* `hone plan`: which of some models fits into the memory there is, and with what settings. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "cli/cli.h"
#include "cli/engine.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/plan_machine.h"
#include "weights/store.h"

enum { MAX_CANDIDATES = 32 };

typedef struct candidate {
    const char *name;
    uint64_t file_bytes, step_bytes; /* of the file; read for each token */
    hone_fit fit;
    measured known;
    bool by_score; /* all that fit have one */
} candidate;

typedef struct plan {
    candidate items[MAX_CANDIDATES];
    size_t n;
    hone_fit_wish wish;
    cli_texts adapters;
    const char *task; /* NULL = none */
    plan_machine machine;
    store_listing listing; /* where no model was named */
} plan;

/* Better first: what fits with all that was wished for, then what gives up least (cache type,
 * slots, context), then the better score of the task where all have one, else the larger file,
 * which keeps more of the weights. What does not fit comes last, the smallest need first. */
static int by_merit(const void *a, const void *b) {
    const candidate *x = a, *y = b;
    if (x->fit.fits != y->fit.fits) return x->fit.fits ? -1 : 1;
    if (!x->fit.fits) return x->fit.bytes < y->fit.bytes ? -1 : x->fit.bytes > y->fit.bytes;
    unsigned dear = HONE_GAVE_UP_SLOTS | HONE_GAVE_UP_CONTEXT;
    unsigned lost_x = x->fit.gave_up & dear, lost_y = y->fit.gave_up & dear;
    if (lost_x != lost_y) return lost_x < lost_y ? -1 : 1;
    double score_x = x->known.score.e.value, score_y = y->known.score.e.value;
    if (x->by_score && score_x != score_y) return score_x > score_y ? -1 : 1;
    if (x->file_bytes != y->file_bytes) return x->file_bytes > y->file_bytes ? -1 : 1;
    return 0;
}

/* A database that cannot be read leaves estimates. */
static void recall(plan *p, candidate *c) {
    char *path;
    if (!p->machine.db || store_resolve(c->name, &path) != HONE_OK) return;
    if (measured_find(&c->known, p->machine.db, p->machine.fingerprint, path, p->task) != HONE_OK)
        c->known = (measured){.decode.result = 0};
    mem_free(path);
}

static int look(plan *p, const char *name, int n_threads) {
    hone_model *model;
    hone_status status = engine_look_at_model(&model, name, n_threads);
    if (status != HONE_OK) return engine_fail_model(status, name);
    adapter_list adapters;
    int code = adapter_option_open(&adapters, &p->adapters, model);
    if (code == CLI_OK) {
        hone_fit_wish wish = p->wish;
        wish.adapters = adapters.items;
        wish.n_adapters = adapters.n;
        candidate *c = &p->items[p->n++];
        *c = (candidate){.name = name, .file_bytes = hone_model_describe(model)->file_bytes,
                         .step_bytes = hone_model_describe(model)->step_bytes};
        recall(p, c);
        status = hone_fit_model(&c->fit, model, &wish);
        if (status != HONE_OK) code = cli_fail(status);
    }
    adapter_option_close(&adapters);
    hone_model_close(model);
    return code;
}

/* --- what was given up --- */

static const struct {
    unsigned bit;
    const char *word;
} losses[] = {{HONE_GAVE_UP_CACHE_TYPE, "cache type"}, {HONE_GAVE_UP_SLOTS, "slots"},
              {HONE_GAVE_UP_CONTEXT, "context"}};

enum { N_LOSSES = sizeof losses / sizeof *losses };

static const char *losses_text(cli_text *t, unsigned gave_up) {
    size_t at = 0;
    t->text[0] = 0;
    for (size_t i = 0; i < N_LOSSES; i++)
        if (gave_up & losses[i].bit)
            at += (size_t)snprintf(t->text + at, sizeof t->text - at, "%s%s", at ? ", " : "",
                                   losses[i].word);
    return t->text[0] ? t->text : "nothing";
}

static json_t *losses_json(unsigned gave_up) {
    json_t *list = json_array();
    for (size_t i = 0; i < N_LOSSES; i++)
        if (gave_up & losses[i].bit) json_array_append_new(list, json_string(losses[i].word));
    return list;
}

/* --- printing --- */

/* The least time that reading all weights once takes; 0 = unknown. */
static double most_tokens_per_s(const plan *p, const candidate *c) {
    return c->step_bytes ? p->machine.read_bytes_per_s / (double)c->step_bytes : 0;
}

static bool is_measured(const plan *p, const candidate *c) {
    return c->known.decode.result && (!p->task || c->known.score.result);
}

static json_t *figure_json(const measured_figure *f) {
    return json_pack("{s:f, s:f, s:f, s:s, s:I}", "value", f->e.value, "low", f->e.low, "high",
                     f->e.high, "source", "measured", "result", (json_int_t)f->result);
}

static json_t *decode_json(const plan *p, const candidate *c) {
    double most = most_tokens_per_s(p, c);
    if (c->known.decode.result) return figure_json(&c->known.decode);
    if (most <= 0) return json_null();
    return json_pack("{s:f, s:s, s:s}", "value", most, "source", "estimated", "estimate",
                     "upper bound: bytes of weights read for a token, over the memory's speed");
}

static json_t *row_json(const plan *p, const candidate *c) {
    const hone_fit *f = &c->fit;
    json_t *row =
        json_pack("{s:o, s:o, s:I, s:I, s:s, s:b, s:o, s:I, s:I, s:I, s:I, s:I, s:I, s:s}",
                  "model", cli_json_text(c->name), "file", cli_json_text(c->name), "context",
                  (json_int_t)f->settings.n_context, "slots", (json_int_t)f->settings.n_slots,
                  "kv", engine_kv_name(f->settings.exact ? HONE_KV_F32 : f->settings.kv),
                  "fits", f->fits, "gave_up", losses_json(f->gave_up), "weights_bytes",
                  (json_int_t)f->memory.weights, "kv_bytes", (json_int_t)f->memory.kv,
                  "activations_bytes", (json_int_t)f->memory.activations, "tables_bytes",
                  (json_int_t)f->memory.tables, "bytes", (json_int_t)f->bytes, "left",
                  (json_int_t)f->limit - (json_int_t)f->bytes, "source",
                  is_measured(p, c) ? "measured" : "estimated");
    json_object_set_new(row, "decode", decode_json(p, c));
    if (p->task)
        json_object_set_new(row, "score", c->known.score.result ? figure_json(&c->known.score)
                                                                : json_null());
    return row;
}

static int print_json(const plan *p) {
    json_t *rows = json_array();
    for (size_t i = 0; i < p->n; i++) json_array_append_new(rows, row_json(p, &p->items[i]));
    return cli_print_json(json_pack("{s:b, s:I, s:o, s:f, s:s?, s:o}", "fits",
                                    p->items[0].fit.fits, "memory_bytes",
                                    (json_int_t)p->items[0].fit.limit, "machine",
                                    cli_json_text(p->machine.name), "read_bytes_per_s",
                                    p->machine.read_bytes_per_s, "task", p->task, "rows", rows),
                          false);
}

/* Tokens/s; what is not measured is a bound. */
static void add_decode(cli_table *t, const plan *p, const candidate *c) {
    double most = most_tokens_per_s(p, c);
    if (c->known.decode.result) cli_table_add(t, "%.1f measured", c->known.decode.e.value);
    else if (most > 0) cli_table_add(t, "up to %.0f", most);
    else cli_table_add(t, "?");
}

static void add_score(cli_table *t, const candidate *c) {
    const estimate *e = &c->known.score.e;
    if (c->known.score.result) cli_table_add(t, "%.3f (%.3f to %.3f)", e->value, e->low, e->high);
    else cli_table_add(t, "not measured");
}

static int print_table(const plan *p) {
    static const char *const headers[] = {"MODEL", "CONTEXT", "SLOTS", "CACHE", "NEEDS", "LEFT",
                                          "TOKENS/S", "GIVEN UP"};
    const char *with_task[] = {"MODEL", "CONTEXT", "SLOTS", "CACHE", "NEEDS", "LEFT", "TOKENS/S",
                               p->task, "GIVEN UP"};
    cli_table t;
    cli_text bytes, left, lost;
    cli_table_init(&t, p->task ? "lrrlrrrll" : "lrrlrrrl", p->task ? with_task : headers);
    for (size_t i = 0; i < p->n; i++) {
        const hone_fit *f = &p->items[i].fit;
        cli_table_add(&t, "%s", p->items[i].name);
        cli_table_add(&t, "%zu", f->settings.n_context);
        cli_table_add(&t, "%zu", f->settings.n_slots);
        cli_table_add(&t, "%s", engine_kv_name(f->settings.exact ? HONE_KV_F32 : f->settings.kv));
        cli_table_add(&t, "%s", cli_format_bytes(&bytes, f->bytes));
        cli_table_add(&t, "%s", f->fits ? cli_format_bytes(&left, f->limit - f->bytes) : "-");
        add_decode(&t, p, &p->items[i]);
        if (p->task) add_score(&t, &p->items[i]);
        cli_table_add(&t, "%s", f->fits ? losses_text(&lost, f->gave_up) : "does not fit");
    }
    return cli_table_print(&t);
}

static int tell_that_nothing_fits(const plan *p) {
    const candidate *c = &p->items[0];
    cli_text limit, need, missing;
    cli_error("nothing fits into %s; the smallest is %s with a context of %zu: it needs %s, which "
              "is %s more", cli_format_bytes(&limit, c->fit.limit), c->name,
              c->fit.settings.n_context, cli_format_bytes(&need, c->fit.bytes),
              cli_format_bytes(&missing, c->fit.bytes - c->fit.limit));
    return CLI_NOT_MET;
}

/* Whether scores can order what fits; whether a speed has to be estimated. */
static void note_scores(plan *p) {
    bool all = p->task != NULL;
    for (size_t i = 0; i < p->n; i++)
        all &= !p->items[i].fit.fits || p->items[i].known.score.result;
    for (size_t i = 0; i < p->n; i++) p->items[i].by_score = all;
}

static bool needs_limits(const plan *p) {
    for (size_t i = 0; i < p->n; i++)
        if (p->items[i].fit.fits && !p->items[i].known.decode.result) return true;
    return false;
}

/* Every text model of the store; what cannot be looked at is left out. */
static int look_at_store(plan *p, int n_threads) {
    store *s;
    hone_status status = store_open(&s, NULL);
    if (status != HONE_OK) return cli_fail(status);
    status = store_list(s, true, &p->listing);
    store_close(s);
    if (status != HONE_OK) return cli_fail(status);
    for (size_t i = 0; i < p->listing.n && p->n < MAX_CANDIDATES; i++) {
        const char *name = p->listing.entries[i]->manifest.name.text;
        hone_model *model;
        if (engine_look_at_model(&model, name, n_threads) != HONE_OK) continue;
        bool takes_text = hone_model_describe(model)->takes_text;
        hone_model_close(model);
        int code = takes_text ? look(p, name, n_threads) : CLI_OK;
        if (code != CLI_OK) return code;
    }
    if (p->n) return CLI_OK;
    cli_error("the store holds no text model; name one, or fetch one (hone pull smollm2:135m)");
    return CLI_USAGE;
}

static int run_plan(plan *p, const cli_operands *operands, int64_t threads, bool json) {
    int n_threads = p->machine.n_cores, code = CLI_OK;
    if (p->machine.is_this_one || n_threads == 0 || threads != CLI_UNSET)
        code = engine_choose_threads(threads, &n_threads);
    if (p->wish.memory == 0) p->wish.memory = p->machine.memory;
    for (size_t i = 0; code == CLI_OK && i < operands->n; i++)
        code = look(p, operands->items[i], n_threads);
    if (code == CLI_OK && operands->n == 0) code = look_at_store(p, n_threads);
    if (code != CLI_OK) return code;
    if (needs_limits(p)) {
        hone_status status = plan_machine_look_at_limits(&p->machine, n_threads);
        if (status != HONE_OK) return cli_fail(status);
    }
    note_scores(p);
    qsort(p->items, p->n, sizeof *p->items, by_merit);
    bool fits = p->items[0].fit.fits;
    code = json ? print_json(p) : fits ? print_table(p) : CLI_OK;
    if (code != CLI_OK) return code;
    return fits ? CLI_OK : tell_that_nothing_fits(p);
}

int cmd_plan(int argc, char **argv) {
    plan p = {.n = 0};
    const char *memory = NULL, *machine = NULL;
    int64_t context = CLI_UNSET, slots = CLI_UNSET, threads = CLI_UNSET;
    bool json = false;
    const cli_option options[] = {
        CLI_TEXT("memory", 'm', &memory, "SIZE",
                 "bytes that the process may use, as 16G or 900M (default: what is free now, the "
                 "container's limit included)"),
        CLI_TEXT("machine", 0, &machine, "FILE",
                 "plan for the machine that this file describes (JSON: memory, cores, "
                 "read_bytes_per_s)"),
        CLI_TEXT("task", 0, &p.task, "TASK",
                 "also tell how well each did this task here (hone eval)"),
        CLI_INTEGER("context", 'c', &context, "N", 1, 1 << 30,
                    "tokens of each slot (default: 4096, and more where it fits)"),
        CLI_INTEGER("slots", 0, &slots, "N", 1, 1024, "answers at a time (default 1)"),
        ADAPTER_OPTION(&p.adapters, "with this adapter beside each model; repeatable"),
        CLI_FLAG("exact", 0, &p.wish.exact, "plan for the exact mode"),
        CLI_INTEGER("threads", 't', &threads, "N", 1, 1024,
                    "compute threads (default: $HONE_THREADS, or one for each usable core)"),
        CLI_FLAG("json", 0, &json, "print one JSON object"),
        CLI_OPTIONS_END,
    };
    const cli_usage usage = {
        .command = "plan",
        .operands = "[MODEL…]",
        .about = "Says which of the models fits into the memory, with what context, slots and "
                 "cache, and what had to be given up for it. The best comes first: the largest "
                 "file that needs to give up the least, or with --task the one that did best. "
                 "Without a MODEL all of the store are looked at. Speeds and scores are those that "
                 "were measured (hone bench, hone eval); a speed that was not is bounded by how "
                 "fast memory is read. Where nothing fits it names the smallest "
                 "need and ends with code 3.",
        .examples = "hone plan smollm2:135m --memory 1G\n"
                    "hone plan --memory 16G --task knowledge\n"
                    "hone plan --machine laptop.json --json\n"
                    "hone plan q8.gguf q6.gguf q4.gguf --memory 6G --context 8192 --slots 4\n",
        .options = options,
        .max_operands = MAX_CANDIDATES,
    };
    cli_operands operands;
    int code = cli_parse(&usage, argc, argv, &operands);
    if (code != CLI_PARSED) return code;
    if (memory && !cli_parse_bytes(memory, &p.wish.memory))
        return cli_wrong_use(&usage, "--memory takes a size such as 16G or 900M, not \"%s\"",
                             memory);
    if (context != CLI_UNSET) p.wish.n_context = (size_t)context;
    if (slots != CLI_UNSET) p.wish.n_slots = (size_t)slots;
    code = plan_machine_open(&p.machine, machine);
    if (code == CLI_OK) code = run_plan(&p, &operands, threads, json);
    plan_machine_release(&p.machine);
    store_listing_release(&p.listing);
    return code;
}
