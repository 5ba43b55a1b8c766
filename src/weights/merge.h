/* Adapters added to weights while these are written: W + Σ scale · B · A, for `hone merge`. */
#ifndef WEIGHTS_MERGE_H
#define WEIGHTS_MERGE_H

#include "model/lora.h"
#include "weights/recode.h"

typedef struct merge {
    lora *adapters[LORA_MAX_SET];
    float factors[LORA_MAX_SET];
    size_t n;
} merge;

/* Opens what the options name, for this base; nothing where they name none. Release m in any case.
 * Errors: those of lora_file_open and lora_open; HONE_ERR_UNSUPPORTED for a base that hone does not
 * run. */
hone_status merge_open(merge *m, const recode_options *options, const model_source *base);
void merge_release(merge *m);

/* What the adapters add to one tensor; outlives the change that it is put into. */
typedef struct merge_sum {
    const lora_module *modules[LORA_MAX_SET];
    float factors[LORA_MAX_SET];
    size_t n;
} merge_sum;

/* Makes `change` add what the adapters add to the tensor that GGUF calls `name`; leaves it alone
 * where they add nothing. */
void merge_into(const merge *m, const char *name, merge_sum *sum, recode_change *change);

#endif
