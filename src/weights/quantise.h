/* A GGUF file with its weights in other types. */
#ifndef WEIGHTS_QUANTISE_H
#define WEIGHTS_QUANTISE_H

#include "base/status.h"
#include "weights/quant_mix.h"
#include "weights/recode.h"

typedef struct quantise_result {
    uint64_t in_bytes, out_bytes;
    /* The first quantised type whose weights were quantised again, so that what they lost is lost
     * twice; NULL: none. A constant. */
    const char *lossy_type;
} quantise_result;

/* Writes the GGUF file `in` (any architecture; of a split file, any part) to `out`, the tensors in
 * the types that `mix` names. Keys are copied but for those that this makes untrue: file type and
 * quantisation version are set, the split is undone. `mix` NULL: types stay, which makes sense where
 * the options' adapters are added to the weights. Peak memory is some tens of megabytes,
 * whatever the model's size; `out` gets its name when it is complete. *result (may be NULL) is filled on
 * success. Errors: those of gguf_open, recode_check_output and gguf_write; HONE_ERR_NUMERIC names
 * the tensor that is not finite; HONE_ERR_CANCELLED. */
hone_status quantise_gguf(const char *in, const char *out, const quant_mix *mix,
                          const recode_options *options, quantise_result *result);

#endif
