/* Requests held to the API's description: what it forbids is refused with the place and with words,
 * what it allows is not. */
#include "base/mem.h"
#include "serve/description.h"
#include "serve/json_check.h"
#include "test.h"

static description *d;

/* The words against a body of that path; "" where there are none. */
static const char *words_for(const char *path, const char *text) {
    static char words[600];
    json_t *body;
    *words = '\0';
    if (!CHECK_OK(json_parse(&body, text, strlen(text), "body"))) return words;
    hone_status status = description_check(d, "POST", path, body);
    CHECK_MSG(status == HONE_OK || status == HONE_ERR_ARGUMENT, "%s", text);
    if (status != HONE_OK) snprintf(words, sizeof words, "%s", hone_error_message());
    json_decref(body);
    return words;
}

#define MESSAGES "\"messages\": [{\"role\": \"user\", \"content\": \"x\"}]"
#define TOOL(more) \
    "\"tools\": [{\"type\": \"function\", \"function\": {\"name\": \"f\"" more "}}]"
#define CHAT "/v1/chat/completions"

static void members_that_nobody_reads_are_looked_at(void) {
    static const struct { const char *path, *body, *words; } cases[] = {
        {CHAT, "{" MESSAGES ", " TOOL(", \"description\": true") "}",
         "tools[0].function.description is true; it must be a string or null"},
        {CHAT, "{" MESSAGES ", " TOOL(", \"strict\": 1") "}",
         "tools[0].function.strict is 1; it must be true or false or null"},
        {CHAT, "{\"messages\": [{\"role\": \"user\", \"content\": \"x\", \"name\": false}]}",
         "messages[0].name is false"},
        {CHAT, "{\"messages\": [{\"role\": \"user\", \"content\": [{\"type\": \"text\"}]}]}",
         "messages[0].content[0].text is missing"},
        {CHAT, "{\"messages\": [{\"role\": \"assistant\", \"tool_calls\": [{\"id\": \"1\", \"type\": "
         "\"function\", \"function\": {\"name\": \"f\", \"arguments\": {}}}]}]}",
         "messages[0].tool_calls[0].function.arguments is an object"},
        {CHAT, "{" MESSAGES ", \"mirostat\": 1}", "mirostat: there is no such field"},
        {CHAT, "{" MESSAGES ", \"store\": true}", "store is not supported"},
        {CHAT, "{" MESSAGES ", \"logit_bias\": {\"1x\": 1}}", "logit_bias.1x is \"1x\""},
        {CHAT, "{" MESSAGES ", \"temperature\": 2.5}", "temperature is 2.5; it must be at most 2"},
        {CHAT, "{" MESSAGES ", \"stop\": \"\"}", "stop has 0 characters, at least 1 are needed"},
        {CHAT, "{" MESSAGES ", \"n\": 1.5}", "n is 1.5; it must be a whole number or null"},
        {CHAT, "[]", "the request is a list; it must be an object"},
        {"/v1/responses", "{\"input\": \"x\", \"tools\": [{\"type\": \"function\", \"name\": \"f\", "
         "\"description\": true}]}", "tools[0].description is true"},
        {"/v1/responses", "{\"input\": 5}", "input is 5; it must be a string or a list"},
        {"/v1/responses", "{\"input\": [{\"role\": \"user\"}]}", "input[0].content is missing"},
        {"/v1/embeddings", "{\"input\": \"x\", \"stream\": true}", "stream: there is no such field"},
        {"/v1/embeddings", "{\"input\": [true]}", "input[0] is true"},
        {"/api/chat", "{\"model\": \"m\", \"tools\": [{\"function\": {\"name\": \"f\", "
         "\"description\": []}}]}", "tools[0].function.description is a list"},
        {"/api/generate", "{\"model\": \"m\", \"keep_alive\": \"soon\"}", "keep_alive is \"soon\""},
        {"/api/copy", "{\"source\": \"a\"}", "destination is missing"},
        {"/api/create", "{\"model\": \"m\", \"files\": {\"f\": \"../x\"}}", "files.f is no digest"},
        {"/tokenize", "{\"content\": \"x\", \"more\": 1}", "more: there is no such field"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *words = words_for(cases[i].path, cases[i].body);
        CHECK_MSG(!strncmp(words, cases[i].words, strlen(cases[i].words)), "%s: %s", cases[i].body,
                  words);
    }
}

static void what_clients_send_is_taken(void) {
    static const struct { const char *path, *body; } cases[] = {
        {CHAT, "{" MESSAGES ", \"n\": 1.0, \"stop\": null, \"store\": 0.0, \"metadata\": [1]}"},
        {CHAT, "{" MESSAGES ", " TOOL(", \"parameters\": {\"type\": \"object\"}, \"more\": 1") "}"},
        {CHAT, "{\"messages\": [{\"role\": \"assistant\", \"content\": null, \"refusal\": null}]}"},
        {CHAT, "{" MESSAGES ", \"response_format\": {\"type\": \"json_schema\", \"json_schema\": "
         "{\"name\": \"x\", \"schema\": {\"type\": \"array\"}}}}"},
        {"/v1/completions", "{\"prompt\": [[1, 2], [3]]}"},
        {"/v1/responses", "{\"input\": [{\"type\": \"function_call_output\", \"call_id\": \"1\", "
         "\"output\": [{\"type\": \"input_text\", \"text\": \"x\"}]}]}"},
        {"/api/generate", "{\"model\": \"m\", \"keep_alive\": \".5s\", \"format\": {}}"},
        {"/api/show", "{\"name\": \"m\"}"},
        {"/api/nowhere", "{\"whatever\": 1}"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *words = words_for(cases[i].path, cases[i].body);
        CHECK_MSG(!*words, "%s: %s", cases[i].body, words);
    }
}

static hone_status hold(const char *value, const char *schema) {
    json_t *v = NULL, *s = NULL;
    hone_status status = json_parse(&v, value, strlen(value), "value");
    if (status == HONE_OK) status = json_parse(&s, schema, strlen(schema), "schema");
    if (status == HONE_OK) status = json_check(v, s, NULL);
    json_decref(s);
    json_decref(v);
    return status;
}

static void each_keyword_holds(void) {
    static const struct { const char *schema, *good, *bad; } cases[] = {
        {"{\"items\": {\"type\": \"string\"}}", "[\"a\"]", "[1]"},
        {"{\"items\": {\"type\": [\"integer\", \"null\"]}}", "[1, 2.0, null]", "[2.5]"},
        {"{\"items\": {\"type\": \"number\"}}", "[1, 2.5]", "[true]"},
        {"{\"items\": {\"enum\": [1, \"a\"]}}", "[1.0, \"a\"]", "[\"b\"]"},
        {"{\"items\": {\"const\": {\"a\": 1}}}", "[{\"a\": 1}]", "[{}]"},
        {"{\"items\": {\"anyOf\": [{\"const\": 1}, {\"const\": 2}]}}", "[1, 2]", "[3]"},
        {"{\"properties\": {\"a\": {\"const\": 1}}}", "{\"a\": 1, \"b\": 2}", "{\"a\": 2}"},
        {"{\"required\": [\"a\"]}", "{\"a\": null}", "{\"b\": 1}"},
        {"{\"properties\": {\"a\": {}}, \"additionalProperties\": false}", "{\"a\": 1}", "{\"b\": 1}"},
        {"{\"additionalProperties\": {\"type\": \"null\"}}", "{\"a\": null}", "{\"a\": 1}"},
        {"{\"propertyNames\": {\"maxLength\": 1}}", "{\"a\": 1}", "{\"ab\": 1}"},
        {"{\"maxProperties\": 1}", "{\"a\": 1}", "{\"a\": 1, \"b\": 1}"},
        {"{\"minItems\": 1}", "[1]", "[]"},
        {"{\"maxItems\": 1}", "[1]", "[1, 2]"},
        {"{\"items\": {\"minLength\": 2}}", "[\"äö\", 1]", "[\"ä\"]"},
        {"{\"items\": {\"maxLength\": 2}}", "[\"äö\", 1]", "[\"abc\"]"},
        {"{\"items\": {\"maxLength\": 9, \"pattern\": \"^a+$\"}}", "[\"aa\", 1]", "[\"ab\"]"},
        {"{\"items\": {\"minimum\": 1}}", "[1, \"0\"]", "[0.5]"},
        {"{\"items\": {\"maximum\": 1}}", "[1, \"2\"]", "[1.5]"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        CHECK_MSG(hold(cases[i].good, cases[i].schema) == HONE_OK, "%s: %s", cases[i].schema,
                  hone_error_message());
        CHECK_MSG(hold(cases[i].bad, cases[i].schema) == HONE_ERR_ARGUMENT, "%s", cases[i].schema);
    }
}

static void long_names_and_values_are_cut(void) {
    char body[4096] = "{" MESSAGES ", \"";
    for (size_t n = strlen(body); n < 3000; n += 2) memcpy(body + n, "ä", 3);
    strcat(body, "\": 1}");
    CHECK(!strcmp(words_for(CHAT, body), "…: there is no such field"));
    const char *value = "{\"model\": \"m\", \"keep_alive\": "
                        "\"öööööööööööööööööööööööööööööööööööööö\"}";
    CHECK(!strncmp(words_for("/api/chat", value), "keep_alive is a long text", 25));
}

static void lack_of_memory_is_told(void) {
    for (long n = 1;; n += 97) {
        description *other = NULL;
        mem_fail_from(n);
        hone_status status = description_open(&other);
        mem_fail_from(0);
        description_close(other);
        if (status == HONE_OK) break;
        CHECK_MSG(status == HONE_ERR_MEMORY, "%ld: %s", n, hone_error_message());
    }
}

int main(void) {
    if (!CHECK_OK(description_open(&d))) return 1;
    RUN(members_that_nobody_reads_are_looked_at);
    RUN(what_clients_send_is_taken);
    RUN(each_keyword_holds);
    RUN(long_names_and_values_are_cut);
    RUN(lack_of_memory_is_told);
    description_close(d);
    return test_summary();
}
