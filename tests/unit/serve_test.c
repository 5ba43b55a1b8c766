/* What decides in the server, without a network: keys, limits, the pace of prompts, the scheduler. */
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/system.h"
#include "files.h"
#include "model_files.h"
#include "serve/guard.h"
#include "serve/limits.h"
#include "serve/pace.h"
#include "serve/scheduler.h"
#include "test.h"

/* --- keys --- */

static hone_status parse(const char *text, key_entry **entries, size_t *n) {
    return keys_parse(text, strlen(text), "keys", entries, n);
}

static void a_keys_file_has_names_and_limits(void) {
    key_entry *e = NULL;
    size_t n = 0;
    CHECK_OK(parse("# ours\n\n k-1 alice priority=high requests=7 tokens=900 # hers\r\nk-2\n"
                   "sha256:ef797c8118f02dfb649607dd5d3f8c7623048c9c063d532cc95c5ed7a898a64f bob",
                   &e, &n));
    CHECK(n == 3);
    if (n != 3) return;
    sha256_hex hash;
    CHECK_OK(sha256_of_text(&hash, "k-1"));
    CHECK(!strcmp(hash.text, e[0].hash.text));
    CHECK(!strcmp(e[0].owner.name, "alice") && e[0].owner.priority == PRIORITY_HIGH);
    CHECK(e[0].owner.allowance.requests == 7 && e[0].owner.allowance.tokens == 900);
    CHECK(!strcmp(e[1].owner.name, "key-4") && e[1].owner.priority == PRIORITY_NORMAL);
    CHECK_OK(sha256_of_text(&hash, "12345678"));
    CHECK(!strcmp(hash.text, e[2].hash.text) && !strcmp(e[2].owner.name, "bob"));
    mem_free(e);
}

static void a_wrong_line_is_told_by_its_number_only(void) {
    static const char *const wrong[] = {
        "sha256:12 bob", "k a=b", "k priority=top", "k requests=0", "k requests=-1", "k tokens=9x",
        "k tokens=99999999999999999999", "k na\"me",
        "k a-name-that-is-much-too-long-for-a-name-a-name-that-is-much-too-long"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        key_entry *e = NULL;
        size_t n;
        CHECK_MSG(parse(wrong[i], &e, &n) == HONE_ERR_FORMAT, "%s", wrong[i]);
        CHECK(strstr(hone_error_message(), "line 1"));
        CHECK(!strstr(hone_error_message(), wrong[i] + 2));
    }
}

static void keys_are_found_by_whole_match_only(void) {
    keys *k;
    key_owner owner;
    if (!CHECK_OK(keys_open(&k, &(keys_options){.single = "right"}))) return;
    CHECK(keys_are_needed(k) && keys_count(k) == 1);
    CHECK(keys_find(k, "right", &owner) && !strcmp(owner.name, "key"));
    CHECK(!keys_find(k, "righ", &owner) && !keys_find(k, "right ", &owner) &&
          !keys_find(k, "", &owner));
    keys_close(k);
    if (!CHECK_OK(keys_open(&k, &(keys_options){.path = NULL}))) return;
    CHECK(!keys_are_needed(k) && !keys_find(k, "", &owner));
    keys_close(k);
}

/* --- limits --- */

static void a_bucket_fills_evenly_and_never_beyond_a_minute(void) {
    limits *l;
    const allowance may = {.requests = 6};
    if (!CHECK_OK(limits_open(&l))) return;
    for (int i = 0; i < 6; i++) CHECK(limits_take(l, "a", may, 1000) == 0);
    CHECK(limits_take(l, "a", may, 1000) == 10);
    CHECK(limits_take(l, "b", may, 1000) == 0); /* another's is full */
    CHECK(limits_take(l, "a", may, 6000) == 5);
    CHECK(limits_take(l, "a", may, 11001) == 0);
    for (int i = 0; i < 6; i++) CHECK(limits_take(l, "a", may, 1e9) == 0);
    CHECK(limits_take(l, "a", may, 1e9) > 0);
    CHECK(limits_take(l, "c", (allowance){0}, 0) == 0);
    limits_close(l);
}

static void tokens_are_owed_when_they_are_known(void) {
    limits *l;
    const allowance may = {.tokens = 60};
    if (!CHECK_OK(limits_open(&l))) return;
    CHECK(limits_take(l, "a", may, 0) == 0);
    CHECK(limits_take(l, "a", may, 0) == 0); /* nothing is known yet */
    limits_charge(l, "a", 100, 0);
    CHECK(limits_take(l, "a", may, 0) == 41); /* 40 owed, and one to begin with */
    CHECK(limits_take(l, "a", may, 42000) == 0);
    limits_charge(l, "nobody", 100, 0);
    limits_close(l);
}

static void however_many_clients_come_memory_is_bounded(void) {
    limits *l;
    char name[32];
    const allowance may = {.requests = 1};
    if (!CHECK_OK(limits_open(&l))) return;
    for (int i = 0; i < 5000; i++) {
        snprintf(name, sizeof name, "10.0.%d.%d", i / 250, i % 250);
        CHECK(limits_take(l, name, may, i) == 0);
    }
    CHECK(limits_take(l, name, may, 5000) > 0); /* the newest are remembered */
    limits_close(l);
}

/* --- pace --- */

/* A machine on which a decoding step takes `decode` and a token of a prompt `token` milliseconds. */
static double longest_step(double decode, double token, int stall_ms) {
    pace p;
    double longest = 0;
    pace_init(&p, stall_ms);
    for (int i = 0; i < 200; i++) {
        bool decoding = i % 50 >= 5;
        size_t n = i % 3 ? pace_prompt_tokens(&p, decoding) : 0;
        double ms = (decoding ? decode : 0) + (double)n * token;
        if (!decoding && n == 0) continue;
        pace_note(&p, n, decoding, ms);
        if (decoding && i > 50 && ms > longest) longest = ms;
    }
    return longest;
}

static void no_step_is_longer_than_stated_once_the_machine_is_known(void) {
    CHECK(longest_step(4, 0.5, 250) <= 250);
    CHECK(longest_step(60, 3, 250) <= 250);
    CHECK(longest_step(150, 5, 250) <= 250);
    CHECK(longest_step(4, 0.5, 250) > 150); /* and the room is used */
    CHECK(longest_step(400, 2, 250) <= 400 + 2 * PACE_LEAST); /* prompts get on all the same */
}

/* --- the scheduler --- */

static hone_model *model; /* of random weights */
static hone_model *deep;  /* another, with much more cache for each token */

enum { DEEP_SLOTS = 5 }; /* that many slots: of the deep one */

typedef struct world {
    scheduler *s;
    int32_t prompt[600];
} world;

static bool world_open(world *w, scheduler_options options) {
    for (size_t i = 0; i < sizeof w->prompt / sizeof *w->prompt; i++)
        w->prompt[i] = (int32_t)(i * 7 % 50);
    options.stall_ms = 250;
    if (!options.cache_bytes) options.cache_bytes = 64 << 20;
    return CHECK_OK(scheduler_open(&w->s, options.n_slots == DEEP_SLOTS ? deep : model, &options));
}

#define WORLD(w, ...) \
    world w;          \
    if (!world_open(&w, (scheduler_options){__VA_ARGS__})) return

static hone_request request_of(const world *w, size_t n_prompt, size_t n_tokens) {
    return (hone_request){.prompt_ids = w->prompt, .n_prompt_ids = n_prompt,
                          .max_tokens = n_tokens, .ignore_eos = true,
                          .sampling = hone_sampling_greedy()};
}

/* The ticket's end, its pieces thrown away. */
static ticket_event wait_end(ticket *t) {
    for (;;) {
        size_t which = 0;
        ticket_event e = ticket_wait_any(&t, 1, 10000, &which);
        if (e.kind != TICKET_PIECE) return e;
    }
}

typedef struct order {
    ticket *tickets[8];
    size_t n, ended[8], n_ended;
} order;

/* Notes the order in which tickets end; they share an eldest. */
static void wait_all(order *o) {
    ticket *open[8];
    memcpy(open, o->tickets, sizeof open);
    while (o->n_ended < o->n) {
        size_t which = 0;
        ticket_event e = ticket_wait_any(open, o->n, 10000, &which);
        CHECK(e.kind != TICKET_NOTHING);
        if (e.kind == TICKET_NOTHING) return;
        if (e.kind == TICKET_PIECE) continue;
        o->ended[o->n_ended++] = which;
        open[which] = NULL;
    }
}

static void submit(world *w, order *o, const hone_request *r, const char *client) {
    CHECK_OK(scheduler_submit(w->s, r, client, o->n ? o->tickets[0] : NULL, &o->tickets[o->n]));
    o->n++;
}

static void close_all(order *o) {
    while (o->n > 0) ticket_close(o->tickets[--o->n]);
}

static void a_client_with_much_under_way_waits_for_one_with_little(void) {
    WORLD(w, .n_slots = 2, .max_queue = 100);
    order o = {.n = 0};
    hone_request r = request_of(&w, 20, 150);
    for (int i = 0; i < 4; i++) submit(&w, &o, &r, "many");
    submit(&w, &o, &r, "one");
    wait_all(&o);
    size_t place = 0;
    while (place < o.n_ended && o.ended[place] != 4) place++;
    CHECK_MSG(place <= 2, "the lonely one ended as number %zu", place);
    close_all(&o);
    scheduler_close(w.s);
}

static int priority_by_name(void *user, const char *client) {
    (void)user;
    return !strcmp(client, "high") - !strcmp(client, "low");
}

static void the_higher_priority_goes_first(void) {
    WORLD(w, .n_slots = 1, .max_queue = 100, .policy = {.priority = priority_by_name});
    order o = {.n = 0};
    hone_request r = request_of(&w, 20, 200);
    static const char *const clients[] = {"first", "low", "normal", "high"};
    for (int i = 0; i < 4; i++) submit(&w, &o, &r, clients[i]);
    wait_all(&o);
    /* The first may run already when the others come; of these the order is known. */
    size_t place[4] = {0};
    for (size_t i = 0; i < o.n_ended; i++) place[o.ended[i]] = i;
    CHECK(place[3] < place[2] && place[2] < place[1]);
    close_all(&o);
    scheduler_close(w.s);
}

static void a_full_queue_turns_away_whoever_waits_most(void) {
    WORLD(w, .n_slots = 1, .max_queue = 4);
    order o = {.n = 0};
    ticket *running, *late = NULL;
    hone_request long_one = request_of(&w, 20, 400), r = request_of(&w, 20, 2);
    CHECK_OK(scheduler_submit(w.s, &long_one, "runs", NULL, &running));
    while (scheduler_look(w.s).n_steps == 0) nanosleep(&(struct timespec){0, 1000000}, NULL);
    for (int i = 0; i < 4; i++) submit(&w, &o, &r, "greedy");
    CHECK(scheduler_submit(w.s, &r, "greedy", NULL, &late) == HONE_ERR_BUSY);
    CHECK_OK(scheduler_submit(w.s, &r, "modest", NULL, &late));
    ticket_event e = wait_end(o.tickets[3]); /* the newest of them */
    CHECK(e.kind == TICKET_FAILED && e.status == HONE_ERR_BUSY);
    CHECK(late && wait_end(late).kind == TICKET_DONE);
    ticket_close(late);
    ticket_close(running);
    close_all(&o);
    scheduler_close(w.s);
}

static void waiting_and_answers_have_time_limits(void) {
    WORLD(w, .n_slots = 1, .max_queue = 9, .wait_ms = 30, .time_ms = 100);
    ticket *endless, *waits;
    hone_request long_one = request_of(&w, 20, 0), r = request_of(&w, 20, 2);
    long_one.max_tokens = 100000;
    CHECK_OK(scheduler_submit(w.s, &long_one, "a", NULL, &endless));
    while (scheduler_look(w.s).n_steps == 0) nanosleep(&(struct timespec){0, 1000000}, NULL);
    CHECK_OK(scheduler_submit(w.s, &r, "b", NULL, &waits));
    ticket_event e = wait_end(waits);
    CHECK(e.kind == TICKET_FAILED ? e.status == HONE_ERR_BUSY : e.kind == TICKET_DONE);
    e = wait_end(endless); /* cut, with what there is of it */
    CHECK(e.kind == TICKET_DONE && e.result->finish == HONE_FINISH_LENGTH &&
          e.result->n_tokens > 0);
    ticket_close(waits);
    ticket_close(endless);
    scheduler_close(w.s);
}

static void what_is_kept_stays_within_its_budget(void) {
    WORLD(w, .n_slots = 4, .max_queue = 100, .cache_bytes = 1 << 20);
    for (int i = 0; i < 30; i++) {
        ticket *t;
        w.prompt[0] = i; /* nothing is shared */
        hone_request r = request_of(&w, 200, 4);
        CHECK_OK(scheduler_submit(w.s, &r, "a", NULL, &t));
        CHECK(wait_end(t).kind == TICKET_DONE);
        ticket_close(t);
        scheduler_state state = scheduler_look(w.s);
        CHECK_MSG(state.cache_bytes <= 1 << 20, "%llu bytes",
                  (unsigned long long)state.cache_bytes);
    }
    CHECK(scheduler_look(w.s).n_cached_sessions > 0);
    scheduler_close(w.s);
}

static void pages_that_sessions_share_count_once(void) {
    WORLD(w, .n_slots = 1, .max_queue = 1);
    hone_session *a, *b;
    CHECK_OK(hone_session_open(&a, model, NULL));
    CHECK_OK(hone_prefill(a, w.prompt, 200, NULL, NULL, NULL));
    uint64_t alone = hone_session_kv_share(a);
    CHECK(alone == hone_session_kv_bytes(a));
    CHECK_OK(hone_session_fork(&b, a));
    CHECK(hone_session_kv_share(a) + hone_session_kv_share(b) == alone);
    CHECK(hone_session_kv_bytes(b) == alone);
    hone_session_close(a);
    CHECK(hone_session_kv_share(b) == alone);
    hone_session_close(b);
    scheduler_close(w.s);
}

static void a_shared_beginning_is_computed_once(void) {
    WORLD(w, .n_slots = 8, .max_queue = 100);
    order o = {.n = 0};
    int32_t prompts[6][300];
    hone_request r[6];
    for (int i = 0; i < 6; i++) {
        memcpy(prompts[i], w.prompt, sizeof prompts[i]);
        prompts[i][280] = 51 + i;
        r[i] = request_of(&w, 300, 8);
        r[i].prompt_ids = prompts[i];
        submit(&w, &o, &r[i], "a");
    }
    wait_all(&o);
    scheduler_state state = scheduler_look(w.s);
    CHECK_MSG(state.n_cached_tokens >= 5 * 200, "%llu", (unsigned long long)state.n_cached_tokens);
    close_all(&o);
    scheduler_close(w.s);
}

static void count_charge(void *user, const char *client, size_t n_tokens) {
    if (!strcmp(client, "payer")) *(size_t *)user += n_tokens;
}

static void clients_are_charged_for_prompts_and_answers(void) {
    size_t charged = 0;
    WORLD(w, .n_slots = 2, .max_queue = 9, .policy = {.charge = count_charge, .user = &charged});
    ticket *t;
    hone_request r = request_of(&w, 50, 7);
    CHECK_OK(scheduler_submit(w.s, &r, "payer", NULL, &t));
    CHECK(wait_end(t).kind == TICKET_DONE);
    ticket_close(t);
    scheduler_close(w.s);
    CHECK(charged == 57);
}

static void a_stop_ends_everything_and_loses_nothing_that_was_said(void) {
    WORLD(w, .n_slots = 1, .max_queue = 9);
    ticket *runs, *waits;
    hone_request long_one = request_of(&w, 20, 100000), r = request_of(&w, 20, 2);
    CHECK_OK(scheduler_submit(w.s, &long_one, "a", NULL, &runs));
    while (scheduler_look(w.s).n_steps < 3) nanosleep(&(struct timespec){0, 1000000}, NULL);
    CHECK_OK(scheduler_submit(w.s, &r, "a", NULL, &waits));
    scheduler_stop(w.s);
    ticket_event e = wait_end(runs);
    CHECK(e.kind == TICKET_DONE && e.result->finish == HONE_FINISH_LENGTH && e.result->n_bytes > 0);
    e = wait_end(waits);
    CHECK(e.kind == TICKET_FAILED && e.status == HONE_ERR_BUSY);
    ticket *none;
    CHECK(scheduler_submit(w.s, &r, "a", NULL, &none) == HONE_ERR_BUSY);
    ticket_close(runs);
    ticket_close(waits);
    scheduler_close(w.s);
}

static bool open_model(hone_model **out, size_t width, size_t n_layers) {
    test_folder folder = test_folder_make();
    const char *path = test_path(folder.path, "model.gguf");
    const model_recipe recipe = {
        .type = DTYPE_Q8_0, .width = width, .n_layers = n_layers, .n_context = 4096};
    bool opened =
        CHECK_OK(model_write_gguf(&recipe, path)) &&
        CHECK_OK(hone_model_open(out, path, &(hone_model_options){.n_threads = 1}));
    test_folder_remove(&folder); /* it stays mapped */
    return opened;
}

/* Bytes that RLIMIT_DATA counts; 0 = unknown. */
static size_t data_bytes(void) {
    unsigned long pages = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    if (!f || fscanf(f, "%*u %*u %*u %*u %*u %lu", &pages) != 1) pages = 0;
    if (f) fclose(f);
    return pages * (size_t)sysconf(_SC_PAGESIZE);
}

static void the_answer_that_wants_most_ends_when_memory_is_short(void) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    SKIP("sanitizers want more memory than that");
#endif
    struct rlimit old, limit;
    if (data_bytes() == 0) SKIP("/proc/self/statm is not there");
    WORLD(w, .n_slots = DEEP_SLOTS, .max_queue = 9);
    ticket *modest, *greedy;
    int32_t *prompt = mem_calloc(3500, sizeof *prompt);
    hone_request small = request_of(&w, 20, 1000), large = request_of(&w, 20, 4);
    for (int i = 0; prompt && i < 3500; i++) prompt[i] = i * 11 % 50;
    large.prompt_ids = prompt;
    large.n_prompt_ids = 3500;
    CHECK_OK(scheduler_submit(w.s, &small, "a", NULL, &modest));
    while (scheduler_look(w.s).n_steps < 3) nanosleep(&(struct timespec){0, 1000000}, NULL);
    getrlimit(RLIMIT_DATA, &old);
    limit = (struct rlimit){data_bytes() + (4 << 20), old.rlim_max};
    CHECK(setrlimit(RLIMIT_DATA, &limit) == 0);
    CHECK_OK(scheduler_submit(w.s, &large, "b", NULL, &greedy));
    ticket_event e = wait_end(greedy);
    CHECK_MSG(e.kind == TICKET_FAILED && e.status == HONE_ERR_MEMORY, "kind %d, status %d",
              (int)e.kind, (int)e.status);
    setrlimit(RLIMIT_DATA, &old);
    e = wait_end(modest);
    CHECK(e.kind == TICKET_DONE && e.result->n_tokens == 1000);
    ticket_close(modest);
    ticket_close(greedy);
    scheduler_close(w.s);
    mem_free(prompt);
}

int main(void) {
    if (!open_model(&model, 64, 2) || !open_model(&deep, 256, 8)) return 1;
    RUN(a_keys_file_has_names_and_limits);
    RUN(a_wrong_line_is_told_by_its_number_only);
    RUN(keys_are_found_by_whole_match_only);
    RUN(a_bucket_fills_evenly_and_never_beyond_a_minute);
    RUN(tokens_are_owed_when_they_are_known);
    RUN(however_many_clients_come_memory_is_bounded);
    RUN(no_step_is_longer_than_stated_once_the_machine_is_known);
    RUN(a_client_with_much_under_way_waits_for_one_with_little);
    RUN(the_higher_priority_goes_first);
    RUN(a_full_queue_turns_away_whoever_waits_most);
    RUN(waiting_and_answers_have_time_limits);
    RUN(what_is_kept_stays_within_its_budget);
    RUN(pages_that_sessions_share_count_once);
    RUN(a_shared_beginning_is_computed_once);
    RUN(clients_are_charged_for_prompts_and_answers);
    RUN(a_stop_ends_everything_and_loses_nothing_that_was_said);
    RUN(the_answer_that_wants_most_ends_when_memory_is_short);
    hone_model_close(model);
    hone_model_close(deep);
    return test_summary();
}
