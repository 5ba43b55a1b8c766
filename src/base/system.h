/* What this machine and this process have: time and memory. */
#ifndef BASE_SYSTEM_H
#define BASE_SYSTEM_H

#include <stdbool.h>
#include <stdint.h>

/* Milliseconds of a clock that never steps. */
double clock_ms(void);

/* Memory as this process may use it, in bytes. */
typedef struct system_memory {
    uint64_t limit; /* the least of physical memory, the control groups' limits (cgroup v2 and v1,
                       all groups above the process's own) and the address-space limit */
    uint64_t left;  /* the least of what the system can give without swapping and what those limits
                       leave; files that are only cached count as left */
    double stalled; /* percent of the last ten seconds in which a task waited for memory (PSI, of
                       the own group where there is one); 0 where the kernel does not tell */
} system_memory;

/* `root` stands before /proc and /sys: "" for this machine. */
system_memory system_look_at_memory(const char *root);

/* Gives memory that was freed, but that the allocator keeps, back to the system. */
void system_return_memory(void);

/* What this process has resident now. 0 = unknown. */
uint64_t system_resident_bytes(void);

/* The most bytes this process has had resident so far. 0 = unknown. */
uint64_t system_peak_resident_bytes(void);

/* From now on, as if it had just begun. False where the system cannot do that. */
bool system_forget_peak(void);

/* Bytes of the largest cache of a processor. 0 = unknown. */
uint64_t system_cache_bytes(void);

/* Random bits from the system. */
uint64_t system_random(void);

#endif
