/* Choosing a model for a prompt, for `hone route` and for "auto" in place of a model. */
#ifndef CLI_ROUTE_H
#define CLI_ROUTE_H

#include "cli/options.h"
#include "route/route.h"

/* Zero-initialise but for the priority. */
typedef struct route_options {
    int priority;       /* route_priority */
    const char *rules;  /* file; NULL = route.json in the settings folder, where there is one */
    const char *memory; /* as typed; NULL = what is free */
    bool text_only;     /* as in route_request */
} route_options;

#define ROUTE_OPTIONS_UNSET {.priority = ROUTE_BALANCED}

/* Rows of an option table for route_options `o`. */
#define ROUTE_OPTIONS(o)                                                                           \
    CLI_CHOICE("priority", 0, &(o).priority, "speed|balanced|quality",                             \
               "what counts where it is measured or can be told from sizes (default balanced)"),   \
    CLI_TEXT("rules", 0, &(o).rules, "FILE",                                                       \
             "rules written by hand (default: route.json in the settings folder; docs/route.md)")

/* Chooses among the models of the store by the rules and the results database, and tells what went
 * wrong. Returns an exit code. Release the choice after CLI_OK. */
int route_prompt(route_choice *choice, const char *prompt, size_t n, const route_options *options,
                 const cli_usage *usage);

#endif
