#include "lab/race.h"

#include <math.h>

#include "base/mem.h"
#include "base/status.h"

/* Runs differ in length; a first one may also have to open a model. */
#define SLACK 1.15
#define FIRST_RUN 3

typedef struct course {
    const race *r;
    double cost[RACE_MAX_CONTESTANTS]; /* of the latest run, milliseconds; 0 = none yet */
    size_t alive[RACE_MAX_CONTESTANTS], n_alive; /* alternatives */
    double *gains[RACE_MAX_CONTESTANTS]; /* differences from the incumbent, counted rounds only */
    size_t n_gains[RACE_MAX_CONTESTANTS];
    size_t round;
} course;

/* What one contestant can have at most: the stages and the decision. */
enum { MOST_GAINS = (5 * RACE_STAGE_ROUNDS + RACE_MOST_PAIRS) * RACE_MAX_VALUES };

const char *race_verdict_name(race_verdict v) {
    static const char *const names[] = {"better", "worse", "no measurable effect", "not settled"};
    return names[v];
}

race_verdict race_judge(const estimate *gain, size_t n, double least) {
    if (n < RACE_LEAST_PAIRS || isnan(gain->value)) return RACE_UNSETTLED;
    if (gain->low > 0 && gain->value >= least) return RACE_BETTER;
    return gain->high < 0 ? RACE_WORSE : RACE_NO_EFFECT;
}

static size_t halve(size_t n) { return (n + 1) / 2; }

size_t race_runs(size_t n) {
    size_t runs = n;
    for (size_t alive = n - 1; alive > 1; alive = halve(alive)) runs += RACE_STAGE_ROUNDS * (alive + 1);
    return runs + 2 * RACE_PLANNED_PAIRS;
}

/* --- time --- */

static double expected_ms(const course *c, size_t contestant) {
    if (c->cost[contestant] > 0) return SLACK * c->cost[contestant];
    return FIRST_RUN * (c->cost[0] > 0 ? c->cost[0] : c->r->guess_ms);
}

static double left_ms(const course *c) { return c->r->deadline - c->r->clock(c->r->context); }

static double pair_ms(const course *c, size_t contestant) {
    return expected_ms(c, 0) + expected_ms(c, contestant);
}

/* --- rounds --- */

static hone_status run_one(course *c, size_t contestant, double *values, bool *in_time) {
    const race *r = c->r;
    double before = r->clock(r->context);
    *in_time = before + expected_ms(c, contestant) <= r->deadline;
    if (!*in_time) return HONE_OK;
    TRY(r->measure(r->context, contestant, c->round, values));
    c->cost[contestant] = r->clock(r->context) - before;
    return HONE_OK;
}

/* The incumbent beside all that are alive. A round that the time cuts off does not count. */
static hone_status run_round(course *c, bool *in_time) {
    double values[RACE_MAX_CONTESTANTS][RACE_MAX_VALUES];
    size_t n = c->n_alive + 1;
    for (size_t k = 0; k < n; k++) {
        size_t place = (k + c->round) % n, contestant = place ? c->alive[place - 1] : 0;
        TRY(run_one(c, contestant, values[contestant], in_time));
        if (!*in_time) return HONE_OK;
    }
    for (size_t a = 0; a < c->n_alive && c->round > 0; a++) {
        size_t who = c->alive[a];
        for (size_t i = 0; i < c->r->n_values; i++)
            c->gains[who][c->n_gains[who]++] = values[who][i] - values[0][i];
    }
    c->round++;
    return HONE_OK;
}

static hone_status sum_up(const course *c, size_t contestant, estimate *gain) {
    double *gains = c->gains[contestant];
    size_t n = c->n_gains[contestant];
    *gain = (estimate){NAN, NAN, NAN};
    if (n == 0) return HONE_OK;
    if (c->r->by_mean) return stats_bootstrap_mean(gain, gains, n, 1);
    spread s = spread_of(gains, n);
    *gain = (estimate){s.median, s.low, s.high};
    return HONE_OK;
}

/* What tells contestants apart while there is no verdict. */
static double middle(const course *c, size_t contestant) {
    double *gains = c->gains[contestant], sum = 0;
    size_t n = c->n_gains[contestant];
    if (n == 0) return -HUGE_VAL;
    if (!c->r->by_mean) return spread_of(gains, n).median;
    for (size_t i = 0; i < n; i++) sum += gains[i];
    return sum / (double)n;
}

/* --- the course --- */

static void keep_best(course *c, size_t n) {
    for (size_t i = 1; i < c->n_alive; i++) /* insertion sort: the order of equals stays */
        for (size_t k = i; k > 0 && middle(c, c->alive[k]) > middle(c, c->alive[k - 1]); k--) {
            size_t other = c->alive[k];
            c->alive[k] = c->alive[k - 1];
            c->alive[k - 1] = other;
        }
    c->n_alive = n;
}

static size_t rounds_left(const course *c) {
    size_t most = c->r->most_rounds;
    return most == 0 ? SIZE_MAX : most > c->round ? most - c->round : 0;
}

/* Whether a stage can be had and leave enough for a decision. */
static bool has_room_for_stage(const course *c) {
    if (rounds_left(c) < RACE_STAGE_ROUNDS + RACE_LEAST_PAIRS) return false;
    double round = expected_ms(c, 0), dearest = 0;
    for (size_t a = 0; a < c->n_alive; a++) {
        double ms = expected_ms(c, c->alive[a]);
        round += ms;
        if (ms > dearest) dearest = ms;
    }
    return RACE_STAGE_ROUNDS * round + RACE_LEAST_PAIRS * (expected_ms(c, 0) + dearest) <= left_ms(c);
}

static hone_status halve_until_one_is_left(course *c) {
    while (c->n_alive > 1 && has_room_for_stage(c)) {
        bool in_time = true;
        for (size_t i = 0; i < RACE_STAGE_ROUNDS && in_time; i++) TRY(run_round(c, &in_time));
        if (!in_time) break;
        keep_best(c, halve(c->n_alive));
    }
    keep_best(c, 1);
    return HONE_OK;
}

/* Where there was no stage, only warm-ups are known: one more round tells how long runs take. */
static hone_status time_runs(course *c) {
    bool in_time = true;
    if (c->round > 1) return HONE_OK;
    c->cost[c->alive[0]] = fmin(c->cost[c->alive[0]], FIRST_RUN * c->cost[0]);
    return run_round(c, &in_time);
}

static hone_status decide(course *c, race_result *out) {
    size_t best = c->alive[0], done = 0;
    TRY(time_runs(c));
    double fit = left_ms(c) / pair_ms(c, best);
    size_t n = fit < 0 ? 0 : fit > RACE_MOST_PAIRS ? RACE_MOST_PAIRS : (size_t)fit;
    *out = (race_result){.best = best, .gain = {NAN, NAN, NAN}, .verdict = RACE_UNSETTLED};
    if (n > rounds_left(c)) n = rounds_left(c);
    if (n < RACE_LEAST_PAIRS) return HONE_OK;
    c->n_gains[best] = 0;
    for (bool in_time = true; done < n; done++) {
        TRY(run_round(c, &in_time));
        if (!in_time) break;
    }
    out->n_pairs = done;
    TRY(sum_up(c, best, &out->gain));
    out->verdict = race_judge(&out->gain, done, c->r->least);
    return HONE_OK;
}

static hone_status run_course(course *c, race_result *out) {
    bool in_time = true;
    *out = (race_result){.best = 1, .gain = {NAN, NAN, NAN}, .verdict = RACE_UNSETTLED};
    for (size_t i = 1; i < c->r->n; i++) {
        c->alive[c->n_alive++] = i;
        c->gains[i] = mem_calloc(MOST_GAINS, sizeof(double));
        if (!c->gains[i]) return mem_fail("a race", MOST_GAINS * sizeof(double));
    }
    TRY(run_round(c, &in_time));
    if (!in_time) return HONE_OK;
    TRY(halve_until_one_is_left(c));
    return decide(c, out);
}

hone_status race_run(const race *r, race_result *out) {
    course c = {.r = r};
    hone_status status = run_course(&c, out);
    for (size_t i = 0; i < r->n; i++) mem_free(c.gains[i]);
    return status;
}
