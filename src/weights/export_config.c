#include "weights/export_config.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

/* A number that a GGUF file holds as a float, with the digits that somebody wrote: 1e-05. */
static double written(double value) {
    char text[32];
    for (int digits = 1; digits < 9; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, value);
        if (strtof(text, NULL) == (float)value) return strtod(text, NULL);
    }
    return value;
}

/* --- rotation --- */

static bool is_llama3(const rope_params *rope, const rope_params *guess) {
    rope_params plain = *rope;
    float frequencies[2048], amplitude;
    plain.scaling = ROPE_PLAIN;
    plain.divisors = NULL;
    rope_frequencies(&plain, frequencies, &amplitude);
    for (size_t i = 0; i < rope->n_dims / 2; i++) {
        float want = rope_llama3_divisor(guess, frequencies[i]);
        if (fabsf(rope->divisors[i] / want - 1) > 1e-5f) return false;
    }
    return true;
}

/* rope_freqs.weight is Llama 3's scaling where some original context explains every divisor; the
 * other two numbers are 1 and 4 in every model there is. */
static hone_status llama3_scaling(json_t **out, const hparams *h, const char *path) {
    const rope_params *rope = &h->rope;
    rope_params guess = {.scaling = ROPE_LLAMA3, .factor = 1, .low_freq_factor = 1,
                         .high_freq_factor = 4};
    for (size_t i = 0; i < rope->n_dims / 2; i++)
        if (rope->divisors[i] > guess.factor) guess.factor = (double)rope->divisors[i];
    guess.factor = written(guess.factor);
    for (guess.original_context = 16; guess.original_context < 1 << 24;
         guess.original_context *= 2) {
        if (!is_llama3(rope, &guess)) continue;
        *out = json_pack("{s:s, s:f, s:f, s:f, s:I}", "rope_type", "llama3", "factor",
                         guess.factor, "low_freq_factor", 1.0, "high_freq_factor", 4.0,
                         "original_max_position_embeddings", (json_int_t)guess.original_context);
        return *out ? HONE_OK : mem_fail("config.json", 0);
    }
    return fail(HONE_ERR_UNSUPPORTED, "%s: rope_freqs.weight is no scaling that config.json has "
                "words for", path);
}

static hone_status yarn_scaling(json_t **out, const rope_params *rope, const char *path) {
    if (rope->extrapolation != 1)
        return fail(HONE_ERR_UNSUPPORTED, "%s: config.json has no word for yarn_ext_factor", path);
    *out = json_pack("{s:s, s:f, s:I, s:f, s:f}", "rope_type", "yarn", "factor",
                     written(rope->factor), "original_max_position_embeddings",
                     (json_int_t)rope->original_context, "beta_fast", written(rope->beta_fast),
                     "beta_slow", written(rope->beta_slow));
    if (*out && rope->attention_factor > 0)
        json_object_set_new(*out, "attention_factor", json_real(rope->attention_factor));
    return *out ? HONE_OK : mem_fail("config.json", 0);
}

static hone_status make_scaling(json_t **out, const hparams *h, const char *path) {
    const rope_params *rope = &h->rope;
    if (rope->n_dims != h->head_dim)
        return fail(HONE_ERR_UNSUPPORTED, "%s: config.json cannot say that %zu of %zu elements of "
                    "a head turn", path, rope->n_dims, h->head_dim);
    if (rope->divisors && rope->scaling != ROPE_PLAIN)
        return fail(HONE_ERR_UNSUPPORTED, "%s: rope_freqs.weight beside another scaling", path);
    if (rope->divisors) return llama3_scaling(out, h, path);
    if (rope->scaling == ROPE_YARN) return yarn_scaling(out, rope, path);
    *out = rope->scaling == ROPE_LINEAR ? json_pack("{s:s, s:f}", "rope_type", "linear", "factor",
                                                    written(rope->factor))
                                        : json_null();
    return *out ? HONE_OK : mem_fail("config.json", 0);
}

/* --- all of it --- */

static json_t *make_ids(const tokenizer_spec *spec) {
    if (spec->n_stops == 1) return json_integer(spec->stops[0]);
    json_t *list = json_array();
    for (size_t i = 0; i < spec->n_stops; i++)
        json_array_append_new(list, json_integer(spec->stops[i]));
    return list;
}

hone_status export_config(json_t **out, const hparams *h, const tokenizer_spec *spec,
                          bool tied_head, const char *torch_dtype, const char *path) {
    bool qwen2 = strcmp(h->architecture, "qwen2") == 0;
    json_t *scaling;
    json_use_mem();
    TRY(make_scaling(&scaling, h, path));
    json_t *config = json_pack(
        "{s:[s], s:s, s:s, s:s, s:b, s:f, s:f, s:o}", "architectures",
        qwen2 ? "Qwen2ForCausalLM" : "LlamaForCausalLM", "model_type", h->architecture,
        "hidden_act", "silu", "torch_dtype", torch_dtype, "tie_word_embeddings", tied_head,
        "rms_norm_eps", written((double)h->norm_eps), "rope_theta", written(h->rope.base),
        "rope_scaling", scaling);
    if (!config) return mem_fail("config.json", 0);
    const struct {
        const char *key;
        size_t value;
    } sizes[] = {
        {"hidden_size", h->n_embd},          {"intermediate_size", h->n_ff},
        {"num_hidden_layers", h->n_layers},  {"num_attention_heads", h->n_heads},
        {"num_key_value_heads", h->n_kv_heads}, {"head_dim", h->head_dim},
        {"vocab_size", h->n_vocab},          {"max_position_embeddings", h->n_context},
    };
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        json_object_set_new(config, sizes[i].key, json_integer((json_int_t)sizes[i].value));
    if (qwen2) json_object_set_new(config, "use_sliding_window", json_false());
    if (spec->bos >= 0) json_object_set_new(config, "bos_token_id", json_integer(spec->bos));
    json_object_set_new(config, "eos_token_id", make_ids(spec));
    *out = config;
    return HONE_OK;
}
