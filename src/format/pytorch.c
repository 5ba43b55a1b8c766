#include "format/pytorch.h"

#include <stdio.h>
#include <string.h>

#include <zlib.h>

#include "base/mem.h"
#include "base/strmap.h"

enum { MAX_MEMBERS = 1 << 16 };

/* --- the archive: stored members only --- */

typedef struct member {
    const char *name; /* within the archive's one folder; not NUL-terminated */
    size_t n_name;
    const uint8_t *data;
    size_t size;
} member;

typedef struct archive {
    const uint8_t *data;
    size_t size;
    member *members;
    size_t n;
    strmap names;
} archive;

static uint32_t u16_at(const uint8_t *p) { return (uint32_t)(p[0] | p[1] << 8); }
static uint32_t u32_at(const uint8_t *p) { return u16_at(p) | u16_at(p + 2) << 16; }

bool pytorch_is(const uint8_t *data, size_t size) {
    return size >= 4 && memcmp(data, "PK\3\4", 4) == 0;
}

/* The end record: the last thing in the file but for a comment. */
static const uint8_t *find_end(const archive *a) {
    if (a->size < 22) return NULL;
    size_t least = a->size > 22 + 65535 ? a->size - 22 - 65535 : 0;
    for (size_t at = a->size - 22;; at--) {
        if (memcmp(a->data + at, "PK\5\6", 4) == 0) return a->data + at;
        if (at == least) return NULL;
    }
}

/* One entry of the central directory, and its data by way of the local header. */
static hone_status read_member(archive *a, const uint8_t *entry, size_t left, size_t *taken) {
    if (left < 46 || memcmp(entry, "PK\1\2", 4) != 0)
        return fail(HONE_ERR_FORMAT, "the archive's directory is damaged");
    size_t n_name = u16_at(entry + 28), size = u32_at(entry + 24), at = u32_at(entry + 42);
    *taken = 46 + n_name + u16_at(entry + 30) + u16_at(entry + 32);
    if (*taken > left) return fail(HONE_ERR_FORMAT, "the archive's directory is damaged");
    const char *name = (const char *)entry + 46, *slash = memchr(name, '/', n_name);
    int shown = (int)(n_name < 80 ? n_name : 80);
    if (u16_at(entry + 10) != 0 || u16_at(entry + 8) & 1 || u32_at(entry + 20) != size)
        return fail(HONE_ERR_UNSUPPORTED, "member %.*s is compressed or encrypted", shown, name);
    if (size == UINT32_MAX || at == UINT32_MAX)
        return fail(HONE_ERR_UNSUPPORTED, "archives of 4 GiB and more (ZIP64) are not read");
    if (at > a->size || a->size - at < 30 || memcmp(a->data + at, "PK\3\4", 4) != 0)
        return fail(HONE_ERR_FORMAT, "member %.*s is not where it should be", shown, name);
    size_t begin = at + 30 + u16_at(a->data + at + 26) + u16_at(a->data + at + 28);
    if (begin > a->size || size > a->size - begin)
        return fail(HONE_ERR_FORMAT, "member %.*s goes beyond the file", shown, name);
    const uint8_t *data = a->data + begin;
    if (crc32_z(0, data, size) != u32_at(entry + 16))
        return fail(HONE_ERR_FORMAT, "member %.*s is damaged (wrong checksum)", shown, name);
    if (!slash) return HONE_OK; /* nothing of PyTorch's */
    size_t n_folder = (size_t)(slash + 1 - name);
    a->members[a->n] = (member){slash + 1, n_name - n_folder, data, size};
    TRY(strmap_insert(&a->names, slash + 1, n_name - n_folder, (uint32_t)a->n, NULL));
    a->n++;
    return HONE_OK;
}

static hone_status read_archive(archive *a) {
    const uint8_t *end = find_end(a);
    if (!end) return fail(HONE_ERR_FORMAT, "a ZIP archive without an end; a download cut short?");
    size_t n = u16_at(end + 10), at = u32_at(end + 16), bytes = u32_at(end + 12);
    if (n == 0xFFFF || at == UINT32_MAX)
        return fail(HONE_ERR_UNSUPPORTED, "archives of 4 GiB and more (ZIP64) are not read");
    if (at > a->size || bytes > a->size - at)
        return fail(HONE_ERR_FORMAT, "the archive's directory goes beyond the file");
    a->members = mem_calloc(n, sizeof *a->members);
    if (!a->members) return mem_fail("archive", n * sizeof *a->members);
    TRY(strmap_init(&a->names, n));
    const uint8_t *entry = a->data + at;
    for (size_t i = 0; i < n; i++) {
        size_t taken = 0;
        TRY(read_member(a, entry, bytes, &taken));
        entry += taken;
        bytes -= taken;
    }
    return HONE_OK;
}

static void archive_release(archive *a) {
    strmap_release(&a->names);
    mem_free(a->members);
}

static const member *find_member(const archive *a, const char *name, size_t n) {
    uint32_t i;
    return strmap_find(&a->names, name, n, &i) ? &a->members[i] : NULL;
}

/* --- tensors --- */

static bool type_of(const pickle_value *storage_type, dtype *type) {
    static const struct {
        const char *name;
        dtype type;
    } types[] = {
        {"torch FloatStorage", DTYPE_F32},  {"torch HalfStorage", DTYPE_F16},
        {"torch BFloat16Storage", DTYPE_BF16}, {"torch DoubleStorage", DTYPE_F64},
        {"torch LongStorage", DTYPE_I64},   {"torch IntStorage", DTYPE_I32},
        {"torch ShortStorage", DTYPE_I16},  {"torch CharStorage", DTYPE_I8},
    };
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (pickle_text_is(storage_type, types[i].name)) {
            *type = types[i].type;
            return true;
        }
    return false;
}

/* The raw storage of a tensor, whole. */
static hone_status find_storage(const archive *a, const pickle_value *storage, size_t element_bytes,
                                const member **out) {
    char name[96];
    const pickle_value *key = storage->storage.key;
    int n = key->text.n < 64
                ? snprintf(name, sizeof name, "data/%.*s", (int)key->text.n, key->text.data)
                : -1;
    const member *m = n > 0 ? find_member(a, name, (size_t)n) : NULL;
    size_t bytes;
    if (!m) return fail(HONE_ERR_FORMAT, "its storage is missing");
    if (!size_mul((size_t)storage->storage.count, element_bytes, &bytes) || bytes != m->size)
        return fail(HONE_ERR_FORMAT, "its storage has %zu bytes, %lld elements of %zu are stated",
                    m->size, (long long)storage->storage.count, element_bytes);
    *out = m;
    return HONE_OK;
}

/* Sizes and strides, slowest first; that the last element lies within the storage; and whether
 * elements lie one after the other. */
static hone_status read_layout(const pickle_value *t, size_t sizes[TENSOR_MAX_DIMS],
                               size_t strides[TENSOR_MAX_DIMS], bool *contiguous) {
    const pickle_value *s = t->tensor.sizes, *d = t->tensor.strides;
    size_t n = s->list.n, next = 1, last = 0, step;
    if (n > TENSOR_MAX_DIMS || d->list.n != n || t->tensor.offset < 0)
        return fail(HONE_ERR_UNSUPPORTED, "%zu dimensions, %zu strides", n, d->list.n);
    *contiguous = true;
    for (size_t i = n; i-- > 0;) {
        int64_t size = s->list.items[i]->integer, stride = d->list.items[i]->integer;
        if (size < 0 || stride < 0) return fail(HONE_ERR_FORMAT, "a negative size or stride");
        sizes[i] = (size_t)size;
        strides[i] = (size_t)stride;
        if (size == 0) return fail(HONE_ERR_FORMAT, "it has no elements");
        if (size > 1 && strides[i] != next) *contiguous = false;
        if (!size_mul(next, sizes[i], &next) || !size_mul(sizes[i] - 1, strides[i], &step) ||
            !size_add(last, step, &last))
            return fail(HONE_ERR_FORMAT, "more elements than a file can hold");
    }
    size_t count = (size_t)t->tensor.storage->storage.count, offset = (size_t)t->tensor.offset;
    if (!size_add(last, offset, &last) || last >= count)
        return fail(HONE_ERR_FORMAT, "it goes beyond its storage");
    return HONE_OK;
}

/* Elements that do not lie in order, in order. */
static hone_status gather(tensor_table *to, tensor *view, const uint8_t *base, size_t element_bytes,
                          const size_t *sizes, const size_t *strides, size_t n_dims, size_t bytes) {
    uint8_t *copy = mem_alloc_aligned(bytes, 1);
    if (!copy) return mem_fail("tensor", bytes);
    size_t at[TENSOR_MAX_DIMS] = {0};
    for (size_t i = 0; i < bytes; i += element_bytes) {
        size_t from = 0;
        for (size_t d = 0; d < n_dims; d++) from += at[d] * strides[d];
        memcpy(copy + i, base + from * element_bytes, element_bytes);
        for (size_t d = n_dims; d-- > 0 && ++at[d] == sizes[d];) at[d] = 0;
    }
    view->data = copy;
    return tensor_table_keep(to, copy);
}

/* Strides that name elements twice could make much of little. */
enum { MOST_PER_STORED = 4 };

static hone_status add_tensor(tensor_table *to, const archive *a, const char *name,
                              const pickle_value *t) {
    size_t sizes[TENSOR_MAX_DIMS], strides[TENSOR_MAX_DIMS], bytes;
    const member *storage = NULL;
    bool contiguous = true;
    dtype type;
    tensor view;
    if (t->kind != PICKLE_TENSOR) return fail(HONE_ERR_FORMAT, "it is no tensor");
    if (!type_of(t->tensor.storage->storage.type, &type))
        return fail(HONE_ERR_UNSUPPORTED, "elements of a type that is not read");
    size_t element_bytes = dtype_get(type)->block_bytes;
    TRY(find_storage(a, t->tensor.storage, element_bytes, &storage));
    TRY(read_layout(t, sizes, strides, &contiguous));
    TRY(tensor_view_init(&view, type, sizes, t->tensor.sizes->list.n, &bytes));
    view.data = storage->data + (size_t)t->tensor.offset * element_bytes;
    if (!contiguous) {
        if (bytes / MOST_PER_STORED > storage->size)
            return fail(HONE_ERR_UNSUPPORTED, "it repeats its storage %zu times",
                        bytes / storage->size);
        TRY(gather(to, &view, view.data, element_bytes, sizes, strides, t->tensor.sizes->list.n,
                   bytes));
    }
    return tensor_table_add(to, name, &view);
}

static hone_status add_tensors(tensor_table *to, const archive *a, const pickle_value *dict) {
    if (!dict || dict->kind != PICKLE_DICT)
        return fail(HONE_ERR_FORMAT, "it holds no dictionary of tensors where one is expected");
    for (size_t i = 0; i + 1 < dict->list.n; i += 2) {
        const pickle_value *key = dict->list.items[i];
        char name[TENSOR_TABLE_MAX_NAME + 1];
        if (key->kind != PICKLE_TEXT || key->text.n > TENSOR_TABLE_MAX_NAME ||
            memchr(key->text.data, 0, key->text.n))
            return fail(HONE_ERR_FORMAT, "tensor %zu has no proper name", i / 2);
        memcpy(name, key->text.data, key->text.n);
        name[key->text.n] = 0;
        hone_status status = add_tensor(to, a, name, dict->list.items[i + 1]);
        if (status != HONE_OK) return fail_context(status, "tensor '%s'", name);
    }
    return HONE_OK;
}

static hone_status parse(pytorch_file *f, archive *a, const char *tensors_key) {
    TRY(read_archive(a));
    const member *pkl = find_member(a, "data.pkl", 8), *order = find_member(a, "byteorder", 9);
    if (!pkl) return fail(HONE_ERR_UNSUPPORTED, "a ZIP archive, but no checkpoint of PyTorch");
    for (size_t i = 0; i < a->n; i++)
        if (a->members[i].n_name > 5 && memcmp(a->members[i].name, "code/", 5) == 0)
            return fail(HONE_ERR_UNSUPPORTED, "a TorchScript program, not a checkpoint");
    if (order && (order->size != 6 || memcmp(order->data, "little", 6) != 0))
        return fail(HONE_ERR_UNSUPPORTED, "numbers in big-endian order");
    TRY(pickle_parse(&f->pickle, pkl->data, pkl->size, "data.pkl"));
    TRY(tensor_table_open(&f->tensors));
    return add_tensors(f->tensors, a, pickle_get(pickle_root(f->pickle), tensors_key));
}

hone_status pytorch_parse(pytorch_file *out, const uint8_t *data, size_t size,
                          const char *tensors_key, const char *name) {
    pytorch_file f = {0};
    archive a = {.data = data, .size = size};
    hone_status status = parse(&f, &a, tensors_key);
    archive_release(&a);
    if (status != HONE_OK) {
        pytorch_release(&f);
        return fail_context(status, "%s", name);
    }
    *out = f;
    return HONE_OK;
}

void pytorch_release(pytorch_file *f) {
    pickle_close(f->pickle);
    tensor_table_close(f->tensors);
    *f = (pytorch_file){0};
}
