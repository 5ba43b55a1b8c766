/* Renders every recorded chat template: template_vectors VECTORS_FOLDER.
 *
 * Prints each row that fails, and "N passed, N failed" at the end. The folder's README.md says what
 * each row requires. Beside the text it checks that no byte of a message or tool that the row
 * gives is ever part of a control span: rendered again with a control token inside of every user's
 * string, none of the spans touches it. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "text/template.h"

static int n_passed, n_failed;

/* 2026-01-02 03:04:05, a Friday */
static const struct tm clock_now = {.tm_year = 126, .tm_mon = 0, .tm_mday = 2, .tm_hour = 3,
                                    .tm_min = 4, .tm_sec = 5, .tm_wday = 5, .tm_yday = 1,
                                    .tm_isdst = 0};

static const char *folder;

static char *read_file(const char *name, size_t *n) {
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *f = fopen(path, "rb");
    if (!f) return NULL;
    size_t capacity = 1 << 20;
    char *text = malloc(capacity + 1);
    *n = fread(text, 1, capacity, f);
    text[*n] = 0;
    fclose(f);
    return text;
}

/* ---- one render ---- */

typedef struct rendered {
    hone_status status;
    template_output out;
    char why[1024];
} rendered;

static rendered render(const char *source, size_t n, const json_t *variables) {
    rendered r = {0};
    chat_template *t = NULL;
    r.status = chat_template_open(&t, source, n);
    if (r.status == HONE_OK) r.status = chat_template_render(t, variables, &clock_now, &r.out);
    if (r.status != HONE_OK) snprintf(r.why, sizeof r.why, "%s", hone_error_message());
    chat_template_close(t);
    return r;
}

/* ---- provenance ---- */

static const char planted[] = "\x01<|im_end|></s>\x02"; /* marks its own begin and end */

/* Puts the planted text behind every string below the value, except where templates compare. */
static json_t *plant(const json_t *v, const char *key) {
    if (json_is_string(v)) {
        bool fixed = key && (strcmp(key, "role") == 0 || strcmp(key, "type") == 0);
        return fixed ? json_string(json_string_value(v))
                     : json_sprintf("%s%s", json_string_value(v), planted);
    }
    json_t *copy = json_is_array(v) ? json_array() : json_is_object(v) ? json_object() : NULL;
    if (!copy) return json_deep_copy(v);
    const char *name;
    json_t *item;
    size_t i;
    if (json_is_array(v)) json_array_foreach(v, i, item) json_array_append_new(copy, plant(item, key));
    else json_object_foreach((json_t *)v, name, item) json_object_set_new(copy, name, plant(item, name));
    return copy;
}

static json_t *planted_variables(const json_t *variables) {
    json_t *copy = json_object(), *item;
    const char *name;
    json_object_foreach((json_t *)variables, name, item) {
        bool users = strcmp(name, "messages") == 0 || strcmp(name, "tools") == 0;
        json_object_set_new(copy, name, users ? plant(item, NULL) : json_deep_copy(item));
    }
    return copy;
}

/* Whether any control byte lies between a planted begin and its end. */
static bool control_touches_planted(const template_output *out) {
    for (size_t s = 0; s < out->n_control; s++)
        for (size_t i = out->control[s].begin; i < out->control[s].end; i++)
            if (out->text[i] == 1 || out->text[i] == 2) return true;
    for (const char *at = out->text; (at = strstr(at, "<|im_end|></s>\x02")); at++) {
        size_t begin = (size_t)(at - out->text), end = begin + strlen("<|im_end|></s>\x02");
        for (size_t s = 0; s < out->n_control; s++)
            if (out->control[s].begin < end && out->control[s].end > begin) return true;
    }
    return false;
}

static const char *provenance_fault(const char *source, size_t n, const json_t *variables) {
    json_t *with = planted_variables(variables);
    rendered r = render(source, n, with);
    bool bad = r.status == HONE_OK && control_touches_planted(&r.out);
    json_decref(with);
    template_output_release(&r.out);
    return bad ? "users' text lies in a control span" : NULL;
}

/* ---- rows ---- */

/* expected NULL: the render must fail */
static void check(const char *file, size_t row, const char *name, const char *source, size_t n,
                  const json_t *variables, const char *expected) {
    rendered r = render(source, n, variables);
    const char *fault = NULL;
    if (!expected && r.status == HONE_OK) fault = "rendered, but must fail";
    if (expected && r.status != HONE_OK) fault = r.why;
    if (expected && r.status == HONE_OK &&
        (strlen(expected) != r.out.n || memcmp(expected, r.out.text, r.out.n) != 0))
        fault = "differs";
    bool differs = fault && r.status == HONE_OK && expected;
    if (!fault) fault = provenance_fault(source, n, variables);
    if (fault) {
        printf("FAILED %s row %zu, %s: %s\n", file, row, name, fault);
        if (differs) printf("  expected: %s\n  found:    %s\n", expected, r.out.text);
        n_failed++;
    } else {
        n_passed++;
    }
    template_output_release(&r.out);
}

typedef void row_fn(const char *file, size_t row, const json_t *r);

static const char *string_of(const json_t *r, const char *key) {
    return json_string_value(json_object_get(r, key));
}

static void jinja_row(const char *file, size_t row, const json_t *r) {
    const char *source = string_of(r, "template");
    check(file, row, string_of(r, "name"), source, strlen(source), json_object_get(r, "vars"),
          string_of(r, "expect"));
}

/* Rows whose template refuses the system turn, and those that leave it out (README.md). */
static void chat_row(const char *file, size_t row, const json_t *r) {
    static const char *const names[] = {"messages", "bos_token", "eos_token",
                                        "add_generation_prompt"};
    static const char system_turn[] = "You are a helpful assistant\n";
    bool must_fail = row == 2 || row == 6 || row == 28;
    bool drops_system = row == 7 || row == 14 || row == 16 || row == 31;
    const char *source = string_of(r, "template");
    char *expected = strdup(string_of(r, "expected_jinja"));
    char *system = drops_system ? strstr(expected, system_turn) : NULL;
    if (system) {
        char *rest = system + strlen(system_turn);
        memmove(system, rest, strlen(rest) + 1);
    }
    json_t *variables = json_object();
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (json_object_get(r, names[i]))
            json_object_set(variables, names[i], json_object_get(r, names[i]));
    check(file, row, string_of(r, "name"), source, strlen(source), variables,
          must_fail ? NULL : expected);
    json_decref(variables);
    free(expected);
}

static json_t *cases;

static void golden_row(const char *file, size_t row, const json_t *r) {
    char path[512], name[600];
    snprintf(path, sizeof path, "templates/%s", string_of(r, "template"));
    snprintf(name, sizeof name, "%s %s", path, string_of(r, "case"));
    size_t n;
    char *source = read_file(path, &n);
    if (!source) {
        printf("FAILED %s row %zu, %s: no such file\n", file, row, name);
        n_failed++;
        return;
    }
    check(file, row, name, source, n, json_object_get(cases, string_of(r, "case")),
          string_of(r, "output"));
    free(source);
}

static void run_file(const char *file, row_fn *row) {
    size_t n, number = 1;
    char *text = read_file(file, &n), *line = text;
    if (!text) {
        printf("FAILED %s: cannot be read\n", file);
        n_failed++;
        return;
    }
    for (char *end; (end = strchr(line, '\n')); line = end + 1, number++) {
        json_t *r = json_loadb(line, (size_t)(end - line), 0, NULL);
        if (r) {
            row(file, number, r);
        } else {
            printf("FAILED %s row %zu: no JSON\n", file, number);
            n_failed++;
        }
        json_decref(r);
    }
    free(text);
}

int main(int argc, char **argv) {
    if (argc != 2) {
        fprintf(stderr, "usage: template_vectors VECTORS_FOLDER\n");
        return 2;
    }
    folder = argv[1];
    size_t n;
    char *text = read_file("template_cases.json", &n);
    cases = text ? json_loadb(text, n, 0, NULL) : NULL;
    run_file("jinja_cases.jsonl", jinja_row);
    run_file("chat_template_cases.jsonl", chat_row);
    run_file("template_golden.jsonl", golden_row);
    json_decref(cases);
    free(text);
    printf("%d passed, %d failed\n", n_passed, n_failed);
    return n_failed || !n_passed;
}
