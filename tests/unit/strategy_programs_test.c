/* The programs that take several stages: what each stage is shown, and what is chosen. */
#include "strategy_script.h"
#include "test.h"

static hone_status likes_three(void *user, const char *text, double *score, char **fault) {
    (void)user;
    *score = strstr(text, "3") != NULL;
    *fault = *score > 0 ? NULL : mem_copy_string("no three in it", 14);
    return HONE_OK;
}

/* "Runs" code: prints its last word. */
static hone_status last_word(void *user, const char *language, const char *code, char **output) {
    (void)user, (void)language;
    const char *word = strrchr(code, ' ');
    word = word ? word + 1 : code;
    *output = mem_copy_string(word, strlen(word));
    return HONE_OK;
}

/* --- aggregation --- */

static void the_synthesis_sees_every_draft(void) {
    script s = {.texts = {"one 1", "two 2", "three 3", "best 9"}};
    hone_strategy_result r = play(&s, "moa3");
    CHECK(!strcmp(r.text, "best 9") && r.n_draws == 4 && s.n_at_once == 3);
    CHECK(strstr(s.asked[3], "How many?") && strstr(s.asked[3], "one 1") &&
          strstr(s.asked[3], "two 2") && strstr(s.asked[3], "three 3"));
    hone_strategy_result_release(&r);
    script cut = {.texts = {"1", "2", "1", "9"}, .cut = {false, false, false, true}};
    r = play(&cut, "moa3"); /* a synthesis that was cut does not win */
    CHECK(!strcmp(r.text, "1"));
    hone_strategy_result_release(&r);
}

static void every_round_combines_three_of_the_last(void) {
    script s = {
        .texts = {"a 1", "b 2", "c 3", "d 4", "e 5", "f 5", "g 6", "h 6", "7", "7", "8", "7"}};
    hone_strategy_result r = play(&s, "rsa4");
    CHECK(r.n_draws == 12 && !strcmp(r.text, "7") && s.n_calls == 3);
    for (int k = 4; k < 8; k++) {
        int n = 0;
        for (const char *p = s.asked[k]; (p = strstr(p, "[Answer")); p++) n++;
        CHECK(n == 3);
    }
    CHECK(strstr(s.asked[8], "e 5") || strstr(s.asked[8], "f 5") || strstr(s.asked[8], "g 6"));
    CHECK(!strstr(s.asked[8], "a 1"));
    hone_strategy_result_release(&r);
}

static void the_verifier_rates_helpful_and_sneaky_alike(void) {
    script s = {.texts = {"1", "2", "3", "4"}};
    hone_strategy_result r = play(&s, "pvg2");
    CHECK(!strcmp(r.draws[0].stage, "helpful") && !strcmp(r.draws[2].stage, "sneaky"));
    CHECK(!strcmp(r.draws[4].stage, "rating") && r.n_draws == 8);
    CHECK(strstr(s.asked[2], "mistake") && !strstr(s.asked[0], "mistake"));
    hone_strategy_result_release(&r);
}

/* --- plans and lessons --- */

static void plans_come_from_subsets_of_observations(void) {
    script s = {.texts = {"1. first thing\n2. second thing", "- third thing", "4", "5", "5", "5"}};
    hone_strategy_result r = play(&s, "plansearch4");
    CHECK(!strcmp(r.text, "5") && r.n_draws == 6);
    CHECK(strstr(s.asked[1], "first thing")); /* the second level sees the first */
    CHECK(!strstr(s.asked[2], "first thing")); /* the empty subset */
    CHECK(strstr(s.asked[3], "- first thing") && !strstr(s.asked[3], "second thing"));
    CHECK(strstr(s.asked[5], "- third thing"));
    hone_strategy_result_release(&r);
    hone_strategy_options o = {.check = likes_three};
    script t = {.texts = {"one note", "two note", "4", "4", "3", "4"}};
    r = play_with(&t, "plansearch4", &o, HONE_OK);
    CHECK(!strcmp(r.text, "3"));
    hone_strategy_result_release(&r);
}

static void lessons_need_examples(void) {
    script s = {.texts = {"1"}};
    hone_strategy_result r = play_with(&s, "leap", NULL, HONE_ERR_UNSUPPORTED);
    hone_strategy_result_release(&r);

    const hone_part parts[] = {{HONE_PART_TEXT, "2+2?", 4}, {HONE_PART_TEXT, "It is 4.", 8},
                               {HONE_PART_TEXT, "3+3?", 4}};
    const hone_message messages[] = {{"user", &parts[0], 1}, {"assistant", &parts[1], 1},
                                     {"user", &parts[2], 1}};
    script t = {.texts = {"It is 5", "Add with care.", "It is 6"}};
    draw_service service = {&t, 1, script_run, script_model, script_token_text};
    hone_request request = {.messages = messages, .n_messages = 3};
    hone_strategy *strategy = NULL;
    CHECK_OK(hone_strategy_parse(&strategy, "leap"));
    CHECK_OK(strategy_run_on(strategy, &service, &request, NULL, &r));
    CHECK(!strcmp(r.text, "It is 6") && r.n_draws == 3);
    CHECK(!strcmp(t.asked[0], "2+2?"));
    CHECK(strstr(t.asked[1], "It is 5") && strstr(t.asked[1], "It is 4."));
    hone_strategy_close(strategy);
    hone_strategy_result_release(&r);
}

/* --- probabilities --- */

static void draws_below_the_bar_are_ended(void) {
    char sure[1024] = "", unsure[1024] = "? ";
    for (int i = 0; i < 80; i++) strcat(sure, "word "), strcat(unsure, "word ");
    strcat(sure, "4");
    strcat(unsure, "5");
    script s = {.texts = {sure, sure, sure, "? 5", unsure, unsure, sure, unsure},
                .top_logprob = log(0.99), .unsure_logprob = log(0.6)};
    hone_strategy_result r = play(&s, "deepconf8");
    double confidence = -(log(0.99) + log(0.01)) / 2;
    CHECK_NEAR(r.draws[0].confidence, confidence, 1e-6);
    CHECK(!strcmp(r.text, sure));
    CHECK(r.draws[4].end == HONE_DRAW_KILLED && r.draws[6].end == HONE_DRAW_STOP);
    CHECK_MSG(r.draws[4].n_tokens < r.draws[6].n_tokens, "%zu", r.draws[4].n_tokens);
    hone_strategy_result_release(&r);
}

/* The look shows two first tokens; of their answers the one with the wider margin wins. */
static void the_margin_of_the_answer_decides(void) {
    script s = {.texts = {"x", "? so it is 5", "well it is 4"}, .top_logprob = log(0.9),
                .unsure_logprob = log(0.6)};
    hone_strategy_result r = play(&s, "cot-decode8");
    CHECK(r.n_draws == 3 && !strcmp(r.draws[0].stage, "look"));
    CHECK(!strcmp(r.text, "well it is 4"));
    CHECK_NEAR(r.draws[1].score, 0.2, 1e-6);
    CHECK_NEAR(r.draws[2].score, 0.8, 1e-6);
    hone_strategy_result_release(&r);
}

/* --- code --- */

static void failing_code_is_repaired_once(void) {
    hone_strategy_options o = {.check = likes_three};
    script s = {.texts = {"1", "2", "is 3 now"}};
    hone_strategy_result r = play_with(&s, "code-bon2", &o, HONE_OK);
    CHECK(!strcmp(r.text, "is 3 now") && r.n_draws == 3 && !strcmp(r.draws[2].stage, "repair"));
    CHECK(strstr(s.asked[2], "no three in it"));
    hone_strategy_result_release(&r);
    script t = {.texts = {"1", "3"}};
    r = play_with(&t, "code-bon2", &o, HONE_OK);
    CHECK(!strcmp(r.text, "3") && r.n_draws == 2); /* nothing to repair */
    hone_strategy_result_release(&r);
    r = play_with(&t, "code-bon2", NULL, HONE_ERR_UNSUPPORTED);
    hone_strategy_result_release(&r);
}

static void a_failed_check_is_told_and_asked_again(void) {
    hone_strategy_options o = {.check = likes_three};
    script s = {.texts = {"it is 1", "it is 2", "is 3 now", "is 3 again"}};
    hone_strategy_result r = play_with(&s, "retry5", &o, HONE_OK);
    CHECK(!strcmp(r.text, "is 3 now") && r.n_draws == 3 && r.chosen == 2);
    CHECK(!strcmp(r.draws[0].stage, "answer") && !strcmp(r.draws[2].stage, "retry"));
    CHECK(strstr(s.asked[1], "no three in it") && r.draws[1].score < 1 && r.draws[2].score == 1);
    hone_strategy_result_release(&r);
    script never = {.texts = {"1", "2", "4", "5"}};
    r = play_with(&never, "retry3", &o, HONE_OK);
    CHECK(r.n_draws == 3 && r.chosen == 0 && !strcmp(r.text, "1")); /* of equals the first */
    hone_strategy_result_release(&r);
    script cut = {.texts = {"is 3 but", "is 3"}, .cut = {true}};
    r = play_with(&cut, "retry", &o, HONE_OK);
    CHECK(r.n_draws == 2 && r.chosen == 1);
    hone_strategy_result_release(&r);
    r = play_with(&cut, "retry", NULL, HONE_ERR_UNSUPPORTED);
    hone_strategy_result_release(&r);
}

static void what_programs_print_is_voted_on(void) {
    hone_strategy_options o = {.run_code = last_word};
    script s = {.texts = {"prints 1", "also prints 2", "prints 2"}};
    hone_strategy_result r = play_with(&s, "code-bon3", &o, HONE_OK);
    CHECK(!strcmp(r.text, "also prints 2") && r.votes[0].n == 2);
    hone_strategy_result_release(&r);
}

/* "Runs" code: what says "loop" runs out of time. */
static hone_status times_out(void *user, const char *language, const char *code, char **output) {
    if (strstr(code, "loop")) return fail(HONE_ERR_IO, "ran out of time");
    return last_word(user, language, code, output);
}

static hone_status check_times_out(void *user, const char *text, double *score, char **fault) {
    *score = 0;
    *fault = mem_copy_string("ran out of time", 15);
    return strstr(text, "loop") ? HONE_OK
                                : (mem_free(*fault), likes_three(user, text, score, fault));
}

/* A program that does not end has no part in the vote, and its fault is told for the repair. */
static void code_that_runs_out_of_time_never_wins(void) {
    hone_strategy_options o = {.run_code = times_out};
    script s = {.texts = {"loop 7", "loop 7", "prints 2"}};
    hone_strategy_result r = play_with(&s, "code-bon3", &o, HONE_OK);
    CHECK(!strcmp(r.text, "prints 2") && r.n_votes == 1 && r.votes[0].n == 1);
    CHECK(!r.draws[0].answer && r.draws[0].fault && !strcmp(r.draws[0].fault, "ran out of time"));
    hone_strategy_result_release(&r);
    hone_strategy_options checked = {.check = check_times_out};
    script t = {.texts = {"loop a", "loop b", "mended 3"}};
    r = play_with(&t, "code-bon2", &checked, HONE_OK);
    CHECK(!strcmp(r.text, "mended 3") && strstr(t.asked[2], "ran out of time"));
    hone_strategy_result_release(&r);
}

/* Hears the word behind the fence, and prints it with the code. */
static hone_status echo(void *user, const char *language, const char *code, char **output) {
    (void)user;
    char said[64];
    snprintf(said, sizeof said, "%s|%s", language, code);
    *output = mem_copy_string(said, strlen(said));
    return HONE_OK;
}

static void code_is_run_in_the_language_of_its_fence(void) {
    hone_strategy_options o = {.run_code = echo};
    script s = {.texts = {"<think>\n```c\nno\n```\n</think>So:\n```rust {x}\nfn\n```\nor\n```py\nx\n"}};
    hone_strategy_result r = play_with(&s, "code-bon1", &o, HONE_OK);
    CHECK_MSG(!strcmp(r.draws[0].answer, "py|x"), "%s", r.draws[0].answer);
    hone_strategy_result_release(&r);
    script t = {.texts = {"print(1)"}};
    r = play_with(&t, "code-bon1", &o, HONE_OK);
    CHECK(!strcmp(r.draws[0].answer, "|print(1)"));
    hone_strategy_result_release(&r);
}

static hone_status is_cancelled(void *user, const char *language, const char *code, char **output) {
    (void)user, (void)language, (void)code, (void)output;
    return fail(HONE_ERR_CANCELLED, "interrupted");
}

/* Who cancels while code runs gets what there is. */
static void running_code_ends_with_the_run(void) {
    hone_strategy_options o = {.run_code = is_cancelled};
    script s = {.texts = {"prints 1", "prints 2"}};
    hone_strategy_result r = play_with(&s, "code-bon2", &o, HONE_OK);
    CHECK(r.finish == HONE_FINISH_CANCELLED && !strcmp(r.text, "prints 1"));
    hone_strategy_result_release(&r);
}

static void code_that_cannot_be_run_is_refused_with_the_reason(void) {
    hone_strategy_options o = {.no_code = "no sandbox here"};
    static const char *const expressions[] = {"code-bon2", "rto"};
    for (int i = 0; i < 2; i++) {
        script s = {.texts = {"prints 1", "prints 2"}};
        hone_strategy_result r = play_with(&s, expressions[i], &o, HONE_ERR_UNSUPPORTED);
        CHECK(strstr(hone_error_message(), "no sandbox here") && s.n_calls == 0);
        hone_strategy_result_release(&r);
    }
}

static void the_round_trip_keeps_what_behaves_alike(void) {
    hone_strategy_options o = {.run_code = last_word};
    script s = {.texts = {"code 7", "it prints seven", "other code 7"}};
    hone_strategy_result r = play_with(&s, "rto", &o, HONE_OK);
    CHECK(!strcmp(r.text, "code 7") && r.n_draws == 3);
    CHECK(strstr(s.asked[2], "it prints seven") && !strstr(s.asked[2], "How many?"));
    hone_strategy_result_release(&r);
    script t = {.texts = {"code 7", "it prints eight", "code 8", "third code 8"}};
    r = play_with(&t, "rto", &o, HONE_OK);
    CHECK(!strcmp(r.text, "code 8") && r.n_draws == 4);
    hone_strategy_result_release(&r);
}

/* --- one answer, shaped --- */

/* Stretches and probes by turns; what the probes say is no part of the answer. */
static void thoughts_end_once_three_probes_agree(void) {
    script s = {.texts = {"<think> is it 5", "5} surely", " or 4 or 5", "4}", " or so", "4} ?", " hm hm",
                          "4.0} .", " </think> It is 4", "never asked"},
                .cut = {true, true, true, true, true, true, true, true}};
    hone_strategy_result r = play(&s, "think-cap16");
    CHECK_MSG(!strcmp(r.text, "<think> is it 5 or 4 or 5 or so hm hm </think> It is 4"), "%s", r.text);
    CHECK_MSG(r.n_draws == 9 && r.chosen == 8, "%zu draws", r.n_draws);
    CHECK(!strcmp(r.stop_reason, "the probes agree") && r.finish == HONE_FINISH_STOP);
    CHECK(!strcmp(r.draws[0].stage, "thoughts") && !strcmp(r.draws[1].stage, "probe"));
    CHECK(!strcmp(r.draws[1].answer, "5") && !strcmp(r.draws[7].answer, "4"));
    CHECK(!strcmp(r.draws[8].stage, "answer") && !strcmp(r.draws[8].answer, "4") && s.closes[8]);
    CHECK(s.limits[0] == 128 && s.limits[1] == 24 && s.temperatures[1] == 0);
    /* a probe leaves nothing behind */
    CHECK(s.begun[0] == 0 && s.begun[1] == r.draws[0].n_tokens && s.begun[2] == s.begun[1]);
    CHECK(s.begun[8] == s.begun[7] && s.begun[8] > s.begun[2]);
    hone_strategy_result_release(&r);
}

/* One that says nothing, or was cut within the bracket, is no vote for an end. */
static void probes_that_cannot_be_read_do_not_agree(void) {
    script s = {.texts = {"<think> a", "4} x", " b", "4} x", " c", "4 and", " d", "4} x", " e </think> It",
                          " is 4"},
                .cut = {true, true, true, true, true, true, true, true}};
    hone_strategy_result r = play(&s, "think-cap16");
    CHECK(r.n_draws == 10 && !r.draws[5].answer && !strcmp(r.stop_reason, "all draws done"));
    CHECK(!strcmp(r.draws[8].stage, "thoughts") && r.draws[8].end == HONE_DRAW_STOP);
    CHECK_MSG(!strcmp(r.text, "<think> a b c d e </think>  is 4"), "%s", r.text);
    hone_strategy_result_release(&r);
}

/* The cap counts tokens of thoughts; without any the answer simply goes on, unprobed. */
static void thoughts_end_at_the_cap_and_others_are_left_alone(void) {
    char most[121] = "<think>"; /* the script counts two characters as a token */
    memset(most + 7, '.', 113);
    script s = {.texts = {most, "1}", "........", "</think> 3"}, .cut = {true, true, true}};
    hone_strategy_result r = play(&s, "think-cap1");
    CHECK(r.n_draws == 4 && s.limits[0] == 64 && s.limits[2] == 4 && s.closes[3] && !s.closes[2]);
    CHECK(s.begun[3] == 64 && !strcmp(r.draws[3].answer, "3"));
    hone_strategy_result_release(&r);
    script plain = {.texts = {"It is", " 4"}, .cut = {true}};
    r = play(&plain, "think-cap16");
    CHECK(r.n_draws == 2 && !strcmp(r.text, "It is 4") && !strcmp(r.draws[0].stage, "answer"));
    hone_strategy_result_release(&r);
    script brief = {.texts = {"It is 4", "more"}};
    r = play(&brief, "think-cap16");
    CHECK(r.n_draws == 1 && !strcmp(r.text, "It is 4") && r.finish == HONE_FINISH_STOP);
    hone_strategy_result_release(&r);
}

/* A program or a text is not asked for before its time, and a budget returns what was said. */
static void probes_are_for_short_answers_and_within_the_budget(void) {
    hone_strategy_options o = {.form = HONE_ANSWER_CODE};
    script s = {.texts = {"<think> a", " b </think>", "print(1)"}, .cut = {true, true}};
    hone_strategy_result r = play_with(&s, "think-cap16", &o, HONE_OK);
    CHECK(r.n_draws == 3 && !strcmp(r.text, "<think> a b </think>print(1)"));
    hone_strategy_result_release(&r);
    hone_strategy_options three = {.max_draws = 3};
    script t = {.texts = {"<think> a", "1}", " b", "2}"}, .cut = {true, true, true, true}};
    r = play_with(&t, "think-cap16", &three, HONE_OK);
    CHECK_MSG(r.n_draws == 3 && !strcmp(r.text, "<think> a b"), "%s", r.text);
    CHECK(r.finish == HONE_FINISH_LENGTH && !strcmp(r.stop_reason, "budget of draws"));
    hone_strategy_result_release(&r);
}

static void the_output_tag_is_the_answer(void) {
    script s = {
        .texts = {"<thinking>6</thinking><reflection>5?</reflection><output>It is 4</output>"}};
    hone_strategy_result r = play(&s, "cot_reflection");
    CHECK(!strcmp(r.text, "It is 4"));
    hone_strategy_result_release(&r);
}

/* --- the tree --- */

static void the_tree_prefers_what_the_discriminator_completes_alike(void) {
    /* roll-out 1: finish, step, sub-question, rephrase; then three finishes; then two judgements */
    script s = {.texts = {"The answer is 4", "a step", "a question", "a rephrasing",
                          "The answer is 4", "The answer is 5", "The answer is 5", "no idea 9",
                          "The answer is 5"}};
    hone_strategy_result r = play(&s, "rstar1");
    CHECK_MSG(r.n_draws == 9, "%zu draws", r.n_draws);
    CHECK(strstr(s.asked[4], "a step") && strstr(s.asked[4], "The answer is"));
    CHECK(!strcmp(r.draws[7].stage, "discriminate"));
    CHECK_MSG(!strcmp(r.draws[r.chosen].answer, "5"), "%s", r.draws[r.chosen].answer);
    CHECK(r.n_votes == 2);
    hone_strategy_result_release(&r);
}

/* --- all of them --- */

/* A budget that ends in any stage gives an answer or says that there is none, and leaks nothing. */
static void every_program_keeps_every_budget(void) {
    const hone_strategy_info *info;
    for (size_t i = 0; (info = hone_strategy_describe(i)); i++) {
        if (info->kind != HONE_STRATEGY_PROGRAM || !strcmp(info->name, "leap")) continue;
        for (size_t most = 1; most < 14; most++) {
            script s = {.texts = {"a b 1", "c d 2", "e f 3", "g h 1", "i j 1", "k l 2", "m n 3", "o p 1",
                                  "q 1", "r 2", "s 1", "t 2", "u 3", "v 1", "w 1"},
                        .top_logprob = -0.1, .unsure_logprob = -0.2, .n_models = 2};
            hone_strategy_options o = {
                .max_draws = most, .check = likes_three, .run_code = last_word};
            hone_strategy_result r = play_with(&s, info->name, &o, HONE_OK);
            CHECK_MSG(r.n_draws <= most && r.text, "%s: %zu of %zu draws", info->name, r.n_draws,
                      most);
            hone_strategy_result_release(&r);
        }
    }
}

static void every_program_survives_failed_allocations(void) {
    const hone_strategy_info *info;
    for (size_t i = 0; (info = hone_strategy_describe(i)); i++) {
        if (info->kind != HONE_STRATEGY_PROGRAM) continue;
        for (long n = 1; n < 400; n += 1 + n / 20) {
            bool thinks = !strcmp(info->name, "think-cap");
            script s = {.texts = {thinks ? "<think> a" : "a 1", thinks ? "4}" : "b 2", "c 3", "d 1"},
                        .cut = {thinks, thinks, thinks}};
            draw_service service = {&s, 1, script_run, script_model, script_token_text};
            hone_request request = {.messages = &question, .n_messages = 1};
            hone_strategy_options o = {.max_draws = 12, .run_code = last_word};
            hone_strategy *strategy = NULL;
            hone_strategy_result r = {0};
            mem_fail_from(n);
            hone_status status = hone_strategy_parse(&strategy, info->name);
            if (status == HONE_OK) status = strategy_run_on(strategy, &service, &request, &o, &r);
            mem_fail_from(0);
            CHECK_MSG(status == HONE_OK || status == HONE_ERR_MEMORY ||
                          status == HONE_ERR_UNSUPPORTED,
                      "%s, %ld: %s", info->name, n, hone_error_message());
            hone_strategy_result_release(&r);
            hone_strategy_close(strategy);
        }
    }
}

int main(void) {
    RUN(the_synthesis_sees_every_draft);
    RUN(every_round_combines_three_of_the_last);
    RUN(the_verifier_rates_helpful_and_sneaky_alike);
    RUN(plans_come_from_subsets_of_observations);
    RUN(lessons_need_examples);
    RUN(draws_below_the_bar_are_ended);
    RUN(the_margin_of_the_answer_decides);
    RUN(failing_code_is_repaired_once);
    RUN(a_failed_check_is_told_and_asked_again);
    RUN(what_programs_print_is_voted_on);
    RUN(code_is_run_in_the_language_of_its_fence);
    RUN(running_code_ends_with_the_run);
    RUN(code_that_cannot_be_run_is_refused_with_the_reason);
    RUN(code_that_runs_out_of_time_never_wins);
    RUN(the_round_trip_keeps_what_behaves_alike);
    RUN(thoughts_end_once_three_probes_agree);
    RUN(probes_that_cannot_be_read_do_not_agree);
    RUN(thoughts_end_at_the_cap_and_others_are_left_alone);
    RUN(probes_are_for_short_answers_and_within_the_budget);
    RUN(the_output_tag_is_the_answer);
    RUN(the_tree_prefers_what_the_discriminator_completes_alike);
    RUN(every_program_keeps_every_budget);
    RUN(every_program_survives_failed_allocations);
    return test_summary();
}
