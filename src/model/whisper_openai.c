/* Whisper under OpenAI's own names: whisper.cpp's model files and OpenAI's checkpoints. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/mem.h"
#include "format/pytorch.h"
#include "format/whisper_ggml.h"
#include "media/mel_int.h"
#include "model/whisper_files.h"

enum { MAX_VOCABULARY_BYTES = 16 << 20, MULTILINGUAL_VOCABULARY = 51865 };

static const struct {
    const char *openai, *gguf;
} whole_names[] = {
    {"encoder.conv1.weight", "enc.conv1.weight"},
    {"encoder.conv1.bias", "enc.conv1.bias"},
    {"encoder.conv2.weight", "enc.conv2.weight"},
    {"encoder.conv2.bias", "enc.conv2.bias"},
    {"encoder.positional_embedding", "enc.position_embd.weight"},
    {"encoder.ln_post.weight", "enc.output_norm.weight"},
    {"encoder.ln_post.bias", "enc.output_norm.bias"},
    {"decoder.token_embedding.weight", "token_embd.weight"},
    {"decoder.positional_embedding", "dec.position_embd.weight"},
    {"decoder.ln.weight", "dec.output_norm.weight"},
    {"decoder.ln.bias", "dec.output_norm.bias"},
}, layer_names[] = {
    {"attn_ln", "attn_norm"},          {"attn.query", "attn_q"},
    {"attn.key", "attn_k"},            {"attn.value", "attn_v"},
    {"attn.out", "attn_output"},       {"cross_attn_ln", "cross_norm"},
    {"cross_attn.query", "cross_q"},   {"cross_attn.key", "cross_k"},
    {"cross_attn.value", "cross_v"},   {"cross_attn.out", "cross_output"},
    {"mlp_ln", "ffn_norm"},            {"mlp.0", "ffn_up"},
    {"mlp.2", "ffn_down"},
};

/* "decoder.blocks.3.attn.query.weight" → "dec.blk.3.attn_q.weight" */
static bool gguf_name(const char *openai, char *out, size_t n) {
    for (size_t i = 0; i < sizeof whole_names / sizeof *whole_names; i++)
        if (!strcmp(openai, whole_names[i].openai))
            return (size_t)snprintf(out, n, "%s", whole_names[i].gguf) < n;
    bool decoder = !strncmp(openai, "decoder.blocks.", 15);
    if (!decoder && strncmp(openai, "encoder.blocks.", 15) != 0) return false;
    char *rest;
    unsigned long layer = strtoul(openai + 15, &rest, 10);
    if (rest == openai + 15 || *rest != '.' || layer > 999) return false;
    for (size_t i = 0; i < sizeof layer_names / sizeof *layer_names; i++) {
        size_t length = strlen(layer_names[i].openai);
        if (strncmp(rest + 1, layer_names[i].openai, length) != 0) continue;
        const char *kind = rest + 1 + length;
        if (strcmp(kind, ".weight") != 0 && strcmp(kind, ".bias") != 0) continue;
        return (size_t)snprintf(out, n, "%s.blk.%lu.%s%s", decoder ? "dec" : "enc", layer,
                                layer_names[i].gguf, kind) < n;
    }
    return false;
}

/* whisper.cpp stores a convolution's bias as a matrix of one column. */
static tensor as_vector(tensor view) {
    if (view.n_dims == 2 && view.ne[0] == 1 && dtype_get(view.type)->block == 1) {
        view.n_dims = 1;
        view.ne[0] = view.ne[1];
        view.ne[1] = 1;
        view.row_bytes *= view.ne[0];
    }
    return view;
}

static hone_status rename_all(model_source *s) {
    TRY(tensor_table_open(&s->table));
    for (size_t i = 0; i < tensor_table_count(s->raw); i++) {
        const named_tensor *t = tensor_table_at(s->raw, i);
        char name[96];
        if (!gguf_name(t->name, name, sizeof name))
            return fail(HONE_ERR_UNSUPPORTED, "%s: tensor %s has no place in Whisper", s->path,
                        t->name);
        bool is_bias = !strcmp(name + strlen(name) - 5, ".bias");
        tensor view = is_bias ? as_vector(t->view) : t->view;
        TRY(tensor_table_add(s->table, name, &view));
    }
    return HONE_OK;
}

/* Heads whose attention follows the words, as OpenAI publishes them; files do not say. Other models
 * go without (model/whisper.h). */
static hone_status add_known_heads(model_source *s, size_t n_layers, size_t n_vocab) {
    static const struct {
        size_t n_layers, n_vocab, n_heads;
        uint8_t heads[10][2];
    } known[] = {
        {4, 51864, 8, {{1, 0}, {2, 0}, {2, 5}, {3, 0}, {3, 1}, {3, 2}, {3, 3}, {3, 4}}},
        {6, 51865, 8, {{3, 1}, {4, 2}, {4, 3}, {4, 7}, {5, 1}, {5, 2}, {5, 4}, {5, 6}}},
        {6, 51864, 5, {{3, 3}, {4, 7}, {5, 1}, {5, 5}, {5, 7}}},
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (known[i].n_layers != n_layers || known[i].n_vocab != n_vocab) continue;
        json_t *list = json_array();
        for (size_t h = 0; h < known[i].n_heads; h++)
            json_array_append_new(list, json_pack("[ii]", known[i].heads[h][0],
                                                  known[i].heads[h][1]));
        if (json_array_size(list) != known[i].n_heads ||
            json_object_set_new(s->config, "alignment_heads", list) < 0)
            return mem_fail("alignment heads", sizeof *known);
    }
    return HONE_OK;
}

static hone_status describe(model_source *s, size_t encoder_heads, size_t decoder_heads) {
    TRY(rename_all(s));
    TRY(whisper_make_config(s, encoder_heads, decoder_heads));
    size_t n_layers = (size_t)json_integer_value(json_object_get(s->config, "decoder_layers"));
    return add_known_heads(s, n_layers, source_whisper_vocabulary(s));
}

/* --- whisper.cpp --- */

/* The filters in the file must be those that media/mel.h computes. */
static hone_status check_filters(const model_source *s, const whisper_ggml *w) {
    mel_plan *plan = mem_alloc(sizeof *plan);
    if (!plan) return mem_fail("mel filters", sizeof *plan);
    mel_plan_init(plan);
    bool same = w->n_filter_mels == MEL_BANDS && w->n_filter_bins == MEL_BINS;
    for (size_t band = 0; same && band < MEL_BANDS; band++) {
        for (size_t bin = 0; bin < MEL_BINS; bin++) {
            size_t i = bin - plan->bands[band].first; /* huge where bin comes before the band */
            double want = i < plan->bands[band].n ? plan->weights[plan->bands[band].weights + i]
                                                  : 0;
            float have;
            memcpy(&have, w->filters + 4 * (band * MEL_BINS + bin), sizeof have);
            same = same && fabs((double)have - want) < 1e-5;
        }
    }
    mem_free(plan);
    return same ? HONE_OK : fail(HONE_ERR_UNSUPPORTED, "%s: its mel filters are not Whisper's %d "
                                 "bands at 16 kHz", s->path, MEL_BANDS);
}

hone_status source_open_whisper_ggml(model_source *s, const file_map *map) {
    whisper_ggml w;
    hone_status status = whisper_ggml_parse(&w, map->data, map->size, s->path);
    if (status != HONE_OK) return status;
    s->raw = w.tensors;
    s->texts = w.texts;
    TRY(check_filters(s, &w));
    return describe(s, (size_t)w.n_audio_heads, (size_t)w.n_text_heads);
}

/* --- OpenAI's checkpoints --- */

static hone_status read_dim(const model_source *s, const pickle_value *dims, const char *name,
                            size_t *value) {
    const pickle_value *v = pickle_get(dims, name);
    if (!v || v->kind != PICKLE_INT || v->integer < 1 || v->integer > 1 << 20)
        return fail(HONE_ERR_FORMAT, "%s: dims.%s is missing or out of range", s->path, name);
    *value = (size_t)v->integer;
    return HONE_OK;
}

/* A checkpoint has no vocabulary; OpenAI's program keeps it beside its code. */
static hone_status find_vocabulary(model_source *s) {
    bool multilingual = source_whisper_vocabulary(s) >= MULTILINGUAL_VOCABULARY;
    const char *file = multilingual ? "multilingual.tiktoken" : "gpt2.tiktoken";
    const char *slash = strrchr(s->path, '/');
    int n = slash ? (int)(slash - s->path) : 1;
    fs_path path;
    buf bytes;
    TRY(fs_path_format(&path, "%.*s/%s", n, slash ? s->path : ".", file));
    buf_init(&bytes, MAX_VOCABULARY_BYTES);
    hone_status status = fs_read_file(&bytes, path.text);
    if (status == HONE_OK) status = ranked_texts_parse(&s->texts, bytes.data, bytes.len, path.text);
    buf_release(&bytes);
    if (status == HONE_ERR_NOT_FOUND)
        return fail(HONE_ERR_NOT_FOUND, "%s: a checkpoint holds no vocabulary, and %s is not "
                    "beside it; it is in the assets of the Python package openai-whisper", s->path,
                    file);
    return status;
}

hone_status source_open_pytorch(model_source *s, const file_map *map) {
    pytorch_file f;
    TRY(pytorch_parse(&f, map->data, map->size, "model_state_dict", s->path));
    const pickle_value *dims = pickle_get(pickle_root(f.pickle), "dims");
    size_t encoder_heads = 0, decoder_heads = 0;
    hone_status status = read_dim(s, dims, "n_audio_head", &encoder_heads);
    if (status == HONE_OK) status = read_dim(s, dims, "n_text_head", &decoder_heads);
    s->raw = f.tensors;
    f.tensors = NULL;
    pytorch_release(&f);
    TRY(status);
    TRY(describe(s, encoder_heads, decoder_heads));
    return find_vocabulary(s);
}
