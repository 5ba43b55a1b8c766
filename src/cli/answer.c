/* One question answered. */
#include "cli/answer.h"

#include <math.h>
#include <string.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/status.h"
#include "base/system.h"
#include "base/utf8.h"
#include "cli/cli.h"
#include "cli/interrupt.h"
#include "cli/output.h"
#include "cli/trace.h"
#include "lab/code_run.h"

#define MAX_GRAMMAR_BYTES (1 << 20)

void answer_settings_init(answer_settings *s) {
    *s = (answer_settings){
        .temperature = NAN,
        .top_p = NAN,
        .min_p = NAN,
        .typical_p = NAN,
        .repeat_penalty = NAN,
        .presence_penalty = NAN,
        .frequency_penalty = NAN,
        .top_k = CLI_UNSET,
        .repeat_last_n = CLI_UNSET,
        .seed = CLI_UNSET,
        .max_tokens = CLI_UNSET,
        .thinking_budget = CLI_UNSET,
        .logprobs = CLI_UNSET,
    };
}

static void override_real(float *value, double given) {
    if (!isnan(given)) *value = (float)given;
}

static void override_integer(int32_t *value, int64_t given) {
    if (given != CLI_UNSET) *value = (int32_t)given;
}

static hone_sampling make_sampling(const answer_settings *s, const engine *e) {
    hone_sampling sampling = e->own.sampling;
    override_real(&sampling.temperature, s->temperature);
    override_real(&sampling.top_p, s->top_p);
    override_real(&sampling.min_p, s->min_p);
    override_real(&sampling.typical_p, s->typical_p);
    override_real(&sampling.repetition_penalty, s->repeat_penalty);
    override_real(&sampling.presence_penalty, s->presence_penalty);
    override_real(&sampling.frequency_penalty, s->frequency_penalty);
    override_integer(&sampling.top_k, s->top_k);
    override_integer(&sampling.repeat_last_n, s->repeat_last_n);
    if (s->seed != CLI_UNSET) sampling.seed = (uint64_t)s->seed;
    return sampling;
}

/* Most tokens of an answer; 0 = no limit. */
static size_t answer_limit(const answer_settings *s, const engine *e) {
    return s->max_tokens == CLI_UNSET ? e->own.max_tokens : (size_t)s->max_tokens;
}

/* --- while it streams --- */

typedef struct stream {
    answer *answer;
    bool print, keep_tokens, to_terminal, write_failed, memory_failed;
} stream;

/* To a terminal, without what would steer it: a model may write escape sequences. */
static bool print_to_terminal(const char *text, size_t n) {
    for (size_t at = 0; at < n;) {
        size_t plain = at;
        uint32_t code = ' ';
        size_t length = 0;
        while (plain < n) {
            length = utf8_decode(text + plain, n - plain, &code);
            bool control = code < 0x20 || (code >= 0x7f && code < 0xa0);
            if (control && code != '\n' && code != '\t') break;
            plain += length;
        }
        if (!cli_write(text + at, plain - at)) return false;
        at = plain < n ? plain + length : n;
    }
    return true;
}

static bool keep_token(answer *a, const hone_piece *piece) {
    if (mem_grow(&a->tokens, &a->tokens_capacity, a->n_tokens + 1, sizeof *a->tokens, "answer") !=
        HONE_OK)
        return false;
    answer_token *t = &a->tokens[a->n_tokens];
    *t = (answer_token){.id = piece->token, .logprob = piece->logprob, .n_top = piece->n_top};
    t->top_ids = mem_calloc(piece->n_top, sizeof *t->top_ids);
    t->top_logprobs = mem_calloc(piece->n_top, sizeof *t->top_logprobs);
    a->n_tokens++;
    if (!t->top_ids || !t->top_logprobs) return false;
    if (piece->n_top) {
        memcpy(t->top_ids, piece->top_ids, piece->n_top * sizeof *t->top_ids);
        memcpy(t->top_logprobs, piece->top_logprobs, piece->n_top * sizeof *t->top_logprobs);
    }
    return true;
}

static int on_piece(void *user, const hone_piece *piece) {
    stream *s = user;
    if (interrupt_seen()) return 1;
    cli_progress_clear();
    if (s->keep_tokens && piece->token >= 0 && !keep_token(s->answer, piece)) {
        s->memory_failed = true;
        return 1;
    }
    if (!s->print || piece->n_bytes == 0) return 0;
    s->write_failed = !(s->to_terminal ? print_to_terminal(piece->text, piece->n_bytes)
                                       : cli_write(piece->text, piece->n_bytes));
    return s->write_failed;
}

static void on_prefill(void *user, size_t done, size_t total) {
    (void)user;
    if (total >= 256) cli_progress("reading: %zu of %zu tokens", done, total);
}

static void on_draw(void *user, const hone_draw *draw, size_t n_ended) {
    (void)user;
    cli_progress("%zu %s ended, the last one: %s (%s)", n_ended,
                 n_ended == 1 ? "draw has" : "draws have", draw->stage,
                 draw->answer ? draw->answer : hone_draw_end_name(draw->end));
}

/* Between two programs there is no step that an interrupt would end. */
static hone_status run_code(void *user, const char *language, const char *code, char **output) {
    if (interrupt_seen()) return fail(HONE_ERR_CANCELLED, "interrupted");
    return code_run(user, language, code, output);
}

/* The chosen text as a result, with the tokens that all draws together took. */
static hone_status run_strategy(answer *a, const engine *e, const answer_settings *s,
                                const hone_request *request) {
    const strategy_option *o = &s->strategy;
    hone_strategy_options options = {
        .on_draw = on_draw, .user = o->checks, .check = o->checks ? checks_judge : NULL,
        .others = o->sessions, .n_others = o->n_models,
        .max_draws = o->max_draws, .max_tokens = o->max_tokens, .max_seconds = o->max_seconds,
        .examples = o->examples.items, .n_examples = o->examples.n};
    code_run_offer(&options);
    if (options.run_code) options.run_code = run_code;
    if (o->checks) TRY(checks_prepare(o->checks, e->model));
    TRY(hone_strategy_run(o->strategy, e->session, request, &options, &a->trace));
    const hone_strategy_result *t = &a->trace;
    size_t n = strlen(t->text);
    a->result = (hone_result){.text = mem_copy_string(t->text, n), .n_bytes = n,
                              .finish = t->finish, .n_tokens = t->n_decode_tokens,
                              .seed = request->sampling.seed, .decode_ms = 1000 * t->seconds};
    for (size_t i = 0; i < t->n_draws; i++) {
        a->result.n_prompt_tokens += t->draws[i].n_prompt_tokens;
        a->result.n_cached_tokens += t->draws[i].n_cached_tokens;
    }
    return a->result.text ? HONE_OK : mem_fail("answer", n);
}

static hone_status open_grammar(hone_grammar **grammar, const answer_settings *s,
                                const hone_model *model) {
    *grammar = NULL;
    if (s->grammar && s->json_schema)
        return fail(HONE_ERR_ARGUMENT, "--grammar and --json-schema exclude each other");
    const char *path = s->grammar ? s->grammar : s->json_schema;
    if (!path) return HONE_OK;
    buf text;
    buf_init(&text, MAX_GRAMMAR_BYTES);
    hone_status status = fs_read_file(&text, path);
    if (status == HONE_OK) {
        status = s->grammar ? hone_grammar_open(grammar, model, text.data, text.len)
                            : hone_grammar_open_schema(grammar, model, text.data, text.len, NULL);
        if (status != HONE_OK) fail_context(status, "%s", path);
    }
    buf_release(&text);
    return status;
}

hone_status answer_generate(answer *a, const engine *e, const answer_settings *settings,
                            const hone_message *messages, size_t n_messages, const char *prompt,
                            size_t prompt_bytes, bool print) {
    *a = (answer){.n_tokens = 0};
    stream state = {.answer = a,
                    .print = print,
                    .keep_tokens = settings->logprobs != CLI_UNSET,
                    .to_terminal = cli_is_terminal(stdout)};
    hone_grammar *grammar;
    TRY(open_grammar(&grammar, settings, e->model));
    const hone_request request = {
        .messages = messages,
        .n_messages = n_messages,
        .prompt = messages ? NULL : prompt,
        .prompt_bytes = messages ? 0 : prompt_bytes,
        .sampling = make_sampling(settings, e),
        .max_tokens = answer_limit(settings, e),
        .stop = settings->stop.n ? settings->stop.items : e->own.stops,
        .n_stop = settings->stop.n ? settings->stop.n : e->own.n_stops,
        .grammar = grammar,
        .limit_thinking = settings->thinking_budget != CLI_UNSET,
        .thinking_budget =
            settings->thinking_budget == CLI_UNSET ? 0 : (size_t)settings->thinking_budget,
        .ignore_eos = settings->ignore_eos,
        .logprobs = settings->logprobs != CLI_UNSET,
        .n_top_logprobs = settings->logprobs == CLI_UNSET ? 0 : (size_t)settings->logprobs,
        .draft_kind = e->draft_kind,
        .draft = e->draft_session,
        .n_draft = e->n_draft,
        .on_piece = on_piece,
        .on_prefill = on_prefill,
        .user = &state,
    };
    hone_session_uncancel(e->session);
    interrupt_arm(e->session);
    hone_status status = settings->strategy.strategy
                             ? run_strategy(a, e, settings, &request)
                             : hone_generate(e->session, &request, &a->result);
    hone_grammar_close(grammar);
    interrupt_disarm();
    hone_session_uncancel(e->session);
    cli_progress_clear();
    if (status == HONE_OK && state.memory_failed) status = mem_fail("log-probabilities", 0);
    if (status != HONE_OK) answer_release(a);
    return status;
}

void answer_release(answer *a) {
    for (size_t i = 0; i < a->n_tokens; i++) {
        mem_free(a->tokens[i].top_ids);
        mem_free(a->tokens[i].top_logprobs);
    }
    mem_free(a->tokens);
    hone_result_release(&a->result);
    hone_strategy_result_release(&a->trace);
    *a = (answer){.n_tokens = 0};
}

/* --- afterwards --- */

/* " Paris" for a token; the caller frees it. NULL when memory is short. Some tokenizers drop the
 * blank at the start of a text, so that the token is taken from behind a copy of itself. */
static char *token_text(const hone_model *model, int32_t id) {
    const int32_t twice[] = {id, id};
    char *once_text, *twice_text;
    size_t n_once, n_twice;
    if (hone_detokenize(model, twice, 1, true, &once_text, &n_once) != HONE_OK) return NULL;
    hone_free(once_text);
    if (hone_detokenize(model, twice, 2, true, &twice_text, &n_twice) != HONE_OK) return NULL;
    if (n_once <= n_twice) memmove(twice_text, twice_text + n_once, n_twice - n_once + 1);
    return twice_text;
}

static json_t *token_to_json(const hone_model *model, int32_t id, double logprob) {
    char *text = token_text(model, id);
    json_t *token = json_pack("{s:i, s:s, s:f}", "id", (int)id, "text", text ? text : "",
                              "logprob", logprob);
    hone_free(text);
    return token;
}

static json_t *logprobs_to_json(const answer *a, const hone_model *model) {
    json_t *list = json_array();
    for (size_t i = 0; i < a->n_tokens; i++) {
        const answer_token *t = &a->tokens[i];
        json_t *token = token_to_json(model, t->id, t->logprob), *top = json_array();
        for (size_t k = 0; k < t->n_top; k++) {
            json_array_append_new(top, token_to_json(model, t->top_ids[k], t->top_logprobs[k]));
        }
        json_object_set_new(token, "top", top);
        json_array_append_new(list, token);
    }
    return list;
}

json_t *answer_to_json(const answer *a, const engine *e, const char *model, bool logprobs) {
    const hone_result *r = &a->result;
    json_t *root = json_pack(
        "{s:o, s:s%, s:s, s:{s:I, s:I, s:I}, s:{s:f, s:f, s:f, s:f}, s:I, s:I}", "model",
        cli_json_text(model), "text", r->text ? r->text : "", r->n_bytes, "finish_reason",
        hone_finish_name(r->finish), "usage", "prompt_tokens", (json_int_t)r->n_prompt_tokens,
        "completion_tokens", (json_int_t)r->n_tokens, "cached_tokens",
        (json_int_t)r->n_cached_tokens, "timings", "load_ms", e->load_ms, "prefill_ms",
        r->prefill_ms, "ttft_ms", r->ttft_ms, "decode_ms", r->decode_ms, "memory_bytes",
        (json_int_t)system_peak_resident_bytes(), "seed", (json_int_t)r->seed);
    if (root && e->draft_kind != HONE_DRAFT_NONE) {
        json_object_set_new(root, "speculation",
                            json_pack("{s:I, s:I}", "drafted_tokens", (json_int_t)r->n_drafted,
                                      "accepted_tokens", (json_int_t)r->n_accepted));
    }
    if (root && a->trace.n_draws) json_object_set_new(root, "trace", trace_to_json(&a->trace));
    if (root && logprobs) json_object_set_new(root, "logprobs", logprobs_to_json(a, e->model));
    return root;
}

int answer_print_logprobs(const answer *a, const engine *e) {
    static const char *const headers[] = {"token", "text", "logprob", "probability",
                                          "alternatives"};
    cli_table table;
    cli_table_init(&table, "rlrrl", headers);
    for (size_t i = 0; i < a->n_tokens; i++) {
        const answer_token *t = &a->tokens[i];
        char *text = token_text(e->model, t->id);
        cli_table_add(&table, "%d", (int)t->id);
        cli_table_add(&table, "\"%s\"", text ? text : "");
        cli_table_add(&table, "%.4f", t->logprob);
        cli_table_add(&table, "%.4f", exp(t->logprob));
        hone_free(text);
        char alternatives[1024] = "";
        size_t used = 0;
        for (size_t k = 0; k < t->n_top && used < sizeof alternatives; k++) {
            char *other = token_text(e->model, t->top_ids[k]);
            int n = snprintf(alternatives + used, sizeof alternatives - used, "%s\"%s\" %.4f",
                             k ? "  " : "", other ? other : "", exp(t->top_logprobs[k]));
            used += n > 0 ? (size_t)n : 0;
            hone_free(other);
        }
        cli_table_add(&table, "%s", alternatives);
    }
    return cli_table_print(&table);
}

void answer_tell_cut(const answer *a, const engine *e, const answer_settings *s, bool limit_too) {
    const hone_result *r = &a->result;
    if (r->finish != HONE_FINISH_LENGTH) return;
    size_t limit = answer_limit(s, e);
    if (limit == 0 || r->n_tokens < limit) {
        fprintf(stderr, "(the answer was cut: the context of %zu tokens is full)\n",
                hone_session_context(e->session));
    } else if (limit_too) {
        fprintf(stderr, "(the answer was cut at %zu tokens)\n", r->n_tokens);
    }
}

/* --- what it cost --- */

static double per_second(size_t n, double milliseconds) {
    return milliseconds > 0 ? 1000 * (double)n / milliseconds : 0;
}

/* Of the prompt's tokens, those that were computed. */
static double prefill_speed(const hone_result *r) {
    return per_second(r->n_prompt_tokens - r->n_cached_tokens, r->prefill_ms);
}

/* The first token comes out of the prefill; decoding makes the others. */
static double decode_speed(const hone_result *r) {
    return r->n_tokens > 1 ? per_second(r->n_tokens - 1, r->decode_ms) : 0;
}

/* Draws run side by side: the speed of one of them is not known. */
static void print_draws(FILE *out, const hone_strategy_result *t) {
    fprintf(out, "%zu draw%s in %.2f s: computed %zu tokens of prompts and %zu of answers",
            t->n_draws, t->n_draws == 1 ? "" : "s", t->seconds, t->n_prefill_tokens,
            t->n_decode_tokens);
}

void answer_print_stats_line(FILE *out, const answer *a, const engine *e) {
    const hone_result *r = &a->result;
    cli_text first, load, memory, drafts;
    fputs(cli_colour_code(out, CLI_DIM), out);
    fputc('[', out);
    if (a->trace.n_draws) {
        print_draws(out, &a->trace);
        fputs("; ", out);
    } else {
        fprintf(out, "prompt %zu tokens", r->n_prompt_tokens);
        if (r->n_cached_tokens) fprintf(out, ", %zu of them known", r->n_cached_tokens);
        fprintf(out, ", %.0f tokens/s; answer %zu tokens, %.1f tokens/s; first token after %s; ",
                prefill_speed(r), r->n_tokens, decode_speed(r), cli_format_ms(&first, r->ttft_ms));
    }
    if (e->draft_kind != HONE_DRAFT_NONE) {
        fprintf(out, "%s; ", engine_format_drafts(&drafts, r->n_accepted, r->n_drafted));
    }
    fprintf(out, "loaded in %s; peak memory %s]%s\n", cli_format_ms(&load, e->load_ms),
            cli_format_bytes(&memory, system_peak_resident_bytes()),
            cli_colour_code(out, CLI_PLAIN));
}

void answer_print_stats_table(FILE *out, const answer *a, const engine *e, const char *model) {
    const hone_result *r = &a->result;
    const hone_model_info *info = hone_model_describe(e->model);
    cli_text t;
    fprintf(out, "\n%-24s%s\n", "model", model);
    fprintf(out, "%-24s%s\n", "file size", cli_format_bytes(&t, info->file_bytes));
    fprintf(out, "%-24s%s\n", "load time", cli_format_ms(&t, e->load_ms));
    if (a->trace.n_draws) {
        fprintf(out, "%-24s", "strategy");
        print_draws(out, &a->trace);
        fputc('\n', out);
    } else {
        fprintf(out, "%-24s%.1f tokens/s (%zu tokens", "prefill", prefill_speed(r),
                r->n_prompt_tokens - r->n_cached_tokens);
        if (r->n_cached_tokens) fprintf(out, ", %zu more known", r->n_cached_tokens);
        fprintf(out, ")\n%-24s%s\n", "time to first token", cli_format_ms(&t, r->ttft_ms));
        fprintf(out, "%-24s%.1f tokens/s (%zu tokens)\n", "decode", decode_speed(r), r->n_tokens);
    }
    if (e->draft_kind != HONE_DRAFT_NONE) {
        fprintf(out, "%-24s%s\n", "speculation",
                engine_format_drafts(&t, r->n_accepted, r->n_drafted));
    }
    fprintf(out, "%-24s%s\n", "peak memory",
            cli_format_bytes(&t, system_peak_resident_bytes()));
    fprintf(out, "%-24s%d, %s\n", "threads, kernels", info->n_threads, info->instruction_set);
}
