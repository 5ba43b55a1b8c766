/* What the database of results knows of a model on a machine: the newest valid figures. */
#ifndef LAB_MEASURED_H
#define LAB_MEASURED_H

#include "base/stats.h"
#include "lab/results.h"

typedef struct measured_figure {
    estimate e;
    int64_t result; /* where it comes from; 0 = nothing is known */
} measured_figure;

typedef struct measured {
    measured_figure decode; /* tokens/s of one answer (bench, or the baseline of a tuning) */
    measured_figure score;  /* of the task */
} measured;

/* Of the model whose file or folder is `path`, as it is now; `task` NULL = no score is wanted. A
 * file that no result speaks of is not read. Errors: those of lab/results.h. */
hone_status measured_find(measured *out, results *db, const char *fingerprint, const char *path,
                          const char *task);

/* The memory's speed there, bytes/s, as the newest valid benchmark saw it; 0 = none did. */
hone_status measured_read_limit(double *out, results *db, const char *fingerprint);

#endif
