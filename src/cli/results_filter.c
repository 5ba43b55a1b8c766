#include "cli/results_filter.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "cli/cli.h"

/* "2026-11-20" (UTC), "2026-11-20 18:00", or "90m", "24h", "7d" ago. */
static bool read_since(const char *text, int64_t *ms) {
    struct tm when = {.tm_hour = 0};
    char unit, more;
    unsigned long n;
    int n_read = sscanf(text, "%4d-%2d-%2d%*1[ T]%2d:%2d%c", &when.tm_year, &when.tm_mon,
                        &when.tm_mday, &when.tm_hour, &when.tm_min, &more);
    if (n_read == 3 || n_read == 5) {
        when.tm_year -= 1900;
        when.tm_mon -= 1;
        time_t seconds = timegm(&when);
        *ms = (int64_t)seconds * 1000;
        return seconds != (time_t)-1;
    }
    if (sscanf(text, "%9lu%c%c", &n, &unit, &more) != 2) return false;
    int64_t length = unit == 'm' ? 60 : unit == 'h' ? 3600 : unit == 'd' ? 86400 : 0;
    *ms = ((int64_t)time(NULL) - (int64_t)n * length) * 1000;
    return length > 0;
}

int results_choice_read(results_filter *f, const results_choice *c, const cli_usage *usage) {
    result_kind kind;
    if (c->kind && !result_kind_find(c->kind, &kind)) {
        return cli_wrong_use(usage, "--kind is bench, eval, fidelity, tune, compare or load, not "
                                    "\"%s\"", c->kind);
    }
    if (c->since && !read_since(c->since, &f->since_ms)) {
        return cli_wrong_use(usage, "--since takes a day (2026-11-20) or a time ago (90m, 24h, "
                                    "7d), not \"%s\"", c->since);
    }
    f->kind = c->kind;
    f->model = c->model;
    f->n_most = c->last == CLI_UNSET ? 0 : (size_t)c->last;
    return CLI_OK;
}

int results_read_id(int64_t *id, const char *text, const cli_usage *usage) {
    char *end;
    long long number = strtoll(text, &end, 10);
    if (end == text || *end || number < 1) {
        return cli_wrong_use(usage, "\"%s\" is no number of a result (\"hone results\" lists them)",
                             text);
    }
    *id = number;
    return CLI_OK;
}
