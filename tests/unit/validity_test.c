/* Each way in which a number misleads, provoked by observations. */
#include "lab/validity.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cpu.h"
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
    CHECK(v.n == 1 && validity_has(&v, VALIDITY_DISTURBED) &&
          strstr(v.reasons[0].words, "0.5 of 2"));
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
    CHECK(v.n == 1 && validity_has(&v, VALIDITY_THROTTLED) &&
          strstr(v.reasons[0].words, "20 % slower"));
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
    CHECK(v.n == 2 && validity_has(&v, VALIDITY_FEW_REPETITIONS) &&
          validity_has(&v, VALIDITY_SPREAD));
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

/* --- the same, provoked on this machine --- */

enum { MOST_LOOPS = 256, WATCHED_US = 400000 };

/* A loop for each processor; whoever else works only adds to what is seen. */
typedef struct busy_loops {
    pid_t ids[MOST_LOOPS];
    int n;
} busy_loops;

static void start_loops(busy_loops *l) {
    l->n = cpu_choose_threads().n_online;
    if (l->n > MOST_LOOPS) l->n = MOST_LOOPS;
    for (int i = 0; i < l->n; i++) {
        l->ids[i] = fork();
        if (l->ids[i] == 0)
            for (;;) {}
    }
}

static void end_loops(busy_loops *l) {
    for (int i = 0; i < l->n; i++) {
        CHECK(l->ids[i] > 0 && kill(l->ids[i], SIGKILL) == 0);
        waitpid(l->ids[i], NULL, 0);
    }
}

static void busy_loops_are_other_programs(void) {
    busy_loops loops;
    machine_state before, after;
    machine_look(&before);
    if (before.others_cpu_ms <= 0) SKIP("this system does not tell what its processors do");
    start_loops(&loops);
    machine_look(&before);
    usleep(WATCHED_US);
    machine_look(&after);
    end_loops(&loops);
    validity v = {.n = 0};
    validity_judge_machine(&v, &before, &after, 1, loops.n);
    CHECK(validity_has(&v, VALIDITY_DISTURBED));
}

static void limits_of_a_busy_machine_are_doubted(void) {
    busy_loops loops;
    bench b;
    bench_init(&b);
    start_loops(&loops);
    CHECK_OK(bench_look_at_limits(&b, 1, NULL));
    end_loops(&loops);
    CHECK(validity_has(&b.validity, VALIDITY_DISTURBED));
    CHECK(b.validity.n && strstr(b.validity.reasons[0].words, "limits were measured"));
    bench_release(&b);
}

static void weights_that_come_from_disk_are_major_faults(void) {
    enum { BYTES = 8 << 20, PAGE = 4096 };
    test_folder folder = test_folder_make();
    fs_path path;
    unsigned char *resident = calloc(BYTES / PAGE, 1);
    char *bytes = malloc(BYTES);
    machine_state before, after;
    CHECK_OK(fs_path_format(&path, "%s/weights", folder.path));
    memset(bytes, 7, BYTES);
    CHECK_OK(fs_write_file(path.text, bytes, BYTES));
    int fd = open(path.text, O_RDONLY);
    CHECK(fsync(fd) == 0 && posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED) == 0);
    const volatile char *map = mmap(NULL, BYTES, PROT_READ, MAP_SHARED, fd, 0);
    CHECK(map != MAP_FAILED && madvise((void *)map, BYTES, MADV_RANDOM) == 0);
    size_t n_gone = 0;
    CHECK(mincore((void *)map, BYTES, resident) == 0);
    for (size_t i = 0; i < BYTES / PAGE; i++) n_gone += !(resident[i] & 1);
    machine_look(&before);
    int sum = 0;
    for (size_t i = 0; i < BYTES; i += PAGE) sum += map[i];
    machine_look(&after);
    CHECK(sum == 7 * (BYTES / PAGE));
    munmap((void *)map, BYTES);
    close(fd);
    free(bytes);
    free(resident);
    fs_remove_tree(folder.path);
    if (n_gone < BYTES / PAGE / 2 || after.n_major_faults == before.n_major_faults)
        SKIP("the file system keeps the file in memory");
    after.clock_ms += 1; /* a fast disk */
    validity v = judge(&before, &after);
    CHECK_MSG(validity_has(&v, VALIDITY_SWAPPING), "%llu faults",
              (unsigned long long)(after.n_major_faults - before.n_major_faults));
}

/* Pages are sent to the swap space, where there is one. */
static void a_swapped_program_is_seen(void) {
    enum { BYTES = 32 << 20 };
    machine_state before, after;
    char *bytes = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(bytes != MAP_FAILED);
    for (size_t i = 0; i < BYTES; i++) bytes[i] = (char)(i * 31 % 251);
    machine_look(&before);
#ifdef MADV_PAGEOUT
    madvise(bytes, BYTES, MADV_PAGEOUT);
#endif
    machine_look(&after);
    munmap(bytes, BYTES);
    if (after.swapped_bytes == before.swapped_bytes) SKIP("this machine has no swap space to use");
    after.clock_ms += 1;
    validity v = judge(&before, &after);
    CHECK(validity_has(&v, VALIDITY_SWAPPING));
}

static bool write_text(const char *folder, const char *name, const char *text) {
    char path[300];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *out = fopen(path, "w");
    bool done = out && fputs(text, out) >= 0;
    return out && fclose(out) == 0 && done;
}

/* Works in a control group that may use a tenth of a processor: 0 = its quota was seen. */
static int work_under_a_quota(const char *group) {
    char id[32];
    machine_state before, after;
    snprintf(id, sizeof id, "%d", (int)getpid());
    if (!write_text(group, "cgroup.procs", id)) return 2;
    machine_look(&before);
    do machine_look(&after);
    while (after.clock_ms < before.clock_ms + 500);
    validity v = judge(&before, &after);
    return validity_has(&v, VALIDITY_THROTTLED) ? 0 : 1;
}

static void a_quota_that_stops_the_program_is_seen(void) {
    static const char *const hierarchies[] = {"/sys/fs/cgroup/cpu", "/sys/fs/cgroup"};
    char group[128];
    int made = -1, status = 0;
    for (size_t i = 0; i < 2 && made < 0; i++) {
        snprintf(group, sizeof group, "%s/hone-test-%d", hierarchies[i], (int)getpid());
        if (mkdir(group, 0755) == 0) made = (int)i;
        if (made >= 0 && !write_text(group, "cpu.max", "10000 100000") &&
            !write_text(group, "cpu.cfs_quota_us", "10000")) {
            rmdir(group);
            made = -1;
        }
    }
    if (made < 0) SKIP("no control group can be made here");
    pid_t child = fork();
    if (child == 0) _exit(work_under_a_quota(group));
    waitpid(child, &status, 0);
    for (int i = 0; i < 50 && rmdir(group) != 0; i++) usleep(20000);
    if (WEXITSTATUS(status) == 2) SKIP("no process can be moved to a control group here");
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void the_clock_is_the_same_a_moment_later(void) {
    double rate = machine_clock_rate();
    CHECK(rate > 1e7 && rate < 1e11);
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
    CHECK(load_gap_ms(10, 42, 5) == load_gap_ms(10, 42, 5) &&
          load_gap_ms(10, 42, 5) != load_gap_ms(10, 43, 5));
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
    RUN(busy_loops_are_other_programs);
    RUN(limits_of_a_busy_machine_are_doubted);
    RUN(weights_that_come_from_disk_are_major_faults);
    RUN(a_swapped_program_is_seen);
    RUN(a_quota_that_stops_the_program_is_seen);
    RUN(the_clock_is_the_same_a_moment_later);
    RUN(energy_is_read_where_it_is_told);
    RUN(times_are_those_of_requests_that_were_done);
    RUN(arrivals_are_exponential);
    RUN(prompts_differ_from_their_first_word_on);
    return test_summary();
}
