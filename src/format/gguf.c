#include "format/gguf.h"

#include <string.h>

#include "base/mem.h"
#include "base/utf8.h"
#include "format/gguf_int.h"

/* --- shared by the gguf_*.c files --- */

size_t gguf_type_bytes(uint32_t type) {
    static const uint8_t bytes[] = {
        [GGUF_U8] = 1,  [GGUF_I8] = 1,  [GGUF_U16] = 2, [GGUF_I16] = 2,
        [GGUF_U32] = 4, [GGUF_I32] = 4, [GGUF_F32] = 4, [GGUF_BOOL] = 1,
        [GGUF_U64] = 8, [GGUF_I64] = 8, [GGUF_F64] = 8};
    return type < sizeof bytes ? bytes[type] : 0;
}

bool gguf_alignment_is_valid(uint32_t alignment) {
    return alignment != 0 && alignment <= GGUF_MAX_ALIGNMENT && (alignment & (alignment - 1)) == 0;
}

bool gguf_align(size_t offset, size_t alignment, size_t *aligned) {
    if (!size_add(offset, alignment - 1, aligned)) return false;
    *aligned &= ~(alignment - 1);
    return true;
}

int gguf_shown(gguf_string text) {
    return (int)utf8_complete_prefix(text.data, text.n < 100 ? text.n : 100);
}

hone_status gguf_check_name(gguf_string name, size_t max_bytes, const char *what) {
    if (name.n == 0 || name.n > max_bytes)
        return fail(HONE_ERR_FORMAT, "%s has %zu bytes, expected 1 to %zu", what, name.n,
                    max_bytes);
    if (memchr(name.data, 0, name.n) || !utf8_is_valid(name.data, name.n))
        return fail(HONE_ERR_FORMAT, "%s is not UTF-8 text", what);
    return HONE_OK;
}

/* --- keys and tensors --- */

hone_status gguf_take_in(gguf *file) {
    for (size_t i = 0; i < file->n_maps; i++) TRY(file_map_take_in(&file->maps[i]));
    return HONE_OK;
}

void gguf_forget(const gguf *file) {
    for (size_t i = 0; i < file->n_maps; i++) file_map_forget(&file->maps[i]);
}

void gguf_close(gguf *file) {
    if (!file) return;
    for (size_t i = 0; i < file->n_maps; i++) file_map_release(&file->maps[i]);
    mem_free(file->maps);
    strmap_release(&file->keys);
    strmap_release(&file->tensor_names);
    mem_free(file->kvs);
    mem_free(file->tensors);
    mem_free(file);
}

size_t gguf_n_kv(const gguf *file) { return file->n_kvs; }
const gguf_kv *gguf_kv_at(const gguf *file, size_t i) { return &file->kvs[i]; }
size_t gguf_n_tensors(const gguf *file) { return file->n_tensors; }
const gguf_tensor *gguf_tensor_at(const gguf *file, size_t i) { return &file->tensors[i]; }
uint32_t gguf_version(const gguf *file) { return file->version; }
size_t gguf_file_bytes(const gguf *file) { return file->bytes; }

const gguf_kv *gguf_find(const gguf *file, const char *key) {
    uint32_t i;
    return strmap_find(&file->keys, key, strlen(key), &i) ? &file->kvs[i] : NULL;
}

const gguf_tensor *gguf_find_tensor(const gguf *file, const char *name) {
    uint32_t i;
    return strmap_find(&file->tensor_names, name, strlen(name), &i) ? &file->tensors[i] : NULL;
}

/* --- values --- */

/* A number of any type; integers keep all 64 bits. */
typedef struct number {
    enum { NUMBER_NONE, NUMBER_UNSIGNED, NUMBER_SIGNED, NUMBER_REAL } kind;
    union {
        uint64_t u;
        int64_t i;
        double f;
    };
} number;

#define LOAD(type, kind_, member)                            \
    do {                                                     \
        type loaded_;                                        \
        memcpy(&loaded_, at, sizeof loaded_);                \
        return (number){.kind = (kind_), .member = loaded_}; \
    } while (0)

static number number_at(const gguf_kv *kv, size_t i) {
    size_t bytes = gguf_type_bytes(kv->element);
    if (bytes == 0 || i >= kv->count) return (number){0};
    const uint8_t *at = kv->data + i * bytes;
    switch (kv->element) {
    case GGUF_U8: LOAD(uint8_t, NUMBER_UNSIGNED, u);
    case GGUF_U16: LOAD(uint16_t, NUMBER_UNSIGNED, u);
    case GGUF_U32: LOAD(uint32_t, NUMBER_UNSIGNED, u);
    case GGUF_U64: LOAD(uint64_t, NUMBER_UNSIGNED, u);
    case GGUF_I8: LOAD(int8_t, NUMBER_SIGNED, i);
    case GGUF_I16: LOAD(int16_t, NUMBER_SIGNED, i);
    case GGUF_I32: LOAD(int32_t, NUMBER_SIGNED, i);
    case GGUF_I64: LOAD(int64_t, NUMBER_SIGNED, i);
    case GGUF_F32: LOAD(float, NUMBER_REAL, f);
    case GGUF_F64: LOAD(double, NUMBER_REAL, f);
    case GGUF_BOOL:
    case GGUF_STRING:
    case GGUF_ARRAY: break;
    }
    return (number){0};
}

bool gguf_element_u64(const gguf_kv *kv, size_t i, uint64_t *value) {
    number n = number_at(kv, i);
    if (n.kind == NUMBER_UNSIGNED) *value = n.u;
    else if (n.kind == NUMBER_SIGNED && n.i >= 0) *value = (uint64_t)n.i;
    else return false;
    return true;
}

bool gguf_element_f64(const gguf_kv *kv, size_t i, double *value) {
    number n = number_at(kv, i);
    if (n.kind == NUMBER_NONE) return false;
    *value = n.kind == NUMBER_UNSIGNED ? (double)n.u : n.kind == NUMBER_SIGNED ? (double)n.i : n.f;
    return true;
}

static const gguf_kv *find_scalar(const gguf *file, const char *key) {
    const gguf_kv *kv = gguf_find(file, key);
    return kv && kv->type != GGUF_ARRAY ? kv : NULL;
}

bool gguf_get_u64(const gguf *file, const char *key, uint64_t *value) {
    const gguf_kv *kv = find_scalar(file, key);
    return kv && gguf_element_u64(kv, 0, value);
}

bool gguf_get_f64(const gguf *file, const char *key, double *value) {
    const gguf_kv *kv = find_scalar(file, key);
    return kv && gguf_element_f64(kv, 0, value);
}

bool gguf_get_bool(const gguf *file, const char *key, bool *value) {
    const gguf_kv *kv = find_scalar(file, key);
    if (!kv || kv->type != GGUF_BOOL) return false;
    *value = kv->data[0] != 0;
    return true;
}

bool gguf_get_string(const gguf *file, const char *key, gguf_string *value) {
    const gguf_kv *kv = find_scalar(file, key);
    size_t cursor = 0;
    return kv && gguf_next_string(kv, &cursor, value);
}

bool gguf_next_string(const gguf_kv *kv, size_t *cursor, gguf_string *value) {
    uint64_t n;
    if (kv->element != GGUF_STRING || *cursor >= kv->bytes) return false;
    memcpy(&n, kv->data + *cursor, sizeof n);
    *value = (gguf_string){(const char *)kv->data + *cursor + sizeof n, (size_t)n};
    *cursor += sizeof n + (size_t)n;
    return true;
}
