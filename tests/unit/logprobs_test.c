/* infer/logprobs.h against sums by the C library's exp. */
#include "test.h"

#include <math.h>
#include <stdint.h>

#include "infer/logprobs.h"

enum { MOST = 3000, TOP = 5 };

static float logits[MOST];

static size_t random_below(size_t n) {
    static uint64_t state = 1;
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (size_t)(state >> 33) % n;
}

static void log_probabilities_are_those_of_example_f(void) {
    static const float example[6] = {2, 1, 0.5f, -0.5f, -1, -3};
    static const double expected[6] = {-0.547902, -1.547902, -2.047902,
                                       -3.047902, -3.547902, -5.547902};
    for (int32_t i = 0; i < 6; i++)
        CHECK_NEAR(logits_logprob(example, 6, i), expected[i], 1e-6);
}

static void ties_go_to_the_lower_id_and_infinity_is_impossible(void) {
    static const float few[5] = {1, -INFINITY, 3, 3, 0};
    int32_t ids[5];
    double logprobs[5];
    CHECK(logits_logprob(few, 5, 1) == -INFINITY);
    logits_top(few, 5, 4, ids, logprobs);
    CHECK(ids[0] == 2 && ids[1] == 3 && ids[2] == 0 && ids[3] == 4);
    for (int i = 0; i < 4; i++) CHECK(logprobs[i] == logits_logprob(few, 5, ids[i]));
    logits_top(few, 5, 5, ids, logprobs);
    CHECK(ids[4] == 1 && logprobs[4] == -INFINITY);
    CHECK(logits_best(few, 5) == 2 && logits_best(few, 1) == 0);
}

/* Random ones; in every second row a stretch is impossible, pieces and all. */
static void fill(size_t n, float scale, bool with_gaps) {
    for (size_t i = 0; i < n; i++) {
        logits[i] = ((float)random_below(20001) / 1000 - 10) * scale;
        if (with_gaps && i % 1500 < 1100 && i + 1 < n) logits[i] = -INFINITY;
    }
}

static void all_are_near_sums_in_double(void) {
    for (int trial = 0; trial < 60; trial++) {
        size_t n = 1 + random_below(MOST);
        bool with_gaps = trial % 2;
        fill(n, trial % 3 ? 0.5f : 4, with_gaps);
        double sum = 0, logit_sum = 0;
        for (size_t i = 0; i < n; i++) {
            sum += exp((double)logits[i]);
            logit_sum += (double)logits[i];
        }
        hone_piece piece = {.token = (int32_t)(n - 1)};
        top_logprobs top;
        logits_describe(logits, n, n, n < TOP ? n : TOP, &piece, &top);
        double expected = (double)logits[n - 1] - log(sum);
        CHECK_NEAR(piece.logprob, expected, 1e-12);
        CHECK_NEAR(logits_logprob(logits, n, piece.token), expected, 1e-12);
        if (with_gaps && n > 1) CHECK(piece.certainty == INFINITY);
        else CHECK_NEAR(piece.certainty, log(sum) - log((double)n) - logit_sum / (double)n, 1e-12);
    }
}

static void alternatives_are_the_most_probable(void) {
    for (int trial = 0; trial < 60; trial++) {
        size_t n = TOP + random_below(MOST - TOP);
        hone_piece piece = {.token = 0};
        top_logprobs top;
        bool taken[MOST] = {false};
        fill(n, 1, trial % 2);
        logits_describe(logits, n, n, TOP, &piece, &top);
        CHECK(piece.n_top == TOP);
        for (size_t t = 0; t < TOP; t++) {
            size_t best = n;
            for (size_t i = 0; i < n; i++)
                if (!taken[i] && (best == n || logits[i] > logits[best])) best = i;
            taken[best] = true;
            CHECK(piece.top_ids[t] == (int32_t)best);
            CHECK(t > 0 || logits_best(logits, n) == (int32_t)best);
            CHECK(piece.top_logprobs[t] == logits_logprob(logits, n, (int32_t)best));
        }
    }
}

/* Rows behind the last token count as probability, and are never offered. */
static void padding_is_no_alternative(void) {
    for (size_t n_known = TOP; n_known < MOST; n_known += 97) {
        hone_piece piece = {.token = 0};
        top_logprobs top;
        fill(MOST, 1, false);
        logits[MOST - 1] = 50;
        logits_describe(logits, MOST, n_known, TOP, &piece, &top);
        CHECK(piece.n_top == TOP);
        for (size_t t = 0; t < TOP; t++) CHECK(piece.top_ids[t] < (int32_t)n_known);
        CHECK(piece.logprob < -20);
    }
}

static void what_is_even_has_no_certainty(void) {
    hone_piece piece = {.token = 7};
    top_logprobs top;
    for (size_t i = 0; i < MOST; i++) logits[i] = 3.25f;
    logits_describe(logits, MOST, MOST, 0, &piece, &top);
    CHECK_NEAR(piece.certainty, 0, 1e-12);
    CHECK_NEAR(piece.logprob, -log(MOST), 1e-12);
    CHECK(piece.n_top == 0);
}

int main(void) {
    RUN(log_probabilities_are_those_of_example_f);
    RUN(ties_go_to_the_lower_id_and_infinity_is_impossible);
    RUN(all_are_near_sums_in_double);
    RUN(alternatives_are_the_most_probable);
    RUN(padding_is_no_alternative);
    RUN(what_is_even_has_no_certainty);
    return test_summary();
}
