/* The part of Python's pickle format (protocols 2 to 5) in which PyTorch stores dictionaries of
 * tensors. Nothing is ever executed: a small stack machine with a list of allowed opcodes builds
 * plain values, and every class or function that the list does not name is refused, by name.
 *
 * Values belong to the pickle and live as long as it. A container may hold itself: readers go down
 * by name, never blindly. */
#ifndef FORMAT_PICKLE_H
#define FORMAT_PICKLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

typedef enum pickle_kind {
    PICKLE_NONE, PICKLE_BOOL, PICKLE_INT, PICKLE_FLOAT, PICKLE_TEXT, PICKLE_TUPLE, PICKLE_LIST,
    PICKLE_DICT,    /* also an OrderedDict */
    PICKLE_GLOBAL,  /* an allowed class or function, as the word "module name" */
    PICKLE_STORAGE, /* persistent id ("storage", class, key, location, count) */
    PICKLE_TENSOR   /* _rebuild_tensor_v2 */
} pickle_kind;

typedef struct pickle_value pickle_value;

struct pickle_value {
    pickle_kind kind;
    union {
        int64_t integer; /* of a bool: 0 or 1 */
        double real;
        struct {
            const char *data; /* not NUL-terminated */
            size_t n;
        } text;
        struct {
            const pickle_value **items; /* of a dict: key, value, key, value, … */
            size_t n, room;
        } list;
        struct {
            const pickle_value *type /* a global */, *key /* a text */;
            int64_t count; /* elements */
        } storage;
        struct {
            const pickle_value *storage;
            int64_t offset;                      /* elements */
            const pickle_value *sizes, *strides; /* tuples of ints */
        } tensor;
    };
};

typedef struct pickle pickle;

/* Parses `n` bytes, which must outlive the result. HONE_ERR_UNSUPPORTED names an opcode, a class or
 * a function that is not on the list; HONE_ERR_FORMAT what is malformed. */
hone_status pickle_parse(pickle **out, const uint8_t *data, size_t n, const char *name);
void pickle_close(pickle *p); /* NULL is allowed */
const pickle_value *pickle_root(const pickle *p);

/* A member of a dict by its text key, or NULL (also of what is no dict). */
const pickle_value *pickle_get(const pickle_value *dict, const char *key);
bool pickle_text_is(const pickle_value *value, const char *text);

#endif
