/* Allocation with checked sizes, and a switch that makes the n-th one fail.
 *
 * Every allocation of the library goes through here (third-party libraries are pointed here where
 * they allow it), so that tests can fail the 1st, 2nd, 3rd … one. A size of zero gives a unique
 * pointer. Free with `mem_free`, which accepts NULL. */
#ifndef BASE_MEM_H
#define BASE_MEM_H

#include <stdbool.h>
#include <stddef.h>

/* NULL when memory is short. `mem_calloc` zeroes and checks count × size. */
void *mem_alloc(size_t bytes);
void *mem_calloc(size_t count, size_t size);
/* Grows or shrinks `old` (may be NULL) to count × size bytes; on NULL `old` is still valid. */
void *mem_realloc(void *old, size_t count, size_t size);
/* 64-byte aligned, not zeroed; for vectors and tensors. Free with `mem_free`. */
void *mem_alloc_aligned(size_t count, size_t size);
void mem_free(void *memory);

/* Copy of `bytes` bytes with a NUL behind them. */
char *mem_copy_string(const char *text, size_t bytes);

/* a · b and a + b; false when the result does not fit. */
bool size_mul(size_t a, size_t b, size_t *product);
bool size_add(size_t a, size_t b, size_t *sum);

/* The sentence for a NULL from above; returns HONE_ERR_MEMORY. `what` names the thing. */
int mem_fail(const char *what, size_t bytes);

/* Room for `needed` elements of `size` bytes in a growing array: `array` is the address of the
 * pointer to it, *capacity what it holds now. Grows by half more than is asked for, so that
 * appending one by one costs the same as once. HONE_ERR_MEMORY leaves both as they were. */
int mem_grow_more(void *array, size_t *capacity, size_t needed, size_t size, const char *what);
static inline int mem_grow(void *array, size_t *capacity, size_t needed, size_t size,
                           const char *what) {
    return needed <= *capacity ? 0 : mem_grow_more(array, capacity, needed, size, what);
}

/* Tests: the n-th allocation from now (1 = the next) and all later ones fail; 0 turns it off.
 * `mem_count` is the number of allocations tried since then. Not for use across threads. */
void mem_fail_from(long n);
long mem_count(void);

#endif
