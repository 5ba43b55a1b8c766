/* Settings, and which of them are worth trying. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "lab/tune.h"

const char *tune_goal_name(tune_goal goal) {
    static const char *const names[] = {"decode", "ttft", "throughput", "quality"};
    return names[goal];
}

const char *tune_goal_unit(tune_goal goal) {
    static const char *const units[] = {"tokens/s", "ms", "tokens/s", "share"};
    return units[goal];
}

const char *tune_knob_name(tune_knob knob) {
    static const char *const names[TUNE_N_KNOBS] = {
        "model",      "slots",   "threads",        "prefill chunk", "n-gram drafts",
        "cache type", "weights", "context",        "temperature",   "top-p",
        "top-k",      "min-p",   "repeat penalty", "exact"};
    return names[knob];
}

/* --- one knob --- */

double tune_get(const tune_config *c, tune_knob knob) {
    switch (knob) {
    case TUNE_MODEL: return (double)c->model;
    case TUNE_SLOTS: return (double)c->n_slots;
    case TUNE_THREADS: return c->n_threads;
    case TUNE_CHUNK: return (double)c->prefill_chunk;
    case TUNE_DRAFT: return (double)c->n_draft;
    case TUNE_KV: return c->kv;
    case TUNE_WEIGHTS: return c->copied;
    case TUNE_CONTEXT: return (double)c->n_context;
    case TUNE_EXACT: return c->exact;
    case TUNE_TEMPERATURE: return (double)c->sampling.temperature;
    case TUNE_TOP_P: return (double)c->sampling.top_p;
    case TUNE_TOP_K: return c->sampling.top_k > 0 ? c->sampling.top_k : 0;
    case TUNE_MIN_P: return (double)c->sampling.min_p;
    case TUNE_REPEAT_PENALTY: return (double)c->sampling.repetition_penalty;
    case TUNE_N_KNOBS: break;
    }
    return NAN;
}

void tune_set(tune_config *c, tune_knob knob, double value) {
    switch (knob) {
    case TUNE_MODEL: c->model = (size_t)value; break;
    case TUNE_SLOTS: c->n_slots = (size_t)value; break;
    case TUNE_THREADS: c->n_threads = (int)value; break;
    case TUNE_CHUNK: c->prefill_chunk = (size_t)value; break;
    case TUNE_DRAFT: c->n_draft = (size_t)value; break;
    case TUNE_KV: c->kv = (hone_kv_type)value; break;
    case TUNE_WEIGHTS: c->copied = value != 0; break;
    case TUNE_CONTEXT: c->n_context = (size_t)value; break;
    case TUNE_EXACT: /* goes with a cache of its own */
        c->exact = value != 0;
        c->kv = c->exact ? HONE_KV_F32 : HONE_KV_F16;
        break;
    case TUNE_TEMPERATURE: c->sampling.temperature = (float)value; break;
    case TUNE_TOP_P: c->sampling.top_p = (float)value; break;
    case TUNE_TOP_K: c->sampling.top_k = (int32_t)value; break;
    case TUNE_MIN_P: c->sampling.min_p = (float)value; break;
    case TUNE_REPEAT_PENALTY: c->sampling.repetition_penalty = (float)value; break;
    case TUNE_N_KNOBS: break;
    }
}

static const char *kv_name(hone_kv_type type) {
    return type == HONE_KV_F32 ? "f32" : type == HONE_KV_Q8_0 ? "q8_0" : "f16";
}

void tune_value_text(char *text, size_t n, tune_knob knob, double value,
                     const char *const *models) {
    bool is_off = (knob == TUNE_DRAFT && value == 0) || (knob == TUNE_EXACT && value == 0) ||
                  (knob == TUNE_TOP_K && value == 0) || (knob == TUNE_MIN_P && value == 0);
    if (is_off) snprintf(text, n, "off");
    else if (knob == TUNE_EXACT) snprintf(text, n, "on");
    else if (knob == TUNE_WEIGHTS) snprintf(text, n, value != 0 ? "copied" : "mapped");
    else if (knob == TUNE_KV) snprintf(text, n, "%s", kv_name((hone_kv_type)value));
    else if (knob == TUNE_MODEL) snprintf(text, n, "%s", models[(size_t)value]);
    else snprintf(text, n, "%.6g", value);
}

/* --- all of them --- */

bool tune_same(const tune_config *a, const tune_config *b) {
    for (tune_knob k = 0; k < TUNE_N_KNOBS; k++)
        if (tune_get(a, k) != tune_get(b, k)) return false;
    return true;
}

void tune_config_line(char line[TUNE_MAX_LINE], const tune_config *c) {
    size_t at = 0;
    for (tune_knob k = 0; k < TUNE_N_KNOBS && at < TUNE_MAX_LINE; k++)
        at += (size_t)snprintf(line + at, TUNE_MAX_LINE - at, "%s%.9g", k ? " " : "",
                               tune_get(c, k));
}

json_t *tune_config_to_json(const tune_config *c, tune_goal goal, const char *const *models) {
    json_t *o = json_pack("{s:s, s:i, s:I, s:I, s:s, s:b, s:b}", "model", models[c->model],
                          "threads", c->n_threads, "context", (json_int_t)c->n_context,
                          "prefill_chunk", (json_int_t)c->prefill_chunk, "kv", kv_name(c->kv),
                          "exact", c->exact, "map", !c->copied);
    if (goal == TUNE_DECODE)
        json_object_set_new(o, "draft_tokens", json_integer((json_int_t)c->n_draft));
    if (goal == TUNE_THROUGHPUT)
        json_object_set_new(o, "slots", json_integer((json_int_t)c->n_slots));
    if (goal != TUNE_QUALITY) return o;
    json_object_set_new(o, "sampling",
                        json_pack("{s:f, s:f, s:i, s:f, s:f}", "temperature",
                                  tune_get(c, TUNE_TEMPERATURE), "top_p", tune_get(c, TUNE_TOP_P),
                                  "top_k", (int)tune_get(c, TUNE_TOP_K), "min_p",
                                  tune_get(c, TUNE_MIN_P), "repeat_penalty",
                                  tune_get(c, TUNE_REPEAT_PENALTY)));
    return o;
}

/* --- what is tried --- */

static tune_choice *add(tune_space *s, tune_knob knob) {
    tune_choice *c = &s->choices[s->n_choices++];
    *c = (tune_choice){.knob = knob};
    return c;
}

/* Values of a knob but the one that it has, each once. */
static void offer(tune_choice *c, const tune_config *baseline, double value) {
    tune_config other = *baseline;
    tune_set(&other, c->knob, value);
    value = tune_get(&other, c->knob); /* as it is kept */
    if (value == tune_get(baseline, c->knob)) return;
    for (size_t i = 0; i < c->n; i++)
        if (c->values[i] == value) return;
    if (c->n < TUNE_MAX_VALUES) c->values[c->n++] = value;
}

static void offer_all(tune_space *s, tune_knob knob, const tune_config *baseline,
                      const double *values, size_t n) {
    tune_choice *c = add(s, knob);
    for (size_t i = 0; i < n; i++) offer(c, baseline, values[i]);
    if (c->n == 0) s->n_choices--;
}

#define OFFER(s, knob, baseline, ...)                                                              \
    offer_all(s, knob, baseline, (const double[]){__VA_ARGS__},                                    \
              sizeof((const double[]){__VA_ARGS__}) / sizeof(double))

static void offer_models(tune_space *s, const tune_config *baseline) {
    if (s->n_models < 2) return;
    tune_choice *c = add(s, TUNE_MODEL);
    for (size_t i = 0; i < s->n_models; i++) offer(c, baseline, (double)i);
}

static void offer_threads(tune_space *s, const tune_config *baseline, int n_processors) {
    int n = baseline->n_threads;
    tune_choice *c = add(s, TUNE_THREADS);
    const int values[] = {n_processors, n - 1, 3 * n / 4, n / 2, n / 4};
    for (size_t i = 0; i < sizeof values / sizeof *values; i++)
        if (values[i] >= 1) offer(c, baseline, values[i]);
    if (c->n == 0) s->n_choices--;
}

static void offer_slots(tune_space *s, const tune_config *baseline, size_t n_users) {
    tune_choice *c = add(s, TUNE_SLOTS);
    for (size_t n = n_users; n >= 1; n /= 2) offer(c, baseline, (double)n);
    if (c->n == 0) s->n_choices--;
}

void tune_space_fill(tune_space *s, const tune_config *baseline, int n_processors, size_t n_users) {
    s->n_choices = 0;
    offer_models(s, baseline);
    if (s->goal == TUNE_QUALITY) {
        OFFER(s, TUNE_TEMPERATURE, baseline, 0, 0.3, 0.7, 1);
        OFFER(s, TUNE_TOP_P, baseline, 1, 0.9, 0.7);
        OFFER(s, TUNE_TOP_K, baseline, 0, 40, 10);
        OFFER(s, TUNE_MIN_P, baseline, 0, 0.05, 0.1);
        OFFER(s, TUNE_REPEAT_PENALTY, baseline, 1, 1.1);
        OFFER(s, TUNE_EXACT, baseline, 1);
        return;
    }
    if (s->goal == TUNE_THROUGHPUT) offer_slots(s, baseline, n_users);
    offer_threads(s, baseline, n_processors);
    if (s->goal == TUNE_TTFT) OFFER(s, TUNE_CHUNK, baseline, 128, 256, 1024);
    if (s->goal == TUNE_DECODE) OFFER(s, TUNE_DRAFT, baseline, 2, 4, 7);
    OFFER(s, TUNE_KV, baseline, HONE_KV_F16, HONE_KV_Q8_0, HONE_KV_F32);
    OFFER(s, TUNE_WEIGHTS, baseline, 1);
    if (baseline->n_context > 2048) OFFER(s, TUNE_CONTEXT, baseline, 2048);
}
