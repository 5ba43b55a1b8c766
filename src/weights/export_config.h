/* config.json of a model that came from a GGUF file. */
#ifndef WEIGHTS_EXPORT_CONFIG_H
#define WEIGHTS_EXPORT_CONFIG_H

#include "base/json.h"
#include "format/tokenizer_spec.h"
#include "model/hparams.h"

/* What transformers reads: sizes, norm, rotation, special ids. `torch_dtype` is its word for the
 * weights' type. *out is for the caller to json_decref. HONE_ERR_UNSUPPORTED for a rotation that
 * config.json has no words for. */
hone_status export_config(json_t **out, const hparams *h, const tokenizer_spec *spec,
                          bool tied_head, const char *torch_dtype, const char *path);

#endif
