/* What the processor can do, and which instruction set hone uses.
 *
 * `HONE_CPU=scalar|avx2|avx512|neon` in the environment forces a lower one, so that one machine
 * tests every path. */
#ifndef BASE_CPU_H
#define BASE_CPU_H

#include "base/status.h"

typedef enum cpu_isa {
    CPU_SCALAR = 0,
    CPU_AVX2 = 1,   /* AVX2, FMA, F16C */
    CPU_AVX512 = 2, /* AVX-512 F, BW, DQ, VL; VNNI and BF16 are looked at apart */
    CPU_NEON = 3    /* every 64-bit Arm; the dot-product extension is looked at apart */
} cpu_isa;

enum {
    CPU_HAS_VNNI = 1,    /* AVX-512 VNNI */
    CPU_HAS_BF16 = 2,    /* AVX-512 BF16 */
    CPU_HAS_DOTPROD = 4, /* Arm dot product */
};

/* The best instruction set of this machine, and its extras as a bit set. Thread-safe. */
cpu_isa cpu_best_isa(void);
unsigned cpu_extras(void);

/* The one to use: the best, unless HONE_CPU names another. HONE_ERR_ARGUMENT when it names
 * something unknown, HONE_ERR_UNSUPPORTED when the machine lacks it. */
hone_status cpu_chosen_isa(cpu_isa *isa);

const char *cpu_isa_name(cpu_isa isa); /* the word that HONE_CPU takes */

/* Processors this process may run on: the affinity mask and the container's quota (cgroup v2 and
 * v1), at least 1. */
int cpu_usable_count(void);

/* How many compute threads suit this machine, and from what that follows. */
typedef struct cpu_choice {
    int n_threads;  /* the least of cores and quota, at least 1 */
    int n_online;   /* processors of the machine */
    int n_allowed;  /* of those, what the affinity mask lets this process use */
    int n_cores;    /* of those, distinct cores: a second thread on a core brings nothing */
    int n_fast;     /* of those, the fast ones; fewer than n_cores on machines with two kinds */
    int quota;      /* processors that the container's quota pays for; 0 = no quota */
} cpu_choice;

cpu_choice cpu_choose_threads(void);

/* `wanted` compute threads, or where that is 0 those of cpu_choose_threads; never more than the
 * quota pays for, since each would only be stopped for a part of the time while the others wait. */
int cpu_thread_count(int wanted);

#endif
