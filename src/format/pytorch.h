/* PyTorch's checkpoints (torch.save since 1.6): a ZIP archive of a pickle and raw storages
 * (docs/formats.md). Bytes in, views out; nothing in the file is executed (format/pickle.h). */
#ifndef FORMAT_PYTORCH_H
#define FORMAT_PYTORCH_H

#include "format/pickle.h"
#include "format/tensor_table.h"

typedef struct pytorch_file {
    pickle *pickle;         /* its root is what was saved */
    tensor_table *tensors;  /* those of the dictionary that was asked for */
} pytorch_file;

/* Whether the bytes begin like a ZIP archive. */
bool pytorch_is(const uint8_t *data, size_t size);

/* Parses `size` bytes, which must outlive the result. Tensors are looked for in the member
 * `tensors_key` of the saved dictionary. Contiguous tensors are views, others (a transposed matrix)
 * are copied in order. HONE_ERR_UNSUPPORTED for older forms and whatever pickle_parse refuses;
 * HONE_ERR_FORMAT for damage, wrong checksums included. */
hone_status pytorch_parse(pytorch_file *out, const uint8_t *data, size_t size,
                          const char *tensors_key, const char *name);
void pytorch_release(pytorch_file *f);

#endif
