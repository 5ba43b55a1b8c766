/* Random texts of JSON schemas, for a validator of another make: tests/schema/run.py.
 *
 * Each line of standard input is an object: schema, draft, exact, count, seed, documents (URI →
 * document), values. Each line of output is one, too: refused (a sentence), or ms (to compile), texts
 * (random ones, `count` at most), reached (for each of `values`, whether it can be written). */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/json.h"
#include "json_match.h"
#include "random_text.h"
#include "text/schema.h"

enum { MAX_TEXT = 4000, MAX_DOCUMENTS = 16 };

static double now_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static void sample(grammar_machine *m, const json_t *line, json_t *out) {
    json_t *texts = json_array(), *reached = json_array(), *value;
    uint64_t seed = (uint64_t)json_integer_value(json_object_get(line, "seed"));
    json_int_t count = json_integer_value(json_object_get(line, "count"));
    for (json_int_t i = 0; i < count; i++) {
        char text[MAX_TEXT];
        int n = random_text(m, &seed, i % 3 == 0, text, i % 2 ? MAX_TEXT : 200);
        if (n >= 0) json_array_append_new(texts, json_stringn(text, (size_t)n));
    }
    size_t i;
    json_array_foreach(json_object_get(line, "values"), i, value)
        json_array_append_new(reached, json_boolean(match_json(m, value)));
    json_object_set_new(out, "texts", texts);
    json_object_set_new(out, "reached", reached);
}

static json_t *answer(const json_t *line) {
    json_t *out = json_object(), *value;
    hone_schema_document documents[MAX_DOCUMENTS];
    hone_schema_options options = {
        .draft = (int)json_integer_value(json_object_get(line, "draft")),
        .exact = json_is_true(json_object_get(line, "exact")), .documents = documents};
    const char *uri;
    json_object_foreach(json_object_get(line, "documents"), uri, value) {
        char *text = json_dumps(value, JSON_ENCODE_ANY);
        if (options.n_documents < MAX_DOCUMENTS)
            documents[options.n_documents++] = (hone_schema_document){uri, text, strlen(text)};
    }
    char *schema = json_dumps(json_object_get(line, "schema"), JSON_ENCODE_ANY);
    grammar *program;
    grammar_machine *machine;
    double start = now_ms();
    hone_status status = schema_compile(&program, schema, strlen(schema), &options);
    if (status == HONE_OK) {
        json_object_set_new(out, "ms", json_real(now_ms() - start));
        if (grammar_machine_open(&machine, program, (size_t)64 << 20) == HONE_OK) {
            sample(machine, line, out);
            grammar_machine_close(machine);
        }
        grammar_close(program);
    } else {
        json_object_set_new(out, "refused", json_string(hone_error_message()));
        json_object_set_new(out, "status", json_string(hone_status_name(status)));
    }
    for (size_t i = 0; i < options.n_documents; i++) free((char *)documents[i].text);
    free(schema);
    return out;
}

int main(void) {
    static char text[1 << 20];
    while (fgets(text, sizeof text, stdin)) {
        json_t *line = json_loads(text, JSON_ALLOW_NUL, NULL);
        if (!line) line = json_loads(text, JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL, NULL);
        json_t *out = answer(line);
        char *printed = json_dumps(out, JSON_COMPACT);
        puts(printed);
        free(printed);
        json_decref(out);
        json_decref(line);
    }
    return 0;
}
