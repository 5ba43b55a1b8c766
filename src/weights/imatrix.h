/* Importance data: for each matrix the mean square of the activations that enter each of its
 * columns, by which a quantiser weighs its errors (docs/quantise.md).
 *
 * Reads llama.cpp's files in their present form (GGUF) and in the old one (.dat); writes GGUF.
 * Every length is checked against the bytes that are left. Immutable once parsed. */
#ifndef WEIGHTS_IMATRIX_H
#define WEIGHTS_IMATRIX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "base/strmap.h"

typedef struct imatrix_entry {
    char *name; /* the tensor's, as in GGUF */
    size_t n_columns, n_matrices; /* n_matrices: experts, else 1 */
    float *mean;   /* [n_matrices, n_columns] of x²; finite, ≥ 0; 1 where no token was seen */
    float *counts; /* [n_matrices] tokens */
} imatrix_entry;

typedef struct imatrix {
    imatrix_entry *entries;
    size_t n, n_allocated;
    strmap by_name;
    char *dataset; /* what the file says of its text; "" = nothing */
    uint32_t n_chunks, chunk_size; /* chunk_size 0: not said */
} imatrix;

/* Errors name the file; what is neither form is HONE_ERR_FORMAT. Release after success only. */
hone_status imatrix_open(imatrix *m, const char *path);
/* The same from bytes, which need not outlive the result. */
hone_status imatrix_parse(imatrix *m, const uint8_t *data, size_t size, const char *name);
void imatrix_release(imatrix *m);

/* NULL where there is none of that name. */
const imatrix_entry *imatrix_find(const imatrix *m, const char *name);

/* --- making one --- */
hone_status imatrix_init(imatrix *m, const char *dataset);
/* A new entry with zeros; HONE_ERR_FORMAT where the name is there already. The pointer is valid
 * until the next call. */
hone_status imatrix_add(imatrix *m, const char *name, size_t n_name, size_t n_columns,
                        size_t n_matrices, imatrix_entry **entry);
hone_status imatrix_write(const imatrix *m, const char *path);

#endif
