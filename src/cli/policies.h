/* `hone compare --route` and `--cascade`: what ways of choosing who answers are worth, on items
 * held out (route/regret.h, route/cascade_bar.h). */
#ifndef CLI_POLICIES_H
#define CLI_POLICIES_H

#include "cli/options.h"
#include "cli/record.h"
#include "lab/compare.h"
#include "route/rules.h"

typedef struct policy_options {
    bool route;
    int priority;    /* route_priority */
    int64_t cascade; /* draws of the first model; CLI_UNSET = no cascade */
} policy_options;

#define POLICY_OPTIONS_UNSET {.priority = ROUTE_BALANCED, .cascade = CLI_UNSET}

/* Rows of an option table for policy_options `o`. */
#define POLICY_OPTIONS(o)                                                                          \
    CLI_HEADING("Who answers"),                                                                    \
    CLI_FLAG("route", 0, &(o).route,                                                               \
             "what the choice of hone route loses, beside always the best model and an oracle, on "\
             "the half of the items that it has not learnt from"),                                 \
    CLI_CHOICE("priority", 0, &(o).priority, "speed|balanced|quality",                             \
               "what --route chooses by (default balanced)"),                                      \
    CLI_INTEGER("cascade", 0, &(o).cascade, "N", 2, HONE_MAX_DRAWS,                                \
                "how many of N draws of the first of two models must agree for the second not to " \
                "be asked: found on one half of the items, judged on the other")

bool policy_options_are_set(const policy_options *o);

/* What is wanted, among the settings of the result; nothing where nothing is. */
void policies_add_settings(const policy_options *o, json_t *settings);

/* Measures, keeps and tells. The entries are plain models; for a cascade they are two. The result
 * is one that was begun. Returns an exit code. */
int policies_run(const policy_options *o, const compare_entry *entries, size_t n,
                 const compare_settings *settings, record *kept, bool json);

#endif
