/* Writing a safetensors file: header first, then the tensors as they are produced. */
#ifndef FORMAT_SAFETENSORS_WRITE_H
#define FORMAT_SAFETENSORS_WRITE_H

#include "base/status.h"
#include "tensor/tensor.h"

/* A tensor to come. `type` is F32, F16 or BF16; ne as in tensor.h, so that the shape in the file is
 * ne reversed. */
typedef struct safetensors_new {
    const char *name;
    dtype type;
    uint32_t n_dims;
    size_t ne[TENSOR_MAX_DIMS];
} safetensors_new;

/* Fills out[bytes] with whole rows of tensor `index`, the first of them `offset` bytes into it. */
typedef hone_status (*safetensors_source)(void *user, size_t index, size_t offset, void *out,
                                          size_t bytes);

/* Writes `path` by way of a temporary file (base/new_file.h), some megabytes at a time. Tensors lie
 * in the order given. HONE_ERR_ARGUMENT for other types and for empty tensors. */
hone_status safetensors_write(const char *path, const safetensors_new *tensors, size_t n,
                              safetensors_source source, void *user);

#endif
