/* Answers judged from outside: schemas, patterns, lengths, commands of the user. */
#include "cli/check.h"

#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/child.h"
#include "base/fs.h"
#include "base/mem.h"
#include "cli/interrupt.h"
#include "lab/code_run.h"
#include "lab/sandbox.h"
#include "lab/score_language.h"

enum { MAX_FILE_BYTES = 16 << 20, MAX_FAULT_BYTES = 8192 };

typedef enum check_kind {
    CHECK_SCHEMA, CHECK_REGEX, CHECK_LENGTH, CHECK_COMMAND, CHECK_LANGUAGE, CHECK_TESTS, N_KINDS
} check_kind;

typedef struct check {
    check_kind kind;
    const char *value;     /* behind the colon; of the command line */
    hone_grammar *grammar; /* of a schema */
    regex_t regex;
    bool has_regex;
    char *tests; /* the file's text */
    size_t low, high; /* of a length */
} check;

struct checks {
    check items[32]; /* as many as cli_texts holds */
    size_t n;
};

/* --- opening --- */

static hone_status open_regex(check *c) {
    char words[200];
    int code = regcomp(&c->regex, c->value, REG_EXTENDED | REG_NOSUB);
    c->has_regex = code == 0;
    if (code == 0) return HONE_OK;
    regerror(code, &c->regex, words, sizeof words);
    return fail(HONE_ERR_ARGUMENT, "--check regex:%s: %s", c->value, words);
}

static hone_status open_length(check *c) {
    char rest;
    if (sscanf(c->value, "%zu-%zu%c", &c->low, &c->high, &rest) == 2 && c->low <= c->high)
        return HONE_OK;
    return fail(HONE_ERR_ARGUMENT, "--check length takes LOW-HIGH in characters, not \"%s\"",
                c->value);
}

static hone_status open_language(const check *c) {
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz";
    if (strspn(c->value, letters) == 2 && !c->value[2]) return HONE_OK;
    return fail(HONE_ERR_ARGUMENT, "--check language takes two letters (de, en, fr …), not \"%s\"",
                c->value);
}

static hone_status open_value(check *c) {
    switch (c->kind) {
    case CHECK_REGEX: return open_regex(c);
    case CHECK_LENGTH: return open_length(c);
    case CHECK_LANGUAGE: return open_language(c);
    default: return HONE_OK;
    }
}

static hone_status open_check(check *c, const char *form) {
    static const char *const kinds[N_KINDS] = {"schema:",  "regex:",    "length:",
                                               "command:", "language:", "tests:"};
    for (int k = 0; k < N_KINDS; k++) {
        size_t n = strlen(kinds[k]);
        if (strncmp(form, kinds[k], n)) continue;
        *c = (check){.kind = (check_kind)k, .value = form + n};
        if (!*c->value) break;
        return open_value(c);
    }
    return fail(HONE_ERR_ARGUMENT, "--check takes schema:FILE, regex:PATTERN, length:LOW-HIGH, "
                                   "language:CODE, tests:FILE or command:COMMAND, not \"%s\"",
                form);
}

hone_status checks_open(checks **out, const cli_texts *forms) {
    checks *c = mem_calloc(1, sizeof *c);
    if (!c) return mem_fail("checks", sizeof *c);
    hone_status status = HONE_OK;
    for (; c->n < forms->n && status == HONE_OK; c->n++)
        status = open_check(&c->items[c->n], forms->items[c->n]);
    if (status == HONE_OK) *out = c;
    else checks_close(c);
    return status;
}

void checks_close(checks *c) {
    for (size_t i = 0; c && i < c->n; i++) {
        hone_grammar_close(c->items[i].grammar);
        if (c->items[i].has_regex) regfree(&c->items[i].regex);
        mem_free(c->items[i].tests);
    }
    mem_free(c);
}

static hone_status prepare_schema(check *c, const hone_model *model, const buf *text) {
    hone_status status = hone_grammar_open_schema(&c->grammar, model, text->data, text->len, NULL);
    return status == HONE_OK ? HONE_OK : fail_context(status, "--check schema:%s", c->value);
}

static hone_status prepare_tests(check *c, const buf *text) {
    const char *why_not = sandbox_why_not();
    if (why_not) return fail(HONE_ERR_UNSUPPORTED, "--check tests: %s", why_not);
    c->tests = mem_copy_string(text->data ? text->data : "", text->len);
    return c->tests ? HONE_OK : mem_fail("tests", text->len);
}

hone_status checks_prepare(checks *c, const hone_model *model) {
    hone_status status = HONE_OK;
    for (size_t i = 0; i < c->n && status == HONE_OK; i++) {
        check *one = &c->items[i];
        bool has_file = one->kind == CHECK_SCHEMA || one->kind == CHECK_TESTS;
        if (!has_file || one->grammar || one->tests) continue;
        buf text;
        buf_init(&text, MAX_FILE_BYTES);
        status = fs_read_file(&text, one->value);
        if (status == HONE_OK)
            status = one->kind == CHECK_SCHEMA ? prepare_schema(one, model, &text)
                                               : prepare_tests(one, &text);
        buf_release(&text);
    }
    return status;
}

/* --- judging --- */

/* The answer's bytes without blanks at both ends. */
static const char *trim(const char *text, size_t *n) {
    text += strspn(text, " \t\r\n");
    *n = strlen(text);
    while (*n && strchr(" \t\r\n", text[*n - 1])) --*n;
    return text;
}

static hone_status judge_schema(const check *c, const char *text, bool *holds, buf *fault) {
    hone_grammar_match match;
    size_t n;
    text = trim(text, &n);
    TRY(hone_grammar_test(c->grammar, text, n, &match));
    *holds = match == HONE_GRAMMAR_WHOLE;
    if (*holds) return HONE_OK;
    return buf_add_text(fault,
                        match == HONE_GRAMMAR_BEGINNING
                            ? "The JSON document is not finished.\n"
                            : "It is not one JSON document of the schema that was asked for.\n");
}

static hone_status judge_length(const check *c, const char *text, bool *holds, buf *fault) {
    size_t n, n_characters = 0;
    text = trim(text, &n);
    for (size_t i = 0; i < n; i++) n_characters += ((unsigned char)text[i] & 0xc0) != 0x80;
    *holds = n_characters >= c->low && n_characters <= c->high;
    if (*holds) return HONE_OK;
    return buf_add_format(fault, "It has %zu characters instead of %zu to %zu.\n", n_characters,
                          c->low, c->high);
}

static bool on_line(void *context, const char *line) {
    (void)context;
    (void)line;
    return !interrupt_seen();
}

static hone_status judge_command(const check *c, const char *text, bool *holds, buf *fault) {
    fs_path path;
    const char *folder = getenv("TMPDIR");
    TRY(fs_path_format(&path, "%s/hone-answer-XXXXXX", folder && *folder ? folder : "/tmp"));
    int fd = mkstemp(path.text);
    if (fd < 0) return fail(HONE_ERR_IO, "%s: no file can be made there", path.text);
    hone_status status = fs_write_all(fd, text, strlen(text), path.text);
    close(fd);
    const char *const argv[] = {"sh", "-c", c->value, "sh", path.text, NULL};
    child run = {.argv = argv, .observe = on_line};
    if (status == HONE_OK) {
        status = child_run(&run);
        *holds = status == HONE_OK;
        if (status == HONE_ERR_IO) /* it said no */
            status = buf_add_format(fault, "%s\n", run.last_words[0] ? run.last_words
                                                                     : "A check of it failed.");
    }
    unlink(path.text);
    return status;
}

static hone_status judge_language(const check *c, const char *text, bool *holds, buf *fault) {
    const char *found = score_language_of(text);
    *holds = found && !strcmp(found, c->value);
    if (*holds) return HONE_OK;
    return buf_add_format(fault, "It is not in the language %s%s%s.\n", c->value,
                          found ? " but in " : "", found ? found : "");
}

static hone_status judge_tests(const check *c, const char *text, bool *holds, buf *fault) {
    char *words = NULL;
    TRY(code_test(text, c->tests, holds, &words));
    hone_status status = *holds ? HONE_OK : buf_add_format(fault, "%.4000s\n", words);
    mem_free(words);
    return status;
}

static hone_status judge_one(const check *c, const char *text, bool *holds, buf *fault) {
    switch (c->kind) {
    case CHECK_SCHEMA: return judge_schema(c, text, holds, fault);
    case CHECK_LENGTH: return judge_length(c, text, holds, fault);
    case CHECK_COMMAND: return judge_command(c, text, holds, fault);
    case CHECK_LANGUAGE: return judge_language(c, text, holds, fault);
    case CHECK_TESTS: return judge_tests(c, text, holds, fault);
    default: break;
    }
    *holds = regexec(&c->regex, text, 0, NULL, 0) == 0;
    return *holds ? HONE_OK : buf_add_format(fault, "It does not match the pattern %s\n", c->value);
}

hone_status checks_judge(void *user, const char *text, double *score, char **fault) {
    const checks *c = user;
    size_t n_hold = 0;
    buf words;
    buf_init(&words, MAX_FAULT_BYTES);
    hone_status status = HONE_OK;
    for (size_t i = 0; i < c->n && status == HONE_OK; i++) {
        bool holds = false;
        status = judge_one(&c->items[i], text, &holds, &words);
        n_hold += holds;
    }
    *score = c->n ? (double)n_hold / (double)c->n : 1;
    if (status == HONE_OK && words.len && !(*fault = buf_take(&words)))
        status = mem_fail("fault", words.len);
    buf_release(&words);
    return status;
}
