/* What `hone run` hands to the chat at a terminal. */
#ifndef CLI_RUN_H
#define CLI_RUN_H

#include "base/buf.h"
#include "cli/answer.h"
#include "cli/engine.h"
#include "cli/options.h"

typedef struct run_settings {
    const char *model, *system; /* system may be NULL */
    engine_settings engine;
    answer_settings answer;
    bool no_profile;
    bool raw;   /* no chat template */
    bool stats; /* the table after each answer */
    bool trace; /* what the strategy did, after each answer */
    const cli_option *options; /* the table that `/set` looks names up in */
} run_settings;

/* Checks the texts, opens the model and answers `prompt` once. Returns an exit code. */
int run_prompt(const cli_usage *usage, run_settings *settings, const buf *prompt, bool json);

/* Chats until /bye, Ctrl-D or Ctrl-C at the prompt. The model is open. Returns an exit code. */
int chat_run(engine *e, run_settings *settings);

#endif
