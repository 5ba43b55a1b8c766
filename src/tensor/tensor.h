/* A view of numbers that live elsewhere (a mapped file, a scratch buffer). */
#ifndef TENSOR_TENSOR_H
#define TENSOR_TENSOR_H

#include "tensor/dtype.h"

#define TENSOR_MAX_DIMS 4

/* ne[0] is the contiguous dimension (a weight's inputs), ne[1] its rows (outputs); unused ones are
 * 1. `data` may be unaligned: kernels read it with unaligned loads. */
typedef struct tensor {
    const void *data;
    dtype type;
    uint32_t n_dims;
    size_t ne[TENSOR_MAX_DIMS];
    size_t row_bytes; /* of ne[0] elements */
} tensor;

static inline const void *tensor_row(const tensor *t, size_t row) {
    return (const char *)t->data + row * t->row_bytes;
}

#endif
