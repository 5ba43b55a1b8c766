/* `hone serve --adapt`: gives memory back before the system takes it.
 *
 * A thread looks ten times a second, and fifty times where little is left, at the machine, the
 * control groups and stalls (system_look_at_memory), and lowers what the schedulers of all open
 * models may hold, in this order: cached prefixes go; then slots are halved, down to one; where
 * next to nothing is left, answers beyond the slots end (serve/scheduler.h). After two calm seconds
 * slots are doubled, and so on, until everything is as it was configured. */
#ifndef SERVE_PRESSURE_H
#define SERVE_PRESSURE_H

#include "base/system.h"
#include "serve/models.h"

typedef struct pressure pressure;

typedef struct pressure_options {
    models *models;
    scheduler_limits configured;
    const char *root; /* of system_look_at_memory */
    void (*log)(void *user, const char *line); /* a JSON object for each change; may be NULL */
    void *user;
} pressure_options;

/* Closed before the models are. NULL is allowed in close. */
hone_status pressure_open(pressure **out, const pressure_options *options);
void pressure_close(pressure *p);

typedef struct pressure_state {
    system_memory memory;
    uint64_t n_lowered, n_raised; /* changes so far */
} pressure_state;

pressure_state pressure_look(pressure *p);

/* The rule: what may be held after a look at that time; pure, for the thread and for tests. Begin
 * with `now` as configured. */
typedef struct pressure_policy {
    scheduler_limits configured, now;
    double changed_ms, scarce_ms; /* of the last change, and when memory was last not ample */
} pressure_policy;

/* What all schedulers have together. */
typedef struct pressure_load {
    uint64_t cache_bytes, growth_bytes; /* of prefixes; most that a step added */
    bool obeyed;                        /* the limits of the last change are in force */
} pressure_load;

typedef enum pressure_change { PRESSURE_SAME, PRESSURE_LOWERED, PRESSURE_RAISED } pressure_change;
pressure_change pressure_decide(pressure_policy *p, const system_memory *memory,
                                const pressure_load *load, double now_ms);

#endif
