#include "lab/tune.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/status.h"

/* A smaller gain in speed is not worth a change. */
#define LEAST_SPEED_GAIN 0.01

const char *tune_verdict_name(tune_verdict v) {
    return v == TUNE_NOT_ALLOWED ? "not allowed" : race_verdict_name((race_verdict)v);
}

void tune_init(tune *t, const tune_space *space, const tune_config *baseline,
               const tune_meter *meter) {
    *t = (tune){.space = space, .meter = meter, .baseline = *baseline, .best = *baseline,
                .gain = {NAN, NAN, NAN}, .verdict = TUNE_UNSETTLED};
}

void tune_release(tune *t) {
    for (size_t i = 0; i < t->n_samples; i++) mem_free(t->samples[i].values);
    mem_free(t->samples);
    t->samples = NULL;
    t->n_samples = 0;
}

/* --- samples --- */

static tune_samples *find_samples(const tune *t, const tune_config *c) {
    for (size_t i = 0; i < t->n_samples; i++)
        if (tune_same(&t->samples[i].config, c)) return &t->samples[i];
    return NULL;
}

static tune_samples *need_samples(tune *t, const tune_config *c) {
    tune_samples *found = find_samples(t, c);
    if (found) return found;
    tune_samples *all = mem_realloc(t->samples, t->n_samples + 1, sizeof *all);
    if (!all) return NULL;
    t->samples = all;
    all[t->n_samples] = (tune_samples){.config = *c};
    return &all[t->n_samples++];
}

/* A meter's value as people read it. */
static double in_unit(const tune *t, double value) {
    if (t->meter->scores) return value;
    return t->space->goal == TUNE_TTFT ? 1000 / exp(value) : exp(value);
}

static hone_status keep_samples(tune *t, const tune_config *c, const double *values) {
    size_t n = t->meter->n_values;
    tune_samples *s = need_samples(t, c);
    double *grown = s ? mem_realloc(s->values, s->n + n, sizeof *grown) : NULL;
    if (!grown) return mem_fail("measurements", n * sizeof *values);
    s->values = grown;
    for (size_t i = 0; i < n; i++) grown[s->n++] = in_unit(t, values[i]);
    return HONE_OK;
}

hone_status tune_figure(const tune *t, const tune_config *c, estimate *out) {
    const tune_samples *s = find_samples(t, c);
    *out = (estimate){NAN, NAN, NAN};
    if (!s || s->n == 0) return HONE_OK;
    if (t->meter->scores) return stats_bootstrap_mean(out, s->values, s->n, 1);
    spread around = spread_of(s->values, s->n);
    *out = (estimate){around.median, around.low, around.high};
    return HONE_OK;
}

/* --- one race --- */

typedef struct heat {
    tune *t;
    tune_config contestants[RACE_MAX_CONTESTANTS];
    size_t race;
    char doing[64];
} heat;

static double clock_of(void *context) {
    const heat *h = context;
    return h->t->meter->clock(h->t->meter->context);
}

static hone_status measure(void *context, size_t contestant, size_t round, double *values) {
    heat *h = context;
    tune *t = h->t;
    const tune_config *c = &h->contestants[contestant];
    const tune_meter *m = t->meter;
    if (t->observe && !t->observe(t->context, t, h->doing, t->deadline - m->clock(m->context)))
        return fail(HONE_ERR_CANCELLED, "stopped");
    TRY(m->measure(m->context, c, (tune_place){h->race, round}, values));
    t->n_runs++;
    return round ? keep_samples(t, c, values) : HONE_OK;
}

/* Differences of logarithms as shares. */
static estimate as_gain(const tune *t, const estimate *gain) {
    if (t->meter->scores) return *gain;
    return (estimate){expm1(gain->value), expm1(gain->low), expm1(gain->high)};
}

static hone_status run_heat(heat *h, size_t n, double deadline, race_result *out) {
    const tune_meter *m = h->t->meter;
    const race r = {.n = n, .measure = measure, .n_values = m->n_values, .by_mean = m->scores,
                    .least = m->scores ? 0 : LEAST_SPEED_GAIN, .clock = clock_of,
                    .deadline = deadline, .guess_ms = m->guess_ms, .context = h,
                    .most_rounds = h->race == TUNE_FINAL ? m->n_final_rounds : m->n_rounds};
    return race_run(&r, out);
}

/* --- a knob --- */

/* Fills contestants with the values that are allowed; `step` learns why others are not. */
static hone_status gather(heat *h, const tune_choice *choice, tune_step *step, size_t *n) {
    const tune_meter *m = h->t->meter;
    h->contestants[0] = h->t->best;
    *n = 1;
    for (size_t i = 0; i < choice->n; i++) {
        tune_config c = h->t->best;
        bool allowed = true;
        tune_set(&c, choice->knob, choice->values[i]);
        if (tune_same(&c, &h->t->best)) continue;
        if (m->allow) TRY(m->allow(m->context, &c, &allowed, step->why));
        if (allowed) h->contestants[(*n)++] = c;
        else if (*n == 1) step->to = choice->values[i];
    }
    return HONE_OK;
}

/* Filters have nothing to choose from where always the most probable token is taken. */
static bool is_idle(const tune *t, tune_knob knob) {
    return t->best.sampling.temperature <= 0 &&
           (knob == TUNE_TOP_P || knob == TUNE_TOP_K || knob == TUNE_MIN_P);
}

/* What a knob's race says takes the place of what an earlier one of it said. */
static void note_step(tune *t, const tune_step *step) {
    size_t i = 0;
    while (i < t->n_steps && t->steps[i].knob != step->knob) i++;
    t->steps[i] = *step;
    if (i == t->n_steps) t->n_steps++;
}

static hone_status turn(tune *t, size_t place, bool again, double deadline) {
    const tune_choice *choice = &t->space->choices[place];
    heat h = {.t = t, .race = place + (again ? TUNE_AGAIN : 0)};
    tune_step step = {.knob = choice->knob, .from = tune_get(&t->best, choice->knob),
                      .to = choice->values[0], .gain = {NAN, NAN, NAN},
                      .verdict = TUNE_NOT_ALLOWED};
    race_result result;
    size_t n;
    if (is_idle(t, choice->knob)) return HONE_OK;
    snprintf(h.doing, sizeof h.doing, "%s", tune_knob_name(choice->knob));
    TRY(gather(&h, choice, &step, &n));
    if (n > 1) {
        TRY(run_heat(&h, n, deadline, &result));
        step.to = tune_get(&h.contestants[result.best], choice->knob);
        step.gain = as_gain(t, &result.gain);
        step.n_pairs = result.n_pairs;
        step.verdict = (tune_verdict)result.verdict;
        if (result.verdict == RACE_BETTER) t->best = h.contestants[result.best];
    } else if (!step.why[0]) {
        return HONE_OK; /* nothing else to try */
    }
    note_step(t, &step);
    return HONE_OK;
}

static hone_status confirm(tune *t) {
    heat h = {.t = t, .race = TUNE_FINAL, .contestants = {t->baseline, t->best},
              .doing = "all together"};
    race_result result;
    if (tune_same(&t->baseline, &t->best)) return HONE_OK;
    TRY(run_heat(&h, 2, t->deadline, &result));
    t->gain = as_gain(t, &result.gain);
    t->n_pairs = result.n_pairs;
    t->verdict = (tune_verdict)result.verdict;
    t->withdrawn = t->verdict == TUNE_WORSE || t->verdict == TUNE_NO_EFFECT;
    if (t->withdrawn) t->best = t->baseline;
    return HONE_OK;
}

/* --- all of it --- */

static size_t runs_from(const tune_space *space, size_t place) {
    size_t n = race_runs(2);
    for (; place < space->n_choices; place++) n += race_runs(space->choices[place].n + 1);
    return n;
}

size_t tune_planned_runs(const tune_space *space) { return runs_from(space, 0); }

/* Its share of the time that is left; what a verdict needs at least, if that is more: where time is
 * short, the first knobs get verdicts and the last ones none. What was taken keeps the time for the
 * last race. */
static double deadline_of(const tune *t, size_t place, bool again) {
    const tune_meter *m = t->meter;
    const double now = m->clock(m->context), left = t->deadline - now;
    const size_t runs = race_runs(t->space->choices[place].n + 1);
    double share = again ? left : left * (double)runs / (double)runs_from(t->space, place);
    double least = m->guess_ms * (double)(runs + 2 - 2 * (RACE_PLANNED_PAIRS - RACE_LEAST_PAIRS));
    double kept = tune_same(&t->baseline, &t->best) ? 0 : m->guess_ms * (2 * RACE_LEAST_PAIRS + 2);
    return now + fmin(fmax(share, 1.5 * least), fmax(left - kept, 0));
}

static bool is_unsettled(const tune *t, tune_knob knob) {
    for (size_t i = 0; i < t->n_steps; i++)
        if (t->steps[i].knob == knob) return t->steps[i].verdict == TUNE_UNSETTLED;
    return false;
}

/* Where others took less time than their share, those that had too little begin once more. */
static hone_status turn_all(tune *t) {
    const size_t n = t->space->n_choices;
    for (size_t i = 0; i < n; i++) TRY(turn(t, i, false, deadline_of(t, i, false)));
    for (size_t i = 0; i < n; i++)
        if (is_unsettled(t, t->space->choices[i].knob))
            TRY(turn(t, i, true, deadline_of(t, i, true)));
    return confirm(t);
}

hone_status tune_run(tune *t, double budget_ms) {
    const tune_meter *m = t->meter;
    double start = m->clock(m->context);
    t->deadline = start + budget_ms;
    hone_status status = turn_all(t);
    t->spent_ms = m->clock(m->context) - start;
    t->cancelled = status == HONE_ERR_CANCELLED;
    return t->cancelled ? HONE_OK : status;
}
