/* A GGUF file as a Hugging Face folder: the way back of convert.h (docs/convert.md). */
#ifndef WEIGHTS_EXPORT_H
#define WEIGHTS_EXPORT_H

#include "base/status.h"
#include "weights/recode.h"

typedef struct export_options {
    recode_options recode; /* replace: not for folders, which are never replaced */
    const char *type;      /* "F32", "F16" or "BF16" for all; NULL: floats as in the file, what is
                              quantised as F16 */
    uint64_t shard_bytes;  /* most bytes of tensors in one file; 0 = 5 GB */
} export_options;

typedef struct export_result {
    const char *architecture; /* a constant */
    size_t n_tensors, n_files;
    uint64_t out_bytes; /* of tensors */
    char no_tokenizer[256]; /* why tokenizer.json could not be rebuilt; "" where it was */
} export_result;

/* Writes config.json, the tokenizer's files (where they can be rebuilt) and the weights of the GGUF
 * file `path` (any part of a split one) into `folder`, which must not exist (an empty one may). The
 * folder gets its name when it is complete. Errors: those of source_open and hparams_read;
 * HONE_ERR_UNSUPPORTED for what a folder cannot say, by name; HONE_ERR_ARGUMENT for an unknown type
 * or a folder that is there; HONE_ERR_NUMERIC, HONE_ERR_CANCELLED as convert_folder. */
hone_status export_gguf(const char *path, const char *folder, const export_options *options,
                        export_result *result);

#endif
