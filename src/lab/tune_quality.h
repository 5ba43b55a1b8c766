/* The meter for quality: a task's items, answered with the sampling that is tried.
 *
 * A round asks a few items that no other round of the race asks; all contestants get the same ones.
 * Two fifths of the items are kept back for the last race, so that what was chosen by the others does
 * not count for the best. Choices are asked for, not scored: sampling has no part in scores. */
#ifndef LAB_TUNE_QUALITY_H
#define LAB_TUNE_QUALITY_H

#include "lab/task.h"
#include "lab/tune.h"

typedef struct tune_quality tune_quality;

enum { TUNE_LEAST_ITEMS = 50 };

typedef struct tune_quality_settings {
    const char *const *models; /* names, files or folders; borrowed */
    size_t n_models;
    const task *task;          /* borrowed, with TUNE_LEAST_ITEMS at least (HONE_ERR_ARGUMENT) */
    uint64_t seed;             /* of the order of items, and of the answers */
    size_t max_tokens;         /* of an answer; 0 = as the task says */
    double min_speed;          /* tokens/s of one answer; 0 = whatever */
    uint64_t memory;           /* bytes for the process; 0 = no limit */
    bool (*go_on)(void *context); /* asked between tokens; may be NULL */
    void *context;
} tune_quality_settings;

hone_status tune_quality_open(tune_quality **out, const tune_quality_settings *settings);
void tune_quality_close(tune_quality *q); /* NULL is allowed */

/* Belongs to `q`. */
tune_meter tune_quality_meter(tune_quality *q);

#endif
