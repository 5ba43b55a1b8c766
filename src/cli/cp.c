/* `hone cp`: a second name for a model of the local store. */
#include <stdio.h>

#include "cli/cli.h"
#include "cli/engine.h"
#include "cli/options.h"
#include "weights/store.h"

int cmd_cp(int argc, char **argv) {
    const cli_option options[] = {CLI_OPTIONS_END};
    const cli_usage usage = {
        .command = "cp",
        .operands = "MODEL NAME",
        .about = "Gives a model a second name. Its files are shared and count once; a model that "
                 "another program keeps stays where it is.",
        .examples = "hone cp smollm2:135m mine:small\n"
                    "hone cp ollama.com/library/tinyllama:latest tiny",
        .options = options,
        .min_operands = 2,
        .max_operands = 2};
    cli_operands operands;
    int code = cli_parse(&usage, argc, argv, &operands);
    if (code != CLI_PARSED) return code;

    store *s;
    hone_status status = store_open(&s, NULL);
    if (status != HONE_OK) return cli_fail(status);
    status = store_copy(s, operands.items[0], operands.items[1]);
    if (status == HONE_OK)
        printf("%s: the same as %s\n", operands.items[1], operands.items[0]);
    code = status == HONE_OK ? CLI_OK : engine_fail_model(status, operands.items[0]);
    store_close(s);
    return code;
}
