/* The GGUF writer. Keys are encoded as they come; tensor descriptions are kept until gguf_write
 * lays the file out and streams it. Always version 3. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/new_file.h"
#include "format/gguf_int.h"

#define MAX_METADATA_BYTES ((size_t)1 << 31)
#define SLICE_BYTES ((size_t)16 << 20) /* what is held of a tensor at a time, or one row */

typedef struct planned_tensor {
    gguf_string name;
    dtype type;
    uint32_t n_dims;
    size_t ne[TENSOR_MAX_DIMS];
    size_t row_bytes, bytes;
} planned_tensor;

struct gguf_writer {
    buf keys; /* encoded */
    planned_tensor *tensors;
    size_t n_keys, n_tensors, n_allocated;
    strmap key_names, tensor_names; /* their keys are copies of ours */
    uint32_t alignment;
};

hone_status gguf_writer_open(gguf_writer **out) {
    gguf_writer *w = mem_calloc(1, sizeof *w);
    if (!w) return mem_fail("GGUF writer", sizeof *w);
    buf_init(&w->keys, MAX_METADATA_BYTES);
    w->alignment = GGUF_DEFAULT_ALIGNMENT;
    hone_status status = strmap_init(&w->key_names, 64);
    if (status == HONE_OK) status = strmap_init(&w->tensor_names, 512);
    if (status != HONE_OK) {
        gguf_writer_close(w);
        return status;
    }
    *out = w;
    return HONE_OK;
}

static void release_names(strmap *names) {
    for (size_t i = 0; names->slots && i < names->n_slots; i++)
        mem_free((void *)names->slots[i].key);
    strmap_release(names);
}

void gguf_writer_close(gguf_writer *w) {
    if (!w) return;
    buf_release(&w->keys);
    release_names(&w->key_names);
    release_names(&w->tensor_names);
    mem_free(w->tensors);
    mem_free(w);
}

/* --- encoding --- */

static hone_status add_u32(buf *b, uint32_t value) { return buf_add(b, &value, sizeof value); }
static hone_status add_u64(buf *b, uint64_t value) { return buf_add(b, &value, sizeof value); }

static hone_status add_string(buf *b, gguf_string text) {
    TRY(add_u64(b, text.n));
    return buf_add(b, text.data, text.n);
}

/* Copies a name into the map, where it must be new; *copy stays until the writer is closed. */
static hone_status keep_name(strmap *names, gguf_string name, const char *what,
                             const char **copy) {
    uint32_t value;
    if (strmap_find(names, name.data, name.n, &value))
        return fail(HONE_ERR_ARGUMENT, "%s '%.*s' is written twice", what, gguf_shown(name),
                    name.data);
    char *kept = mem_copy_string(name.data, name.n);
    if (!kept) return mem_fail(what, name.n);
    hone_status status = strmap_insert(names, kept, name.n, 0, NULL);
    if (status != HONE_OK) mem_free(kept);
    else *copy = kept;
    return status;
}

/* --- keys --- */

/* Whoever writes general.alignment gets it. */
static hone_status adopt_alignment(gguf_writer *w, const gguf_kv *kv) {
    uint32_t alignment = 0;
    if (kv->type == GGUF_U32 && kv->bytes == sizeof alignment)
        memcpy(&alignment, kv->data, sizeof alignment);
    if (!gguf_alignment_is_valid(alignment))
        return fail(HONE_ERR_ARGUMENT, "key '%s': expected a u32, a power of two up to %d",
                    GGUF_ALIGNMENT_KEY, GGUF_MAX_ALIGNMENT);
    w->alignment = alignment;
    return HONE_OK;
}

static bool is_alignment_key(gguf_string key) {
    return key.n == strlen(GGUF_ALIGNMENT_KEY) && memcmp(key.data, GGUF_ALIGNMENT_KEY, key.n) == 0;
}

static hone_status encode(buf *b, const gguf_kv *kv) {
    TRY(add_string(b, kv->key));
    TRY(add_u32(b, kv->type));
    if (kv->type == GGUF_ARRAY) {
        TRY(add_u32(b, kv->element));
        TRY(add_u64(b, kv->count));
    }
    return buf_add(b, kv->data, kv->bytes);
}

hone_status gguf_put_copy(gguf_writer *w, const gguf_kv *kv) {
    const char *copy;
    TRY(gguf_check_name(kv->key, GGUF_MAX_KEY_BYTES, "the key"));
    if (w->n_keys == GGUF_MAX_KEYS)
        return fail(HONE_ERR_ARGUMENT, "more than %d keys", GGUF_MAX_KEYS);
    TRY(keep_name(&w->key_names, kv->key, "key", &copy));
    if (is_alignment_key(kv->key)) TRY(adopt_alignment(w, kv));
    size_t before = w->keys.len;
    hone_status status = encode(&w->keys, kv);
    if (status != HONE_OK) {
        w->keys.len = before;
        return fail_context(status, "key '%.*s'", gguf_shown(kv->key), kv->key.data);
    }
    w->n_keys++;
    return HONE_OK;
}

static gguf_string view_of(const char *text) { return (gguf_string){text, strlen(text)}; }

static hone_status put_scalar(gguf_writer *w, const char *key, gguf_type type, const void *value) {
    gguf_kv kv = {.key = view_of(key), .type = type, .element = type, .count = 1, .data = value};
    kv.bytes = gguf_type_bytes(type);
    return gguf_put_copy(w, &kv);
}

hone_status gguf_put_u32(gguf_writer *w, const char *key, uint32_t value) {
    return put_scalar(w, key, GGUF_U32, &value);
}

hone_status gguf_put_u64(gguf_writer *w, const char *key, uint64_t value) {
    return put_scalar(w, key, GGUF_U64, &value);
}

hone_status gguf_put_i32(gguf_writer *w, const char *key, int32_t value) {
    return put_scalar(w, key, GGUF_I32, &value);
}

hone_status gguf_put_f32(gguf_writer *w, const char *key, float value) {
    return put_scalar(w, key, GGUF_F32, &value);
}

hone_status gguf_put_bool(gguf_writer *w, const char *key, bool value) {
    uint8_t byte = value;
    return put_scalar(w, key, GGUF_BOOL, &byte);
}

/* Encodes `texts` as the value of a key of type `type`: GGUF_STRING with n = 1, or GGUF_ARRAY. */
static hone_status put_texts(gguf_writer *w, const char *key, gguf_type type,
                             const gguf_string *texts, size_t n) {
    buf value;
    buf_init(&value, MAX_METADATA_BYTES);
    hone_status status = HONE_OK;
    for (size_t i = 0; i < n && status == HONE_OK; i++) status = add_string(&value, texts[i]);
    gguf_kv kv = {.key = view_of(key), .type = type, .element = GGUF_STRING, .count = n};
    kv.data = (const uint8_t *)value.data;
    kv.bytes = value.len;
    if (status == HONE_OK) status = gguf_put_copy(w, &kv);
    buf_release(&value);
    return status;
}

hone_status gguf_put_string(gguf_writer *w, const char *key, const char *text, size_t n) {
    gguf_string one = {text, n};
    return put_texts(w, key, GGUF_STRING, &one, 1);
}

hone_status gguf_put_strings(gguf_writer *w, const char *key, const gguf_string *texts, size_t n) {
    return put_texts(w, key, GGUF_ARRAY, texts, n);
}

hone_status gguf_put_array(gguf_writer *w, const char *key, gguf_type element, const void *data,
                           size_t n) {
    gguf_kv kv = {.key = view_of(key), .type = GGUF_ARRAY, .element = element, .count = n};
    kv.data = data;
    if (gguf_type_bytes(element) == 0 || !size_mul(n, gguf_type_bytes(element), &kv.bytes))
        return fail(HONE_ERR_ARGUMENT, "key '%s': an array of %zu elements of type %d", key, n,
                    element);
    return gguf_put_copy(w, &kv);
}

/* --- tensors --- */

static hone_status plan_tensor(planned_tensor *t, const size_t *ne) {
    TRY(gguf_check_name(t->name, GGUF_MAX_TENSOR_NAME_BYTES, "the name"));
    if (t->n_dims < 1 || t->n_dims > TENSOR_MAX_DIMS)
        return fail(HONE_ERR_ARGUMENT, "%u dimensions, expected 1 to %d", t->n_dims,
                    TENSOR_MAX_DIMS);
    bool fits = dtype_row_bytes(t->type, ne[0], &t->row_bytes) && ne[0] > 0;
    t->bytes = t->row_bytes;
    t->ne[0] = ne[0];
    for (uint32_t i = 1; i < t->n_dims; i++) {
        fits = fits && ne[i] > 0 && size_mul(t->bytes, ne[i], &t->bytes);
        t->ne[i] = ne[i];
    }
    if (fits && t->bytes <= INT64_MAX) return HONE_OK;
    return fail(HONE_ERR_ARGUMENT, "rows of %zu elements do not make a tensor of type %d", ne[0],
                t->type);
}

static hone_status grow_tensors(gguf_writer *w) {
    if (w->n_tensors == GGUF_MAX_TENSORS)
        return fail(HONE_ERR_ARGUMENT, "more than %d tensors", GGUF_MAX_TENSORS);
    return mem_grow(&w->tensors, &w->n_allocated, w->n_tensors + 1, sizeof *w->tensors, "tensors");
}

hone_status gguf_put_tensor(gguf_writer *w, const char *name, dtype type, const size_t *ne,
                            uint32_t n_dims) {
    planned_tensor t = {.name = view_of(name), .type = type, .n_dims = n_dims};
    hone_status status = plan_tensor(&t, ne);
    if (status != HONE_OK)
        return fail_context(status, "tensor '%.*s'", gguf_shown(t.name), name);
    TRY(grow_tensors(w));
    TRY(keep_name(&w->tensor_names, t.name, "tensor", &t.name.data));
    w->tensors[w->n_tensors++] = t;
    return HONE_OK;
}

/* --- the file --- */

/* Everything before the data: what the reader parses, in its order. */
static hone_status encode_head(const gguf_writer *w, buf *head, size_t *data_bytes) {
    size_t offset = 0;
    TRY(buf_add(head, GGUF_MAGIC, 4));
    TRY(add_u32(head, 3));
    TRY(add_u64(head, w->n_tensors));
    TRY(add_u64(head, w->n_keys));
    TRY(buf_add(head, w->keys.data, w->keys.len));
    for (size_t i = 0; i < w->n_tensors; i++) {
        const planned_tensor *t = &w->tensors[i];
        TRY(add_string(head, t->name));
        TRY(add_u32(head, t->n_dims));
        for (uint32_t d = 0; d < t->n_dims; d++) TRY(add_u64(head, t->ne[d]));
        TRY(add_u32(head, t->type));
        TRY(add_u64(head, offset));
        if (!size_add(offset, t->bytes, &offset) || !gguf_align(offset, w->alignment, &offset))
            return fail(HONE_ERR_ARGUMENT, "the tensors do not fit into a file");
    }
    *data_bytes = offset;
    return HONE_OK;
}

/* Zeroes up to the next multiple of the alignment. */
static hone_status write_padding(new_file *f, size_t written, size_t alignment) {
    static const char zeroes[4096];
    size_t n = -written & (alignment - 1);
    while (n > 0) {
        size_t step = n < sizeof zeroes ? n : sizeof zeroes;
        TRY(new_file_write(f, zeroes, step));
        n -= step;
    }
    return HONE_OK;
}

/* Whole rows, at least one. */
static size_t slice_bytes(const planned_tensor *t) {
    size_t rows = SLICE_BYTES / t->row_bytes;
    size_t bytes = rows ? rows * t->row_bytes : t->row_bytes;
    return bytes < t->bytes ? bytes : t->bytes;
}

static hone_status write_tensor(const gguf_writer *w, size_t index, new_file *f, void *slice,
                                gguf_tensor_source source, void *user) {
    const planned_tensor *t = &w->tensors[index];
    size_t step = slice_bytes(t);
    for (size_t offset = 0; offset < t->bytes; offset += step) {
        size_t n = t->bytes - offset < step ? t->bytes - offset : step;
        TRY(source(user, index, offset, slice, n));
        TRY(new_file_write(f, slice, n));
    }
    return write_padding(f, t->bytes, w->alignment);
}

static hone_status write_tensors(const gguf_writer *w, new_file *f, gguf_tensor_source source,
                                 void *user) {
    size_t largest = 0;
    for (size_t i = 0; i < w->n_tensors; i++)
        if (slice_bytes(&w->tensors[i]) > largest) largest = slice_bytes(&w->tensors[i]);
    void *slice = mem_alloc_aligned(largest, 1);
    if (!slice) return mem_fail("tensor data", largest);
    hone_status status = HONE_OK;
    for (size_t i = 0; i < w->n_tensors && status == HONE_OK; i++) {
        status = write_tensor(w, i, f, slice, source, user);
        if (status != HONE_OK)
            fail_context(status, "tensor '%.*s'", gguf_shown(w->tensors[i].name),
                         w->tensors[i].name.data);
    }
    mem_free(slice);
    return status;
}

static hone_status write_file(const gguf_writer *w, const buf *head, size_t data_bytes,
                              new_file *f, gguf_tensor_source source, void *user) {
    size_t total;
    if (!size_add(head->len, w->alignment, &total) || !size_add(total, data_bytes, &total))
        return fail(HONE_ERR_ARGUMENT, "the tensors do not fit into a file");
    TRY(new_file_reserve(f, total));
    TRY(new_file_write(f, head->data, head->len));
    TRY(write_padding(f, head->len, w->alignment));
    TRY(write_tensors(w, f, source, user));
    return new_file_commit(f);
}

hone_status gguf_write(gguf_writer *w, const char *path, gguf_tensor_source source, void *user) {
    buf head;
    size_t data_bytes = 0;
    new_file f;
    buf_init(&head, MAX_METADATA_BYTES);
    hone_status status = encode_head(w, &head, &data_bytes);
    if (status == HONE_OK) status = new_file_open(&f, path);
    if (status == HONE_OK) {
        status = write_file(w, &head, data_bytes, &f, source, user);
        new_file_discard(&f);
    }
    buf_release(&head);
    return status;
}

/* Where the first tensor lies in the file at `path`. */
static hone_status data_offset(const char *path, size_t *offset) {
    file_map map;
    gguf *file = NULL;
    TRY(file_map_open(&map, path));
    hone_status status = gguf_parse(&file, map.data, map.size, path, true);
    if (status == HONE_OK) {
        const uint8_t *first = map.data + map.size;
        for (size_t i = 0; i < file->n_tensors; i++)
            if ((const uint8_t *)file->tensors[i].view.data < first)
                first = file->tensors[i].view.data;
        *offset = (size_t)(first - map.data);
        gguf_close(file);
    }
    file_map_release(&map);
    return status;
}

static hone_status overwrite_head(const gguf_writer *w, const buf *head, const char *path) {
    size_t room, needed;
    TRY(data_offset(path, &room));
    if (!gguf_align(head->len, w->alignment, &needed) || needed != room)
        return fail(HONE_ERR_ARGUMENT, "%s: a head of %zu bytes for one of %zu", path, needed,
                    room);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0) return fail(HONE_ERR_IO, "%s: %s", path, strerror(errno));
    hone_status status = fs_write_all(fd, head->data, head->len, path);
    if (status == HONE_OK && fsync(fd) != 0)
        status = fail(HONE_ERR_IO, "%s: cannot flush: %s", path, strerror(errno));
    close(fd);
    return status;
}

hone_status gguf_write_head(gguf_writer *w, const char *path) {
    buf head;
    size_t data_bytes = 0;
    buf_init(&head, MAX_METADATA_BYTES);
    hone_status status = encode_head(w, &head, &data_bytes);
    if (status == HONE_OK) status = overwrite_head(w, &head, path);
    buf_release(&head);
    return status;
}
