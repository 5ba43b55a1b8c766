/* Named tensors of a file whose format has little else to say, and the memory that they lie in.
 *
 * Parsers fill one; from then on it is immutable, and threads may share it. */
#ifndef FORMAT_TENSOR_TABLE_H
#define FORMAT_TENSOR_TABLE_H

#include <stdbool.h>

#include "base/file_map.h"
#include "base/status.h"
#include "tensor/tensor.h"

enum { TENSOR_TABLE_MAX = 65536, TENSOR_TABLE_MAX_NAME = 255 };

typedef struct named_tensor {
    const char *name; /* NUL-terminated, the table's own */
    tensor view;
    size_t bytes;
} named_tensor;

typedef struct tensor_table tensor_table;

hone_status tensor_table_open(tensor_table **out);
void tensor_table_close(tensor_table *t); /* NULL is allowed */

/* Copies the name. HONE_ERR_FORMAT for a second one of that name, a name or a number of tensors
 * beyond the limits, and for shapes of which the bytes are no whole number of rows. */
hone_status tensor_table_add(tensor_table *t, const char *name, const tensor *view);

/* Keeps what views point into until the table closes: memory (also freed when this fails), and one
 * file. */
hone_status tensor_table_keep(tensor_table *t, void *memory);
void tensor_table_keep_map(tensor_table *t, const file_map *map);
hone_status tensor_table_take_in(tensor_table *t); /* file_map_take_in */
const file_map *tensor_table_map(const tensor_table *t);

const named_tensor *tensor_table_find(const tensor_table *t, const char *name); /* or NULL */
size_t tensor_table_count(const tensor_table *t);
const named_tensor *tensor_table_at(const tensor_table *t, size_t i);

/* --- for parsers --- */

/* Fills a view's type and shape from sizes in PyTorch's order, slowest first, and *bytes with what
 * its data takes; view->data is the caller's business. HONE_ERR_FORMAT where that is too much, or
 * rows are no whole number of blocks; HONE_ERR_UNSUPPORTED for more than TENSOR_MAX_DIMS sizes. */
hone_status tensor_view_init(tensor *view, dtype type, const size_t *sizes, size_t n_sizes,
                             size_t *bytes);

#endif
