/* Memory that is taken piece by piece and given back as a whole, with a limit from birth. */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include <stddef.h>

typedef struct mem_arena {
    struct arena_block *last;
    size_t used, max;
} mem_arena;

/* Zeroed, aligned for any type; NULL with a sentence stored when memory or `max` is short. */
void *arena_alloc(mem_arena *a, size_t count, size_t size);
/* A block of new_size bytes that begins with the old one's bytes; the rest is not zeroed. */
void *arena_grow(mem_arena *a, void *old, size_t old_size, size_t new_size);
void arena_release(mem_arena *a);

#endif
