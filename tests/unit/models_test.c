/* serve/models.h: loading on demand, one flight for many, eviction, keeping. */
#include "serve/models.h"

#include <math.h>
#include <pthread.h>
#include <unistd.h>

#include "base/system.h"
#include "model_files.h"
#include "store_world.h"

static uint64_t file_bytes; /* of each of the models a, b, c */

/* Models a, b, c and `broken` in a store of their own. */
static bool make_store(void) {
    store *s;
    world_new_home();
    if (!CHECK_OK(store_open(&s, NULL))) return false;
    static const char *const names[] = {"a", "b", "c", "broken"};
    for (size_t i = 0; i < 4; i++) {
        model_recipe r = {.type = DTYPE_Q8_0, .seed = (unsigned)i};
        store_entry entry;
        char path[600];
        snprintf(path, sizeof path, "%s/%s.gguf", world_home, names[i]);
        CHECK_OK(model_write_gguf(&r, path));
        if (!CHECK_OK(store_pull(s, path, &(store_pull_options){.name = names[i]}, &entry, NULL)))
            return false;
        file_bytes = entry.bytes;
        manifest_release(&entry.manifest);
    }
    store_close(s);
    int fd = open(world_path("broken.gguf"), O_WRONLY);
    CHECK(fd >= 0 && pwrite(fd, "XXXXXXXXXXXXXXXXXXXXXXXX", 24, 0) == 24);
    close(fd);
    return true;
}

static models *open_models(models_options options) {
    models *m = NULL;
    options.n_threads = 1;
    options.scheduler = (scheduler_options){.n_slots = 2, .max_queue = 4, .stall_ms = 250,
                                            .cache_bytes = 1 << 20};
    CHECK_OK(models_open(&m, &options));
    return m;
}

static void find_one(void *user, const open_model *one) {
    open_model *wanted = user;
    if (!strcmp(one->served.name, wanted->path)) {
        wanted->bytes = one->bytes;
        wanted->idle_ms_left = one->idle_ms_left;
    }
}

static bool is_open(models *m, const char *name) {
    open_model wanted = {.path = name};
    models_each(m, find_one, &wanted);
    return wanted.bytes > 0;
}

static bool closes_within_a_second(models *m, const char *name) {
    for (int i = 0; i < 100 && is_open(m, name); i++) usleep(10000);
    return !is_open(m, name);
}

static bool use(models *m, const char *name) {
    served_model served;
    if (!CHECK_OK(models_borrow(m, name, &served))) return false;
    models_return(m, &served);
    return true;
}

/* --- */

typedef struct flight {
    models *m;
    const char *name;
    pthread_barrier_t *together;
    hone_status status;
    const hone_model *model;
} flight;

static void *fly(void *user) {
    flight *f = user;
    served_model served;
    pthread_barrier_wait(f->together);
    f->status = models_borrow(f->m, f->name, &served);
    if (f->status != HONE_OK) return NULL;
    f->model = served.model;
    usleep(20000);
    models_return(f->m, &served);
    return NULL;
}

static void fly_together(models *m, flight *flights, size_t n) {
    pthread_t threads[16];
    pthread_barrier_t together;
    pthread_barrier_init(&together, NULL, (unsigned)n);
    for (size_t i = 0; i < n; i++) {
        flights[i].m = m;
        flights[i].together = &together;
        pthread_create(&threads[i], NULL, fly, &flights[i]);
    }
    for (size_t i = 0; i < n; i++) pthread_join(threads[i], NULL);
    pthread_barrier_destroy(&together);
}

static void many_that_ask_share_one_loading(void) {
    models *m = open_models((models_options){.keep_ms = MODELS_KEEP_ALWAYS});
    flight flights[8];
    for (int i = 0; i < 8; i++) flights[i] = (flight){.name = i % 2 ? "a" : "a:latest"};
    fly_together(m, flights, 8);
    for (int i = 0; i < 8; i++)
        CHECK(flights[i].status == HONE_OK && flights[i].model == flights[0].model);
    CHECK(models_count(m).n_loads == 1 && models_count(m).n_open == 1);
    models_close(m);
}

static void a_failing_load_leaves_others_alone(void) {
    models *m = open_models((models_options){.keep_ms = MODELS_KEEP_ALWAYS});
    served_model held;
    CHECK_OK(models_borrow(m, "a", &held));
    flight flights[6];
    for (int i = 0; i < 6; i++) flights[i] = (flight){.name = i % 3 ? "broken" : "b"};
    fly_together(m, flights, 6);
    for (int i = 0; i < 6; i++)
        CHECK(flights[i].status == (i % 3 ? HONE_ERR_FORMAT : HONE_OK));
    CHECK(models_borrow(m, "nobody", &held) == HONE_ERR_NOT_FOUND);
    CHECK(!is_open(m, "broken:latest") && is_open(m, "b:latest") && is_open(m, "a:latest"));
    models_counts counts = models_count(m);
    CHECK(counts.n_loads == 2 && counts.n_failed_loads >= 1 && counts.n_failed_loads <= 4);
    models_return(m, &held);
    models_close(m);
}

static void the_least_used_goes_and_none_in_use(void) {
    uint64_t limit = 2 * file_bytes + (24 << 20); /* room for two with caches and buffers */
    models *m = open_models((models_options){.keep_ms = MODELS_KEEP_ALWAYS, .max_open = 2,
                                             .memory_bytes = limit});
    served_model a, b, c;
    CHECK(use(m, "a") && use(m, "b") && use(m, "a") && use(m, "c"));
    CHECK(is_open(m, "a:latest") && !is_open(m, "b:latest") && is_open(m, "c:latest"));
    CHECK(models_count(m).n_evicted == 1);
    CHECK_OK(models_borrow(m, "a", &a));
    CHECK_OK(models_borrow(m, "c", &c));
    CHECK(models_borrow(m, "b", &b) == HONE_ERR_BUSY);
    CHECK(is_open(m, "a:latest") && is_open(m, "c:latest"));
    models_return(m, &a);
    models_return(m, &c);
    CHECK(use(m, "b"));
    models_close(m);
}

static void *give_back_later(void *user) {
    flight *f = user;
    served_model served;
    f->status = models_borrow(f->m, f->name, &served);
    pthread_barrier_wait(f->together);
    usleep(100000);
    if (f->status == HONE_OK) models_return(f->m, &served);
    return NULL;
}

static void who_wants_room_waits_for_an_answer_to_end(void) {
    models *m = open_models((models_options){.keep_ms = MODELS_KEEP_ALWAYS, .max_open = 1,
                                             .wait_ms = 5000});
    pthread_barrier_t together;
    pthread_t thread;
    pthread_barrier_init(&together, NULL, 2);
    flight f = {.m = m, .name = "a", .together = &together};
    pthread_create(&thread, NULL, give_back_later, &f);
    pthread_barrier_wait(&together);
    double begin = clock_ms();
    CHECK(use(m, "b") && clock_ms() - begin > 50);
    pthread_join(thread, NULL);
    CHECK(f.status == HONE_OK && !is_open(m, "a:latest"));
    pthread_barrier_destroy(&together);
    models_close(m);
}

static void a_model_beyond_the_limit_is_refused(void) {
    models *m = open_models((models_options){.memory_bytes = file_bytes / 2});
    served_model served;
    CHECK(models_borrow(m, "a", &served) == HONE_ERR_MEMORY);
    CHECK(models_count(m).n_open == 0);
    models_close(m);
}

static void models_stay_as_long_as_was_said(void) {
    models *m = open_models((models_options){.keep_ms = 60000});
    served_model served;
    open_model wanted = {.path = "a:latest"};
    CHECK(use(m, "a") && use(m, "b") && use(m, "c"));
    models_each(m, find_one, &wanted);
    CHECK(wanted.idle_ms_left > 55000 && wanted.idle_ms_left <= 60000);
    CHECK_OK(models_borrow(m, "a", &served));
    models_keep(m, &served, 0);
    usleep(30000);
    CHECK(is_open(m, "a:latest")); /* in use */
    models_return(m, &served);
    CHECK(closes_within_a_second(m, "a:latest"));
    CHECK_OK(models_borrow(m, "b", &served));
    models_keep(m, &served, 80);
    models_return(m, &served);
    CHECK(is_open(m, "b:latest") && closes_within_a_second(m, "b:latest"));
    CHECK(is_open(m, "c:latest") && models_count(m).n_expired == 2);
    models_close(m);
}

static void unloading_waits_for_the_last_answer(void) {
    models *m = open_models((models_options){.keep_ms = MODELS_KEEP_ALWAYS});
    served_model served;
    CHECK(models_unload(m, "a") == HONE_ERR_NOT_FOUND);
    CHECK_OK(models_borrow(m, "a", &served));
    CHECK_OK(models_unload(m, "a"));
    usleep(30000);
    CHECK(is_open(m, "a:latest"));
    models_return(m, &served);
    CHECK(closes_within_a_second(m, "a:latest"));
    models_close(m);
}

static void models_of_the_command_line_stay_until_they_are_unloaded(void) {
    models *m = open_models((models_options){.keep_ms = 0});
    char path[600];
    snprintf(path, sizeof path, "%s/b.gguf", world_home);
    CHECK_OK(models_preload(m, "a"));
    CHECK_OK(models_preload(m, path));
    usleep(50000);
    CHECK(is_open(m, "a:latest") && is_open(m, path));
    CHECK(use(m, "") && use(m, NULL));
    CHECK_OK(models_unload(m, path));
    CHECK(closes_within_a_second(m, path) && is_open(m, "a:latest"));
    CHECK(use(m, path)); /* it is still known */
    models_close(m);
}

int main(void) {
    if (!make_store()) return test_summary();
    RUN(many_that_ask_share_one_loading);
    RUN(a_failing_load_leaves_others_alone);
    RUN(the_least_used_goes_and_none_in_use);
    RUN(who_wants_room_waits_for_an_answer_to_end);
    RUN(a_model_beyond_the_limit_is_refused);
    RUN(models_stay_as_long_as_was_said);
    RUN(unloading_waits_for_the_last_answer);
    RUN(models_of_the_command_line_stay_until_they_are_unloaded);
    fs_remove_tree(world_home);
    return test_summary();
}
