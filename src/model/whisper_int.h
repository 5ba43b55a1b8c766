/* What the encoder's and the decoder's passes share. */
#ifndef MODEL_WHISPER_INT_H
#define MODEL_WHISPER_INT_H

#include "model/whisper.h"

#define WHISPER_NORM_EPS 1e-5f

/* An array of a pass: where its pointer goes and how long it is. */
typedef struct whisper_array {
    void *where;
    size_t n_floats;
} whisper_array;

/* Cuts the scratch memory into arrays, each on a cache line of its own. What was there is lost only
 * when the memory has to grow. */
hone_status whisper_lay_out(whisper_scratch *s, const whisper_array *arrays, size_t n);

/* Floats behind the 8-bit form of n_tokens rows of the widest input of a stack. */
size_t whisper_quantised_floats(const whisper_stack *stack, size_t n_tokens);

/* Scratch of a thread for the products of a stack's layers, n_tokens at once. */
size_t whisper_product_scratch(const whisper_layer *layers, size_t n_layers, size_t n_tokens);

/* One head's keys [n_context, dim] and values turned, [dim, n_columns]. */
static inline char *whisper_cross_keys(const whisper_cross *cross, const whisper *m, size_t layer,
                                       size_t head) {
    size_t n_heads = m->h.decoder.n_heads, dim = m->h.decoder.n_embd / n_heads;
    return cross->memory + (layer * n_heads + head) * dim *
                               (m->h.encoder.n_context + cross->n_columns) *
                               dtype_get(cross->type)->block_bytes;
}

static inline char *whisper_cross_values(const whisper_cross *cross, const whisper *m,
                                         size_t layer, size_t head) {
    size_t dim = m->h.decoder.n_embd / m->h.decoder.n_heads;
    return whisper_cross_keys(cross, m, layer, head) +
           m->h.encoder.n_context * dim * dtype_get(cross->type)->block_bytes;
}

hone_status whisper_check_cancelled(const whisper_run *run);

#endif
