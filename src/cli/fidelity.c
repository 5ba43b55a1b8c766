/* `hone fidelity`: what a model lost against another one. */
#include "weights/fidelity.h"

#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/fs.h"
#include "cli/cli.h"
#include "cli/engine.h"
#include "cli/interrupt.h"
#include "cli/options.h"
#include "cli/output.h"

enum { MAX_TEXT_BYTES = 1 << 30 };

static bool on_progress(void *context, size_t done, size_t total) {
    (void)context;
    cli_progress("compared %zu of %zu tokens", done, total);
    return !interrupt_seen();
}

static json_t *estimate_json(const estimate *e) {
    return json_pack("{s:f, s:f, s:f}", "value", e->value, "low", e->low, "high", e->high);
}

static json_t *to_json(const fidelity *f, const char *reference, const char *candidate,
                       const char *text, bool exact) {
    return json_pack(
        "{s:o, s:o, s:o, s:b, s:i, s:i, s:{s:f, s:f, s:f, s:f, s:f},"
        " s:{s:f, s:f, s:f, s:f, s:f, s:f, s:f}, s:o, s:o,"
        " s:{s:s, s:i, s:i, s:i, s:s}}",
        "reference", cli_json_text(reference), "candidate", cli_json_text(candidate), "text",
        cli_json_text(text), "exact", exact, "n_tokens", (int)f->n_tokens, "window", (int)f->window,
        "perplexity", "reference", f->reference, "candidate", f->candidate, "ratio",
        f->ratio.value, "low", f->ratio.low, "high", f->ratio.high, "kl", "mean", f->kl.value,
        "low", f->kl.low, "high", f->kl.high, "p50", f->kl_p50, "p95", f->kl_p95, "p99", f->kl_p99,
        "max", f->kl_max, "top1", estimate_json(&f->top1), "right_token_change",
        estimate_json(&f->right), "interval", "kind", "paired block bootstrap, 95 %; top1: Wilson",
        "block", FIDELITY_BLOCK, "draws", FIDELITY_DRAWS, "seed", FIDELITY_SEED, "form",
        "windows without overlap, second half scored");
}

static int print_page(const fidelity *f, const char *reference, const char *candidate,
                      const char *text) {
    cli_table t;
    cli_table_init(&t, "ll", NULL);
    cli_table_add(&t, "reference");
    cli_table_add(&t, "%s", reference);
    cli_table_add(&t, "candidate");
    cli_table_add(&t, "%s", candidate);
    cli_table_add(&t, "text");
    cli_table_add(&t, "%s: %zu tokens, the second half of windows of %zu", text, f->n_tokens,
                  f->window);
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
                  "first token: Wilson", FIDELITY_BLOCK, FIDELITY_DRAWS, FIDELITY_SEED);
    return cli_table_print(&t);
}

typedef struct choice {
    const char *text_path;
    int64_t tokens, threads;
    bool exact, json;
} choice;

static int compare(const char *const *names, hone_model *const *models, const choice *c) {
    buf file;
    buf_init(&file, MAX_TEXT_BYTES);
    hone_status status = c->text_path ? fs_read_file(&file, c->text_path) : HONE_OK;
    const char *text = c->text_path ? file.data : own_text(0);
    size_t n_bytes = c->text_path ? file.len : strlen(text);
    const fidelity_options options = {.n_tokens = c->tokens == CLI_UNSET ? 0 : (size_t)c->tokens,
                                      .exact = c->exact,
                                      .observe = on_progress};
    fidelity f;
    interrupt_arm(NULL);
    if (status == HONE_OK)
        status = fidelity_measure(&f, models[0], models[1], text ? text : "", n_bytes, &options);
    interrupt_disarm();
    cli_progress_clear();
    buf_release(&file);
    if (status != HONE_OK) return cli_fail(status);
    const char *text_name = c->text_path ? c->text_path : own_text_name[0];
    return c->json ? cli_print_json(to_json(&f, names[0], names[1], text_name, c->exact), false)
                   : print_page(&f, names[0], names[1], text_name);
}

int cmd_fidelity(int argc, char **argv) {
    choice c = {.tokens = CLI_UNSET, .threads = CLI_UNSET};
    const cli_option options[] = {
        CLI_TEXT("text", 0, &c.text_path, "FILE",
                 "compare on this text (default: a short one of hone's own)"),
        CLI_INTEGER("tokens", 'n', &c.tokens, "N", 64, 1 << 30, "read only so many tokens of it"),
        CLI_INTEGER("threads", 't', &c.threads, "N", 1, 1024,
                    "compute threads (default: $HONE_THREADS, or one for each usable core)"),
        CLI_FLAG("exact", 0, &c.exact, "float activations and an f32 cache: only the weights differ"),
        CLI_FLAG("json", 0, &c.json, "print one JSON object"),
        CLI_OPTIONS_END,
    };
    const cli_usage usage = {
        .command = "fidelity",
        .operands = "REFERENCE CANDIDATE",
        .about = "Says what CANDIDATE lost against REFERENCE, its original: both read the same text "
                 "in lock-step, and their probabilities are compared at every second half of 512 "
                 "tokens. Perplexities, KL divergence, how often the most probable token is the "
                 "same, each with a 95 % interval.",
        .examples = "hone fidelity model-f16.gguf model-q4.gguf\n"
                    "hone fidelity model-f16.gguf model-q4.gguf --text book.txt --tokens 20000\n",
        .options = options,
        .min_operands = 2,
        .max_operands = 2,
    };
    cli_operands operands;
    int code = cli_parse(&usage, argc, argv, &operands);
    if (code != CLI_PARSED) return code;
    const char *names[2] = {operands.items[0], operands.items[1]};
    hone_model *models[2] = {NULL, NULL};
    code = engine_open_model(&models[0], names[0], c.threads);
    if (code == CLI_OK) code = engine_open_model(&models[1], names[1], c.threads);
    if (code == CLI_OK) code = compare(names, models, &c);
    hone_model_close(models[0]);
    hone_model_close(models[1]);
    return code;
}
