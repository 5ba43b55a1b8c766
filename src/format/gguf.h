/* GGUF versions 2 and 3: metadata and tensors of a model file (docs/formats.md).
 *
 * `gguf_parse` is pure: bytes in, views out; every length is checked against the bytes that are
 * left, and no allocation is larger than the file justifies. `gguf_open` maps a file (and, for
 * split files, its siblings) and parses it. A parsed file is immutable and may be shared by
 * threads. Strings in it are not NUL-terminated: they are views into the mapping. */
#ifndef FORMAT_GGUF_H
#define FORMAT_GGUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/status.h"
#include "tensor/tensor.h"

typedef enum gguf_type {
    GGUF_U8 = 0, GGUF_I8 = 1, GGUF_U16 = 2, GGUF_I16 = 3, GGUF_U32 = 4, GGUF_I32 = 5,
    GGUF_F32 = 6, GGUF_BOOL = 7, GGUF_STRING = 8, GGUF_ARRAY = 9, GGUF_U64 = 10, GGUF_I64 = 11,
    GGUF_F64 = 12
} gguf_type;

typedef struct gguf_string {
    const char *data; /* not NUL-terminated */
    size_t n;
} gguf_string;

/* A key and its value, still as bytes of the file. For arrays `type` is GGUF_ARRAY, `element` the
 * elements' type and `count` their number; for scalars element = type and count = 1. */
typedef struct gguf_kv {
    gguf_string key;
    gguf_type type, element;
    size_t count;
    const uint8_t *data; /* first element */
    size_t bytes;        /* of all elements, string lengths included */
} gguf_kv;

typedef struct gguf_tensor {
    gguf_string name;
    tensor view;
    size_t bytes;
    uint32_t file; /* which part of a split file */
} gguf_tensor;

typedef struct gguf gguf;

/* Opens the file at `path`; of a split file, any part's path opens all of them, and the keys are
 * the first part's. Errors name the file, the key or tensor, what was expected and what was found.
 * A tensor of a type that hone knows by name but cannot read (IQ2_XXS, MXFP4, …) is
 * HONE_ERR_UNSUPPORTED. */
hone_status gguf_open(gguf **out, const char *path);

/* Parses one file's bytes, which must outlive the result. `name` stands for the file in errors.
 * With `with_data` false tensors may lie outside the bytes (their `view.data` is NULL): for files
 * of which only the head is at hand. Types that hone cannot read (dtype_traits.block_bytes is 0)
 * pass: look before use. */
hone_status gguf_parse(gguf **out, const uint8_t *data, size_t size, const char *name,
                       bool with_data);
void gguf_close(gguf *file);

/* All keys and tensors in file order. Unknown keys are kept like all others. */
size_t gguf_n_kv(const gguf *file);
const gguf_kv *gguf_kv_at(const gguf *file, size_t i);
size_t gguf_n_tensors(const gguf *file);
const gguf_tensor *gguf_tensor_at(const gguf *file, size_t i);

uint32_t gguf_version(const gguf *file);
/* Bytes of all parts. */
size_t gguf_file_bytes(const gguf *file);
/* file_map_take_in for all parts. */
hone_status gguf_take_in(gguf *file);

/* file_map_forget for all parts. */
void gguf_forget(const gguf *file);

/* NULL where there is none of that name. */
const gguf_kv *gguf_find(const gguf *file, const char *key);
const gguf_tensor *gguf_find_tensor(const gguf *file, const char *name);

/* Scalars in any width: false (and *value untouched) where the key is missing or its type does not
 * fit: integers take any integer type whose value is representable, floats any number. */
bool gguf_get_u64(const gguf *file, const char *key, uint64_t *value);
bool gguf_get_f64(const gguf *file, const char *key, double *value);
bool gguf_get_bool(const gguf *file, const char *key, bool *value);
bool gguf_get_string(const gguf *file, const char *key, gguf_string *value);

/* Element i of an array (or i = 0 of a scalar), converted as above. */
bool gguf_element_u64(const gguf_kv *kv, size_t i, uint64_t *value);
bool gguf_element_f64(const gguf_kv *kv, size_t i, double *value);

/* Walks an array of strings: *cursor starts at 0 and is advanced; false at the end. Lengths were
 * checked by the parser. */
bool gguf_next_string(const gguf_kv *kv, size_t *cursor, gguf_string *value);

/* --- writing --- */

/* Collects metadata and tensor descriptions, then streams the file, both in the order of the calls.
 * Names and values are copied. Names that the reader would refuse, and second ones, are refused
 * here. A writer whose call failed can only be closed. */
typedef struct gguf_writer gguf_writer;

hone_status gguf_writer_open(gguf_writer **out);
void gguf_writer_close(gguf_writer *w);
hone_status gguf_put_u32(gguf_writer *w, const char *key, uint32_t value);
hone_status gguf_put_u64(gguf_writer *w, const char *key, uint64_t value);
hone_status gguf_put_i32(gguf_writer *w, const char *key, int32_t value);
hone_status gguf_put_f32(gguf_writer *w, const char *key, float value);
hone_status gguf_put_bool(gguf_writer *w, const char *key, bool value);
hone_status gguf_put_string(gguf_writer *w, const char *key, const char *text, size_t n);
hone_status gguf_put_strings(gguf_writer *w, const char *key, const gguf_string *texts, size_t n);
/* element is a fixed-width type; data holds n of them */
hone_status gguf_put_array(gguf_writer *w, const char *key, gguf_type element, const void *data,
                           size_t n);
/* Any key of another file, byte for byte. general.alignment, put by this or by gguf_put_u32, is
 * obeyed; without it tensors begin at multiples of 32. */
hone_status gguf_put_copy(gguf_writer *w, const gguf_kv *kv);
/* Gives some bytes of a tensor when their turn comes: fills out[bytes], which are whole rows, the
 * first of them `offset` bytes into the tensor. */
typedef hone_status (*gguf_tensor_source)(void *user, size_t index, size_t offset, void *out,
                                          size_t bytes);
hone_status gguf_put_tensor(gguf_writer *w, const char *name, dtype type, const size_t *ne,
                            uint32_t n_dims);
/* Writes `path` by way of a temporary file in the same folder, so that an interruption leaves no
 * half file (base/new_file.h). Tensors are produced in order, a few megabytes (or one row) at a
 * time; a source's failure ends the writing and is passed on. */
hone_status gguf_write(gguf_writer *w, const char *path, gguf_tensor_source source, void *user);

/* Writes the head of a file again that gguf_write has written from the same tensors and keys, whose
 * values may be others of the same size: for what is known only when the data are there.
 * HONE_ERR_ARGUMENT where the sizes differ. The caller sees to it that nobody reads meanwhile. */
hone_status gguf_write_head(gguf_writer *w, const char *path);

#endif
