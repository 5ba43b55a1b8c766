/* What /api/tags, /api/show and /api/ps say of a model: family, size, quantisation, metadata. */
#ifndef SERVE_OLLAMA_DETAILS_H
#define SERVE_OLLAMA_DETAILS_H

#include "base/json.h"
#include "serve/models.h"

/* {format, family, families, parameter_size, quantization_level, parent_model} from the file's
 * head; what cannot be read is "". Remembers what it has read, by path, size and time. */
json_t *ollama_details(const char *path);

/* The GGUF file's keys as an object: arrays longer than a few elements are null unless `verbose`,
 * and never longer than a million in all. For a folder, what the configuration says. */
hone_status ollama_model_info(const char *path, bool verbose, json_t **info);

/* [{name, type, shape}] */
hone_status ollama_tensors(const char *path, json_t **list);

#endif
