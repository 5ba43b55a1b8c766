/* Multiple-choice sets with every choice's log-likelihood under float32.
 *
 * In the exact mode each agrees to 1e-3 and the same choice is picked, near-ties apart; with 8-bit
 * activations the accuracy is the same within the paired interval. */
#define TEST_SHARED_STATE
#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "files.h"
#include "golden.h"
#include "lab/eval.h"
#include "test.h"

#define EXACT_BOUND 1e-3

/* The set's items as `hone eval --tasks choice` takes them. */
static void write_items(const json_t *set, const char *path) {
    FILE *f = fopen(path, "w");
    size_t i, k;
    json_t *item, *choice;
    json_array_foreach(json_object_get(set, "items"), i, item) {
        json_t *choices = json_array(), *out;
        json_array_foreach(json_object_get(item, "choices"), k, choice)
            json_array_append(choices, json_object_get(choice, "continuation"));
        out = json_pack("{s:O, s:O, s:o, s:O}", "id", json_object_get(item, "id"), "context",
                        json_object_get(item, "context"), "choices", choices, "answer",
                        json_object_get(item, "answer"));
        json_dumpf(out, f, JSON_COMPACT);
        fputc('\n', f);
        json_decref(out);
    }
    fclose(f);
}

static double number(const json_t *object, const char *key) {
    return json_number_value(json_object_get(object, key));
}

/* Whether another choice is so near to the picked one that rounding may decide. */
static bool is_near_tie(const json_t *item, bool per_byte, size_t picked) {
    const json_t *choices = json_object_get(item, "choices");
    double best = 0;
    for (int look = 0; look < 2; look++)
        for (size_t i = 0; i < json_array_size(choices); i++) {
            const json_t *c = json_array_get(choices, i);
            const char *text = json_string_value(json_object_get(c, "continuation"));
            double value = number(c, "logprob") /
                           (per_byte ? (double)strlen(text + (*text == ' ')) : 1);
            if (look == 0 && i == picked) best = value;
            if (look == 1 && i != picked && fabs(value - best) < 2 * EXACT_BOUND) return true;
        }
    return false;
}

static double compare_item(const json_t *want, const json_t *have) {
    double largest = 0;
    const json_t *a = json_object_get(want, "choices"), *b = json_object_get(have, "choices");
    CHECK(json_equal(json_object_get(want, "id"), json_object_get(have, "id")));
    CHECK(number(want, "n_context_tokens") == number(have, "n_context_tokens"));
    for (size_t i = 0; i < json_array_size(a); i++) {
        const json_t *x = json_array_get(a, i), *y = json_array_get(b, i);
        largest = fmax(largest, fabs(number(x, "logprob") - number(y, "logprob")));
        CHECK(number(x, "n_tokens") == number(y, "n_tokens"));
    }
    for (int per_byte = 0; per_byte < 2; per_byte++) {
        const char *key = per_byte ? "pick_per_byte" : "pick";
        size_t picked = (size_t)number(want, key);
        CHECK_MSG(picked == (size_t)number(have, key) || is_near_tie(want, per_byte, picked), "%s",
                  json_string_value(json_object_get(want, "id")));
    }
    return largest;
}

static void exact_scores_match(const json_t *set, subject *s, const task *t) {
    eval_result r;
    double largest = 0;
    const json_t *items = json_object_get(set, "items");
    if (CHECK_OK(eval_run(&r, s, t, &(eval_settings){.seed = 1}))) {
        CHECK(r.n_done == json_array_size(items) && r.validity.n == 0);
        for (size_t i = 0; i < r.n_done; i++)
            largest = fmax(largest, compare_item(json_array_get(items, i), r.items[i].sample));
        CHECK_MSG(largest <= EXACT_BOUND, "a choice's score differs by %g", largest);
        CHECK_NEAR(r.figures[0].e.value, number(set, "accuracy"), 0.0051);
        CHECK_NEAR(r.figures[1].e.value, number(set, "accuracy_per_byte"), 0.0051);
        const json_t *interval = json_object_get(set, "accuracy_interval");
        CHECK_NEAR(r.figures[0].e.low, json_number_value(json_array_get(interval, 0)), 0.0051);
        printf("%zu items, largest difference of a choice's score %.3g, %.1f s\n", r.n_done,
               largest, r.seconds);
    }
    eval_result_release(&r);
}

static void rounded_activations_pick_as_well(const json_t *set, subject *s, const task *t) {
    eval_result r;
    double differences[1000];
    estimate e;
    const json_t *items = json_object_get(set, "items");
    if (CHECK_OK(eval_run(&r, s, t, &(eval_settings){.seed = 1})) && r.n_done <= 1000) {
        for (size_t i = 0; i < r.n_done; i++) {
            const json_t *want = json_array_get(items, i);
            differences[i] = r.items[i].counts[0].of[0] -
                             (number(want, "pick") == number(want, "answer") ? 1 : 0);
        }
        CHECK_OK(stats_bootstrap_mean(&e, differences, r.n_done, 1));
        CHECK_MSG(e.low <= 0 && e.high >= 0, "%g (%g to %g)", e.value, e.low, e.high);
        printf("8-bit activations: accuracy %+.3f (%+.3f to %+.3f), %.1f s\n", e.value, e.low,
               e.high, r.seconds);
    }
    eval_result_release(&r);
}

static void check_set(const char *path, const char *model) {
    json_t *set;
    test_folder tmp = test_folder_make();
    task *t = NULL;
    printf("--- %s\n", path);
    if (!CHECK_OK(json_parse_file(&set, path, 16 << 20))) return;
    const char *items = test_path(tmp.path, "items.jsonl");
    write_items(set, items);
    if (CHECK_OK(task_open(&t, "choice", items)))
        for (int exact = 1; exact >= 0; exact--) {
            subject *s = NULL;
            const subject_settings settings = {.model = model, .exact = exact};
            if (!CHECK_OK(subject_open(&s, &settings))) break;
            if (exact) RUN_NAMED("exact_scores_match", exact_scores_match(set, s, t));
            else RUN_NAMED("rounded_activations_pick_as_well",
                           rounded_activations_pick_as_well(set, s, t));
            subject_close(s);
        }
    task_close(t);
    json_decref(set);
    test_folder_remove(&tmp);
}

void check_choices(const char *folder) {
    const char *models = getenv("HONE_TEST_MODELS");
    char model[4096], path[4500];
    struct stat st;
    setenv("HONE_TASKS", "tasks", 0);
    snprintf(model, sizeof model, "%s/SmolLM2-135M-Instruct.Q4_1.gguf", models ? models : ".");
    if (stat(model, &st) != 0) {
        printf("FAILED %s: %s is missing (tests/fetch_model.sh puts it there)\n", folder, model);
        test_failed++;
        return;
    }
    DIR *dir = opendir(folder);
    for (struct dirent *entry; dir && (entry = readdir(dir));) {
        size_t n = strlen(entry->d_name);
        if (n < 6 || strcmp(entry->d_name + n - 5, ".json") != 0) continue;
        snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        check_set(path, model);
    }
    if (dir) closedir(dir);
}
