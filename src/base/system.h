/* What this machine and this process have: time and memory. */
#ifndef BASE_SYSTEM_H
#define BASE_SYSTEM_H

#include <stdbool.h>
#include <stdint.h>

/* Milliseconds of a clock that never steps. */
double clock_ms(void);

/* Bytes of memory that this process may use: the least of the physical memory, the container's
 * limit (cgroup v2 and v1) and the address-space limit. */
uint64_t system_memory_bytes(void);

/* Of these, what is free now: what the system can give without swapping, and what the limits leave
 * of what is used below them. */
uint64_t system_free_memory_bytes(void);

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
