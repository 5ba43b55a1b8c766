#include "base/json.h"

#include <math.h>
#include <pthread.h>

#include "base/file_map.h"
#include "base/mem.h"

/* Jansson reports some failed allocations as bad syntax, so we take note of them ourselves. */
static _Thread_local bool memory_was_short;

static void *alloc_and_note(size_t bytes) {
    void *memory = mem_alloc(bytes);
    if (!memory) memory_was_short = true;
    return memory;
}

static void set_allocator(void) {
    json_set_alloc_funcs(alloc_and_note, mem_free);
    json_object_seed(0); /* from the system's randomness; lazily seeding would race */
}

void json_use_mem(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, set_allocator);
}

void json_build_begin(void) {
    json_use_mem();
    memory_was_short = false;
}

hone_status json_build_end(const char *what) {
    return memory_was_short ? fail(HONE_ERR_MEMORY, "out of memory: %s", what) : HONE_OK;
}

/* What a text will cost before any of it is built. Jansson recurses, once for each level, when it
 * parses and when it frees; and three bytes of text ("{},") become some hundred of memory. */
typedef struct outline {
    size_t depth;
    size_t n_objects, n_arrays, n_members, n_commas;
} outline;

static outline look_through(const char *text, size_t n) {
    outline o = {0};
    size_t depth = 0;
    bool in_string = false;
    for (size_t i = 0; i < n; i++) {
        char c = text[i];
        if (in_string) {
            if (c == '\\') i++;
            else if (c == '"') in_string = false;
            continue;
        }
        switch (c) {
        case '"': in_string = true; break;
        case '{':
        case '[':
            if (++depth > o.depth) o.depth = depth;
            *(c == '{' ? &o.n_objects : &o.n_arrays) += 1;
            break;
        case '}':
        case ']': depth -= depth > 0; break;
        case ':': o.n_members++; break;
        case ',': o.n_commas++; break;
        default: break;
        }
    }
    return o;
}

/* What Jansson 2.14 allocates, allocator's overhead included: an object with its eight first
 * buckets, an array with its eight first places, a member, a string. */
static size_t memory_of(const outline *o, size_t n) {
    size_t n_values = o->n_objects + o->n_arrays + o->n_commas;
    return 240 * o->n_objects + 144 * o->n_arrays + 72 * o->n_members + 80 * n_values + 2 * n;
}

static hone_status check_outline(const char *text, size_t n, const char *name) {
    outline o = look_through(text, n);
    if (o.depth > JSON_MAX_DEPTH)
        return fail(HONE_ERR_FORMAT, "%s: JSON nested %zu deep, at most %d", name, o.depth,
                    JSON_MAX_DEPTH);
    if (memory_of(&o, n) > JSON_MAX_MEMORY)
        return fail(HONE_ERR_FORMAT, "%s: JSON that would take %zu MiB of memory, at most %zu",
                    name, memory_of(&o, n) >> 20, JSON_MAX_MEMORY >> 20);
    return HONE_OK;
}

static hone_status parse(json_t **out, const char *text, size_t n, const char *name, size_t flags) {
    json_use_mem();
    TRY(check_outline(text, n, name));
    memory_was_short = false;
    json_error_t error = {0};
    const char *bytes = n ? text : "";
    json_t *value = json_loadb(bytes, n, flags, &error);
    if (!value && json_error_code(&error) == json_error_numeric_overflow)
        value = json_loadb(bytes, n, flags | JSON_DECODE_INT_AS_REAL, &error);
    if (value) {
        *out = value;
        return HONE_OK;
    }
    if (memory_was_short)
        return fail(HONE_ERR_MEMORY, "%s: out of memory: JSON of %zu bytes", name, n);
    return fail(HONE_ERR_FORMAT, "%s: line %d, column %d: %s", name, error.line, error.column,
                error.text);
}

hone_status json_parse(json_t **out, const char *text, size_t n, const char *name) {
    return parse(out, text, n, name, JSON_REJECT_DUPLICATES);
}

hone_status json_parse_words(json_t **out, const char *text, size_t n, const char *name) {
    return parse(out, text, n, name, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL);
}

hone_status json_parse_file(json_t **out, const char *path, size_t max_bytes) {
    file_map map;
    TRY(file_map_open(&map, path));
    hone_status status =
        map.size > max_bytes
            ? fail(HONE_ERR_FORMAT, "%s: %zu bytes, at most %zu", path, map.size, max_bytes)
            : json_parse(out, (const char *)map.data, map.size, path);
    file_map_release(&map);
    return status;
}

json_t *json_finite(double value) { return isfinite(value) ? json_real(value) : json_null(); }

const char *json_type_name(const json_t *value) {
    if (!value) return "nothing";
    switch (json_typeof(value)) {
    case JSON_OBJECT: return "object";
    case JSON_ARRAY: return "array";
    case JSON_STRING: return "string";
    case JSON_INTEGER: return "integer";
    case JSON_REAL: return "real number";
    case JSON_TRUE: return "true";
    case JSON_FALSE: return "false";
    case JSON_NULL: return "null";
    }
    return "nothing";
}

bool json_to_u64(const json_t *value, uint64_t *number) {
    if (json_is_integer(value) && json_integer_value(value) >= 0) {
        *number = (uint64_t)json_integer_value(value);
        return true;
    }
    if (!json_is_real(value)) return false;
    double real = json_real_value(value);
    if (!(real >= 0 && real <= 0x1p53) || real != (double)(uint64_t)real) return false;
    *number = (uint64_t)real;
    return true;
}

static hone_status wrong_type(const char *key, const char *expected, const json_t *found) {
    return fail(HONE_ERR_FORMAT, "\"%s\": expected %s, found %s", key, expected,
                json_type_name(found));
}

/* NULL where the default shall stay. */
static const json_t *member(const json_t *object, const char *key) {
    const json_t *value = json_object_get(object, key);
    return json_is_null(value) ? NULL : value;
}

hone_status json_get_u64(const json_t *object, const char *key, uint64_t *value) {
    const json_t *found = member(object, key);
    if (!found || json_to_u64(found, value)) return HONE_OK;
    return wrong_type(key, "a whole number from 0", found);
}

hone_status json_get_f64(const json_t *object, const char *key, double *value) {
    const json_t *found = member(object, key);
    if (found && !json_is_number(found)) return wrong_type(key, "a number", found);
    if (found) *value = json_number_value(found);
    return HONE_OK;
}

hone_status json_get_bool(const json_t *object, const char *key, bool *value) {
    const json_t *found = member(object, key);
    if (found && !json_is_boolean(found)) return wrong_type(key, "true or false", found);
    if (found) *value = json_is_true(found);
    return HONE_OK;
}

hone_status json_get_string(const json_t *object, const char *key, const char **value) {
    const json_t *found = member(object, key);
    if (found && !json_is_string(found)) return wrong_type(key, "a string", found);
    if (found) *value = json_string_value(found);
    return HONE_OK;
}
