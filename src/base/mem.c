#include "base/mem.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/status.h"

static long fail_from;
static _Atomic long counted;

void mem_fail_from(long n) {
    fail_from = n;
    counted = 0;
}

long mem_count(void) { return counted; }

static bool injected_failure(void) {
    long nth = ++counted;
    return fail_from > 0 && nth >= fail_from;
}

bool size_mul(size_t a, size_t b, size_t *product) {
    return !__builtin_mul_overflow(a, b, product);
}

bool size_add(size_t a, size_t b, size_t *sum) { return !__builtin_add_overflow(a, b, sum); }

void *mem_alloc(size_t bytes) {
    if (injected_failure()) return NULL;
    return malloc(bytes ? bytes : 1);
}

void *mem_calloc(size_t count, size_t size) {
    if (injected_failure()) return NULL;
    return count && size ? calloc(count, size) : calloc(1, 1);
}

void *mem_realloc(void *old, size_t count, size_t size) {
    size_t bytes;
    if (!size_mul(count, size, &bytes) || injected_failure()) return NULL;
    return realloc(old, bytes ? bytes : 1);
}

void *mem_alloc_aligned(size_t count, size_t size) {
    size_t bytes;
    if (!size_mul(count, size, &bytes) || bytes > SIZE_MAX - 64 || injected_failure()) return NULL;
    return aligned_alloc(64, bytes ? (bytes + 63) / 64 * 64 : 64);
}

void mem_free(void *memory) { free(memory); }

char *mem_copy_string(const char *text, size_t bytes) {
    char *copy = bytes < SIZE_MAX ? mem_alloc(bytes + 1) : NULL;
    if (!copy) return NULL;
    if (bytes) memcpy(copy, text, bytes);
    copy[bytes] = 0;
    return copy;
}

int mem_fail(const char *what, size_t bytes) {
    if (bytes < 1000000)
        return fail(HONE_ERR_MEMORY, "out of memory: %s needs %zu bytes", what, bytes);
    return fail(HONE_ERR_MEMORY, "out of memory: %s needs %.1f MB", what, (double)bytes / 1e6);
}

int mem_grow_more(void *array, size_t *capacity, size_t needed, size_t size, const char *what) {
    size_t wanted = needed < SIZE_MAX / 2 ? needed + needed / 2 + 16 : needed;
    void *old, *grown;
    memcpy(&old, array, sizeof old);
    grown = mem_realloc(old, wanted, size);
    if (!grown) return mem_fail(what, needed < SIZE_MAX / size ? needed * size : SIZE_MAX);
    memcpy(array, &grown, sizeof grown);
    *capacity = wanted;
    return HONE_OK;
}
