/* Verdicts: pairs of items, their correction, and what is said where nothing can be told. */
#include "base/mem.h"
#include "lab/compare.h"
#include "test.h"

enum { N_ITEMS = 60 };

static task shared_task = {.name = "made", .n_items = N_ITEMS};

/* A result of which item i is right where pattern[i % strlen] is '1'. */
static eval_result made_result(const char *pattern, const metric *m) {
    eval_result r = {.task = &shared_task, .n_items = N_ITEMS, .n_done = N_ITEMS, .n_figures = 1};
    r.items = mem_calloc(N_ITEMS, sizeof *r.items);
    for (size_t i = 0; i < N_ITEMS; i++) {
        double hit = pattern[i % strlen(pattern)] == '1';
        r.items[i] = (eval_item){.index = i, .done = true, .counts = {{{hit, 1}}}};
    }
    r.figures[0] = (eval_figure){.name = m->name, .metric = m, .n = N_ITEMS};
    return r;
}

static comparison made(compare_entry *entries, const compare_settings *settings, size_t n) {
    comparison c = {.entries = entries, .n_entries = n, .settings = settings};
    CHECK_OK(compare_judge(&c));
    return c;
}

static task *const tasks[] = {&shared_task};
static const compare_settings pairs = {.tasks = tasks, .n_tasks = 1, .all_pairs = true,
                                       .eval = {.seed = 1}};

static compare_entry entry(const char *label, const char *pattern, const metric *m) {
    compare_entry e = {.label = label, .model = label, .n_results = 1};
    e.results[0] = made_result(pattern, m);
    return e;
}

static void a_system_beside_itself_is_not_distinguishable(void) {
    compare_entry e[] = {entry("a", "10110", &metric_accuracy), entry("b", "10110", &metric_accuracy)};
    comparison c = made(e, &pairs, 2);
    CHECK(c.n_verdicts == 1 && c.verdicts[0].outcome == COMPARE_OPEN && c.verdicts[0].p == 1);
    CHECK(c.verdicts[0].difference.value == 0 && c.verdicts[0].n_needed == 0);
    compare_release(&c);
}

/* 12 items only b solves, none only a: p = 2 / 2^12. */
static void a_clear_difference_is_found_in_both_directions(void) {
    compare_entry e[] = {entry("a", "01000", &metric_accuracy), entry("b", "11000", &metric_accuracy)};
    comparison c = made(e, &pairs, 2);
    const compare_verdict *v = &c.verdicts[0];
    CHECK(v->a == 1 && v->b == 0 && v->outcome == COMPARE_BETTER && v->n == N_ITEMS);
    CHECK_NEAR(v->p, 2.0 / 4096, 1e-12);
    CHECK_NEAR(v->difference.value, 0.2, 1e-12);
    CHECK(v->difference.low > 0 && v->difference.high < 0.4);
    compare_release(&c);
    compare_entry swapped[] = {entry("b", "11000", &metric_accuracy), entry("a", "01000", &metric_accuracy)};
    c = made(swapped, &pairs, 2);
    CHECK(c.verdicts[0].outcome == COMPARE_WORSE);
    compare_release(&c);
}

/* Six differing items: p = 0.031 alone, too much among three comparisons. */
static void many_comparisons_are_corrected(void) {
    compare_entry two[] = {entry("a", "0111111111", &metric_accuracy), entry("b", "1", &metric_accuracy)};
    comparison c = made(two, &pairs, 2);
    CHECK(c.verdicts[0].outcome == COMPARE_BETTER);
    compare_release(&c);
    compare_entry three[] = {entry("a", "0111111111", &metric_accuracy), entry("b", "1", &metric_accuracy),
                             entry("c", "1", &metric_accuracy)};
    c = made(three, &pairs, 3);
    CHECK(c.n_verdicts == 3 && c.verdicts[0].outcome == COMPARE_OPEN);
    CHECK_NEAR(c.verdicts[0].p_adjusted, 3 * 0.03125, 1e-9);
    CHECK(c.verdicts[0].n_needed == stats_paired_sample_size(0.1, 0.1));
    compare_release(&c);
}

/* Of word error rate less is better. */
static void less_is_better_where_the_metric_says_so(void) {
    compare_entry e[] = {entry("a", "1", &metric_word_error_rate), entry("b", "01", &metric_word_error_rate)};
    comparison c = made(e, &pairs, 2);
    CHECK(c.verdicts[0].difference.value < 0 && c.verdicts[0].outcome == COMPARE_BETTER);
    compare_release(&c);
}

/* Only what both have done counts; an entry without results has no verdicts. */
static void unfinished_entries_are_compared_as_far_as_they_go(void) {
    compare_entry e[] = {entry("a", "1", &metric_accuracy), entry("b", "1", &metric_accuracy),
                         {.label = "c", .model = "c"}};
    for (size_t i = 10; i < N_ITEMS; i++) e[1].results[0].items[i].done = false;
    comparison c = made(e, &pairs, 3);
    CHECK(c.n_verdicts == 1 && c.verdicts[0].n == 10);
    compare_release(&c);
    compare_settings first_only = pairs;
    first_only.all_pairs = false;
    compare_entry f[] = {entry("a", "1", &metric_accuracy), entry("b", "0", &metric_accuracy),
                         entry("c", "0", &metric_accuracy)};
    c = made(f, &first_only, 3);
    CHECK(c.n_verdicts == 2 && c.verdicts[1].a == 2 && c.verdicts[1].b == 0);
    compare_release(&c);
}

int main(void) {
    RUN(a_system_beside_itself_is_not_distinguishable);
    RUN(a_clear_difference_is_found_in_both_directions);
    RUN(many_comparisons_are_corrected);
    RUN(less_is_better_where_the_metric_says_so);
    RUN(unfinished_entries_are_compared_as_far_as_they_go);
    return test_summary();
}
