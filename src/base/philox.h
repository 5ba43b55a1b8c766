/* Philox4x32-10: random numbers as a pure function of a counter and a key.
 *
 * Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011. There is no
 * state to keep, share or save: the same counter and key give the same words everywhere, and any
 * place of the sequence is reached at once. Not for secrets. */
#ifndef BASE_PHILOX_H
#define BASE_PHILOX_H

#include <stdint.h>

typedef struct philox_block {
    uint32_t word[4];
} philox_block;

/* The four words at `counter` under the key (low word first). */
philox_block philox4x32(philox_block counter, uint64_t key);

#endif
