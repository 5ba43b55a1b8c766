/* Whisper (Radford et al. 2022, docs/models/whisper.md): an encoder over 30 s of log-mel and a
 * decoder of text that looks at it.
 *
 * Weights are mapped. One window is encoded into a `whisper_cross`, the keys and values that the
 * decoder's layers look at; one decoding pass appends tokens to any number of rows (hypotheses, of
 * one window or of several) and reads the weights once for all. */
#ifndef MODEL_WHISPER_H
#define MODEL_WHISPER_H

#include "model/attention.h"
#include "model/source.h"

enum { WHISPER_MAX_HEADS = 256 }; /* alignment heads in a file */

typedef struct whisper_stack {
    size_t n_layers, n_embd, n_heads, n_ff;
    size_t n_context; /* encoder: positions of a window, half its frames; decoder: tokens */
} whisper_stack;

/* A head whose attention follows the spoken words. */
typedef struct whisper_head {
    uint32_t layer, head;
} whisper_head;

typedef struct whisper_hparams {
    size_t n_mels, n_vocab;
    bool multilingual; /* as the file says; else by the size of the vocabulary */
    whisper_stack encoder, decoder; /* equal n_embd */
    whisper_head heads[WHISPER_MAX_HEADS]; /* ascending; may be none */
    size_t n_heads;
    /* What the file forbids at every step and at the first; NULL: it does not say. */
    int32_t *suppress, *begin_suppress;
    size_t n_suppress, n_begin_suppress;
} whisper_hparams;

/* Whether the source's architecture is "whisper". */
bool whisper_is(const model_source *s);

/* From GGUF keys, or from config.json and generation_config.json. HONE_ERR_FORMAT names what is
 * missing or out of range. */
hone_status whisper_hparams_read(whisper_hparams *h, const model_source *s);
void whisper_hparams_release(whisper_hparams *h);

/* One tensor of the model: a matrix [n_out, n_in], a vector [n_in] where n_out = 0, or a
 * convolution [n_out, n_in, 3] where `is_conv`. */
typedef struct whisper_tensor {
    const char *name; /* "enc.blk.0.attn_q.weight"; valid during the call */
    size_t n_out, n_in;
    bool is_conv;
} whisper_tensor;

/* Calls each() for every tensor that a model of these numbers has; its first failure ends it. */
hone_status whisper_each_tensor(const whisper_hparams *h,
                                hone_status (*each)(void *user, const whisper_tensor *t),
                                void *user);

typedef struct whisper_norm {
    const float *weight, *bias; /* [embd] */
} whisper_norm;

typedef struct whisper_linear {
    tensor w;          /* [out, in]; a convolution's taps are the fastest of its inputs */
    const float *bias; /* [out], or NULL: keys have none */
} whisper_linear;

typedef struct whisper_attention {
    whisper_norm norm;
    whisper_linear q, k, v, out;
} whisper_attention;

typedef struct whisper_layer {
    whisper_attention self, cross; /* cross: of the decoder */
    whisper_norm ffn_norm;
    whisper_linear up, down; /* [ff, embd], [embd, ff] */
} whisper_layer;

typedef struct whisper {
    whisper_hparams h;
    whisper_linear conv1, conv2;   /* [embd, 3 · mels], [embd, 3 · embd] */
    tensor audio_positions;        /* [n_context, embd] */
    whisper_layer *encoder;
    whisper_norm audio_norm;
    tensor embedding;              /* [vocab, embd], also the head */
    tensor text_positions;         /* [n_context, embd] */
    whisper_layer *decoder;
    whisper_norm text_norm;
    float *vectors;                /* owns norms and biases, as floats */
} whisper;

/* Looks up and checks every tensor; copies norms and biases, maps the rest. `s` must outlive it. */
hone_status whisper_open(whisper *m, const model_source *s);
void whisper_release(whisper *m);

/* Buffers of a pass, kept between passes and grown when needed. */
typedef struct whisper_scratch {
    float *memory;
    size_t n_floats;
} whisper_scratch;

void whisper_scratch_release(whisper_scratch *s);

/* What a pass is told beside its data. */
typedef struct whisper_run {
    const whisper *m;
    compute *c;
    whisper_scratch *scratch;
    bool exact;                    /* float arithmetic throughout */
    bool (*cancelled)(void *user); /* asked before each layer */
    void *user;
} whisper_run;

/* --- encoding --- */

/* Keys and values of one encoded window for all layers of the decoder, in blocks as the cache has
 * them (KV_BLOCK in tensor/kernels.h); behind n_context stand zeros. */
typedef struct whisper_cross {
    dtype type;      /* F16, or F32 in the exact mode */
    char *memory;    /* [layers, heads, keys | values, n_blocks] blocks */
    size_t n_bytes;
    size_t n_blocks; /* of KV_BLOCK positions */
} whisper_cross;

/* Encodes one window: mel[n_mels, 2 · n_context] as media/mel.h makes it. `cross` is a zeroed one
 * or one to be overwritten. *audio (may be NULL) = the encoder's output [n_context, embd], valid
 * until the scratch is used again. HONE_ERR_CANCELLED, HONE_ERR_MEMORY. */
hone_status whisper_encode(const whisper_run *run, const float *mel, whisper_cross *cross,
                           const float **audio);
void whisper_cross_release(whisper_cross *cross);

/* --- decoding --- */

/* Self-attention's keys and values of a number of rows, each of up to n_context tokens. */
typedef struct whisper_cache {
    kv_cache *rows;
    size_t n_rows;
} whisper_cache;

hone_status whisper_cache_init(whisper_cache *cache, const whisper *m, bool exact, size_t n_rows);
void whisper_cache_release(whisper_cache *cache);

/* Row `to` becomes a copy of the first n_tokens of row `from`; the pages are shared until one of
 * the two writes. */
hone_status whisper_cache_copy(whisper_cache *cache, size_t to, size_t from, size_t n_tokens);

/* Gives the row's memory back; it may be used again. */
void whisper_cache_clear(whisper_cache *cache, size_t row);

/* One row's new tokens in a pass. */
typedef struct whisper_item {
    size_t row;             /* of the cache */
    size_t position;        /* of the first token; all before it are in the cache */
    const int32_t *tokens;  /* [n_tokens], in range */
    size_t n_tokens;
    const whisper_cross *cross;
} whisper_item;

typedef struct whisper_batch {
    whisper_cache *cache;
    const whisper_item *items; /* of distinct rows; those of one window together */
    size_t n_items;
    const uint32_t *logit_rows; /* [n_logit_rows] tokens of the pass, ascending */
    size_t n_logit_rows;
    float *logits;  /* [n_logit_rows, n_vocab] */
    float *scores;  /* NULL, or [heads of alignment, tokens of the pass,
                     * encoder's n_context]: q·k/√d */
} whisper_batch;

hone_status whisper_decode(const whisper_run *run, const whisper_batch *batch);

#endif
