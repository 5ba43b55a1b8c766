/* Intervals and tests on examples that can be checked by hand. */
#include "base/stats.h"

#include "base/mem.h"
#include "test.h"

/* --- repeated measurements --- */

static void the_median_of_an_odd_number_is_the_middle_one(void) {
    double values[] = {5, 1, 3};
    spread s = spread_of(values, 3);
    CHECK(s.n == 3 && s.median == 3 && s.min == 1 && s.max == 5);
}

static void the_median_of_an_even_number_lies_between_the_middle_two(void) {
    double values[] = {4, 1, 2, 9};
    CHECK_NEAR(spread_of(values, 4).median, 3, 0);
}

static void one_value_has_no_confidence(void) {
    double values[] = {7};
    spread s = spread_of(values, 1);
    CHECK(s.median == 7 && s.low == 7 && s.high == 7 && s.confidence == 0);
}

/* Tabled, for example in Conover, Practical Nonparametric Statistics: n = 5 gives 1 − 2/32 for
 * smallest to largest; n = 6 is the first with 95 %; n = 10 allows the second to the ninth
 * value. */
static void the_interval_is_as_tabled(void) {
    double values[10] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10};
    spread five = spread_of(values, 5), six = spread_of(values, 6), ten = spread_of(values, 10);
    CHECK(five.low == 1 && five.high == 5);
    CHECK_NEAR(five.confidence, 0.9375, 1e-12);
    CHECK(six.low == 1 && six.high == 6);
    CHECK_NEAR(six.confidence, 0.96875, 1e-12);
    CHECK(ten.low == 2 && ten.high == 9);
    CHECK_NEAR(ten.confidence, 0.978515625, 1e-12);
}

static void the_interval_is_narrower_than_the_range_where_there_are_many_values(void) {
    double values[101];
    for (int i = 0; i < 101; i++) values[i] = (i * 37) % 101;
    spread s = spread_of(values, 101);
    CHECK(s.median == 50 && s.low == 40 && s.high == 60);
    CHECK(s.confidence >= 0.95 && s.confidence < 0.97);
    CHECK_NEAR(spread_width(&s), 0.4, 1e-12);
}

/* Its ranks for many values follow the normal approximation, n/2 ± 0.98 √n; the chance that no
 * value lies below the median, 2⁻ⁿ, is less than the smallest double. */
static void many_values_do_not_underflow(void) {
    enum { N = 10001 };
    static double values[N];
    for (int i = 0; i < N; i++) values[i] = i;
    spread s = spread_of(values, N);
    CHECK(s.median == 5000);
    CHECK_NEAR(s.low, 5000 - 98, 1.5);
    CHECK_NEAR(s.confidence, 0.95, 0.0025);
}

/* --- shares and means --- */

static void wilson_is_as_worked(void) {
    estimate half = stats_wilson(94, 200), all = stats_wilson(10, 10), four = stats_wilson(3, 4);
    CHECK_NEAR(half.value, 0.47, 1e-12);
    CHECK_NEAR(half.low, 0.402, 5e-4);
    CHECK_NEAR(half.high, 0.539, 5e-4);
    CHECK_NEAR(all.low, 0.722, 5e-4);
    CHECK_NEAR(all.high, 1, 1e-12);
    CHECK_NEAR(four.low, 0.301, 5e-4);
    CHECK_NEAR(four.high, 0.954, 5e-4);
}

static void quantiles_are_the_smallest_value_that_reaches_the_share(void) {
    const double sorted[] = {1, 2, 3, 4};
    CHECK(stats_quantile(sorted, 4, 0) == 1 && stats_quantile(sorted, 4, 0.25) == 1);
    CHECK(stats_quantile(sorted, 4, 0.26) == 2 && stats_quantile(sorted, 4, 1) == 4);
}

static void the_paired_bootstrap_is_as_worked(void) {
    const double d[] = {1, 0, 1, -1, 0, 1, 0, 1};
    for (uint64_t seed = 1; seed <= 3; seed++) {
        estimate e, again;
        if (!CHECK_OK(stats_bootstrap_mean(&e, d, 8, seed))) return;
        CHECK_OK(stats_bootstrap_mean(&again, d, 8, seed));
        CHECK_NEAR(e.value, 0.375, 0);
        CHECK_NEAR(e.low, -0.125, 0);
        CHECK_NEAR(e.high, 0.875, 0);
        CHECK(e.low == again.low && e.high == again.high);
    }
}

/* Corpus figures: errors and words add up over the drawn clips before they are divided. */
static void rate_of_drawn(void *user, const uint32_t *drawn, size_t n, double *values) {
    const double(*clips)[2] = user;
    double errors = 0, words = 0;
    for (size_t i = 0; i < n; i++) {
        errors += clips[drawn[i]][0];
        words += clips[drawn[i]][1];
    }
    values[0] = errors / words;
    values[1] = words;
}

static void corpus_figures_are_drawn_whole(void) {
    double clips[2][2] = {{2, 6}, {1, 2}};
    estimate e[2];
    if (!CHECK_OK(stats_bootstrap(e, 2, 2, rate_of_drawn, clips, 1))) return;
    CHECK_NEAR(e[0].value, 3.0 / 8.0, 1e-12);
    CHECK_NEAR(e[0].low, 2.0 / 6.0, 1e-12); /* the first clip twice, the second twice */
    CHECK_NEAR(e[0].high, 1.0 / 2.0, 1e-12);
    CHECK(e[1].low == 4 && e[1].high == 12);
}

/* --- comparisons --- */

static void mcnemar_is_as_worked(void) {
    CHECK_NEAR(stats_mcnemar(3, 12), 2 * (1 + 15 + 105 + 455) / 32768.0, 1e-12);
    CHECK_NEAR(stats_mcnemar(12, 3), 2 * (1 + 15 + 105 + 455) / 32768.0, 1e-12);
    CHECK_NEAR(stats_mcnemar(0, 5), 0.0625, 1e-12);
    CHECK_NEAR(stats_mcnemar(0, 6), 0.03125, 1e-12);
    CHECK(stats_mcnemar(0, 0) == 1 && stats_mcnemar(7, 7) == 1);
    CHECK_NEAR(stats_mcnemar(7, 8), 1, 1e-12);
    CHECK_NEAR(stats_mcnemar(4900, 5100), 0.0466, 5e-4); /* normal with continuity: 0.0466 */
    CHECK(stats_mcnemar(0, 100000) >= 0 && stats_mcnemar(0, 100000) < 1e-300);
}

static void holm_is_as_worked_whatever_the_order(void) {
    const double p[] = {0.04, 0.005, 0.03, 0.01}, many[] = {0.9, 0.8, 0.7};
    double adjusted[4];
    if (!CHECK_OK(stats_holm(adjusted, p, 4))) return;
    CHECK_NEAR(adjusted[1], 0.020, 1e-12);
    CHECK_NEAR(adjusted[3], 0.030, 1e-12);
    CHECK_NEAR(adjusted[2], 0.060, 1e-12);
    CHECK_NEAR(adjusted[0], 0.060, 1e-12);
    CHECK_OK(stats_holm(adjusted, many, 3));
    CHECK(adjusted[0] == 1 && adjusted[1] == 1 && adjusted[2] == 1);
}

static void sample_sizes_are_as_worked_both_ways(void) {
    CHECK(stats_paired_sample_size(0.2, 0.05) == 626);
    CHECK(stats_paired_sample_size(0.2, -0.05) == 626);
    CHECK(stats_paired_sample_size(0.1, 0.02) == 1960);
    CHECK(stats_paired_sample_size(0.1, 1e-12) == SIZE_MAX);
    CHECK_NEAR(stats_smallest_difference(0.2, 200), 0.088, 5e-4);
    CHECK(stats_smallest_difference(0.2, 1) == 0.2); /* more than differs cannot show */
}

static void short_memory_is_an_error(void) {
    const double p[] = {0.5, 0.1};
    double adjusted[2];
    estimate e;
    for (long n = 1; n <= 3; n++) {
        mem_fail_from(n);
        CHECK(stats_bootstrap_mean(&e, p, 2, 1) == HONE_ERR_MEMORY);
        mem_fail_from(0);
    }
    mem_fail_from(1);
    CHECK(stats_holm(adjusted, p, 2) == HONE_ERR_MEMORY);
    mem_fail_from(0);
}

int main(void) {
    RUN(the_median_of_an_odd_number_is_the_middle_one);
    RUN(the_median_of_an_even_number_lies_between_the_middle_two);
    RUN(one_value_has_no_confidence);
    RUN(the_interval_is_as_tabled);
    RUN(the_interval_is_narrower_than_the_range_where_there_are_many_values);
    RUN(many_values_do_not_underflow);
    RUN(wilson_is_as_worked);
    RUN(quantiles_are_the_smallest_value_that_reaches_the_share);
    RUN(the_paired_bootstrap_is_as_worked);
    RUN(corpus_figures_are_drawn_whole);
    RUN(mcnemar_is_as_worked);
    RUN(holm_is_as_worked_whatever_the_order);
    RUN(sample_sizes_are_as_worked_both_ways);
    RUN(short_memory_is_an_error);
    return test_summary();
}
