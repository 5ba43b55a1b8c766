/* Cases of optillm in which it does what one would want: hone chooses alike
 * (tests/vectors/optillm.jsonl, written by tests/optillm_cases.py). */
#include <jansson.h>

#include "strategy_script.h"
#include "test.h"

static const char *text_of(const json_t *o, const char *key) {
    const char *text = json_string_value(json_object_get(o, key));
    return text ? text : "";
}

static void read_case(script *s, const json_t *c) {
    size_t i;
    json_t *text;
    json_array_foreach(json_object_get(c, "texts"), i, text) {
        s->texts[i] = json_string_value(text);
        s->cut[i] = json_is_true(json_array_get(json_object_get(c, "cut"), i));
        s->ratings[i] = (int)json_integer_value(json_array_get(json_object_get(c, "ratings"), i));
    }
}

/* The program that does what the method does. */
static const char *expression_of(const json_t *c, char text[32]) {
    const char *method = text_of(c, "method");
    size_t n = json_array_size(json_object_get(c, "texts"));
    if (!strcmp(method, "re2")) return "re2";
    snprintf(text, 32, !strcmp(method, "best_of_n") ? "bon%zu" : "sample%zu & vote", n);
    return text;
}

static void check_case(const json_t *c, size_t line) {
    script s = {.texts = {"said"}};
    char expression[32];
    hone_strategy *strategy = NULL;
    hone_strategy_result r = {0};
    const char *asked = text_of(c, "question");
    const hone_part part = {HONE_PART_TEXT, asked, strlen(asked)};
    const hone_message message = {.role = "user", .parts = &part, .n_parts = 1};
    const hone_request request = {.messages = &message, .n_messages = 1};
    const hone_strategy_options options = {
        .form = !strcmp(text_of(c, "form"), "choice") ? HONE_ANSWER_CHOICE : HONE_ANSWER_AUTO};
    const draw_service service = {&s, 1, script_run, script_model, script_token_text};
    read_case(&s, c);
    CHECK_OK(hone_strategy_parse(&strategy, expression_of(c, expression)));
    CHECK_OK(strategy_run_on(strategy, &service, &request, &options, &r));
    if (!strcmp(text_of(c, "method"), "re2")) {
        CHECK_MSG(!strcmp(s.asked[0], text_of(c, "prompt")), "line %zu: \"%s\"", line, s.asked[0]);
    } else {
        const char *said = json_string_value(json_array_get(
            json_object_get(c, "texts"), (size_t)json_integer_value(json_object_get(c, "chosen"))));
        CHECK_MSG(said && !strcmp(r.text, said), "line %zu (%s): \"%s\", optillm \"%s\"", line,
                  text_of(c, "method"), r.text, said ? said : "");
    }
    hone_strategy_result_release(&r);
    hone_strategy_close(strategy);
}

static void the_same_is_chosen(void) {
    char line[4096];
    size_t n = 0;
    FILE *in = fopen("tests/vectors/optillm.jsonl", "r");
    CHECK(in);
    while (in && fgets(line, sizeof line, in)) {
        json_t *c = json_loads(line, 0, NULL);
        CHECK_MSG(c, "line %zu is no JSON", n + 1);
        if (c) check_case(c, ++n);
        json_decref(c);
    }
    if (in) fclose(in);
    CHECK_MSG(n == 21, "%zu cases", n);
}

int main(void) {
    RUN(the_same_is_chosen);
    return test_summary();
}
