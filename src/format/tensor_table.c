#include "format/tensor_table.h"

#include <string.h>

#include "base/mem.h"
#include "base/strmap.h"

struct tensor_table {
    named_tensor *entries;
    size_t n, room;
    strmap names; /* name → entry */
    void **memory;
    size_t n_memory;
    file_map map;
};

hone_status tensor_table_open(tensor_table **out) {
    tensor_table *t = mem_calloc(1, sizeof *t);
    if (!t) return mem_fail("tensors", sizeof *t);
    hone_status status = strmap_init(&t->names, 256);
    if (status != HONE_OK) {
        mem_free(t);
        return status;
    }
    *out = t;
    return HONE_OK;
}

void tensor_table_close(tensor_table *t) {
    if (!t) return;
    for (size_t i = 0; i < t->n; i++) mem_free((char *)t->entries[i].name);
    for (size_t i = 0; i < t->n_memory; i++) mem_free(t->memory[i]);
    mem_free(t->entries);
    mem_free(t->memory);
    strmap_release(&t->names);
    file_map_release(&t->map);
    mem_free(t);
}

static hone_status reserve(tensor_table *t) {
    return mem_grow(&t->entries, &t->room, t->n + 1, sizeof *t->entries, "tensors");
}

hone_status tensor_table_add(tensor_table *t, const char *name, const tensor *view) {
    size_t n = strlen(name), bytes = view->row_bytes;
    bool was_there;
    if (n == 0 || n > TENSOR_TABLE_MAX_NAME || t->n == TENSOR_TABLE_MAX)
        return fail(HONE_ERR_FORMAT, "tensor %zu: a name of %zu bytes, or too many tensors", t->n,
                    n);
    for (size_t d = 1; d < TENSOR_MAX_DIMS; d++)
        if (!size_mul(bytes, view->ne[d], &bytes))
            return fail(HONE_ERR_FORMAT, "tensor '%s': more bytes than a file can hold", name);
    TRY(reserve(t));
    char *copy = mem_copy_string(name, n);
    if (!copy) return mem_fail("tensor name", n);
    hone_status status = strmap_insert(&t->names, copy, n, (uint32_t)t->n, &was_there);
    if (status == HONE_OK && was_there)
        status = fail(HONE_ERR_FORMAT, "tensor '%s' comes twice", name);
    if (status != HONE_OK) {
        mem_free(copy);
        return status;
    }
    t->entries[t->n++] = (named_tensor){copy, *view, bytes};
    return HONE_OK;
}

hone_status tensor_table_keep(tensor_table *t, void *memory) {
    void **all = mem_realloc(t->memory, t->n_memory + 1, sizeof *all);
    if (!all) {
        mem_free(memory);
        return mem_fail("tensors", (t->n_memory + 1) * sizeof *all);
    }
    t->memory = all;
    t->memory[t->n_memory++] = memory;
    return HONE_OK;
}

void tensor_table_keep_map(tensor_table *t, const file_map *map) {
    file_map_release(&t->map);
    t->map = *map;
}

hone_status tensor_table_take_in(tensor_table *t) { return file_map_take_in(&t->map); }

const file_map *tensor_table_map(const tensor_table *t) { return &t->map; }

const named_tensor *tensor_table_find(const tensor_table *t, const char *name) {
    uint32_t i;
    return strmap_find(&t->names, name, strlen(name), &i) ? &t->entries[i] : NULL;
}

size_t tensor_table_count(const tensor_table *t) { return t->n; }
const named_tensor *tensor_table_at(const tensor_table *t, size_t i) { return &t->entries[i]; }

hone_status tensor_view_init(tensor *view, dtype type, const size_t *sizes, size_t n_sizes,
                             size_t *bytes) {
    if (n_sizes > TENSOR_MAX_DIMS)
        return fail(HONE_ERR_UNSUPPORTED, "%zu dimensions, at most %d", n_sizes, TENSOR_MAX_DIMS);
    tensor v = {.type = type, .n_dims = (uint32_t)n_sizes, .ne = {1, 1, 1, 1}};
    for (size_t i = 0; i < n_sizes; i++) v.ne[i] = sizes[n_sizes - 1 - i];
    bool fits = dtype_row_bytes(type, v.ne[0], &v.row_bytes);
    size_t total = v.row_bytes;
    for (size_t i = 1; i < TENSOR_MAX_DIMS && fits; i++) fits = size_mul(total, v.ne[i], &total);
    if (!fits)
        return fail(HONE_ERR_FORMAT,
                    "rows of %zu elements of %s, or more bytes than a file can hold", v.ne[0],
                    dtype_get(type)->name);
    *view = v;
    *bytes = total;
    return HONE_OK;
}
