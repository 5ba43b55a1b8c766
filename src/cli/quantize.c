/* `hone quantize`: a GGUF file with its weights in another type. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "cli/cli.h"
#include "cli/interrupt.h"
#include "cli/output.h"
#include "cli/recoding.h"
#include "weights/quantise_goal.h"

enum { MAX_RULES = 32, MAX_TEXT_BYTES = 1 << 30 };

/* Models larger than this are measured on the first window of hone's own text, which keeps the
 * measuring shorter than the writing. */
#define LARGE_BYTES ((off_t)1 << 30)
enum { LARGE_TOKENS = 512 };

/* What was typed. */
typedef struct request {
    recoding r;
    cli_texts rules;
    const char *importance, *text, *calibration, *target_size;
    uint64_t target_bytes; /* 0: none */
    double max_loss;       /* NAN: none */
    bool no_fidelity;
} request;

/* What it comes to. */
typedef struct work {
    quantise_plan plan;
    quantise_rule rules[MAX_RULES];
    char patterns[MAX_RULES][128];
    imatrix importance;
    bool has_importance;
    buf text, calibration;
    quantise_text measure;
} work;

static bool has_goal(const request *q) { return q->target_bytes || !isnan(q->max_loss); }

/* "1.2G", "700M", "512MiB", "100000": bytes; false for anything else. */
static bool read_size(const char *text, uint64_t *bytes) {
    static const struct {
        const char *unit;
        double factor;
    } units[] = {{"", 1}, {"K", 1e3}, {"M", 1e6}, {"G", 1e9}, {"KB", 1e3}, {"MB", 1e6}, {"GB", 1e9},
                 {"KiB", 1024}, {"MiB", 1048576}, {"GiB", 1073741824}};
    char *end;
    double value = strtod(text, &end);
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        if (strcasecmp(end, units[i].unit) != 0 || end == text) continue;
        value *= units[i].factor;
        *bytes = value >= 1 && value < 1e18 ? (uint64_t)value : 0;
        return *bytes > 0;
    }
    return false;
}

static bool on_compared(void *context, size_t done, size_t total) {
    (void)context;
    cli_progress("compared %zu of %zu tokens", done, total);
    return !interrupt_seen();
}

/* "PATTERN=TYPE" */
static int read_rule(work *w, const char *typed, const cli_usage *usage) {
    const char *equals = strrchr(typed, '=');
    size_t i = w->plan.n_rules, n = equals ? (size_t)(equals - typed) : 0;
    if (n == 0 || n >= sizeof w->patterns[i])
        return cli_wrong_use(usage, "--tensor-type takes PATTERN=TYPE, not \"%s\"", typed);
    if (!quantise_type_by_name(equals + 1, &w->rules[i].type))
        return cli_wrong_use(usage, "--tensor-type: there is no type \"%s\" for weights",
                             equals + 1);
    memcpy(w->patterns[i], typed, n);
    w->patterns[i][n] = 0;
    w->rules[i].pattern = w->patterns[i];
    w->plan.n_rules++;
    return CLI_PARSED;
}

static const char *file_name(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static hone_status load_importance(work *w, const char *path) {
    if (!path) return HONE_OK;
    TRY(imatrix_open(&w->importance, path));
    w->has_importance = true;
    w->plan.importance = &w->importance;
    w->plan.importance_file = file_name(path);
    return HONE_OK;
}

static bool is_large(const char *path) {
    struct stat st;
    return stat(path, &st) == 0 && st.st_size > LARGE_BYTES;
}

static hone_status load_text(work *w, const request *q, const char *in) {
    if (q->no_fidelity) return HONE_OK;
    w->measure = (quantise_text){.text = own_text(0), .name = own_text_name[0],
                                 .must_work = q->text != NULL, .observe = on_compared};
    if (q->text) {
        TRY(fs_read_file(&w->text, q->text));
        w->measure.text = w->text.data ? w->text.data : "";
        w->measure.name = q->text;
        w->measure.n_bytes = w->text.len;
    } else {
        w->measure.n_bytes = strlen(w->measure.text);
        w->measure.n_tokens = is_large(in) ? LARGE_TOKENS : 0;
    }
    w->plan.text = &w->measure;
    return HONE_OK;
}

static void add_class(void *user, const char *class_name, const char *type, size_t n_tensors,
                      uint64_t n_bytes) {
    cli_table *t = user;
    cli_text size;
    cli_table_add(t, "%s", class_name);
    cli_table_add(t, "%s", type);
    cli_table_add(t, "%zu", n_tensors);
    cli_table_add(t, "%s", cli_format_bytes(&size, n_bytes));
}

static int print_classes(const char *out) {
    cli_table t;
    static const char *const headers[] = {"tensors", "type", "number", "size"};
    cli_table_init(&t, "llrr", headers);
    hone_status status = quantise_each_class(out, add_class, &t);
    int code = cli_table_print(&t);
    return status == HONE_OK ? code : cli_fail(status);
}

static int report(const char *in, const char *out, const request *q, const quantise_result *done) {
    cli_text before, after;
    if (done->lossy_type)
        fprintf(stderr, "hone: warning: %s was quantised already (%s); what that lost is lost on "
                "top. Start from F16 or F32 where you can\n", in, done->lossy_type);
    printf("%s: %s, %s (from %s)\n", out,
           q->r.mix ? quant_mix_name(q->r.mix) : "types by their cost",
           cli_format_bytes(&after, done->out_bytes), cli_format_bytes(&before, done->in_bytes));
    int code = print_classes(out);
    if (done->no_fidelity[0])
        fprintf(stderr, "hone: no fidelity record: %s\n", done->no_fidelity);
    if (!done->has_fidelity) return code;
    const fidelity *f = &done->fidelity;
    printf("against %s on %zu tokens: perplexity × %.4f (%.4f to %.4f), KL %.5f (%.5f to %.5f), "
           "same first token %.1f %% (%.1f to %.1f)\n", file_name(in), f->n_tokens, f->ratio.value,
           f->ratio.low, f->ratio.high, f->kl.value, f->kl.low, f->kl.high, 100 * f->top1.value,
           100 * f->top1.low, 100 * f->top1.high);
    return code;
}

static bool on_goal(void *context, const char *what, size_t done, size_t total) {
    (void)context;
    cli_progress("%s %zu of %zu", what, done, total);
    return !interrupt_seen();
}

static hone_status quantise_by_cost(const char *in, const char *out, request *q, work *w,
                                    quantise_result *done) {
    quantise_goal goal = {.target_bytes = q->target_bytes,
                          .max_loss = isnan(q->max_loss) ? 0.0 : q->max_loss,
                          .text = own_text(1), .text_name = own_text_name[1], .observe = on_goal};
    quant_choice choice;
    if (q->calibration) {
        TRY(fs_read_file(&w->calibration, q->calibration));
        goal.text = w->calibration.data ? w->calibration.data : "";
        goal.text_name = file_name(q->calibration);
    }
    goal.n_bytes = q->calibration ? w->calibration.len : strlen(goal.text);
    TRY(quantise_to_goal(in, out, &goal, &w->plan, &q->r.options, done, &choice));
    quant_choice_release(&choice);
    return HONE_OK;
}

static int quantise(const char *in, const char *out, request *q, work *w) {
    quantise_result done = {.in_bytes = 0};
    w->plan.mix = q->r.mix;
    w->plan.rules = w->rules;
    hone_status status = load_importance(w, q->importance);
    if (status == HONE_OK) status = load_text(w, q, in);
    if (status == HONE_OK && has_goal(q)) status = quantise_by_cost(in, out, q, w, &done);
    else if (status == HONE_OK)
        status = quantise_gguf_by(in, out, &w->plan, &q->r.options, &done);
    int code = recoding_finish(status);
    if (has_goal(q) && status == HONE_ERR_NOT_FOUND && access(in, F_OK) == 0) code = CLI_NOT_MET;
    return code == CLI_OK ? report(in, out, q, &done) : code;
}

static int check_goal(request *q, const cli_usage *usage) {
    if (q->target_size && !read_size(q->target_size, &q->target_bytes))
        return cli_wrong_use(usage, "--target-size takes a size such as 1.2G or 700M, not \"%s\"",
                             q->target_size);
    int n = (q->r.type != NULL) + (q->target_bytes > 0) + !isnan(q->max_loss);
    if (n == 0) return cli_wrong_use(usage, "to which type? --type says so");
    if (n > 1)
        return cli_wrong_use(usage, "--type, --target-size and --max-loss exclude each other");
    if (q->calibration && q->r.type)
        return cli_wrong_use(usage,
                             "--text is for --target-size and --max-loss; hone calibrate makes "
                             "importance data for a type");
    if (!isnan(q->max_loss) && q->no_fidelity)
        return cli_wrong_use(usage, "--max-loss has to measure: leave --no-fidelity away");
    return CLI_PARSED;
}

int cmd_quantize(int argc, char **argv) {
    request q = {.r = {.threads = CLI_UNSET}, .max_loss = NAN};
    const cli_option options[] = {
        RECODING_OPTIONS(&q.r, "F32, F16, BF16, Q8_0, Q6_K, Q5_K_M, Q5_K_S, Q5_0, Q5_1, Q4_K_M, "
                               "Q4_K_S, IQ4_NL, IQ4_XS, Q4_0, Q4_1, Q3_K_L, Q3_K_M, Q3_K_S, Q2_K"),
        CLI_TEXTS("tensor-type", 0, &q.rules, "PATTERN=TYPE",
                  "tensors of that name get this type (attn_v=Q8_0, 'blk.0.*=F16'); repeatable, the "
                  "first that fits decides"),
        CLI_TEXT("imatrix", 0, &q.importance, "FILE",
                 "importance data from hone calibrate or llama.cpp"),
        CLI_TEXT("target-size", 0, &q.target_size, "SIZE",
                 "in place of --type: choose each tensor's type so that the file has at most this "
                 "size (1.2G, 700M, 512MiB) and loses the least"),
        CLI_REAL("max-loss", 0, &q.max_loss, "KL", 1e-6, 100,
                 "in place of --type: choose the smallest file whose mean KL divergence from IN is "
                 "at most this (0.02 is little, 0.2 is much)"),
        CLI_TEXT("text", 0, &q.calibration, "FILE",
                 "measure each tensor's sensitivity on this text (default: a short one of hone's "
                 "own)"),
        CLI_TEXT("fidelity", 0, &q.text, "FILE",
                 "measure what was lost on this text (default: a short one of hone's own)"),
        CLI_FLAG("no-fidelity", 0, &q.no_fidelity, "do not measure; the file has no record then"),
        CLI_OPTIONS_END,
    };
    const cli_usage usage = {
        .command = "quantize",
        .operands = "IN OUT",
        .about = "Writes the GGUF file IN as OUT with its weights in another type. A split file is "
                 "joined. OUT appears when it is complete, and says what it lost against IN.",
        .examples = "hone quantize model-f16.gguf model-q4.gguf --type Q4_K_M\n"
                    "hone quantize model-f16.gguf model-q4.gguf --type Q4_K_M --imatrix "
                    "model.imatrix\n"
                    "hone quantize model-f16.gguf model-q4.gguf --target-size 1.2G\n",
        .options = options,
        .min_operands = 2,
        .max_operands = 2};
    cli_operands operands;
    int code = cli_parse(&usage, argc, argv, &operands);
    if (code != CLI_PARSED) return code;
    code = check_goal(&q, &usage);
    if (code != CLI_PARSED) return code;
    work w = {.has_importance = false};
    for (size_t i = 0; i < q.rules.n; i++) {
        code = read_rule(&w, q.rules.items[i], &usage);
        if (code != CLI_PARSED) return code;
    }
    code = recoding_prepare(&q.r, &usage);
    if (code != CLI_PARSED) return code;
    buf_init(&w.text, MAX_TEXT_BYTES);
    buf_init(&w.calibration, MAX_TEXT_BYTES);
    code = quantise(operands.items[0], operands.items[1], &q, &w);
    buf_release(&w.text);
    buf_release(&w.calibration);
    if (w.has_importance) imatrix_release(&w.importance);
    return code;
}
