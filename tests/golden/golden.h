/* One reference case folder: golden.json, golden.safetensors and the model beside them. */
#ifndef TESTS_GOLDEN_H
#define TESTS_GOLDEN_H

#include "base/json.h"
#include "format/safetensors.h"
#include "hone/hone.h"

typedef struct golden {
    const char *folder;
    json_t *json;
    safetensors *tensors;
} golden;

/* Values of a reference tensor; NULL (and one failed check) where it is missing. */
const float *golden_floats(const golden *g, const char *name, size_t index);

/* Ids of a JSON array; *n is their number. Freed with free. */
int32_t *golden_ids(const json_t *array, size_t *n);

/* Largest |a − b| of n values; NaN counts as infinite. */
double largest_difference(const float *a, const float *b, size_t n);

/* The checks of each kind; they print what they measured and count themselves with RUN_NAMED. */
void check_language_model(const golden *g);
void check_real_model(const golden *g);
void check_quant(const golden *g);
void check_mel(const golden *g);
void check_whisper(const golden *g);
void check_real_whisper(const golden *g);
void check_lora(const golden *g);
/* A folder of sets, one file each. */
void check_choices(const char *folder);

#endif
