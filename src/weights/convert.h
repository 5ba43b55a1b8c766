/* A Hugging Face folder as one GGUF file (docs/convert.md). */
#ifndef WEIGHTS_CONVERT_H
#define WEIGHTS_CONVERT_H

#include "base/status.h"
#include "weights/quant_mix.h"
#include "weights/recode.h"

typedef struct convert_result {
    const char *architecture; /* a constant */
    size_t n_tensors;
    uint64_t in_bytes, out_bytes;
} convert_result;

/* Writes the model in `folder` (config.json, tokenizer.json, safetensors in one file or several) to
 * `out`: hyperparameters, rope scaling, tokenizer, chat template and weights. `mix` NULL: matrices
 * keep the folder's type, vectors become F32. The options' adapters are added to the weights. Peak
 * memory is some tens of megabytes and the tokenizer, whatever the model's size; `out` gets its
 * name when it is complete. *result (may be NULL) is filled on success. Errors: those of
 * source_open, hparams_read, tokenizer_spec_from_folder, recode_check_output and gguf_write;
 * HONE_ERR_UNSUPPORTED for what GGUF cannot say and for tensors that have no place in it, by name;
 * HONE_ERR_NUMERIC names the tensor that is not finite; HONE_ERR_CANCELLED. */
hone_status convert_folder(const char *folder, const char *out, const quant_mix *mix,
                           const recode_options *options, convert_result *result);

#endif
