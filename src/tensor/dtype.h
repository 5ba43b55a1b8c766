/* The element types of weights: names and sizes, no functions that touch data.
 *
 * Numbers are ggml's type ids, so that a GGUF file's value is the enum's. A row of a block type is
 * a whole number of blocks. Layouts: docs/formats.md. */
#ifndef TENSOR_DTYPE_H
#define TENSOR_DTYPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum dtype {
    DTYPE_F32 = 0,
    DTYPE_F16 = 1,
    DTYPE_Q4_0 = 2,
    DTYPE_Q4_1 = 3,
    DTYPE_Q5_0 = 6,
    DTYPE_Q5_1 = 7,
    DTYPE_Q8_0 = 8,
    DTYPE_Q2_K = 10,
    DTYPE_Q3_K = 11,
    DTYPE_Q4_K = 12,
    DTYPE_Q5_K = 13,
    DTYPE_Q6_K = 14,
    DTYPE_IQ4_NL = 20,
    DTYPE_IQ4_XS = 23,
    DTYPE_I8 = 24,
    DTYPE_I16 = 25,
    DTYPE_I32 = 26,
    DTYPE_I64 = 27,
    DTYPE_F64 = 28,
    DTYPE_BF16 = 30,
    DTYPE_LIMIT = 43 /* ids from here on are unknown */
} dtype;

typedef struct dtype_traits {
    const char *name;     /* as ggml spells it, "Q4_K"; NULL for ids that are no type */
    uint16_t block;       /* elements in a block */
    uint16_t block_bytes; /* 0 for types that hone knows by name but cannot read */
    bool is_weight;       /* has a row decoder (tensor/quant.h) */
    uint16_t skip_bytes;  /* where block_bytes is 0: a block's size in files, to step over it */
} dtype_traits;

/* Never NULL; an unknown id gives a row whose name is NULL. */
const dtype_traits *dtype_get(uint32_t id);

/* The type with that name (any case), or -1. */
int dtype_by_name(const char *name);

/* Bytes of `n` elements; false unless `n` is a whole number of blocks and the size fits. */
bool dtype_row_bytes(dtype type, size_t n, size_t *bytes);

#endif
