/* `hone bench`: how fast a model is here. Its options, and what they mean for lab/bench.h. */
#include "cli/bench.h"

#include <math.h>
#include <stdio.h>

#include "base/mem.h"
#include "base/system.h"
#include "cli/bench_load.h"
#include "cli/cli.h"
#include "cli/interrupt.h"
#include "cli/options.h"
#include "cli/record.h"
#include "weights/store.h"

enum { DEFAULT_PROMPT = 512, DEFAULT_DECODE = 128 };

typedef struct choice {
    engine_settings engine;
    cli_integers prompt, depth, parallel, batch;
    int64_t decode, repeat, seed;
    const char *audio, *language;
    bench_load_choice load;
    bool limits, json;
} choice;

static size_t take_list(size_t *out, const cli_integers *list, size_t otherwise, size_t *most) {
    size_t n = list->n ? list->n : 1;
    *most = out[0] = otherwise;
    for (size_t i = 0; i < list->n; i++) {
        out[i] = (size_t)list->items[i];
        if (i == 0 || out[i] > *most) *most = out[i];
    }
    return n;
}

/* Fits the defaults into short contexts; what was asked for by number is never changed. */
static int choose_sizes(bench_settings *s, const choice *c, const engine *e,
                        const cli_usage *usage) {
    size_t context = hone_session_context(e->session), deepest, longest, widest;
    s->n_depths = take_list(s->depths, &c->depth, 0, &deepest);
    s->n_parallels = take_list(s->parallels, &c->parallel, 1, &widest);
    for (size_t i = 0; i < c->batch.n; i++) s->batches[s->n_batches++] = (size_t)c->batch.items[i];
    s->repeat = (size_t)c->repeat;
    s->seed = (uint64_t)c->seed;
    if (deepest >= context) {
        return cli_wrong_use(usage, "--depth %zu leaves no room in a context of %zu tokens",
                             deepest, context);
    }
    size_t room = context - deepest - (deepest ? 0 : 1);
    s->n_prompts = take_list(s->prompts, &c->prompt, room < DEFAULT_PROMPT ? room : DEFAULT_PROMPT,
                             &longest);
    s->n_decode = c->decode != CLI_UNSET ? (size_t)c->decode
                  : room < DEFAULT_DECODE ? room : DEFAULT_DECODE;
    size_t needed = deepest + (longest > s->n_decode ? longest : s->n_decode);
    if (needed > context) {
        return cli_wrong_use(usage, "this needs a context of %zu tokens, and there are %zu", needed,
                             context);
    }
    if (longest == 0 && s->n_decode == 0) return cli_wrong_use(usage, "nothing is left to measure");
    if (e->draft_kind != HONE_DRAFT_NONE && widest > 1) {
        return cli_wrong_use(usage, "--draft is measured one answer at a time, without --parallel");
    }
    return CLI_OK;
}

static bool on_progress(void *context, const char *what, size_t n_tokens, size_t done, size_t n) {
    (void)context;
    cli_progress("%s of %zu tokens: run %zu of %zu", what, n_tokens, done, n);
    return !interrupt_seen();
}

static bool on_load(void *context, const char *what, size_t run, size_t n) {
    (void)context;
    cli_progress("%s: run %zu of %zu", what, run, n);
    return !interrupt_seen();
}

/* Before the engine opens the model: what is open cannot be dropped from the cache. */
static int measure_load(load_time *t, const choice *c, const char *name) {
    hone_model_options model = {.copy_weights = c->engine.no_map};
    const hone_session_options session = {.kv = engine_kv_type(&c->engine),
                                          .exact = c->engine.exact};
    char *path;
    int code = engine_choose_threads(c->engine.threads, &model.n_threads);
    if (code != CLI_OK) return code;
    hone_status status = store_resolve(name, &path);
    if (status != HONE_OK) return engine_fail_model(status, name);
    interrupt_arm(NULL);
    status = load_time_measure(t, path, &model, &session, on_load, NULL);
    interrupt_disarm();
    cli_progress_clear();
    mem_free(path);
    return status == HONE_OK ? CLI_OK : engine_fail_model(status, name);
}

/* All that the numbers depend on. */
static json_t *describe_settings(const bench_settings *s, const choice *c, const engine *e) {
    json_t *o = json_pack("{s:i, s:s, s:b, s:I, s:I, s:I, s:I}", "threads",
                          hone_model_describe(e->model)->n_threads, "kv",
                          engine_kv_name(engine_kv_type(&c->engine)), "exact", c->engine.exact,
                          "context", (json_int_t)hone_session_context(e->session), "decode",
                          (json_int_t)s->n_decode, "repeat", (json_int_t)s->repeat, "seed",
                          (json_int_t)s->seed);
    if (c->engine.draft) json_object_set_new(o, "draft", cli_json_text(c->engine.draft));
    if (c->engine.n_draft != CLI_UNSET)
        json_object_set_new(o, "draft_tokens", json_integer(c->engine.n_draft));
    return o;
}

static hone_status run(bench *b, const engine *e, const choice *c, const bench_settings *settings,
                       hone_session *const *batch_sessions) {
    const bench_subject subject = {
        .model = e->model, .session = e->session, .draft_session = e->draft_session,
        .kv = engine_kv_type(&c->engine), .exact = c->engine.exact, .draft_kind = e->draft_kind,
        .n_draft = e->n_draft, .batch_sessions = batch_sessions};
    interrupt_arm(e->session);
    for (size_t i = 0; i < settings->n_batches; i++) interrupt_arm_also(batch_sessions[i]);
    hone_status status = bench_text(b, &subject, settings);
    interrupt_disarm();
    cli_progress_clear();
    return interrupt_seen() && status != HONE_OK ? HONE_ERR_CANCELLED : status;
}

/* What was measured, kept and told. */
static int tell(bench *b, const bench_page *page, record *kept, bool as_json) {
    json_t *json = bench_to_json(page);
    RECORD(kept, bench_store(b, kept->db, kept->id));
    record_finish(kept, &b->validity, json);
    if (as_json) return cli_print_json(json, false);
    json_decref(json);
    return bench_print_page(page);
}

static int measure(bench *b, const engine *e, const choice *c, const cli_usage *usage,
                   const char *name) {
    bench_settings settings = {.observe = on_progress};
    hone_session *batch_sessions[BENCH_MAX_SWEEP] = {NULL};
    int code = choose_sizes(&settings, c, e, usage);
    for (size_t i = 0; i < settings.n_batches && code == CLI_OK; i++) {
        code = engine_open_session(&batch_sessions[i], e, &c->engine, settings.batches[i]);
    }
    if (code == CLI_OK) {
        record kept = {.id = 0};
        record_add_model(&kept, "model", name, e->model);
        if (e->draft_model) record_add_model(&kept, "draft", c->engine.draft, e->draft_model);
        record_begin(&kept, RESULT_BENCH, describe_settings(&settings, c, e));
        hone_status status = run(b, e, c, &settings, batch_sessions);
        const bench_page page = {.name = name, .b = b, .info = hone_model_describe(e->model),
                                 .settings = &c->engine, .load_ms = e->load_ms};
        code = status == HONE_OK ? tell(b, &page, &kept, c->json) : cli_fail(status);
        record_release(&kept);
    }
    for (size_t i = 0; i < settings.n_batches; i++) hone_session_close(batch_sessions[i]);
    return code;
}

static int bench_speech_model(const choice *c, hone_model *model, const char *name,
                              double load_ms) {
    const bench_speech_settings settings = {
        .audio = c->audio, .language = c->language, .repeat = (size_t)c->repeat,
        .seed = (uint64_t)c->seed, .exact = c->engine.exact, .observe = on_progress};
    interrupt_arm_model(model);
    int code = bench_speech_page(model, name, &settings, load_ms, c->json);
    interrupt_disarm();
    return code;
}

static int bench_model(const choice *c, const cli_usage *usage, const char *name) {
    engine e;
    bench b;
    hone_model *model;
    bench_init(&b);
    double start_ms = clock_ms();
    int code = engine_open_model(&model, name, c->engine.threads);
    if (code != CLI_OK) return code;
    if (hone_model_describe(model)->takes_audio) {
        code = bench_speech_model(c, model, name, clock_ms() - start_ms);
        hone_model_close(model);
        return code;
    }
    hone_model_close(model); /* its load time is taken with nobody holding it */
    if (c->audio) return cli_wrong_use(usage, "%s takes no audio", name);
    code = measure_load(&b.load, c, name);
    if (code == CLI_OK) code = engine_open(&e, name, &c->engine);
    if (code != CLI_OK) return code;
    code = measure(&b, &e, c, usage, name);
    bench_release(&b);
    engine_release(&e);
    return code;
}

/* MODEL is the server's name for it; the lengths are single numbers. */
static int bench_server(const choice *c, const cli_usage *usage, const char *model) {
    if (c->prompt.n > 1 || c->depth.n || c->parallel.n || c->batch.n || c->engine.draft ||
        c->limits)
        return cli_wrong_use(usage,
                             "--url takes one --prompt length, --decode, --seed and the options "
                             "for servers");
    load_settings s = {.server.model = model, .seed = (uint64_t)c->seed,
                       .n_prompt = c->prompt.n ? (size_t)c->prompt.items[0] : 128,
                       .n_decode = c->decode != CLI_UNSET ? (size_t)c->decode : 64};
    if (s.n_decode == 0) return cli_wrong_use(usage, "nothing is left to measure");
    return bench_load(&c->load, &s, c->json);
}

int cmd_bench(int argc, char **argv) {
    choice s = {.engine = ENGINE_SETTINGS_UNSET, .decode = CLI_UNSET, .repeat = 5, .seed = 1,
                .load = BENCH_LOAD_UNSET};
    const cli_option options[] = {
        CLI_INTEGERS("prompt", 'p', &s.prompt, "N[,N…]", 0, 1 << 24,
                     "lengths of prompt to read, in tokens (default 512)"),
        CLI_INTEGER("decode", 'n', &s.decode, "N", 0, 1 << 24,
                    "tokens to generate, whatever the model would say (default 128)"),
        CLI_INTEGERS("depth", 'd', &s.depth, "N[,N…]", 0, 1 << 24,
                     "tokens that are in the cache before each run (default 0)"),
        CLI_INTEGERS("parallel", 0, &s.parallel, "N[,N…]", 1, BENCH_MAX_PARALLEL,
                     "answers decoded together, forked from one prompt (default 1)"),
        CLI_INTEGERS("batch", 'b', &s.batch, "N[,N…]", 1, 1 << 16,
                     "most tokens of a prompt in a pass over the weights (default 512)"),
        CLI_INTEGER("repeat", 'r', &s.repeat, "N", 1, BENCH_MAX_REPEAT,
                    "measured runs after one for warm-up (default 5)"),
        CLI_INTEGER("seed", 's', &s.seed, "N", 0, 9e18, "of the synthetic prompt (default 1)"),
        CLI_TEXT("audio", 0, &s.audio, "FILE",
                 "a recording for a model that hears (default: 30 s of noise, 100 tokens)"),
        CLI_TEXT("language", 0, &s.language, "NAME", "what is spoken in it (default: found out)"),
        CLI_FLAG("limits", 0, &s.limits,
                 "measure what the machine can do at most; needs no model"),
        CLI_FLAG("json", 0, &s.json, "print one JSON object"),
        CLI_HEADING("A server"),
        BENCH_LOAD_OPTIONS(s.load),
        CLI_HEADING("Engine"),
        ENGINE_OPTIONS(s.engine),
        CLI_OPTIONS_END,
    };
    const cli_usage usage = {
        .command = "bench",
        .operands = "[MODEL]",
        .about = "Measures reading a prompt (prefill) and writing an answer (decode) apart, on "
                 "synthetic tokens, and tells the median of several runs with its spread, and "
                 "as a share of what memory and arithmetic allow; of a model that hears the "
                 "real-time factor, encoder and decoder. Says why numbers should not be relied on, "
                 "where they should not.",
        .examples = "hone bench smollm2:135m\n"
                    "hone bench smollm2:135m --prompt 128,512,2048 --decode 64 --json\n"
                    "hone bench smollm2:135m --parallel 8 --depth 1024\n"
                    "hone bench --limits\n"
                    "hone bench --url http://127.0.0.1:11435 --rate 2 --requests 100 --ttft-limit 500\n",
        .options = options,
        .max_operands = 1,
    };
    cli_operands operands;
    int code = cli_parse(&usage, argc, argv, &operands);
    if (code != CLI_PARSED) return code;
    if (s.load.url) return bench_server(&s, &usage, operands.n ? operands.items[0] : NULL);
    if (s.limits && operands.n > 0) return cli_wrong_use(&usage, "--limits takes no model");
    if (!s.limits && operands.n == 0) return cli_wrong_use(&usage, "which model?");
    if (!s.limits) return bench_model(&s, &usage, operands.items[0]);
    int n_threads;
    code = engine_choose_threads(s.engine.threads, &n_threads);
    return code == CLI_OK ? bench_print_limits(n_threads, s.json) : code;
}
