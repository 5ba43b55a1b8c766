/* What `convert`, `merge` and `quantize` share: the type's name, progress, interruption, the last
 * line. */
#ifndef CLI_RECODING_H
#define CLI_RECODING_H

#include "cli/options.h"
#include "weights/quant_mix.h"
#include "weights/recode.h"

typedef struct recoding {
    const char *type;  /* as typed, or NULL */
    const char *out;   /* as typed */
    int64_t threads;   /* CLI_UNSET: one for each core */
    bool replace;
    const quant_mix *mix; /* recoding_prepare's */
    recode_options options;
} recoding;

#define RECODING_OPTIONS(r, type_help)                                                  \
    CLI_TEXT("type", 0, &(r)->type, "TYPE", type_help),                                 \
    CLI_INTEGER("threads", 't', &(r)->threads, "N", 1, 1024,                            \
                "compute threads (default: one for each core)"),                        \
    CLI_FLAG("force", 0, &(r)->replace, "replace the output if it exists")

/* Where to, for commands that do not take it as an operand. */
#define RECODING_OUTPUT(r, help) CLI_TEXT("output", 'o', &(r)->out, "FILE", help)

/* Finds the type and makes the options ready, under which an interrupt cancels the work. Returns
 * CLI_PARSED, or the exit code after a complaint. */
int recoding_prepare(recoding *r, const cli_usage *usage);

/* cli_parse for a command with RECODING_OUTPUT, which must be given, and recoding_prepare. */
int recoding_parse(recoding *r, const cli_usage *usage, int argc, char **argv,
                   cli_operands *operands);

/* After the work: takes the progress away, tells of a failure. Returns an exit code. */
int recoding_finish(hone_status status);

#endif
