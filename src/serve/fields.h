/* Fields of JSON requests, checked: missing or null ones leave the default,
 * wrong ones are named. */
#ifndef SERVE_FIELDS_H
#define SERVE_FIELDS_H

#include "base/json.h"
#include "hone/request.h"

enum { FIELD_MAX_STOPS = 16, FIELD_MAX_BIASES = 1024 };

/* HONE_ERR_ARGUMENT outside of low … high, HONE_ERR_FORMAT for another type. */
hone_status field_number(const json_t *object, const char *key, double low, double high,
                         double *value);
hone_status field_float(const json_t *object, const char *key, double low, double high,
                        float *value);
hone_status field_whole(const json_t *object, const char *key, uint64_t low, uint64_t high,
                        uint64_t *value);
/* The member, or NULL where it is missing or null. */
const json_t *field_find(const json_t *object, const char *key);

/* A whole number of any sign, drawn from the system where missing. */
hone_status field_seed(const json_t *object, uint64_t *seed);

/* A text or a list of them. The list is freed with mem_free, its texts belong to the object. */
hone_status field_stops(const json_t *object, const char *key, const char *const **texts,
                        size_t *n);

/* {"token id": bias}; the list is freed with mem_free. */
hone_status field_biases(const json_t *object, const char *key, hone_logit_bias **biases,
                         size_t *n);

#endif
