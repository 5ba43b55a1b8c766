#include "format/ct2.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"

enum { VERSION = 6 };

typedef struct reader {
    const uint8_t *at;
    size_t left;
} reader;

static const uint8_t *take(reader *r, size_t n) {
    if (n > r->left) return NULL;
    const uint8_t *p = r->at;
    r->at += n;
    r->left -= n;
    return p;
}

static hone_status read_number(reader *r, size_t bytes, uint32_t *value) {
    const uint8_t *p = take(r, bytes);
    if (!p) return fail(HONE_ERR_FORMAT, "the file ends in the middle");
    *value = 0;
    for (size_t i = 0; i < bytes; i++) *value |= (uint32_t)p[i] << 8 * i;
    return HONE_OK;
}

/* A string in the file counts its NUL. */
static hone_status read_string(reader *r, char text[TENSOR_TABLE_MAX_NAME + 1]) {
    uint32_t n = 0;
    TRY(read_number(r, 2, &n));
    const uint8_t *p = n <= TENSOR_TABLE_MAX_NAME ? take(r, n) : NULL;
    if (!p || n == 0 || p[n - 1] != 0 || memchr(p, 0, n) != p + n - 1)
        return fail(HONE_ERR_FORMAT, "a name of %u bytes that does not end where it says", n);
    memcpy(text, p, n);
    return HONE_OK;
}

/* --- variables --- */

static hone_status read_shape(reader *r, size_t sizes[TENSOR_MAX_DIMS], uint32_t *rank) {
    TRY(read_number(r, 1, rank));
    if (*rank > TENSOR_MAX_DIMS)
        return fail(HONE_ERR_UNSUPPORTED, "%u dimensions, at most %d", *rank, TENSOR_MAX_DIMS);
    for (uint32_t i = 0; i < *rank; i++) {
        uint32_t n = 0;
        TRY(read_number(r, 4, &n));
        sizes[i] = n;
    }
    return HONE_OK;
}

static hone_status read_type(reader *r, dtype *type) {
    static const dtype types[] = {DTYPE_F32, DTYPE_I8,  DTYPE_I16,
                                  DTYPE_I32, DTYPE_F16, DTYPE_BF16};
    uint32_t id = 0;
    TRY(read_number(r, 1, &id));
    if (id >= sizeof types / sizeof *types)
        return fail(HONE_ERR_UNSUPPORTED, "element type %u is unknown", id);
    *type = types[id];
    return HONE_OK;
}

static hone_status read_variable(reader *r, tensor_table *t) {
    char name[TENSOR_TABLE_MAX_NAME + 1];
    size_t sizes[TENSOR_MAX_DIMS], needed = 0;
    uint32_t rank = 0, stated = 0;
    dtype type = DTYPE_F32;
    tensor view;
    TRY(read_string(r, name));
    hone_status status = read_shape(r, sizes, &rank);
    if (status == HONE_OK) status = read_type(r, &type);
    if (status == HONE_OK) status = read_number(r, 4, &stated);
    if (status == HONE_OK) status = tensor_view_init(&view, type, sizes, rank, &needed);
    if (status == HONE_OK && stated != needed)
        status = fail(HONE_ERR_FORMAT, "%u bytes, its shape needs %zu", stated, needed);
    if (status == HONE_OK && !(view.data = take(r, needed)))
        status = fail(HONE_ERR_FORMAT, "the file ends in the middle");
    if (status != HONE_OK) return fail_context(status, "tensor '%s'", name);
    return tensor_table_add(t, name, &view);
}

static hone_status read_aliases(reader *r, const tensor_table *t) {
    uint32_t n = 0;
    TRY(read_number(r, 4, &n));
    for (uint32_t i = 0; i < n; i++) {
        char alias[TENSOR_TABLE_MAX_NAME + 1], target[TENSOR_TABLE_MAX_NAME + 1];
        TRY(read_string(r, alias));
        TRY(read_string(r, target));
        if (!tensor_table_find(t, target))
            return fail(HONE_ERR_FORMAT, "'%s' stands for '%s', which is missing", alias, target);
    }
    return HONE_OK;
}

/* --- 8-bit weights --- */

static hone_status dequantise(tensor_table *to, const named_tensor *w, const tensor *scale) {
    size_t n = w->view.ne[0], rows = w->bytes / (n ? n : 1);
    if (scale->type != DTYPE_F32 || scale->n_dims != 1 || scale->ne[0] != rows)
        return fail(HONE_ERR_FORMAT, "tensor '%s': expected %zu scales, one for each row", w->name,
                    rows);
    float *values = mem_alloc_aligned(w->bytes, sizeof *values);
    if (!values) return mem_fail(w->name, w->bytes * sizeof *values);
    for (size_t row = 0; row < rows; row++) {
        float s;
        memcpy(&s, (const char *)scale->data + row * sizeof s, sizeof s);
        const int8_t *from = (const int8_t *)w->view.data + row * n;
        for (size_t i = 0; i < n; i++) values[row * n + i] = s != 0 ? (float)from[i] / s : 0;
    }
    TRY(tensor_table_keep(to, values));
    tensor view = w->view;
    view.data = values;
    view.type = DTYPE_F32;
    view.row_bytes = n * sizeof *values;
    return tensor_table_add(to, w->name, &view);
}

static bool is_scale(const char *name) {
    size_t n = strlen(name);
    return n > 13 && strcmp(name + n - 13, "/weight_scale") == 0;
}

/* The variables as they are wanted. */
static hone_status copy_plain(tensor_table *to, const tensor_table *from) {
    for (size_t i = 0; i < tensor_table_count(from); i++) {
        const named_tensor *t = tensor_table_at(from, i);
        char name[TENSOR_TABLE_MAX_NAME + 8];
        snprintf(name, sizeof name, "%s_scale", t->name);
        const named_tensor *scale = tensor_table_find(from, name);
        if (is_scale(t->name)) continue;
        TRY(t->view.type == DTYPE_I8 && scale ? dequantise(to, t, &scale->view)
                                              : tensor_table_add(to, t->name, &t->view));
    }
    return HONE_OK;
}

static hone_status parse(tensor_table *out, tensor_table *raw, reader *r, const char *spec) {
    uint32_t version = 0, revision = 0, n = 0;
    char found[TENSOR_TABLE_MAX_NAME + 1];
    TRY(read_number(r, 4, &version));
    if (version != VERSION)
        return fail(HONE_ERR_UNSUPPORTED, "no CTranslate2 model of version %d (it begins with %u)",
                    VERSION, version);
    TRY(read_string(r, found));
    if (strcmp(found, spec) != 0)
        return fail(HONE_ERR_UNSUPPORTED, "a \"%s\"; only \"%s\" is read", found, spec);
    TRY(read_number(r, 4, &revision));
    TRY(read_number(r, 4, &n));
    for (uint32_t i = 0; i < n; i++) TRY(read_variable(r, raw));
    TRY(read_aliases(r, raw));
    return copy_plain(out, raw);
}

hone_status ct2_parse(tensor_table **out, const uint8_t *data, size_t size, const char *spec,
                      const char *name) {
    tensor_table *table = NULL, *raw = NULL;
    reader r = {data, size};
    hone_status status = tensor_table_open(&table);
    if (status == HONE_OK) status = tensor_table_open(&raw);
    if (status == HONE_OK) status = parse(table, raw, &r, spec);
    tensor_table_close(raw);
    if (status != HONE_OK) {
        tensor_table_close(table);
        return fail_context(status, "%s", name);
    }
    *out = table;
    return HONE_OK;
}
