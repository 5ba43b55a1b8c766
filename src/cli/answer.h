/* One question answered: how to generate, what streams to the terminal, what it cost. */
#ifndef CLI_ANSWER_H
#define CLI_ANSWER_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "cli/engine.h"
#include "cli/options.h"
#include "cli/strategy_option.h"
#include "hone/hone.h"

/* Values not given are CLI_UNSET or NAN: the model's own recommendation holds. */
typedef struct answer_settings {
    double temperature, top_p, min_p, typical_p;
    double repeat_penalty, presence_penalty, frequency_penalty;
    int64_t top_k, repeat_last_n, seed, max_tokens, thinking_budget, logprobs;
    cli_texts stop;
    const char *grammar, *json_schema; /* files, or NULL */
    bool ignore_eos;
    strategy_option strategy; /* without a strategy: one answer, as it is sampled */
} answer_settings;

void answer_settings_init(answer_settings *s);

#define ANSWER_OPTIONS(s)                                                                         \
    CLI_INTEGER("max-tokens", 'n', &(s).max_tokens, "N", 1, 1 << 30,                              \
                "end the answer after N tokens (default: when the model ends it)"),               \
    CLI_INTEGER("thinking-budget", 0, &(s).thinking_budget, "N", 0, 1 << 30,                      \
                "close a thought after N tokens (default: when the model does)"),                 \
    CLI_TEXTS("stop", 0, &(s).stop, "TEXT", "end the answer before TEXT; repeatable"),            \
    CLI_TEXT("grammar", 0, &(s).grammar, "FILE", "hold the answer to the GBNF rules in FILE"),    \
    CLI_TEXT("json-schema", 0, &(s).json_schema, "FILE",                                          \
             "hold the answer to the JSON schema in FILE"),                                       \
    CLI_FLAG("ignore-eos", 0, &(s).ignore_eos, "go on where the model would end its answer"),     \
    CLI_INTEGER("logprobs", 0, &(s).logprobs, "N", 0, HONE_MAX_TOP_LOGPROBS,                      \
                "list each token with its log-probability and the N best alternatives"),          \
    CLI_HEADING("Sampling (default: what the model recommends)"),                                 \
    CLI_REAL("temperature", 'T', &(s).temperature, "X", 0, 100,                                   \
             "0 = always the most probable token; higher = more varied"),                         \
    CLI_INTEGER("top-k", 0, &(s).top_k, "N", 0, 1 << 30, "only the N most probable; 0 = off"),    \
    CLI_REAL("top-p", 0, &(s).top_p, "P", 0, 1,                                                   \
             "only the most probable that together reach P; 1 = off"),                            \
    CLI_REAL("min-p", 0, &(s).min_p, "P", 0, 1,                                                   \
             "only those at least P times as probable as the best; 0 = off"),                     \
    CLI_REAL("typical-p", 0, &(s).typical_p, "P", 0, 1,                                           \
             "only the most typical that together reach P; 1 = off"),                             \
    CLI_REAL("repeat-penalty", 0, &(s).repeat_penalty, "X", 0.01, 100,                            \
             "divide the score of recent tokens by X; 1 = off"),                                  \
    CLI_INTEGER("repeat-last-n", 0, &(s).repeat_last_n, "N", -1, 1 << 30,                         \
                "how far --repeat-penalty looks back; -1 = over everything"),                     \
    CLI_REAL("presence-penalty", 0, &(s).presence_penalty, "X", -2, 2,                            \
             "subtract X from the score of tokens already generated; 0 = off"),                   \
    CLI_REAL("frequency-penalty", 0, &(s).frequency_penalty, "X", -2, 2,                          \
             "subtract X for each time a token was generated; 0 = off"),                          \
    CLI_INTEGER("seed", 's', &(s).seed, "N", 0, 9e18, "same seed and settings, same answer")

/* One generated token, kept where log-probabilities are asked for. */
typedef struct answer_token {
    int32_t id;
    double logprob;
    size_t n_top;
    int32_t *top_ids; /* n_top ids, and behind them nothing; freed by answer_release */
    double *top_logprobs;
} answer_token;

typedef struct answer {
    hone_result result; /* with a strategy: the text chosen, and the tokens of all draws */
    hone_strategy_result trace; /* of the strategy, where there is one */
    answer_token *tokens;
    size_t n_tokens, tokens_capacity;
} answer;

/* Answers messages, or the plain `prompt` where `messages` is NULL, and streams the text to stdout
 * where `stream`. Ctrl-C ends the answer with finish reason "cancelled". Fills `a` when HONE_OK is
 * returned; the session then holds prompt and answer. */
hone_status answer_generate(answer *a, const engine *e, const answer_settings *settings,
                            const hone_message *messages, size_t n_messages, const char *prompt,
                            size_t prompt_bytes, bool stream);
void answer_release(answer *a);

/* The object of `--json`; NULL when memory is short. */
json_t *answer_to_json(const answer *a, const engine *e, const char *model, bool logprobs);

/* The tokens with their log-probabilities as a table on stdout. Returns an exit code. */
int answer_print_logprobs(const answer *a, const engine *e);

/* Tells on stderr where the answer was cut because the context is full, or (where `limit_too`) by
 * --max-tokens; nothing where the model ended it. */
void answer_tell_cut(const answer *a, const engine *e, const answer_settings *s, bool limit_too);

/* What it cost: one line, or a table that starts with the model. On `out`. */
void answer_print_stats_line(FILE *out, const answer *a, const engine *e);
void answer_print_stats_table(FILE *out, const answer *a, const engine *e, const char *model);

#endif
