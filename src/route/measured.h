/* What the results database knows of the models that could answer: quality on the tasks of a kind,
 * and speed on this machine. */
#ifndef ROUTE_MEASURED_H
#define ROUTE_MEASURED_H

#include "lab/results.h"
#include "route/kind.h"
#include "weights/store.h"

/* How well one candidate did a task. Rows of one table answered the same items: they have task,
 * hash of items, number and draw of items in common. */
typedef struct measured_row {
    size_t candidate;  /* index in the listing */
    char strategy[256]; /* "" = one draw */
    estimate quality;  /* more is better: error rates stand here as 1 − rate */
    uint64_t n;
    int64_t result;    /* its number in the database */
} measured_row;

typedef struct measured {
    char task[64];     /* "" = nothing of the kind was measured */
    measured_row *rows; /* the best first */
    size_t n_rows;
    double *decode;    /* [candidates] tokens/s on this machine; 0 = not measured */
} measured;

/* Valid evaluations of `db`, the newest for each candidate and strategy, on the task of the kind
 * for which most candidates have one. `m` is released in any case. */
hone_status measured_read(measured *m, results *db, const store_listing *candidates,
                          prompt_kind kind);
void measured_release(measured *m);

/* Rows and speeds of their own. */
hone_status measured_copy(measured *m, const measured *from, size_t n_candidates);

/* The place of a task among those that tell of a kind, the most telling 0; SIZE_MAX where it tells
 * nothing of it. */
size_t measured_task_rank(prompt_kind kind, const char *task);

#endif
