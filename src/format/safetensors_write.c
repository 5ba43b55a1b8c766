#include "format/safetensors_write.h"

#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/new_file.h"

#define SLICE_BYTES ((size_t)16 << 20)

static hone_status size_of(const safetensors_new *t, size_t *row, size_t *bytes) {
    bool fits = (t->type == DTYPE_F32 || t->type == DTYPE_F16 || t->type == DTYPE_BF16) &&
                t->n_dims >= 1 && t->n_dims <= TENSOR_MAX_DIMS && t->ne[0] > 0 &&
                dtype_row_bytes(t->type, t->ne[0], row);
    *bytes = fits ? *row : 0;
    for (uint32_t i = 1; fits && i < t->n_dims; i++)
        fits = t->ne[i] > 0 && size_mul(*bytes, t->ne[i], bytes);
    if (fits) return HONE_OK;
    return fail(HONE_ERR_ARGUMENT, "tensor %.100s: no safetensors tensor of %zu elements a row",
                t->name, t->ne[0]);
}

/* {"name": {"dtype": "F16", "shape": [2, 3], "data_offsets": [0, 12]}, …} */
static hone_status make_header(json_t *root, const safetensors_new *tensors, size_t n) {
    size_t at = 0, row, bytes;
    json_object_set_new(root, "__metadata__", json_pack("{s:s}", "format", "pt"));
    for (size_t i = 0; i < n; i++) {
        const safetensors_new *t = &tensors[i];
        TRY(size_of(t, &row, &bytes));
        json_t *shape = json_array();
        for (uint32_t d = t->n_dims; d > 0; d--)
            json_array_append_new(shape, json_integer((json_int_t)t->ne[d - 1]));
        json_t *entry = json_pack("{s:s, s:o, s:[I, I]}", "dtype", dtype_get(t->type)->name,
                                  "shape", shape, "data_offsets", (json_int_t)at,
                                  (json_int_t)(at + bytes));
        if (!entry || json_object_set_new(root, t->name, entry) != 0)
            return mem_fail("safetensors header", n);
        if (!size_add(at, bytes, &at)) return fail(HONE_ERR_ARGUMENT, "tensors beyond all files");
    }
    return HONE_OK;
}

/* Spaces make the header's length a multiple of 8, so that the tensors are aligned. */
static hone_status write_header(new_file *f, const safetensors_new *tensors, size_t n) {
    json_build_begin();
    json_t *root = json_object();
    if (!root) return mem_fail("safetensors header", n);
    hone_status status = make_header(root, tensors, n);
    char *text = status == HONE_OK ? json_dumps(root, JSON_COMPACT) : NULL;
    json_decref(root);
    if (status == HONE_OK) status = json_build_end("safetensors header");
    if (status == HONE_OK && !text) status = fail(HONE_ERR_ARGUMENT, "names that are no text");
    if (status != HONE_OK) {
        mem_free(text);
        return status;
    }
    uint64_t length = strlen(text), padded = (length + 7) / 8 * 8;
    status = new_file_write(f, &padded, sizeof padded);
    if (status == HONE_OK) status = new_file_write(f, text, length);
    if (status == HONE_OK) status = new_file_write(f, "       ", padded - length);
    mem_free(text);
    return status;
}

static hone_status write_tensor(new_file *f, const safetensors_new *t, size_t index, void *slice,
                                size_t room, safetensors_source source, void *user) {
    size_t row, bytes;
    TRY(size_of(t, &row, &bytes));
    size_t step = room / row * row;
    for (size_t offset = 0; offset < bytes; offset += step) {
        size_t n = bytes - offset < step ? bytes - offset : step;
        TRY(source(user, index, offset, slice, n));
        TRY(new_file_write(f, slice, n));
    }
    return HONE_OK;
}

static hone_status write_tensors(new_file *f, const safetensors_new *tensors, size_t n,
                                 safetensors_source source, void *user) {
    size_t room = SLICE_BYTES, row, bytes;
    for (size_t i = 0; i < n; i++) {
        TRY(size_of(&tensors[i], &row, &bytes));
        if (row > room) room = row;
    }
    void *slice = mem_alloc_aligned(room, 1);
    if (!slice) return mem_fail("tensor data", room);
    hone_status status = HONE_OK;
    for (size_t i = 0; i < n && status == HONE_OK; i++) {
        status = write_tensor(f, &tensors[i], i, slice, room, source, user);
        if (status != HONE_OK) fail_context(status, "tensor %.100s", tensors[i].name);
    }
    mem_free(slice);
    return status;
}

hone_status safetensors_write(const char *path, const safetensors_new *tensors, size_t n,
                              safetensors_source source, void *user) {
    new_file f;
    TRY(new_file_open(&f, path));
    hone_status status = write_header(&f, tensors, n);
    if (status == HONE_OK) status = write_tensors(&f, tensors, n, source, user);
    if (status == HONE_OK) status = new_file_commit(&f);
    new_file_discard(&f);
    return status;
}
