/* `hone run`: one question from an argument, a file or standard input; without one, a chat. */
#include "cli/run.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "cli/cli.h"
#include "cli/hear.h"
#include "cli/interrupt.h"
#include "cli/output.h"
#include "cli/profile_option.h"
#include "cli/trace.h"

enum { MAX_PROMPT_BYTES = 64 << 20 };

/* --- the prompt --- */

static int read_stream(buf *text, FILE *in, const char *name) {
    char chunk[16384];
    size_t n;
    while ((n = fread(chunk, 1, sizeof chunk, in)) > 0) {
        hone_status status = buf_add(text, chunk, n);
        if (status != HONE_OK) {
            cli_error("%s: more than %d MiB of prompt, or not enough memory for it", name,
                      MAX_PROMPT_BYTES >> 20);
            return CLI_FAILED;
        }
    }
    if (!ferror(in)) return CLI_OK;
    cli_error("%s: %s", name, strerror(errno));
    return CLI_FAILED;
}

static int read_file(buf *text, const char *path) {
    if (!strcmp(path, "-")) return read_stream(text, stdin, "standard input");
    FILE *in = fopen(path, "rb");
    if (!in) {
        cli_error("%s: %s", path, strerror(errno));
        return CLI_FAILED;
    }
    int code = read_stream(text, in, path);
    fclose(in);
    return code;
}

/* The argument, then the file; or standard input where it is not a terminal. An empty line parts
 * the two, a line end at the very end of a file is not part of the question. */
static int gather_prompt(buf *text, const char *argument, const char *file) {
    hone_status status = HONE_OK;
    if (argument) status = buf_add_text(text, argument);
    if (argument && file && status == HONE_OK) status = buf_add_text(text, "\n\n");
    if (status != HONE_OK) return cli_fail(status);
    int code = CLI_OK;
    if (file) code = read_file(text, file);
    else if (!argument) code = read_file(text, "-");
    bool from_file = file || !argument;
    if (from_file && text->len && text->data[text->len - 1] == '\n') {
        text->data[--text->len] = 0;
        if (text->len && text->data[text->len - 1] == '\r') text->data[--text->len] = 0;
    }
    return code;
}

/* Where a text stops being UTF-8; `n` when it never does. */
static size_t first_invalid_byte(const char *text, size_t n) {
    size_t at = 0;
    while (at < n) {
        uint32_t code;
        size_t length = utf8_decode(text + at, n - at, &code);
        if (code == UTF8_INVALID) break;
        at += length;
    }
    return at;
}

static int check_text(const cli_usage *usage, const char *what, const char *text, size_t n) {
    size_t invalid = first_invalid_byte(text, n);
    if (n == 0) return cli_wrong_use(usage, "%s is empty", what);
    if (invalid < n) {
        return cli_wrong_use(usage, "%s is not valid UTF-8: byte %zu is 0x%02x", what, invalid,
                             (unsigned char)text[invalid]);
    }
    return CLI_OK;
}

static int check_texts(const cli_usage *usage, const run_settings *s, const buf *prompt) {
    int code = CLI_OK;
    if (prompt) code = check_text(usage, "the prompt", prompt->data, prompt->len);
    if (code == CLI_OK && s->system) {
        code = check_text(usage, "the --system text", s->system, strlen(s->system));
    }
    for (size_t i = 0; i < s->answer.stop.n && code == CLI_OK; i++) {
        const char *stop = s->answer.stop.items[i];
        code = check_text(usage, "a --stop text", stop, strlen(stop));
    }
    return code;
}

/* --- one answer --- */

static hone_status generate(answer *a, const engine *e, const run_settings *s, const buf *prompt,
                            bool print) {
    bool chat = !s->raw && hone_model_describe(e->model)->has_chat_template;
    const hone_part parts[] = {
        {HONE_PART_TEXT, s->system, s->system ? strlen(s->system) : 0},
        {HONE_PART_TEXT, prompt->data, prompt->len},
    };
    const hone_message messages[] = {
        {"system", &parts[0], 1},
        {"user", &parts[1], 1},
    };
    size_t first = s->system ? 0 : 1;
    return answer_generate(a, e, &s->answer, chat ? messages + first : NULL, chat ? 2 - first : 0,
                           prompt->data, prompt->len, print);
}

static void end_line(const hone_result *r) {
    if (r->n_bytes == 0 || r->text[r->n_bytes - 1] != '\n') cli_write("\n", 1);
}

/* The object for an answer that could not be made: the fields that scripts look at first. */
static int print_json_error(const char *model) {
    return cli_print_json(json_pack("{s:o, s:s, s:s, s:o}", "model", cli_json_text(model),
                                    "text", "", "finish_reason", "error", "error",
                                    cli_json_text(hone_error_message())),
                          false);
}

/* An answer that did not pass is printed all the same; the exit code tells. */
static int tell_failed_checks(const answer *a, const run_settings *s) {
    const hone_strategy_result *t = &a->trace;
    double score = t->n_draws ? t->draws[t->chosen].score : 0;
    char *fault = NULL;
    checks *wanted = s->answer.strategy.checks;
    if (!wanted || score >= 1) return CLI_OK;
    hone_status status = checks_judge(wanted, a->result.text, &score, &fault);
    if (status != HONE_OK) return cli_fail(status);
    if (score >= 1 && a->result.finish != HONE_FINISH_LENGTH) return CLI_OK;
    if (fault) fault[strcspn(fault, "\n")] = '\0';
    cli_error("the answer did not pass%s%s", fault ? ": " : "; it was cut off", fault ? fault : "");
    hone_free(fault);
    return CLI_NOT_MET;
}

static int answer_once(const engine *e, const run_settings *s, const buf *prompt, bool json) {
    bool logprobs = s->answer.logprobs != CLI_UNSET, print = !json && !logprobs;
    answer a;
    hone_status status = generate(&a, e, s, prompt, print);
    if (status != HONE_OK) {
        if (json && status != HONE_ERR_CANCELLED) print_json_error(s->model);
        return cli_fail(status);
    }
    int code = CLI_OK;
    if (json) {
        json_t *root = answer_to_json(&a, e, s->model, logprobs);
        if (root && s->chosen)
            json_object_set_new(root, "route",
                                route_choice_to_json(s->chosen,
                                                     (route_priority)s->routing.priority));
        code = cli_print_json(root, false);
    } else if (logprobs) {
        code = answer_print_logprobs(&a, e);
    } else {
        end_line(&a.result);
    }
    int written = cli_finish_output();
    if (code == CLI_OK) code = written;
    answer_tell_cut(&a, e, &s->answer, false);
    if (s->trace && a.trace.n_draws && !json) trace_print(stderr, &a.trace);
    bool watched = cli_is_terminal(stdout) && cli_is_terminal(stderr) && !json;
    if (s->stats) answer_print_stats_table(stderr, &a, e, s->model);
    else if (watched) answer_print_stats_line(stderr, &a, e);
    if (code == CLI_OK) code = tell_failed_checks(&a, s);
    if (interrupt_seen()) code = CLI_INTERRUPTED;
    answer_release(&a);
    return code;
}

/* A request that the model cannot serve is told before the work starts. */
static int check_model(const engine *e, const run_settings *s) {
    const hone_model_info *info = hone_model_describe(e->model);
    if (s->system && (s->raw || !info->has_chat_template)) {
        cli_error(s->raw ? "--system needs the model's chat template, which --raw leaves out"
                         : "%s has no chat template, so that --system has no place; put the text "
                           "into the prompt", s->model);
        return CLI_USAGE;
    }
    return CLI_OK;
}

static int run_model(run_settings *s, const buf *prompt, bool json) {
    engine e;
    if (!s->no_profile) profile_option_run(&s->engine, &s->answer, s->model);
    int code = engine_open(&e, s->model, &s->engine);
    if (code != CLI_OK) return code;
    code = check_model(&e, s);
    if (code == CLI_OK) code = strategy_option_open_models(&s->answer.strategy, &s->engine);
    if (!s->system && !s->raw && hone_model_describe(e.model)->has_chat_template)
        s->system = e.beside.system;
    if (code == CLI_OK) code = prompt ? answer_once(&e, s, prompt, json) : chat_run(&e, s);
    engine_release(&e);
    return code;
}

/* --- a model chosen for the prompt --- */

/* What was chosen, where the command line does not say otherwise. */
static hone_status take_choice(run_settings *s, const route_choice *c) {
    hone_strategy **strategy = &s->answer.strategy.strategy;
    s->model = c->model;
    if (!s->system) s->system = c->system;
    if (isnan(s->answer.temperature)) s->answer.temperature = c->settings.temperature;
    if (isnan(s->answer.top_p)) s->answer.top_p = c->settings.top_p;
    if (s->answer.max_tokens == CLI_UNSET && c->settings.max_tokens)
        s->answer.max_tokens = (int64_t)c->settings.max_tokens;
    if (!*strategy && c->strategy) TRY(hone_strategy_parse(strategy, c->strategy));
    return HONE_OK;
}

static void tell_choice(const route_choice *c) {
    fprintf(stderr, "auto: %s  %s%s%s%s\n", c->model, c->quantisation,
            c->strategy ? "  --strategy \"" : "", c->strategy ? c->strategy : "",
            c->strategy ? "\"" : "");
    for (size_t i = 0; i < c->n_reasons; i++) fprintf(stderr, "  %s\n", c->reasons[i]);
}

/* The prompt answered by the model that `hone route` would name. */
static int run_auto(const cli_usage *usage, run_settings *s, const buf *prompt, bool json) {
    route_choice c;
    int code = route_prompt(&c, prompt->data, prompt->len, &s->routing, usage);
    if (code != CLI_OK) return code;
    hone_status status = take_choice(s, &c);
    s->chosen = &c;
    if (!json) tell_choice(&c);
    code = status == HONE_OK ? run_model(s, prompt, json) : cli_fail(status);
    s->chosen = NULL;
    route_choice_release(&c);
    return code;
}

bool run_chooses(const run_settings *s) { return !strcmp(s->model, "auto"); }

int run_prompt(const cli_usage *usage, run_settings *s, const buf *prompt, bool json) {
    int code = check_texts(usage, s, prompt);
    if (code != CLI_OK) return code;
    return run_chooses(s) ? run_auto(usage, s, prompt, json) : run_model(s, prompt, json);
}

int cmd_run(int argc, char **argv) {
    run_settings s = RUN_SETTINGS_UNSET;
    hear_settings spoken = HEAR_SETTINGS_UNSET;
    const char *file = NULL;
    bool json = false;
    answer_settings_init(&s.answer);
    const cli_option options[] = {
        CLI_TEXT("system", 0, &s.system, "TEXT", "what the model is told before the conversation"),
        CLI_TEXT("file", 'f', &file, "FILE",
                 "read the prompt from FILE (- = standard input); with a PROMPT, put it behind"),
        HEAR_OPTIONS(spoken),
        CLI_FLAG("raw", 0, &s.raw, "continue the prompt as it stands, without the chat template"),
        CLI_FLAG("json", 0, &json, "print one JSON object at the end instead of streaming"),
        STRATEGY_OPTIONS(s.answer.strategy),
        CLI_FLAG("trace", 0, &s.trace,
                 "tell every draw of the strategy and how it chose (on stderr)"),
        CLI_FLAG("stats", 0, &s.stats, "close with a table of speed and memory (on stderr)"),
        ANSWER_OPTIONS(s.answer),
        CLI_HEADING("Choosing the model (MODEL is \"auto\")"),
        ROUTE_OPTIONS(s.routing),
        CLI_HEADING("Engine"),
        ENGINE_OPTIONS(s.engine),
        PROFILE_OPTION(&s.no_profile),
        CLI_OPTIONS_END,
    };
    const cli_usage usage = {
        .command = "run",
        .operands = "MODEL [PROMPT]",
        .about = "Answers once, streaming to standard output. The prompt is the argument, a "
                 "--file, or standard input: where that is not a terminal, or as \"-\". Without any "
                 "of them a chat begins (/help lists its commands). With --audio what is said in a "
                 "file is put behind the prompt.\n\n"
                 "MODEL is a name in the store (hone list), a GGUF file or a Hugging Face folder; "
                 "\"auto\" takes the one that hone route names for the prompt.",
        .examples = "hone run smollm2:135m \"Why is the sky blue?\"\n"
                    "hone run smollm2:135m --temperature 0 --json < question.txt\n"
                    "hone run smollm2:135m \"Summarise this:\" --file report.txt\n"
                    "hone run smollm2:135m --audio question.wav\n"
                    "hone run smollm2:135m --strategy sc8 --trace \"What is 17 + 25?\"\n"
                    "hone run smollm2:135m\n",
        .options = options,
        .min_operands = 1,
        .max_operands = 2,
    };
    cli_operands operands;
    int code = cli_parse(&usage, argc, argv, &operands);
    if (code != CLI_PARSED) return code;
    s.model = operands.items[0];
    s.options = options;
    const char *argument = operands.n > 1 ? operands.items[1] : NULL;
    if (argument && !file && !strcmp(argument, "-")) file = argument, argument = NULL;
    bool silent = !spoken.audio, chat = silent && !argument && !file && cli_is_terminal(stdin);
    if (chat && run_chooses(&s))
        return cli_wrong_use(&usage, "auto chooses a model for a prompt: give one");
    if (chat && (json || !cli_is_terminal(stdout))) {
        return cli_wrong_use(&usage, "a prompt is missing: give it as an argument, with --file or "
                                     "on standard input");
    }
    strategy_option *strategy = &s.answer.strategy;
    if (strategy->wanted.n && chat)
        return cli_wrong_use(&usage, "--check is for one answer, not for a chat");
    buf prompt;
    buf_init(&prompt, MAX_PROMPT_BYTES);
    code = strategy_option_open(strategy, &usage);
    if (code == CLI_OK && !chat && (silent || argument || file))
        code = gather_prompt(&prompt, argument, file);
    if (code == CLI_OK && !silent) code = hear(&prompt, &spoken, s.engine.threads);
    if (code == CLI_OK) code = run_prompt(&usage, &s, chat ? NULL : &prompt, json);
    buf_release(&prompt);
    strategy_option_release(strategy);
    return code;
}
