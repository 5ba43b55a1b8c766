/* What `hone run` hands to the chat at a terminal. */
#ifndef CLI_RUN_H
#define CLI_RUN_H

#include "base/buf.h"
#include "cli/answer.h"
#include "cli/engine.h"
#include "cli/options.h"
#include "cli/route.h"

typedef struct run_settings {
    const char *model, *system; /* system may be NULL */
    engine_settings engine;
    answer_settings answer;
    route_options routing; /* how a model is chosen where it is "auto" */
    const route_choice *chosen; /* how it was; NULL = the command line names it */
    bool no_profile;
    bool raw;   /* no chat template */
    bool stats; /* the table after each answer */
    bool trace; /* what the strategy did, after each answer */
    const cli_option *options; /* the table that `/set` looks names up in */
} run_settings;

/* What a command that answers begins with. */
#define RUN_SETTINGS_UNSET \
    {.engine = ENGINE_SETTINGS_UNSET, .routing = {.priority = ROUTE_BALANCED, .text_only = true}}

/* Whether the model is to be chosen for the prompt. */
bool run_chooses(const run_settings *settings);

/* Checks the texts, chooses the model where it is "auto" (and tells how), opens it and answers
 * `prompt` once; NULL = a chat with the model that is named. Returns an exit code. */
int run_prompt(const cli_usage *usage, run_settings *settings, const buf *prompt, bool json);

/* Chats until /bye, Ctrl-D or Ctrl-C at the prompt. The model is open. Returns an exit code. */
int chat_run(engine *e, run_settings *settings);

#endif
