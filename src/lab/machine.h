/* The machine under a measurement: its name, and what could have disturbed it. Linux tells all of
 * it; elsewhere the numbers are 0. */
#ifndef LAB_MACHINE_H
#define LAB_MACHINE_H

#include <stddef.h>
#include <stdint.h>

/* "AMD EPYC 9B14", or the architecture where the system does not say. */
void machine_processor_name(char *name, size_t n);

/* A look at the counters; differences between two looks tell what happened in between. */
typedef struct machine_state {
    double clock_ms;          /* when (base/system.h) */
    double load;              /* processes that want to run, average over the last minute */
    uint64_t n_throttled;     /* times the container's quota stopped it */
    uint64_t swapped_bytes;   /* of this process */
    uint64_t n_major_faults;  /* pages read from disk for this process */
    double others_cpu_ms;     /* processor time spent outside this process, all cores together */
    double stolen_ms;         /* that this virtual machine wanted and others got, all cores */
} machine_state;

void machine_look(machine_state *state);

#endif
