/* The llama family of decoders (Touvron et al. 2023): RMSNorm, rotary positions, grouped-query
 * attention, SwiGLU. Also Qwen2, which adds biases to the query, key and value projections
 * (docs/models/llama.md, docs/models/qwen2.md). */
#ifndef MODEL_LLAMA_H
#define MODEL_LLAMA_H

#include "model/attention.h"
#include "model/hparams.h"
#include "model/lora.h"

/* One layer's weights; matrices [out, in]. */
typedef struct llama_layer {
    tensor q, k, v;         /* [heads · head_dim, embd], [kv_heads · head_dim, embd] twice */
    tensor attn_out;        /* [embd, heads · head_dim] */
    tensor gate, up, down;  /* [ff, embd], [ff, embd], [embd, ff] */
    const float *attn_norm, *ffn_norm;                /* [embd] */
    const float *q_bias, *k_bias, *v_bias;            /* as many as rows, or NULL */
} llama_layer;

typedef struct llama {
    hparams h;
    tensor embedding, output; /* [vocab, embd]; the same view where the head is tied */
    const float *output_norm; /* [embd] */
    llama_layer *layers;
    float *vectors;           /* owns norms and biases, as floats */
    float *rope_frequencies, rope_amplitude;
} llama;

/* Looks up and checks every tensor; copies norms and biases, maps the rest. `s` must outlive it. */
hone_status llama_open(llama *m, const model_source *s);
void llama_release(llama *m);

/* The i-th matrix, NULL behind the last: for who looks at a model's matrices, or tries others of
 * the same shape in their place. A tied head comes twice, with the same data. */
tensor *llama_matrix(llama *m, size_t i);

/* One pass over the weights for the new tokens of several sessions. */
typedef struct llama_batch {
    const int32_t *tokens; /* [n_tokens], in range */
    size_t n_tokens;
    const kv_segment *segments; /* cover the tokens in order; caches have room */
    size_t n_segments;
    float *const *states;       /* [n_segments] each NULL, or takes the final norm's outputs of the
                                 * segment, [its n_tokens, n_embd]; NULL: of none */
    const lora_group *adapters; /* [n_adapters] runs of tokens with adapters */
    size_t n_adapters;
    bool exact;                 /* float activations in every product */
    const uint32_t *logit_rows; /* [n_logit_rows] tokens whose logits are wanted, ascending */
    size_t n_logit_rows;
    float *logits;              /* [n_logit_rows, n_vocab] */
    bool (*cancelled)(void *user); /* asked before each layer */
    void *user;
} llama_batch;

/* Buffers of a pass, kept between passes and grown when needed. */
typedef struct llama_scratch {
    float *memory;
    size_t n_floats;
} llama_scratch;

void llama_scratch_release(llama_scratch *s);

/* Memory for norms, biases and the list of layers. */
size_t llama_vector_bytes(const llama *m);

/* What llama_forward takes for the tokens of one segment, whose cache needs its layout alone:
 * *scratch bytes of the scratch that are touched, and *per_thread of the threads'. `in_floats`: a
 * pass in the exact mode or with adapters. */
void llama_forward_bytes(const llama *m, const compute *c, const kv_segment *segment,
                         bool in_floats, size_t *scratch, size_t *per_thread);

hone_status llama_forward(const llama *m, compute *c, llama_scratch *scratch,
                          const llama_batch *batch);

#endif
