/* Which types the tensors of a model have, class by class: all "blk.<n>.attn_q.weight" are of the
 * class "attn_q". */
#ifndef CLI_TENSOR_CLASSES_H
#define CLI_TENSOR_CLASSES_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include "cli/output.h"
#include "hone/hone.h"

typedef struct tensor_class {
    char name[64], type[16];
    size_t n_tensors;
    uint64_t n_bytes;
} tensor_class;

typedef struct tensor_classes {
    tensor_class rows[256]; /* in the order of the file; a class has a row for each of its types */
    size_t n;
} tensor_classes;

void tensor_classes_count(tensor_classes *classes, const hone_model *model);

/* Rows "class  type  n tensors  bytes" for a table of two columns, the first row with `title`. */
void tensor_classes_print(const tensor_classes *classes, cli_table *table, const char *title);

/* [{"class", "type", "tensors", "bytes"}], or NULL. */
json_t *tensor_classes_json(const tensor_classes *classes);

#endif
