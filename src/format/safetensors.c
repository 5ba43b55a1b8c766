/* A safetensors file is a length, a JSON header and the bytes of the tensors, which cover the rest
 * of the file without holes or overlaps. The parsed headers stay, since names point into them. */
#include "format/safetensors.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file_map.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/strmap.h"

#define MAX_HEADER_BYTES 100000000 /* the reference implementation's limit */
#define MAX_INDEX_BYTES 100000000
#define MAX_TENSORS 1000000
#define METADATA_KEY "__metadata__"
#define SINGLE_FILE "model.safetensors"
#define INDEX_FILE "model.safetensors.index.json"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
               "numbers and weights are used as they lie in the file");

/* One file. Its entries are those from `first` up to the next part's. */
typedef struct part {
    file_map map; /* empty after safetensors_parse: the caller owns the bytes */
    json_t *header;
    size_t first;
} part;

struct safetensors {
    safetensors_entry *entries;
    part *parts;
    size_t n_entries, n_parts;
    strmap names; /* name → entry */
    size_t bytes;
};

/* Where an entry lies in its file's buffer. */
typedef struct extent {
    size_t begin, end, entry;
} extent;

void safetensors_close(safetensors *st) {
    if (!st) return;
    for (size_t i = 0; i < st->n_parts; i++) {
        json_decref(st->parts[i].header);
        file_map_release(&st->parts[i].map);
    }
    mem_free(st->parts);
    mem_free(st->entries);
    strmap_release(&st->names);
    mem_free(st);
}

/* --- one entry of a header --- */

static hone_status parse_dtype(safetensors_entry *e, const json_t *info, size_t *element_bytes) {
    static const struct {
        const char *name;
        uint8_t bytes;
        int8_t type; /* a dtype, or -1 */
    } table[] = {{"F64", 8, DTYPE_F64},   {"F32", 4, DTYPE_F32}, {"F16", 2, DTYPE_F16},
                 {"BF16", 2, DTYPE_BF16}, {"I64", 8, DTYPE_I64}, {"I32", 4, DTYPE_I32},
                 {"I16", 2, DTYPE_I16},   {"I8", 1, DTYPE_I8},   {"U64", 8, -1},
                 {"U32", 4, -1},          {"U16", 2, -1},        {"U8", 1, -1},
                 {"BOOL", 1, -1},         {"F8_E4M3", 1, -1},    {"F8_E5M2", 1, -1},
                 {"F8_E8M0", 1, -1},      {"C64", 8, -1}};
    const json_t *name = json_object_get(info, "dtype");
    if (!json_is_string(name))
        return fail(HONE_ERR_FORMAT, "dtype: expected a string, found %s", json_type_name(name));
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        if (strcmp(table[i].name, json_string_value(name)) != 0) continue;
        e->dtype_name = json_string_value(name);
        e->view.type = (dtype)table[i].type;
        *element_bytes = table[i].bytes;
        return HONE_OK;
    }
    return fail(HONE_ERR_UNSUPPORTED, "dtype %.40s is unknown", json_string_value(name));
}

static hone_status parse_shape(safetensors_entry *e, const json_t *info, size_t element_bytes) {
    const json_t *shape = json_object_get(info, "shape");
    tensor *t = &e->view;
    if (!json_is_array(shape))
        return fail(HONE_ERR_FORMAT, "shape: expected an array, found %s", json_type_name(shape));
    if (json_array_size(shape) > TENSOR_MAX_DIMS)
        return fail(HONE_ERR_UNSUPPORTED, "shape: %zu dimensions, at most %d",
                    json_array_size(shape), TENSOR_MAX_DIMS);
    t->n_dims = (uint32_t)json_array_size(shape);
    e->bytes = element_bytes;
    for (size_t i = 0; i < TENSOR_MAX_DIMS; i++) {
        uint64_t ne = 1;
        const json_t *found = i < t->n_dims ? json_array_get(shape, t->n_dims - 1 - i) : NULL;
        if (found && !json_to_u64(found, &ne))
            return fail(HONE_ERR_FORMAT, "shape: expected whole numbers, found %s",
                        json_type_name(found));
        t->ne[i] = (size_t)ne;
        if (!size_mul(e->bytes, t->ne[i], &e->bytes))
            return fail(HONE_ERR_FORMAT, "shape: more elements than a file can hold");
        if (i == 0) t->row_bytes = e->bytes;
    }
    return HONE_OK;
}

static hone_status parse_extent(const safetensors_entry *e, const json_t *info,
                                size_t buffer_bytes, extent *where) {
    const json_t *offsets = json_object_get(info, "data_offsets");
    uint64_t begin = 0, end = 0;
    if (!json_is_array(offsets) || json_array_size(offsets) != 2 ||
        !json_to_u64(json_array_get(offsets, 0), &begin) ||
        !json_to_u64(json_array_get(offsets, 1), &end))
        return fail(HONE_ERR_FORMAT, "data_offsets: expected two whole numbers");
    if (begin > end || end > buffer_bytes)
        return fail(HONE_ERR_FORMAT, "data_offsets %llu to %llu, in a buffer of %zu bytes",
                    (unsigned long long)begin, (unsigned long long)end, buffer_bytes);
    if (end - begin != e->bytes)
        return fail(HONE_ERR_FORMAT, "data_offsets span %llu bytes, dtype and shape need %zu",
                    (unsigned long long)(end - begin), e->bytes);
    where->begin = (size_t)begin;
    where->end = (size_t)end;
    return HONE_OK;
}

static hone_status parse_entry(safetensors_entry *e, const json_t *info, const uint8_t *buffer,
                               size_t buffer_bytes, extent *where) {
    size_t element_bytes = 0;
    if (!json_is_object(info))
        return fail(HONE_ERR_FORMAT, "expected an object, found %s", json_type_name(info));
    TRY(parse_dtype(e, info, &element_bytes));
    TRY(parse_shape(e, info, element_bytes));
    TRY(parse_extent(e, info, buffer_bytes, where));
    e->view.data = buffer + where->begin;
    return HONE_OK;
}

/* --- one file --- */

static hone_status check_metadata(json_t *header) {
    json_t *metadata = json_object_get(header, METADATA_KEY), *value;
    const char *key;
    if (!metadata) return HONE_OK;
    if (!json_is_object(metadata))
        return fail(HONE_ERR_FORMAT, METADATA_KEY ": expected an object, found %s",
                    json_type_name(metadata));
    json_object_foreach(metadata, key, value) if (!json_is_string(value))
        return fail(HONE_ERR_FORMAT, METADATA_KEY ": '%.100s': expected a string, found %s", key,
                    json_type_name(value));
    return HONE_OK;
}

static int by_place(const void *a, const void *b) {
    const extent *x = a, *y = b;
    if (x->begin != y->begin) return x->begin < y->begin ? -1 : 1;
    return (x->end > y->end) - (x->end < y->end);
}

/* Sorts the extents: each must begin where the one before ends. */
static hone_status check_coverage(const safetensors *st, extent *extents, size_t n,
                                  size_t buffer_bytes) {
    size_t end = 0;
    qsort(extents, n, sizeof *extents, by_place);
    for (size_t i = 0; i < n; i++) {
        if (extents[i].begin != end)
            return fail(HONE_ERR_FORMAT, "tensor '%.100s' begins at byte %zu, expected %zu: %s",
                        st->entries[extents[i].entry].name, extents[i].begin, end,
                        extents[i].begin < end ? "tensors overlap" : "a hole");
        end = extents[i].end;
    }
    if (end != buffer_bytes)
        return fail(HONE_ERR_FORMAT, "the tensors end at byte %zu of a buffer of %zu", end,
                    buffer_bytes);
    return HONE_OK;
}

/* Appends the tensors of the part's header; `room` extents and entries are there. */
static hone_status parse_entries(safetensors *st, json_t *header, const uint8_t *buffer,
                                 size_t buffer_bytes, extent *extents) {
    const char *name;
    json_t *info;
    size_t n = 0;
    json_object_foreach(header, name, info) {
        if (strcmp(name, METADATA_KEY) == 0) continue;
        safetensors_entry *e = &st->entries[st->n_entries];
        bool was_there;
        *e = (safetensors_entry){.name = name};
        hone_status status = parse_entry(e, info, buffer, buffer_bytes, &extents[n]);
        if (status != HONE_OK) return fail_context(status, "tensor '%.100s'", name);
        TRY(strmap_insert(&st->names, name, strlen(name), (uint32_t)st->n_entries, &was_there));
        if (was_there)
            return fail(HONE_ERR_FORMAT, "tensor '%.100s' is in another file too", name);
        extents[n++].entry = st->n_entries++;
    }
    return check_coverage(st, extents, n, buffer_bytes);
}

static hone_status add_entries(safetensors *st, json_t *header, const uint8_t *buffer,
                               size_t buffer_bytes) {
    size_t n = json_object_size(header);
    if (n > MAX_TENSORS - st->n_entries)
        return fail(HONE_ERR_FORMAT, "more than %d tensors", MAX_TENSORS);
    safetensors_entry *entries = mem_realloc(st->entries, st->n_entries + n, sizeof *entries);
    if (!entries) return mem_fail("tensors", (st->n_entries + n) * sizeof *entries);
    st->entries = entries;
    extent *extents = mem_calloc(n, sizeof *extents);
    if (!extents) return mem_fail("tensors", n * sizeof *extents);
    hone_status status = parse_entries(st, header, buffer, buffer_bytes, extents);
    mem_free(extents);
    return status;
}

/* Splits the bytes into header and buffer. */
static hone_status parse_header(const uint8_t *data, size_t size, json_t **header,
                                size_t *buffer_at) {
    uint64_t n;
    if (size < sizeof n)
        return fail(HONE_ERR_FORMAT, "%zu bytes, too few for a safetensors header", size);
    memcpy(&n, data, sizeof n);
    if (n > MAX_HEADER_BYTES)
        return fail(HONE_ERR_FORMAT, "a header of %llu bytes, at most %d", (unsigned long long)n,
                    MAX_HEADER_BYTES);
    if (n > size - sizeof n)
        return fail(HONE_ERR_FORMAT, "truncated: a header of %llu bytes, %zu are left",
                    (unsigned long long)n, size - sizeof n);
    TRY(json_parse(header, (const char *)data + sizeof n, (size_t)n, "header"));
    *buffer_at = sizeof n + (size_t)n;
    if (json_is_object(*header)) return check_metadata(*header);
    return fail(HONE_ERR_FORMAT, "header: expected an object, found %s", json_type_name(*header));
}

/* Parses into the part that add_part made last. */
static hone_status parse_part(safetensors *st, const uint8_t *data, size_t size, const char *name) {
    size_t buffer_at = 0;
    part *p = &st->parts[st->n_parts - 1];
    hone_status status = parse_header(data, size, &p->header, &buffer_at);
    if (status == HONE_OK)
        status = add_entries(st, p->header, data + buffer_at, size - buffer_at);
    st->bytes += size;
    return status == HONE_OK ? HONE_OK : fail_context(status, "%s", name);
}

static hone_status add_part(safetensors *st) {
    part *parts = mem_realloc(st->parts, st->n_parts + 1, sizeof *parts);
    if (!parts) return mem_fail("parts", (st->n_parts + 1) * sizeof *parts);
    st->parts = parts;
    st->parts[st->n_parts++] = (part){.first = st->n_entries};
    return HONE_OK;
}

static hone_status create(safetensors **out) {
    safetensors *st = mem_calloc(1, sizeof *st);
    if (!st) return mem_fail("safetensors file", sizeof *st);
    hone_status status = strmap_init(&st->names, 0);
    if (status != HONE_OK) {
        mem_free(st);
        return status;
    }
    *out = st;
    return HONE_OK;
}

hone_status safetensors_parse(safetensors **out, const uint8_t *data, size_t size,
                              const char *name) {
    safetensors *st;
    TRY(create(&st));
    hone_status status = add_part(st);
    if (status == HONE_OK) status = parse_part(st, data, size, name);
    if (status != HONE_OK) {
        safetensors_close(st);
        return status;
    }
    *out = st;
    return HONE_OK;
}

/* --- files and folders --- */

static hone_status open_part(safetensors *st, const char *path) {
    TRY(add_part(st));
    file_map *map = &st->parts[st->n_parts - 1].map;
    TRY(file_map_open(map, path));
    return parse_part(st, map->data, map->size, path);
}

/* The folder's file of that name; mem_free it. NULL when memory is short. */
static char *path_in(const char *folder, const char *name) {
    size_t bytes = strlen(folder) + 1 + strlen(name) + 1;
    char *path = mem_alloc(bytes);
    if (path) snprintf(path, bytes, "%s/%s", folder, name);
    return path;
}

/* A name in an index stands for a file beside it and for nothing else. */
static bool is_plain_name(const char *name) {
    return name[0] != 0 && name[0] != '.' && !strpbrk(name, "/\\") && strlen(name) <= 255;
}

/* Whether the tensor is in the part that the index names. */
static hone_status check_listed(const safetensors *st, const char *name, uint32_t in_part,
                                const char *file) {
    uint32_t i;
    bool found = strmap_find(&st->names, name, strlen(name), &i);
    size_t end = in_part + 1 < st->n_parts ? st->parts[in_part + 1].first : st->n_entries;
    if (found && i >= st->parts[in_part].first && i < end) return HONE_OK;
    return fail(HONE_ERR_FORMAT, "tensor '%.100s' is not in %s", name, file);
}

static hone_status open_listed_files(safetensors *st, const char *folder, json_t *weight_map,
                                     strmap *files) {
    const char *name;
    json_t *file;
    json_object_foreach(weight_map, name, file) {
        const char *text = json_string_value(file);
        bool was_there;
        if (!text || !is_plain_name(text))
            return fail(HONE_ERR_FORMAT, "tensor '%.100s': expected the name of a file beside the "
                        "index, found %.100s", name, text ? text : json_type_name(file));
        TRY(strmap_insert(files, text, strlen(text), (uint32_t)st->n_parts, &was_there));
        if (was_there) continue;
        char *path = path_in(folder, text);
        if (!path) return mem_fail("file name", strlen(folder));
        hone_status status = open_part(st, path);
        mem_free(path);
        TRY(status);
    }
    return HONE_OK;
}

static hone_status check_weight_map(const safetensors *st, json_t *weight_map,
                                    const strmap *files) {
    const char *name;
    json_t *file;
    json_object_foreach(weight_map, name, file) {
        const char *text = json_string_value(file);
        uint32_t in_part = 0;
        strmap_find(files, text, strlen(text), &in_part);
        TRY(check_listed(st, name, in_part, text));
    }
    return HONE_OK;
}

static hone_status open_index(safetensors *st, const char *folder, const char *index_path) {
    json_t *index;
    strmap files = {0}; /* file name → part */
    TRY(json_parse_file(&index, index_path, MAX_INDEX_BYTES));
    json_t *weight_map = json_object_get(index, "weight_map");
    hone_status status =
        json_is_object(weight_map) && json_object_size(weight_map) > 0
            ? strmap_init(&files, 16)
            : fail(HONE_ERR_FORMAT, "weight_map: expected an object with tensors, found %s",
                   json_type_name(weight_map));
    if (status == HONE_OK) status = open_listed_files(st, folder, weight_map, &files);
    if (status == HONE_OK) status = check_weight_map(st, weight_map, &files);
    strmap_release(&files);
    json_decref(index);
    return status == HONE_OK ? HONE_OK : fail_context(status, "%s", index_path);
}

static hone_status open_folder(safetensors *st, const char *folder) {
    char *single = path_in(folder, SINGLE_FILE), *index = path_in(folder, INDEX_FILE);
    struct stat info;
    hone_status status;
    if (!single || !index) status = mem_fail("file name", strlen(folder));
    else if (stat(single, &info) == 0) status = open_part(st, single);
    else if (stat(index, &info) == 0) status = open_index(st, folder, index);
    else
        status = fail(HONE_ERR_NOT_FOUND, "%s: neither " SINGLE_FILE " nor " INDEX_FILE, folder);
    mem_free(single);
    mem_free(index);
    return status;
}

hone_status safetensors_open(safetensors **out, const char *path) {
    safetensors *st;
    struct stat info;
    TRY(create(&st));
    hone_status status = stat(path, &info) == 0 && S_ISDIR(info.st_mode) ? open_folder(st, path)
                                                                         : open_part(st, path);
    if (status != HONE_OK) {
        safetensors_close(st);
        return status;
    }
    *out = st;
    return HONE_OK;
}

/* --- looking --- */

size_t safetensors_count(const safetensors *st) { return st->n_entries; }
const safetensors_entry *safetensors_at(const safetensors *st, size_t i) { return &st->entries[i]; }
size_t safetensors_file_bytes(const safetensors *st) { return st->bytes; }

hone_status safetensors_take_in(safetensors *st) {
    for (size_t i = 0; i < st->n_parts; i++) TRY(file_map_take_in(&st->parts[i].map));
    return HONE_OK;
}

void safetensors_forget(const safetensors *st) {
    for (size_t i = 0; i < st->n_parts; i++) file_map_forget(&st->parts[i].map);
}

const safetensors_entry *safetensors_find(const safetensors *st, const char *name) {
    uint32_t i;
    return strmap_find(&st->names, name, strlen(name), &i) ? &st->entries[i] : NULL;
}

const char *safetensors_metadata(const safetensors *st, const char *key) {
    for (size_t i = 0; i < st->n_parts; i++) {
        const json_t *metadata = json_object_get(st->parts[i].header, METADATA_KEY);
        const char *text = json_string_value(json_object_get(metadata, key));
        if (text) return text;
    }
    return NULL;
}
