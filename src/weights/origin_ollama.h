/* Ollama's manifests: the files that a tag in its registry, or in its store on this machine, stands
 * for (the OCI image manifest, with media types of its own). */
#ifndef WEIGHTS_ORIGIN_OLLAMA_H
#define WEIGHTS_ORIGIN_OLLAMA_H

#include "weights/origin.h"

enum { OLLAMA_MAX_MANIFEST_BYTES = 1 << 20 };

/* The host of Ollama's own registry. */
extern const char ollama_registry_host[];

typedef struct ollama_layer {
    char role[16]; /* model, template, params, license, system, messages, adapter, projector */
    char sha256[65];
    uint64_t bytes;
} ollama_layer;

typedef struct ollama_manifest {
    ollama_layer layers[64]; /* of the kinds above; the model's first one comes first */
    size_t n;
} ollama_manifest;

/* Pure: `n` bytes of JSON in. HONE_ERR_FORMAT and HONE_ERR_UNSUPPORTED name `name` and what is
 * wrong; there is a model among the layers of a parsed one. */
hone_status ollama_manifest_parse(ollama_manifest *m, const char *text, size_t n, const char *name);

/* The name in the store of what registry `host` calls repository:tag:
 * ollama.com/library/tinyllama:latest. */
hone_status ollama_model_name(const char *host, const char *repository, const char *tag,
                              model_name *name);

#endif
