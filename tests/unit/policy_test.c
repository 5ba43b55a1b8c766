/* What choosing is worth (route/regret.h, route/cascade_bar.h), on answers whose outcome is known. */
#include <string.h>

#include "base/mem.h"
#include "route/cascade_bar.h"
#include "route/regret.h"
#include "test.h"

enum { ITEMS = 40 };

/* Two tasks and two contenders; right[entry][task](i) says who is right. */
typedef struct world {
    policy_trial t;
    task tasks[2];
    json_t *items[2];
    eval_item answers[2][2][2][ITEMS]; /* [half][entry][task] */
} world;

typedef bool is_right(size_t entry, size_t k, size_t i);

static const char *const questions[] = {
    "Calculate 17 + 25.", "If A implies B and B is false, what follows about A?"};

static void make_world(world *w, is_right *right, const char *model) {
    static const char *const names[] = {"arithmetic", "logic"}, *const labels[] = {"one", "two"};
    memset(w, 0, sizeof *w);
    w->t.n_entries = w->t.n_tasks = 2;
    for (size_t k = 0; k < 2; k++) {
        w->items[k] = json_array();
        for (size_t i = 0; i < ITEMS; i++)
            json_array_append_new(w->items[k], json_pack("{s:s}", "question", questions[k]));
        w->tasks[k] = (task){.name = names[k], .items = w->items[k], .n_items = ITEMS};
    }
    for (int half = 0; half < 2; half++)
        for (size_t e = 0; e < 2; e++) {
            compare_entry *entry = &w->t.entries[half][e];
            *entry = (compare_entry){.label = labels[e], .model = model, .n_results = 2};
            for (size_t k = 0; k < 2; k++) {
                size_t n_right = 0;
                w->t.tasks[half][k] = &w->tasks[k];
                for (size_t i = 0; i < ITEMS; i++) {
                    bool hit = right(e, k, i);
                    n_right += hit;
                    w->answers[half][e][k][i] = (eval_item){
                        .index = i, .done = true, .counts[0] = {{hit, 1}}, .sample = json_object()};
                }
                entry->results[k] = (eval_result){
                    .items = w->answers[half][e][k], .n_items = ITEMS, .n_done = ITEMS, .n_figures = 1,
                    .seconds = ITEMS * (e + 1.0),
                    .figures = {{"accuracy", &metric_accuracy, stats_wilson(n_right, ITEMS), ITEMS}}};
            }
        }
    for (int half = 0; half < 2; half++) w->t.settings[half].eval.seed = 1;
}

static void release_world(world *w) {
    for (int half = 0; half < 2; half++)
        for (size_t e = 0; e < 2; e++)
            for (size_t k = 0; k < 2; k++)
                for (size_t i = 0; i < ITEMS; i++) json_decref(w->answers[half][e][k][i].sample);
    for (size_t k = 0; k < 2; k++) json_decref(w->items[k]);
}

/* --- routing --- */

static bool each_has_its_task(size_t entry, size_t k, size_t i) {
    (void)i;
    return entry == k;
}

static bool two_is_better(size_t entry, size_t k, size_t i) {
    (void)k;
    return i % 4 < 1 + 2 * entry ||
           (entry == 0 && i % 4 == 3); /* 1/2 and 3/4, not the same items */
}

static void two_specialists_are_told_apart(void) {
    fs_path model;
    regret r;
    if (!test_shared()) SKIP("no reference models");
    CHECK_OK(fs_path_format(&model, "%s/models/stories260K.gguf", test_shared()));
    world *w = mem_calloc(1, sizeof *w);
    make_world(w, each_has_its_task, model.text);
    CHECK_OK(regret_measure(&r, &w->t, ROUTE_QUALITY, 0));
    CHECK(r.table.n_items == 2 * ITEMS && r.n_sent[0] == ITEMS && r.n_sent[1] == ITEMS);
    CHECK_NEAR(r.table.policies[0].share.value, 1, 1e-9); /* auto */
    CHECK_NEAR(r.table.policies[1].share.value, 0.5, 1e-9);
    CHECK_NEAR(r.table.policies[2].share.value, 1, 1e-9);
    CHECK(r.always == 0); /* of equals the faster */
    CHECK_NEAR(r.table.differences[1].right.value, 0.5, 1e-9);
    CHECK(r.table.differences[1].right.low > 0.35 && r.table.differences[1].right.high < 0.65);
    CHECK_NEAR(r.table.differences[2].right.value, 0, 1e-9);
    CHECK_NEAR(r.table.differences[1].seconds.value, 0.5, 1e-9);
    json_t *told = regret_to_json(&r, &w->t, ROUTE_QUALITY);
    CHECK(json_integer_value(json_object_get(json_object_get(told, "sent"), "two")) == ITEMS);
    CHECK(json_array_size(json_object_get(told, "differences")) == 2);
    json_decref(told);
    regret_release(&r);
    release_world(w);
    mem_free(w);
}

static void one_that_is_better_everywhere_takes_all(void) {
    fs_path model;
    regret r;
    if (!test_shared()) SKIP("no reference models");
    CHECK_OK(fs_path_format(&model, "%s/models/stories260K.gguf", test_shared()));
    world *w = mem_calloc(1, sizeof *w);
    make_world(w, two_is_better, model.text);
    CHECK_OK(regret_measure(&r, &w->t, ROUTE_QUALITY, 0));
    CHECK(r.always == 1 && r.n_sent[1] == 2 * ITEMS);
    CHECK_NEAR(r.table.differences[1].right.value, 0, 0);
    CHECK_NEAR(r.table.differences[1].right.low, 0, 0);
    CHECK_NEAR(r.table.policies[2].share.value, 1, 1e-9); /* somebody always knows */
    CHECK_NEAR(r.table.policies[2].mean_seconds, 0.5 * 1 + 0.5 * 2, 1e-9);
    regret_release(&r);
    release_world(w);
    mem_free(w);
}

/* --- cascades --- */

/* Where three of four draws agree the first model is right, else wrong; the second is right in
 * every item but each fifth. */
static bool agreement_tells(size_t entry, size_t k, size_t i) {
    (void)k;
    return entry == 0 ? i % 2 == 0 : i % 5 != 0;
}

static void show_draws(world *w, const char *const even[4], const char *const odd[4]) {
    for (int half = 0; half < 2; half++)
        for (size_t k = 0; k < 2; k++)
            for (size_t i = 0; i < ITEMS; i++) {
                const char *const *d = i % 2 == 0 ? even : odd;
                json_object_set_new(w->answers[half][0][k][i].sample, "draws",
                                    json_pack("[s, s, s, s]", d[0], d[1], d[2], d[3]));
            }
}

static void the_bar_lies_where_agreement_tells(void) {
    static const char *const agreed[] = {"The answer is 4", "4", "5", "It is 4."};
    static const char *const split[] = {"4", "4", "5", "5"};
    world *w = mem_calloc(1, sizeof *w);
    cascade_bar b;
    make_world(w, agreement_tells, "none");
    show_draws(w, agreed, split);
    CHECK_OK(cascade_bar_measure(&b, &w->t, 4));
    CHECK(b.best == 2 && b.tries[2].bar == 0.75); /* 0.25 and 0.5 never ask, 1 always does */
    CHECK_NEAR(b.tries[0].escalated, 0, 1e-9);
    CHECK_NEAR(b.tries[1].right, 0.5, 1e-9);
    CHECK_NEAR(b.tries[2].escalated, 0.5, 1e-9);
    CHECK_NEAR(b.tries[2].right, 0.9, 1e-9);
    CHECK_NEAR(b.tries[2].seconds, 1 + 0.5 * 2, 1e-9);
    CHECK_NEAR(b.tries[3].right, 0.8, 1e-9);
    CHECK_NEAR(b.table.policies[0].share.value, 0.9, 1e-9);
    CHECK_NEAR(b.table.policies[1].share.value, 0.8, 1e-9); /* always the second */
    CHECK_NEAR(b.table.policies[2].share.value, 0.5, 1e-9);
    CHECK_NEAR(b.table.differences[1].right.value, 0.1, 1e-9);
    CHECK_NEAR(b.table.differences[1].seconds.value, 0, 1e-9);
    CHECK_NEAR(b.escalated, 0.5, 1e-9);
    json_t *told = cascade_bar_to_json(&b, "big:1");
    CHECK(!strcmp(json_string_value(json_object_get(told, "strategy")), "cascade4@0.75 with big:1"));
    json_decref(told);
    cascade_bar_release(&b);
    release_world(w);
    mem_free(w);
}

static bool both_know_all(size_t entry, size_t k, size_t i) {
    (void)entry, (void)k, (void)i;
    return true;
}

static void of_equal_bars_the_cheapest_is_taken(void) {
    static const char *const any[] = {"4", "5", "6", "7"};
    world *w = mem_calloc(1, sizeof *w);
    cascade_bar b;
    make_world(w, both_know_all, "none");
    show_draws(w, any, any);
    CHECK_OK(cascade_bar_measure(&b, &w->t, 4));
    CHECK(b.best == 0 && b.escalated == 0);
    cascade_bar_release(&b);
    json_object_clear(w->answers[1][0][0][0].sample); /* an item without one whole draw */
    CHECK_OK(cascade_bar_measure(&b, &w->t, 4));
    CHECK_NEAR(b.escalated, 1.0 / (2 * ITEMS), 1e-9);
    cascade_bar_release(&b);
    release_world(w);
    mem_free(w);
}

static void failed_allocations_are_survived(void) {
    static const char *const any[] = {"4", "5", "6", "7"};
    world *w = mem_calloc(1, sizeof *w);
    make_world(w, both_know_all, "none");
    show_draws(w, any, any);
    for (long n = 1; n < 5000; n += 1 + n / 10) {
        cascade_bar b;
        mem_fail_from(n);
        hone_status status = cascade_bar_measure(&b, &w->t, 4);
        mem_fail_from(0);
        cascade_bar_release(&b);
        if (status == HONE_OK) break;
        CHECK(status == HONE_ERR_MEMORY);
    }
    release_world(w);
    mem_free(w);
}

int main(void) {
    RUN(two_specialists_are_told_apart);
    RUN(one_that_is_better_everywhere_takes_all);
    RUN(the_bar_lies_where_agreement_tells);
    RUN(of_equal_bars_the_cheapest_is_taken);
    RUN(failed_allocations_are_survived);
    return test_summary();
}
