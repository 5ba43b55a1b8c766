/* Strategies over several models, and few-shot prompts, played by a script. */
#include "strategy_script.h"
#include "test.h"

static hone_strategy_result play_budget(script *s, const char *expression, size_t max_draws) {
    const hone_strategy_options o = {.max_draws = max_draws};
    return play_with(s, expression, &o, HONE_OK);
}

/* --- the expression --- */

static void models_and_bars_have_a_canonical_form(void) {
    static const char *const good[][2] = {
        {"ensemble with a:1+b:2", "ensemble6 with a:1 + b:2"},
        {"cot & cascade4@.5 with qwen2.5:1.5b", "cot & cascade4@0.5 with qwen2.5:1.5b"},
        {"verify", "verify3@0.5"},
        {"sample2 & ptrue | none | vote with dir/b.gguf",
         "sample2 & ptrue | none | vote with dir/b.gguf"},
        {"few-shot5 & nearest2 & sc8", "shots5 & nearest2 & sc8"},
        {"chain with a + b + c", "chain with a + b + c"}};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        hone_strategy *s;
        CHECK_OK(hone_strategy_parse(&s, good[i][0]));
        CHECK_MSG(!strcmp(hone_strategy_text(s), good[i][1]), "%s", hone_strategy_text(s));
        hone_strategy *again;
        CHECK_OK(hone_strategy_parse(&again, hone_strategy_text(s)));
        CHECK(!strcmp(hone_strategy_text(s), hone_strategy_text(again)));
        hone_strategy_close(again);
        hone_strategy_close(s);
    }
    hone_strategy *s;
    CHECK_OK(hone_strategy_parse(&s, "chain with a + b:7"));
    CHECK(!strcmp(hone_strategy_model(s, 0), "a") && !strcmp(hone_strategy_model(s, 1), "b:7"));
    CHECK(!hone_strategy_model(s, 2));
    hone_strategy_close(s);
}

static void what_makes_no_sense_is_refused(void) {
    static const char *const bad[][2] = {
        {"ensemble with", "missing"},       {"ensemble with a +", "missing"},
        {"ensemble with a b", "expected"},  {"cascade@0 with a", "bar"},
        {"cascade@1.5 with a", "bar"},      {"cascade@x with a", "bar"},
        {"sc8@0.5", "no bar"},              {"chain3", "no number"},
        {"with a", "no strategy"},          {"shots0", "1 to 128"},
        {"none with a+b+c+d+e+f+g+h", "more than 7"},
        {"cascade4@0.5.5 with a", "bar"},   {"ensemble withal", "expected"}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        hone_strategy *s = NULL;
        CHECK(hone_strategy_parse(&s, bad[i][0]) == HONE_ERR_ARGUMENT);
        CHECK_MSG(strstr(hone_error_message(), bad[i][1]), "%s: %s", bad[i][0],
                  hone_error_message());
    }
}

static void who_needs_models_says_so(void) {
    static const char *const names[] = {"ensemble", "verify", "cascade", "chain"};
    for (size_t i = 0; i < 4; i++) {
        script s = {.texts = {"1"}};
        hone_strategy_result r = play_with(&s, names[i], NULL, HONE_ERR_UNSUPPORTED);
        CHECK(strstr(hone_error_message(), "with MODEL"));
        hone_strategy_result_release(&r);
    }
    script s = {.texts = {"1"}, .n_models = 2};
    hone_strategy_result r = play_with(&s, "ensemble with a + b", NULL, HONE_ERR_ARGUMENT);
    hone_strategy_result_release(&r);
}

/* --- a vote of all models --- */

static void every_model_draws_its_part(void) {
    script s = {.texts = {"4", "5", "6", "5", "7", "5"}, .n_models = 3};
    hone_strategy_result r = play(&s, "ensemble6");
    CHECK(!strcmp(r.text, "5") && r.n_draws == 6 && s.n_calls == 3);
    for (size_t k = 0; k < 6; k++) CHECK(s.model[k] == k / 2 && r.draws[k].model == k / 2);
    CHECK(r.votes[0].n == 3);
    hone_strategy_result_release(&r);
    script t = {.texts = {"4", "5", "5"}, .n_models = 3};
    r = play(&t, "ensemble2"); /* nobody is left out for want of draws */
    CHECK(r.n_draws == 3 && t.model[2] == 2);
    hone_strategy_result_release(&r);
}

static void a_tie_goes_to_the_first_model(void) {
    script s = {.texts = {"8", "9"}, .n_models = 2};
    hone_strategy_result r = play(&s, "ensemble2");
    CHECK(!strcmp(r.text, "8") && r.votes[0].n == 1);
    hone_strategy_result_release(&r);
}

static void a_vote_that_is_decided_asks_nobody_else(void) {
    script s = {.texts = {"8", "8", "8", "8", "9", "9"}, .n_models = 3};
    hone_strategy_result r = play(&s, "ensemble6");
    CHECK(!strcmp(r.text, "8") && s.n_calls == 2 && !strcmp(r.stop_reason, "decided"));
    CHECK(r.n_draws == 6 && r.draws[4].end == HONE_DRAW_KILLED && r.draws[4].ms == 0);
    hone_strategy_result_release(&r);
}

static void a_model_that_fails_is_left_out(void) {
    script s = {.texts = {"4", "5", "6", "6", "5", "5"}, .n_models = 3, .fails = {false, true}};
    hone_strategy_result r = play(&s, "ensemble6");
    CHECK(!strcmp(r.text, "5") && r.draws[2].end == HONE_DRAW_FAILED);
    CHECK(r.draws[2].fault && strstr(r.draws[2].fault, "gone") && !r.draws[4].fault);
    char *trace;
    CHECK_OK(hone_strategy_trace(&r, &trace));
    CHECK(strstr(trace, "\"error\":\"model 1 is gone\""));
    hone_free(trace);
    hone_strategy_result_release(&r);
    script all = {.texts = {"4"}, .n_models = 2, .fails = {true, true}};
    r = play_with(&all, "ensemble2", NULL, HONE_ERR_IO);
    hone_strategy_result_release(&r);
}

static void empty_and_cut_answers_never_win(void) {
    script s = {.texts = {"", " ", "9", "9", "4"}, .n_models = 2, .cut = {[2] = true, [3] = true}};
    hone_strategy_result r = play(&s, "ensemble5");
    CHECK_MSG(!strcmp(r.text, "4"), "\"%s\"", r.text);
    CHECK(r.n_votes == 1 && r.votes[0].n == 1);
    hone_strategy_result_release(&r);
}

/* --- one checks another --- */

static void the_second_model_judges_the_first(void) {
    script s = {.texts = {"4", NULL, "5", NULL, "6", NULL}, .n_models = 2};
    /* draws 1, 3 and 5 are questions about 0, 2 and 4 */
    s.texts[1] = s.texts[3] = s.texts[5] = "Yes";
    s.p_yes[0] = 0.2, s.p_yes[2] = 0.4, s.p_yes[4] = 0.3;
    hone_strategy_result r = play(&s, "verify3");
    CHECK(!strcmp(r.text, "5") && r.n_draws == 6);
    CHECK(s.model[0] == 0 && s.model[1] == 1 && s.model[5] == 1);
    CHECK_NEAR(r.draws[2].score, 0.4, 1e-6);
    CHECK(s.temperatures[0] == 0 && s.temperatures[2] > 0); /* the first one as the request says */
    hone_strategy_result_release(&r);
    s.p_yes[2] = 0.6;
    r = play(&s, "verify3");
    CHECK(!strcmp(r.text, "5") && r.n_draws == 4 && strstr(r.stop_reason, "believes"));
    hone_strategy_result_release(&r);
    r = play(&s, "verify3@0.7"); /* the bar is heeded */
    CHECK(!strcmp(r.text, "5") && r.n_draws == 6);
    hone_strategy_result_release(&r);
}

static void the_same_answer_is_not_checked_twice(void) {
    script s = {.texts = {"4", "Yes", "4", "5", "Yes"}, .n_models = 2};
    s.p_yes[0] = 0.1, s.p_yes[3] = 0.2;
    hone_strategy_result r = play(&s, "verify3");
    CHECK(r.n_draws == 5 && !strcmp(r.draws[1].stage, "P(True)") &&
          !strcmp(r.draws[2].stage, "answer"));
    CHECK(!strcmp(r.draws[3].stage, "answer") && !strcmp(r.text, "5"));
    hone_strategy_result_release(&r);
}

static void without_its_checker_the_answer_stands(void) {
    script s = {.texts = {"4", "Yes", "5"}, .n_models = 2, .fails = {false, true}};
    hone_strategy_result r = play(&s, "verify3");
    CHECK(!strcmp(r.text, "4") && strstr(r.stop_reason, "failed"));
    hone_strategy_result_release(&r);
    script t = {.texts = {"", "half", "whole"}, .n_models = 2, .cut = {[1] = true}};
    t.p_yes[2] = 0.9;
    r = play(&t, "verify3"); /* nothing is asked about an answer that is empty or cut */
    CHECK(!strcmp(r.text, "whole") && r.n_draws == 4);
    hone_strategy_result_release(&r);
}

static void selectors_ask_the_second_model(void) {
    script s = {.texts = {"4", "5", "Yes", "Yes"}, .p_yes = {0.3, 0.8}, .n_models = 2};
    hone_strategy_result r = play(&s, "sample2 & ptrue");
    CHECK(!strcmp(r.text, "5") && s.model[0] == 0 && s.model[2] == 1 && s.model[3] == 1);
    hone_strategy_result_release(&r);
}

/* --- cascades --- */

static void agreement_ends_a_cascade(void) {
    script s = {.texts = {"4", "4", "5", "4", "9"}, .n_models = 2};
    hone_strategy_result r = play(&s, "cascade4");
    CHECK(!strcmp(r.text, "4") && s.n_calls == 1 && strstr(r.stop_reason, "agree"));
    CHECK_NEAR(r.draws[r.chosen].score, 0.75, 1e-9);
    hone_strategy_result_release(&r);
    script t = {.texts = {"4", "6", "5", "4", "9"}, .n_models = 2};
    r = play(&t, "cascade4"); /* two of four: the second model is asked, once */
    CHECK(!strcmp(r.text, "9") && r.n_draws == 5 && t.model[4] == 1 && r.draws[4].temperature == 0);
    hone_strategy_result_release(&r);
    script low = {.texts = {"4", "6", "5", "4", "9"}, .n_models = 2};
    r = play(&low, "cascade4@0.5");
    CHECK(!strcmp(r.text, "4") && r.n_draws == 4);
    hone_strategy_result_release(&r);
    script three = {.texts = {"4", "6", "5", "6", "9"}, .n_models = 3};
    r = play(&three, "cascade2"); /* the middle one draws, too */
    CHECK(!strcmp(r.text, "9") && three.model[2] == 1 && three.model[3] == 1 &&
          three.model[4] == 2);
    hone_strategy_result_release(&r);
}

static void a_stage_ends_when_its_outcome_is_certain(void) {
    script s = {.texts = {"4", "5", "6", "4 4 4 4 4 4 4 4 4", "9"}, .n_models = 2};
    hone_strategy_result r = play(&s, "cascade4@1");
    CHECK(!strcmp(r.text, "9") && r.draws[3].end == HONE_DRAW_KILLED);
    CHECK_MSG(s.words_computed < 8, "%zu", s.words_computed);
    hone_strategy_result_release(&r);
}

static void a_cascade_survives_its_models(void) {
    script s = {.texts = {"4", "5", "9"}, .n_models = 2, .fails = {false, true}};
    hone_strategy_result r = play(&s, "cascade2");
    CHECK(!strcmp(r.text, "4"));
    hone_strategy_result_release(&r);
    script t = {.texts = {"4", "5", "9"}, .n_models = 2, .fails = {true}};
    r = play(&t, "cascade2");
    CHECK(!strcmp(r.text, "9") && r.draws[0].fault);
    hone_strategy_result_release(&r);
    script cut = {.texts = {"4", "5", "9"}, .n_models = 2, .cut = {[2] = true}};
    r = play(&cut, "cascade2"); /* the last model's answer was cut */
    CHECK(!strcmp(r.text, "4"));
    hone_strategy_result_release(&r);
    script none = {.texts = {"4"}, .n_models = 2, .fails = {true, true}};
    r = play_with(&none, "cascade2", NULL, HONE_ERR_IO);
    hone_strategy_result_release(&r);
}

/* --- chains --- */

static void each_link_sees_the_answer_before(void) {
    script s = {.texts = {"one 1", "two 2", "three 3"}, .n_models = 3};
    hone_strategy_result r = play(&s, "chain");
    CHECK(!strcmp(r.text, "three 3") && r.n_draws == 3);
    CHECK(!strstr(s.asked[0], "Answer 1") && strstr(s.asked[1], "How many?"));
    CHECK(strstr(s.asked[1], "one 1") && strstr(s.asked[2], "two 2") &&
          !strstr(s.asked[2], "one 1"));
    hone_strategy_result_release(&r);
    script gap = {.texts = {"one 1", "", "three 3"}, .n_models = 3, .fails = {false, false, false}};
    r = play(&gap, "chain"); /* an empty answer is handed to nobody */
    CHECK(!strcmp(r.text, "three 3") && strstr(gap.asked[2], "one 1"));
    hone_strategy_result_release(&r);
    script broken = {.texts = {"one 1", "x", "three 3"}, .n_models = 3, .fails = {false, true}};
    r = play(&broken, "chain");
    CHECK(!strcmp(r.text, "three 3") && strstr(broken.asked[2], "one 1"));
    hone_strategy_result_release(&r);
}

/* --- budgets and cancellation --- */

static void a_budget_may_end_between_models(void) {
    static const char *const names[] = {"ensemble4", "cascade2", "chain"};
    for (size_t i = 0; i < 3; i++) {
        script s = {.texts = {"4", "5", "6", "6"}, .n_models = 2};
        hone_strategy_result r = play_budget(&s, names[i], i == 2 ? 1 : 2);
        CHECK_MSG(!strcmp(r.text, "4"), "%s: %s", names[i], r.text);
        CHECK(strstr(r.stop_reason, "budget of draws") && r.finish == HONE_FINISH_STOP);
        for (size_t k = 0; k < r.n_draws; k++) CHECK(r.draws[k].model == 0);
        hone_strategy_result_release(&r);
    }
    script s = {.texts = {"4 4 4", "5 5 5", "6", "6"}, .n_models = 2};
    const hone_strategy_options o = {.max_tokens = 26}; /* two prompts of 10, six words */
    hone_strategy_result r = play_with(&s, "ensemble4", &o, HONE_OK);
    CHECK(strstr(r.stop_reason, "budget of tokens") && r.draws[2].end == HONE_DRAW_KILLED);
    CHECK(s.n_calls == 1);
    hone_strategy_result_release(&r);
    script v = {.texts = {"4", "Yes"}, .n_models = 2};
    r = play_budget(&v, "verify3", 1); /* unchecked, and all there is */
    CHECK(!strcmp(r.text, "4"));
    hone_strategy_result_release(&r);
}

static void cancelling_ends_all_models(void) {
    static const char *const names[] = {"ensemble4", "cascade2", "chain", "verify2"};
    for (size_t i = 0; i < 4; i++) {
        script s = {
            .texts = {"4 4 4 4 4 4", "5 5 5 5 5 5", "6"}, .n_models = 2, .cancel_at_step_3 = true};
        hone_strategy_result r = play(&s, names[i]);
        CHECK(r.finish == HONE_FINISH_CANCELLED && s.n_calls == 1);
        hone_strategy_result_release(&r);
    }
}

/* --- examples --- */

static void the_first_examples_stand_before_the_question(void) {
    static const hone_example examples[] = {
        {"1+1?", "2"}, {"How many?", "leak"}, {"2+2?", "4"}, {"x", "y"}};
    const hone_strategy_options o = {.examples = examples, .n_examples = 4};
    script s = {.texts = {"7"}};
    hone_strategy_result r = play_with(&s, "shots2", &o, HONE_OK);
    CHECK_MSG(!strcmp(s.seen, "user: 1+1?\nassistant: 2\nuser: 2+2?\nassistant: 4\nuser: How many?\n"),
              "%s", s.seen);
    hone_strategy_result_release(&r);
    r = play_with(&s, "re2 & role & shots9", &o, HONE_OK); /* fewer than asked for */
    CHECK(strstr(s.seen, "system: ") == s.seen &&
          strstr(s.seen, "user: x\nassistant: y\nuser: How many?\nRead"));
    hone_strategy_result_release(&r);
    r = play_with(&s, "shots", NULL, HONE_ERR_UNSUPPORTED);
    hone_strategy_result_release(&r);
}

static void the_nearest_examples_are_chosen_by_their_letters(void) {
    static const hone_example examples[] = {{"What colour is it?", "a"}, {"How many apples?", "b"},
                                            {"HOW MANY", "c"}, {"Sing a song", "d"}, {"", "e"}};
    const hone_strategy_options o = {.examples = examples, .n_examples = 5};
    script s = {.texts = {"7"}};
    hone_strategy_result r = play_with(&s, "nearest2", &o, HONE_OK);
    CHECK_MSG(!strcmp(s.seen, "user: How many apples?\nassistant: b\nuser: HOW MANY\nassistant: c\n"
                              "user: How many?\n"), "%s", s.seen);
    hone_strategy_result_release(&r);
    r = play_with(&s, "nearest128", &o, HONE_OK);
    CHECK(strstr(s.seen, "Sing") && strstr(s.seen, "colour"));
    hone_strategy_result_release(&r);
}

/* --- memory --- */

static void every_failed_allocation_is_survived(void) {
    static const char *const names[] = {"nearest2 & ensemble4 with a + b", "verify2@0.9 with a + b",
                                        "shots1 & cascade2 with a + b", "chain with a + b"};
    static const hone_example examples[] = {{"1+1?", "2"}, {"2+2?", "4"}};
    const hone_strategy_options o = {.examples = examples, .n_examples = 2};
    for (size_t i = 0; i < 4; i++)
        for (long n = 1; n < 500; n++) {
            script s = {
                .texts = {"4", "5", "6", "7", "8", "9"}, .n_models = 3, .fails = {false, true}};
            draw_service service = {&s, 3, script_run, script_model, script_token_text};
            hone_request request = {.messages = &question, .n_messages = 1};
            hone_strategy *strategy = NULL;
            hone_strategy_result r = {0};
            mem_fail_from(n);
            hone_status status = hone_strategy_parse(&strategy, names[i]);
            if (status == HONE_OK) status = strategy_run_on(strategy, &service, &request, &o, &r);
            mem_fail_from(0);
            hone_strategy_result_release(&r);
            hone_strategy_close(strategy);
            if (status == HONE_OK) break;
            CHECK_MSG(status == HONE_ERR_MEMORY, "%s, %ld: %s", names[i], n, hone_error_message());
        }
}

int main(void) {
    RUN(models_and_bars_have_a_canonical_form);
    RUN(what_makes_no_sense_is_refused);
    RUN(who_needs_models_says_so);
    RUN(every_model_draws_its_part);
    RUN(a_tie_goes_to_the_first_model);
    RUN(a_vote_that_is_decided_asks_nobody_else);
    RUN(a_model_that_fails_is_left_out);
    RUN(empty_and_cut_answers_never_win);
    RUN(the_second_model_judges_the_first);
    RUN(the_same_answer_is_not_checked_twice);
    RUN(without_its_checker_the_answer_stands);
    RUN(selectors_ask_the_second_model);
    RUN(agreement_ends_a_cascade);
    RUN(a_stage_ends_when_its_outcome_is_certain);
    RUN(a_cascade_survives_its_models);
    RUN(each_link_sees_the_answer_before);
    RUN(a_budget_may_end_between_models);
    RUN(cancelling_ends_all_models);
    RUN(the_first_examples_stand_before_the_question);
    RUN(the_nearest_examples_are_chosen_by_their_letters);
    RUN(every_failed_allocation_is_survived);
    return test_summary();
}
