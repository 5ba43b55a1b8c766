/* Bytes of one GGUF file in, checked views out.
 *
 * The file is header, keys, tensor descriptions, padding, data. A cursor walks the first three; no
 * step is taken before the bytes left allow it. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "format/gguf_int.h"

/* The shortest key (length, one letter, type, one byte) and the shortest tensor description
 * (length, one letter, n_dims, one dimension, type, offset): what a count of them must fit into. */
#define MIN_KEY_BYTES (8 + 1 + 4 + 1)
#define MIN_TENSOR_BYTES (8 + 1 + 4 + 8 + 4 + 8)

typedef struct cursor {
    const uint8_t *data;
    size_t size, at;
} cursor;

/* Where a tensor lies in the data section. */
typedef struct extent {
    size_t begin, end, tensor;
} extent;

static size_t left(const cursor *c) { return c->size - c->at; }

/* The next n bytes; NULL, with words, where there are fewer. */
static const uint8_t *take(cursor *c, uint64_t n, const char *what) {
    if (n > left(c)) {
        fail(HONE_ERR_FORMAT, "truncated: %s needs %llu bytes at offset %zu, %zu are left", what,
             (unsigned long long)n, c->at, left(c));
        return NULL;
    }
    const uint8_t *bytes = c->data + c->at;
    c->at += (size_t)n;
    return bytes;
}

static hone_status take_u32(cursor *c, const char *what, uint32_t *value) {
    const uint8_t *bytes = take(c, sizeof *value, what);
    if (!bytes) return HONE_ERR_FORMAT;
    memcpy(value, bytes, sizeof *value);
    return HONE_OK;
}

static hone_status take_u64(cursor *c, const char *what, uint64_t *value) {
    const uint8_t *bytes = take(c, sizeof *value, what);
    if (!bytes) return HONE_ERR_FORMAT;
    memcpy(value, bytes, sizeof *value);
    return HONE_OK;
}

static hone_status take_string(cursor *c, const char *what, gguf_string *value) {
    uint64_t n;
    TRY(take_u64(c, what, &n));
    const uint8_t *bytes = take(c, n, what);
    if (!bytes) return HONE_ERR_FORMAT;
    *value = (gguf_string){.data = (const char *)bytes, .n = (size_t)n};
    return HONE_OK;
}

/* A number of things that take at least `min_bytes` each. */
static hone_status take_count(cursor *c, const char *what, size_t min_bytes, size_t max,
                              size_t *count) {
    uint64_t n;
    TRY(take_u64(c, what, &n));
    if (n > max || n > left(c) / min_bytes)
        return fail(HONE_ERR_FORMAT, "%s is %llu, with %zu bytes left and a limit of %zu", what,
                    (unsigned long long)n, left(c), max);
    *count = (size_t)n;
    return HONE_OK;
}

/* --- header --- */

static hone_status parse_header(cursor *c, gguf *g) {
    const uint8_t *magic = take(c, 4, "the magic");
    if (!magic) return HONE_ERR_FORMAT;
    if (memcmp(magic, GGUF_MAGIC, 4) != 0)
        return fail(HONE_ERR_FORMAT, "not a GGUF file: begins with %02x %02x %02x %02x", magic[0],
                    magic[1], magic[2], magic[3]);
    TRY(take_u32(c, "the version", &g->version));
    if (g->version != 0 && (g->version & 0xFFFF) == 0)
        return fail(HONE_ERR_UNSUPPORTED, "a big-endian GGUF file; hone reads little-endian ones");
    if (g->version == 1)
        return fail(HONE_ERR_UNSUPPORTED, "GGUF version 1; hone reads versions 2 and 3");
    if (g->version != 2 && g->version != 3)
        return fail(HONE_ERR_UNSUPPORTED, "GGUF version %u; hone reads versions 2 and 3",
                    g->version);
    TRY(take_count(c, "the number of tensors", MIN_TENSOR_BYTES, GGUF_MAX_TENSORS, &g->n_tensors));
    return take_count(c, "the number of keys", MIN_KEY_BYTES, GGUF_MAX_KEYS, &g->n_kvs);
}

/* --- keys --- */

static hone_status parse_strings(cursor *c, size_t count) {
    gguf_string text;
    for (size_t i = 0; i < count; i++) TRY(take_string(c, "a string", &text));
    return HONE_OK;
}

static hone_status parse_numbers(cursor *c, uint32_t type, size_t count) {
    size_t element_bytes = gguf_type_bytes(type);
    if (element_bytes == 0)
        return fail(HONE_ERR_FORMAT, "type %u, expected 0 to %d", type, GGUF_F64);
    if (count > left(c) / element_bytes)
        return fail(HONE_ERR_FORMAT, "truncated: %zu elements of %zu bytes, %zu bytes are left",
                    count, element_bytes, left(c));
    return take(c, count * element_bytes, "the value") ? HONE_OK : HONE_ERR_FORMAT;
}

static hone_status parse_value(cursor *c, gguf_kv *kv) {
    uint32_t type, element;
    uint64_t count = 1;
    TRY(take_u32(c, "the type", &type));
    element = type;
    if (type == GGUF_ARRAY) {
        TRY(take_u32(c, "the element type", &element));
        TRY(take_u64(c, "the element count", &count));
        if (element == GGUF_ARRAY) return fail(HONE_ERR_UNSUPPORTED, "an array of arrays");
    }
    if (count > left(c))
        return fail(HONE_ERR_FORMAT, "truncated: %llu elements, %zu bytes are left",
                    (unsigned long long)count, left(c));
    size_t begin = c->at;
    if (element == GGUF_STRING) TRY(parse_strings(c, (size_t)count));
    else TRY(parse_numbers(c, element, (size_t)count));
    kv->type = (gguf_type)type;
    kv->element = (gguf_type)element;
    kv->count = (size_t)count;
    kv->data = c->data + begin;
    kv->bytes = c->at - begin;
    return HONE_OK;
}

static hone_status parse_keys(cursor *c, gguf *g) {
    for (size_t i = 0; i < g->n_kvs; i++) {
        gguf_kv *kv = &g->kvs[i];
        bool was_there;
        hone_status status = take_string(c, "the key", &kv->key);
        if (status == HONE_OK) status = gguf_check_name(kv->key, GGUF_MAX_KEY_BYTES, "the key");
        if (status != HONE_OK)
            return fail_context(status, "key %zu of %zu", i + 1, g->n_kvs);
        status = parse_value(c, kv);
        if (status != HONE_OK)
            return fail_context(status, "key '%.*s'", gguf_shown(kv->key), kv->key.data);
        TRY(strmap_insert(&g->keys, kv->key.data, kv->key.n, (uint32_t)i, &was_there));
        if (was_there)
            return fail(HONE_ERR_FORMAT, "key '%.*s' occurs twice", gguf_shown(kv->key),
                        kv->key.data);
    }
    return HONE_OK;
}

static hone_status find_alignment(const gguf *g, uint32_t *alignment) {
    const gguf_kv *kv = gguf_find(g, GGUF_ALIGNMENT_KEY);
    *alignment = GGUF_DEFAULT_ALIGNMENT;
    if (!kv) return HONE_OK;
    if (kv->type != GGUF_U32)
        return fail(HONE_ERR_FORMAT, "key '%s' has type %d, expected %d (u32)", GGUF_ALIGNMENT_KEY,
                    kv->type, GGUF_U32);
    memcpy(alignment, kv->data, sizeof *alignment);
    if (!gguf_alignment_is_valid(*alignment))
        return fail(HONE_ERR_FORMAT, "key '%s' is %u, expected a power of two up to %d",
                    GGUF_ALIGNMENT_KEY, *alignment, GGUF_MAX_ALIGNMENT);
    return HONE_OK;
}

/* --- tensors --- */

static hone_status check_type(uint32_t type) {
    static const struct {
        uint32_t id;
        const char *name;
    } removed[] = {{4, "Q4_2"},      {5, "Q4_3"},      {31, "Q4_0_4_4"},   {32, "Q4_0_4_8"},
                   {33, "Q4_0_8_8"}, {36, "IQ4_NL_4_4"}, {37, "IQ4_NL_4_8"}, {38, "IQ4_NL_8_8"}};
    for (size_t i = 0; i < sizeof removed / sizeof *removed; i++)
        if (removed[i].id == type)
            return fail(HONE_ERR_UNSUPPORTED, "type %u (%s) was removed from the format", type,
                        removed[i].name);
    if (!dtype_get(type)->name)
        return fail(HONE_ERR_UNSUPPORTED, "type number %u is unknown", type);
    return HONE_OK;
}

static hone_status parse_shape(cursor *c, tensor *t) {
    TRY(take_u32(c, "the number of dimensions", &t->n_dims));
    if (t->n_dims < 1 || t->n_dims > TENSOR_MAX_DIMS)
        return fail(HONE_ERR_FORMAT, "%u dimensions, expected 1 to %d", t->n_dims,
                    TENSOR_MAX_DIMS);
    for (uint32_t i = 0; i < TENSOR_MAX_DIMS; i++) {
        uint64_t ne = 1;
        if (i < t->n_dims) TRY(take_u64(c, "a dimension", &ne));
        if (ne == 0 || ne > INT64_MAX)
            return fail(HONE_ERR_FORMAT, "dimension %u is %llu", i, (unsigned long long)ne);
        t->ne[i] = (size_t)ne;
    }
    return HONE_OK;
}

/* Fills row_bytes and the size of all rows. */
static hone_status measure(tensor *t, size_t *bytes) {
    const dtype_traits *traits = dtype_get(t->type);
    size_t block_bytes = traits->block_bytes ? traits->block_bytes : traits->skip_bytes;
    if (t->ne[0] % traits->block != 0)
        return fail(HONE_ERR_FORMAT, "rows of %zu elements, %s needs a multiple of %u", t->ne[0],
                    traits->name, traits->block);
    bool fits = size_mul(t->ne[0] / traits->block, block_bytes, &t->row_bytes);
    *bytes = t->row_bytes;
    for (int i = 1; i < TENSOR_MAX_DIMS; i++) fits = fits && size_mul(*bytes, t->ne[i], bytes);
    if (!fits || *bytes > INT64_MAX)
        return fail(HONE_ERR_FORMAT, "%zu x %zu x %zu x %zu elements of %s are too many", t->ne[0],
                    t->ne[1], t->ne[2], t->ne[3], traits->name);
    return HONE_OK;
}

static hone_status parse_tensor(cursor *c, gguf_tensor *t, size_t alignment, extent *where) {
    uint32_t type;
    uint64_t offset;
    TRY(parse_shape(c, &t->view));
    TRY(take_u32(c, "the type", &type));
    TRY(check_type(type));
    t->view.type = (dtype)type;
    TRY(measure(&t->view, &t->bytes));
    TRY(take_u64(c, "the offset", &offset));
    if (offset % alignment != 0)
        return fail(HONE_ERR_FORMAT, "offset %llu is not a multiple of the alignment %zu",
                    (unsigned long long)offset, alignment);
    where->begin = (size_t)offset;
    if (offset > INT64_MAX || !size_add(where->begin, t->bytes, &where->end))
        return fail(HONE_ERR_FORMAT, "offset %llu is too large", (unsigned long long)offset);
    return HONE_OK;
}

static hone_status parse_tensors(cursor *c, gguf *g, size_t alignment, extent *extents) {
    for (size_t i = 0; i < g->n_tensors; i++) {
        gguf_tensor *t = &g->tensors[i];
        bool was_there;
        hone_status status = take_string(c, "the name", &t->name);
        if (status == HONE_OK)
            status = gguf_check_name(t->name, GGUF_MAX_TENSOR_NAME_BYTES, "the name");
        if (status != HONE_OK)
            return fail_context(status, "tensor %zu of %zu", i + 1, g->n_tensors);
        extents[i].tensor = i;
        status = parse_tensor(c, t, alignment, &extents[i]);
        if (status != HONE_OK)
            return fail_context(status, "tensor '%.*s'", gguf_shown(t->name), t->name.data);
        TRY(strmap_insert(&g->tensor_names, t->name.data, t->name.n, (uint32_t)i, &was_there));
        if (was_there)
            return fail(HONE_ERR_FORMAT, "tensor '%.*s' occurs twice", gguf_shown(t->name),
                        t->name.data);
    }
    return HONE_OK;
}

/* --- data --- */

static int by_begin(const void *a, const void *b) {
    const extent *x = a, *y = b;
    return (x->begin > y->begin) - (x->begin < y->begin);
}

static hone_status check_overlaps(const gguf *g, extent *extents) {
    bool sorted = true;
    for (size_t i = 1; i < g->n_tensors; i++)
        sorted = sorted && extents[i - 1].begin <= extents[i].begin;
    if (!sorted) qsort(extents, g->n_tensors, sizeof *extents, by_begin);
    for (size_t i = 1; i < g->n_tensors; i++) {
        if (extents[i].begin >= extents[i - 1].end) continue;
        gguf_string a = g->tensors[extents[i - 1].tensor].name;
        gguf_string b = g->tensors[extents[i].tensor].name;
        return fail(HONE_ERR_FORMAT, "tensors '%.*s' and '%.*s' overlap", gguf_shown(a), a.data,
                    gguf_shown(b), b.data);
    }
    return HONE_OK;
}

/* Points each view into the data section. `extents` are sorted. Some writers leave the last
 * tensor's padding away; a file that ends inside it was cut. */
static hone_status place_tensors(const cursor *c, gguf *g, size_t alignment, const extent *extents,
                                 bool with_data) {
    size_t begin = 0, padded_end = 0;
    bool fits = gguf_align(c->at, alignment, &begin) && begin <= c->size;
    size_t size = fits ? c->size - begin : 0;
    for (size_t i = 0; i < g->n_tensors; i++) {
        gguf_tensor *t = &g->tensors[extents[i].tensor];
        if (extents[i].end <= size) {
            t->view.data = c->data + begin + extents[i].begin;
        } else if (with_data) {
            return fail(HONE_ERR_FORMAT,
                        "truncated: tensor '%.*s' ends at byte %zu of the data, which has %zu",
                        gguf_shown(t->name), t->name.data, extents[i].end, size);
        }
    }
    if (!with_data || g->n_tensors == 0) return HONE_OK;
    size_t end = extents[g->n_tensors - 1].end;
    if (size != end && gguf_align(end, alignment, &padded_end) && size < padded_end)
        return fail(HONE_ERR_FORMAT, "truncated: the data has %zu bytes, expected %zu", size,
                    padded_end);
    return HONE_OK;
}

static hone_status parse_file(gguf *g, cursor *c, bool with_data) {
    uint32_t alignment;
    TRY(parse_header(c, g));
    g->kvs = mem_calloc(g->n_kvs, sizeof *g->kvs);
    if (!g->kvs) return mem_fail("keys", g->n_kvs * sizeof *g->kvs);
    TRY(strmap_init(&g->keys, g->n_kvs));
    TRY(parse_keys(c, g));
    TRY(find_alignment(g, &alignment));

    if (g->n_tensors > left(c) / MIN_TENSOR_BYTES)
        return fail(HONE_ERR_FORMAT, "truncated: %zu tensors, %zu bytes are left", g->n_tensors,
                    left(c));
    g->tensors = mem_calloc(g->n_tensors, sizeof *g->tensors);
    if (!g->tensors) return mem_fail("tensors", g->n_tensors * sizeof *g->tensors);
    TRY(strmap_init(&g->tensor_names, g->n_tensors));
    extent *extents = mem_calloc(g->n_tensors, sizeof *extents);
    if (!extents) return mem_fail("tensors", g->n_tensors * sizeof *extents);
    hone_status status = parse_tensors(c, g, alignment, extents);
    if (status == HONE_OK) status = check_overlaps(g, extents);
    if (status == HONE_OK) status = place_tensors(c, g, alignment, extents, with_data);
    mem_free(extents);
    return status;
}

hone_status gguf_parse(gguf **out, const uint8_t *data, size_t size, const char *name,
                       bool with_data) {
    gguf *g = mem_calloc(1, sizeof *g);
    if (!g) return mem_fail("GGUF file", sizeof *g);
    g->bytes = size;
    cursor c = {.data = data, .size = size};
    hone_status status = parse_file(g, &c, with_data);
    if (status != HONE_OK) {
        gguf_close(g);
        return fail_context(status, "%s", name);
    }
    *out = g;
    return HONE_OK;
}
