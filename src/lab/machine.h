/* The machine under a measurement: what it is, what could have disturbed it, what memory the
 * program takes, what energy was used. Linux tells all of it; elsewhere the numbers are 0. */
#ifndef LAB_MACHINE_H
#define LAB_MACHINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

/* "AMD EPYC 9B14", or the architecture where the system does not say. */
void machine_processor_name(char *name, size_t n);

/* What it is. Strings are "" and numbers 0 where the system does not say. */
typedef struct machine_description {
    char cpu[128];      /* machine_processor_name */
    char features[32];  /* the instruction set that hone uses here, "avx512-vnni" */
    int n_cores;        /* that this process may use, one for each physical core */
    int n_processors;   /* of the machine, as the system counts them */
    uint64_t memory_bytes, cache_bytes; /* what this process may have; the largest cache */
    char kernel[128];   /* "Linux 6.1.0-18-amd64" */
    /* 16 hexadecimal digits of what decides about speed: processor, features, cores, and the memory
     * in whole GiB. The kernel is not in it. */
    char fingerprint[17];
} machine_description;

hone_status machine_describe(machine_description *m);

/* A look at the counters; differences between two looks tell what happened in between. */
typedef struct machine_state {
    double clock_ms;          /* when (base/system.h) */
    uint64_t n_throttled;     /* times the container's quota stopped it */
    uint64_t swapped_bytes;   /* of this process */
    uint64_t n_major_faults;  /* pages read from disk for this process */
    double others_cpu_ms;     /* processor time spent outside this process, all cores together */
    double stolen_ms;         /* that this virtual machine wanted and others got, all cores */
} machine_state;

void machine_look(machine_state *state);

/* Steps of a chain of dependent multiplications in a second, on one thread: follows the clock that
 * the processor has. Takes about 20 ms; for validity_judge_limits where the real limits take too
 * long. */
double machine_clock_rate(void);

/* The memory of this program. 0 = unknown. */
typedef struct machine_memory {
    uint64_t resident;      /* in memory now; of these … */
    uint64_t resident_file; /* … pages of mapped files: other programs may share them, */
    uint64_t resident_own;  /* … and its own */
    uint64_t mapped;        /* address space */
    uint64_t group; /* what its control group (cgroup) is charged with, the file cache included, */
    uint64_t group_peak;    /* … and the most of it since the group began */
} machine_memory;

void machine_look_at_memory(machine_memory *memory);

#endif
