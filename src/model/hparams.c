#include "model/hparams.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

typedef struct architecture {
    const char *name;      /* general.architecture and config.json's model_type */
    bool qkv_bias;
    bool gguf_interleaved; /* converters permute q and k rows to neighbouring pairs */
} architecture;

static const architecture architectures[] = {
    {.name = "llama", .gguf_interleaved = true},
    {.name = "qwen2", .qkv_bias = true},
};

static hone_status find_architecture(const architecture **out, const char *path, const char *name,
                                     size_t n) {
    for (size_t i = 0; i < sizeof architectures / sizeof *architectures; i++)
        if (strlen(architectures[i].name) == n && memcmp(architectures[i].name, name, n) == 0) {
            *out = &architectures[i];
            return HONE_OK;
        }
    return fail(HONE_ERR_UNSUPPORTED,
                "%s: architecture \"%.*s\" is not supported; hone runs llama and qwen2", path,
                (int)(n < 64 ? n : 64), name);
}

bool hparams_gguf_interleaves(const char *name) {
    for (size_t i = 0; i < sizeof architectures / sizeof *architectures; i++)
        if (strcmp(architectures[i].name, name) == 0)
            return architectures[i].gguf_interleaved;
    return false;
}

/* --- GGUF --- */

typedef struct key_reader {
    const model_source *s;
    const char *architecture;
    char key[96]; /* "llama.block_count" */
} key_reader;

static const char *full_key(key_reader *r, const char *key) {
    snprintf(r->key, sizeof r->key, "%s.%s", r->architecture, key);
    return r->key;
}

/* A whole number. Per-layer arrays are taken when all layers agree. *value keeps its default when
 * the key is missing; a default of 0 means that the key is required. */
static hone_status read_count(key_reader *r, const char *key, size_t *value) {
    const gguf_kv *kv = gguf_find(r->s->gguf, full_key(r, key));
    if (!kv) {
        if (*value) return HONE_OK;
        return fail(HONE_ERR_FORMAT, "%s: key %s is missing", r->s->path, r->key);
    }
    uint64_t first = 0, other;
    for (size_t i = 0; i < kv->count; i++) {
        if (!gguf_element_u64(kv, i, &other) || (i == 0 && other == 0))
            return fail(HONE_ERR_FORMAT, "%s: key %s must be a whole number above 0", r->s->path,
                        r->key);
        if (i == 0) first = other;
        if (other != first)
            return fail(HONE_ERR_UNSUPPORTED, "%s: key %s differs between layers", r->s->path,
                        r->key);
    }
    if (first == 0) return fail(HONE_ERR_FORMAT, "%s: key %s is empty", r->s->path, r->key);
    *value = (size_t)first;
    return HONE_OK;
}

static hone_status read_real(key_reader *r, const char *key, double *value) {
    const char *name = full_key(r, key);
    if (gguf_find(r->s->gguf, name) && !gguf_get_f64(r->s->gguf, name, value))
        return fail(HONE_ERR_FORMAT, "%s: key %s must be a number", r->s->path, name);
    return HONE_OK;
}

static hone_status scaling_by_name(rope_params *rope, const char *path, const char *word,
                                   size_t n) {
    static const struct {
        const char *word;
        rope_scaling scaling;
    } known[] = {{"none", ROPE_PLAIN},   {"default", ROPE_PLAIN}, {"linear", ROPE_LINEAR},
                 {"yarn", ROPE_YARN},    {"llama3", ROPE_LLAMA3}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strlen(known[i].word) == n && memcmp(known[i].word, word, n) == 0) {
            rope->scaling = known[i].scaling;
            return HONE_OK;
        }
    return fail(HONE_ERR_UNSUPPORTED, "%s: rope scaling \"%.*s\" is not supported", path,
                (int)(n < 64 ? n : 64), word);
}

static hone_status read_gguf_rope(key_reader *r, hparams *h) {
    rope_params *rope = &h->rope;
    const gguf *file = r->s->gguf;
    gguf_string word;
    TRY(read_count(r, "rope.dimension_count", &rope->n_dims));
    TRY(read_real(r, "rope.freq_base", &rope->base));
    if (gguf_get_string(file, full_key(r, "rope.scaling.type"), &word))
        TRY(scaling_by_name(rope, r->s->path, word.data, word.n));
    if (rope->scaling == ROPE_LLAMA3)
        return fail(HONE_ERR_UNSUPPORTED, "%s: rope scaling \"llama3\" is not a GGUF word; such "
                    "files carry rope_freqs.weight", r->s->path);
    TRY(read_real(r, "rope.scaling.factor", &rope->factor));
    if (!gguf_find(file, full_key(r, "rope.scaling.type"))) { /* older files */
        TRY(read_real(r, "rope.scale_linear", &rope->factor));
        if (rope->factor != 1) rope->scaling = ROPE_LINEAR;
    }
    TRY(read_real(r, "rope.scaling.original_context_length", &rope->original_context));
    TRY(read_real(r, "rope.scaling.yarn_beta_fast", &rope->beta_fast));
    TRY(read_real(r, "rope.scaling.yarn_beta_slow", &rope->beta_slow));
    TRY(read_real(r, "rope.scaling.yarn_ext_factor", &rope->extrapolation));
    double attn_factor = 1, yarn_attn_factor = 0;
    TRY(read_real(r, "rope.scaling.attn_factor", &attn_factor));
    TRY(read_real(r, "rope.scaling.yarn_attn_factor", &yarn_attn_factor));
    if (yarn_attn_factor > 0) attn_factor = yarn_attn_factor;
    bool by_formula = rope->factor > 1 && rope->extrapolation != 0;
    if (rope->scaling == ROPE_YARN && attn_factor != 1 && rope->factor > 0)
        rope->attention_factor = attn_factor * (by_formula ? 0.1 * log(rope->factor) + 1 : 1);
    tensor divisors;
    if (source_find(r->s, "rope_freqs.weight", &divisors)) {
        TRY(source_tensor(r->s, "rope_freqs.weight", 0, rope->n_dims / 2, &divisors));
        if (divisors.type != DTYPE_F32 || (uintptr_t)divisors.data % sizeof(float) != 0)
            return fail(HONE_ERR_FORMAT, "%s: rope_freqs.weight must be F32", r->s->path);
        rope->divisors = divisors.data;
        for (size_t i = 0; i < rope->n_dims / 2; i++)
            if (!(rope->divisors[i] > 0) || isinf(rope->divisors[i]))
                return fail(HONE_ERR_FORMAT, "%s: rope_freqs.weight: value %zu is %g", r->s->path,
                            i,
                            (double)rope->divisors[i]);
    }
    return HONE_OK;
}

static hone_status read_gguf(hparams *h, const model_source *s) {
    gguf_string name;
    const architecture *arch;
    if (!gguf_get_string(s->gguf, "general.architecture", &name))
        return fail(HONE_ERR_FORMAT, "%s: key general.architecture is missing", s->path);
    TRY(find_architecture(&arch, s->path, name.data, name.n));
    *h = (hparams){.architecture = arch->name, .qkv_bias = arch->qkv_bias,
                   .rope.interleaved = arch->gguf_interleaved};
    key_reader r = {.s = s, .architecture = arch->name};
    TRY(read_count(&r, "block_count", &h->n_layers));
    TRY(read_count(&r, "embedding_length", &h->n_embd));
    TRY(read_count(&r, "feed_forward_length", &h->n_ff));
    TRY(read_count(&r, "attention.head_count", &h->n_heads));
    TRY(read_count(&r, "context_length", &h->n_context));
    h->n_kv_heads = h->n_heads;
    TRY(read_count(&r, "attention.head_count_kv", &h->n_kv_heads));
    h->head_dim = h->n_embd / h->n_heads;
    TRY(read_count(&r, "attention.key_length", &h->head_dim));
    size_t value_length = h->head_dim;
    TRY(read_count(&r, "attention.value_length", &value_length));
    if (value_length != h->head_dim)
        return fail(HONE_ERR_UNSUPPORTED, "%s: keys of %zu and values of %zu elements", s->path,
                    h->head_dim, value_length);
    double eps = 1e-5;
    TRY(read_real(&r, "attention.layer_norm_rms_epsilon", &eps));
    h->norm_eps = (float)eps;
    h->rope.n_dims = h->head_dim;
    h->rope.base = 10000;
    h->rope.factor = 1;
    h->rope.original_context = (double)h->n_context;
    h->rope.beta_fast = 32;
    h->rope.beta_slow = 1;
    h->rope.extrapolation = 1;
    h->rope.round_correction = true;
    TRY(read_gguf_rope(&r, h));
    tensor embedding;
    if (!source_find(s, "token_embd.weight", &embedding) || embedding.n_dims != 2)
        return fail(HONE_ERR_FORMAT, "%s: tensor token_embd.weight is missing", s->path);
    h->n_vocab = embedding.ne[1];
    return HONE_OK;
}

/* --- config.json --- */

static hone_status config_count(const model_source *s, const char *key, size_t *value) {
    uint64_t found = *value;
    hone_status status = json_get_u64(s->config, key, &found);
    if (status != HONE_OK) return fail_context(status, "%s/config.json", s->path);
    if (found == 0)
        return fail(HONE_ERR_FORMAT, "%s/config.json: \"%s\" is missing or 0", s->path, key);
    *value = (size_t)found;
    return HONE_OK;
}

static hone_status config_real(const json_t *object, const model_source *s, const char *key,
                               double *value) {
    hone_status status = json_get_f64(object, key, value);
    return status == HONE_OK ? status : fail_context(status, "%s/config.json", s->path);
}

static hone_status read_config_rope(hparams *h, const model_source *s) {
    rope_params *rope = &h->rope;
    TRY(config_real(s->config, s, "rope_theta", &rope->base));
    const json_t *scaling = json_object_get(s->config, "rope_scaling");
    if (!scaling) scaling = json_object_get(s->config, "rope_parameters");
    if (!scaling || json_is_null(scaling)) return HONE_OK;
    if (!json_is_object(scaling))
        return fail(HONE_ERR_FORMAT, "%s/config.json: \"rope_scaling\" must be an object", s->path);
    const char *word = "default";
    TRY(json_get_string(scaling, "type", &word));
    TRY(json_get_string(scaling, "rope_type", &word));
    TRY(scaling_by_name(rope, s->path, word, strlen(word)));
    TRY(config_real(scaling, s, "rope_theta", &rope->base));
    TRY(config_real(scaling, s, "factor", &rope->factor));
    TRY(config_real(scaling, s, "original_max_position_embeddings", &rope->original_context));
    TRY(config_real(scaling, s, "low_freq_factor", &rope->low_freq_factor));
    TRY(config_real(scaling, s, "high_freq_factor", &rope->high_freq_factor));
    TRY(config_real(scaling, s, "beta_fast", &rope->beta_fast));
    TRY(config_real(scaling, s, "beta_slow", &rope->beta_slow));
    TRY(json_get_bool(scaling, "truncate", &rope->round_correction));
    double mscale = 0, mscale_all = 0;
    TRY(config_real(scaling, s, "mscale", &mscale));
    TRY(config_real(scaling, s, "mscale_all_dim", &mscale_all));
    if (rope->factor > 1 && mscale != 0 && mscale_all != 0)
        rope->attention_factor = (0.1 * mscale * log(rope->factor) + 1) /
                                 (0.1 * mscale_all * log(rope->factor) + 1);
    return config_real(scaling, s, "attention_factor", &rope->attention_factor);
}

static hone_status refuse_features(const model_source *s) {
    bool attention_bias = false, mlp_bias = false, sliding = false;
    const char *activation = "silu";
    TRY(json_get_bool(s->config, "attention_bias", &attention_bias));
    TRY(json_get_bool(s->config, "mlp_bias", &mlp_bias));
    TRY(json_get_bool(s->config, "use_sliding_window", &sliding));
    TRY(json_get_string(s->config, "hidden_act", &activation));
    const char *feature = attention_bias ? "attention_bias"
                        : mlp_bias       ? "mlp_bias"
                        : sliding        ? "use_sliding_window"
                                         : NULL;
    if (feature)
        return fail(HONE_ERR_UNSUPPORTED, "%s/config.json: \"%s\" is not supported", s->path,
                    feature);
    if (strcmp(activation, "silu") != 0)
        return fail(HONE_ERR_UNSUPPORTED, "%s/config.json: activation \"%s\" is not supported",
                    s->path, activation);
    return HONE_OK;
}

static hone_status read_config(hparams *h, const model_source *s) {
    const char *type = "";
    const architecture *arch;
    TRY(json_get_string(s->config, "model_type", &type));
    TRY(find_architecture(&arch, s->path, type, strlen(type)));
    TRY(refuse_features(s));
    *h = (hparams){.architecture = arch->name, .qkv_bias = arch->qkv_bias};
    TRY(config_count(s, "num_hidden_layers", &h->n_layers));
    TRY(config_count(s, "hidden_size", &h->n_embd));
    TRY(config_count(s, "intermediate_size", &h->n_ff));
    TRY(config_count(s, "num_attention_heads", &h->n_heads));
    TRY(config_count(s, "max_position_embeddings", &h->n_context));
    TRY(config_count(s, "vocab_size", &h->n_vocab));
    h->n_kv_heads = h->n_heads;
    TRY(config_count(s, "num_key_value_heads", &h->n_kv_heads));
    h->head_dim = h->n_embd / h->n_heads;
    TRY(config_count(s, "head_dim", &h->head_dim));
    double eps = 1e-6;
    TRY(config_real(s->config, s, "rms_norm_eps", &eps));
    h->norm_eps = (float)eps;
    h->rope = (rope_params){.n_dims = h->head_dim, .base = 10000, .factor = 1,
                            .original_context = (double)h->n_context, .low_freq_factor = 1,
                            .high_freq_factor = 4, .beta_fast = 32, .beta_slow = 1,
                            .extrapolation = 1, .round_correction = true};
    return read_config_rope(h, s);
}

/* --- both --- */

static hone_status check(const hparams *h, const char *path) {
    const struct {
        const char *what;
        size_t value, most;
    } bounds[] = {
        {"layers", h->n_layers, 1024},         {"embedding length", h->n_embd, 1u << 17},
        {"feed-forward length", h->n_ff, 1u << 20}, {"heads", h->n_heads, 4096},
        {"key/value heads", h->n_kv_heads, 4096},   {"head length", h->head_dim, 4096},
        {"vocabulary", h->n_vocab, 1u << 24},  {"context length", h->n_context, 1u << 28},
    };
    for (size_t i = 0; i < sizeof bounds / sizeof *bounds; i++)
        if (bounds[i].value == 0 || bounds[i].value > bounds[i].most)
            return fail(HONE_ERR_FORMAT, "%s: %s is %zu, expected 1 to %zu", path, bounds[i].what,
                        bounds[i].value, bounds[i].most);
    if (h->n_heads % h->n_kv_heads != 0)
        return fail(HONE_ERR_FORMAT, "%s: %zu heads cannot share %zu key/value heads", path,
                    h->n_heads, h->n_kv_heads);
    const rope_params *rope = &h->rope;
    if (rope->n_dims < 2 || rope->n_dims % 2 != 0 || rope->n_dims > h->head_dim)
        return fail(HONE_ERR_FORMAT, "%s: rope over %zu of %zu elements of a head", path,
                    rope->n_dims, h->head_dim);
    bool fine = rope->base > 1 && rope->base < 1e12 && rope->factor >= 1 && rope->factor < 1e6 &&
                rope->original_context >= 1 && rope->beta_fast > 0 && rope->beta_slow > 0 &&
                rope->attention_factor >= 0 && rope->attention_factor < 1e3;
    if (rope->scaling == ROPE_LLAMA3)
        fine = fine && rope->low_freq_factor > 0 && rope->high_freq_factor > rope->low_freq_factor;
    if (!fine) return fail(HONE_ERR_FORMAT, "%s: rope numbers out of range", path);
    if (!(h->norm_eps > 0 && h->norm_eps < 1))
        return fail(HONE_ERR_FORMAT, "%s: norm epsilon %g out of range", path, (double)h->norm_eps);
    return HONE_OK;
}

hone_status hparams_read(hparams *h, const model_source *s) {
    hparams read;
    TRY(s->gguf ? read_gguf(&read, s) : read_config(&read, s));
    TRY(check(&read, s->path));
    *h = read;
    return HONE_OK;
}
