/* What `hone bench` says of repeated measurements. */
#include "lab/spread.c"
#include "test.h"

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

int main(void) {
    RUN(the_median_of_an_odd_number_is_the_middle_one);
    RUN(the_median_of_an_even_number_lies_between_the_middle_two);
    RUN(one_value_has_no_confidence);
    RUN(the_interval_is_as_tabled);
    RUN(the_interval_is_narrower_than_the_range_where_there_are_many_values);
    return test_summary();
}
