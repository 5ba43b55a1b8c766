/* `--strategy` and what belongs to it: the checks that judge its answers, the examples that it
 * shows, the models that it asks beside the first. */
#ifndef CLI_STRATEGY_OPTION_H
#define CLI_STRATEGY_OPTION_H

#include "cli/check.h"
#include "cli/engine.h"
#include "cli/options.h"
#include "serve/example_list.h"

/* Zero-initialise. */
typedef struct strategy_option {
    const char *expression, *example_file, *budget; /* as typed, or NULL */
    cli_texts wanted;                      /* forms of checks */
    /* From strategy_option_open: */
    hone_strategy *strategy; /* NULL = none */
    checks *checks;
    example_list examples;
    size_t max_draws, max_tokens; /* of the budget; 0 = no bound */
    double max_seconds;
    /* From strategy_option_open_models: */
    engine engines[HONE_MAX_OTHERS];
    hone_session *sessions[HONE_MAX_OTHERS];
    size_t n_models;
} strategy_option;

/* Rows of an option table for strategy_option `o`. */
#define STRATEGY_OPTIONS(o)                                                                        \
    CLI_TEXT("strategy", 0, &(o).expression, "NAME",                                               \
             "draw several answers and choose: sc8, bon3, \"re2 & sc8\", \"ensemble6 with "        \
             "MODEL\" … (hone strategies)"),                                                       \
    CLI_TEXT("budget", 0, &(o).budget, "draws=N,tokens=N,seconds=X",                               \
             "what a strategy may spend, any of the three; then the best answer so far stands"),   \
    CLI_TEXTS("check", 0, &(o).wanted, "CHECK",                                                    \
              "what the answer must satisfy: schema:FILE, regex:PATTERN, length:LOW-HIGH, "        \
              "language:CODE, tests:FILE (code) or command:COMMAND ($1 = its file); asks again "   \
              "with the fault (--strategy retry3); repeatable"),                                   \
    CLI_TEXT("examples", 0, &(o).example_file, "FILE",                                             \
             "questions with answers, a JSON object a line, for the strategies shots and nearest")

/* Parses and reads what was typed. Returns an exit code; release in any case. */
int strategy_option_open(strategy_option *o, const cli_usage *usage);

/* Opens the models behind "with", as the settings say but for adapters, drafts and context. Returns
 * an exit code. */
int strategy_option_open_models(strategy_option *o, const engine_settings *settings);
void strategy_option_release(strategy_option *o);

#endif
