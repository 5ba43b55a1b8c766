/* Folders of the llama family (model/llama.h): llama and qwen2. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "model/hparams.h"
#include "weights/convert_int.h"

typedef struct llama_own {
    hparams h;
    tokenizer_spec spec;
    float *rope_divisors; /* [h.rope.n_dims / 2], or NULL */
} llama_own;

static hone_status open_llama(convert_job *j) {
    tensor found;
    llama_own *own = j->own = mem_calloc(1, sizeof *own);
    if (!own) return mem_fail("conversion", sizeof *own);
    TRY(hparams_read(&own->h, &j->source));
    const hparams *h = &own->h;
    j->architecture = h->architecture;
    j->shape = (quant_mix_model){.n_layers = h->n_layers, .n_heads = h->n_heads,
                                 .n_kv_heads = h->n_kv_heads,
                                 .has_output = source_find(&j->source, "token_embd.weight",
                                                           &found) &&
                                               source_find(&j->source, "output.weight", &found)};
    return tokenizer_spec_from_folder(&own->spec, j->folder);
}

static void release_llama(convert_job *j) {
    llama_own *own = j->own;
    if (!own) return;
    mem_free(own->rope_divisors);
    tokenizer_spec_release(&own->spec);
    mem_free(own);
}

/* --- tensors --- */

static hone_status add_layer(convert_job *j, const hparams *h, size_t layer) {
    size_t q = h->n_heads * h->head_dim, kv = h->n_kv_heads * h->head_dim;
    /* llama's rotation takes neighbours in GGUF, halves in the folder */
    size_t head = hparams_gguf_interleaves(h->architecture) ? h->head_dim : 0;
    const struct {
        const char *name;
        size_t n_out, n_in, pairs_of_head;
        bool is_bias;
    } parts[] = {
        {"attn_norm.weight", 0, h->n_embd, 0, false},
        {"attn_q.weight", q, h->n_embd, head, false},
        {"attn_q.bias", 0, q, 0, true},
        {"attn_k.weight", kv, h->n_embd, head, false},
        {"attn_k.bias", 0, kv, 0, true},
        {"attn_v.weight", kv, h->n_embd, 0, false},
        {"attn_v.bias", 0, kv, 0, true},
        {"attn_output.weight", h->n_embd, q, 0, false},
        {"ffn_norm.weight", 0, h->n_embd, 0, false},
        {"ffn_gate.weight", h->n_ff, h->n_embd, 0, false},
        {"ffn_up.weight", h->n_ff, h->n_embd, 0, false},
        {"ffn_down.weight", h->n_embd, h->n_ff, 0, false},
    };
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        char name[64];
        if (parts[i].is_bias && !h->qkv_bias) continue;
        snprintf(name, sizeof name, "blk.%zu.%s", layer, parts[i].name);
        TRY(convert_add_named(j, name, parts[i].n_out, parts[i].n_in, parts[i].pairs_of_head));
    }
    return HONE_OK;
}

/* A tied head is stored once, under either name; GGUF's readers want it as the embedding. */
static hone_status add_ends(convert_job *j, const hparams *h) {
    tensor found;
    bool has_embedding = source_find(&j->source, "token_embd.weight", &found);
    bool has_output = source_find(&j->source, "output.weight", &found);
    if (has_embedding || !has_output) {
        TRY(convert_add_named(j, "token_embd.weight", h->n_vocab, h->n_embd, 0));
    } else {
        TRY(source_tensor(&j->source, "output.weight", h->n_vocab, h->n_embd, &found));
        TRY(convert_add(j, "token_embd.weight", &found, 0));
        has_output = false;
    }
    TRY(convert_add_named(j, "output_norm.weight", 0, h->n_embd, 0));
    return has_output ? convert_add_named(j, "output.weight", h->n_vocab, h->n_embd, 0)
                      : HONE_OK;
}

/* GGUF has no key for Llama 3's scaling: the divisor of each frequency is a tensor. */
static hone_status add_rope_divisors(convert_job *j, llama_own *own) {
    rope_params rope = own->h.rope;
    if (rope.scaling != ROPE_LLAMA3) return HONE_OK;
    size_t n = rope.n_dims / 2;
    float *divisors = mem_calloc(n, sizeof *divisors), amplitude;
    if (!divisors) return mem_fail("rope frequencies", n * sizeof *divisors);
    own->rope_divisors = divisors;
    rope.scaling = ROPE_PLAIN;
    rope_frequencies(&rope, divisors, &amplitude);
    for (size_t i = 0; i < n; i++) divisors[i] = rope_llama3_divisor(&rope, divisors[i]);
    return convert_add(j, "rope_freqs.weight",
        &(tensor){.data = divisors, .type = DTYPE_F32, .n_dims = 1, .ne = {n, 1, 1, 1},
                  .row_bytes = n * sizeof *divisors}, 0);
}

static hone_status plan_llama(convert_job *j) {
    llama_own *own = j->own;
    TRY(add_ends(j, &own->h));
    for (size_t i = 0; i < own->h.n_layers; i++) TRY(add_layer(j, &own->h, i));
    return add_rope_divisors(j, own);
}

/* Tables of frequencies, which some old folders hold, follow from the hyperparameters. */
static bool is_frequency_table(const char *name) {
    return strstr(name, "rotary_emb.inv_freq") != NULL;
}

/* --- keys --- */

static hone_status put_sizes(convert_job *j, const hparams *h) {
    const struct {
        const char *key;
        size_t value;
    } sizes[] = {
        {"block_count", h->n_layers},          {"context_length", h->n_context},
        {"embedding_length", h->n_embd},       {"feed_forward_length", h->n_ff},
        {"attention.head_count", h->n_heads},  {"attention.head_count_kv", h->n_kv_heads},
        {"attention.key_length", h->head_dim}, {"attention.value_length", h->head_dim},
        {"vocab_size", h->n_vocab},            {"rope.dimension_count", h->rope.n_dims},
    };
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        TRY(convert_put_count(j, sizes[i].key, sizes[i].value));
    return convert_put_real(j, "attention.layer_norm_rms_epsilon", (double)h->norm_eps);
}

/* YaRN's factor on cos and sin; a GGUF file states it relative to the formula's. */
static hone_status put_attention_factor(convert_job *j, const rope_params *rope) {
    double formula = rope->factor > 1 ? 0.1 * log(rope->factor) + 1 : 1;
    if (rope->attention_factor == 0 || fabs(rope->attention_factor / formula - 1) < 1e-6)
        return HONE_OK;
    return convert_put_real(j, "rope.scaling.attn_factor", rope->attention_factor / formula);
}

static hone_status put_rope(convert_job *j, const rope_params *rope) {
    TRY(convert_put_real(j, "rope.freq_base", rope->base));
    bool yarn = rope->scaling == ROPE_YARN;
    if (!rope->round_correction || (!yarn && rope->attention_factor > 0))
        return fail(HONE_ERR_UNSUPPORTED, "%s/config.json: GGUF cannot say \"%s\" of rope_scaling",
                    j->folder, yarn ? "truncate" : "attention_factor");
    if (!yarn && rope->scaling != ROPE_LINEAR) return HONE_OK;
    TRY(convert_put_text(j, "rope.scaling.type", yarn ? "yarn" : "linear"));
    TRY(convert_put_real(j, "rope.scaling.factor", rope->factor));
    if (!yarn) return HONE_OK;
    TRY(convert_put_count(j, "rope.scaling.original_context_length",
                          (size_t)rope->original_context));
    TRY(convert_put_real(j, "rope.scaling.yarn_beta_fast", rope->beta_fast));
    TRY(convert_put_real(j, "rope.scaling.yarn_beta_slow", rope->beta_slow));
    return put_attention_factor(j, rope);
}

static hone_status put_llama_keys(convert_job *j) {
    const llama_own *own = j->own;
    TRY(put_sizes(j, &own->h));
    return put_rope(j, &own->h.rope);
}

static hone_status put_llama_tokenizer(convert_job *j) {
    const llama_own *own = j->own;
    return tokenizer_spec_to_gguf(j->writer, &own->spec, own->h.n_vocab, j->folder);
}

const convert_family convert_llama = {
    .model_types = (const char *const[]){"llama", "qwen2", NULL},
    .open = open_llama,
    .plan = plan_llama,
    .put_keys = put_llama_keys,
    .put_tokenizer = put_llama_tokenizer,
    .release = release_llama,
    .is_redundant = is_frequency_table,
};
