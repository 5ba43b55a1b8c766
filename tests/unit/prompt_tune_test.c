/* Prompts for a task: the two halves, examples, and what is tried. */
#include "lab/prompt_tune.h"

#include "base/mem.h"
#include "test.h"

static task *open_logic(void) {
    task *t = NULL;
    setenv("HONE_TASKS", "tasks", 1);
    CHECK_OK(task_open(&t, "logic", NULL));
    return t;
}

static subject *open_tale(void) {
    char path[1024];
    subject *s = NULL;
    snprintf(path, sizeof path, "%s/models/stories260K.gguf", test_shared());
    CHECK_OK(subject_open(&s, &(subject_settings){.model = path, .exact = true, .n_threads = 1}));
    return s;
}

static const char *id_of(const json_t *items, size_t i) {
    return json_string_value(json_object_get(json_array_get(items, i), "id"));
}

/* How many items of b are items of a as well. */
static size_t count_shared(const json_t *a, const json_t *b) {
    size_t n = 0;
    for (size_t i = 0; i < json_array_size(a); i++)
        for (size_t k = 0; k < json_array_size(b); k++) n += !strcmp(id_of(a, i), id_of(b, k));
    return n;
}

static void no_item_held_out_is_tried_or_an_example(void) {
    if (!test_shared()) SKIP("no reference data");
    task *t = open_logic();
    subject *s = open_tale();
    prompt_tuning p;
    if (!t || !s) return;
    const prompt_variant v = {.n_shots = 2, .draw = 5};
    const prompt_tune_settings settings = {.n_held_out = 6, .seed = 4};
    CHECK_OK(prompt_test(&p, s, t, &v, &settings));
    CHECK(p.train.task.n_items + p.held_out.task.n_items == t->n_items);
    CHECK(json_array_size(p.train.items) == t->n_items / 2);
    CHECK(count_shared(p.train.items, p.held_out.items) == 0);
    CHECK(p.is_judged && p.verdict.n == 6 && p.n_tries == 0);
    CHECK_NEAR(p.verdict.difference.value,
               p.entries[1].results[0].figures[0].e.value -
                   p.entries[0].results[0].figures[0].e.value,
               1e-12);
    /* What was sent begins with two items of the training half. */
    const char *sent = json_string_value(
        json_object_get(p.entries[1].results[0].items[0].sample, "context"));
    size_t n_known = 0, n_held_out = 0;
    for (size_t i = 0; sent && i < json_array_size(p.train.items); i++)
        n_known += strstr(sent, json_string_value(json_object_get(
                                    json_array_get(p.train.items, i), "question"))) != NULL;
    for (size_t i = 0; sent && i < json_array_size(p.held_out.items); i++)
        n_held_out += strstr(sent, json_string_value(json_object_get(
                                       json_array_get(p.held_out.items, i), "question"))) != NULL;
    CHECK_MSG(n_known >= 2 && n_held_out >= 1, "%zu, %zu", n_known, n_held_out);
    prompt_tuning_release(&p);
    subject_close(s);
    task_close(t);
}

static void the_task_itself_is_left_as_it_was(void) {
    task *t = open_logic();
    char *text = NULL;
    if (!t) return;
    const task before = *t;
    const char *first = id_of(t->items, 0);
    const prompt_variant v = {.instruction = "Be kind.", .n_shots = 3, .draw = 2, .turn = 1};
    CHECK_OK(prompt_show(&text, t, &v, false, 1));
    CHECK(memcmp(&before, t, sizeof *t) == 0 && !strcmp(first, id_of(t->items, 0)));
    CHECK(text && !strncmp(text, "Be kind.\n\nQuestion: ", 20));
    mem_free(text);
    task_close(t);
}

static void order_changes_the_places_and_not_the_examples(void) {
    task *t = open_logic();
    char *texts[3] = {NULL}, *first[3];
    if (!t) return;
    for (size_t turn = 0; turn < 3; turn++) {
        const prompt_variant v = {.n_shots = 3, .draw = 2, .turn = turn};
        CHECK_OK(prompt_show(&texts[turn], t, &v, false, 1));
        if (!texts[turn]) return;
        first[turn] = strndup(texts[turn], strcspn(texts[turn], "\n"));
        CHECK(strlen(texts[turn]) == strlen(texts[0]));
    }
    for (size_t turn = 1; turn < 3; turn++) {
        CHECK(strcmp(first[turn], first[0]) != 0);
        CHECK(strstr(texts[0], first[turn]) != NULL);
    }
    for (size_t turn = 0; turn < 3; turn++) {
        free(first[turn]);
        mem_free(texts[turn]);
    }
    task_close(t);
}

static void the_nearest_examples_are_those_that_share_most_words(void) {
    task *t = open_logic();
    char *text = NULL;
    if (!t) return;
    CHECK(prompt_takes_nearest(t));
    for (size_t i = 0; i < json_array_size(t->items); i++) { /* all alike but for their subject */
        char question[64];
        snprintf(question, sizeof question,
                 i % 3 == 0 ? "Is apple %zu sweet?" : "Does dog %zu bark?", i);
        json_object_set_new(json_array_get(t->items, i), "question", json_string(question));
    }
    const prompt_variant v = {.n_shots = 4, .nearest = true};
    CHECK_OK(prompt_show(&text, t, &v, false, 1));
    if (text) {
        const char *last = text, *kind;
        for (const char *at = text; (at = strstr(at, "Question: ")); at++) last = at;
        kind = strstr(last, "apple") ? "apple" : "dog";
        size_t n = 0;
        for (const char *at = text; (at = strstr(at, kind)); at++) n++;
        CHECK_MSG(n == 5, "%zu: %s", n, text);
    }
    mem_free(text);
    task_close(t);
}

static void failed_allocations_leak_nothing(void) {
    task *t = open_logic();
    if (!t) return;
    const prompt_variant v = {.instruction = "Be kind.", .n_shots = 2};
    hone_status status = HONE_ERR_MEMORY;
    for (long n = 1; n < 100000 && status != HONE_OK; n += 1 + n / 8) {
        char *text = NULL;
        mem_fail_from(n);
        status = prompt_show(&text, t, &v, false, 1);
        mem_fail_from(0);
        CHECK(status == HONE_OK || status == HONE_ERR_MEMORY);
        mem_free(text);
    }
    CHECK_OK(status);
    task_close(t);
}

static void a_task_that_is_too_small_is_refused(void) {
    task *t = open_logic();
    char *text = NULL;
    if (!t) return;
    t->n_items = 7;
    CHECK(prompt_show(&text, t, &(prompt_variant){.n_shots = 1}, false, 1) == HONE_ERR_ARGUMENT);
    task_close(t);
}

int main(void) {
    RUN(no_item_held_out_is_tried_or_an_example);
    RUN(the_task_itself_is_left_as_it_was);
    RUN(order_changes_the_places_and_not_the_examples);
    RUN(the_nearest_examples_are_those_that_share_most_words);
    RUN(failed_allocations_leak_nothing);
    RUN(a_task_that_is_too_small_is_refused);
    return test_summary();
}
