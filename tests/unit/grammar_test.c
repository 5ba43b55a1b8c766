/* Grammars: the language of GBNF texts, what is refused, and masks against the bytes of tokens. */
#include <jansson.h>

#include "base/mem.h"
#include "infer/engine.h"
#include "test.h"
#include "text/grammar_machine.h"
#include "text/schema.h"

static grammar *program;
static grammar_machine *machine;

static hone_status open_grammar(const char *text) {
    hone_status status = grammar_compile(&program, text, strlen(text));
    machine = NULL;
    if (status != HONE_OK) return status;
    return grammar_machine_open(&machine, program, (size_t)64 << 20);
}

static void close_grammar(void) {
    grammar_machine_close(machine);
    grammar_close(program);
}

/* 2 = a whole match, 1 = the beginning of one, 0 = neither, −1 = an error. */
static int match(const char *text, size_t n) {
    uint32_t state = grammar_machine_start(machine);
    for (size_t i = 0; i < n; i++)
        if (grammar_machine_step(machine, state, (uint8_t)text[i], &state) != HONE_OK) return -1;
    if (state == GRAMMAR_DEAD) return 0;
    return grammar_machine_accepts(machine, state) ? 2 : 1;
}

static int match_text(const char *text) { return match(text, strlen(text)); }

/* --- the reference rows --- */

static void check_row(const json_t *row, int number) {
    hone_status status = open_grammar(json_string_value(json_object_get(row, "grammar")));
    CHECK_MSG(status == HONE_OK, "row %d: %s", number, hone_error_message());
    if (status != HONE_OK) return;
    size_t i;
    json_t *text;
    json_array_foreach(json_object_get(row, "pass"), i, text)
        CHECK_MSG(match(json_string_value(text), json_string_length(text)) == 2,
                  "row %d must match: %s", number, json_string_value(text));
    json_array_foreach(json_object_get(row, "fail"), i, text)
        CHECK_MSG(match(json_string_value(text), json_string_length(text)) != 2,
                  "row %d must not match: %s", number, json_string_value(text));
    close_grammar();
}

static void the_reference_grammars(void) {
    const char *shared = test_shared();
    if (!shared) SKIP("no folder with reference data");
    char path[512], line[65536];
    snprintf(path, sizeof path, "%s/data/vectors/grammar_cases.jsonl", shared);
    FILE *file = fopen(path, "r");
    if (!file) SKIP("%s is missing", path);
    int number = 0, checked = 0, unsupported = 0;
    while (fgets(line, sizeof line, file)) {
        number++;
        json_t *row = json_loads(line, JSON_ALLOW_NUL, NULL);
        const char *text = json_string_value(json_object_get(row, "grammar"));
        if (text && strstr(text, "<[")) {
            CHECK(open_grammar(text) == HONE_ERR_UNSUPPORTED);
            unsupported++;
        } else if (text) {
            check_row(row, number);
            checked++;
        }
        json_decref(row);
    }
    fclose(file);
    CHECK_MSG(checked == 12 && unsupported == 2, "%d and %d rows", checked, unsupported);
}

/* --- the language --- */

static void literals_and_escapes(void) {
    CHECK_OK(open_grammar("root ::= \"a\\\"\\n\\x41\\u00e9\\U0001F600\""));
    CHECK(match_text("a\"\nA\xC3\xA9\xF0\x9F\x98\x80") == 2);
    CHECK(match_text("a\"\nA\xC3") == 1);
    CHECK(match_text("a\"\nB") == 0);
    close_grammar();
}

/* Every code point against classes whose bounds lie where the length of UTF-8 changes. */
static void classes_hold_exactly_their_characters(void) {
    static const struct { const char *text; uint32_t low, high; bool negated; } cases[] = {
        {"root ::= [\\u0000-\\u007f]", 0, 0x7F, false},
        {"root ::= [\\u0041-\\u0801]", 0x41, 0x801, false},
        {"root ::= [\\u07fe-\\U00010002]", 0x7FE, 0x10002, false},
        {"root ::= [^\\u0080-\\U0010fffe]", 0x80, 0x10FFFE, true},
        {"root ::= [\\u1234-\\u5432]", 0x1234, 0x5432, false},
        {"root ::= .", 0, 0x10FFFF, false},
    };
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        if (!CHECK_OK(open_grammar(cases[k].text))) continue;
        int wrong = 0;
        for (uint32_t code = 0; code <= 0x10FFFF; code++) {
            if (code >= 0xD800 && code <= 0xDFFF) continue;
            char text[4];
            size_t n = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
            text[0] = (char)(n == 1 ? code : (0xF00 >> n & 0xFF) | code >> (6 * (n - 1)));
            for (size_t i = 1; i < n; i++)
                text[i] = (char)(0x80 | (code >> (6 * (n - 1 - i)) & 63));
            bool inside = (code >= cases[k].low && code <= cases[k].high) != cases[k].negated;
            wrong += match(text, n) != (inside ? 2 : 0);
        }
        CHECK_MSG(wrong == 0, "%s: %d characters", cases[k].text, wrong);
        close_grammar();
    }
    CHECK_OK(open_grammar("root ::= ."));
    CHECK(match("\xC0\x80", 2) == 0 && match("\xED\xA0\x80", 3) == 0 && match("\x80", 1) == 0 &&
          match("\xF4\x90\x80\x80", 4) == 0);
    close_grammar();
}

static void rules_go_on_over_lines(void) {
    CHECK_OK(open_grammar("# words\nroot ::= a |\n  b\n  | c # last\n\na ::= \"x\"\nb ::= (\n\"y\"\n)\n"
                          "c ::= \"z\"\n  \"w\""));
    CHECK(match_text("x") == 2 && match_text("y") == 2 && match_text("zw") == 2);
    CHECK(match_text("z") == 1 && match_text("xw") == 0);
    close_grammar();
}

static void repetitions(void) {
    CHECK_OK(open_grammar("root ::= \"a\"{2} \"b\"{1,3} \"c\"{0,} \"d\"{,2} \"e\"?"));
    CHECK(match_text("aab") == 2 && match_text("aabbbccccdde") == 2 && match_text("aa") == 1);
    CHECK(match_text("ab") == 0 && match_text("aabbbb") == 0 && match_text("aabddd") == 0);
    close_grammar();
    CHECK_OK(open_grammar("root ::= ((\"a\"?)*)+ \"b\""));
    CHECK(match_text("b") == 2 && match_text("aaab") == 2);
    close_grammar();
}

static void nesting_is_counted(void) {
    CHECK_OK(open_grammar("root ::= \"(\" root? \")\""));
    char text[2001];
    memset(text, '(', 1000);
    memset(text + 1000, ')', 1000);
    CHECK(match(text, 2000) == 2 && match(text, 1999) == 1);
    text[2000] = ')';
    CHECK(match(text, 2001) == 0);
    close_grammar();
}

/* --- what is refused --- */

static void refused(const char *text, const char *word) {
    hone_status status = open_grammar(text);
    CHECK_MSG(status == HONE_ERR_FORMAT, "%.60s: %s", text, hone_status_name(status));
    if (status == HONE_OK) close_grammar();
    else CHECK_MSG(strstr(hone_error_message(), word), "%s: %s", word, hone_error_message());
}

static void bad_grammars_are_refused_with_the_reason(void) {
    refused("", "no rule named root");
    refused("a ::= \"x\"", "no rule named root");
    refused("root ::= a", "line 1: the rule a is not defined");
    refused("root ::= \"x\"\nroot ::= \"y\"", "line 2");
    refused("root ::= \"x", "not closed");
    refused("root ::= [a", "not closed");
    refused("root ::= (\"a\"", "parenthesis");
    refused("root ::= \"a\")", "cannot go on");
    refused("root ::= [z-a]", "backwards");
    refused("root ::= \"\\q\"", "escape");
    refused("root ::= \"\\ud800\"", "no character");
    refused("root ::= \"a\"{3,2}", "m above n");
    refused("root ::= \"a\"{999999999}", "too many repetitions");
    refused("root ::= (((\"a\"{1000}){1000}){1000})", "too large");
    refused("root = \"a\"", "::=");
    refused("root ::= \"\xFF\"", "UTF-8");
}

static void left_recursion_is_refused_by_rule(void) {
    refused("root ::= root \"a\" | \"b\"", "the rule root is left-recursive");
    refused("root ::= a\na ::= b \"x\"\nb ::= c? a\nc ::= \"y\"", "left-recursive");
    refused("root ::= n root\nn ::= \"\" | \"x\"", "the rule root is left-recursive");
    CHECK_OK(open_grammar("root ::= \"a\" root | \"\""));
    close_grammar();
}

static void hostile_grammars_end(void) {
    /* Deep parentheses, a long chain of rules that may be empty, and great ambiguity. */
    char *text = mem_alloc(1 << 20);
    size_t n = (size_t)sprintf(text, "root ::= ");
    memset(text + n, '(', 100000);
    text[n + 100000] = '\0';
    refused(text, "too deeply");
    n = (size_t)sprintf(text, "root ::= r0 \"x\"\n");
    for (int i = 0; i < 4000; i++) n += (size_t)sprintf(text + n, "r%d ::= r%d?\n", i, i + 1);
    sprintf(text + n, "r4000 ::= \"y\"\n");
    CHECK_OK(open_grammar(text));
    CHECK(match_text("yx") == 2 && match_text("x") == 2);
    close_grammar();
    CHECK_OK(open_grammar("root ::= (a | b | c)* \"!\"\na ::= \"x\" a b | \"x\"\nb ::= \"x\" b a | \"x\"\n"
                          "c ::= \"x\" c c | \"x\""));
    memset(text, 'x', 5000);
    int result = match(text, 5000);
    CHECK(result == 1 || result == -1);
    close_grammar();
    mem_free(text);
}

static void failing_allocations_leave_nothing(void) {
    const char *text = "root ::= \"a\" (b | [^c-z])* \"d\"{2,4}\nb ::= \"(\" b? \")\"";
    for (long n = 1;; n++) {
        mem_fail_from(n);
        hone_status status = open_grammar(text);
        int matched = status == HONE_OK ? match_text("a(())bdd") : -1;
        long tried = mem_count();
        mem_fail_from(0);
        if (status == HONE_OK) close_grammar();
        else CHECK(status == HONE_ERR_MEMORY);
        if (status == HONE_OK && tried < n) {
            CHECK(matched == 2);
            return;
        }
        CHECK(matched == -1);
        if (n > 10000) { CHECK(!"it never succeeds"); return; }
    }
}

/* --- masks --- */

static hone_model *open_tiny(void) {
    const char *shared = test_shared();
    char path[512];
    hone_model *model = NULL;
    if (!shared) return NULL;
    snprintf(path, sizeof path, "%s/golden/qwen2-untied", shared);
    CHECK_OK(hone_model_open(&model, path, NULL));
    return model;
}

static bool has(const uint64_t *mask, int32_t id) { return mask[id / 64] >> (id % 64) & 1; }

/* Along a text, the mask of each place holds exactly the tokens whose bytes may follow. */
static void masks_hold_exactly_what_may_follow(void) {
    hone_model *model = open_tiny();
    if (!model) SKIP("no folder with reference data");
    static const char text[] =
        "root ::= \"{\" pair (\", \" pair)* \"}\"\npair ::= \"\\\"\" [a-zA-Z \\u00e0-\\uffff]+ \"\\\": \" "
        "([0-9]{1,3} | root)";
    hone_grammar *g;
    CHECK_OK(hone_grammar_open(&g, model, text, strlen(text)));
    CHECK_OK(open_grammar(text));
    size_t n_vocab = hone_model_describe(model)->n_vocab, n_answer;
    uint64_t *mask = calloc((n_vocab + 63) / 64, sizeof *mask);
    int32_t *answer;
    const char *whole = "{\"the caf\xC3\xA9\": 12, \"b\": {\"c\": 345}}";
    CHECK_OK(hone_tokenize(model, whole, strlen(whole), false, &answer, &n_answer));
    hone_grammar_cursor cursor = {0};
    char text_so_far[256];
    size_t n_so_far = 0;
    for (size_t at = 0; at <= n_answer; at++) {
        CHECK_OK(hone_grammar_mask(g, &cursor, answer, at, mask));
        int wrong = 0;
        const char *piece;
        size_t n;
        for (int32_t id = 0; id < (int32_t)tokenizer_size(model->tokenizer); id++) {
            CHECK_OK(tokenizer_piece(model->tokenizer, id, false, &piece, &n));
            if (n_so_far + n > sizeof text_so_far) continue;
            memcpy(text_so_far + n_so_far, piece, n);
            int expected = n ? match(text_so_far, n_so_far + n) > 0
                             : hone_is_stop_token(model, id) && match(text_so_far, n_so_far) == 2;
            wrong += has(mask, id) != expected;
        }
        CHECK_MSG(wrong == 0, "%d tokens behind '%.*s'", wrong, (int)n_so_far, text_so_far);
        if (at == n_answer) break;
        CHECK(has(mask, answer[at]));
        CHECK_OK(tokenizer_piece(model->tokenizer, answer[at], false, &piece, &n));
        memcpy(text_so_far + n_so_far, piece, n);
        n_so_far += n;
    }
    CHECK(match(text_so_far, n_so_far) == 2);
    free(mask);
    hone_free(answer);
    close_grammar();
    hone_grammar_close(g);
    hone_model_close(model);
}

static void an_answer_matches_its_grammar(void) {
    hone_model *model = open_tiny();
    if (!model) SKIP("no folder with reference data");
    static const char text[] = "root ::= \"[\" item (\",\" item){1,4} \"]\"\nitem ::= [a-m]{2,5} | [0-9]+";
    hone_grammar *g;
    hone_session *session;
    CHECK_OK(hone_grammar_open(&g, model, text, strlen(text)));
    CHECK_OK(hone_session_open(&session, model, NULL));
    for (uint64_t seed = 0; seed < 20; seed++) {
        hone_sampling sampling = hone_sampling_greedy();
        sampling.temperature = 1.5f;
        sampling.seed = seed;
        hone_request request = {.prompt = "List:", .prompt_bytes = 5, .sampling = sampling,
                                .max_tokens = 64, .grammar = g};
        if (seed % 2) {
            request.draft_kind = HONE_DRAFT_NGRAM;
            request.n_draft = 4;
        }
        hone_result result;
        if (!CHECK_OK(hone_generate(session, &request, &result))) continue;
        hone_grammar_match found;
        CHECK_OK(hone_grammar_test(g, result.text, result.n_bytes, &found));
        CHECK_MSG(found == (result.finish == HONE_FINISH_STOP ? HONE_GRAMMAR_WHOLE
                                                              : HONE_GRAMMAR_BEGINNING),
                  "seed %d, %s: %s", (int)seed, hone_finish_name(result.finish), result.text);
        hone_result_release(&result);
    }
    hone_session_close(session);
    hone_grammar_close(g);
    hone_model_close(model);
}

/* --- schemas and triggers over a model's vocabulary --- */

/* Masks are put together from parts that states share; here each is compared with the tokens'
 * bytes, inside of strings, numbers and lists that are called from several places. */
static void masks_of_schemas_hold_exactly_what_may_follow(void) {
    hone_model *model = open_tiny();
    if (!model) SKIP("no folder with reference data");
    static const char schema[] = "{\"type\": \"object\", \"properties\": {\"a\": {\"type\": \"string\"}, \"b\": {\"type\": "
        "\"array\", \"items\": {\"type\": [\"string\", \"number\"]}}, \"c\": {\"type\": \"string\", \"maxLength\": 30}}, "
        "\"required\": [\"a\", \"b\", \"c\"]}";
    static const char whole[] = "{\"a\": \"x, caf\xC3\xA9\", \"b\": [\"}\", -1.5e3, 12], \"c\": \"some text\"}";
    hone_grammar *g;
    grammar *program_of_schema;
    if (!CHECK_OK(hone_grammar_open_schema(&g, model, schema, strlen(schema), NULL))) return;
    CHECK_OK(schema_compile(&program_of_schema, schema, strlen(schema), NULL));
    CHECK_OK(grammar_machine_open(&machine, program_of_schema, (size_t)64 << 20));
    size_t n_vocab = hone_model_describe(model)->n_vocab, n_answer;
    uint64_t *mask = calloc((n_vocab + 63) / 64, sizeof *mask);
    int32_t *answer;
    CHECK_OK(hone_tokenize(model, whole, strlen(whole), false, &answer, &n_answer));
    hone_grammar_cursor cursor = {0};
    char text[512];
    size_t n_text = 0;
    for (size_t at = 0; at <= n_answer; at++) {
        int wrong = 0;
        const char *piece;
        size_t n;
        CHECK_OK(hone_grammar_mask(g, &cursor, answer, at, mask));
        for (int32_t id = 0; id < (int32_t)tokenizer_size(model->tokenizer); id++) {
            CHECK_OK(tokenizer_piece(model->tokenizer, id, false, &piece, &n));
            if (n_text + n > sizeof text) continue;
            memcpy(text + n_text, piece, n);
            int expected = n ? match(text, n_text + n) > 0
                             : hone_is_stop_token(model, id) && match(text, n_text) == 2;
            wrong += has(mask, id) != expected;
        }
        CHECK_MSG(wrong == 0, "%d tokens behind '%.*s'", wrong, (int)n_text, text);
        if (at == n_answer) break;
        CHECK_OK(tokenizer_piece(model->tokenizer, answer[at], false, &piece, &n));
        memcpy(text + n_text, piece, n);
        n_text += n;
    }
    CHECK(match(text, n_text) == 2);
    free(mask);
    hone_free(answer);
    grammar_machine_close(machine);
    grammar_close(program_of_schema);
    hone_grammar_close(g);
    hone_model_close(model);
}

/* Anything until the trigger, whose beginning may lie in any tokens; from there on the grammar. */
static void a_lazy_grammar_waits_for_its_trigger(void) {
    hone_model *model = open_tiny();
    if (!model) SKIP("no folder with reference data");
    static const char text[] = "root ::= \"<call>\" [0-9]+ \"</call>\"";
    static const char *const triggers[] = {"<call>"}, *const strange[] = {"call"};
    static const struct { const char *text; hone_grammar_match match; } cases[] = {
        {"", HONE_GRAMMAR_WHOLE}, {"free < text <cal", HONE_GRAMMAR_WHOLE},
        {"so: <call>", HONE_GRAMMAR_BEGINNING}, {"so: <call>12", HONE_GRAMMAR_BEGINNING},
        {"<<call>12</call>", HONE_GRAMMAR_WHOLE}, {"<call>x", HONE_GRAMMAR_NO},
        {"<call>1</call> and", HONE_GRAMMAR_NO}};
    hone_grammar *g;
    CHECK_OK(hone_grammar_open(&g, model, text, strlen(text)));
    CHECK(hone_grammar_set_triggers(g, strange, 1) == HONE_ERR_ARGUMENT);
    CHECK_OK(hone_grammar_set_triggers(g, triggers, 1));
    size_t n_words = (hone_model_describe(model)->n_vocab + 63) / 64;
    uint64_t *mask = calloc(n_words, sizeof *mask);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        hone_grammar_match found;
        CHECK_OK(hone_grammar_test(g, cases[i].text, strlen(cases[i].text), &found));
        CHECK_MSG(found == cases[i].match, "%s: %d", cases[i].text, found);
        /* The masks along the text say the same: each token in them leads to no dead end. */
        int32_t *ids;
        size_t n_ids;
        hone_grammar_cursor cursor = {0};
        if (cases[i].match == HONE_GRAMMAR_NO || !*cases[i].text) continue;
        CHECK_OK(hone_tokenize(model, cases[i].text, strlen(cases[i].text), false, &ids, &n_ids));
        for (size_t at = 0; at <= n_ids; at++) {
            int wrong = 0;
            CHECK_OK(hone_grammar_mask(g, &cursor, ids, at, mask));
            CHECK(at == n_ids || has(mask, ids[at]));
            for (int32_t id = 0; id < (int32_t)tokenizer_size(model->tokenizer); id++) {
                char whole[600];
                const char *piece;
                size_t n, n_whole = 0;
                for (size_t k = 0; k <= at; k++) {
                    CHECK_OK(tokenizer_piece(model->tokenizer, k < at ? ids[k] : id, true, &piece, &n));
                    memcpy(whole + n_whole, piece, n);
                    n_whole += n;
                }
                CHECK_OK(tokenizer_piece(model->tokenizer, id, false, &piece, &n));
                CHECK_OK(hone_grammar_test(g, whole, n_whole, &found));
                if (n) wrong += has(mask, id) != (found != HONE_GRAMMAR_NO);
            }
            CHECK_MSG(wrong == 0, "%d tokens behind %zu of '%s'", wrong, at, cases[i].text);
        }
        hone_free(ids);
    }
    free(mask);
    hone_grammar_close(g);
    hone_model_close(model);
}

int main(void) {
    RUN(the_reference_grammars);
    RUN(literals_and_escapes);
    RUN(classes_hold_exactly_their_characters);
    RUN(rules_go_on_over_lines);
    RUN(repetitions);
    RUN(nesting_is_counted);
    RUN(bad_grammars_are_refused_with_the_reason);
    RUN(left_recursion_is_refused_by_rule);
    RUN(hostile_grammars_end);
    RUN(failing_allocations_leave_nothing);
    RUN(masks_hold_exactly_what_may_follow);
    RUN(an_answer_matches_its_grammar);
    RUN(masks_of_schemas_hold_exactly_what_may_follow);
    RUN(a_lazy_grammar_waits_for_its_trigger);
    return test_summary();
}
