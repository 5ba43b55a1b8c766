/* What memory there is, and giving it back: the groups' files, the rule, the schedulers. */
#include <time.h>

#include "base/fs.h"
#include "base/system.h"
#include "files.h"
#include "model_files.h"
#include "serve/pressure.h"
#include "test.h"

#define MB ((uint64_t)1 << 20)

/* --- a machine made of files --- */

static test_folder folder;
static fs_path root;

static void put(const char *path, const char *text) {
    fs_path whole, above;
    CHECK_OK(fs_path_format(&whole, "%s/%s", root.text, path));
    above = whole;
    *strrchr(above.text, '/') = '\0';
    CHECK_OK(fs_make_folders(above.text));
    CHECK_OK(fs_write_file(whole.text, text, strlen(text)));
}

/* A new one at each call. */
static void make_machine(void) {
    static int n;
    CHECK_OK(fs_path_format(&root, "%s/machine%d", folder.path, n++));
    put("proc/meminfo", "MemTotal: 9999999 kB\nMemAvailable: 4096000 kB\n");
}

static void the_machine_says_what_is_available(void) {
    make_machine();
    system_memory m = system_look_at_memory(root.text);
    CHECK(m.left == 4096000 * 1024ull || m.left == m.limit);
    CHECK(m.stalled == 0);
}

static void limits_of_all_groups_above_count(void) {
    make_machine();
    put("proc/self/cgroup", "0::/outer/inner\n");
    put("sys/fs/cgroup/outer/memory.max", "300000000\n");
    put("sys/fs/cgroup/outer/memory.current", "250000000\n");
    put("sys/fs/cgroup/outer/memory.stat", "anon 1\ninactive_file 20000000\n");
    put("sys/fs/cgroup/outer/inner/memory.max", "max\n");
    put("sys/fs/cgroup/outer/inner/memory.high", "200000000\n");
    put("sys/fs/cgroup/outer/inner/memory.current", "50000000\n");
    put("sys/fs/cgroup/outer/inner/memory.pressure", "some avg10=12.50 avg60=0 avg300=0 total=1\n");
    system_memory m = system_look_at_memory(root.text);
    CHECK_MSG(m.limit == 200000000, "%llu", (unsigned long long)m.limit);
    CHECK_MSG(m.left == 70000000, "%llu", (unsigned long long)m.left);
    CHECK_NEAR(m.stalled, 12.5, 0);
}

static void old_groups_count_too(void) {
    make_machine();
    put("proc/self/cgroup", "5:cpu:/\n4:hugetlb,memory:/job\n0::/\n");
    put("sys/fs/cgroup/memory/job/memory.limit_in_bytes", "100000000\n");
    put("sys/fs/cgroup/memory/job/memory.usage_in_bytes", "90000000\n");
    put("sys/fs/cgroup/memory/job/memory.stat", "inactive_file 1\ntotal_inactive_file 5000000\n");
    system_memory m = system_look_at_memory(root.text);
    CHECK(m.limit == 100000000 && m.left == 15000000);
}

static void a_group_the_mount_does_not_show_is_its_root(void) {
    make_machine();
    put("proc/self/cgroup", "0::/docker/0123\n");
    put("sys/fs/cgroup/memory.max", "100000000\n");
    put("sys/fs/cgroup/memory.current", "40000000\n");
    CHECK(system_look_at_memory(root.text).left == 60000000);
}

static void groups_out_of_the_tree_are_ignored(void) {
    make_machine();
    put("proc/self/cgroup", "0::/../../etc\nnonsense\n0:\n\n");
    CHECK(system_look_at_memory(root.text).limit > 0);
}

/* --- the rule --- */

static const scheduler_limits configured = {8, 1000 * MB, false};

static pressure_change decide(pressure_policy *p, uint64_t left, uint64_t cached, double now) {
    return pressure_decide(p, &(system_memory){1024 * MB, left, 0},
                           &(pressure_load){.cache_bytes = cached, .obeyed = true}, now);
}

static void caches_go_first_then_slots(void) {
    pressure_policy p = {.configured = configured, .now = configured};
    CHECK(decide(&p, 500 * MB, 200 * MB, 0) == PRESSURE_SAME);
    CHECK(decide(&p, 60 * MB, 200 * MB, 20) == PRESSURE_LOWERED);
    CHECK(p.now.cache_bytes == 0 && p.now.n_slots == 8 && !p.now.urgent);
    for (size_t slots = 4; slots >= 1; slots /= 2) {
        CHECK(decide(&p, 60 * MB, 0, 40) == PRESSURE_LOWERED);
        CHECK(p.now.n_slots == slots && !p.now.urgent);
    }
    CHECK(decide(&p, 60 * MB, 0, 60) == PRESSURE_SAME);
    CHECK(decide(&p, 10 * MB, 0, 80) == PRESSURE_LOWERED && p.now.urgent);
    CHECK(decide(&p, 10 * MB, 0, 99) == PRESSURE_SAME);
}

static void nothing_more_goes_before_the_last_step_is_obeyed(void) {
    pressure_policy p = {.configured = configured, .now = configured};
    system_memory m = {1024 * MB, 60 * MB, 0};
    CHECK(pressure_decide(&p, &m, &(pressure_load){.obeyed = false}, 0) == PRESSURE_SAME);
    CHECK(pressure_decide(&p, &m, &(pressure_load){.obeyed = true}, 0) == PRESSURE_LOWERED);
}

static void stalls_count_and_so_does_what_steps_add(void) {
    pressure_policy p = {.configured = configured, .now = configured};
    CHECK(pressure_decide(&p, &(system_memory){1024 * MB, 500 * MB, 40},
                          &(pressure_load){.obeyed = true}, 0) == PRESSURE_LOWERED);
    p.now = configured;
    CHECK(pressure_decide(&p, &(system_memory){1024 * MB, 150 * MB, 0},
                          &(pressure_load){.growth_bytes = 100 * MB, .obeyed = true}, 0) ==
          PRESSURE_LOWERED);
}

static void what_was_lowered_comes_back_in_calm(void) {
    pressure_policy p = {.configured = configured, .now = {1, 0, true}};
    double now = 0;
    CHECK(decide(&p, 500 * MB, 0, now) == PRESSURE_SAME);
    CHECK(decide(&p, 100 * MB, 0, now += 1900) == PRESSURE_SAME); /* neither short nor ample */
    CHECK(decide(&p, 500 * MB, 0, now += 1900) == PRESSURE_SAME);
    for (size_t slots = 2; slots <= 8; slots *= 2) {
        CHECK(decide(&p, 500 * MB, 0, now += 2000) == PRESSURE_RAISED);
        CHECK(p.now.n_slots == slots && p.now.cache_bytes == 0 && !p.now.urgent);
        CHECK(decide(&p, 500 * MB, 0, now += 10) == PRESSURE_SAME);
    }
    CHECK(decide(&p, 500 * MB, 0, now += 2000) == PRESSURE_RAISED);
    CHECK(p.now.cache_bytes == configured.cache_bytes);
    CHECK(decide(&p, 500 * MB, 0, now += 2000) == PRESSURE_SAME);
}

/* --- schedulers under limits --- */

static models *served;
static served_model borrowed;

static void serve_a_model(void) {
    const char *path = test_path(folder.path, "model.gguf");
    model_recipe recipe = {.architecture = "llama", .n_context = 8192};
    models_options options = {.n_threads = 1,
                              .scheduler = {.n_slots = configured.n_slots, .max_queue = 64,
                                            .stall_ms = 100,
                                            .cache_bytes = configured.cache_bytes}};
    CHECK_OK(model_write_gguf(&recipe, path));
    CHECK_OK(models_open(&served, &options));
    CHECK_OK(models_preload(served, path));
    CHECK_OK(models_borrow(served, NULL, &borrowed));
}

static void serve_no_more(void) {
    models_return(served, &borrowed);
    models_close(served);
}

static void pause_ms(int milliseconds) {
    nanosleep(&(struct timespec){0, milliseconds * 1000000L}, NULL);
}

static ticket_event wait_for(ticket *t) {
    size_t which = 0;
    return ticket_wait_any(&t, 1, 20000, &which);
}

static ticket_event wait_for_end(ticket *t) {
    ticket_event e;
    do e = wait_for(t);
    while (e.kind == TICKET_PIECE);
    return e;
}

static const int32_t prompt[] = {1, 2, 3, 4, 5, 6, 7, 8};

static ticket *ask(size_t max_tokens, int32_t first) {
    static int32_t ids[16][8];
    static hone_request requests[16];
    static size_t next;
    size_t i = next++ % 16;
    memcpy(ids[i], prompt, sizeof prompt);
    ids[i][0] = first;
    requests[i] = (hone_request){.prompt_ids = ids[i], .n_prompt_ids = 8, .max_tokens = max_tokens,
                                 .sampling = hone_sampling_greedy(), .ignore_eos = true};
    ticket *t = NULL;
    CHECK_OK(scheduler_submit(borrowed.scheduler, &requests[i], "client", NULL, &t));
    return t;
}

static scheduler_state wait_until_obeyed(const scheduler_limits *limits) {
    for (int i = 0; i < 1000 && !scheduler_limit(borrowed.scheduler, limits); i++) pause_ms(5);
    CHECK(scheduler_limit(borrowed.scheduler, limits));
    return scheduler_look(borrowed.scheduler);
}

static void an_idle_scheduler_drops_its_prefixes(void) {
    serve_a_model();
    ticket *t = ask(4, 1);
    CHECK(wait_for_end(t).kind == TICKET_DONE);
    ticket_close(t);
    for (int i = 0; i < 400 && !scheduler_look(borrowed.scheduler).n_cached_sessions; i++)
        pause_ms(5);
    CHECK(scheduler_look(borrowed.scheduler).n_cached_sessions == 1);
    CHECK(wait_until_obeyed(&(scheduler_limits){8, 0, false}).n_cached_sessions == 0);
    serve_no_more();
}

static void urgent_limits_cut_all_answers_but_the_oldest(void) {
    enum { MANY = 4000 }; /* none is over before the limits are there, on a busy machine either */
    serve_a_model();
    ticket *t[4];
    for (int i = 0; i < 4; i++) t[i] = ask(MANY, 1 + i);
    for (int i = 0; i < 4; i++) CHECK(wait_for(t[i]).kind == TICKET_PIECE);
    scheduler_state s = wait_until_obeyed(&(scheduler_limits){1, 0, true});
    CHECK_MSG(s.n_cut == 3, "%llu", (unsigned long long)s.n_cut);
    for (int i = 0; i < 4; i++) {
        ticket_event e = wait_for_end(t[i]);
        CHECK(e.kind == TICKET_DONE && e.result->finish == HONE_FINISH_LENGTH);
        CHECK(i ? e.result->n_tokens < MANY : e.result->n_tokens == MANY);
    }
    for (int i = 0; i < 4; i++) ticket_close(t[i]);
    serve_no_more();
}

static void lower_slots_let_answers_end_and_start_none(void) {
    serve_a_model();
    ticket *t[4];
    for (int i = 0; i < 4; i++) t[i] = ask(60, 1 + i);
    scheduler_state s = wait_until_obeyed(&(scheduler_limits){1, 0, false});
    CHECK(s.n_cut == 0);
    for (int i = 0; i < 4; i++) {
        ticket_event e = wait_for_end(t[i]);
        CHECK(e.kind == TICKET_DONE && e.result->n_tokens == 60);
        CHECK(scheduler_look(borrowed.scheduler).n_cached_sessions == 0);
        ticket_close(t[i]);
    }
    serve_no_more();
}

/* --- all of it --- */

static char log_text[4096];

static void keep_line(void *user, const char *line) {
    (void)user;
    strncat(log_text, line, sizeof log_text - strlen(log_text) - 2);
}

static void wait_for_limits(size_t n_slots, uint64_t cache) {
    scheduler_limits now = {0};
    for (int i = 0; i < 400; i++, pause_ms(25)) {
        now = scheduler_look(borrowed.scheduler).limits;
        if (now.n_slots == n_slots && now.cache_bytes == cache) return;
    }
    CHECK_MSG(false, "%zu slots, %llu bytes of prefixes", now.n_slots,
              (unsigned long long)now.cache_bytes);
}

static void a_group_that_fills_lowers_the_limits(void) {
    serve_a_model();
    make_machine();
    put("proc/self/cgroup", "0::/job\n");
    put("sys/fs/cgroup/job/memory.max", "1000000000\n");
    put("sys/fs/cgroup/job/memory.current", "100000000\n");
    pressure *p = NULL;
    CHECK_OK(pressure_open(&p, &(pressure_options){.models = served, .configured = configured,
                                                   .root = root.text, .log = keep_line}));
    ticket *t = ask(4, 1);
    CHECK(wait_for_end(t).kind == TICKET_DONE);
    ticket_close(t);
    wait_for_limits(8, configured.cache_bytes);
    put("sys/fs/cgroup/job/memory.current", "970000000\n");
    wait_for_limits(1, 0);
    CHECK(scheduler_look(borrowed.scheduler).n_cached_sessions == 0);
    CHECK(pressure_look(p).n_lowered >= 3 && pressure_look(p).memory.left == 30000000);
    CHECK(strstr(log_text, "memory is short") != NULL);
    put("sys/fs/cgroup/job/memory.current", "100000000\n");
    wait_for_limits(8, configured.cache_bytes);
    pressure_close(p);
    CHECK(strstr(log_text, "memory is back") != NULL);
    serve_no_more();
}

int main(void) {
    folder = test_folder_make();
    RUN(the_machine_says_what_is_available);
    RUN(limits_of_all_groups_above_count);
    RUN(old_groups_count_too);
    RUN(a_group_the_mount_does_not_show_is_its_root);
    RUN(groups_out_of_the_tree_are_ignored);
    RUN(caches_go_first_then_slots);
    RUN(nothing_more_goes_before_the_last_step_is_obeyed);
    RUN(stalls_count_and_so_does_what_steps_add);
    RUN(what_was_lowered_comes_back_in_calm);
    RUN(an_idle_scheduler_drops_its_prefixes);
    RUN(urgent_limits_cut_all_answers_but_the_oldest);
    RUN(lower_slots_let_answers_end_and_start_none);
    RUN(a_group_that_fills_lowers_the_limits);
    fs_remove_tree(folder.path);
    return test_summary();
}
