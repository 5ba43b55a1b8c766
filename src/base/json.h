/* JSON from strangers, by way of the Jansson library.
 *
 * Rules beyond RFC 8259: the text is an array or an object in UTF-8, a name occurs once in an
 * object, strings hold no U+0000, nesting ends at JSON_MAX_DEPTH, and the values do not take more
 * than JSON_MAX_MEMORY (looked at before they are built). Objects keep the order of the
 * text. Values are Jansson's own `json_t`: walk them with its functions, end them with json_decref.
 * A parsed value may be read by several threads as long as none changes its reference counts. */
#ifndef BASE_JSON_H
#define BASE_JSON_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

#define JSON_MAX_DEPTH 128
#define JSON_MAX_MEMORY ((size_t)512 << 20)

/* Parses `n` bytes. `name` stands for the text in errors, which give line, column and reason.
 * An integer beyond 64 bits (Hugging Face writes 10³⁰ for "no limit") turns all integers of that
 * text into reals; the getters below do not mind. */
hone_status json_parse(json_t **out, const char *text, size_t n, const char *name);

/* The same for what a model's words are in: strings may hold NUL characters, so that their end is
 * what json_string_length says. */
hone_status json_parse_words(json_t **out, const char *text, size_t n, const char *name);

/* Reads and parses a file of at most `max_bytes`. */
hone_status json_parse_file(json_t **out, const char *path, size_t max_bytes);

/* Members of an object. A missing or null member leaves *value as it is, so that a default can
 * stand there before the call; one of another type is HONE_ERR_FORMAT and named. */
hone_status json_get_u64(const json_t *object, const char *key, uint64_t *value);
hone_status json_get_f64(const json_t *object, const char *key, double *value);
hone_status json_get_bool(const json_t *object, const char *key, bool *value);
/* The text belongs to the object. */
hone_status json_get_string(const json_t *object, const char *key, const char **value);

/* A value alone, such as an array's element: false, and *value untouched, unless it is a whole
 * number ≥ 0 that is represented exactly. */
bool json_to_u64(const json_t *value, uint64_t *number);

/* A finite number, or null; NULL when memory is short. */
json_t *json_finite(double value);

/* "string", "array", "null", …; "nothing" for NULL. For error sentences. */
const char *json_type_name(const json_t *value);

/* Points Jansson's allocator at base/mem.h. The calls above do it themselves; call it before
 * building values by hand. Thread-safe. */
void json_use_mem(void);

/* Around building values by hand on one thread, so that one look at the end tells whether any
 * allocation in between failed and something is missing: HONE_ERR_MEMORY then. */
void json_build_begin(void);
hone_status json_build_end(const char *what);

#endif
