/* Programs in some languages: written to a folder, compiled where that is needed, run; all of it in
 * the sandbox. */
#ifndef LAB_PROGRAM_H
#define LAB_PROGRAM_H

#include <stdbool.h>

#include "lab/sandbox.h"

typedef struct program_result {
    bool passed;     /* compiled, and exited with 0 in 10 s */
    char words[64];  /* "exited with 1", "did not compile: exited with 1", … */
    char output[SANDBOX_MAX_SHOWN]; /* what it, or the compiler, wrote:
                                     * UTF-8, "?" for what is none */
} program_result;

/* The language behind a name that people write, in any case ("py", "C++", "JS"); NULL = none. */
const char *program_language(const char *name);

/* "python", "javascript", "c", "cpp", "rust". HONE_ERR_UNSUPPORTED where the language is not
 * installed or there is no sandbox; HONE_ERR_ARGUMENT for another one. */
hone_status program_check(const char *language);

/* Runs `source` to its end. What the program does is in the result; errors are those of
 * program_check, and of writing files. */
hone_status program_run(program_result *out, const char *language, const char *source);

#endif
