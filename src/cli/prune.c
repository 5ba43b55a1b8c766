/* `hone prune`: removes what nothing needs any more. */
#include <stdio.h>

#include "base/mem.h"
#include "cli/cli.h"
#include "cli/options.h"
#include "cli/output.h"
#include "weights/store.h"

typedef struct tally {
    uint64_t bytes;
    size_t n;
} tally;

static void on_removed(void *context, const char *path, uint64_t bytes) {
    tally *t = context;
    cli_text size;
    char *printable = cli_printable(path);
    t->bytes += bytes;
    t->n++;
    printf("%s  %s\n", printable ? printable : "", cli_format_bytes(&size, bytes));
    mem_free(printable);
}

int cmd_prune(int argc, char **argv) {
    bool only_look = false;
    const cli_option options[] = {
        CLI_FLAG("dry-run", 'n', &only_look, "show what would be removed"),
        CLI_OPTIONS_END,
    };
    const cli_usage usage = {
        .command = "prune",
        .operands = "[FOLDER…]",
        .about = "Removes what nothing needs any more from the local store: interrupted downloads, "
                 "files that no name stands for, half-written files of killed programs. With a "
                 "FOLDER, half-written files (.part) that convert and quantize left there. What a "
                 "running program works on stays, and so do other programs' caches.",
        .examples = "hone prune --dry-run\n"
                    "hone prune ~/models",
        .options = options,
        .max_operands = 64};
    cli_operands operands;
    int code = cli_parse(&usage, argc, argv, &operands);
    if (code != CLI_PARSED) return code;

    store *s;
    tally t = {0};
    cli_text size;
    hone_status status = store_open(&s, NULL);
    if (status != HONE_OK) return cli_fail(status);
    if (operands.n == 0) status = store_prune(s, only_look, on_removed, &t);
    for (size_t i = 0; i < operands.n && status == HONE_OK; i++)
        status = store_prune_folder(operands.items[i], only_look, on_removed, &t);
    store_close(s);
    fprintf(stderr, "%zu %s, %s %s\n", t.n, t.n == 1 ? "leftover" : "leftovers",
            cli_format_bytes(&size, t.bytes), only_look ? "could be freed" : "freed");
    return status == HONE_OK ? CLI_OK : cli_fail(status);
}
