#include "cli/recoding.h"

#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/interrupt.h"
#include "cli/output.h"

static bool on_progress(void *context, uint64_t done, uint64_t total) {
    (void)context;
    cli_progress_bytes("weights", done, total);
    return !interrupt_seen();
}

/* All names in one line, and the nearest one apart. */
static int unknown_type(const cli_usage *usage, const char *typed) {
    const char *names[64];
    char list[512] = "", upper[32] = "";
    size_t n = 0, at = 0;
    for (; quant_mix_at(n) && n < 63; n++) {
        names[n] = quant_mix_name(quant_mix_at(n));
        at += (size_t)snprintf(list + at, sizeof list - at, " %s", names[n]);
    }
    names[n] = NULL;
    for (size_t i = 0; typed[i] && i + 1 < sizeof upper; i++)
        upper[i] = typed[i] >= 'a' && typed[i] <= 'z' ? (char)(typed[i] - 32) : typed[i];
    const char *nearest = NULL;
    for (size_t i = 0; i < n && !nearest; i++) /* "Q4_K": the mixes of that type begin with it */
        if (upper[0] && strncmp(names[i], upper, strlen(upper)) == 0) nearest = names[i];
    if (!nearest) nearest = cli_nearest(upper, names);
    if (nearest)
        return cli_wrong_use(usage, "there is no type \"%s\"; did you mean %s?", typed, nearest);
    return cli_wrong_use(usage, "there is no type \"%s\"; the types are:%s", typed, list);
}

int recoding_prepare(recoding *r, const cli_usage *usage) {
    if (r->type) {
        r->mix = quant_mix_by_name(r->type);
        if (!r->mix) return unknown_type(usage, r->type);
    }
    r->options = (recode_options){.n_threads = r->threads == CLI_UNSET ? 0 : (int)r->threads,
                                  .replace = r->replace,
                                  .observe = on_progress};
    interrupt_arm(NULL);
    return CLI_PARSED;
}

int recoding_parse(recoding *r, const cli_usage *usage, int argc, char **argv,
                   cli_operands *operands) {
    int code = cli_parse(usage, argc, argv, operands);
    if (code != CLI_PARSED) return code;
    if (!r->out) return cli_wrong_use(usage, "where to? -o FILE says so");
    return recoding_prepare(r, usage);
}

int recoding_finish(hone_status status) {
    interrupt_disarm();
    cli_progress_clear();
    return status == HONE_OK ? CLI_OK : cli_fail(status);
}
