#include "cli/strategy_option.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"

/* One part of the budget, up to a comma; NULL where it is none, else what follows. */
static const char *read_part(strategy_option *o, const char *part) {
    static const char *const names[] = {"draws=", "tokens=", "seconds="};
    size_t k = 0;
    while (k < 3 && strncmp(part, names[k], strlen(names[k]))) k++;
    if (k == 3) return NULL;
    char *end;
    const char *number = part + strlen(names[k]);
    double value = strtod(number, &end);
    bool whole = k == 2 || value == floor(value);
    if (end == number || !whole || !(value > 0) || value > 1 << 30 || (*end && *end != ','))
        return NULL;
    if (k == 0) o->max_draws = (size_t)value;
    if (k == 1) o->max_tokens = (size_t)value;
    if (k == 2) o->max_seconds = value;
    return *end ? end + 1 : end;
}

static bool read_budget(strategy_option *o) {
    const char *part = o->budget;
    do part = read_part(o, part);
    while (part && *part);
    return part != NULL;
}

int strategy_option_open(strategy_option *o, const cli_usage *usage) {
    if (o->wanted.n && !o->expression) o->expression = "retry";
    if (o->expression && hone_strategy_parse(&o->strategy, o->expression) != HONE_OK)
        return cli_wrong_use(usage, "%s (hone strategies lists them)", hone_error_message());
    if (o->wanted.n && checks_open(&o->checks, &o->wanted) != HONE_OK)
        return cli_wrong_use(usage, "%s", hone_error_message());
    if (o->budget && !read_budget(o))
        return cli_wrong_use(usage, "--budget takes draws=N, tokens=N and seconds=X, parted by "
                                    "commas, not \"%s\"", o->budget);
    if (o->budget && !o->expression)
        return cli_wrong_use(usage, "--budget is for a --strategy");
    if (!o->example_file) return CLI_OK;
    hone_status status = example_list_read(&o->examples, o->example_file);
    return status == HONE_OK ? CLI_OK : cli_fail(status);
}

int strategy_option_open_models(strategy_option *o, const engine_settings *settings) {
    engine_settings own = *settings;
    const char *name;
    own.draft = NULL;
    own.n_draft = CLI_UNSET;
    own.context = CLI_UNSET;
    own.adapters.n = 0;
    while (o->strategy && (name = hone_strategy_model(o->strategy, o->n_models))) {
        int code = engine_open(&o->engines[o->n_models], name, &own);
        if (code != CLI_OK) return code;
        o->sessions[o->n_models] = o->engines[o->n_models].session;
        o->n_models++;
    }
    return CLI_OK;
}

void strategy_option_release(strategy_option *o) {
    for (size_t i = 0; i < o->n_models; i++) engine_release(&o->engines[i]);
    example_list_release(&o->examples);
    checks_close(o->checks);
    hone_strategy_close(o->strategy);
    *o = (strategy_option){.n_models = 0};
}
