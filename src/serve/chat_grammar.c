/* Grammars for answers, as GBNF texts put together (serve/chat_grammar.h). */
#include "serve/chat_grammar.h"

#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "serve/chat_messages.h"
#include "serve/fields.h"

#define MAX_GRAMMAR_BYTES ((size_t)16 << 20)

/* RFC 8259, with white space as models write it and nesting without bound. */
static const char json_rules[] =
    "json-value ::= json | json-array | json-string | json-number | "
    "\"true\" | \"false\" | \"null\"\n"
    "json ::= \"{\" json-ws (json-pair (\",\" json-ws json-pair)*)? json-ws \"}\"\n"
    "json-pair ::= json-string json-ws \":\" json-ws json-value\n"
    "json-array ::= \"[\" json-ws (json-value (\",\" json-ws json-value)*)? json-ws \"]\"\n"
    "json-string ::= \"\\\"\" ([^\"\\\\\\x00-\\x1F\\x7F] | "
    "\"\\\\\" ([\"\\\\/bfnrt] | \"u\" [0-9a-fA-F]{4}))* \"\\\"\"\n"
    "json-number ::= \"-\"? (\"0\" | [1-9] [0-9]{0,15}) (\".\" [0-9]{1,16})? "
    "([eE] [-+]? [0-9]{1,3})?\n"
    "json-ws ::= | \" \" | \"\\n\" [ \\t]{0,20}\n";

/* The rules of a schema, the first of which is named `root`. It came with the request: whatever is
 * wrong with it is the request's fault. */
static hone_status add_schema(buf *text, const char *root, const json_t *schema, const char *what) {
    const hone_schema_options options = {.root = root};
    char *source = json_dumps(schema, JSON_ENCODE_ANY | JSON_COMPACT), *rules = NULL;
    size_t n;
    hone_status status = source ? hone_schema_to_gbnf(&rules, &n, source, strlen(source), &options)
                                : mem_fail("schema", 1);
    if (status == HONE_OK) status = buf_add(text, rules, n);
    if (status == HONE_OK) status = buf_add_text(text, "\n");
    else if (source) fail_context(status, "%s", what);
    hone_free(rules);
    mem_free(source);
    return status;
}

/* --- calls --- */

/* One function's call: its name, and arguments that its parameters allow. */
static hone_status add_function(buf *text, size_t i, const json_t *function, const char *key) {
    const char *name = json_string_value(json_object_get(function, "name"));
    const json_t *parameters = field_find(function, "parameters");
    char rule[32];
    snprintf(rule, sizeof rule, "arguments-%zu", i);
    bool any = !parameters || json_object_size(parameters) == 0;
    TRY(buf_add_format(text,
                       "function-%zu ::= \"{\\\"name\\\": \\\"%s\\\", \\\"%s\\\": \" %s \"}\"\n",
                       i, name, key, any ? "json" : rule));
    return any ? HONE_OK : add_schema(text, rule, parameters, name);
}

static bool is_wanted(const chat_settings *s, const json_t *function) {
    return s->choice != CHAT_TOOLS_NAMED ||
           !strcmp(json_string_value(json_object_get(function, "name")), s->tool_name);
}

/* The rule `calls`: one or several, between the marks of the form. */
static hone_status add_calls(buf *text, const chat_settings *s, call_format calls) {
    bool hermes = calls == CALLS_HERMES;
    size_t i, n = 0;
    const json_t *tool;
    json_array_foreach(s->tools, i, tool) {
        const json_t *function = json_object_get(tool, "function");
        if (!is_wanted(s, function)) continue;
        TRY(add_function(text, i, function, hermes ? "arguments" : "parameters"));
    }
    TRY(buf_add_format(text, "calls ::= call%s\ncall ::= %s(",
                       s->one_call ? "" : hermes ? " (\"\\n\" call)*" : " (\"; \" call)*",
                       hermes ? "\"<tool_call>\\n\" " : ""));
    json_array_foreach(s->tools, i, tool) {
        if (!is_wanted(s, json_object_get(tool, "function"))) continue;
        TRY(buf_add_format(text, "%sfunction-%zu", n++ ? " | " : "", i));
    }
    return buf_add_format(text, ")%s\n", hermes ? " \"\\n</tool_call>\"" : "");
}

/* --- the whole --- */

/* What the grammar is about. */
typedef enum grammar_kind {
    ANY_ANSWER,
    ONLY_CALLS,
    ONLY_ANSWER,     /* of a form */
    ANSWER_OR_CALLS,
    CALLS_FROM_MARK  /* any text, but once a call begins it is one */
} grammar_kind;

static grammar_kind kind_of(const chat_settings *s, call_format calls) {
    if (s->choice == CHAT_TOOLS_REQUIRED || s->choice == CHAT_TOOLS_NAMED) return ONLY_CALLS;
    bool may_call = s->choice == CHAT_TOOLS_AUTO && json_array_size(s->tools) > 0;
    if (s->form != CHAT_FORM_TEXT) return may_call ? ANSWER_OR_CALLS : ONLY_ANSWER;
    return may_call && calls == CALLS_HERMES ? CALLS_FROM_MARK : ANY_ANSWER;
}

static hone_status add_rules(buf *text, const chat_settings *s, call_format calls,
                             grammar_kind kind) {
    bool has_answer = kind == ONLY_ANSWER || kind == ANSWER_OR_CALLS;
    const char *answer = s->form == CHAT_FORM_JSON ? "json" : "answer";
    if (kind == ANSWER_OR_CALLS) TRY(buf_add_format(text, "root ::= %s | calls\n", answer));
    else TRY(buf_add_format(text, "root ::= %s\n", has_answer ? answer : "calls"));
    if (kind != ONLY_ANSWER) TRY(add_calls(text, s, calls));
    if (has_answer && s->form == CHAT_FORM_SCHEMA)
        TRY(add_schema(text, "answer", s->schema, "the schema"));
    return buf_add_text(text, json_rules);
}

hone_status chat_grammar_make(hone_grammar **out, const chat_settings *s, call_format calls,
                              const hone_model *model) {
    static const char *const mark[] = {"<tool_call>"};
    grammar_kind kind = kind_of(s, calls);
    *out = NULL;
    if (kind == ANY_ANSWER) return HONE_OK;
    buf text;
    buf_init(&text, MAX_GRAMMAR_BYTES);
    hone_status status = add_rules(&text, s, calls, kind);
    if (status == HONE_OK) status = hone_grammar_open(out, model, text.data, text.len);
    if (status == HONE_OK && kind == CALLS_FROM_MARK)
        status = hone_grammar_set_triggers(*out, mark, 1);
    buf_release(&text);
    if (status == HONE_OK) return HONE_OK;
    hone_grammar_close(*out);
    *out = NULL;
    /* who is free to call may do so with parameters that no grammar can promise */
    return kind == CALLS_FROM_MARK && status != HONE_ERR_MEMORY ? HONE_OK : status;
}
