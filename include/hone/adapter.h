/* Adapters: small changes to a model's weights (LoRA), applied while it computes.
 *
 * An adapter is opened for one model and is immutable; any number of sessions use it, each at its
 * own scale, also several adapters at once and different ones within one step. The model's weights
 * are never touched. `hone merge` writes the sum of both as a file. */
#ifndef HONE_ADAPTER_H
#define HONE_ADAPTER_H

#include "hone/session.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct hone_adapter hone_adapter;

enum { HONE_MAX_ADAPTERS = 16 }; /* of one session */

/* Opens a PEFT folder (adapter_config.json, adapter_model.safetensors) or a GGUF adapter for
 * `model`; `path` may name either, whatever form the model has. Its matrices are copied as floats.
 * HONE_ERR_UNSUPPORTED says why an adapter does not belong to this model (other shapes, a layer
 * that is not there, another architecture), or what it asks for that hone does not do; otherwise as
 * hone_model_open. */
HONE_API hone_status hone_adapter_open(hone_adapter **adapter, const hone_model *model,
                                       const char *path);

/* Sessions that use the adapter keep what they need: it may be closed before them. NULL is
 * allowed. */
HONE_API void hone_adapter_close(hone_adapter *adapter);

typedef struct hone_adapter_info {
    const char *path;     /* as given; belongs to the adapter */
    size_t n_matrices;    /* weights of the model that it changes */
    size_t rank;          /* the largest */
    uint64_t bytes;       /* of memory */
} hone_adapter_info;

HONE_API const hone_adapter_info *hone_adapter_describe(const hone_adapter *adapter);

/* From now on the session computes with W + Σ scales[i] · (what adapters[i] adds to W). `scales`
 * NULL: 1 each. n = 0: the plain model again. Call it before a request to choose per request.
 *
 * What the session has computed so far belongs to its old weights: unless the adapters and scales
 * are the same as before, its tokens are dropped (their number becomes 0). A fork inherits the
 * adapters. Nothing changes on failure: HONE_ERR_ARGUMENT for an adapter of another model, more
 * than HONE_MAX_ADAPTERS, or a scale that is not finite. */
HONE_API hone_status hone_session_set_adapters(hone_session *session,
                                               hone_adapter *const *adapters, const float *scales,
                                               size_t n);

#ifdef __cplusplus
}
#endif
#endif
