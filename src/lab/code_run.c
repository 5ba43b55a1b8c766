/* Programs of models, run for strategies (lab/code_run.h). */
#include "lab/code_run.h"

#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "lab/program.h"
#include "strategy/answer_text.h"

enum { MAX_SOURCE_BYTES = 32 << 20 };

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

/* What went wrong, and what the program said of it last. */
static hone_status tell(char **words, const program_result *r) {
    buf b;
    buf_init(&b, 2 * SANDBOX_MAX_SHOWN);
    hone_status status = buf_add_format(&b, "With the tests the program %s%s%s", r->words,
                                        r->output[0] ? ":\n" : "", r->output);
    if (status == HONE_OK && !(*words = buf_take(&b))) status = mem_fail("words", b.len);
    buf_release(&b);
    return status;
}

static hone_status say(char **words, const char *text) {
    *words = mem_copy_string(text, strlen(text));
    return *words ? HONE_OK : mem_fail("words", strlen(text));
}

hone_status code_test(const char *answer, const char *tests, bool *passed, char **words) {
    code_block block;
    char language[32] = "python";
    program_result result;
    buf source;
    *passed = false;
    if (!answer_code_block(answer, &block))
        return say(words, "There is no code between ``` fences.");
    if (block.n_language)
        snprintf(language, sizeof language, "%.*s", (int)block.n_language, block.language);
    const char *name = program_language(language);
    if (!name) return say(words, "The code is in a language that is not run here.");
    buf_init(&source, MAX_SOURCE_BYTES);
    hone_status status = buf_add_format(&source, "%.*s\n%s", (int)block.n, block.code, tests);
    if (status == HONE_OK) status = program_run(&result, name, source.data);
    buf_release(&source);
    TRY(status);
    *passed = result.passed;
    return result.passed ? HONE_OK : tell(words, &result);
}

void code_run_offer(hone_strategy_options *options) {
    const char *why = sandbox_why_not();
    if (why) options->no_code = why;
    else options->run_code = code_run;
}
