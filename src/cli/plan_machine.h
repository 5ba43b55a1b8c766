/* The machine that `hone plan` plans for: this one, or one that a file describes
 * (docs/memory.md). */
#ifndef CLI_PLAN_MACHINE_H
#define CLI_PLAN_MACHINE_H

#include "lab/machine.h"
#include "lab/measured.h"

typedef struct plan_machine {
    char name[128];
    bool is_this_one;
    uint64_t memory;         /* 0 = what is free now */
    int n_cores;             /* 0 = unknown */
    double read_bytes_per_s; /* 0 = unknown: no speed can be estimated */
    char fingerprint[17];    /* "" = no result is of it */
    results *db;             /* NULL = none can be had */
} plan_machine;

/* `path` NULL = this machine. Returns an exit code; release in any case. */
int plan_machine_open(plan_machine *m, const char *path);
void plan_machine_release(plan_machine *m);

/* How fast memory is read: as the file says, as a benchmark saw it, or as it is seen now, which
 * takes about a second. */
hone_status plan_machine_look_at_limits(plan_machine *m, int n_threads);

#endif
