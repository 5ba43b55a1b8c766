/* `hone rm`: removes models from the local store. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/engine.h"
#include "cli/options.h"
#include "cli/output.h"
#include "weights/store.h"

/* Asks only where somebody can answer. */
static bool may_remove(const char *name) {
    if (!isatty(STDIN_FILENO) || !cli_is_terminal(stderr)) return true;
    char answer[16] = "";
    fprintf(stderr, "remove %s from the store? [y/N] ", name);
    if (!fgets(answer, sizeof answer, stdin)) return false;
    return answer[0] == 'y' || answer[0] == 'Y';
}

static int remove_one(const store *s, const char *name, bool sure) {
    if (!sure && !may_remove(name)) {
        fprintf(stderr, "%s stays\n", name);
        return CLI_OK;
    }
    uint64_t freed;
    hone_status status = store_remove(s, name, &freed);
    if (status != HONE_OK) return engine_fail_model(status, name);
    cli_text size;
    printf("%s: removed, %s freed\n", name, cli_format_bytes(&size, freed));
    return CLI_OK;
}

int cmd_rm(int argc, char **argv) {
    bool sure = false;
    const cli_option options[] = {
        CLI_FLAG("yes", 'y', &sure, "do not ask"),
        CLI_OPTIONS_END,
    };
    const cli_usage usage = {
        .command = "rm",
        .operands = "MODEL…",
        .about = "Removes models from the local store. Files that another name uses stay. Asks "
                 "first when at a terminal. Refuses what a running program has open, and what "
                 "another program keeps.",
        .options = options,
        .min_operands = 1,
        .max_operands = 64};
    cli_operands operands;
    int code = cli_parse(&usage, argc, argv, &operands);
    if (code != CLI_PARSED) return code;

    store *s;
    hone_status status = store_open(&s, NULL);
    if (status != HONE_OK) return cli_fail(status);
    code = CLI_OK;
    for (size_t i = 0; i < operands.n; i++) {
        int end = remove_one(s, operands.items[i], sure);
        if (end != CLI_OK) code = end;
    }
    store_close(s);
    return code;
}
