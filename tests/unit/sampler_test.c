/* infer/sampler.h and base/philox.h against the worked examples of docs/sampling.md and against a
 * plain implementation that sorts everything. */
#include "test.h"

#include <float.h>
#include <stdint.h>

#include "base/mem.h"
#include "base/philox.h"
#include "infer/candidates.h"
#include "infer/sampler.h"

static const float example[6] = {2, 1, 0.5f, -0.5f, -1, -3};
static const double example_p[6] = {0.578162, 0.212694, 0.129005, 0.047458, 0.028785, 0.003896};

static hone_sampling neutral(void) {
    hone_sampling p = hone_sampling_greedy();
    p.temperature = 1;
    return p;
}

static sampler *open_sampler(hone_sampling parameters, size_t n_vocab) {
    sampler *s = NULL;
    CHECK_OK(sampler_open(&s, &parameters, n_vocab));
    return s;
}

static int32_t pick(hone_sampling parameters, const float *logits, size_t n_vocab,
                    sampler_place place) {
    sampler *s = open_sampler(parameters, n_vocab);
    int32_t token = -1;
    CHECK_OK(sampler_pick(s, logits, &place, &token));
    sampler_close(s);
    return token;
}

static void distribution(hone_sampling parameters, const float *logits, size_t n_vocab,
                         sampler_place place, float *p) {
    sampler *s = open_sampler(parameters, n_vocab);
    CHECK_OK(sampler_distribution(s, logits, &place, p));
    sampler_close(s);
}

/* The ids that are left of the example, as bits. */
static unsigned kept_of_example(hone_sampling parameters) {
    float p[6];
    distribution(parameters, example, 6, (sampler_place){0}, p);
    unsigned kept = 0;
    for (int i = 0; i < 6; i++) kept |= (unsigned)(p[i] > 0) << i;
    return kept;
}

/* --- random numbers --- */

static void check_philox(philox_block counter, uint64_t key, philox_block expected) {
    philox_block found = philox4x32(counter, key);
    for (int i = 0; i < 4; i++)
        CHECK_MSG(found.word[i] == expected.word[i], "word %d: %08x, expected %08x", i,
                  (unsigned)found.word[i], (unsigned)expected.word[i]);
}

static void philox_gives_the_published_words(void) {
    uint32_t ones = 0xFFFFFFFFu;
    check_philox((philox_block){{0}}, 0,
                 (philox_block){{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}});
    check_philox((philox_block){{ones, ones, ones, ones}}, UINT64_MAX,
                 (philox_block){{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}});
    check_philox((philox_block){{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}},
                 0x299f31d0a4093822u,
                 (philox_block){{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}});
}

static void uniforms_are_those_of_the_example(void) {
    static const double expected[8] = {0.612960, 0.987719, 0.825867, 0.729599,
                                       0.326418, 0.314847, 0.225482, 0.358360};
    for (uint32_t step = 0; step < 8; step++)
        CHECK_NEAR(sampler_uniform(42, step, DRAW_TOKEN, 0), expected[step], 6e-7);
}

static void uniforms_differ_by_each_of_seed_step_use_and_sequence(void) {
    double base = sampler_uniform(42, 1, DRAW_TOKEN, 0);
    CHECK(base != sampler_uniform(43, 1, DRAW_TOKEN, 0));
    CHECK(base != sampler_uniform(42 + (1ull << 32), 1, DRAW_TOKEN, 0));
    CHECK(base != sampler_uniform(42, 2, DRAW_TOKEN, 0));
    CHECK(base != sampler_uniform(42, 1, DRAW_ACCEPT, 0));
    CHECK(base != sampler_uniform(42, 1, DRAW_RESIDUAL, 0));
    CHECK(base != sampler_uniform(42, 1, DRAW_TOKEN, 1));
}

/* --- the worked examples --- */

static void penalties_are_those_of_example_a(void) {
    static const int32_t history[] = {0, 0, 3};
    hone_sampling p = neutral();
    p.repetition_penalty = 1.1f;
    p.repeat_last_n = 64;
    sampler_place place = {.history = history, .n_history = 3};
    static const double penalised[6] = {1.818182, 1, 0.5, -0.55, -1, -3};
    float found[6];
    distribution(p, example, 6, place, found);
    for (int i = 1; i < 6; i++)
        CHECK_NEAR(log(found[i] / found[1]), penalised[i] - penalised[1], 1e-5);

    p.frequency_penalty = 0.5f;
    p.presence_penalty = 0.25f;
    place.n_generated = 3;
    static const double expected[6] = {0.25872, 0.398443, 0.241668, 0.039947, 0.053923, 0.007298};
    distribution(p, example, 6, place, found);
    for (int i = 0; i < 6; i++) CHECK_NEAR(found[i], expected[i], 1e-6);
    p.temperature = 0;
    CHECK(pick(p, example, 6, place) == 1);
}

static void filters_keep_what_example_b_says(void) {
    static const struct {
        float top_p;
        unsigned kept;
    } nucleus[] = {{0, 1}, {0.5f, 1}, {0.8f, 7}, {0.85f, 7}, {0.9f, 7}, {0.95f, 15}, {1, 63}};
    for (size_t i = 0; i < sizeof nucleus / sizeof *nucleus; i++) {
        hone_sampling p = neutral();
        p.top_p = nucleus[i].top_p;
        CHECK_MSG(kept_of_example(p) == nucleus[i].kept, "top_p %g", (double)p.top_p);
    }
    hone_sampling min_p = neutral();
    min_p.min_p = 0.1f;
    CHECK(kept_of_example(min_p) == 7);
    min_p.min_p = 1;
    CHECK(kept_of_example(min_p) == 1);
    static const struct {
        float typical_p;
        unsigned kept;
    } typical[] = {{0, 2}, {0.2f, 2}, {0.5f, 3}, {0.9f, 7}, {0.95f, 15}, {1, 63}};
    for (size_t i = 0; i < sizeof typical / sizeof *typical; i++) {
        hone_sampling p = neutral();
        p.typical_p = typical[i].typical_p;
        CHECK_MSG(kept_of_example(p) == typical[i].kept, "typical_p %g", (double)p.typical_p);
    }
    hone_sampling top_k = neutral();
    top_k.top_k = 2;
    CHECK(kept_of_example(top_k) == 3);
    top_k.top_k = 6;
    CHECK(kept_of_example(top_k) == 63);
    top_k.top_k = INT32_MAX;
    CHECK(kept_of_example(top_k) == 63);
}

static void chains_give_example_c_in_both_orders(void) {
    static const struct {
        float temperature;
        bool first;
        double expected[6];
    } chains[] = {
        {0.5f, false, {0.843795, 0.114195, 0.04201}},
        {0.5f, true, {0.880797, 0.119203}},
        {2, false, {0.481024, 0.291756, 0.22722}},
        {2, true, {0.422761, 0.256418, 0.199698, 0.121123}},
    };
    for (size_t c = 0; c < 4; c++) {
        hone_sampling p = neutral();
        p.top_k = 5;
        p.top_p = 0.9f;
        p.min_p = 0.1f;
        p.temperature = chains[c].temperature;
        p.temperature_first = chains[c].first;
        float found[6];
        distribution(p, example, 6, (sampler_place){0}, found);
        for (int i = 0; i < 6; i++) CHECK_NEAR(found[i], chains[c].expected[i], 1e-6);
    }
}

static void draws_are_those_of_example_d(void) {
    static const int32_t expected[8] = {1, 4, 2, 1, 0, 0, 0, 0};
    hone_sampling p = neutral();
    p.seed = 42;
    for (uint32_t step = 0; step < 8; step++)
        CHECK(pick(p, example, 6, (sampler_place){.step = step}) == expected[step]);
}

static void ties_go_to_the_lower_id(void) {
    static const float logits[4] = {1, 3, 3, 0}, zeros[3] = {-1, -0.0f, 0.0f};
    CHECK(pick(hone_sampling_greedy(), logits, 4, (sampler_place){0}) == 1);
    CHECK(pick(hone_sampling_greedy(), zeros, 3, (sampler_place){0}) == 1);
    hone_sampling p = neutral();
    float found[4];
    p.top_k = 1;
    distribution(p, logits, 4, (sampler_place){0}, found);
    CHECK(found[1] == 1 && found[0] == 0 && found[2] == 0 && found[3] == 0);
    distribution(p, zeros, 3, (sampler_place){0}, found);
    CHECK(found[1] == 1 && found[2] == 0);
    p.top_k = 2;
    distribution(p, logits, 4, (sampler_place){0}, found);
    CHECK(found[1] == 0.5f && found[0] == 0 && found[2] == 0.5f && found[3] == 0);
}

/* Every weight is 1, every sum exact. */
static void limits_that_are_met_exactly_are_met(void) {
    static const float flat[4] = {2, 2, 2, 2};
    float found[4];
    for (int i = 0; i < 3; i++) {
        hone_sampling p = neutral();
        if (i == 0) p.top_p = 0.5f;
        if (i == 1) p.typical_p = 0.5f;
        if (i == 2) p.min_p = 1;
        distribution(p, flat, 4, (sampler_place){0}, found);
        float each = i == 2 ? 0.25f : 0.5f;
        CHECK(found[0] == each && found[1] == each);
        CHECK((found[2] > 0) == (i == 2) && (found[3] > 0) == (i == 2));
    }
    candidates c;
    CHECK_OK(candidates_init(&c, 4));
    memcpy(c.logits, flat, sizeof flat);
    static const double us[] = {0, 0.25, 0.4999, 0.5, 1 - 0x1p-24};
    static const int32_t expected[] = {0, 1, 1, 2, 3};
    for (int i = 0; i < 5; i++) {
        candidates_reset(&c);
        CHECK(candidates_draw(&c, us[i], 1) == expected[i]);
    }
    candidates_release(&c);
}

/* More tokens than are sorted by insertion: zeros of both signs, by id. */
static void zeros_of_both_signs_are_one_tie(void) {
    enum { N = 200 };
    float logits[N], found[N];
    for (int i = 0; i < N; i++) logits[i] = i % 2 ? 0.0f : -0.0f;
    hone_sampling p = neutral();
    p.top_k = 101;
    distribution(p, logits, N, (sampler_place){0}, found);
    for (int i = 0; i < N; i++) CHECK((found[i] > 0) == (i < 101));
}

/* --- what else is promised --- */

static void repetition_counts_the_window_and_frequency_the_answer(void) {
    static const int32_t history[] = {0, 1, 2, -7, 99, 2};
    static const float logits[4] = {4, 4, 4, 4};
    hone_sampling p = neutral();
    p.repetition_penalty = 2;
    sampler_place place = {.history = history, .n_history = 6, .n_generated = 1};
    float found[4];
    p.repeat_last_n = 0;
    distribution(p, logits, 4, place, found);
    CHECK(found[2] == 0.25f);
    p.repeat_last_n = 4; /* 2, two ids outside the vocabulary, 2 */
    distribution(p, logits, 4, place, found);
    CHECK(found[0] == found[1] && found[0] == found[3]);
    CHECK_NEAR(log(found[2] / found[0]), -2, 1e-6);
    p.repeat_last_n = -1;
    distribution(p, logits, 4, place, found);
    CHECK(found[0] == found[2]);
    CHECK_NEAR(log(found[0] / found[3]), -2, 1e-6);
    p = neutral();
    p.frequency_penalty = 1;
    distribution(p, logits, 4, place, found);
    CHECK(found[0] == found[1] && found[0] == found[3]);
    CHECK_NEAR(log(found[2] / found[0]), -1, 1e-6);
    place.n_generated = 6;
    distribution(p, logits, 4, place, found);
    CHECK_NEAR(log(found[2] / found[0]), -1, 1e-6);
    CHECK_NEAR(log(found[2] / found[3]), -2, 1e-6);
}

/* Counts and the order are scratch: nothing of a draw may reach the next one. */
static void a_draw_leaves_nothing_behind(void) {
    static const int32_t history[] = {0, 0, 3, 2};
    hone_sampling p = neutral();
    p.repetition_penalty = 1.3f;
    p.repeat_last_n = -1;
    p.frequency_penalty = 0.7f;
    p.typical_p = 0.9f;
    sampler_place long_place = {.history = history, .n_history = 4, .n_generated = 3};
    sampler_place empty_place = {0};
    float alone[6], after[6];
    distribution(p, example, 6, empty_place, alone);
    sampler *s = open_sampler(p, 6);
    CHECK_OK(sampler_distribution(s, example, &long_place, after));
    CHECK(memcmp(alone, after, sizeof alone) != 0);
    CHECK_OK(sampler_distribution(s, example, &empty_place, after));
    CHECK(memcmp(alone, after, sizeof alone) == 0);
    sampler_close(s);
}

static void bias_adds_exactly_its_number(void) {
    hone_logit_bias biases[] = {{1, 0.25f}, {2, -50}, {1, 0.25f}};
    hone_sampling p = neutral();
    p.biases = biases;
    p.n_biases = 3;
    sampler *s = open_sampler(p, 6);
    biases[0].bias = 7; /* the sampler has its own copy */
    float found[6];
    CHECK_OK(sampler_distribution(s, example, &(sampler_place){0}, found));
    CHECK_NEAR(log(found[1] / found[0]), -0.5, 1e-6);
    CHECK_NEAR(log(found[2] / found[0]), -51.5, 1e-5);
    sampler_close(s);
}

static void the_mask_removes_before_everything_else(void) {
    enum { N = 150 };
    float logits[N], found[N];
    for (int i = 0; i < N; i++) logits[i] = (float)-i;
    uint64_t mask[3] = {0, 1ull << 63 | 1ull << 3, ~0ull}; /* 67, 127, 128 … 149, and no token */
    sampler_place place = {.mask = mask};
    CHECK(pick(hone_sampling_greedy(), logits, N, place) == 67);
    hone_sampling p = neutral();
    p.top_k = 3;
    distribution(p, logits, N, place, found);
    for (int i = 0; i < N; i++) CHECK((found[i] > 0) == (i == 67 || i == 127 || i == 128));
    hone_logit_bias bias = {0, 100};
    p.biases = &bias;
    p.n_biases = 1;
    distribution(p, logits, N, place, found);
    CHECK(found[0] == 0);
}

static void impossible_logits_are_numeric_errors(void) {
    float logits[40];
    for (int i = 0; i < 40; i++) logits[i] = 0;
    uint64_t nothing = 1ull << 40; /* only beyond the vocabulary */
    float p[40];
    for (int greedy = 0; greedy < 2; greedy++) {
        sampler *s = open_sampler(greedy ? hone_sampling_greedy() : neutral(), 40);
        int32_t token = 77;
        sampler_place place = {.mask = &nothing};
        CHECK(sampler_pick(s, logits, &place, &token) == HONE_ERR_NUMERIC);
        CHECK(sampler_distribution(s, logits, &place, p) == HONE_ERR_NUMERIC);
        place.mask = NULL;
        for (int i = 0; i < 40; i += 13) { /* in whole blocks and behind them */
            logits[i] = NAN;
            CHECK(sampler_pick(s, logits, &place, &token) == HONE_ERR_NUMERIC);
            logits[i] = INFINITY;
            CHECK(sampler_pick(s, logits, &place, &token) == HONE_ERR_NUMERIC);
            logits[i] = 0;
        }
        CHECK(token == 77);
        CHECK_OK(sampler_pick(s, logits, &place, &token));
        sampler_close(s);
    }
}

static void extreme_logits_and_temperatures_still_draw(void) {
    static const float logits[4] = {-FLT_MAX, FLT_MAX, -INFINITY, 3e38f};
    static const float temperatures[] = {0, 1e-6f, 1e-5f, 1e-3f, 1, 1e6f, FLT_MAX};
    for (size_t i = 0; i < sizeof temperatures / sizeof *temperatures; i++) {
        for (int first = 0; first < 2; first++) {
            hone_sampling p = neutral();
            p.temperature = temperatures[i];
            p.temperature_first = first;
            p.typical_p = 0.9f;
            float found[4], sum = 0;
            distribution(p, logits, 4, (sampler_place){0}, found);
            for (int j = 0; j < 4; j++) sum += found[j];
            CHECK_NEAR(sum, 1, 1e-6);
            CHECK(found[2] == 0);
            CHECK(pick(p, logits, 4, (sampler_place){0}) != 2);
        }
    }
}

static void parameters_out_of_range_are_refused_by_name(void) {
    hone_logit_bias bad_token = {6, 1}, bad_bias = {0, 100.5f}, nan_bias = {0, NAN};
    struct {
        hone_sampling p;
        const char *name;
    } bad[16];
    size_t n = 0;
#define BAD(field, value)                 \
    do {                                  \
        bad[n].p = neutral();             \
        bad[n].p.field = (value);         \
        bad[n++].name = #field;           \
    } while (0)
    BAD(temperature, -0.1f);
    BAD(temperature, NAN);
    BAD(temperature, INFINITY);
    BAD(top_p, 1.5f);
    BAD(top_p, NAN);
    BAD(min_p, -0.1f);
    BAD(typical_p, 2);
    BAD(repetition_penalty, 0);
    BAD(repetition_penalty, INFINITY);
    BAD(repeat_last_n, -2);
    BAD(frequency_penalty, 2.5f);
    BAD(presence_penalty, -2.5f);
#undef BAD
    const hone_logit_bias *biases[] = {&bad_token, &bad_bias, &nan_bias};
    for (size_t i = 0; i < 3; i++) {
        bad[n].p = neutral();
        bad[n].p.biases = biases[i];
        bad[n].p.n_biases = 1;
        bad[n++].name = "logit bias";
    }
    for (size_t i = 0; i < n; i++) {
        sampler *s = NULL;
        CHECK(sampler_open(&s, &bad[i].p, 6) == HONE_ERR_ARGUMENT);
        CHECK_MSG(strstr(hone_error_message(), bad[i].name), "%s: \"%s\"", bad[i].name,
                  hone_error_message());
        CHECK(s == NULL);
    }
    sampler *s = NULL;
    hone_sampling fine = neutral();
    CHECK(sampler_open(&s, &fine, 0) == HONE_ERR_ARGUMENT);
}

static void failing_allocations_are_reported_and_leak_nothing(void) {
    hone_logit_bias bias = {0, 1};
    hone_sampling p = neutral();
    p.biases = &bias;
    p.n_biases = 1;
    hone_status status = HONE_ERR_MEMORY;
    long nth = 1;
    for (; status == HONE_ERR_MEMORY; nth++) {
        sampler *s = NULL;
        mem_fail_from(nth);
        status = sampler_open(&s, &p, 6);
        mem_fail_from(0);
        CHECK((s != NULL) == (status == HONE_OK));
        sampler_close(s);
    }
    CHECK(status == HONE_OK && nth > 4);
}

static void a_draw_allocates_nothing(void) {
    hone_sampling p = neutral();
    p.typical_p = 0.9f;
    p.top_p = 0.9f;
    sampler *s = open_sampler(p, 6);
    mem_fail_from(1);
    int32_t token;
    CHECK_OK(sampler_pick(s, example, &(sampler_place){0}, &token));
    CHECK(mem_count() == 0);
    mem_fail_from(0);
    sampler_close(s);
}

static void draws_follow_the_distribution(void) {
    enum { N = 100000 };
    hone_sampling p = neutral();
    p.seed = 20260101;
    printf("chi-square: seed %llu\n", (unsigned long long)p.seed);
    sampler *s = open_sampler(p, 6);
    double counts[6] = {0}, chi2 = 0;
    for (uint32_t step = 0; step < N; step++) {
        int32_t token = 0;
        sampler_pick(s, example, &(sampler_place){.step = step}, &token);
        counts[token]++;
    }
    for (int i = 0; i < 6; i++) {
        double expected = N * example_p[i];
        chi2 += (counts[i] - expected) * (counts[i] - expected) / expected;
    }
    CHECK_MSG(chi2 < 20.5, "%g; 5 degrees of freedom pass 20.5 once in 1000", chi2);
    sampler_close(s);
}

/* --- against a plain implementation --- */

typedef struct plain_token {
    float logit;
    int32_t id;
    double p, distance;
} plain_token;

static int by_logit(const void *a, const void *b) {
    const plain_token *x = a, *y = b;
    if (x->logit != y->logit) return x->logit < y->logit ? 1 : -1;
    return x->id < y->id ? -1 : 1;
}

static int by_distance(const void *a, const void *b) {
    const plain_token *x = a, *y = b;
    if (x->distance != y->distance) return x->distance < y->distance ? -1 : 1;
    return by_logit(a, b);
}

static void plain_softmax(plain_token *list, size_t n, double temperature) {
    double max = list[0].logit, total = 0;
    for (size_t i = 0; i < n; i++) total += exp((list[i].logit - max) / temperature);
    for (size_t i = 0; i < n; i++) list[i].p = exp((list[i].logit - max) / temperature) / total;
}

/* Smallest prefix with this mass, at least one token. */
static size_t plain_prefix(const plain_token *list, size_t n, double mass) {
    double running = 0;
    for (size_t i = 0; i < n; i++)
        if ((running += list[i].p) >= mass) return i + 1;
    return n;
}

static size_t plain_typical(plain_token *list, size_t n, double mass) {
    double entropy = 0;
    for (size_t i = 0; i < n; i++)
        if (list[i].p > 0) entropy -= list[i].p * log(list[i].p);
    for (size_t i = 0; i < n; i++) list[i].distance = fabs(-log(list[i].p) - entropy);
    qsort(list, n, sizeof *list, by_distance);
    n = plain_prefix(list, n, mass);
    qsort(list, n, sizeof *list, by_logit);
    return n;
}

static size_t plain_filter(const hone_sampling *s, plain_token *list, size_t n) {
    double temperature = s->temperature_first ? s->temperature : 1;
    qsort(list, n, sizeof *list, by_logit);
    if (s->top_k > 0 && (size_t)s->top_k < n) n = (size_t)s->top_k;
    plain_softmax(list, n, temperature);
    if (s->typical_p < 1) n = plain_typical(list, n, s->typical_p);
    plain_softmax(list, n, temperature);
    if (s->top_p < 1) n = plain_prefix(list, n, s->top_p);
    plain_softmax(list, n, temperature);
    size_t n_above = 1;
    while (n_above < n && list[n_above].p >= s->min_p * list[0].p) n_above++;
    if (s->min_p > 0) n = n_above;
    plain_softmax(list, n, s->temperature);
    return n;
}

static int32_t plain_draw(const plain_token *list, size_t n, double u) {
    double running = 0;
    for (size_t i = 0; i < n; i++)
        if ((running += list[i].p) > u) return list[i].id;
    return list[n - 1].id;
}

static uint64_t random_state;

static uint32_t random_word(void) {
    random_state++;
    return philox4x32((philox_block){{(uint32_t)random_state}}, random_state >> 32).word[0];
}

static double random_unit(void) { return random_word() * 0x1p-32; }

/* Random masses: no sum of equal weights falls on them, where rounding alone would decide. */
static hone_sampling random_parameters(void) {
    hone_sampling p = neutral();
    if (random_word() % 2) p.temperature = (float)(0.2 + 2 * random_unit());
    if (random_word() % 2) p.top_k = (int32_t)(random_word() % 600);
    if (random_word() % 3 == 0) p.typical_p = (float)random_unit();
    if (random_word() % 2) p.top_p = (float)random_unit();
    if (random_word() % 3 == 0) p.min_p = (float)pow(random_unit(), 4);
    p.temperature_first = random_word() % 2;
    p.seed = random_word();
    return p;
}

/* Few distinct logits on some rounds: many ties. Wide and narrow spreads. */
static void random_logits(float *logits, size_t n) {
    double spread = pow(10, 2.5 * random_unit() - 0.5);
    double grid = random_word() % 2 ? spread / (1 + random_word() % 40) : 0;
    double offset = 100 * (random_unit() - 0.5);
    for (size_t i = 0; i < n; i++) {
        double x = spread * (random_unit() + random_unit() + random_unit() - 1.5);
        if (grid > 0) x = grid * floor(x / grid);
        logits[i] = random_word() % 20 == 0 ? -INFINITY : (float)(x + offset);
    }
    logits[random_word() % n] = (float)offset;
}

static void compare_with_plain(hone_sampling parameters, const float *logits, size_t n_vocab,
                               plain_token *list, float *p, uint64_t round) {
    size_t n = 0;
    for (size_t i = 0; i < n_vocab; i++)
        if (logits[i] > -INFINITY) list[n++] = (plain_token){logits[i], (int32_t)i, 0, 0};
    n = plain_filter(&parameters, list, n);
    sampler *s = open_sampler(parameters, n_vocab);
    sampler_place place = {.step = 5, .sequence = 2};
    CHECK_OK(sampler_distribution(s, logits, &place, p));
    double worst = 0;
    for (size_t i = 0; i < n; i++) {
        worst = fmax(worst, fabs(p[list[i].id] - list[i].p));
        p[list[i].id] = 0;
    }
    for (size_t i = 0; i < n_vocab; i++) worst = fmax(worst, p[i]); /* nothing else is kept */
    CHECK_MSG(worst < 1e-7, "%g, round state %llu, n_vocab %zu", worst, (unsigned long long)round,
              n_vocab);
    int32_t token = -1;
    CHECK_OK(sampler_pick(s, logits, &place, &token));
    int32_t expected = plain_draw(list, n, sampler_uniform(parameters.seed, 5, DRAW_TOKEN, 2));
    CHECK_MSG(token == expected, "%d, expected %d, round state %llu, n_vocab %zu", (int)token,
              (int)expected, (unsigned long long)round, n_vocab);
    sampler_close(s);
}

static void every_chain_equals_a_full_sort(void) {
    enum { N_MAX = 20000, ROUNDS = 4000 };
    static float logits[N_MAX], p[N_MAX];
    static plain_token list[N_MAX];
    random_state = 7;
    printf("full sort: random state begins at %llu\n", (unsigned long long)random_state);
    for (int round = 0; round < ROUNDS; round++) {
        uint64_t state = random_state;
        size_t limit = round % 50 == 0 ? N_MAX : round % 2 ? 40 : 1500;
        size_t n_vocab = 1 + random_word() % limit;
        random_logits(logits, n_vocab);
        compare_with_plain(random_parameters(), logits, n_vocab, list, p, state);
    }
}

/* The order is made in bands 4, 8, 16, 32 and 64 below the maximum. */
static void logits_on_the_edges_of_bands_are_kept_once(void) {
    enum { N = 4000 };
    static float logits[N], p[N];
    static plain_token list[N];
    for (int i = 0; i < N; i++) logits[i] = (float)(20 - i * 7 % 81);
    for (int32_t k = 240; k < 3999; k += 50) {
        hone_sampling parameters = neutral();
        parameters.top_k = k;
        parameters.temperature = 30;
        parameters.seed = (uint64_t)k;
        compare_with_plain(parameters, logits, N, list, p, (uint64_t)k);
    }
    hone_sampling hot = neutral();
    hot.temperature = 100;
    for (hot.seed = 0; hot.seed < 50; hot.seed++)
        compare_with_plain(hot, logits, N, list, p, hot.seed);
}

int main(void) {
    RUN(philox_gives_the_published_words);
    RUN(uniforms_are_those_of_the_example);
    RUN(uniforms_differ_by_each_of_seed_step_use_and_sequence);
    RUN(penalties_are_those_of_example_a);
    RUN(filters_keep_what_example_b_says);
    RUN(chains_give_example_c_in_both_orders);
    RUN(draws_are_those_of_example_d);
    RUN(ties_go_to_the_lower_id);
    RUN(limits_that_are_met_exactly_are_met);
    RUN(zeros_of_both_signs_are_one_tie);
    RUN(repetition_counts_the_window_and_frequency_the_answer);
    RUN(a_draw_leaves_nothing_behind);
    RUN(bias_adds_exactly_its_number);
    RUN(the_mask_removes_before_everything_else);
    RUN(impossible_logits_are_numeric_errors);
    RUN(extreme_logits_and_temperatures_still_draw);
    RUN(parameters_out_of_range_are_refused_by_name);
    RUN(failing_allocations_are_reported_and_leak_nothing);
    RUN(a_draw_allocates_nothing);
    RUN(draws_follow_the_distribution);
    RUN(every_chain_equals_a_full_sort);
    RUN(logits_on_the_edges_of_bands_are_kept_once);
    return test_summary();
}
