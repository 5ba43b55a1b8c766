/* Ollama's requests without a server: durations, options, messages, lack of memory. */
#include "base/mem.h"
#include "serve/ollama_request.h"
#include "test.h"

static void durations_are_gos(void) {
    static const struct { const char *text; int64_t ms; } good[] = {
        {"5m", 300000}, {"1h30m", 5400000}, {"300ms", 300}, {"1.5s", 1500}, {"0", 0}, {"0s", 0},
        {"-0", 0}, {"300", 300000}, {"-1", MODELS_KEEP_ALWAYS}, {"-1s", MODELS_KEEP_ALWAYS},
        {"2us", 0}, {"9999999999h", MODELS_KEEP_ALWAYS}};
    static const char *const bad[] = {"", "-", "m", "5 m", "5x", "1h30", "soon", "1e999s", "nan",
                                      "5m-", "--5m", "0x10"};
    int64_t ms;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        ms = -7;
        CHECK_OK(ollama_parse_duration(good[i].text, "keep_alive", &ms));
        CHECK_MSG(ms == good[i].ms, "%s: %lld", good[i].text, (long long)ms);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        ms = -7;
        CHECK_MSG(ollama_parse_duration(bad[i], "keep_alive", &ms) == HONE_ERR_ARGUMENT, "%s",
                  bad[i]);
        CHECK(ms == -7);
    }
}

static hone_status apply(ollama_options *o, const char *text) {
    const hone_sampling own = hone_sampling_greedy();
    json_t *options;
    TRY(json_parse(&options, text, strlen(text), "options"));
    ollama_options_init(o, &own);
    hone_status status = ollama_options_apply(o, options);
    json_decref(options);
    return status;
}

static void options_are_applied_or_named(void) {
    ollama_options o;
    CHECK_OK(apply(&o, "{\"temperature\": 0.5, \"top_k\": 7, \"num_predict\": 9, \"seed\": 3,"
                       " \"num_ctx\": 64, \"num_gpu\": 1, \"numa\": null, \"a\\r\\nb\": 1}"));
    CHECK(o.sampling.temperature == 0.5f && o.sampling.top_k == 7 && o.max_tokens == 9);
    CHECK(o.sampling.seed == 3 && o.n_context == 64);
    CHECK_MSG(!strcmp(o.ignored, "num_gpu, ?"), "%s", o.ignored);
    ollama_options_release(&o);
    static const char *const refused[] = {
        "{\"mirostat\": 2}", "{\"tfs_z\": 0.5}", "{\"top_p\": 2}", "{\"seed\": \"x\"}",
        "{\"num_predict\": 1e12}", "{\"stop\": [1]}", "{\"top_k\": 1.5}", "{\"num_ctx\": -1}"};
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        CHECK_MSG(apply(&o, refused[i]) != HONE_OK, "%s", refused[i]);
        ollama_options_release(&o);
    }
    CHECK_OK(apply(&o, "{\"mirostat\": 0, \"tfs_z\": 1, \"num_predict\": -2, \"seed\": -1}"));
    CHECK(o.max_tokens == 0 && o.ignored[0] == 0);
    ollama_options_release(&o);
}

static void many_ignored_names_fit_into_the_header(void) {
    char text[8192] = "{";
    for (int i = 0; i < 200; i++) {
        size_t n = strlen(text);
        snprintf(text + n, sizeof text - n, "%s\"unknown_option_%d\": 1", i ? ", " : "", i);
    }
    strcat(text, "}");
    ollama_options o;
    CHECK_OK(apply(&o, text));
    CHECK(strlen(o.ignored) < sizeof o.ignored && !strncmp(o.ignored, "unknown_option_0, ", 18));
    ollama_options_release(&o);
}

static const char chat_body[] =
    "{\"model\": \"m\", \"keep_alive\": \"5m\", \"think\": \"low\", \"format\": {\"type\": \"object\"},"
    " \"options\": {\"stop\": [\"a\", \"b\"]}, \"messages\": ["
    "{\"role\": \"user\", \"content\": \"Hi\"}, {\"role\": \"assistant\", \"thinking\": \"hm\","
    " \"tool_calls\": [{\"function\": {\"name\": \"f\", \"arguments\": {\"x\": 1}}}]},"
    " {\"role\": \"tool\", \"content\": \"1\", \"tool_name\": \"f\"}]}";

static void messages_become_openais(void) {
    ollama_request r;
    if (!CHECK_OK(ollama_request_read(&r, true, chat_body, strlen(chat_body)))) return;
    CHECK(r.has_keep && r.keep_ms == 300000 && r.stream && !r.only_load);
    json_t *list = json_array();
    CHECK_OK(ollama_translate_messages(list, json_object_get(r.body, "messages")));
    const json_t *said = json_array_get(list, 1), *result = json_array_get(list, 2);
    const json_t *call = json_array_get(json_object_get(said, "tool_calls"), 0);
    const json_t *function = json_object_get(call, "function");
    CHECK(!strcmp(json_string_value(json_object_get(function, "arguments")), "{\"x\":1}"));
    CHECK(!strcmp(json_string_value(json_object_get(said, "reasoning_content")), "hm"));
    CHECK(!strcmp(json_string_value(json_object_get(result, "name")), "f"));
    const chat_settings settings = {.messages = list};
    CHECK_OK(chat_check(&settings));
    json_decref(list);
    ollama_request_release(&r);
}

static void each_failed_allocation_is_an_error(void) {
    ollama_request r;
    int n_failures = 0;
    json_use_mem();
    for (long n = 1; n < 10000; n++) {
        mem_fail_from(n);
        hone_status status = ollama_request_read(&r, true, chat_body, strlen(chat_body));
        json_t *list = NULL;
        if (status == HONE_OK) {
            list = json_array();
            status = ollama_translate_messages(list, json_object_get(r.body, "messages"));
            ollama_request_release(&r);
        }
        json_decref(list);
        mem_fail_from(0);
        if (status == HONE_OK) break;
        n_failures++;
        CHECK_MSG(status == HONE_ERR_MEMORY, "allocation %ld: %s", n, hone_error_message());
    }
    CHECK(n_failures > 20);
}

static void templates_of_go_are_told_from_jinja(void) {
    CHECK(model_settings_is_go("{{ .Prompt }}") &&
          model_settings_is_go("{{- if .System }}x{{ end }}"));
    CHECK(model_settings_is_go("x {{- range $i, $m := .Messages }}"));
    CHECK(!model_settings_is_go("{% for m in messages %}{{ m['content'] }}{% endfor %}"));
    CHECK(!model_settings_is_go("{{ bos_token }}{{- messages[0].content }}") &&
          !model_settings_is_go(""));
}

int main(void) {
    RUN(durations_are_gos);
    RUN(options_are_applied_or_named);
    RUN(many_ignored_names_fit_into_the_header);
    RUN(messages_become_openais);
    RUN(each_failed_allocation_is_an_error);
    RUN(templates_of_go_are_told_from_jinja);
    return test_summary();
}
