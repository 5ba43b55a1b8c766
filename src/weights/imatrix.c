#include "weights/imatrix.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/file_map.h"
#include "base/mem.h"
#include "format/gguf.h"

enum { MAX_ENTRIES = 100000, MAX_NAME = 255, MAX_DATASET = 4096, MAX_TENSOR_NAME = 64 };

/* --- entries --- */

hone_status imatrix_init(imatrix *m, const char *dataset) {
    *m = (imatrix){.n = 0};
    TRY(strmap_init(&m->by_name, 256));
    m->dataset = mem_copy_string(dataset, strlen(dataset));
    if (m->dataset) return HONE_OK;
    imatrix_release(m);
    return mem_fail("importance data", strlen(dataset));
}

void imatrix_release(imatrix *m) {
    for (size_t i = 0; i < m->n; i++) {
        mem_free(m->entries[i].name);
        mem_free(m->entries[i].mean);
        mem_free(m->entries[i].counts);
    }
    mem_free(m->entries);
    mem_free(m->dataset);
    strmap_release(&m->by_name);
    *m = (imatrix){.n = 0};
}

const imatrix_entry *imatrix_find(const imatrix *m, const char *name) {
    uint32_t index;
    bool found = strmap_find(&m->by_name, name, strlen(name), &index);
    return found ? &m->entries[index] : NULL;
}

static hone_status grow(imatrix *m) {
    if (m->n == MAX_ENTRIES) return fail(HONE_ERR_FORMAT, "more than %d entries", MAX_ENTRIES);
    return mem_grow(&m->entries, &m->n_allocated, m->n + 1, sizeof *m->entries, "importance data");
}

hone_status imatrix_add(imatrix *m, const char *name, size_t n_name, size_t n_columns,
                        size_t n_matrices, imatrix_entry **entry) {
    size_t n_values;
    bool was_there;
    TRY(grow(m));
    if (!size_mul(n_columns, n_matrices, &n_values)) return mem_fail("importance data", n_columns);
    imatrix_entry *e = &m->entries[m->n++]; /* from here on released with the others */
    *e = (imatrix_entry){.name = mem_copy_string(name, n_name),
                         .n_columns = n_columns,
                         .n_matrices = n_matrices,
                         .mean = mem_calloc(n_values, sizeof *e->mean),
                         .counts = mem_calloc(n_matrices, sizeof *e->counts)};
    if (!e->name || !e->mean || !e->counts)
        return mem_fail("importance data", n_values * sizeof *e->mean);
    TRY(strmap_insert(&m->by_name, e->name, n_name, (uint32_t)(m->n - 1), &was_there));
    if (was_there) return fail(HONE_ERR_FORMAT, "'%.*s' occurs twice", (int)n_name, e->name);
    *entry = e;
    return HONE_OK;
}

/* Sums of one matrix become means. */
static hone_status divide(const imatrix_entry *e, size_t matrix, double count) {
    float *mean = e->mean + matrix * e->n_columns;
    for (size_t i = 0; i < e->n_columns; i++) {
        if (count > 0.0) mean[i] = (float)((double)mean[i] / count);
        else mean[i] = 1.0f;
        if (!isfinite(mean[i]) || mean[i] < 0.0f)
            return fail(HONE_ERR_FORMAT, "'%s': importance of column %zu is %g", e->name, i,
                        (double)mean[i]);
    }
    return HONE_OK;
}

/* --- GGUF --- */

static bool ends_in(gguf_string text, const char *end, gguf_string *start) {
    size_t n = strlen(end);
    if (text.n <= n || memcmp(text.data + text.n - n, end, n) != 0) return false;
    *start = (gguf_string){text.data, text.n - n};
    return true;
}

static hone_status read_sums(imatrix *m, const gguf *file, const gguf_tensor *t, gguf_string name) {
    char counts_name[MAX_TENSOR_NAME + 16];
    imatrix_entry *e;
    snprintf(counts_name, sizeof counts_name, "%.*s.counts", (int)name.n, name.data);
    const gguf_tensor *counts = gguf_find_tensor(file, counts_name);
    const tensor *v = &t->view;
    if (v->type != DTYPE_F32 || v->ne[2] != 1 || v->ne[3] != 1)
        return fail(HONE_ERR_FORMAT, "'%.*s': expected a matrix of F32", (int)t->name.n,
                    t->name.data);
    if (!counts || counts->view.type != DTYPE_F32 || counts->bytes != v->ne[1] * sizeof(float))
        return fail(HONE_ERR_FORMAT, "'%s': expected %zu counts of F32", counts_name, v->ne[1]);
    TRY(imatrix_add(m, name.data, name.n, v->ne[0], v->ne[1], &e));
    memcpy(e->mean, v->data, t->bytes);
    memcpy(e->counts, counts->view.data, counts->bytes);
    for (size_t i = 0; i < e->n_matrices; i++) TRY(divide(e, i, (double)e->counts[i]));
    return HONE_OK;
}

static void read_about(imatrix *m, const gguf *file) {
    uint64_t n = 0;
    if (gguf_get_u64(file, "imatrix.chunk_count", &n) && n <= UINT32_MAX) m->n_chunks = (uint32_t)n;
    if (gguf_get_u64(file, "imatrix.chunk_size", &n) && n <= UINT32_MAX)
        m->chunk_size = (uint32_t)n;
}

static hone_status read_gguf(imatrix *m, const gguf *file) {
    const gguf_kv *datasets = gguf_find(file, "imatrix.datasets");
    gguf_string dataset = {"", 0}, type = {"", 0}, start;
    size_t cursor = 0;
    if (!gguf_get_string(file, "general.type", &type) || type.n != 7 ||
        memcmp(type.data, "imatrix", 7) != 0)
        return fail(HONE_ERR_FORMAT, "a GGUF file of another kind, no importance data");
    if (datasets && datasets->type == GGUF_ARRAY && datasets->element == GGUF_STRING)
        gguf_next_string(datasets, &cursor, &dataset);
    if (dataset.n > MAX_DATASET) dataset.n = 0;
    char *name = mem_copy_string(dataset.data, dataset.n);
    if (!name) return mem_fail("importance data", dataset.n);
    mem_free(m->dataset);
    m->dataset = name;
    read_about(m, file);
    for (size_t i = 0; i < gguf_n_tensors(file); i++) {
        const gguf_tensor *t = gguf_tensor_at(file, i);
        if (ends_in(t->name, ".in_sum2", &start) || ends_in(t->name, ".sums", &start))
            TRY(read_sums(m, file, t, start));
    }
    return HONE_OK;
}

/* --- the old form --- */

typedef struct reader {
    const uint8_t *at;
    size_t left;
} reader;

static hone_status take(reader *r, void *out, size_t n, const char *what) {
    if (n > r->left)
        return fail(HONE_ERR_FORMAT, "the file ends within %s (%zu bytes, %zu are left)", what, n,
                    r->left);
    memcpy(out, r->at, n);
    r->at += n;
    r->left -= n;
    return HONE_OK;
}

static hone_status take_i32(reader *r, int32_t low, int32_t high, const char *what,
                            int32_t *value) {
    TRY(take(r, value, sizeof *value, what));
    if (*value >= low && *value <= high) return HONE_OK;
    return fail(HONE_ERR_FORMAT, "%s is %d, expected %d to %d", what, (int)*value, (int)low,
                (int)high);
}

static hone_status read_old_entry(imatrix *m, reader *r) {
    char name[MAX_NAME];
    int32_t n_name, n_calls, n_values;
    imatrix_entry *e;
    TRY(take_i32(r, 1, MAX_NAME, "the length of a name", &n_name));
    TRY(take(r, name, (size_t)n_name, "a name"));
    TRY(take_i32(r, 0, INT32_MAX, "the number of calls", &n_calls));
    TRY(take_i32(r, 1, INT32_MAX, "the number of values", &n_values));
    if (memchr(name, 0, (size_t)n_name)) return fail(HONE_ERR_FORMAT, "a NUL within a name");
    if ((size_t)n_values > r->left / sizeof(float))
        return fail(HONE_ERR_FORMAT, "'%.*s': %d values do not fit into the file", (int)n_name,
                    name, (int)n_values);
    TRY(imatrix_add(m, name, (size_t)n_name, (size_t)n_values, 1, &e));
    TRY(take(r, e->mean, (size_t)n_values * sizeof *e->mean, "values"));
    e->counts[0] = (float)n_calls;
    return divide(e, 0, n_calls > 0 ? n_calls : 1);
}

static hone_status read_old(imatrix *m, reader *r) {
    int32_t n, n_chunks, n_dataset;
    TRY(take_i32(r, 1, MAX_ENTRIES, "the number of entries", &n));
    for (int32_t i = 0; i < n; i++) TRY(read_old_entry(m, r));
    if (r->left == 0) return HONE_OK; /* the oldest files end here */
    TRY(take_i32(r, 0, INT32_MAX, "the number of chunks", &n_chunks));
    TRY(take_i32(r, 0, MAX_DATASET, "the length of the data set's name", &n_dataset));
    char *dataset = mem_calloc((size_t)n_dataset + 1, 1);
    if (!dataset) return mem_fail("importance data", (size_t)n_dataset);
    mem_free(m->dataset);
    m->dataset = dataset;
    m->n_chunks = (uint32_t)n_chunks;
    return take(r, dataset, (size_t)n_dataset, "the data set's name");
}

/* --- both --- */

static hone_status parse(imatrix *m, const uint8_t *data, size_t size, const char *name) {
    reader r = {data, size};
    gguf *file;
    if (size < 4 || memcmp(data, "GGUF", 4) != 0) return read_old(m, &r);
    TRY(gguf_parse(&file, data, size, name, true));
    hone_status status = read_gguf(m, file);
    gguf_close(file);
    if (status == HONE_OK && m->n == 0)
        return fail(HONE_ERR_FORMAT, "no importance data in it");
    return status;
}

hone_status imatrix_parse(imatrix *m, const uint8_t *data, size_t size, const char *name) {
    TRY(imatrix_init(m, ""));
    hone_status status = parse(m, data, size, name);
    if (status == HONE_OK) return status;
    imatrix_release(m);
    return fail_context(status, "%s", name);
}

hone_status imatrix_open(imatrix *m, const char *path) {
    file_map map;
    TRY(file_map_open(&map, path));
    hone_status status = imatrix_parse(m, map.data, map.size, path);
    file_map_release(&map);
    return status;
}

/* --- writing --- */

/* Tensor 2i has the sums of entry i, tensor 2i + 1 its counts. */
static hone_status produce(void *user, size_t index, size_t offset, void *out, size_t bytes) {
    const imatrix *m = user;
    const imatrix_entry *e = &m->entries[index / 2];
    size_t first = offset / sizeof(float), n = bytes / sizeof(float);
    for (size_t i = first; i < first + n; i++) {
        float value = index % 2 ? e->counts[i] : e->mean[i] * e->counts[i / e->n_columns];
        memcpy((char *)out + (i - first) * sizeof value, &value, sizeof value);
    }
    return HONE_OK;
}

static hone_status describe(const imatrix *m, gguf_writer *w) {
    const gguf_string dataset = {m->dataset, strlen(m->dataset)};
    TRY(gguf_put_string(w, "general.type", "imatrix", 7));
    TRY(gguf_put_strings(w, "imatrix.datasets", &dataset, 1));
    TRY(gguf_put_u32(w, "imatrix.chunk_count", m->n_chunks));
    TRY(gguf_put_u32(w, "imatrix.chunk_size", m->chunk_size));
    for (size_t i = 0; i < m->n; i++) {
        const imatrix_entry *e = &m->entries[i];
        char name[MAX_NAME + 16];
        const size_t sums[] = {e->n_columns, e->n_matrices}, counts[] = {1, e->n_matrices};
        snprintf(name, sizeof name, "%s.in_sum2", e->name);
        TRY(gguf_put_tensor(w, name, DTYPE_F32, sums, 2));
        snprintf(name, sizeof name, "%s.counts", e->name);
        TRY(gguf_put_tensor(w, name, DTYPE_F32, counts, 2));
    }
    return HONE_OK;
}

hone_status imatrix_write(const imatrix *m, const char *path) {
    gguf_writer *w;
    TRY(gguf_writer_open(&w));
    hone_status status = describe(m, w);
    if (status == HONE_OK) status = gguf_write(w, path, produce, (void *)m);
    gguf_writer_close(w);
    return status;
}
