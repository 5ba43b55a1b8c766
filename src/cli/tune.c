/* `hone tune`: which settings are best here, within a time. */
#include "cli/tune.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/cpu.h"
#include "base/mem.h"
#include "base/system.h"
#include "cli/cli.h"
#include "cli/engine.h"
#include "cli/interrupt.h"
#include "cli/options.h"
#include "cli/output.h"
#include "lab/profile.h"
#include "lab/tune_journal.h"
#include "lab/tune_quality.h"
#include "lab/tune_speed.h"
#include "serve/ollama_options.h"

enum { DEFAULT_SLOTS = 8, DEFAULT_USERS = 8, MOST_USERS = 64, LEAST_BUDGET_MS = 1000 };

typedef struct choice {
    int goal;
    const char *memory, *budget, *task;
    uint64_t memory_bytes;
    int64_t budget_ms, users, prompt, threads, context, seed, max_tokens;
    double min_speed, max_loss;
    bool json;
} choice;

/* Everything that is open while it runs. */
typedef struct tuning {
    const choice *c;
    tune_space space;
    tune_config defaults,
        baseline; /* what the program does by itself; the same, fitted into the memory */
    task *task;
    tune_speed *speed;
    tune_quality *quality;
    tune_journal *journal;
    tune_meter meter;
    tune t;
    record kept;
    validity validity;
    machine_state before;
    bool resumed;
    char unmet[192];
} tuning;

static bool goes_on(void *context) {
    (void)context;
    return !interrupt_seen();
}

/* --- where it starts --- */

/* The baseline of one model: as the program would run it, or what of that fits into the memory. */
static int look(tuning *x, const char *name, int n_threads, bool *fits) {
    const choice *c = x->c;
    hone_model *model;
    hone_fit fit;
    hone_status status = engine_look_at_model(&model, name, n_threads);
    if (status != HONE_OK) return engine_fail_model(status, name);
    const hone_model_info *info = hone_model_describe(model);
    size_t context = c->context != CLI_UNSET ? (size_t)c->context : info->n_context;
    const tune_config usual = {
        .n_threads = n_threads, .prefill_chunk = 512, .kv = HONE_KV_F16,
        .n_slots = c->goal == TUNE_THROUGHPUT ? DEFAULT_SLOTS : 1,
        .n_context = context, .sampling = hone_sampling_default(model)};
    const hone_fit_wish wish = {.memory = c->memory_bytes, .n_slots = usual.n_slots,
                                .n_context = c->context != CLI_UNSET ? context : 0};
    tune_config fitted = usual;
    if (!info->takes_text) status = fail(HONE_ERR_UNSUPPORTED, "%s is no text model", name);
    else if (c->memory_bytes) status = hone_fit_model(&fit, model, &wish);
    hone_model_close(model);
    if (status != HONE_OK) return cli_fail(status);
    *fits = c->memory_bytes == 0 || fit.fits;
    if (c->memory_bytes && fit.fits) {
        fitted.n_context = fit.settings.n_context;
        fitted.n_slots = fit.settings.n_slots;
        fitted.kv = fit.settings.kv;
    }
    if (!*fits) return CLI_OK;
    if (x->space.n_models == 0) {
        x->defaults = usual;
        x->baseline = fitted;
    }
    /* one context that all of them can have */
    if (fitted.n_context < x->baseline.n_context) x->baseline.n_context = fitted.n_context;
    x->space.models[x->space.n_models++] = name;
    return CLI_OK;
}

static int look_at_all(tuning *x, const cli_operands *operands) {
    int n_threads, code = engine_choose_threads(x->c->threads, &n_threads);
    for (size_t i = 0; i < operands->n && code == CLI_OK; i++) {
        bool fits = false;
        code = look(x, operands->items[i], n_threads, &fits);
        if (code == CLI_OK && !fits)
            fprintf(stderr, "hone: %s does not fit into %s\n", operands->items[i], x->c->memory);
    }
    if (code != CLI_OK || x->space.n_models) return code;
    cli_error("nothing fits into %s", x->c->memory);
    return CLI_NOT_MET;
}

/* --- measuring --- */

static hone_status open_meter(tuning *x) {
    const choice *c = x->c;
    const tune_speed_settings speed = {
        .goal = x->space.goal, .models = x->space.models, .n_models = x->space.n_models,
        .n_prompt = c->prompt == CLI_UNSET ? 0 : (size_t)c->prompt, .memory = c->memory_bytes,
        .max_loss = isnan(c->max_loss) ? -1 : c->max_loss / 100, .go_on = goes_on};
    const tune_quality_settings quality = {
        .models = x->space.models, .n_models = x->space.n_models, .task = x->task,
        .seed = (uint64_t)c->seed, .min_speed = isnan(c->min_speed) ? 0 : c->min_speed,
        .max_tokens = c->max_tokens == CLI_UNSET ? 0 : (size_t)c->max_tokens,
        .memory = c->memory_bytes, .go_on = goes_on};
    if (x->space.goal == TUNE_QUALITY) {
        TRY(tune_quality_open(&x->quality, &quality));
        x->meter = tune_quality_meter(x->quality);
    } else {
        TRY(tune_speed_open(&x->speed, &speed));
        x->meter = tune_speed_meter(x->speed);
    }
    return HONE_OK;
}

/* The first model that meets what is demanded holds the place; HONE_OK without one leaves
 * `unmet`. */
static hone_status choose_first_model(tuning *x) {
    char why[96] = "";
    for (size_t i = 0; i < x->space.n_models; i++) {
        bool allowed;
        x->baseline.model = x->defaults.model = i;
        TRY(x->meter.allow(x->meter.context, &x->baseline, &allowed, why));
        if (allowed) return HONE_OK;
    }
    snprintf(x->unmet, sizeof x->unmet, "no model meets what is demanded; the last one %s", why);
    return HONE_OK;
}

static json_t *describe_settings(const tuning *x) {
    const choice *c = x->c;
    json_t *o = json_pack(
        "{s:s, s:I, s:I, s:I, s:o, s:s?, s:I, s:o, s:o, s:I}", "goal",
        tune_goal_name(x->space.goal), "budget_ms", (json_int_t)c->budget_ms, "memory",
        (json_int_t)c->memory_bytes, "seed", (json_int_t)c->seed, "baseline",
        tune_config_to_json(&x->baseline, x->space.goal, x->space.models), "task", c->task, "users",
        (json_int_t)c->users, "min_speed", json_finite(c->min_speed),
        "max_loss", json_finite(c->max_loss), "prompt",
        (json_int_t)(c->prompt == CLI_UNSET ? 0 : c->prompt));
    return o;
}

/* A new result, or the one that was interrupted. */
static hone_status begin_keeping(tuning *x) {
    record *kept = &x->kept;
    json_t *settings = describe_settings(x);
    int64_t id = 0;
    for (size_t i = 0; i < x->space.n_models; i++)
        record_add_model(kept, "model", x->space.models[i], NULL);
    if (kept->db && settings)
        record_note(kept,
                    tune_journal_find(kept->db, settings, kept->subjects, kept->n_subjects, &id));
    if (kept->db && id) {
        kept->id = id;
        json_decref(settings);
    } else {
        record_begin(kept, RESULT_TUNE, settings);
    }
    TRY(tune_journal_open(&x->journal, &x->meter, kept->db, kept->id));
    size_t n = tune_journal_n_known(x->journal);
    x->resumed = n > 0;
    if (n) fprintf(stderr, "going on with result %lld, which was interrupted: %zu runs are there\n",
                   (long long)id, n);
    return HONE_OK;
}

/* Runs of a length that lets all of them fit; the same as before where it goes on. */
static hone_status choose_work(tuning *x) {
    if (!x->speed) return HONE_OK;
    double known = tune_journal_number(x->journal, "work");
    double guess = tune_journal_number(x->journal, "ms");
    if (!isnan(known) && !isnan(guess)) {
        tune_speed_set_work(x->speed, (size_t)known);
    } else {
        TRY(tune_speed_choose_work(x->speed, &x->baseline, (double)x->c->budget_ms,
                                   tune_planned_runs(&x->space)));
        guess = tune_speed_meter(x->speed).guess_ms;
        TRY(tune_journal_keep_number(x->journal, "work", (double)tune_speed_work(x->speed)));
        TRY(tune_journal_keep_number(x->journal, "ms", guess));
    }
    x->meter.guess_ms = guess;
    return HONE_OK;
}

static bool on_run(void *context, const tune *t, const char *doing, double left_ms) {
    (void)context;
    cli_progress("%s: run %zu, %zu of %zu settings looked at, %.0f s left", doing, t->n_runs + 1,
                 t->n_steps, t->space->n_choices, left_ms > 0 ? left_ms / 1000 : 0.0);
    return !interrupt_seen();
}

/* What the look at the baseline took belongs to the budget, too. */
static hone_status run(tuning *x, double start_ms) {
    double guess = x->meter.guess_ms;
    x->meter = tune_journal_meter(x->journal);
    x->meter.guess_ms = guess;
    tune_init(&x->t, &x->space, &x->baseline, &x->meter);
    x->t.observe = on_run;
    machine_look(&x->before);
    return tune_run(&x->t, (double)x->c->budget_ms - (clock_ms() - start_ms));
}

/* --- telling --- */

static void judge(tuning *x) {
    machine_state after;
    estimate best;
    const choice *c = x->c;
    machine_look(&after);
    validity_judge_machine(&x->validity, &x->before, &after, x->t.baseline.n_threads,
                           cpu_usable_count());
    if (x->t.cancelled)
        validity_doubt(&x->validity, VALIDITY_UNFINISHED, "ended before it was done");
    if (x->space.goal == TUNE_QUALITY || isnan(c->min_speed)) return;
    if (tune_figure(&x->t, &x->t.best, &best) == HONE_OK && best.value < c->min_speed)
        snprintf(x->unmet, sizeof x->unmet, "%.1f tokens/s are demanded, and the best writes %.1f",
                 c->min_speed, best.value);
}

static int tell(tuning *x) {
    fs_path file;
    const char *name = x->space.models[x->t.best.model];
    tune_page page = {.t = &x->t, .budget_ms = (double)x->c->budget_ms,
                      .n_tokens = x->speed ? tune_speed_work(x->speed) : 0,
                      .task = x->task ? x->task->name : NULL, .validity = &x->validity,
                      .unmet = x->unmet[0] ? x->unmet : NULL, .resumed = x->resumed};
    if (!page.unmet && x->t.n_steps) {
        hone_status status = profile_save(name, x->space.goal, &x->defaults, &x->t.best,
                                          x->kept.id, &x->validity, &file);
        if (status == HONE_OK) page.profile = file.text;
        else cli_error("the profile is not kept: %s", hone_error_message());
    }
    json_t *json = tune_to_json(&page);
    if (!x->t.cancelled) {
        RECORD(&x->kept, tune_store(&x->t, x->kept.db, x->kept.id));
        record_finish(&x->kept, &x->validity, json);
    } else {
        fprintf(stderr, "the same command goes on from here\n");
    }
    int code = x->c->json ? cli_print_json(json_incref(json), false) : tune_print_page(&page);
    json_decref(json);
    if (page.unmet) cli_error("%s", page.unmet);
    if (code != CLI_OK) return code;
    return page.unmet ? CLI_NOT_MET : x->t.cancelled ? CLI_INTERRUPTED : CLI_OK;
}

/* --- the command --- */

static int measure(tuning *x) {
    interrupt_arm(NULL);
    hone_status status = open_meter(x);
    if (status == HONE_OK) status = choose_first_model(x);
    if (status == HONE_OK && x->unmet[0]) {
        interrupt_disarm();
        cli_error("%s", x->unmet);
        return CLI_NOT_MET;
    }
    if (status == HONE_OK) {
        tune_space_fill(&x->space, &x->baseline, cpu_choose_threads().n_allowed,
                        (size_t)x->c->users);
        status = begin_keeping(x);
    }
    double start_ms = clock_ms();
    if (status == HONE_OK) status = choose_work(x);
    if (status == HONE_OK) status = run(x, start_ms);
    interrupt_disarm();
    cli_progress_clear();
    if (status != HONE_OK) return cli_fail(status);
    judge(x);
    return tell(x);
}

static int tune_models(const choice *c, const cli_operands *operands) {
    tuning *x = mem_calloc(1, sizeof *x);
    if (!x) return cli_fail(mem_fail("tuning", sizeof *x));
    x->c = c;
    x->space.goal = (tune_goal)c->goal;
    json_use_mem();
    int code = CLI_OK;
    hone_status status = c->task ? task_open(&x->task, c->task, NULL) : HONE_OK;
    if (status != HONE_OK) code = cli_fail(status);
    if (code == CLI_OK) code = look_at_all(x, operands);
    if (code == CLI_OK) code = measure(x);
    tune_release(&x->t);
    tune_journal_close(x->journal);
    tune_quality_close(x->quality);
    tune_speed_close(x->speed);
    task_close(x->task);
    record_release(&x->kept);
    mem_free(x);
    return code;
}

static int check(choice *c, const cli_usage *usage) {
    if (c->memory && !cli_parse_bytes(c->memory, &c->memory_bytes))
        return cli_wrong_use(usage, "--memory takes a size such as 16G or 900M, not \"%s\"",
                             c->memory);
    if (ollama_parse_duration(c->budget, "--budget", &c->budget_ms) != HONE_OK)
        return cli_wrong_use(usage, "%s", hone_error_message());
    if (c->budget_ms < LEAST_BUDGET_MS)
        return cli_wrong_use(usage, "--budget is a second at least");
    if (c->goal == TUNE_QUALITY && !c->task)
        return cli_wrong_use(usage, "--goal quality needs a --task; `hone tasks` lists them");
    if (c->goal != TUNE_QUALITY && c->task)
        return cli_wrong_use(usage, "--task belongs to --goal quality");
    if (c->goal == TUNE_TTFT && !isnan(c->min_speed))
        return cli_wrong_use(usage, "--min-speed is of answers, and --goal ttft writes none");
    if (c->goal == TUNE_QUALITY && !isnan(c->max_loss))
        return cli_wrong_use(usage, "--max-loss belongs to goals of speed");
    return CLI_PARSED;
}

int cmd_tune(int argc, char **argv) {
    choice c = {.goal = TUNE_DECODE, .budget = "5m", .users = DEFAULT_USERS, .prompt = CLI_UNSET,
                .threads = CLI_UNSET, .context = CLI_UNSET, .seed = 1, .max_tokens = CLI_UNSET,
                .min_speed = NAN, .max_loss = NAN};
    const cli_option options[] = {
        CLI_CHOICE("goal", 'g', &c.goal, TUNE_GOALS,
                   "what shall be best: tokens a second of one answer (the default), the time to the "
                   "first token, tokens a second of many answers together, or a task's score"),
        CLI_TEXT("budget", 0, &c.budget, "TIME",
                 "how long it may take, as 60s or 1h30m (default 5m)"),
        CLI_TEXT("memory", 'm', &c.memory, "SIZE",
                 "bytes that the process may use, as 16G or 900M"),
        CLI_REAL("min-speed", 0, &c.min_speed, "N", 0, 1e9,
                 "tokens a second that it has to write; code 3 where nothing does"),
        CLI_REAL("max-loss", 0, &c.max_loss, "PERCENT", 0, 1e6,
                 "most that perplexity may grow beside the first model with an F16 cache"),
        CLI_TEXT("task", 0, &c.task, "TASK", "what --goal quality is measured on (hone tasks)"),
        CLI_INTEGER("users", 0, &c.users, "N", 1, MOST_USERS,
                    "who ask at once, for --goal throughput (default 8)"),
        CLI_INTEGER("prompt", 'p', &c.prompt, "N", 32, 1024,
                    "tokens that are read first (default: 128 for decode, 512 for ttft, 64 for "
                    "throughput)"),
        CLI_INTEGER("max-tokens", 0, &c.max_tokens, "N", 1, 1 << 20,
                    "most tokens of a task's answer (default: as the task says)"),
        CLI_INTEGER("context", 'c', &c.context, "N", 256, 1 << 30,
                    "most tokens of prompt and answer (default: the model's maximum, or what fits)"),
        CLI_INTEGER("threads", 't', &c.threads, "N|auto", 1, 1024,
                    "compute threads to begin with (default: $HONE_THREADS, or auto)"),
        CLI_INTEGER("seed", 's', &c.seed, "N", 0, 9e18,
                    "of the items' order and answers (default 1)"),
        CLI_FLAG("json", 0, &c.json, "print one JSON object"),
        CLI_OPTIONS_END,
    };
    const cli_usage usage = {
        .command = "tune",
        .operands = "MODEL…",
        .about = "Looks for the settings that are best here: threads, prefill chunk, cache type, "
                 "context, slots and drafts from n-grams, or for --goal quality how tokens are "
                 "chosen. Of several models (sizes or quantisations of one) the first is where it "
                 "starts. Each setting's values race beside the present one in short runs that take "
                 "turns; one that is better beyond doubt is taken. Ends with the path from the "
                 "defaults to the best, and keeps it as the model's profile, which `hone run` and "
                 "`hone serve` take by themselves. Interrupted, it tells what there is, and the "
                 "same command goes on.",
        .examples = "hone tune smollm2:135m --budget 60s\n"
                    "hone tune smollm2:135m --goal throughput --users 16 --memory 2G\n"
                    "hone tune q8.gguf q6.gguf q4.gguf --max-loss 2 --min-speed 20\n"
                    "hone tune smollm2:135m --goal quality --task arithmetic\n",
        .options = options,
        .min_operands = 1,
        .max_operands = TUNE_MAX_MODELS,
    };
    cli_operands operands;
    int code = cli_parse(&usage, argc, argv, &operands);
    if (code == CLI_PARSED) code = check(&c, &usage);
    return code == CLI_PARSED ? tune_models(&c, &operands) : code;
}
