/* Code that is run against its tests (HumanEval and its kin), and what functions return (CRUXEval:
 * Gu et al. 2024, arXiv:2401.03065). */
#include <string.h>

#include "base/mem.h"
#include "lab/eval_int.h"
#include "lab/program.h"
#include "lab/prompt_form.h"
#include "strategy/answer_text.h"

enum { MAX_SOURCE_BYTES = 4 << 20 };

hone_status eval_check_code(const task *t) {
    return program_check(t->kind == TASK_CRUX ? "python" : t->language);
}

/* --- what of an answer is code --- */

/* Behind a string or comment that begins at `at`, or `at` itself. */
static const char *skip_quoted(const char *at, bool comments) {
    if (comments && at[0] == '/' && at[1] == '/') return at + strcspn(at, "\n");
    if (comments && at[0] == '/' && at[1] == '*') {
        const char *end = strstr(at + 2, "*/");
        return end ? end + 2 : at + strlen(at);
    }
    if (*at != '"' && *at != '\'' && !(comments && *at == '`')) return at;
    for (const char *c = at + 1; *c; c++) {
        if (*c == '\\' && c[1]) c++;
        else if (*c == *at) return c + 1;
        else if (*c == '\n' && *at != '`') return at + 1; /* an apostrophe after all */
    }
    return at + 1;
}

/* The place of the bracket that closes what is open at the beginning, or NULL. */
static const char *find_closing(const char *code, const char *opening, const char *closing,
                                bool comments) {
    int depth = 1;
    for (const char *at = code; *at;) {
        const char *behind = skip_quoted(at, comments);
        if (behind > at) {
            at = behind;
            continue;
        }
        depth += strchr(opening, *at) != NULL;
        depth -= strchr(closing, *at) != NULL;
        if (depth == 0) return at;
        at++;
    }
    return NULL;
}

static size_t cut_completion(const char *text, task_cut cut) {
    const char *end = NULL;
    switch (cut) {
    case TASK_CUT_NONE: break;
    case TASK_CUT_LINE: end = strchr(text, '\n'); break;
    case TASK_CUT_BRACE_LINE:
        end = strstr(text, "\n}");
        end = end ? end + 2 : NULL;
        break;
    case TASK_CUT_CLOSING_BRACE:
        end = find_closing(text, "{", "}", true);
        end = end ? end + 1 : NULL;
        break;
    case TASK_CUT_CLOSING_CALL: end = find_closing(text, "([{", ")]}", false); break;
    }
    return end ? (size_t)(end - text) : strlen(text);
}

/* --- the program --- */

static bool is_import(const char *line) {
    static const char *const beginnings[] = {"import ", "from ", "#include",
                                             "using ",  "use ",  NULL};
    for (int i = 0; beginnings[i]; i++)
        if (strncmp(line, beginnings[i], strlen(beginnings[i])) == 0) return true;
    return false;
}

static hone_status add_imports(buf *out, const char *code) {
    while (*code) {
        size_t n = strcspn(code, "\n");
        n += code[n] == '\n';
        if (is_import(code)) TRY(buf_add(out, code, n));
        code += n;
    }
    return HONE_OK;
}

/* Whether a block holds the whole function, and not only what is inside of it. */
static hone_status defines_function(const task *t, const json_t *item, const char *code, size_t n,
                                    bool *whole) {
    buf form;
    *whole = false;
    if (!t->defines) return HONE_OK;
    buf_init(&form, MAX_SOURCE_BYTES);
    hone_status status = prompt_form_fill(&form, t->defines, item, NULL);
    if (status == HONE_OK && form.len > 0)
        *whole = memmem(code, n, form.data, form.len) != NULL;
    buf_release(&form);
    return status;
}

/* {completion}: what the model wrote; {solution}: that behind the prompt, or the block alone. */
static hone_status fill_program(buf *out, const eval_run_state *run, const char *form,
                                const json_t *item, const char *answer) {
    const task *t = run->t;
    const char *prompt = json_string_value(json_object_get(item, "prompt"));
    code_block found;
    bool whole = false;
    buf solution;
    buf_init(&solution, MAX_SOURCE_BYTES);
    bool block = answer_code_block(answer, &found);
    const char *code = block ? found.code : answer;
    size_t n = block ? found.n : cut_completion(answer, t->cut);
    hone_status status = block ? defines_function(t, item, code, n, &whole) : HONE_OK;
    if (status == HONE_OK && prompt)
        status = whole ? add_imports(&solution, prompt) : buf_add_text(&solution, prompt);
    if (status == HONE_OK) status = buf_add(&solution, code, n);
    if (status == HONE_OK) {
        json_t *members = json_pack("{s:s%, s:s}", "completion", code, n, "solution",
                                    solution.data ? solution.data : "");
        status = members ? prompt_form_fill(out, form, item, members)
                         : mem_fail("program", solution.len);
        json_decref(members);
    }
    buf_release(&solution);
    return status;
}

static hone_status run_program(eval_item *item, json_t *sample, size_t figure, const char *language,
                               const char *source) {
    program_result result;
    TRY(program_run(&result, language, source));
    item->counts[figure] = (metric_counts){{result.passed, 1}};
    json_object_set_new(sample, "right", json_boolean(result.passed));
    json_object_set_new(sample, "program", json_string(source));
    json_object_set_new(sample, "program_end", json_string(result.words));
    json_object_set_new(sample, "program_output", json_string(result.output));
    return HONE_OK;
}

hone_status eval_judge_code(const eval_run_state *run, eval_item *item, const char *answer) {
    buf source;
    buf_init(&source, MAX_SOURCE_BYTES);
    hone_status status = fill_program(&source, run, run->t->program, eval_json(run, item), answer);
    if (status == HONE_OK)
        status = run_program(item, item->sample, 0, run->t->language,
                             source.data ? source.data : "");
    buf_release(&source);
    return status;
}

hone_status eval_check_answer(void *user, const char *text, double *score, char **fault) {
    const eval_code_check *c = user;
    const task *t = c->run->t;
    program_result result;
    buf source;
    buf_init(&source, MAX_SOURCE_BYTES);
    hone_status status = fill_program(&source, c->run, t->check, json_array_get(t->items, c->index),
                                      text);
    if (status == HONE_OK)
        status = program_run(&result, t->language, source.data ? source.data : "");
    buf_release(&source);
    TRY(status);
    *score = result.passed;
    if (result.passed) return HONE_OK;
    const char *words = *result.output ? result.output : result.words;
    *fault = mem_copy_string(words, strlen(words));
    return *fault ? HONE_OK : mem_fail("fault", strlen(words));
}

/* --- CRUXEval --- */

static hone_status add_literal(buf *out, const char *text, size_t n) {
    json_t *string = json_stringn(text, n);
    char *literal = string ? json_dumps(string, JSON_ENCODE_ANY) : NULL;
    hone_status status = literal ? buf_add_text(out, literal) : mem_fail("literal", n);
    mem_free(literal);
    json_decref(string);
    return status;
}

/* Both sides are literals of Python, compared by Python. */
static hone_status output_program(buf *out, const char *predicted, size_t n, const char *right) {
    TRY(buf_add_text(out, "import ast\nassert ast.literal_eval("));
    TRY(add_literal(out, predicted, n));
    TRY(buf_add_text(out, ".strip()) == ast.literal_eval("));
    TRY(add_literal(out, right, strlen(right)));
    return buf_add_text(out, ")\n");
}

hone_status eval_judge_crux(const eval_run_state *run, eval_item *item, size_t direction,
                            const char *answer) {
    const json_t *json = eval_json(run, item);
    const char *code = NULL, *right = NULL;
    json_t *sample = direction == 0 ? item->sample : json_object_get(item->sample, "input");
    buf source;
    TRY(json_get_string(json, "code", &code));
    TRY(json_get_string(json, "output", &right));
    if (!code || !right) return fail(HONE_ERR_FORMAT, "it lacks \"code\" or \"output\"");
    buf_init(&source, MAX_SOURCE_BYTES);
    size_t n = cut_completion(answer, direction == 0 ? TASK_CUT_LINE : TASK_CUT_CLOSING_CALL);
    hone_status status = direction == 0
        ? output_program(&source, answer, n, right)
        : buf_add_format(&source, "%s\nassert f(%.*s) == %s\n", code, (int)n, answer, right);
    if (status == HONE_OK) status = run_program(item, sample, direction, "python", source.data);
    buf_release(&source);
    return status;
}
