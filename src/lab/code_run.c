/* Programs of models, run for strategies (lab/code_run.h). */
#include "lab/code_run.h"

#include <string.h>

#include "base/mem.h"
#include "lab/program.h"

hone_status code_run(void *user, const char *language, const char *code, char **output) {
    program_result result;
    (void)user;
    const char *name = program_language(*language ? language : "python");
    if (!name) return fail(HONE_ERR_ARGUMENT, "programs in %s are not run here", language);
    TRY(program_run(&result, name, code));
    if (!result.passed) return fail(HONE_ERR_IO, "the program %s", result.words);
    size_t n = strlen(result.output);
    while (n && strchr(" \t\r\n", result.output[n - 1])) n--;
    *output = mem_copy_string(result.output, n);
    return *output ? HONE_OK : mem_fail("output", n);
}

void code_run_offer(hone_strategy_options *options) {
    const char *why = sandbox_why_not();
    if (why) options->no_code = why;
    else options->run_code = code_run;
}
