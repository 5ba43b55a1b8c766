#include "base/json.h"
#include "base/mem.h"
#include "files.h"
#include "test.h"

static hone_status parse(json_t **out, const char *text) {
    *out = NULL;
    return json_parse(out, text, strlen(text), "text");
}

static void broken_text_is_refused_with_its_place(void) {
    json_t *value;
    CHECK(parse(&value, "{\"a\": 1,\n  \"b\" 2}") == HONE_ERR_FORMAT);
    CHECK(strstr(hone_error_message(), "text: line 2, column"));
    const char *bad[] = {"", "1", "{", "[1,]", "{\"a\":1,\"a\":2}", "[\"\\u0000\"]", "[\"\xff\"]",
                         "[NaN]", "[1e999]", "{} x"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        CHECK_MSG(parse(&value, bad[i]) == HONE_ERR_FORMAT && !value, "%s", bad[i]);
}

static void words_of_a_model_may_hold_nul(void) {
    const char text[] = "{\"text\": \"a\\u0000b\"}";
    json_t *value = NULL;
    CHECK_OK(json_parse_words(&value, text, sizeof text - 1, "text"));
    CHECK(json_string_length(json_object_get(value, "text")) == 3);
    json_decref(value);
    CHECK(json_parse_words(&value, "{\"a\":1,\"a\":2}", 13, "text") == HONE_ERR_FORMAT);
}

static void nesting_has_a_limit(void) {
    char text[2 * JSON_MAX_DEPTH + 4] = "";
    json_t *value = NULL;
    memset(text, '[', JSON_MAX_DEPTH);
    memset(text + JSON_MAX_DEPTH, ']', JSON_MAX_DEPTH);
    CHECK_OK(json_parse(&value, text, 2 * JSON_MAX_DEPTH, "text"));
    json_decref(value);
    memset(text, '[', JSON_MAX_DEPTH + 1);
    memset(text + JSON_MAX_DEPTH + 1, ']', JSON_MAX_DEPTH + 1);
    CHECK(json_parse(&value, text, 2 * JSON_MAX_DEPTH + 2, "text") == HONE_ERR_FORMAT);
    CHECK(parse(&value, "[\"[[[\\\"[[[\"]") == HONE_OK);
    json_decref(value);
}

/* "[{},{},…]" is refused before anything is allocated for it; as many bytes of plain words are not. */
static void memory_has_a_limit(void) {
    size_t n = 6000000;
    char *text = malloc(n + 2);
    json_t *value = NULL;
    text[0] = '[';
    for (size_t i = 1; i + 3 < n; i += 3) memcpy(text + i, "{},", 3);
    memcpy(text + n - 3, "{}]", 3);
    mem_fail_from(1);
    CHECK(json_parse(&value, text, n, "text") == HONE_ERR_FORMAT && !value);
    mem_fail_from(0);
    CHECK_MSG(strstr(hone_error_message(), "MiB of memory"), "%s", hone_error_message());
    memset(text, 'x', n);
    memcpy(text, "[\"", 2);
    memcpy(text + n - 2, "\"]", 2);
    if (CHECK_OK(json_parse(&value, text, n, "text"))) CHECK(json_array_size(value) == 1);
    json_decref(value);
    free(text);
}

static void huge_integers_do_not_spoil_the_rest(void) {
    json_t *value;
    uint64_t n = 0;
    CHECK_OK(parse(&value, "{\"max\": 1000000000000000019884624838656, \"n\": 151643}"));
    CHECK_OK(json_get_u64(value, "n", &n));
    CHECK(n == 151643);
    CHECK(json_get_u64(value, "max", &n) == HONE_ERR_FORMAT && n == 151643);
    json_decref(value);
}

static void getters_keep_defaults_and_name_wrong_types(void) {
    json_t *value;
    uint64_t n = 7;
    double x = 0.5;
    bool flag = true;
    const char *text = "default";
    CHECK_OK(parse(&value, "{\"n\": 3, \"x\": 2.5, \"no\": false, \"s\": \"hi\", \"null\": null,"
                           "\"neg\": -1, \"half\": 1.5, \"whole\": 4.0}"));
    CHECK_OK(json_get_u64(value, "missing", &n));
    CHECK_OK(json_get_u64(value, "null", &n));
    CHECK(n == 7);
    CHECK(json_get_u64(value, "neg", &n) == HONE_ERR_FORMAT && n == 7);
    CHECK(json_get_u64(value, "half", &n) == HONE_ERR_FORMAT && n == 7);
    CHECK(json_get_u64(value, "s", &n) == HONE_ERR_FORMAT && strstr(hone_error_message(), "\"s\""));
    CHECK_OK(json_get_u64(value, "whole", &n));
    CHECK(n == 4);
    CHECK_OK(json_get_f64(value, "n", &x));
    CHECK(x == 3);
    CHECK_OK(json_get_f64(value, "x", &x));
    CHECK(x == 2.5);
    CHECK(json_get_f64(value, "no", &x) == HONE_ERR_FORMAT);
    CHECK_OK(json_get_bool(value, "no", &flag));
    CHECK(!flag);
    CHECK(json_get_bool(value, "n", &flag) == HONE_ERR_FORMAT);
    CHECK_OK(json_get_string(value, "missing", &text));
    CHECK(strcmp(text, "default") == 0);
    CHECK_OK(json_get_string(value, "s", &text));
    CHECK(strcmp(text, "hi") == 0);
    CHECK(json_get_string(value, "n", &text) == HONE_ERR_FORMAT);
    json_decref(value);
}

static void files_are_read_up_to_a_limit(void) {
    test_folder folder = test_folder_make();
    const char *path = test_path(folder.path, "file.json");
    json_t *value;
    CHECK(json_parse_file(&value, path, 100) == HONE_ERR_NOT_FOUND);
    CHECK(test_write_file(path, "[1, 2]", 6));
    CHECK(json_parse_file(&value, path, 5) == HONE_ERR_FORMAT);
    CHECK(strstr(hone_error_message(), "6 bytes, at most 5"));
    if (CHECK_OK(json_parse_file(&value, path, 6))) json_decref(value);
    CHECK(test_write_file(path, "[1, 2", 5));
    CHECK(json_parse_file(&value, path, 6) == HONE_ERR_FORMAT);
    CHECK(strstr(hone_error_message(), path));
    test_folder_remove(&folder);
}

static void short_memory_is_reported_and_leaks_nothing(void) {
    json_t *value;
    const char *text = "{\"a\": [1, 2.5, \"text\", {\"b\": null}], \"c\": true}";
    for (long n = 1; n < 1000; n++) {
        mem_fail_from(n);
        hone_status status = parse(&value, text);
        mem_fail_from(0);
        if (status == HONE_OK) {
            CHECK(n > 5);
            json_decref(value);
            return;
        }
        CHECK_MSG(status == HONE_ERR_MEMORY, "allocation %ld: %s", n, hone_error_message());
    }
    CHECK(!"never succeeded");
}

int main(void) {
    RUN(broken_text_is_refused_with_its_place);
    RUN(words_of_a_model_may_hold_nul);
    RUN(nesting_has_a_limit);
    RUN(memory_has_a_limit);
    RUN(huge_integers_do_not_spoil_the_rest);
    RUN(getters_keep_defaults_and_name_wrong_types);
    RUN(files_are_read_up_to_a_limit);
    RUN(short_memory_is_reported_and_leaks_nothing);
    return test_summary();
}
