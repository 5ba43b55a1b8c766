#include "serve/ollama_options.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "serve/fields.h"
#include "serve/models.h"

enum { MAX_TOKENS = 1 << 24 };

void ollama_options_init(ollama_options *o, const hone_sampling *recommended) {
    *o = (ollama_options){.sampling = *recommended};
    o->sampling.repetition_penalty = 1.1f;
    o->sampling.repeat_last_n = 64;
}

void ollama_options_release(ollama_options *o) { mem_free((void *)(uintptr_t)o->stops); }

/* --- one option each --- */

typedef hone_status option_reader(ollama_options *o, const json_t *options, const char *name);

/* A whole number that may be negative. */
static hone_status read_integer(const json_t *options, const char *name, int64_t low, int64_t high,
                                int64_t *value) {
    double number = (double)*value;
    TRY(field_number(options, name, (double)low, (double)high, &number));
    if (number != floor(number))
        return fail(HONE_ERR_ARGUMENT, "%s is %g; it must be a whole number", name, number);
    *value = (int64_t)number;
    return HONE_OK;
}

static hone_status read_temperature(ollama_options *o, const json_t *options, const char *name) {
    return field_float(options, name, 0, 100, &o->sampling.temperature);
}

static hone_status read_top_p(ollama_options *o, const json_t *options, const char *name) {
    return field_float(options, name, 0, 1, &o->sampling.top_p);
}

static hone_status read_min_p(ollama_options *o, const json_t *options, const char *name) {
    return field_float(options, name, 0, 1, &o->sampling.min_p);
}

static hone_status read_typical_p(ollama_options *o, const json_t *options, const char *name) {
    return field_float(options, name, 0, 1, &o->sampling.typical_p);
}

static hone_status read_top_k(ollama_options *o, const json_t *options, const char *name) {
    int64_t k = o->sampling.top_k;
    TRY(read_integer(options, name, -1, INT32_MAX, &k));
    o->sampling.top_k = (int32_t)k;
    return HONE_OK;
}

static hone_status read_repeat_penalty(ollama_options *o, const json_t *options, const char *name) {
    return field_float(options, name, 0.01, 100, &o->sampling.repetition_penalty);
}

static hone_status read_repeat_last_n(ollama_options *o, const json_t *options, const char *name) {
    int64_t n = o->sampling.repeat_last_n;
    TRY(read_integer(options, name, -1, INT32_MAX, &n));
    o->sampling.repeat_last_n = (int32_t)n;
    return HONE_OK;
}

static hone_status read_presence(ollama_options *o, const json_t *options, const char *name) {
    return field_float(options, name, -2, 2, &o->sampling.presence_penalty);
}

static hone_status read_frequency(ollama_options *o, const json_t *options, const char *name) {
    return field_float(options, name, -2, 2, &o->sampling.frequency_penalty);
}

/* −1, as Ollama's default, draws one. */
static hone_status read_seed(ollama_options *o, const json_t *options, const char *name) {
    const json_t *given = field_find(options, name);
    if (!json_is_number(given)) return fail(HONE_ERR_FORMAT, "%s is no whole number", name);
    int64_t seed = json_is_integer(given) ? json_integer_value(given) : 0;
    if (json_is_real(given)) TRY(read_integer(options, name, -(1LL << 53), 1LL << 53, &seed));
    if (seed != -1) o->sampling.seed = (uint64_t)seed;
    return HONE_OK;
}

/* −1: no limit; −2: until the context is full, which is the same. */
static hone_status read_num_predict(ollama_options *o, const json_t *options, const char *name) {
    int64_t n = -1;
    TRY(read_integer(options, name, -2, MAX_TOKENS, &n));
    o->max_tokens = n > 0 ? (size_t)n : 0;
    return HONE_OK;
}

static hone_status read_num_ctx(ollama_options *o, const json_t *options, const char *name) {
    int64_t n = 0;
    TRY(read_integer(options, name, 0, 1 << 30, &n));
    o->n_context = (size_t)n;
    return HONE_OK;
}

static hone_status read_stop(ollama_options *o, const json_t *options, const char *name) {
    ollama_options_release(o);
    o->stops = NULL;
    o->n_stops = 0;
    TRY(field_stops(options, name, &o->stops, &o->n_stops));
    size_t kept = 0; /* Ollama passes over empty ones, so its clients send them */
    const char **list = (const char **)(uintptr_t)o->stops;
    for (size_t i = 0; i < o->n_stops; i++)
        if (*list[i]) list[kept++] = list[i];
    o->n_stops = kept;
    return HONE_OK;
}

/* Samplers that Ollama once had: fine when they are off. */
static hone_status read_absent(ollama_options *o, const json_t *options, const char *name) {
    (void)o;
    double off = !strcmp(name, "tfs_z"), value = off;
    TRY(field_number(options, name, -1e9, 1e9, &value));
    if (value == off) return HONE_OK;
    return fail(HONE_ERR_UNSUPPORTED, "options.%s is not supported", name);
}

static const struct {
    const char *name;
    option_reader *read;
} readers[] = {
    {"temperature", read_temperature}, {"top_p", read_top_p}, {"min_p", read_min_p},
    {"typical_p", read_typical_p}, {"top_k", read_top_k}, {"repeat_penalty", read_repeat_penalty},
    {"repeat_last_n", read_repeat_last_n}, {"presence_penalty", read_presence},
    {"frequency_penalty", read_frequency}, {"seed", read_seed}, {"num_predict", read_num_predict},
    {"num_ctx", read_num_ctx}, {"stop", read_stop}, {"mirostat", read_absent},
    {"tfs_z", read_absent},
};

/* --- all of them --- */

/* Those that say how the machine computes, and unknown ones, as Ollama passes over them; the answer
 * names them. Names come from strangers and go into a header. */
static void note_ignored(ollama_options *o, const char *name) {
    size_t n = strlen(name), have = strlen(o->ignored);
    if (strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_") != n) name = "?";
    snprintf(o->ignored + have, sizeof o->ignored - have, "%s%s", have ? ", " : "", name);
}

static hone_status apply_one(ollama_options *o, const json_t *options, const char *name) {
    for (size_t i = 0; i < sizeof readers / sizeof *readers; i++)
        if (!strcmp(readers[i].name, name)) return readers[i].read(o, options, name);
    note_ignored(o, name);
    return HONE_OK;
}

hone_status ollama_options_apply_where(ollama_options *o, const json_t *options,
                                       bool (*wanted)(const void *user, const char *name),
                                       const void *user) {
    const char *name;
    json_t *value;
    if (!options) return HONE_OK;
    if (!json_is_object(options)) return fail(HONE_ERR_FORMAT, "options is no object");
    json_object_foreach((json_t *)(uintptr_t)options, name, value)
        if (!json_is_null(value) && wanted(user, name)) TRY(apply_one(o, options, name));
    return HONE_OK;
}

static bool is_any(const void *user, const char *name) {
    (void)user, (void)name;
    return true;
}

hone_status ollama_options_apply(ollama_options *o, const json_t *options) {
    return ollama_options_apply_where(o, options, is_any, NULL);
}

/* --- durations --- */

static int64_t to_keep_ms(double milliseconds) {
    return milliseconds < 0 || milliseconds > 1e15 ? MODELS_KEEP_ALWAYS : (int64_t)milliseconds;
}

/* Milliseconds of the unit at `text`, and its length; 0 = none. */
static double unit_of(const char *text, size_t *n) {
    static const struct { const char *name; double ms; } units[] = {
        {"ms", 1}, {"us", 1e-3}, {"µs", 1e-3}, {"ns", 1e-6}, {"h", 3600e3}, {"m", 60e3},
        {"s", 1e3}};
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        *n = strlen(units[i].name);
        if (!strncmp(text, units[i].name, *n)) return units[i].ms;
    }
    return 0;
}

/* Digits and a point, nothing else that strtod would take; NAN when there are none. */
static double number_at(const char *text, const char **end) {
    char digits[32];
    size_t n = strspn(text, "0123456789.");
    *end = text + n;
    if (n == 0 || n >= sizeof digits) return NAN;
    memcpy(digits, text, n);
    digits[n] = '\0';
    char *rest;
    double number = strtod(digits, &rest);
    return rest == digits || *rest ? NAN : number;
}

hone_status ollama_parse_duration(const char *text, const char *name, int64_t *milliseconds) {
    const char *at = text;
    double sum = 0;
    bool negative = *at == '-', bare = false;
    if (*at == '-' || *at == '+') at++;
    if (!*at) at = "?";
    while (*at) {
        const char *end;
        size_t n = 0;
        double number = number_at(at, &end), unit = 1e3;
        if (!isnan(number)) {
            bare = !*end && at == text + (text[0] == '-' || text[0] == '+'); /* "300": seconds */
            if (!bare) unit = unit_of(end, &n);
        }
        if (isnan(number) || unit == 0)
            return fail(HONE_ERR_ARGUMENT, "%s is \"%.40s\"; it takes seconds, or a duration as 5m "
                        "or 1h30m", name, text);
        sum += number * unit;
        at = end + n;
    }
    *milliseconds = to_keep_ms(negative && sum > 0 ? -sum : sum);
    return HONE_OK;
}

hone_status ollama_read_duration(const json_t *value, const char *name, int64_t *milliseconds) {
    if (json_is_string(value))
        return ollama_parse_duration(json_string_value(value), name, milliseconds);
    if (!json_is_number(value))
        return fail(HONE_ERR_FORMAT, "%s is neither a number nor a duration", name);
    *milliseconds = to_keep_ms(json_number_value(value) * 1000);
    return HONE_OK;
}
