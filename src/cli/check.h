/* `--check`: what an answer must satisfy, judged from outside the model (hone/strategy.h).
 *
 *     schema:FILE        the whole answer is a document of the JSON schema
 *     regex:PATTERN      it holds a match of the extended regular expression (POSIX); ^ and $ bind
 *                        it
 *     length:LOW-HIGH    so many characters
 *     language:CODE      it is in this language ("fr"; lab/score_language.h)
 *     tests:FILE         its last fenced block, with the file behind it, runs and ends with 0: in
 *                        the sandbox, in the language of the fence
 *     command:COMMAND    `sh -c COMMAND` ends with 0; the answer lies in a file, whose path is
 *                        "$1" */
#ifndef CLI_CHECK_H
#define CLI_CHECK_H

#include "cli/options.h"
#include "hone/hone.h"

typedef struct checks checks;

/* HONE_ERR_ARGUMENT for a form that is none of the above. Files and models are looked at later. */
hone_status checks_open(checks **out, const cli_texts *forms);
void checks_close(checks *c); /* NULL is allowed */

/* Compiles schemas for the model that will answer. */
hone_status checks_prepare(checks *c, const hone_model *model);

/* A hone_answer_check; `user` is the checks. The score is the share that holds. */
hone_status checks_judge(void *user, const char *text, double *score, char **fault);

#endif
