/* What hone says a model will need is what the system counts afterwards, within 3 %. Each setting
 * runs in a process of its own, which opens the model, fills its slots and looks at its resident
 * memory before and after. */
#include <sys/wait.h>
#include <unistd.h>

#include "base/system.h"
#include "files.h"
#include "hone/hone.h"
#include "model_files.h"
#include "test.h"

enum { MAX_SLOTS = 4 };

typedef struct setting {
    size_t n_context, n_slots;
    hone_kv_type kv;
    bool exact;
    int n_threads;
} setting;

/* Child and parent talk in these. */
typedef struct measurement {
    hone_memory need;
    uint64_t used;
    bool fine;
} measurement;

/* Some text of words that the model knows; every slot another one. */
static bool fill_slot(hone_session *s, size_t n, size_t slot) {
    const hone_model *model = hone_session_model(s);
    size_t n_vocab = hone_model_describe(model)->n_vocab;
    int32_t *ids = malloc(n * sizeof *ids);
    for (size_t i = 0; i < n; i++)
        ids[i] = (int32_t)((i * 7919 + slot * 104729 + 3) % (n_vocab < 40000 ? n_vocab : 40000));
    bool fine = hone_prefill(s, ids, n - 4, NULL, NULL, NULL) == HONE_OK;
    free(ids);
    return fine;
}

/* The last tokens of all slots together, as a server decodes them. */
static bool decode(hone_session **sessions, size_t n_slots) {
    bool fine = true;
    for (int step = 0; step < 4 && fine; step++) {
        hone_step_item items[MAX_SLOTS];
        int32_t token = 17 + step;
        for (size_t i = 0; i < n_slots; i++)
            items[i] = (hone_step_item){sessions[i], &token, 1, HONE_LOGITS_LAST};
        fine = hone_step(items, n_slots) == HONE_OK;
    }
    return fine;
}

static measurement measure(const char *path, const setting *s) {
    measurement m = {0};
    hone_model *model = NULL;
    hone_session *sessions[MAX_SLOTS] = {NULL};
    uint64_t before = system_resident_bytes();
    m.fine = hone_model_open(&model, path,
                             &(hone_model_options){.n_threads = s->n_threads}) == HONE_OK;
    const hone_memory_settings settings = {.n_context = s->n_context, .n_slots = s->n_slots,
                                           .kv = s->kv, .exact = s->exact};
    m.fine = m.fine && hone_memory_needed(&m.need, model, &settings) == HONE_OK;
    for (size_t i = 0; i < s->n_slots && m.fine; i++) {
        const hone_session_options o = {.n_context = s->n_context, .kv = s->kv,
                                        .exact = s->exact};
        m.fine = hone_session_open(&sessions[i], model, &o) == HONE_OK &&
                 fill_slot(sessions[i], s->n_context, i);
    }
    m.fine = m.fine && decode(sessions, s->n_slots);
    m.used = system_resident_bytes() - before;
    return m;
}

static measurement measure_apart(const char *path, const setting *s) {
    measurement m = {0};
    int pipes[2];
    if (pipe(pipes) != 0) return m;
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        measurement own = measure(path, s);
        ssize_t n = write(pipes[1], &own, sizeof own);
        _exit(n == sizeof own ? 0 : 1);
    }
    close(pipes[1]);
    if (read(pipes[0], &m, sizeof m) != sizeof m) m.fine = false;
    close(pipes[0]);
    waitpid(child, NULL, 0);
    return m;
}

static void forecast_holds(const char *path, const setting *s) {
    measurement m = measure_apart(path, s);
    double mib = 1 << 20, need = (double)m.need.resident, used = (double)m.used;
    printf("context %5zu, slots %zu, cache %d%s: %.1f MiB foreseen (weights %.1f, cache %.1f, "
           "activations %.1f, tables %.1f), %.1f MiB used: %+.1f %%\n", s->n_context, s->n_slots,
           (int)s->kv, s->exact ? " exact" : "", need / mib, (double)m.need.weights / mib,
           (double)m.need.kv / mib, (double)m.need.activations / mib,
           (double)m.need.tables / mib, used / mib, 100 * (need / used - 1));
    CHECK(m.fine);
    CHECK_MSG(fabs(need / used - 1) <= 0.03, "%.2f MiB foreseen, %.2f used", need / mib,
              used / mib);
}

/* HONE_MEMORY_MODEL: another file to measure, for a look by hand. */
static void real_model_needs_what_was_foreseen(void) {
    static const setting settings[] = {
        {512, 1, HONE_KV_F16, false, 1},  {2048, 1, HONE_KV_F16, false, 2},
        {1024, 1, HONE_KV_Q8_0, false, 2}, {256, 4, HONE_KV_F16, false, 2},
        {512, 2, HONE_KV_F32, true, 2},
    };
    const char *folder = getenv("HONE_TEST_MODELS"), *other = getenv("HONE_MEMORY_MODEL");
    char path[600] = "";
    if (other) snprintf(path, sizeof path, "%s", other);
    else if (folder) snprintf(path, sizeof path, "%s/SmolLM2-135M-Instruct.Q4_1.gguf", folder);
    if (access(path, R_OK) != 0) SKIP("no real model ($HONE_TEST_MODELS)");
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++)
        forecast_holds(path, &settings[i]);
}

/* --- arithmetic --- */

static hone_model *small_model(const test_folder *tmp) {
    model_recipe r = {.type = DTYPE_F32, .n_context = 4096};
    hone_model *model = NULL;
    const char *path = test_path(tmp->path, "small.gguf");
    CHECK_OK(model_write_gguf(&r, path));
    CHECK_OK(hone_model_open(&model, path, &(hone_model_options){.n_threads = 1}));
    return model;
}

static hone_memory needed(const hone_model *model, hone_memory_settings s) {
    hone_memory m = {0};
    CHECK_OK(hone_memory_needed(&m, model, &s));
    CHECK(m.resident == m.weights + m.kv + m.activations + m.tables + m.adapters);
    return m;
}

static void caches_grow_with_context_slots_and_type(void) {
    test_folder tmp = test_folder_make();
    hone_model *model = small_model(&tmp);
    if (model) {
        hone_memory one = needed(model, (hone_memory_settings){.n_context = 1024});
        hone_memory two = needed(model, (hone_memory_settings){.n_context = 2048});
        hone_memory slots = needed(model, (hone_memory_settings){.n_context = 1024, .n_slots = 3});
        hone_memory f32 = needed(model, (hone_memory_settings){.n_context = 1024,
                                                               .kv = HONE_KV_F32});
        hone_memory q8 = needed(model, (hone_memory_settings){.n_context = 1024,
                                                              .kv = HONE_KV_Q8_0});
        hone_memory most = needed(model, (hone_memory_settings){0});
        /* 2 layers, keys and values, 1 head of 32 halves */
        CHECK(one.kv >= 1024 * 2 * 2 * 32 * 2 && one.kv < 1024 * 2 * 2 * 32 * 2 * 1.06);
        CHECK_NEAR((double)two.kv / (double)one.kv, 2, 1e-6);
        CHECK_NEAR((double)slots.kv / (double)one.kv, 3, 1e-6);
        CHECK(f32.kv > 1.9 * (double)one.kv && q8.kv < 0.6 * (double)one.kv);
        CHECK(most.kv > two.kv && slots.activations > one.activations);
        CHECK(one.weights == one.mapped); /* no embedding of its own is left out */
        CHECK(hone_memory_needed(&one, model, &(hone_memory_settings){.n_context = 5000}) ==
              HONE_ERR_ARGUMENT);
        CHECK(hone_memory_needed(&one, model, &(hone_memory_settings){.kv = (hone_kv_type)7}) ==
              HONE_ERR_ARGUMENT);
    }
    hone_model_close(model);
    test_folder_remove(&tmp);
}

static void free_memory_is_part_of_all_memory(void) {
    uint64_t free_now = hone_memory_free();
    CHECK(free_now > 0 && free_now <= system_look_at_memory("").limit);
}

/* --- fitting --- */

static hone_fit fit(const hone_model *model, hone_fit_wish wish) {
    hone_fit f = {.bytes = 0};
    CHECK_OK(hone_fit_model(&f, model, &wish));
    CHECK(f.fits == (f.bytes <= f.limit));
    CHECK(f.bytes > f.memory.resident);
    return f;
}

/* From plenty to nothing: cache type first, then slots, then context, never more than needed. */
static void less_memory_gives_up_in_order(void) {
    test_folder tmp = test_folder_make();
    hone_model *model = small_model(&tmp);
    const hone_fit_wish wish = {.memory = (uint64_t)1 << 40, .n_context = 4096, .n_slots = 8};
    if (model) {
        hone_fit all = fit(model, wish);
        unsigned lost = 0;
        CHECK(all.fits && all.gave_up == 0 && all.settings.n_slots == 8 &&
              all.settings.n_context == 4096 && all.settings.kv == HONE_KV_F16);
        hone_fit least = all;
        for (uint64_t memory = all.bytes; memory > 1 << 20; memory -= memory / 100) {
            hone_fit_wish tight = wish;
            tight.memory = memory;
            hone_fit f = fit(model, tight);
            if (!f.fits) {
                least = f;
                break;
            }
            CHECK_MSG((f.gave_up & lost) == lost, "%u after %u", f.gave_up, lost);
            if (f.gave_up & HONE_GAVE_UP_SLOTS) CHECK(f.gave_up & HONE_GAVE_UP_CACHE_TYPE);
            if (f.gave_up & HONE_GAVE_UP_CONTEXT) CHECK(f.settings.n_slots == 1);
            CHECK(f.bytes <= memory);
            lost = f.gave_up;
        }
        CHECK(lost == 7);
        CHECK(!least.fits && least.settings.n_context == 512 && least.settings.n_slots == 1);
        CHECK_OK(hone_fit_model(&least, model, &(hone_fit_wish){.memory = least.bytes}));
        CHECK(least.fits); /* what was named does fit */
    }
    hone_model_close(model);
    test_folder_remove(&tmp);
}

static void without_a_wish_the_context_is_as_long_as_fits(void) {
    test_folder tmp = test_folder_make();
    model_recipe r = {.type = DTYPE_F32, .n_context = 40000};
    hone_model *model = NULL;
    const char *path = test_path(tmp.path, "long.gguf");
    CHECK_OK(model_write_gguf(&r, path));
    CHECK_OK(hone_model_open(&model, path, &(hone_model_options){.describe_only = true}));
    if (model) {
        hone_fit all = fit(model, (hone_fit_wish){.memory = (uint64_t)1 << 40});
        hone_fit some = fit(model, (hone_fit_wish){.memory = all.bytes - (4 << 20)});
        CHECK(all.settings.n_context == 40000);
        CHECK_MSG(some.fits && some.settings.n_context > 4096 && some.settings.n_context < 40000 &&
                  some.gave_up == 0, "%zu", some.settings.n_context);
    }
    hone_model_close(model);
    test_folder_remove(&tmp);
}

int main(void) {
    RUN(real_model_needs_what_was_foreseen);
    RUN(caches_grow_with_context_slots_and_type);
    RUN(less_memory_gives_up_in_order);
    RUN(without_a_wish_the_context_is_as_long_as_fits);
    RUN(free_memory_is_part_of_all_memory);
    return test_summary();
}
