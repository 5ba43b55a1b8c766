/* `hone fidelity`: what a model lost against another one. */
#include "weights/fidelity.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/sha256.h"
#include "cli/cli.h"
#include "cli/engine.h"
#include "cli/interrupt.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/record.h"

enum { MAX_TEXT_BYTES = 1 << 30 };

static bool on_progress(void *context, size_t done, size_t total) {
    (void)context;
    cli_progress("compared %zu of %zu tokens", done, total);
    return !interrupt_seen();
}

typedef struct choice {
    const char *text_path;
    int64_t tokens, threads;
    bool exact, exact_reference, json;
} choice;

static bool reference_is_exact(const choice *c) { return c->exact || c->exact_reference; }

static json_t *estimate_json(const estimate *e) {
    return json_pack("{s:f, s:f, s:f}", "value", e->value, "low", e->low, "high", e->high);
}

static json_t *to_json(const fidelity *f, const char *reference, const char *candidate,
                       const char *text, const choice *c) {
    return json_pack(
        "{s:o, s:o, s:o, s:b, s:b, s:i, s:i, s:{s:f, s:f, s:f, s:f, s:f},"
        " s:{s:f, s:f, s:f, s:f, s:f, s:f, s:f}, s:o, s:o,"
        " s:{s:s, s:i, s:i, s:i, s:s}}",
        "reference", cli_json_text(reference), "candidate", cli_json_text(candidate), "text",
        cli_json_text(text), "exact", c->exact, "exact_reference", reference_is_exact(c),
        "n_tokens", (int)f->n_tokens, "window", (int)f->window,
        "perplexity", "reference", f->reference, "candidate", f->candidate, "ratio",
        f->ratio.value, "low", f->ratio.low, "high", f->ratio.high, "kl", "mean", f->kl.value,
        "low", f->kl.low, "high", f->kl.high, "p50", f->kl_p50, "p95", f->kl_p95, "p99", f->kl_p99,
        "max", f->kl_max, "top1", estimate_json(&f->top1), "right_token_change",
        estimate_json(&f->right), "interval", "kind", "paired block bootstrap, 95 %; top1: Wilson",
        "block", FIDELITY_BLOCK, "draws", STATS_DRAWS, "seed", FIDELITY_SEED, "form",
        "windows without overlap, second half scored");
}

static int print_page(const fidelity *f, const char *reference, const char *candidate,
                      const char *text, const choice *c) {
    cli_table t;
    cli_table_init(&t, "ll", NULL);
    cli_table_add(&t, "reference");
    cli_table_add(&t, "%s", reference);
    cli_table_add(&t, "candidate");
    cli_table_add(&t, "%s", candidate);
    cli_table_add(&t, "text");
    cli_table_add(&t, "%s: %zu tokens, the second half of windows of %zu", text, f->n_tokens,
                  f->window);
    cli_table_add(&t, "arithmetic");
    cli_table_add(&t, "%s%s", reference_is_exact(c) ? "exact" : "as it is used",
                  c->exact_reference ? " of the reference, as used of the candidate" : "");
    cli_table_add(&t, "perplexity");
    cli_table_add(&t, "%.4f and %.4f", f->reference, f->candidate);
    cli_table_add(&t, "ratio");
    cli_table_add(&t, "%.5f  (%.5f to %.5f)", f->ratio.value, f->ratio.low, f->ratio.high);
    cli_table_add(&t, "mean KL");
    cli_table_add(&t, "%.5f  (%.5f to %.5f) nats", f->kl.value, f->kl.low, f->kl.high);
    cli_table_add(&t, "KL");
    cli_table_add(&t, "median %.5f, 95 %% %.5f, 99 %% %.5f, most %.5f", f->kl_p50, f->kl_p95,
                  f->kl_p99, f->kl_max);
    cli_table_add(&t, "same first token");
    cli_table_add(&t, "%.2f %%  (%.2f to %.2f)", 100 * f->top1.value, 100 * f->top1.low,
                  100 * f->top1.high);
    cli_table_add(&t, "right token");
    cli_table_add(&t, "%+.3f %%  (%+.3f to %+.3f) of probability", 100 * f->right.value,
                  100 * f->right.low, 100 * f->right.high);
    cli_table_add(&t, "intervals");
    cli_table_add(&t, "95 %%; paired bootstrap of blocks of %d tokens, %d draws, seed %d; same "
                  "first token: Wilson", FIDELITY_BLOCK, STATS_DRAWS, FIDELITY_SEED);
    return cli_table_print(&t);
}

/* The third model against the second. */
static int print_difference(const estimate *d, const char *candidate, const char *other) {
    const char *verdict = d->low > 0 ? other : d->high < 0 ? candidate : NULL;
    printf("mean KL of %s minus that of %s: %+.5f  (%+.5f to %+.5f), paired: ", candidate, other,
           d->value, d->low, d->high);
    if (verdict) printf("%s is nearer to the reference\n", verdict);
    else printf("not distinguishable on this text\n");
    return CLI_OK;
}

/* --- keeping --- */

/* What was compared on: the text, and how it was cut. */
static hone_status hash_text(sha256_hex *hex, const char *text, size_t n_bytes, const fidelity *f) {
    char cut[80];
    sha256_hash hash;
    int n = snprintf(cut, sizeof cut, "window %zu, %zu tokens\n", f->window, f->n_tokens);
    hone_status status = sha256_init(&hash);
    if (status == HONE_OK) status = sha256_add(&hash, cut, (size_t)n);
    if (status == HONE_OK) status = sha256_add(&hash, text, n_bytes);
    if (status == HONE_OK) status = sha256_finish(&hash, hex);
    sha256_release(&hash);
    return status;
}

/* The candidate's numbers; `place` is its own among the result's models. */
static hone_status store_fidelity(const fidelity *f, size_t place, const char *items_hash,
                                  results *r, int64_t id) {
    char condition[32];
    snprintf(condition, sizeof condition, "candidate=%zu", place);
    const struct {
        const char *name, *unit;
        estimate value;
        int better;
    } rows[] = {
        {"perplexity_ratio", "ratio", f->ratio, -1},
        {"kl_mean", "nats", f->kl, -1},
        {"top1", "share", f->top1, 1},
        {"right_token_change", "share", f->right, 1},
        {"perplexity", "", {f->candidate, NAN, NAN}, -1},
        {"perplexity_of_reference", "", {f->reference, NAN, NAN}, 0},
        {"kl_p50", "nats", {f->kl_p50, NAN, NAN}, -1},
        {"kl_p95", "nats", {f->kl_p95, NAN, NAN}, -1},
        {"kl_p99", "nats", {f->kl_p99, NAN, NAN}, -1},
        {"kl_max", "nats", {f->kl_max, NAN, NAN}, -1},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const result_metric m = {.name = rows[i].name, .condition = condition, .unit = rows[i].unit,
                                 .value = rows[i].value.value, .low = rows[i].value.low,
                                 .high = rows[i].value.high, .n = f->n_tokens,
                                 .better = rows[i].better, .items_hash = items_hash};
        TRY(results_add_metrics(r, id, &m, 1));
    }
    return HONE_OK;
}

enum { MOST_MODELS = 3 };

typedef struct comparison {
    const choice *c;
    const char *names[MOST_MODELS]; /* reference, candidate and perhaps another one */
    hone_model *models[MOST_MODELS];
    size_t n_models;
    buf file;
    fidelity f[MOST_MODELS];
    fidelity_position *positions[MOST_MODELS];
    estimate difference;
    const char *text;
    size_t n_bytes;
    record kept;
} comparison;

static hone_status read_text(comparison *x) {
    x->text = own_text(0);
    x->n_bytes = strlen(x->text);
    if (!x->c->text_path) return HONE_OK;
    TRY(fs_read_file(&x->file, x->c->text_path));
    x->text = x->file.data ? x->file.data : "";
    x->n_bytes = x->file.len;
    return HONE_OK;
}

static hone_status compare(comparison *x) {
    const choice *c = x->c;
    for (size_t i = 1; i < x->n_models; i++) {
        const fidelity_options options = {
            .n_tokens = c->tokens == CLI_UNSET ? 0 : (size_t)c->tokens, .exact = c->exact,
            .exact_reference = c->exact_reference, .observe = on_progress,
            .positions = &x->positions[i]};
        TRY(fidelity_measure(&x->f[i], x->models[0], x->models[i], x->text, x->n_bytes, &options));
    }
    if (x->n_models < MOST_MODELS) return HONE_OK;
    return fidelity_difference(&x->difference, x->positions[1], x->positions[2], x->f[1].n_tokens);
}

static const char *text_name(const comparison *x) {
    return x->c->text_path ? x->c->text_path : own_text_name[0];
}

static json_t *all_to_json(const comparison *x) {
    json_t *root = to_json(&x->f[1], x->names[0], x->names[1], text_name(x), x->c);
    if (root && x->n_models == MOST_MODELS) {
        json_object_set_new(root, "other",
                            to_json(&x->f[2], x->names[0], x->names[2], text_name(x), x->c));
        json_object_set_new(root, "kl_difference", estimate_json(&x->difference));
    }
    return root;
}

static void keep_begin(comparison *x) {
    static const char *const roles[] = {"reference", "candidate", "candidate"};
    for (size_t i = 0; i < x->n_models; i++) {
        record_add_model(&x->kept, roles[i], x->names[i], x->models[i]);
    }
    record_begin(&x->kept, RESULT_FIDELITY,
                 json_pack("{s:o, s:b, s:b, s:i}", "text", cli_json_text(text_name(x)), "exact",
                           x->c->exact, "exact_reference", reference_is_exact(x->c),
                           "threads", hone_model_describe(x->models[0])->n_threads));
}

static void keep_end(comparison *x, json_t *json) {
    sha256_hex hex;
    validity v = {.n = 0};
    if (x->kept.id && hash_text(&hex, x->text, x->n_bytes, &x->f[1]) != HONE_OK) hex.text[0] = '\0';
    for (size_t i = 1; i < x->n_models; i++) {
        RECORD(&x->kept, store_fidelity(&x->f[i], i, hex.text, x->kept.db, x->kept.id));
    }
    record_finish(&x->kept, &v, json);
}

static int print_all(const comparison *x) {
    int code = CLI_OK;
    for (size_t i = 1; i < x->n_models && code == CLI_OK; i++) {
        if (i > 1) printf("\n");
        code = print_page(&x->f[i], x->names[0], x->names[i], text_name(x), x->c);
    }
    if (code == CLI_OK && x->n_models == MOST_MODELS) {
        printf("\n");
        code = print_difference(&x->difference, x->names[1], x->names[2]);
    }
    return code;
}

static int run(comparison *x) {
    for (size_t i = 0; i < x->n_models; i++) {
        int code = engine_open_model(&x->models[i], x->names[i], x->c->threads);
        if (code != CLI_OK) return code;
    }
    hone_status status = read_text(x);
    if (status != HONE_OK) return cli_fail(status);
    keep_begin(x);
    interrupt_arm(NULL);
    status = compare(x);
    interrupt_disarm();
    cli_progress_clear();
    if (status != HONE_OK) return cli_fail(status);
    json_t *json = all_to_json(x);
    keep_end(x, json);
    if (x->c->json) return cli_print_json(json, false);
    json_decref(json);
    return print_all(x);
}

int cmd_fidelity(int argc, char **argv) {
    choice c = {.tokens = CLI_UNSET, .threads = CLI_UNSET};
    const cli_option options[] = {
        CLI_TEXT("text", 0, &c.text_path, "FILE",
                 "compare on this text (default: a short one of hone's own)"),
        CLI_INTEGER("tokens", 'n', &c.tokens, "N", 64, 1 << 30, "read only so many tokens of it"),
        CLI_INTEGER("threads", 't', &c.threads, "N", 1, 1024,
                    "compute threads (default: $HONE_THREADS, or one for each usable core)"),
        CLI_FLAG("exact", 0, &c.exact,
                 "float activations and an f32 cache: only the weights differ"),
        CLI_FLAG("exact-reference", 0, &c.exact_reference,
                 "these for REFERENCE alone; with one file as both: what the faster arithmetic "
                 "costs here"),
        CLI_FLAG("json", 0, &c.json, "print one JSON object"),
        CLI_OPTIONS_END,
    };
    const cli_usage usage = {
        .command = "fidelity",
        .operands = "REFERENCE CANDIDATE [OTHER]",
        .about = "Says what CANDIDATE lost against REFERENCE, its original: both read the same text "
                 "in lock-step, and their probabilities are compared at every second half of 512 "
                 "tokens. Perplexities, KL divergence, how often the most probable token is the "
                 "same, each with a 95 % interval. With OTHER, a second candidate, also which of the two "
                 "is nearer.",
        .examples = "hone fidelity model-f16.gguf model-q4.gguf\n"
                    "hone fidelity model-f16.gguf model-q4.gguf --text book.txt --tokens 20000\n"
                    "hone fidelity model-q4.gguf model-q4.gguf --exact-reference\n",
        .options = options,
        .min_operands = 2,
        .max_operands = MOST_MODELS,
    };
    cli_operands operands;
    int code = cli_parse(&usage, argc, argv, &operands);
    if (code != CLI_PARSED) return code;
    if (c.exact && c.exact_reference)
        return cli_wrong_use(&usage, "--exact is for both models, --exact-reference for one");
    comparison x = {.c = &c, .n_models = operands.n};
    for (size_t i = 0; i < operands.n; i++) x.names[i] = operands.items[i];
    buf_init(&x.file, MAX_TEXT_BYTES);
    code = run(&x);
    record_release(&x.kept);
    buf_release(&x.file);
    for (size_t i = 0; i < MOST_MODELS; i++) {
        hone_model_close(x.models[i]);
        mem_free(x.positions[i]);
    }
    return code;
}
