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
static const compare_settings pairs = {.tasks = tasks, .n_tasks = 1, .eval = {.seed = 1}};

static compare_entry entry(const char *label, const char *pattern, const metric *m) {
    compare_entry e = {.label = label, .model = label, .n_results = 1};
    e.results[0] = made_result(pattern, m);
    return e;
}

static void a_system_beside_itself_is_not_distinguishable(void) {
    compare_entry e[] = {entry("a", "10110", &metric_accuracy),
                         entry("b", "10110", &metric_accuracy)};
    comparison c = made(e, &pairs, 2);
    CHECK(c.n_verdicts == 1 && c.verdicts[0].outcome == COMPARE_OPEN && c.verdicts[0].p == 1);
    CHECK(c.verdicts[0].difference.value == 0 && c.verdicts[0].n_needed == 0);
    compare_release(&c);
}

/* 12 items only b solves, none only a: p = 2 / 2^12. */
static void a_clear_difference_is_found_in_both_directions(void) {
    compare_entry e[] = {entry("a", "01000", &metric_accuracy),
                         entry("b", "11000", &metric_accuracy)};
    comparison c = made(e, &pairs, 2);
    const compare_verdict *v = &c.verdicts[0];
    CHECK(v->a == 1 && v->b == 0 && v->outcome == COMPARE_BETTER && v->n == N_ITEMS);
    CHECK_NEAR(v->p, 2.0 / 4096, 1e-12);
    CHECK_NEAR(v->difference.value, 0.2, 1e-12);
    CHECK(v->difference.low > 0 && v->difference.high < 0.4);
    compare_release(&c);
    compare_entry swapped[] = {entry("b", "11000", &metric_accuracy),
                               entry("a", "01000", &metric_accuracy)};
    c = made(swapped, &pairs, 2);
    CHECK(c.verdicts[0].outcome == COMPARE_WORSE);
    compare_release(&c);
}

/* Six differing items: p = 0.031 alone, too much among three comparisons. */
static void many_comparisons_are_corrected(void) {
    compare_entry two[] = {entry("a", "0111111111", &metric_accuracy),
                           entry("b", "1", &metric_accuracy)};
    comparison c = made(two, &pairs, 2);
    CHECK(c.verdicts[0].outcome == COMPARE_BETTER);
    compare_release(&c);
    compare_entry three[] = {entry("a", "0111111111", &metric_accuracy),
                             entry("b", "1", &metric_accuracy), entry("c", "1", &metric_accuracy)};
    c = made(three, &pairs, 3);
    CHECK(c.n_verdicts == 3 && c.verdicts[0].outcome == COMPARE_OPEN);
    CHECK_NEAR(c.verdicts[0].p_adjusted, 3 * 0.03125, 1e-9);
    CHECK(c.verdicts[0].n_needed == stats_paired_sample_size(0.1, 0.1));
    compare_release(&c);
}

/* Of word error rate less is better. */
static void less_is_better_where_the_metric_says_so(void) {
    compare_entry e[] = {entry("a", "1", &metric_word_error_rate),
                         entry("b", "01", &metric_word_error_rate)};
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
}

/* --- strategies --- */

static compare_entry of_role(compare_role role, size_t base, const char *pattern, double seconds) {
    compare_entry e = entry("x", pattern, &metric_accuracy);
    e.role = role;
    e.base = base;
    e.results[0].answer_seconds = seconds;
    e.results[0].n_tokens = (size_t)(100 * seconds);
    return e;
}

static bool has_pair(const comparison *c, size_t a, size_t b) {
    for (size_t i = 0; i < c->n_verdicts; i++)
        if (c->verdicts[i].a == a && c->verdicts[i].b == b) return true;
    return false;
}

/* Two models, each with its controls and a strategy, and one instead of them. */
static void each_strategy_stands_beside_its_own_model(void) {
    compare_entry e[] = {of_role(COMPARE_NONE, 0, "1", 1), of_role(COMPARE_ONE_DRAW, 0, "1", 1),
                         of_role(COMPARE_CONTROL, 1, "1", 1), of_role(COMPARE_STRATEGY, 0, "1", 1),
                         of_role(COMPARE_NONE, 0, "1", 1), of_role(COMPARE_STRATEGY, 4, "1", 1),
                         of_role(COMPARE_INSTEAD, 0, "1", 1)};
    comparison c = made(e, &pairs, 7);
    CHECK_MSG(c.n_verdicts == 8, "%zu", c.n_verdicts);
    CHECK(has_pair(&c, 1, 0) && has_pair(&c, 2, 1) && has_pair(&c, 3, 0) && has_pair(&c, 5, 4));
    CHECK(has_pair(&c, 4, 0) && has_pair(&c, 3, 6) && has_pair(&c, 5, 6) && has_pair(&c, 6, 0));
    CHECK(c.n_advice == 2 && c.advice[0].entry == 3 && c.advice[1].entry == 5);
    compare_release(&c);
}

static compare_advice advice_on(const char *none, const char *strategy, const char *instead,
                                double instead_seconds) {
    compare_entry e[3] = {of_role(COMPARE_NONE, 0, none, 2),
                          of_role(COMPARE_STRATEGY, 0, strategy, 8)};
    if (instead) e[2] = of_role(COMPARE_INSTEAD, 0, instead, instead_seconds);
    comparison c = made(e, &pairs, instead ? 3 : 2);
    compare_advice x = c.n_advice == 1 ? c.advice[0] : (compare_advice){.n = 0};
    compare_release(&c);
    return x;
}

static void a_strategy_is_used_where_it_wins_and_nothing_cheaper_does(void) {
    compare_advice x = advice_on("1000", "1110", NULL, 0);
    CHECK(x.use == COMPARE_USE && x.n == N_ITEMS && x.decided_by == 0);
    CHECK_NEAR(x.cost_seconds, 4, 1e-9);
    CHECK_NEAR(x.cost_tokens, 4, 1e-9);
    CHECK(advice_on("1110", "1000", NULL, 0).use == COMPARE_DO_NOT_USE);
    CHECK(advice_on("1110", "1110", NULL, 0).use == COMPARE_UNKNOWN);
    /* the larger model is better and costs no more; a dearer one says nothing */
    CHECK(advice_on("1000", "1100", "1111", 8).use == COMPARE_DO_NOT_USE);
    CHECK(advice_on("1000", "1100", "1111", 9).use == COMPARE_USE);
    CHECK(advice_on("1000", "1100", "1000", 3).use == COMPARE_USE);
}

/* Answers to one item are paired by their number. */
static void draws_are_paired_with_draws(void) {
    compare_entry e[] = {entry("a", "1", &metric_accuracy), entry("b", "0", &metric_accuracy)};
    for (size_t i = 0; i < N_ITEMS; i++)
        for (size_t k = 0; k < 2; k++) {
            e[k].results[0].items[i].index = i / 20;
            e[k].results[0].items[i].draw = i % 20;
        }
    for (size_t i = 20; i < 25; i++) e[1].results[0].items[i].done = false;
    comparison c = made(e, &pairs, 2);
    CHECK(c.verdicts[0].n == N_ITEMS - 5 && c.verdicts[0].difference.value == -1);
    compare_release(&c);
}

int main(void) {
    RUN(a_system_beside_itself_is_not_distinguishable);
    RUN(a_clear_difference_is_found_in_both_directions);
    RUN(many_comparisons_are_corrected);
    RUN(less_is_better_where_the_metric_says_so);
    RUN(unfinished_entries_are_compared_as_far_as_they_go);
    RUN(each_strategy_stands_beside_its_own_model);
    RUN(a_strategy_is_used_where_it_wins_and_nothing_cheaper_does);
    RUN(draws_are_paired_with_draws);
    return test_summary();
}
