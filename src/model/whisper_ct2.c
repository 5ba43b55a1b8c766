/* Whisper in a folder of CTranslate2 (faster-whisper's form): model.bin, config.json,
 * tokenizer.json. Its fused projections are several tensors of ours, which are rows of them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "format/ct2.h"
#include "model/whisper_files.h"

enum { MAX_CONFIG_BYTES = 16 << 20, MAX_FUSED = 3 };

static const struct {
    const char *ct2, *gguf;
} whole_names[] = {
    {"encoder/conv1/weight", "enc.conv1.weight"},
    {"encoder/conv1/bias", "enc.conv1.bias"},
    {"encoder/conv2/weight", "enc.conv2.weight"},
    {"encoder/conv2/bias", "enc.conv2.bias"},
    {"encoder/position_encodings/encodings", "enc.position_embd.weight"},
    {"encoder/layer_norm/gamma", "enc.output_norm.weight"},
    {"encoder/layer_norm/beta", "enc.output_norm.bias"},
    {"decoder/embeddings/weight", "token_embd.weight"},
    {"decoder/position_encodings/encodings", "dec.position_embd.weight"},
    {"decoder/layer_norm/gamma", "dec.output_norm.weight"},
    {"decoder/layer_norm/beta", "dec.output_norm.bias"},
};

/* "encoder/layer_3/<part>/weight"; the rows of one part belong to so many tensors. */
static const struct {
    const char *part;
    const char *gguf[MAX_FUSED];
} layer_names[] = {
    {"self_attention/layer_norm", {"attn_norm"}},
    {"self_attention/linear_0", {"attn_q", "attn_k", "attn_v"}},
    {"self_attention/linear_1", {"attn_output"}},
    {"attention/layer_norm", {"cross_norm"}},
    {"attention/linear_0", {"cross_q"}},
    {"attention/linear_1", {"cross_k", "cross_v"}},
    {"attention/linear_2", {"cross_output"}},
    {"ffn/layer_norm", {"ffn_norm"}},
    {"ffn/linear_0", {"ffn_up"}},
    {"ffn/linear_1", {"ffn_down"}},
};

/* "weight" and "gamma" are the one, "bias" and "beta" the other; NULL for other texts. */
static const char *kind_of(const char *name) {
    if (!strcmp(name, "weight") || !strcmp(name, "gamma")) return "weight";
    return !strcmp(name, "bias") || !strcmp(name, "beta") ? "bias" : NULL;
}

static bool is_zero(const tensor *v) {
    for (size_t i = 0; i < v->row_bytes; i++)
        if (((const uint8_t *)v->data)[i]) return false;
    return true;
}

/* The i-th of n equal shares of a matrix's rows or a vector's values. */
static bool take_share(const tensor *all, size_t i, size_t n, tensor *share) {
    size_t dim = all->n_dims == 2 ? 1 : 0;
    if (all->n_dims == 0 || all->n_dims > 2 || all->ne[dim] % n) return false;
    *share = *all;
    share->ne[dim] /= n;
    if (dim == 0) share->row_bytes /= n;
    share->data = (const char *)all->data + i * (dim ? share->ne[1] * all->row_bytes
                                                     : share->row_bytes);
    return true;
}

/* Adds the tensors that the rest of a name behind its layer stands for; sets *known where it means
 * anything. The bias of keys is zero, and Whisper's keys have none. */
static hone_status add_of_layer(model_source *s, const named_tensor *t, const char *stack,
                                unsigned layer, const char *rest, bool *known) {
    for (size_t i = 0; i < sizeof layer_names / sizeof *layer_names; i++) {
        size_t length = strlen(layer_names[i].part), n = 1;
        if (strncmp(rest, layer_names[i].part, length) != 0 || rest[length] != '/') continue;
        const char *kind = kind_of(rest + length + 1);
        if (!kind) continue;
        *known = true;
        while (n < MAX_FUSED && layer_names[i].gguf[n]) n++;
        for (size_t part = 0; part < n; part++) {
            const char *name = layer_names[i].gguf[part];
            char full[96];
            tensor share;
            if (!take_share(&t->view, part, n, &share))
                return fail(HONE_ERR_FORMAT, "%s: tensor %s is no stack of %zu", s->path, t->name,
                            n);
            bool of_keys = !strcmp(name, "attn_k") || !strcmp(name, "cross_k");
            if (of_keys && kind[0] == 'b' && is_zero(&share)) continue;
            snprintf(full, sizeof full, "%s.blk.%u.%s.%s", stack, layer, name, kind);
            TRY(tensor_table_add(s->table, full, &share));
        }
    }
    return HONE_OK;
}

static hone_status add(model_source *s, const named_tensor *t) {
    bool known = t->view.n_dims == 0; /* settings: num_heads, pre_norm, … */
    for (size_t i = 0; i < sizeof whole_names / sizeof *whole_names; i++)
        if (!strcmp(t->name, whole_names[i].ct2))
            return tensor_table_add(s->table, whole_names[i].gguf, &t->view);
    const bool decoder = !strncmp(t->name, "decoder/layer_", 14);
    if (decoder || !strncmp(t->name, "encoder/layer_", 14)) {
        char *rest;
        unsigned long layer = strtoul(t->name + 14, &rest, 10);
        if (rest > t->name + 14 && *rest == '/' && layer < 1000)
            TRY(add_of_layer(s, t, decoder ? "dec" : "enc", (unsigned)layer, rest + 1, &known));
    }
    return known ? HONE_OK : fail(HONE_ERR_UNSUPPORTED, "%s: tensor %s has no place in Whisper",
                                  s->path, t->name);
}

/* An int16 scalar such as "encoder/num_heads". */
static hone_status read_setting(const model_source *s, const tensor_table *raw, const char *name,
                                size_t *value) {
    const named_tensor *t = tensor_table_find(raw, name);
    if (!t || t->view.n_dims != 0 || t->view.type != DTYPE_I16)
        return fail(HONE_ERR_FORMAT, "%s: %s is missing or no 16-bit number", s->path, name);
    const uint8_t *p = t->view.data;
    *value = (size_t)(p[0] | p[1] << 8);
    return HONE_OK;
}

/* The lists that the folder's config.json has under names of its own. */
static hone_status copy_lists(model_source *s) {
    static const char *const names[][2] = {{"alignment_heads", "alignment_heads"},
                                           {"suppress_ids", "suppress_tokens"},
                                           {"suppress_ids_begin", "begin_suppress_tokens"}};
    char path[4096];
    json_t *config;
    if ((size_t)snprintf(path, sizeof path, "%s/config.json", s->path) >= sizeof path)
        return fail(HONE_ERR_ARGUMENT, "%.80s…: path too long", s->path);
    hone_status status = json_parse_file(&config, path, MAX_CONFIG_BYTES);
    if (status == HONE_ERR_NOT_FOUND) return HONE_OK; /* then the usual ones hold */
    TRY(status);
    for (size_t i = 0; i < 3 && status == HONE_OK; i++) {
        json_t *list = json_object_get(config, names[i][0]);
        if (json_is_array(list) && json_object_set(s->config, names[i][1], list) < 0)
            status = mem_fail("config.json", 0);
    }
    json_decref(config);
    return status;
}

static hone_status read_all(model_source *s, const tensor_table *raw) {
    size_t encoder_heads = 0, decoder_heads = 0;
    TRY(tensor_table_open(&s->table));
    for (size_t i = 0; i < tensor_table_count(raw); i++) TRY(add(s, tensor_table_at(raw, i)));
    TRY(read_setting(s, raw, "encoder/num_heads", &encoder_heads));
    TRY(read_setting(s, raw, "decoder/num_heads", &decoder_heads));
    TRY(whisper_make_config(s, encoder_heads, decoder_heads));
    return copy_lists(s);
}

hone_status source_open_ct2(model_source *s) {
    char path[4096];
    file_map map;
    if ((size_t)snprintf(path, sizeof path, "%s/model.bin", s->path) >= sizeof path)
        return fail(HONE_ERR_ARGUMENT, "%.80s…: path too long", s->path);
    TRY(file_map_open(&map, path));
    tensor_table *raw;
    hone_status status = ct2_parse(&raw, map.data, map.size, "WhisperSpec", path);
    if (status != HONE_OK) {
        file_map_release(&map);
        return status;
    }
    tensor_table_keep_map(raw, &map);
    s->raw = raw;
    return read_all(s, raw);
}
