/* safetensors: tensors of a Hugging Face folder, in one file or several (docs/formats.md).
 *
 * Same rules as gguf.h: `safetensors_parse` is pure and fuzzed, the result is immutable, names are
 * owned by it. */
#ifndef FORMAT_SAFETENSORS_H
#define FORMAT_SAFETENSORS_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "tensor/tensor.h"

typedef struct safetensors_entry {
    const char *name; /* NUL-terminated */
    const char *dtype_name; /* "BF16", "F8_E4M3", … as in the file */
    /* shape in PyTorch's order is ne reversed: [out, in] has ne[0] = in, ne[1] = out. A scalar has
     * n_dims 0. view.type is -1 cast to dtype where hone has no such type (read dtype_name). */
    tensor view;
    size_t bytes;
} safetensors_entry;

typedef struct safetensors safetensors;

/* `path`: a .safetensors file, or a folder with model.safetensors or with
 * model.safetensors.index.json and its parts. */
hone_status safetensors_open(safetensors **out, const char *path);
hone_status safetensors_parse(safetensors **out, const uint8_t *data, size_t size,
                              const char *name);
void safetensors_close(safetensors *st);

size_t safetensors_count(const safetensors *st);
const safetensors_entry *safetensors_at(const safetensors *st, size_t i);
const safetensors_entry *safetensors_find(const safetensors *st, const char *name); /* or NULL */
size_t safetensors_file_bytes(const safetensors *st);
hone_status safetensors_take_in(safetensors *st);    /* file_map_take_in for all files */
void safetensors_forget(const safetensors *st); /* file_map_forget for all files */

/* A key of "__metadata__", or NULL. */
const char *safetensors_metadata(const safetensors *st, const char *key);

#endif
