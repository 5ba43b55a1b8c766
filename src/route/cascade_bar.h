/* The bar of a cascade of two models, measured: how many draws of the first must agree for their
 * answer to stand (strategy "cascade").
 *
 * On the half to learn from every bar is tried; the one with most right answers is taken, of equals
 * the lowest, which asks the second model least. The half held out tells what it is worth beside
 * always asking the second model, and beside never. */
#ifndef ROUTE_CASCADE_BAR_H
#define ROUTE_CASCADE_BAR_H

#include "hone/strategy.h"
#include "route/policy.h"

typedef struct cascade_try {
    double bar, right, seconds, escalated; /* shares and means on the half to learn from */
} cascade_try;

typedef struct cascade_bar {
    policy_table table; /* cascade, always the second, never the second */
    cascade_try tries[HONE_MAX_DRAWS];
    size_t n_draws;     /* and tries */
    size_t best;        /* of the tries */
    double escalated;   /* share of the items held out for which the second model was asked */
} cascade_bar;

/* Of a trial whose entry 0 is the first model with the strategy "sampleN & vote" (n_draws = N), and
 * entry 1 the second model's one answer. Release `b` in any case. */
hone_status cascade_bar_measure(cascade_bar *b, const policy_trial *t, size_t n_draws);
void cascade_bar_release(cascade_bar *b);

/* policy_table_to_json with "strategy" ("cascade4@0.75 with MODEL"), "escalated" and "bars"
 * [{bar, right, seconds, escalated}]. */
json_t *cascade_bar_to_json(const cascade_bar *b, const char *second);

#endif
