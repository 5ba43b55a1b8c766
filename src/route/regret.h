/* What choosing loses: the router beside always the one model that was best, and beside an oracle.
 *
 * The models answer the half to learn from; the router sees these figures as it would see rows of
 * the results database, and sends each question of the half held out, by its words alone, to a
 * model. "Always" is the one with most right answers on the half to learn from, the faster of
 * equals; the oracle takes, for each item, the fastest model that is right, else the fastest. */
#ifndef ROUTE_REGRET_H
#define ROUTE_REGRET_H

#include "route/policy.h"
#include "route/route.h"

typedef struct regret {
    policy_table table;  /* auto, always, oracle */
    size_t always;       /* index of the entry */
    size_t n_sent[COMPARE_MAX_ENTRIES]; /* questions that auto sent to each */
} regret;

/* Of a trial of plain models. Release `r` in any case. Errors of route_choose. */
hone_status regret_measure(regret *r, const policy_trial *t, route_priority priority, uint64_t memory);
void regret_release(regret *r);

/* policy_table_to_json with "always", "sent" {label: n} and "priority". */
json_t *regret_to_json(const regret *r, const policy_trial *t, route_priority priority);

#endif
