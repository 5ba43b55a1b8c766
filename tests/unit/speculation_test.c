/* Drafts change the speed of an answer and nothing else. */
#include "base/utf8.h"
#include "files.h"
#include "hone/hone.h"
#include "model_files.h"
#include "test.h"

static hone_model *model;

static hone_model *made_model(const model_recipe *r) {
    hone_model *made = NULL;
    test_folder folder = test_folder_make();
    const char *path = test_path(folder.path, "model.gguf");
    if (CHECK_OK(model_write_gguf(r, path)))
        CHECK_OK(hone_model_open(&made, path, &(hone_model_options){.n_threads = 1}));
    test_folder_remove(&folder);
    return made;
}

static void open_model(void) { model = made_model(&(model_recipe){.type = DTYPE_Q8_0}); }

static hone_session *open_session(hone_model *of, bool exact) {
    hone_session *s = NULL;
    CHECK_OK(hone_session_open(&s, of, &(hone_session_options){.exact = exact}));
    return s;
}

/* A prompt that repeats itself, so that look-up finds something. */
static hone_request ask(float temperature) {
    static const char prompt[] = "the one in the one on the one in the one on the";
    hone_request r = {.prompt = prompt, .prompt_bytes = sizeof prompt - 1,
                      .sampling = hone_sampling_greedy(), .max_tokens = 40, .ignore_eos = true};
    r.sampling.temperature = temperature;
    r.sampling.seed = 5;
    return r;
}

static hone_result run(const hone_request *r, bool exact) {
    hone_result result = {0};
    hone_session *s = open_session(model, exact);
    size_t n;
    CHECK_OK(hone_generate(s, r, &result));
    hone_session_tokens(s, &n);
    CHECK(n == result.n_prompt_tokens + result.n_tokens - 1); /* no drafted token stays behind */
    hone_session_close(s);
    return result;
}

static bool same_answer(const hone_result *a, const hone_result *b) {
    return a->n_tokens == b->n_tokens && a->finish == b->finish && a->n_bytes == b->n_bytes &&
           memcmp(a->tokens, b->tokens, a->n_tokens * sizeof *a->tokens) == 0 &&
           memcmp(a->text, b->text, a->n_bytes) == 0;
}

/* Greedy and sampled, exact and not, with 1, 4 and 7 drafted tokens: the same answer as without. */
static void check_draft(hone_request r, hone_draft_kind kind, hone_model *drafter, bool *some,
                        bool *all) {
    for (int i = 0; i < 12; i++) {
        bool exact = i % 2;
        r.sampling.temperature = i / 2 % 2 ? 0.7f : 0;
        r.draft_kind = HONE_DRAFT_NONE;
        hone_result plain = run(&r, exact);
        r.draft_kind = kind;
        r.draft = drafter ? open_session(drafter, exact) : NULL;
        r.n_draft = (size_t)i / 4 * 3 + 1;
        hone_result drafted = run(&r, exact);
        CHECK_MSG(same_answer(&plain, &drafted), "%zu drafted at a time, temperature %g, exact %d",
                  r.n_draft, (double)r.sampling.temperature, exact);
        CHECK(plain.n_drafted == 0 && drafted.n_accepted <= drafted.n_drafted);
        *some = *some || drafted.n_accepted > 0;
        *all = *all && drafted.n_accepted == drafted.n_drafted;
        hone_result_release(&plain);
        hone_result_release(&drafted);
        hone_session_close(r.draft);
    }
}

static void look_up_changes_nothing(void) {
    bool some = false, all = true;
    check_draft(ask(0), HONE_DRAFT_NGRAM, NULL, &some, &all);
    CHECK(some && !all);
}

/* The same weights with noise, and more rows of padding than the model has. */
static void a_model_that_errs_changes_nothing(void) {
    bool some = false, all = true;
    hone_model *drafter = made_model(&(model_recipe){.type = DTYPE_F32, .noise = 0.3f});
    check_draft(ask(0), HONE_DRAFT_MODEL, drafter, &some, &all);
    CHECK(some && !all);
    hone_model_close(drafter);
    drafter = made_model(&(model_recipe){.type = DTYPE_Q8_0, .n_layers = 1});
    check_draft(ask(0), HONE_DRAFT_MODEL, drafter, &some, &all);
    hone_model_close(drafter);
}

/* Where an answer ends inside a run of accepted tokens, it ends at the same place. */
static void ends_are_the_same(void) {
    hone_request r = ask(0.7f);
    hone_result whole = run(&r, false);
    for (int i = 0; i < 6; i++) {
        char stop[4] = {0};
        const char *stops[] = {stop};
        memcpy(stop, whole.text + 3 * i, 3);
        if (!utf8_is_valid(stop, 3) || strlen(stop) < 3) continue;
        r.stop = stops;
        r.n_stop = 1;
        r.draft_kind = HONE_DRAFT_NONE;
        hone_result plain = run(&r, false);
        r.draft_kind = HONE_DRAFT_MODEL;
        r.draft = open_session(model, false);
        hone_result drafted = run(&r, false);
        CHECK(same_answer(&plain, &drafted));
        hone_session_close(r.draft);
        hone_result_release(&plain);
        hone_result_release(&drafted);
    }
    hone_result_release(&whole);
    r = ask(0);
    r.draft_kind = HONE_DRAFT_MODEL;
    r.max_tokens = 0; /* to the end of the context, which the draft reaches first */
    r.draft = open_session(model, true);
    hone_result full = run(&r, true);
    CHECK(full.finish == HONE_FINISH_LENGTH && full.n_prompt_tokens + full.n_tokens == 257);
    hone_result_release(&full);
    hone_session_close(r.draft);
}

static void penalties_and_logprobs_see_accepted_tokens_only(void) {
    hone_request r = ask(0.7f);
    r.sampling.repetition_penalty = 1.5f;
    r.sampling.repeat_last_n = -1;
    r.sampling.frequency_penalty = 1;
    bool some = false, all = true;
    check_draft(r, HONE_DRAFT_MODEL, model, &some, &all);
    CHECK(some && !all); /* the draft knows of no penalty */
}

static void the_draft_keeps_its_session(void) {
    hone_request r = ask(0);
    hone_session *s = open_session(model, false);
    hone_result result = {0};
    r.draft_kind = HONE_DRAFT_MODEL;
    r.draft = open_session(model, false);
    for (int i = 0; i < 2; i++) {
        CHECK_OK(hone_generate(s, &r, &result));
        hone_result_release(&result);
    }
    hone_session_cancel(r.draft); /* someone cancels only the draft: no error, no endless loop */
    CHECK_OK(hone_generate(s, &r, &result));
    CHECK(result.finish == HONE_FINISH_CANCELLED);
    hone_result_release(&result);
    hone_session_close(r.draft);
    r.draft = s;
    CHECK(hone_generate(s, &r, &result) == HONE_ERR_ARGUMENT);
    hone_session_close(s);
}

static void other_vocabularies_are_refused(void) {
    if (!test_shared()) SKIP("no reference data");
    char path[512];
    snprintf(path, sizeof path, "%s/models/stories260K.gguf", test_shared());
    hone_model *other = NULL;
    hone_result result = {0};
    CHECK_OK(hone_model_open(&other, path, NULL));
    hone_request r = ask(0);
    hone_session *s = open_session(model, false);
    r.draft_kind = HONE_DRAFT_MODEL;
    r.draft = open_session(other, false);
    CHECK(hone_generate(s, &r, &result) == HONE_ERR_ARGUMENT);
    CHECK(strstr(hone_error_message(), "vocabular") && strstr(hone_error_message(), "stories260K"));
    hone_session_close(r.draft);
    hone_session_close(s);
    hone_model_close(other);
}

int main(void) {
    RUN(open_model);
    RUN(look_up_changes_nothing);
    RUN(a_model_that_errs_changes_nothing);
    RUN(ends_are_the_same);
    RUN(penalties_and_logprobs_see_accepted_tokens_only);
    RUN(the_draft_keeps_its_session);
    RUN(other_vocabularies_are_refused);
    hone_model_close(model);
    return test_summary();
}
