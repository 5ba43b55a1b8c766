/* `hone bench`: how fast a model is here. Prefill and decode are measured apart; each is warmed up
 * once, repeated, and told as median and spread. What makes the numbers doubtful is said. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/cpu.h"
#include "base/mem.h"
#include "base/system.h"
#include "cli/cli.h"
#include "cli/engine.h"
#include "cli/interrupt.h"
#include "cli/machine.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/spread.h"

enum {
    MAX_REPEAT = 1000,
    MAX_PARALLEL = 256,
    MAX_ROWS = 17,   /* prompt lengths, and decode */
    MAX_REASONS = 16,
    DEFAULT_PROMPT = 512,
    DEFAULT_DECODE = 128,
};

typedef struct bench_settings {
    engine_settings engine;
    cli_integers prompt;
    int64_t decode, depth, parallel, repeat, seed;
    bool json;
} bench_settings;

/* One line of the result: tokens/s. */
typedef struct bench_row {
    bool is_decode;
    size_t n_tokens;
    spread speed;
} bench_row;

typedef struct bench {
    const bench_settings *settings;
    engine engine;
    const hone_model_info *info;
    size_t depth, parallel, repeat;
    size_t n_decode;
    size_t n_prompts, prompts[16];
    int32_t *tokens; /* the synthetic text, as long as the longest run needs */
    size_t n_tokens;
    hone_session *sessions[MAX_PARALLEL]; /* forks that decode together */
    double values[MAX_REPEAT];
    bench_row rows[MAX_ROWS];
    size_t n_rows;
    double ttft_ms; /* median for the first prompt length; 0 = not measured */
    size_t n_drafted, n_accepted;
    char reasons[MAX_REASONS][160]; /* why the numbers may mislead */
    size_t n_reasons;
} bench;

static void doubt(bench *b, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void doubt(bench *b, const char *format, ...) {
    if (b->n_reasons == MAX_REASONS) return;
    va_list args;
    va_start(args, format);
    vsnprintf(b->reasons[b->n_reasons++], sizeof b->reasons[0], format, args);
    va_end(args);
}

/* --- the text to work on --- */

/* Ids drawn evenly from the vocabulary (xorshift64*), without those that end an answer. The speed
 * of prefill and decode does not depend on the words. */
static hone_status make_random_tokens(bench *b) {
    uint64_t state = (uint64_t)b->settings->seed * 0x9E3779B97F4A7C15u + 1;
    for (size_t i = 0; i < b->n_tokens; i++) {
        int32_t id;
        int tries = 0;
        do {
            state ^= state >> 12, state ^= state << 25, state ^= state >> 27;
            id = (int32_t)((state * 0x2545F4914F6CDD1Du >> 33) % b->info->n_vocab);
        } while (hone_is_stop_token(b->engine.model, id) && ++tries < 100);
        b->tokens[i] = id;
    }
    return HONE_OK;
}

/* Speculation lives on text that can be foreseen, so that it is measured on prose. */
static hone_status make_text_tokens(bench *b) {
    static const char prose[] =
        "The lighthouse keeper wrote in his book every evening. He wrote down the weather, the "
        "ships that had passed, and the state of the lamp. When the wind came from the north, he "
        "wrote that the wind came from the north. When no ship had passed, he wrote that no ship "
        "had passed. After thirty years the book had four thousand pages, and whoever read it knew "
        "how the weather had been, which ships had passed, and that the lamp had never gone out. ";
    int32_t *ids;
    size_t n_ids;
    TRY(hone_tokenize(b->engine.model, prose, sizeof prose - 1, true, &ids, &n_ids));
    for (size_t i = 0; i < b->n_tokens; i++) b->tokens[i] = ids[i % n_ids];
    hone_free(ids);
    return HONE_OK;
}

/* --- measuring --- */

static int32_t most_probable(const hone_session *session, size_t n_vocab) {
    const float *logits = hone_session_logits(session, 0);
    size_t best = 0;
    for (size_t i = 1; logits && i < n_vocab; i++) {
        if (logits[i] > logits[best]) best = i;
    }
    return (int32_t)best;
}

static hone_status check_interrupt(void) {
    return interrupt_seen() ? HONE_ERR_CANCELLED : HONE_OK;
}

/* One prefill of n tokens behind `depth` others; *ms until the first token is chosen is left in
 * ttft_ms. */
static hone_status prefill_once(bench *b, size_t n, double *ms, double *ttft_ms) {
    hone_session *session = b->engine.session;
    size_t n_reused;
    TRY(check_interrupt());
    TRY(hone_session_rewind(session, b->depth));
    double start_ms = clock_ms();
    TRY(hone_prefill(session, b->tokens, b->depth + n, &n_reused, NULL, NULL));
    *ms = clock_ms() - start_ms;
    most_probable(session, b->info->n_vocab);
    *ttft_ms = clock_ms() - start_ms;
    if (n_reused != b->depth) {
        doubt(b, "prefill found %zu tokens in the cache instead of %zu", n_reused, b->depth);
    }
    return HONE_OK;
}

static void add_row(bench *b, bool is_decode, size_t n) {
    b->rows[b->n_rows++] = (bench_row){is_decode, n, spread_of(b->values, b->repeat)};
}

static hone_status measure_prefill(bench *b, size_t n) {
    double ttft_values[MAX_REPEAT], ms, ttft_ms;
    if (b->depth) {
        TRY(hone_prefill(b->engine.session, b->tokens, b->depth, NULL, NULL, NULL));
    }
    TRY(prefill_once(b, n, &ms, &ttft_ms));
    for (size_t i = 0; i < b->repeat; i++) {
        cli_progress("prefill of %zu tokens: run %zu of %zu", n, i + 1, b->repeat);
        TRY(prefill_once(b, n, &ms, &ttft_ms));
        b->values[i] = 1000 * (double)n / ms;
        ttft_values[i] = ttft_ms;
    }
    add_row(b, false, n);
    if (b->ttft_ms == 0) b->ttft_ms = spread_of(ttft_values, b->repeat).median;
    return HONE_OK;
}

/* All sessions go n_decode tokens on, each pass over the weights serving all of them. */
static hone_status decode_once(bench *b, double *ms) {
    hone_step_item items[MAX_PARALLEL];
    int32_t next[MAX_PARALLEL];
    size_t start = b->depth ? b->depth : 1;
    for (size_t i = 0; i < b->parallel; i++) {
        TRY(hone_session_rewind(b->sessions[i], start));
        next[i] = b->tokens[(start + i) % b->n_tokens]; /* each goes its own way */
        items[i] = (hone_step_item){b->sessions[i], &next[i], 1, HONE_LOGITS_LAST};
    }
    double start_ms = clock_ms();
    for (size_t step = 0; step < b->n_decode; step++) {
        TRY(check_interrupt());
        TRY(hone_step(items, b->parallel));
        for (size_t i = 0; i < b->parallel; i++) {
            next[i] = most_probable(b->sessions[i], b->info->n_vocab);
        }
    }
    *ms = clock_ms() - start_ms;
    return HONE_OK;
}

static hone_status measure_decode(bench *b) {
    size_t start = b->depth ? b->depth : 1;
    double ms;
    TRY(hone_prefill(b->engine.session, b->tokens, start, NULL, NULL, NULL));
    for (size_t i = 0; i < b->parallel; i++) {
        TRY(hone_session_fork(&b->sessions[i], b->engine.session));
    }
    TRY(decode_once(b, &ms));
    for (size_t i = 0; i < b->repeat; i++) {
        cli_progress("decode of %zu tokens: run %zu of %zu", b->n_decode, i + 1, b->repeat);
        TRY(decode_once(b, &ms));
        b->values[i] = 1000 * (double)(b->n_decode * b->parallel) / ms;
    }
    add_row(b, true, b->n_decode);
    return HONE_OK;
}

/* Decoding with speculation, through the same call that answers questions. */
static hone_status speculate_once(bench *b, double *tokens_per_s) {
    const hone_request request = {
        .prompt_ids = b->tokens,
        .n_prompt_ids = b->depth ? b->depth : 64 < b->n_tokens ? 64 : b->n_tokens,
        .sampling = hone_sampling_greedy(),
        .max_tokens = b->n_decode,
        .ignore_eos = true,
        .draft_kind = b->engine.draft_kind,
        .draft = b->engine.draft_session,
        .n_draft = b->engine.n_draft,
    };
    hone_result result;
    TRY(check_interrupt());
    TRY(hone_generate(b->engine.session, &request, &result));
    if (result.n_tokens < b->n_decode) {
        doubt(b, "an answer ended after %zu of %zu tokens", result.n_tokens, b->n_decode);
    }
    *tokens_per_s = result.n_tokens > 1 && result.decode_ms > 0
                        ? 1000 * (double)(result.n_tokens - 1) / result.decode_ms : 0;
    b->n_drafted += result.n_drafted;
    b->n_accepted += result.n_accepted;
    bool cancelled = result.finish == HONE_FINISH_CANCELLED;
    hone_result_release(&result);
    return cancelled ? HONE_ERR_CANCELLED : HONE_OK;
}

static hone_status measure_speculation(bench *b) {
    TRY(make_text_tokens(b));
    double speed;
    TRY(speculate_once(b, &speed));
    b->n_drafted = b->n_accepted = 0;
    for (size_t i = 0; i < b->repeat; i++) {
        cli_progress("decode of %zu tokens: run %zu of %zu", b->n_decode, i + 1, b->repeat);
        TRY(speculate_once(b, &b->values[i]));
    }
    add_row(b, true, b->n_decode);
    return HONE_OK;
}

static hone_status measure(bench *b) {
    TRY(make_random_tokens(b));
    for (size_t i = 0; i < b->n_prompts; i++) {
        if (b->prompts[i]) TRY(measure_prefill(b, b->prompts[i]));
    }
    if (b->n_decode == 0) return HONE_OK;
    return b->engine.draft_kind == HONE_DRAFT_NONE ? measure_decode(b) : measure_speculation(b);
}

/* --- whether to believe it --- */

static void judge(bench *b, const machine_state *before, double wall_ms) {
    machine_state after;
    machine_look(&after);
    double others = (after.others_cpu_ms - before->others_cpu_ms) / wall_ms;
    int cores = cpu_usable_count();
    if (others > 0.1 * cores) doubt(b, "other programs used %.1f of %d cores", others, cores);
    if (b->info->n_threads > cores) {
        doubt(b, "%d threads share %d usable cores", b->info->n_threads, cores);
    }
    if (after.n_throttled > before->n_throttled) {
        doubt(b, "the container's processor quota stopped the run %llu times",
              (unsigned long long)(after.n_throttled - before->n_throttled));
    }
    if (after.swapped_bytes) doubt(b, "a part of the program was swapped out");
    if (after.n_major_faults > before->n_major_faults + 16) {
        doubt(b, "weights were read from disk during the run (%llu page faults)",
              (unsigned long long)(after.n_major_faults - before->n_major_faults));
    }
    if (b->repeat < 3) doubt(b, "fewer than three repetitions say little about the spread");
    for (size_t i = 0; i < b->n_rows; i++) {
        double width = spread_width(&b->rows[i].speed);
        if (width > 0.1) {
            doubt(b, "%s of %zu tokens varies by %.0f %% between runs",
                  b->rows[i].is_decode ? "decode" : "prefill", b->rows[i].n_tokens, 100 * width);
        }
    }
}

/* --- telling it --- */

static json_t *row_to_json(const bench *b, const bench_row *row) {
    const spread *s = &row->speed;
    json_t *object = json_pack(
        "{s:I, s:I, s:f, s:{s:f, s:f, s:f, s:f, s:f, s:I}, s:n}", "tokens",
        (json_int_t)row->n_tokens, "depth", (json_int_t)b->depth, "tokens_per_s", s->median,
        "spread", "min", s->min, "max", s->max, "low", s->low, "high", s->high, "confidence",
        s->confidence, "runs", (json_int_t)s->n, "share_of_limit");
    if (object && row->is_decode) {
        json_object_set_new(object, "parallel", json_integer((json_int_t)b->parallel));
    }
    return object;
}

/* `prefill` is the first prompt length; all of them are in `prefills`. */
static json_t *to_json(const bench *b, const char *name) {
    char processor[256];
    machine_processor_name(processor, sizeof processor);
    json_t *root = json_pack(
        "{s:o, s:i, s:s, s:s, s:s, s:I, s:s, s:b}", "model", cli_json_text(name), "threads",
        b->info->n_threads, "cpu", processor, "kernels", b->info->instruction_set, "weight_type",
        b->info->weight_type,
        "file_bytes", (json_int_t)b->info->file_bytes, "kv",
        engine_kv_name(engine_kv_type(&b->settings->engine)), "exact", b->settings->engine.exact);
    json_t *prefills = json_array(), *reasons = json_array();
    json_object_set_new(root, "prefill", json_null());
    json_object_set_new(root, "decode", json_null());
    for (size_t i = b->n_rows; i-- > 0;) { /* backwards: the first prefill stays */
        json_t *row = row_to_json(b, &b->rows[i]);
        json_object_set(root, b->rows[i].is_decode ? "decode" : "prefill", row);
        if (!b->rows[i].is_decode) json_array_insert(prefills, 0, row);
        json_decref(row);
    }
    json_object_set_new(root, "prefills", prefills);
    if (b->engine.draft_kind != HONE_DRAFT_NONE) {
        json_object_set_new(root, "speculation",
                            json_pack("{s:I, s:I}", "drafted_tokens", (json_int_t)b->n_drafted,
                                      "accepted_tokens", (json_int_t)b->n_accepted));
    }
    json_object_set_new(root, "ttft_ms", b->ttft_ms > 0 ? json_real(b->ttft_ms) : json_null());
    json_object_set_new(root, "load_ms", json_real(b->engine.load_ms));
    json_object_set_new(root, "peak_memory_bytes",
                        json_integer((json_int_t)system_peak_resident_bytes()));
    json_object_set_new(root, "valid", json_boolean(b->n_reasons == 0));
    for (size_t i = 0; i < b->n_reasons; i++) {
        json_array_append_new(reasons, json_string(b->reasons[i]));
    }
    json_object_set_new(root, "reasons", reasons);
    return root;
}

static void print_conditions(const bench *b, const char *name) {
    char processor[256];
    cli_text bytes;
    machine_processor_name(processor, sizeof processor);
    printf("%s, %s in %s; %s, %d threads, %s kernels, %s cache%s\n\n", name,
           cli_format_bytes(&bytes, b->info->file_bytes), b->info->weight_type, processor,
           b->info->n_threads, b->info->instruction_set,
           engine_kv_name(engine_kv_type(&b->settings->engine)),
           b->settings->engine.exact ? ", exact" : "");
}

static int print_page(const bench *b, const char *name) {
    static const char *const headers[] = {"", "tokens", "at depth", "tokens/s", "min", "max",
                                          "interval of the median"};
    print_conditions(b, name);
    cli_table t;
    cli_table_init(&t, "lrrrrrr", headers);
    for (size_t i = 0; i < b->n_rows; i++) {
        const bench_row *row = &b->rows[i];
        const spread *s = &row->speed;
        if (row->is_decode && b->parallel > 1) {
            cli_table_add(&t, "decode, %zu together", b->parallel);
        } else {
            cli_table_add(&t, "%s", row->is_decode ? "decode" : "prefill");
        }
        cli_table_add(&t, "%zu", row->n_tokens);
        cli_table_add(&t, "%zu", b->depth);
        cli_table_add(&t, "%.1f", s->median);
        cli_table_add(&t, "%.1f", s->min);
        cli_table_add(&t, "%.1f", s->max);
        cli_table_add(&t, "%.1f–%.1f (%.0f %%)", s->low, s->high, 100 * s->confidence);
    }
    int code = cli_table_print(&t);
    cli_text text;
    printf("\nload time            %s\n", cli_format_ms(&text, b->engine.load_ms));
    if (b->ttft_ms > 0) printf("time to first token  %s\n", cli_format_ms(&text, b->ttft_ms));
    printf("peak memory          %s\n", cli_format_bytes(&text, system_peak_resident_bytes()));
    if (b->engine.draft_kind != HONE_DRAFT_NONE) {
        printf("speculation          %s\n",
               engine_format_drafts(&text, b->n_accepted, b->n_drafted));
    }
    if (b->n_reasons) printf("\nDo not rely on these numbers:\n");
    for (size_t i = 0; i < b->n_reasons; i++) printf("  %s\n", b->reasons[i]);
    return code;
}

/* --- the command --- */

/* Fits the defaults into short contexts; what was asked for by number is never changed. */
static int choose_sizes(bench *b, const cli_usage *usage) {
    const bench_settings *s = b->settings;
    size_t context = hone_session_context(b->engine.session), room, longest = 0;
    b->depth = (size_t)s->depth;
    b->parallel = (size_t)s->parallel;
    b->repeat = (size_t)s->repeat;
    if (b->depth >= context) {
        return cli_wrong_use(usage, "--depth %zu leaves no room in a context of %zu tokens",
                             b->depth, context);
    }
    room = context - b->depth - (b->depth ? 0 : 1);
    b->n_prompts = s->prompt.n ? s->prompt.n : 1;
    b->prompts[0] = room < DEFAULT_PROMPT ? room : DEFAULT_PROMPT;
    for (size_t i = 0; i < s->prompt.n; i++) b->prompts[i] = (size_t)s->prompt.items[i];
    b->n_decode = s->decode != CLI_UNSET ? (size_t)s->decode
                  : room < DEFAULT_DECODE ? room : DEFAULT_DECODE;
    for (size_t i = 0; i < b->n_prompts; i++) {
        if (b->prompts[i] > longest) longest = b->prompts[i];
    }
    size_t needed = b->depth + (longest > b->n_decode ? longest : b->n_decode);
    if (needed > context) {
        return cli_wrong_use(usage, "this needs a context of %zu tokens, and there are %zu", needed,
                             context);
    }
    if (longest == 0 && b->n_decode == 0) return cli_wrong_use(usage, "nothing is left to measure");
    if (b->engine.draft_kind != HONE_DRAFT_NONE && b->parallel > 1) {
        return cli_wrong_use(usage, "--draft is measured one answer at a time, without --parallel");
    }
    b->n_tokens = b->depth + longest + b->parallel + 64;
    return CLI_OK;
}

static int run_bench(bench *b, const cli_usage *usage, const char *name) {
    int code = choose_sizes(b, usage);
    if (code != CLI_OK) return code;
    b->tokens = mem_calloc(b->n_tokens, sizeof *b->tokens);
    if (!b->tokens) return cli_fail(mem_fail("the benchmark's text", b->n_tokens * 4));
    machine_state before;
    machine_look(&before);
    double start_ms = clock_ms();
    interrupt_arm(b->engine.session);
    hone_status status = measure(b);
    interrupt_disarm();
    cli_progress_clear();
    if (status != HONE_OK) return cli_fail(interrupt_seen() ? HONE_ERR_CANCELLED : status);
    judge(b, &before, clock_ms() - start_ms);
    return b->settings->json ? cli_print_json(to_json(b, name), false) : print_page(b, name);
}

static int bench_model(const bench_settings *settings, const cli_usage *usage, const char *name) {
    bench *b = mem_calloc(1, sizeof *b);
    if (!b) return cli_fail(mem_fail("the benchmark", sizeof *b));
    b->settings = settings;
    int code = engine_open(&b->engine, name, &settings->engine);
    if (code == CLI_OK) {
        b->info = hone_model_describe(b->engine.model);
        code = run_bench(b, usage, name);
        for (size_t i = 0; i < MAX_PARALLEL; i++) hone_session_close(b->sessions[i]);
        engine_release(&b->engine);
    }
    mem_free(b->tokens);
    mem_free(b);
    return code;
}

int cmd_bench(int argc, char **argv) {
    bench_settings s = {.engine = ENGINE_SETTINGS_UNSET,
                        .decode = CLI_UNSET,
                        .parallel = 1,
                        .repeat = 5,
                        .seed = 1};
    const cli_option options[] = {
        CLI_INTEGERS("prompt", 'p', &s.prompt, "N[,N…]", 0, 1 << 24,
                     "lengths of prompt to read, in tokens (default 512)"),
        CLI_INTEGER("decode", 'n', &s.decode, "N", 0, 1 << 24,
                    "tokens to generate, whatever the model would say (default 128)"),
        CLI_INTEGER("depth", 'd', &s.depth, "N", 0, 1 << 24,
                    "tokens that are in the cache before each run (default 0)"),
        CLI_INTEGER("parallel", 0, &s.parallel, "N", 1, MAX_PARALLEL,
                    "answers decoded together, forked from one prompt (default 1)"),
        CLI_INTEGER("repeat", 'r', &s.repeat, "N", 1, MAX_REPEAT,
                    "measured runs after one for warm-up (default 5)"),
        CLI_INTEGER("seed", 's', &s.seed, "N", 0, 9e18, "of the synthetic prompt (default 1)"),
        CLI_FLAG("json", 0, &s.json, "print one JSON object"),
        CLI_HEADING("Engine"),
        ENGINE_OPTIONS(s.engine),
        CLI_OPTIONS_END,
    };
    const cli_usage usage = {
        .command = "bench",
        .operands = "MODEL",
        .about = "Measures reading a prompt (prefill) and writing an answer (decode) apart, on "
                 "synthetic tokens, and tells the median of several runs with its spread. Says "
                 "why numbers should not be relied on, where they should not.",
        .examples = "hone bench smollm2:135m\n"
                    "hone bench smollm2:135m --prompt 128,512,2048 --decode 64 --json\n"
                    "hone bench smollm2:135m --parallel 8 --depth 1024\n",
        .options = options,
        .min_operands = 1,
        .max_operands = 1,
    };
    cli_operands operands;
    int code = cli_parse(&usage, argc, argv, &operands);
    return code == CLI_PARSED ? bench_model(&s, &usage, operands.items[0]) : code;
}
