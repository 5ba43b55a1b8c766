/* The way to run code that strategies need (hone/strategy.h: code-bon, rto): programs that models
 * write, in the sandbox, with its usual limits. */
#ifndef LAB_CODE_RUN_H
#define LAB_CODE_RUN_H

#include <stdbool.h>

#include "hone/strategy.h"

/* A hone_code_run; `user` is not looked at. The language is that of the fence under any of its
 * usual names, Python where there is none. What the program printed on stdout and stderr is handed
 * over without blanks at its end, valid UTF-8, at most SANDBOX_MAX_SHOWN − 1 bytes of it. A program
 * that does not compile or does not exit with 0 in time has failed: HONE_ERR_IO. HONE_ERR_ARGUMENT
 * for another language, HONE_ERR_UNSUPPORTED where the language is not installed or there is no
 * sandbox: then nothing runs. */
hone_status code_run(void *user, const char *language, const char *code, char **output);

/* Whether the last fenced block of an answer, with `tests` behind it, exits with 0. *words says
 * what went wrong (the caller frees it with mem_free): also that there is no code, or in a language
 * that is not run here. NULL where it passed. HONE_ERR_UNSUPPORTED where there is no sandbox. */
hone_status code_test(const char *answer, const char *tests, bool *passed, char **words);

/* Sets `run_code` where there is a sandbox, else `no_code`. */
void code_run_offer(hone_strategy_options *options);

#endif
