/* Filling in between a prompt and a suffix, in the forms that models were trained on (Bavarian et
 * al. 2022): the prefix, the suffix, and what belongs between them behind marks of the vocabulary.
 * */
#ifndef SERVE_OLLAMA_SUFFIX_H
#define SERVE_OLLAMA_SUFFIX_H

#include "hone/model.h"

/* *ids is freed with hone_free. HONE_ERR_ARGUMENT: the model has no such marks. */
hone_status ollama_tokenize_suffix(const hone_model *model, const char *prompt, const char *suffix,
                                   int32_t **ids, size_t *n_ids);
bool ollama_takes_suffix(const hone_model *model);

#endif
