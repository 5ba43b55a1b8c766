/* CTranslate2's model.bin, version 6 (docs/formats.md): bytes in, named views out. */
#ifndef FORMAT_CT2_H
#define FORMAT_CT2_H

#include <stdint.h>

#include "format/tensor_table.h"

/* Parses `size` bytes, which must outlive the table, into tensors under the file's own names
 * ("encoder/layer_0/self_attention/linear_0/weight"); aliases are checked and left out. 8-bit
 * weights become floats (value / scale of their row), and their scales are gone. `spec` is the
 * model that the caller can make use of ("WhisperSpec"); another one is HONE_ERR_UNSUPPORTED, by
 * name. `name` stands for the file in errors. */
hone_status ct2_parse(tensor_table **out, const uint8_t *data, size_t size, const char *spec,
                      const char *name);

#endif
