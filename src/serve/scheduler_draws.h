/* The draws of a strategy as requests of one exchange, beside everybody else's. */
#ifndef SERVE_SCHEDULER_DRAWS_H
#define SERVE_SCHEDULER_DRAWS_H

#include "serve/job.h"
#include "serve/models.h"
#include "strategy/draws.h"

/* Borrowed: the models, the exchange whose client is looked for, and with whom it takes turns. */
typedef struct scheduler_draws {
    const served_model *served; /* [n_served] */
    size_t n_served;
    exchange *x;
    const char *client;
} scheduler_draws;

draw_service scheduler_draws_service(scheduler_draws *d);

#endif
