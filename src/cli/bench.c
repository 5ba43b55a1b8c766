/* `hone bench`: how fast a model is here. Prefill and decode are measured apart; each is warmed up
 * once, repeated, and told as median and spread, beside what the machine could do at most. What
 * makes the numbers doubtful is said. */
#include "cli/bench.h"

#include "base/mem.h"
#include "base/system.h"
#include "cli/cli.h"
#include "cli/interrupt.h"

enum { DEFAULT_PROMPT = 512, DEFAULT_DECODE = 128 };

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
    interrupt_arm(b->engine.session);
    machine_look(&before);
    double start_ms = clock_ms();
    hone_status status = bench_measure(b);
    double wall_ms = clock_ms() - start_ms;
    b->peak_memory_bytes = system_peak_resident_bytes();
    for (int look = 0; look < 2 && status == HONE_OK; look++) status = bench_look_at_limits(b);
    interrupt_disarm();
    cli_progress_clear();
    if (status == HONE_OK) bench_judge(b, &before, wall_ms);
    if (status != HONE_OK) return cli_fail(interrupt_seen() ? HONE_ERR_CANCELLED : status);
    return b->settings->json ? bench_print_json(b, name) : bench_print_page(b, name);
}

static int bench_model(const bench_settings *settings, const cli_usage *usage, const char *name) {
    bench *b = mem_calloc(1, sizeof *b);
    if (!b) return cli_fail(mem_fail("the benchmark", sizeof *b));
    b->settings = settings;
    int code = engine_open(&b->engine, name, &settings->engine);
    if (code == CLI_OK) {
        b->info = hone_model_describe(b->engine.model);
        code = run_bench(b, usage, name);
        for (size_t i = 0; i < BENCH_MAX_PARALLEL; i++) hone_session_close(b->sessions[i]);
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
        CLI_INTEGER("parallel", 0, &s.parallel, "N", 1, BENCH_MAX_PARALLEL,
                    "answers decoded together, forked from one prompt (default 1)"),
        CLI_INTEGER("repeat", 'r', &s.repeat, "N", 1, BENCH_MAX_REPEAT,
                    "measured runs after one for warm-up (default 5)"),
        CLI_INTEGER("seed", 's', &s.seed, "N", 0, 9e18, "of the synthetic prompt (default 1)"),
        CLI_FLAG("limits", 0, &s.limits,
                 "measure what the machine can do at most; needs no model"),
        CLI_FLAG("json", 0, &s.json, "print one JSON object"),
        CLI_HEADING("Engine"),
        ENGINE_OPTIONS(s.engine),
        CLI_OPTIONS_END,
    };
    const cli_usage usage = {
        .command = "bench",
        .operands = "[MODEL]",
        .about = "Measures reading a prompt (prefill) and writing an answer (decode) apart, on "
                 "synthetic tokens, and tells the median of several runs with its spread, and "
                 "as a share of what memory and arithmetic allow. Says why numbers should not "
                 "be relied on, where they should not.",
        .examples = "hone bench smollm2:135m\n"
                    "hone bench smollm2:135m --prompt 128,512,2048 --decode 64 --json\n"
                    "hone bench smollm2:135m --parallel 8 --depth 1024\n"
                    "hone bench --limits\n",
        .options = options,
        .max_operands = 1,
    };
    cli_operands operands;
    int code = cli_parse(&usage, argc, argv, &operands);
    if (code != CLI_PARSED) return code;
    if (s.limits && operands.n > 0) return cli_wrong_use(&usage, "--limits takes no model");
    if (!s.limits && operands.n == 0) return cli_wrong_use(&usage, "which model?");
    if (!s.limits) return bench_model(&s, &usage, operands.items[0]);
    int n_threads;
    code = engine_choose_threads(s.engine.threads, &n_threads);
    return code == CLI_OK ? bench_print_limits(n_threads, s.json) : code;
}
