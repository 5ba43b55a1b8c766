/* Each way in which a number misleads, provoked by observations. */
#include "lab/validity.h"

#include "base/fs.h"
#include "files.h"
#include "lab/bench.h"
#include "lab/energy.h"
#include "lab/load.h"
#include "test.h"

static machine_state at(double ms) { return (machine_state){.clock_ms = ms}; }

static validity judge(const machine_state *before, const machine_state *after) {
    validity v = {.n = 0};
    validity_judge_machine(&v, before, after, 2, 2);
    return v;
}

static void a_quiet_machine_is_not_doubted(void) {
    machine_state before = at(0), after = at(1000);
    after.others_cpu_ms = 100;
    after.stolen_ms = 10;
    after.n_major_faults = 5;
    CHECK(judge(&before, &after).n == 0);
}

static void swapping_and_major_faults(void) {
    machine_state before = at(0), after = at(1000);
    after.swapped_bytes = 4096;
    validity v = judge(&before, &after);
    CHECK(v.n == 1 && validity_has(&v, VALIDITY_SWAPPING));
    after.swapped_bytes = 0;
    after.n_major_faults = 100;
    v = judge(&before, &after);
    CHECK(v.n == 1 && validity_has(&v, VALIDITY_SWAPPING));
    CHECK(strstr(v.reasons[0].words, "100 page faults"));
}

static void stolen_time_quotas_and_other_programs(void) {
    machine_state before = at(0), after = at(1000);
    after.stolen_ms = 200; /* of two cores' second: a tenth */
    validity v = judge(&before, &after);
    CHECK(v.n == 1 && validity_has(&v, VALIDITY_THROTTLED) && strstr(v.reasons[0].words, "10 %"));
    after.stolen_ms = 0;
    after.n_throttled = 3;
    v = judge(&before, &after);
    CHECK(v.n == 1 && validity_has(&v, VALIDITY_THROTTLED));
    after.n_throttled = 0;
    after.others_cpu_ms = 500;
    v = judge(&before, &after);
    CHECK(v.n == 1 && validity_has(&v, VALIDITY_DISTURBED) && strstr(v.reasons[0].words, "0.5 of 2"));
    v.n = 0;
    validity_judge_machine(&v, &before, &before, 4, 2);
    CHECK(v.n == 0); /* no time, no judgement */
    after = at(10);
    validity_judge_machine(&v, &before, &after, 4, 2);
    CHECK(v.n == 1 && strstr(v.reasons[0].words, "4 threads share 2"));
}

static void another_clock_after_the_run(void) {
    validity v = {.n = 0};
    validity_judge_limits(&v, 100, 95);
    validity_judge_limits(&v, 0, 50);
    CHECK(v.n == 0);
    validity_judge_limits(&v, 100, 80);
    CHECK(v.n == 1 && validity_has(&v, VALIDITY_THROTTLED) && strstr(v.reasons[0].words, "20 % slower"));
    v.n = 0;
    validity_judge_limits(&v, 80, 100); /* it was throttled before, or while */
    CHECK(v.n == 1 && strstr(v.reasons[0].words, "faster"));
}

static void faster_than_the_machine_can_be(void) {
    validity v = {.n = 0};
    validity_judge_share(&v, "decode", 1.04, "memory");
    CHECK(v.n == 0);
    validity_judge_share(&v, "decode", 2, "memory");
    CHECK(v.n == 1 && validity_has(&v, VALIDITY_IMPOSSIBLE) && strstr(v.reasons[0].words, "50 %"));
}

static void too_few_repetitions_and_too_wide_a_spread(void) {
    validity v = {.n = 0};
    validity_judge_repetitions(&v, 3);
    validity_judge_spread(&v, "decode", 0.1);
    CHECK(v.n == 0);
    validity_judge_repetitions(&v, 2);
    validity_judge_spread(&v, "decode", 0.25);
    CHECK(v.n == 2 && validity_has(&v, VALIDITY_FEW_REPETITIONS) && validity_has(&v, VALIDITY_SPREAD));
}

static void a_prefix_in_the_cache_and_an_answer_that_ends_early(void) {
    validity v = {.n = 0};
    validity_judge_reuse(&v, 4, 4);
    validity_judge_length(&v, 16, 16);
    CHECK(v.n == 0);
    validity_judge_reuse(&v, 100, 4);
    validity_judge_length(&v, 7, 16);
    CHECK(v.n == 2 && validity_has(&v, VALIDITY_CACHE_HIT) && validity_has(&v, VALIDITY_EARLY_END));
}

static void reasons_have_an_end_and_are_said_once(void) {
    validity v = {.n = 0};
    for (int i = 0; i < 100; i++) validity_doubt(&v, VALIDITY_SPREAD, "again");
    CHECK(v.n == 1);
    for (int i = 0; i < 100; i++) validity_doubt(&v, VALIDITY_SPREAD, "%d", i);
    CHECK(v.n == VALIDITY_MAX_REASONS);
    for (int code = 0; code < VALIDITY_N_CODES; code++) {
        CHECK(validity_code_name((validity_code)code) && *validity_code_name((validity_code)code));
    }
}

/* --- energy, from a machine that is made of files --- */

static void write_below(const test_folder *root, const char *path, const char *text) {
    fs_path whole, parent;
    CHECK_OK(fs_path_format(&whole, "%s%s", root->path, path));
    CHECK_OK(fs_path_format(&parent, "%.*s", (int)(strrchr(whole.text, '/') - whole.text), whole.text));
    CHECK_OK(fs_make_folders(parent.text));
    CHECK_OK(fs_write_file(whole.text, text, strlen(text)));
}

static void energy_is_read_where_it_is_told(void) {
    test_folder root = test_folder_make();
    energy_look before, after;
    energy_look_at(&before, root.path);
    CHECK(before.source == ENERGY_NONE && energy_between(&before, &before) == 0);
    CHECK(strstr(energy_source_words(&before, root.path), "neither"));
    write_below(&root, "/sys/class/power_supply/BAT0/type", "Battery\n");
    write_below(&root, "/sys/class/power_supply/BAT0/status", "Discharging\n");
    write_below(&root, "/sys/class/power_supply/BAT0/energy_now", "50000000\n");
    energy_look_at(&before, root.path);
    write_below(&root, "/sys/class/power_supply/BAT0/energy_now", "49990000\n");
    energy_look_at(&after, root.path);
    CHECK(after.source == ENERGY_BATTERY);
    CHECK_NEAR(energy_between(&before, &after), 36, 1e-6);
    write_below(&root, "/sys/class/powercap/intel-rapl:0/name", "package-0\n");
    write_below(&root, "/sys/class/powercap/intel-rapl:0/energy_uj", "9000000\n");
    write_below(&root, "/sys/class/powercap/intel-rapl:0/max_energy_range_uj", "10000000\n");
    write_below(&root, "/sys/class/powercap/intel-rapl:0:0/name", "core\n");
    write_below(&root, "/sys/class/powercap/intel-rapl:0:0/energy_uj", "5000000\n");
    energy_look_at(&before, root.path);
    CHECK(before.source == ENERGY_RAPL && before.n_zones == 1);
    write_below(&root, "/sys/class/powercap/intel-rapl:0/energy_uj", "1500000\n"); /* it wrapped */
    energy_look_at(&after, root.path);
    CHECK_NEAR(energy_between(&before, &after), 2.5, 1e-9);
    fs_remove_tree(root.path);
}

/* --- percentiles --- */

static void times_are_those_of_requests_that_were_done(void) {
    load l;
    load_init(&l);
    const load_settings settings = {.ttft_limit_ms = 60, .n_decode = 11};
    load_request requests[100];
    for (int i = 0; i < 100; i++) {
        requests[i] = (load_request){.due_ms = 10 * i, .sent_ms = 10 * i, .first_ms = 10 * i + i + 1,
                                     .end_ms = 10 * i + i + 101, .tokens = 11, .n_chunks = 11,
                                     .n_words = 11, .has_usage = true, .prompt_tokens = 20,
                                     .n_prompt_words = 20};
    }
    requests[99].outcome = LOAD_BROKEN; /* the slowest one */
    l.requests = requests;
    l.n_requests = 100;
    l.calibration = (load_calibration){.tokens_per_word = 1};
    load_summarise(&l, &settings);
    CHECK(l.n_done == 99 && l.n_failed[LOAD_BROKEN] == 1);
    CHECK(l.ttft.p50 == 50 && l.ttft.p90 == 90 && l.ttft.p99 == 99 && l.ttft.median.max == 99);
    CHECK_NEAR(l.tpot.mean, 10, 1e-9);
    CHECK_NEAR(l.e2e.p50, 150, 1e-9);
    CHECK_NEAR(l.seconds, (990 + 200) / 1000.0, 1e-9);
    CHECK_NEAR(l.good_share.value, 0.6, 1e-12);
    CHECK_NEAR(l.goodput_per_s, 60 / l.seconds, 1e-9);
    CHECK_MSG(l.validity.n == 0, "%s", l.validity.reasons[0].words);
}

static void arrivals_are_exponential(void) {
    double sum = 0;
    size_t n_long = 0;
    enum { N = 20000 };
    for (size_t i = 0; i < N; i++) {
        double gap = load_gap_ms(10, 42, i);
        sum += gap;
        n_long += gap > 100;
    }
    CHECK_NEAR(sum / N, 100, 3);
    CHECK_NEAR((double)n_long / N, exp(-1), 0.015);
    CHECK(load_gap_ms(10, 42, 5) == load_gap_ms(10, 42, 5) && load_gap_ms(10, 42, 5) != load_gap_ms(10, 43, 5));
}

static void prompts_differ_from_their_first_word_on(void) {
    buf a, b, c;
    buf_init(&a, 1000), buf_init(&b, 1000), buf_init(&c, 1000);
    CHECK_OK(load_prompt(&a, 10, 77, 1, 0));
    CHECK_OK(load_prompt(&b, 10, 77, 1, 1));
    CHECK_OK(load_prompt(&c, 10, 78, 1, 0)); /* the same run again */
    size_t first = strcspn(a.data, " ");
    CHECK(strncmp(a.data, b.data, first) && strncmp(a.data, c.data, first));
    buf_release(&a), buf_release(&b), buf_release(&c);
}

int main(void) {
    RUN(a_quiet_machine_is_not_doubted);
    RUN(swapping_and_major_faults);
    RUN(stolen_time_quotas_and_other_programs);
    RUN(another_clock_after_the_run);
    RUN(faster_than_the_machine_can_be);
    RUN(too_few_repetitions_and_too_wide_a_spread);
    RUN(a_prefix_in_the_cache_and_an_answer_that_ends_early);
    RUN(reasons_have_an_end_and_are_said_once);
    RUN(energy_is_read_where_it_is_told);
    RUN(times_are_those_of_requests_that_were_done);
    RUN(arrivals_are_exponential);
    RUN(prompts_differ_from_their_first_word_on);
    return test_summary();
}
