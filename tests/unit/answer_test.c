/* Answers advanced together: each is what it is alone; one that fails leaves the others. */
#include "base/mem.h"
#include "hone/hone.h"
#include "test.h"

enum { N = 6 };

static hone_model *model;

static hone_session *open_session(void) {
    hone_session *s = NULL;
    CHECK_OK(hone_session_open(&s, model, &(hone_session_options){.exact = true}));
    return s;
}

/* Prompts of 1, 40, 79, … tokens, different seeds and lengths of answer. */
static const int32_t *prompt(size_t *n, int i) {
    static int32_t ids[256];
    for (int k = 0; k < 256; k++) ids[k] = 5 + (k * 7 + k / 3) % 300;
    *n = 1 + 39 * (size_t)i;
    return ids;
}

static hone_request ask(int i) {
    hone_request r = {.sampling = hone_sampling_greedy(), .max_tokens = 10 + (size_t)i,
                      .ignore_eos = true};
    r.prompt_ids = prompt(&r.n_prompt_ids, i);
    r.sampling.temperature = i % 2 ? 1.0f : 0.0f;
    r.sampling.seed = (uint64_t)i;
    if (i == 3) {
        r.draft_kind = HONE_DRAFT_NGRAM;
        r.n_draft = 3;
    }
    return r;
}

static void answers_together_are_answers_alone(void) {
    if (!model) SKIP("no folder with reference data");
    hone_request requests[N];
    hone_session *sessions[N];
    hone_answer *answers[N];
    for (int i = 0; i < N; i++) {
        requests[i] = ask(i);
        sessions[i] = open_session();
        CHECK_OK(hone_answer_open(&answers[i], sessions[i], &requests[i]));
    }
    int steps = 0;
    for (bool all = false; !all && steps < 1000; steps++) {
        CHECK_OK(hone_answers_step(answers, N, 50));
        all = true;
        for (int i = 0; i < N; i++) all &= hone_answer_finished(answers[i]);
    }
    CHECK(steps < 60);
    for (int i = 0; i < N; i++) {
        hone_session *alone = open_session();
        hone_result together = {0}, single = {0};
        CHECK_OK(hone_answer_conclude(answers[i], &together));
        CHECK_OK(hone_generate(alone, &requests[i], &single));
        CHECK_MSG(together.n_tokens == single.n_tokens &&
                      !memcmp(together.tokens, single.tokens, single.n_tokens * sizeof(int32_t)),
                  "answer %d", i);
        CHECK(together.n_tokens == 10 + (size_t)i && together.finish == HONE_FINISH_LENGTH);
        CHECK(!strcmp(together.text, single.text));
        hone_result_release(&together);
        hone_result_release(&single);
        hone_session_close(alone);
        hone_answer_close(answers[i]);
        hone_session_close(sessions[i]);
    }
}

static hone_status refuse_third(void *user, const int32_t *generated, size_t n, uint64_t *mask) {
    (void)user, (void)generated, (void)mask;
    return n == 2 ? fail(HONE_ERR_ARGUMENT, "no third token") : HONE_OK;
}

static void one_that_fails_leaves_the_others(void) {
    if (!model) SKIP("no folder with reference data");
    hone_request requests[2] = {ask(1), ask(2)};
    hone_session *sessions[2] = {open_session(), open_session()};
    hone_answer *answers[2];
    requests[0].token_mask = refuse_third;
    for (int i = 0; i < 2; i++) CHECK_OK(hone_answer_open(&answers[i], sessions[i], &requests[i]));
    while (!hone_answer_finished(answers[0]) || !hone_answer_finished(answers[1]))
        if (!CHECK_OK(hone_answers_step(answers, 2, 0))) break;
    const char *words;
    hone_result result = {0};
    CHECK(hone_answer_error(answers[0], &words) == HONE_ERR_ARGUMENT);
    CHECK(!strcmp(words, "no third token"));
    CHECK(hone_answer_conclude(answers[0], &result) == HONE_ERR_ARGUMENT);
    CHECK_OK(hone_answer_conclude(answers[1], &result));
    CHECK(result.n_tokens == 12);
    hone_result_release(&result);
    for (int i = 0; i < 2; i++) {
        hone_answer_close(answers[i]);
        hone_session_close(sessions[i]);
    }
}

static void a_prompt_that_is_known_needs_no_step(void) {
    if (!model) SKIP("no folder with reference data");
    hone_session *s = open_session();
    hone_request r = ask(2);
    size_t n, done;
    const int32_t *ids = prompt(&n, 2);
    CHECK_OK(hone_prefill(s, ids, n, NULL, NULL, NULL));
    hone_answer *a;
    CHECK_OK(hone_answer_open(&a, s, &r));
    CHECK(hone_answer_prompt(a, &done) == n && done == n);
    r.max_tokens = 1;
    CHECK_OK(hone_answers_step(&a, 1, 0));
    hone_result result;
    CHECK_OK(hone_answer_conclude(a, &result));
    CHECK(result.n_tokens == 1 && result.n_cached_tokens == n);
    const int32_t *held = hone_session_tokens(s, &done);
    CHECK(held && done == n);
    hone_result_release(&result);
    hone_answer_close(a);
    hone_session_close(s);
}

static void what_is_ended_early_is_cancelled(void) {
    if (!model) SKIP("no folder with reference data");
    hone_session *s = open_session();
    hone_request r = ask(4);
    hone_answer *a;
    hone_result result;
    CHECK_OK(hone_answer_open(&a, s, &r));
    for (int i = 0; i < 3; i++) CHECK_OK(hone_answers_step(&a, 1, 80));
    CHECK(!hone_answer_finished(a));
    CHECK_OK(hone_answer_conclude(a, &result));
    CHECK(result.finish == HONE_FINISH_CANCELLED && result.n_tokens == 2);
    hone_result_release(&result);
    hone_answer_close(a);
    hone_session_close(s);
}

int main(void) {
    if (test_shared()) {
        char path[512];
        snprintf(path, sizeof path, "%s/golden/qwen2-untied", test_shared());
        CHECK_OK(hone_model_open(&model, path, NULL));
    }
    RUN(answers_together_are_answers_alone);
    RUN(one_that_fails_leaves_the_others);
    RUN(a_prompt_that_is_known_needs_no_step);
    RUN(what_is_ended_early_is_cancelled);
    hone_model_close(model);
    return test_summary();
}
