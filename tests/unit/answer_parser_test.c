/* Thoughts, text and calls told apart, however the answer is cut into pieces. */
#include "base/buf.h"
#include "test.h"
#include "text/answer_parser.h"

/* Spans as one line: T:text, R:thought, C:name, A:arguments; neighbours of one kind joined. */
typedef struct record {
    buf line;
    int last;
} record;

static hone_status note(void *user, answer_span_kind kind, const char *text, size_t n) {
    record *r = user;
    if (kind == ANSWER_CALL || (int)kind != r->last)
        TRY(buf_add_format(&r->line, "%s%c:", r->line.len ? "|" : "", "TRCA"[kind]));
    r->last = (int)kind;
    return buf_add(&r->line, text, n);
}

static bool knows(void *user, const char *name, size_t n) {
    (void)user;
    return (n == 1 && *name == 'f') || (n == 3 && !memcmp(name, "add", 3));
}

static const thought_tags *think(void) { return thoughts_opened_by("<think>", 7); }

static void parse(record *r, call_format calls, bool in_thought, const char *text, size_t piece) {
    answer_parser *p;
    buf_init(&r->line, 1 << 20);
    r->last = -1;
    const answer_parser_options options = {.calls = calls, .thoughts = true,
                                           .opened = in_thought ? think() : NULL, .knows = knows,
                                           .take = note, .user = r};
    if (!CHECK_OK(answer_parser_open(&p, &options))) return;
    size_t n = strlen(text);
    for (size_t at = 0; at < n; at += piece)
        CHECK_OK(answer_parser_push(p, text + at, n - at < piece ? n - at : piece));
    CHECK_OK(answer_parser_finish(p));
    answer_parser_close(p);
}

static void expect(call_format calls, bool in_thought, const char *text, const char *expected) {
    for (size_t piece = 1; piece <= strlen(text) + 1; piece++) {
        record r;
        parse(&r, calls, in_thought, text, piece);
        const char *line = r.line.data ? r.line.data : "";
        CHECK_MSG(!strcmp(line, expected), "in pieces of %zu: %s, expected %s", piece, line,
                  expected);
        buf_release(&r.line);
    }
}

static void plain_text_stays_as_it_is(void) {
    expect(CALLS_NONE, false, "Hello <tool_call>{} world\n\n", "T:Hello <tool_call>{} world\n\n");
    expect(CALLS_HERMES, false, " Hello < <tool \n", "T: Hello < <tool \n");
    expect(CALLS_JSON, false, "Hello {\"name\": 1}", "T:Hello {\"name\": 1}");
    expect(CALLS_NONE, false, "", "");
}

static void thoughts_are_parted_from_the_answer(void) {
    expect(CALLS_NONE, false, "<think>\nHm, so.\n</think>\n\nYes.", "R:Hm, so.|T:Yes.");
    expect(CALLS_NONE, true, "Hm </thin so\n</think>\n\nYes.\n", "R:Hm </thin so|T:Yes.\n");
    expect(CALLS_NONE, false, "<think>\n\n</think>\n\nYes", "T:Yes");
    expect(CALLS_NONE, false, "[THINK]a[/THINK]b", "R:a|T:b");
    expect(CALLS_NONE, true, "never ends \n", "R:never ends \n");
    expect(CALLS_NONE, false, "No <think>x</think>", "T:No <think>x</think>");
    expect(CALLS_NONE, false, "  <thin", "T:  <thin");
}

static void hermes_calls_are_found_anywhere(void) {
    expect(CALLS_HERMES, false,
           "<tool_call>\n{\"name\": \"f\", \"arguments\": {\"x\": \"}\\\"\", \"y\": [1, {}]}}\n</tool_call>",
           "C:f|A:{\"x\": \"}\\\"\", \"y\": [1, {}]}");
    expect(CALLS_HERMES, false,
           "Let me see.\n<tool_call>{\"name\":\"f\",\"arguments\":{}}</tool_call>\n"
           "<tool_call>{\"name\":\"add\",\"arguments\":{\"a\":1}}</tool_call> Done",
           "T:Let me see.|C:f|A:{}|C:add|A:{\"a\":1}|T:Done");
    expect(CALLS_HERMES, true, "Hm</think>\n<tool_call>{\"name\": \"f\", \"arguments\": {}}",
           "R:Hm|C:f|A:{}");
}

static void unusual_calls_are_calls(void) {
    expect(CALLS_HERMES, false,
           "<tool_call>{\"arguments\": {\"b\": 1}, \"name\": \"f\"}</tool_call>",
           "C:f|A:{\"b\":1}");
    expect(CALLS_HERMES, false,
           "<tool_call>{\"name\": \"f\", \"arguments\": \"{\\\"b\\\": 1}\"}</tool_call>",
           "C:f|A:{\"b\": 1}");
    expect(CALLS_HERMES, false, "<tool_call>{\"name\": \"f\"}</tool_call>", "C:f|A:{}");
    expect(CALLS_HERMES, false, "<tool_call>{\"name\": \"f\", \"arguments\": \"\"}", "C:f|A:{}");
    expect(CALLS_HERMES, false,
           "<tool_call>{\"na\\u006de\": \"f\", \"parameters\": {}}</tool_call>", "C:f|A:{}");
    expect(CALLS_HERMES, false,
           "<tool_call>{\"name\": \"f\", \"arguments\": {\"a\": 1}, \"id\": 3}</tool_call>x",
           "C:f|A:{\"a\": 1}|T:x");
}

static void json_calls_are_the_whole_answer(void) {
    expect(CALLS_JSON, false, "{\"name\": \"add\", \"parameters\": {\"a\": 1, \"b\": 2}}",
           "C:add|A:{\"a\": 1, \"b\": 2}");
    expect(CALLS_JSON, false, "<|python_tag|>{\"name\": \"f\", \"parameters\": {}}; {\"name\": \"add\", "
           "\"parameters\": {\"a\": 1}}", "C:f|A:{}|C:add|A:{\"a\": 1}");
    expect(CALLS_JSON, false, " {\"type\": \"function\", \"name\": \"f\", \"parameters\": {}}",
           "C:f|A:{}");
}

static void other_json_is_text(void) {
    expect(CALLS_JSON, false, "{\"name\": \"Bob\", \"parameters\": {\"a\": 1}}",
           "T:{\"name\": \"Bob\", \"parameters\": {\"a\": 1}}");
    expect(CALLS_JSON, false, " {\"x\": {\"y\": 1}} is it", "T: {\"x\": {\"y\": 1}} is it");
    expect(CALLS_JSON, false, "{\"name\": \"f", "T:{\"name\": \"f");
    expect(CALLS_HERMES, false, "a\n<tool_call>\nnothing</tool_call>",
           "T:a\n<tool_call>\nnothing</tool_call>");
    expect(CALLS_HERMES, false,
           "<tool_call>{broken} <tool_call>{\"name\": \"f\", \"arguments\": {}}",
           "T:<tool_call>{broken}|C:f|A:{}");
    expect(CALLS_HERMES, false, "<tool_call>", "T:<tool_call>");
}

static void mistral_calls_come_in_a_list(void) {
    expect(CALLS_MISTRAL, false,
           "[TOOL_CALLS] [{\"name\": \"f\", \"arguments\": {}}, {\"name\": \"add\", \"arguments\": {\"a\": [1]}}]",
           "C:f|A:{}|C:add|A:{\"a\": [1]}");
    expect(CALLS_MISTRAL, false, "[TOOL_CALLS] [ no", "T:[TOOL_CALLS] [ no");
}

static void an_answer_that_breaks_off_keeps_what_there_is(void) {
    expect(CALLS_HERMES, false, "<tool_call>{\"name\": \"f\", \"arguments\": {\"x\": 1",
           "C:f|A:{\"x\": 1");
}

static void templates_tell_the_form(void) {
    CHECK(call_format_of_template("{% if tools %}<tool_call>{% endif %}") == CALLS_HERMES);
    CHECK(call_format_of_template("{% if tools %}[TOOL_CALLS]{% endif %}") == CALLS_MISTRAL);
    CHECK(call_format_of_template("{% if tools %}<|python_tag|>{% endif %}") == CALLS_JSON);
    CHECK(call_format_of_template("{{ messages }}") == CALLS_NONE);
    CHECK(thoughts_of_template("</think>") == think());
    CHECK(thoughts_opened_by("<|assistant|><think>\n", 21) == think());
    CHECK(!thoughts_opened_by("<think> so", 10));
}

int main(void) {
    RUN(plain_text_stays_as_it_is);
    RUN(thoughts_are_parted_from_the_answer);
    RUN(hermes_calls_are_found_anywhere);
    RUN(unusual_calls_are_calls);
    RUN(json_calls_are_the_whole_answer);
    RUN(other_json_is_text);
    RUN(mistral_calls_come_in_a_list);
    RUN(an_answer_that_breaks_off_keeps_what_there_is);
    RUN(templates_tell_the_form);
    return test_summary();
}
