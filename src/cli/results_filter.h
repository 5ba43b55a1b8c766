/* Which results a command is about: options that `hone results` and `hone report` share. */
#ifndef CLI_RESULTS_FILTER_H
#define CLI_RESULTS_FILTER_H

#include "cli/options.h"
#include "lab/results.h"

typedef struct results_choice {
    const char *kind, *model, *since;
    bool invalid;
    int64_t last; /* CLI_UNSET = all */
} results_choice;

#define RESULTS_CHOICE_UNSET {NULL, NULL, NULL, false, CLI_UNSET}

/* Rows of an option table for results_choice `c`, but for --invalid, whose meaning differs. */
#define RESULTS_CHOICE_OPTIONS(c)                                                                  \
    CLI_TEXT("kind", 0, &(c).kind, "KIND", "only bench, eval, fidelity, tune, compare or load"),   \
    CLI_TEXT("model", 0, &(c).model, "TEXT", "only of models with this in name or file, or whose " \
                                             "hash begins so"),                                    \
    CLI_TEXT("since", 0, &(c).since, "WHEN",                                                       \
             "only from then on: 2026-11-20, or so long ago: 90m, 24h, 7d"),                       \
    CLI_INTEGER("last", 'n', &(c).last, "N", 1, 1 << 30, "only the newest N")

/* Fills kind, model, since and number. Returns CLI_OK or the exit code of a complaint. */
int results_choice_read(results_filter *filter, const results_choice *c, const cli_usage *usage);

/* A result's id; a complaint otherwise. */
int results_read_id(int64_t *id, const char *text, const cli_usage *usage);

#endif
