/* infer/speculate.h and infer/ngram_draft.h: a draft changes the speed and never the answer. */
#include "test.h"

#include <stdint.h>

#include "base/philox.h"
#include "infer/ngram_draft.h"
#include "infer/sampler.h"
#include "infer/speculate.h"

static const float target[3] = {0.5f, 0.3f, 0.2f}, draft[3] = {0.2f, 0.7f, 0.1f};

static void acceptance_is_that_of_example_g(void) {
    CHECK_NEAR(speculate_acceptance(target, draft, 0), 1, 0);
    CHECK_NEAR(speculate_acceptance(target, draft, 1), 0.428571, 1e-6);
    CHECK_NEAR(speculate_acceptance(target, draft, 2), 1, 0);
    CHECK_NEAR(speculate_overlap(target, draft, 3, 0), 0.6, 1e-7);
    CHECK_NEAR(speculate_overlap(target, NULL, 3, 1), 0.3, 1e-7);
}

static int32_t choose(const float *q, int32_t drafted, double u_accept, double u_residual) {
    bool accepted;
    int32_t token = speculate_choose(target, q, 3, drafted, u_accept, u_residual, &accepted);
    CHECK(accepted == (token == drafted));
    return token;
}

static void the_residual_is_that_of_example_g(void) {
    CHECK(choose(draft, 1, 0.4285, 0) == 1);
    CHECK(choose(draft, 1, 0.4286, 0) == 0);
    CHECK(choose(draft, 1, 0.99, 0.7499) == 0); /* residual 0.75, 0, 0.25 */
    CHECK(choose(draft, 1, 0.99, 0.7501) == 2);
    CHECK(choose(draft, 1, 0.99, 1 - 0x1p-24) == 2);
    CHECK(choose(draft, 0, 1 - 0x1p-24, 0.5) == 0);
    /* one-hot: residual 0.5, 0, 0.2 over 0.7 */
    CHECK(choose(NULL, 1, 0.299, 0) == 1);
    CHECK(choose(NULL, 1, 0.301, 0.714) == 0);
    CHECK(choose(NULL, 1, 0.301, 0.715) == 2);
}

static void equal_distributions_never_refuse(void) {
    for (int32_t x = 0; x < 3; x++) {
        bool accepted = false;
        CHECK(speculate_choose(target, target, 3, x, 1 - 0x1p-24, 0.3, &accepted) == x);
        CHECK(accepted);
    }
    /* p below q everywhere by rounding: there is no residual to draw from */
    static const float above[3] = {0.6f, 0.3f, 0.2f};
    bool accepted = false;
    CHECK(speculate_choose(target, above, 3, 0, 1 - 0x1p-24, 0.3, &accepted) == 0);
    CHECK(accepted);
}

/* A token that the draft would never have named comes out as often as it should. */
static void check_distribution(const float *p, const float *q, int32_t fixed, uint64_t seed) {
    enum { N = 100000 };
    double counts[3] = {0}, chi2 = 0;
    for (uint32_t step = 0; step < N; step++) {
        double u = sampler_uniform(seed, step, DRAW_TOKEN, 0);
        int32_t drafted = fixed;
        if (q) drafted = u < q[0] ? 0 : u < q[0] + q[1] ? 1 : 2;
        bool accepted;
        counts[speculate_choose(p, q, 3, drafted, sampler_uniform(seed, step, DRAW_ACCEPT, 0),
                                sampler_uniform(seed, step, DRAW_RESIDUAL, 0), &accepted)]++;
    }
    for (int i = 0; i < 3; i++)
        chi2 += (counts[i] - N * p[i]) * (counts[i] - N * p[i]) / (N * p[i]);
    CHECK_MSG(chi2 < 13.8, "%g, seed %llu; 2 degrees of freedom pass 13.8 once in 1000", chi2,
              (unsigned long long)seed);
}

static void tokens_are_distributed_as_the_target(void) {
    static const float never_2[3] = {0.5f, 0.5f, 0};
    printf("chi-square: seeds 1 to 3\n");
    check_distribution(target, draft, 0, 1);
    check_distribution(target, never_2, 0, 2);
    check_distribution(target, NULL, 1, 3);
}

/* --- look-up --- */

static size_t plain_ngram(const int32_t *history, size_t n, int32_t *out, size_t k) {
    for (size_t m = NGRAM_LONGEST; m > 0; m--) {
        if (n <= m) continue;
        for (size_t at = n - m; at-- > 0;) {
            if (memcmp(history + at, history + n - m, m * sizeof *history) != 0) continue;
            size_t found = n - (at + m) < k ? n - (at + m) : k;
            memcpy(out, history + at + m, found * sizeof *out);
            return found;
        }
    }
    return 0;
}

static void look_up_finds_the_longest_then_the_latest(void) {
    int32_t out[8] = {0};
    static const int32_t longest[] = {1, 2, 3, 7, 8, 2, 3, 9, 3, 6, 1, 2, 3};
    CHECK(ngram_draft(longest, 13, out, 2) == 2 && out[0] == 7 && out[1] == 8);
    static const int32_t latest[] = {1, 2, 5, 1, 2, 6, 1, 2};
    CHECK(ngram_draft(latest, 8, out, 8) == 3 && out[0] == 6 && out[1] == 1 && out[2] == 2);
    static const int32_t overlapping[] = {4, 4, 4};
    CHECK(ngram_draft(overlapping, 3, out, 8) == 1 && out[0] == 4);
    static const int32_t none[] = {1, 2, 3, 4};
    CHECK(ngram_draft(none, 4, out, 8) == 0);
    CHECK(ngram_draft(none, 1, out, 8) == 0 && ngram_draft(NULL, 0, out, 8) == 0);
    CHECK(ngram_draft(latest, 8, out, 0) == 0);
}

static void look_up_equals_its_definition(void) {
    printf("look-up: random words of key 11\n");
    for (uint32_t round = 0; round < 20000; round++) {
        int32_t history[100], found[6], expected[6];
        philox_block first = philox4x32((philox_block){{round}}, 11);
        size_t n = first.word[0] % 101, k = first.word[1] % 7;
        uint32_t alphabet = 1 + first.word[2] % 30;
        for (uint32_t i = 0; i < n; i++) {
            philox_block random = philox4x32((philox_block){{round, i + 1}}, 11);
            history[i] = (int32_t)(random.word[0] % alphabet);
        }
        size_t n_found = ngram_draft(history, n, found, k);
        CHECK_MSG(n_found == plain_ngram(history, n, expected, k), "round %u", (unsigned)round);
        CHECK_MSG(memcmp(found, expected, n_found * sizeof *found) == 0, "round %u",
                  (unsigned)round);
    }
}

int main(void) {
    RUN(acceptance_is_that_of_example_g);
    RUN(the_residual_is_that_of_example_g);
    RUN(equal_distributions_never_refuse);
    RUN(tokens_are_distributed_as_the_target);
    RUN(look_up_finds_the_longest_then_the_latest);
    RUN(look_up_equals_its_definition);
    return test_summary();
}
