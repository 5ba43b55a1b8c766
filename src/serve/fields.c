/* Checked fields (serve/fields.h). */
#include "serve/fields.h"

#include <math.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/system.h"

const json_t *field_find(const json_t *object, const char *key) {
    const json_t *value = json_object_get(object, key);
    return json_is_null(value) ? NULL : value;
}

hone_status field_number(const json_t *object, const char *key, double low, double high,
                         double *value) {
    double given = *value;
    TRY(json_get_f64(object, key, &given));
    if (!field_find(object, key)) return HONE_OK;
    if (!(given >= low && given <= high))
        return fail(HONE_ERR_ARGUMENT, "%s is %g; it must be between %g and %g", key, given, low,
                    high);
    *value = given;
    return HONE_OK;
}

hone_status field_float(const json_t *object, const char *key, double low, double high,
                        float *value) {
    double wide = (double)*value;
    TRY(field_number(object, key, low, high, &wide));
    *value = (float)wide;
    return HONE_OK;
}

hone_status field_whole(const json_t *object, const char *key, uint64_t low, uint64_t high,
                        uint64_t *value) {
    uint64_t given = *value;
    TRY(json_get_u64(object, key, &given));
    if (!field_find(object, key)) return HONE_OK;
    if (given < low || given > high)
        return fail(HONE_ERR_ARGUMENT, "%s is %llu; it must be between %llu and %llu", key,
                    (unsigned long long)given, (unsigned long long)low, (unsigned long long)high);
    *value = given;
    return HONE_OK;
}

hone_status field_seed(const json_t *object, uint64_t *seed) {
    const json_t *given = field_find(object, "seed");
    if (given && !json_is_integer(given))
        return fail(HONE_ERR_ARGUMENT, "seed is no whole number");
    *seed = given ? (uint64_t)json_integer_value(given) : system_random() >> 11;
    return HONE_OK;
}

hone_status field_stops(const json_t *object, const char *key, const char *const **texts,
                        size_t *n) {
    const json_t *stop = field_find(object, key);
    if (!stop) return HONE_OK;
    size_t count = json_is_array(stop) ? json_array_size(stop) : 1;
    if (count > FIELD_MAX_STOPS)
        return fail(HONE_ERR_ARGUMENT, "%s has %zu texts, at most %d", key, count, FIELD_MAX_STOPS);
    const char **list = mem_calloc(count, sizeof *list);
    if (!list) return mem_fail(key, count * sizeof *list);
    for (size_t i = 0; i < count; i++) {
        list[i] = json_string_value(json_is_array(stop) ? json_array_get(stop, i) : stop);
        if (list[i]) continue;
        mem_free(list);
        return fail(HONE_ERR_ARGUMENT, "%s must be a text or a list of texts", key);
    }
    *texts = list;
    *n = count;
    return HONE_OK;
}

static bool read_bias(const char *key, const json_t *value, hone_logit_bias *bias) {
    char *end;
    long token = strtol(key, &end, 10);
    double number = json_number_value(value);
    *bias = (hone_logit_bias){(int32_t)token, (float)number};
    return !*end && end != key && token >= 0 && token <= INT32_MAX && json_is_number(value) &&
           fabs(number) <= 100;
}

hone_status field_biases(const json_t *object, const char *key, hone_logit_bias **biases,
                         size_t *n) {
    json_t *map = json_object_get(object, key), *value;
    if (!map || json_is_null(map)) return HONE_OK;
    size_t count = json_object_size(map), i = 0;
    if (!json_is_object(map) || count > FIELD_MAX_BIASES)
        return fail(HONE_ERR_ARGUMENT, "%s must be an object of at most %d tokens", key,
                    FIELD_MAX_BIASES);
    hone_logit_bias *list = mem_calloc(count, sizeof *list);
    if (!list) return mem_fail(key, count * sizeof *list);
    const char *token;
    json_object_foreach(map, token, value) {
        if (read_bias(token, value, &list[i++])) continue;
        mem_free(list);
        return fail(HONE_ERR_ARGUMENT, "%s maps token ids to numbers between -100 and 100", key);
    }
    *biases = list;
    *n = count;
    return HONE_OK;
}
