/* The numbers that describe a transformer, from GGUF keys or config.json.
 *
 * Every number is checked against bounds before anything is multiplied or allocated. */
#ifndef MODEL_HPARAMS_H
#define MODEL_HPARAMS_H

#include "model/source.h"

typedef enum rope_scaling { ROPE_PLAIN, ROPE_LINEAR, ROPE_YARN, ROPE_LLAMA3 } rope_scaling;

typedef struct rope_params {
    size_t n_dims;      /* rotated elements of a head, even */
    bool interleaved;   /* pairs (2i, 2i + 1); otherwise (i, i + n_dims / 2) */
    double base;        /* theta */
    rope_scaling scaling;
    double factor, original_context;
    double low_freq_factor, high_freq_factor;         /* llama3 */
    double beta_fast, beta_slow, extrapolation;       /* yarn */
    double attention_factor;                          /* on cos and sin; 0 = by the formula */
    bool round_correction;                            /* yarn: whole-numbered ramp limits */
    const float *divisors; /* rope_freqs.weight[n_dims / 2]: each frequency is divided; or NULL */
} rope_params;

typedef struct hparams {
    const char *architecture; /* "llama", "qwen2": a constant */
    size_t n_layers, n_embd, n_ff, n_heads, n_kv_heads, head_dim, n_vocab, n_context;
    float norm_eps;
    bool qkv_bias;
    rope_params rope;
} hparams;

/* HONE_ERR_UNSUPPORTED names an architecture or a feature that hone does not have;
 * HONE_ERR_FORMAT a key that is missing or out of range. `divisors` points into the source. */
hone_status hparams_read(hparams *h, const model_source *s);

/* Whether converters to GGUF put the rows of q and k into neighbouring pairs (rope.interleaved of
 * such a file). `name` is the architecture's. */
bool hparams_gguf_interleaves(const char *name);

/* The rows of q and k of one head, `head_dim` of them, lie as halves (row i turns with row i +
 * head_dim / 2) or as neighbouring pairs (2i with 2i + 1). The row among halves that is row `row`
 * among pairs, and the way back; rows count through all heads. */
size_t rope_row_among_halves(size_t row, size_t head_dim);
size_t rope_row_among_pairs(size_t row, size_t head_dim);

/* By how much Llama 3's scaling divides the frequency of a pair, rounded as llama.cpp's converter
 * does; counts factor, original_context and the two frequency factors of `rope`. */
float rope_llama3_divisor(const rope_params *rope, float frequency);

/* frequencies[n_dims / 2]: angle of pair i at position t = t · frequencies[i]; *amplitude
 * multiplies cos and sin (docs/formats.md, RoPE scaling). */
void rope_frequencies(const rope_params *rope, float *frequencies, float *amplitude);

#endif
