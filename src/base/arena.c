/* Linked blocks (base/arena.h). */
#include <stdalign.h>
#include <stdint.h>
#include <string.h>

#include "base/arena.h"
#include "base/mem.h"
#include "base/status.h"

/* Blocks are linked so that release finds them; only the last one has free room. */
struct arena_block {
    struct arena_block *before;
    size_t used, size;
    alignas(max_align_t) char data[];
};

enum { BLOCK_BYTES = 32 << 10, ALIGN = alignof(max_align_t) };

static void *take(mem_arena *a, size_t bytes) {
    size_t left = a->max - a->used;
    if (bytes > left || left - bytes < ALIGN) {
        fail(HONE_ERR_MEMORY, "takes more than %zu MB of memory", a->max >> 20);
        return NULL;
    }
    bytes = (bytes + ALIGN - 1) / ALIGN * ALIGN;
    struct arena_block *b = a->last;
    if (!b || bytes > b->size - b->used) {
        size_t size = bytes > BLOCK_BYTES ? bytes : BLOCK_BYTES;
        b = mem_alloc(sizeof *b + size);
        if (!b) {
            mem_fail("arena", size);
            return NULL;
        }
        *b = (struct arena_block){.before = a->last, .size = size};
        a->last = b;
    }
    void *memory = b->data + b->used;
    b->used += bytes;
    a->used += bytes;
    return memory;
}

void *arena_alloc(mem_arena *a, size_t count, size_t size) {
    size_t bytes;
    if (!size_mul(count, size, &bytes)) bytes = SIZE_MAX;
    void *memory = take(a, bytes ? bytes : 1);
    return memory ? memset(memory, 0, bytes) : NULL;
}

void *arena_grow(mem_arena *a, void *old, size_t old_size, size_t new_size) {
    void *memory = take(a, new_size);
    if (memory && old_size) memcpy(memory, old, old_size);
    return memory;
}

void arena_release(mem_arena *a) {
    while (a->last) {
        struct arena_block *before = a->last->before;
        mem_free(a->last);
        a->last = before;
    }
    a->used = 0;
}
