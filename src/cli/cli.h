/* The program: a table of commands, and what every command has in common.
 *
 * A command is one file src/cli/<name>.c with one function `int cmd_<name>(int argc, char **argv)`
 * (argv[0] is its own name) that returns an exit code. It declares its options as a table
 * (options.h), prints results on stdout and everything else on stderr (output.h). */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include <stddef.h>

#include "hone/hone.h"

/* Promised in the man page; scripts rely on them. */
typedef enum cli_exit {
    CLI_OK = 0,
    CLI_FAILED = 1,       /* the work failed; stderr says why */
    CLI_USAGE = 2,        /* wrong use: an option, an operand, an environment variable */
    CLI_NOT_MET = 3,      /* the model is there, and lacks what was asked of it */
    CLI_INTERRUPTED = 130 /* SIGINT or SIGTERM */
} cli_exit;

typedef struct cli_command {
    const char *name;
    const char *summary; /* one line for `hone help` */
    int (*run)(int argc, char **argv);
} cli_command;

/* All commands in the order of `hone help`; the last one's name is NULL. */
extern const cli_command cli_commands[];

int cmd_run(int argc, char **argv);
int cmd_ask(int argc, char **argv);
int cmd_transcribe(int argc, char **argv);
int cmd_serve(int argc, char **argv);
int cmd_strategies(int argc, char **argv);
int cmd_compare(int argc, char **argv);
int cmd_ps(int argc, char **argv);
int cmd_stop(int argc, char **argv);
int cmd_pull(int argc, char **argv);
int cmd_list(int argc, char **argv);
int cmd_show(int argc, char **argv);
int cmd_plan(int argc, char **argv);
int cmd_cp(int argc, char **argv);
int cmd_rm(int argc, char **argv);
int cmd_verify(int argc, char **argv);
int cmd_prune(int argc, char **argv);
int cmd_convert(int argc, char **argv);
int cmd_quantize(int argc, char **argv);
int cmd_calibrate(int argc, char **argv);
int cmd_fidelity(int argc, char **argv);
int cmd_merge(int argc, char **argv);
int cmd_bench(int argc, char **argv);
int cmd_eval(int argc, char **argv);
int cmd_tasks(int argc, char **argv);
int cmd_tune(int argc, char **argv);
int cmd_route(int argc, char **argv);
int cmd_prompt(int argc, char **argv);
int cmd_results(int argc, char **argv);
int cmd_report(int argc, char **argv);
int cmd_version(int argc, char **argv);

/* The words that the program was called with, argv[0] included; NULL ends them. Options move
 * operands about in what a command gets. */
const char *const *cli_command_line(void);

/* "hone: <sentence>" on stderr. The sentence says what was wrong and, where it helps, what to do;
 * it ends without a full stop. */
void cli_error(const char *format, ...) __attribute__((format(printf, 1, 2), cold));

/* For a failed hone call: prints hone_error_message() and returns the exit code that fits, which is
 * CLI_INTERRUPTED for HONE_ERR_CANCELLED (then without words), CLI_USAGE for HONE_ERR_ARGUMENT and
 * CLI_FAILED otherwise. */
int cli_fail(hone_status status);

/* The word of words[n] (NULL ends the list) that a typing slip away from `typed` is, or NULL. */
const char *cli_nearest(const char *typed, const char *const *words);

#endif
