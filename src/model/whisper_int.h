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

/* A block of one head's keys (KV_KEYS) or values (KV_VALUES). */
static inline char *whisper_cross_block(const whisper_cross *cross, const whisper *m, size_t layer,
                                        size_t head, int which, size_t block) {
    size_t n_heads = m->h.decoder.n_heads, dim = m->h.decoder.n_embd / n_heads;
    size_t row = (layer * n_heads + head) * 2 + (size_t)which;
    return cross->memory + (row * cross->n_blocks + block) * KV_BLOCK * dim *
                               dtype_get(cross->type)->block_bytes;
}

hone_status whisper_check_cancelled(const whisper_run *run);

#endif
