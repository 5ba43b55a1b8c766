/* Thoughts: found in the prompt or in the answer, counted, bounded; what a grammar sees of them. */
#include "files.h"
#include "hone/hone.h"
#include "model_files.h"
#include "test.h"

static hone_model *model; /* random; a context of 256 */

static void open_model(void) {
    test_folder folder = test_folder_make();
    const char *path = test_path(folder.path, "model.gguf");
    if (CHECK_OK(model_write_gguf(&(model_recipe){.type = DTYPE_Q8_0}, path)))
        CHECK_OK(hone_model_open(&model, path, NULL));
    test_folder_remove(&folder);
}

static hone_request ask(const char *prompt) {
    hone_request r = {.prompt = prompt, .prompt_bytes = strlen(prompt), .max_tokens = 60,
                      .sampling = hone_sampling_greedy(), .ignore_eos = true};
    r.sampling.temperature = 1;
    r.sampling.seed = 5;
    return r;
}

static hone_result run(const hone_request *r) {
    hone_result result = {0};
    hone_session *s = NULL;
    CHECK_OK(hone_session_open(&s, model, &(hone_session_options){.exact = true}));
    CHECK_OK(hone_generate(s, r, &result));
    hone_session_close(s);
    return result;
}

/* Token ids of a text, for answers that begin as told. */
static int32_t *ids_of(const char *text, size_t *n) {
    int32_t *ids = NULL;
    CHECK_OK(hone_tokenize(model, text, strlen(text), false, &ids, n));
    return ids;
}

static void an_open_thought_is_closed_in_time(void) {
    size_t n_closing;
    hone_free(ids_of("\n</think>\n\n", &n_closing));
    for (size_t budget = 0; budget < 30; budget += 7) {
        hone_request r = ask("so <think>\n");
        r.limit_thinking = true;
        r.thinking_budget = budget;
        hone_result result = run(&r);
        char *close = result.text ? strstr(result.text, "\n</think>\n\n") : NULL;
        CHECK(close && (budget > 0 || close == result.text));
        CHECK_MSG(result.n_thought_tokens > budget &&
                      result.n_thought_tokens <= budget + n_closing,
                  "%zu of %zu", result.n_thought_tokens, budget);
        CHECK(result.n_tokens == 60);
        hone_result_release(&result);
    }
}

static void without_a_limit_nothing_is_written(void) {
    hone_request r = ask("so <think>\n");
    hone_result free_one = run(&r);
    CHECK(free_one.n_thought_tokens == 60);
    r.limit_thinking = true;
    r.thinking_budget = 1000;
    hone_result bounded = run(&r);
    CHECK(!strcmp(free_one.text, bounded.text));
    hone_result_release(&bounded);
    hone_result_release(&free_one);
}

static void a_thought_that_the_answer_opens_is_closed_too(void) {
    hone_request r = ask("so");
    r.forced = ids_of("<think>ab", &r.n_forced);
    r.limit_thinking = true;
    r.thinking_budget = 4;
    hone_result result = run(&r);
    CHECK(result.text && !strncmp(result.text, "<think>ab", 9) && strstr(result.text, "</think>"));
    hone_result_release(&result);
    hone_free((void *)(uintptr_t)r.forced);
}

/* What was begun elsewhere goes on as if it had been said here: same tokens, same thought. */
static void a_thought_that_was_begun_goes_on(void) {
    hone_request r = ask("so <think>\n");
    r.sampling.temperature = 0;
    hone_result whole = run(&r);
    r.begun = whole.tokens;
    r.n_begun = 20;
    r.max_tokens = whole.n_tokens - 20;
    hone_result rest = run(&r);
    CHECK(rest.n_tokens == r.max_tokens && rest.n_thought_tokens == r.max_tokens);
    CHECK(!memcmp(rest.tokens, whole.tokens + 20, rest.n_tokens * sizeof *rest.tokens));
    CHECK(rest.n_prompt_tokens == whole.n_prompt_tokens + 20);
    hone_result_release(&rest);
    r.limit_thinking = true; /* what was thought before counts */
    r.thinking_budget = 20;
    rest = run(&r);
    CHECK_MSG(!strncmp(rest.text, "\n</think>\n\n", 11), "%s", rest.text);
    hone_result_release(&rest);
    hone_result_release(&whole);
}

static void tokens_that_are_none_are_refused(void) {
    static const int32_t none[] = {1, -1};
    hone_session *s = NULL;
    hone_result result = {0};
    hone_request r = ask("so");
    r.begun = none;
    r.n_begun = 2;
    CHECK_OK(hone_session_open(&s, model, NULL));
    CHECK(hone_generate(s, &r, &result) == HONE_ERR_ARGUMENT);
    hone_session_close(s);
}

static void plain_answers_have_no_thoughts(void) {
    hone_request r = ask("so <think>, he said");
    r.limit_thinking = true;
    hone_result result = run(&r);
    CHECK(result.n_thought_tokens == 0 && !strstr(result.text, "</think>"));
    hone_result_release(&result);
}

static void a_grammar_begins_behind_the_thought(void) {
    static const char gbnf[] = "root ::= \"yes\" | \"no\"\n";
    hone_request r = ask("so <think>\n");
    CHECK_OK(hone_grammar_open(&r.grammar, model, gbnf, sizeof gbnf - 1));
    r.limit_thinking = true;
    r.thinking_budget = 6;
    r.ignore_eos = false;
    for (int i = 0; i < 40; i++) { /* a stop inside of the thought would end the answer */
        r.sampling.seed = (uint64_t)i;
        hone_result result = run(&r);
        const char *close = strstr(result.text, "\n</think>\n\n");
        if (close) CHECK(!strcmp(close + 11, "yes") || !strcmp(close + 11, "no"));
        hone_result_release(&result);
    }
    r.prompt = "so";
    r.prompt_bytes = 2;
    hone_result result = run(&r);
    CHECK(!strcmp(result.text, "yes") || !strcmp(result.text, "no"));
    hone_result_release(&result);
    hone_grammar_close(r.grammar);
}

/* The answer begins as it is told, thinks, and begins a call, which the grammar then holds. */
static void a_lazy_grammar_leaves_room_for_thoughts(void) {
    static const char gbnf[] = "root ::= \"<call>\" (\"1\" | \"2\") \"</call>\"\n";
    static const char *const starts[] = {"<think>ab <call></think>\n\nso <call>", "so <call>"};
    for (size_t i = 0; i < 2; i++) {
        hone_request r = ask("so");
        r.ignore_eos = false;
        CHECK_OK(hone_grammar_open(&r.grammar, model, gbnf, sizeof gbnf - 1));
        CHECK_OK(hone_grammar_set_triggers(r.grammar, (const char *const[]){"<call>"}, 1));
        CHECK(hone_grammar_is_lazy(r.grammar));
        r.forced = ids_of(starts[i], &r.n_forced);
        hone_result result = run(&r);
        size_t n = strlen(starts[i]);
        CHECK_MSG(!strncmp(result.text, starts[i], n) && (!strcmp(result.text + n, "1</call>") ||
                                                          !strcmp(result.text + n, "2</call>")),
                  "%s", result.text);
        CHECK((result.n_thought_tokens > 0) == (i == 0) && result.finish == HONE_FINISH_STOP);
        hone_result_release(&result);
        hone_grammar_close(r.grammar);
        hone_free((void *)(uintptr_t)r.forced);
    }
}

int main(void) {
    open_model();
    if (!model) return test_summary();
    RUN(an_open_thought_is_closed_in_time);
    RUN(without_a_limit_nothing_is_written);
    RUN(a_thought_that_the_answer_opens_is_closed_too);
    RUN(a_thought_that_was_begun_goes_on);
    RUN(tokens_that_are_none_are_refused);
    RUN(plain_answers_have_no_thoughts);
    RUN(a_grammar_begins_behind_the_thought);
    RUN(a_lazy_grammar_leaves_room_for_thoughts);
    hone_model_close(model);
    return test_summary();
}
