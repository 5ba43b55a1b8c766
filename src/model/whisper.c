/* Opening a Whisper model: its numbers, the names of its tensors, their views. */
#include "model/whisper.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "tensor/quant.h"

#define MAX_GENERATION_CONFIG (1u << 20)
#define MAX_SUPPRESSED 4096

bool whisper_is(const model_source *s) {
    if (s->gguf) {
        gguf_string name;
        return gguf_get_string(s->gguf, "general.architecture", &name) && name.n == 7 &&
               memcmp(name.data, "whisper", 7) == 0;
    }
    const char *type = json_string_value(json_object_get(s->config, "model_type"));
    return type && strcmp(type, "whisper") == 0;
}

/* --- the numbers --- */

typedef struct number {
    const char *key;        /* of GGUF, behind "whisper." */
    const char *config_key; /* of config.json */
    size_t *value;
    size_t most;
} number;

static hone_status read_number(const model_source *s, const number *n) {
    uint64_t value = 0;
    char key[64];
    snprintf(key, sizeof key, "whisper.%s", n->key);
    const char *name = s->gguf ? key : n->config_key;
    if (s->gguf) {
        if (!gguf_get_u64(s->gguf, key, &value))
            return fail(HONE_ERR_FORMAT, "%s: key %s is missing or no whole number", s->path, key);
    } else {
        TRY(json_get_u64(s->config, n->config_key, &value));
    }
    if (value == 0 || value > n->most)
        return fail(HONE_ERR_FORMAT, "%s: %s is %llu, expected 1 to %zu", s->path, name,
                    (unsigned long long)value, n->most);
    *n->value = (size_t)value;
    return HONE_OK;
}

static hone_status read_numbers(whisper_hparams *h, const model_source *s) {
    whisper_stack *enc = &h->encoder, *dec = &h->decoder;
    const number numbers[] = {
        {"encoder.mel_bands", "num_mel_bins", &h->n_mels, 512},
        {"encoder.context_length", "max_source_positions", &enc->n_context, 1u << 16},
        {"encoder.embedding_length", "d_model", &enc->n_embd, 1u << 14},
        {"encoder.block_count", "encoder_layers", &enc->n_layers, 256},
        {"encoder.feed_forward_length", "encoder_ffn_dim", &enc->n_ff, 1u << 16},
        {"encoder.attention.head_count", "encoder_attention_heads", &enc->n_heads, 256},
        {"decoder.context_length", "max_target_positions", &dec->n_context, 1u << 16},
        {"decoder.embedding_length", "d_model", &dec->n_embd, 1u << 14},
        {"decoder.block_count", "decoder_layers", &dec->n_layers, 256},
        {"decoder.feed_forward_length", "decoder_ffn_dim", &dec->n_ff, 1u << 16},
        {"decoder.attention.head_count", "decoder_attention_heads", &dec->n_heads, 256},
    };
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) TRY(read_number(s, &numbers[i]));
    if (enc->n_embd != dec->n_embd)
        return fail(HONE_ERR_UNSUPPORTED, "%s: encoder of width %zu, decoder of width %zu", s->path,
                    enc->n_embd, dec->n_embd);
    if (enc->n_embd % enc->n_heads || dec->n_embd % dec->n_heads)
        return fail(HONE_ERR_FORMAT, "%s: a width of %zu does not divide into %zu and %zu heads",
                    s->path, enc->n_embd, enc->n_heads, dec->n_heads);
    tensor embedding;
    if (!source_find(s, "token_embd.weight", &embedding) || embedding.n_dims != 2)
        return fail(HONE_ERR_FORMAT, "%s: tensor token_embd.weight is missing", s->path);
    h->n_vocab = embedding.ne[1];
    if (h->n_vocab == 0 || h->n_vocab > 1u << 20)
        return fail(HONE_ERR_FORMAT, "%s: a vocabulary of %zu tokens", s->path, h->n_vocab);
    return HONE_OK;
}

/* --- lists: alignment heads and suppressed tokens --- */

/* A GGUF array, or one of JSON: numbers one by one. */
typedef struct list {
    const gguf_kv *kv;
    const json_t *array;
    size_t n;
} list;

static list find_list(const model_source *s, const json_t *generation, const char *key) {
    char full[64];
    snprintf(full, sizeof full, "whisper.%s", key);
    list l = {0};
    if (s->gguf) {
        l.kv = gguf_find(s->gguf, full);
        if (l.kv && l.kv->type != GGUF_ARRAY) l.kv = NULL;
        l.n = l.kv ? l.kv->count : 0;
    } else {
        l.array = json_object_get(generation, key);
        if (!json_is_array(l.array)) l.array = json_object_get(s->config, key);
        l.n = json_array_size(l.array); /* 0 for what is no array */
    }
    return l;
}

static bool list_number(const list *l, size_t i, uint64_t *value) {
    return l->kv ? gguf_element_u64(l->kv, i, value)
                 : json_to_u64(json_array_get(l->array, i), value);
}

static hone_status read_ids(const model_source *s, const list *l, const char *key, size_t n_vocab,
                            int32_t **ids, size_t *n_ids) {
    if (!l->kv && !json_is_array(l->array)) return HONE_OK;
    if (l->n > MAX_SUPPRESSED)
        return fail(HONE_ERR_FORMAT, "%s: %s has %zu ids, at most %d", s->path, key, l->n,
                    MAX_SUPPRESSED);
    *ids = mem_calloc(l->n, sizeof **ids);
    if (!*ids) return mem_fail(key, l->n * sizeof **ids);
    for (size_t i = 0; i < l->n; i++) {
        uint64_t id = 0;
        if (!list_number(l, i, &id) || id >= n_vocab)
            return fail(HONE_ERR_FORMAT, "%s: %s: entry %zu is no token id", s->path, key, i);
        (*ids)[(*n_ids)++] = (int32_t)id;
    }
    return HONE_OK;
}

/* GGUF: layer, head, layer, head, …; JSON: [[layer, head], …]. */
static hone_status read_heads(whisper_hparams *h, const model_source *s, const list *l) {
    size_t n = l->kv ? l->n / 2 : l->n;
    if (n > WHISPER_MAX_HEADS || (l->kv && l->n % 2))
        return fail(HONE_ERR_FORMAT, "%s: %zu alignment heads", s->path, n);
    for (size_t i = 0; i < n; i++) {
        list pair = {.array = json_array_get(l->array, i)};
        uint64_t layer = UINT64_MAX, head = UINT64_MAX;
        bool found = l->kv ? list_number(l, 2 * i, &layer) && list_number(l, 2 * i + 1, &head)
                           : list_number(&pair, 0, &layer) && list_number(&pair, 1, &head);
        if (!found || layer >= h->decoder.n_layers || head >= h->decoder.n_heads)
            return fail(HONE_ERR_FORMAT, "%s: alignment head %zu is outside the decoder", s->path,
                        i);
        h->heads[h->n_heads++] = (whisper_head){(uint32_t)layer, (uint32_t)head};
    }
    return HONE_OK;
}

/* Files that do not say: every head of the upper half of the layers, as OpenAI's program has it. */
static void default_heads(whisper_hparams *h) {
    const whisper_stack *dec = &h->decoder;
    for (size_t layer = dec->n_layers / 2; layer < dec->n_layers; layer++)
        for (size_t head = 0; head < dec->n_heads && h->n_heads < WHISPER_MAX_HEADS; head++)
            h->heads[h->n_heads++] = (whisper_head){(uint32_t)layer, (uint32_t)head};
}

static hone_status read_multilingual(whisper_hparams *h, const model_source *s,
                                     const json_t *generation) {
    enum { MULTILINGUAL_VOCABULARY = 51865 };
    h->multilingual = h->n_vocab >= MULTILINGUAL_VOCABULARY;
    if (!s->gguf) return json_get_bool(generation, "is_multilingual", &h->multilingual);
    gguf_get_bool(s->gguf, "whisper.multilingual", &h->multilingual);
    return HONE_OK;
}

static hone_status read_lists(whisper_hparams *h, const model_source *s, const json_t *generation) {
    list heads = find_list(s, generation, "alignment_heads");
    list suppress = find_list(s, generation, "suppress_tokens");
    list begin = find_list(s, generation, "begin_suppress_tokens");
    TRY(read_heads(h, s, &heads));
    if (h->n_heads == 0) default_heads(h);
    TRY(read_ids(s, &suppress, "suppress_tokens", h->n_vocab, &h->suppress, &h->n_suppress));
    return read_ids(s, &begin, "begin_suppress_tokens", h->n_vocab, &h->begin_suppress,
                    &h->n_begin_suppress);
}

static hone_status read_generation_config(json_t **out, const model_source *s) {
    buf path;
    buf_init(&path, 65536);
    hone_status status = buf_add_format(&path, "%s/generation_config.json", s->path);
    if (status == HONE_OK) status = json_parse_file(out, path.data, MAX_GENERATION_CONFIG);
    buf_release(&path);
    return status == HONE_ERR_NOT_FOUND ? HONE_OK : status;
}

hone_status whisper_hparams_read(whisper_hparams *h, const model_source *s) {
    *h = (whisper_hparams){0};
    json_t *generation = NULL;
    hone_status status = s->folder ? read_generation_config(&generation, s) : HONE_OK;
    if (status == HONE_OK) status = read_numbers(h, s);
    if (status == HONE_OK) status = read_multilingual(h, s, generation);
    if (status == HONE_OK) status = read_lists(h, s, generation);
    json_decref(generation);
    if (status != HONE_OK) whisper_hparams_release(h);
    return status;
}

void whisper_hparams_release(whisper_hparams *h) {
    mem_free(h->suppress);
    mem_free(h->begin_suppress);
    *h = (whisper_hparams){0};
}

/* --- the names --- */

typedef enum width { NONE, EMBD, FF, MELS, VOCAB, CONTEXT } width;

typedef struct part {
    const char *name;
    width n_out, n_in;
    bool has_bias, is_conv;
    size_t offset; /* of its whisper_linear, whisper_norm or tensor */
} part;

#define MATRIX(name, n_out, n_in, bias, at) {name, n_out, n_in, bias, false, at}
#define NORM(name, at) {name, NONE, EMBD, true, false, at}
#define AT(member) offsetof(whisper_layer, member)

static const part layer_parts[] = {
    NORM("attn_norm", AT(self.norm)),
    MATRIX("attn_q", EMBD, EMBD, true, AT(self.q)),
    MATRIX("attn_k", EMBD, EMBD, false, AT(self.k)),
    MATRIX("attn_v", EMBD, EMBD, true, AT(self.v)),
    MATRIX("attn_output", EMBD, EMBD, true, AT(self.out)),
    NORM("ffn_norm", AT(ffn_norm)),
    MATRIX("ffn_up", FF, EMBD, true, AT(up)),
    MATRIX("ffn_down", EMBD, FF, true, AT(down)),
}, cross_parts[] = {
    NORM("cross_norm", AT(cross.norm)),
    MATRIX("cross_q", EMBD, EMBD, true, AT(cross.q)),
    MATRIX("cross_k", EMBD, EMBD, false, AT(cross.k)),
    MATRIX("cross_v", EMBD, EMBD, true, AT(cross.v)),
    MATRIX("cross_output", EMBD, EMBD, true, AT(cross.out)),
};
#undef AT
#define AT(member) offsetof(whisper, member)

static const part encoder_parts[] = {
    {"enc.conv1", EMBD, MELS, true, true, AT(conv1)},
    {"enc.conv2", EMBD, EMBD, true, true, AT(conv2)},
    MATRIX("enc.position_embd", CONTEXT, EMBD, false,
           AT(audio_positions)),
    NORM("enc.output_norm", AT(audio_norm)),
}, decoder_parts[] = {
    MATRIX("token_embd", VOCAB, EMBD, false, AT(embedding)),
    MATRIX("dec.position_embd", CONTEXT, EMBD, false,
           AT(text_positions)),
    NORM("dec.output_norm", AT(text_norm)),
};
#undef AT
#undef MATRIX
#undef NORM
#define COUNT(parts) (sizeof parts / sizeof *parts)

static size_t width_of(const whisper_hparams *h, const whisper_stack *stack, width w) {
    switch (w) {
    case EMBD: return stack->n_embd;
    case FF: return stack->n_ff;
    case MELS: return h->n_mels;
    case VOCAB: return h->n_vocab;
    case CONTEXT: return stack->n_context;
    default: return 0;
    }
}

/* Who walks over the parts: `where` is the struct that the part's offset counts from. */
typedef hone_status (*part_visitor)(void *user, const whisper_tensor *t, const part *p,
                                    void *where);

typedef struct walk {
    const whisper_hparams *h;
    part_visitor visit;
    void *user;
} walk;

/* The prefix is "" for parts whose names are whole. */
static hone_status visit_part(const walk *w, const part *p, const whisper_stack *stack,
                              const char *prefix, void *where) {
    char name[64];
    size_t n_out = width_of(w->h, stack, p->n_out), n_in = width_of(w->h, stack, p->n_in);
    snprintf(name, sizeof name, "%s%s.weight", prefix, p->name);
    TRY(w->visit(w->user, &(whisper_tensor){name, n_out, n_in, p->is_conv}, p, where));
    if (!p->has_bias) return HONE_OK;
    snprintf(name, sizeof name, "%s%s.bias", prefix, p->name);
    return w->visit(w->user, &(whisper_tensor){name, 0, n_out ? n_out : n_in, false}, p, where);
}

static hone_status visit_layers(const walk *w, const whisper_stack *stack, whisper_layer *layers,
                                bool is_decoder) {
    char prefix[32];
    for (size_t i = 0; i < stack->n_layers; i++) {
        void *where = layers ? &layers[i] : NULL;
        snprintf(prefix, sizeof prefix, "%s.blk.%zu.", is_decoder ? "dec" : "enc", i);
        for (size_t j = 0; j < COUNT(layer_parts); j++)
            TRY(visit_part(w, &layer_parts[j], stack, prefix, where));
        for (size_t j = 0; is_decoder && j < COUNT(cross_parts); j++)
            TRY(visit_part(w, &cross_parts[j], stack, prefix, where));
    }
    return HONE_OK;
}

/* `m` may be NULL: then `where` is NULL too. */
static hone_status visit_all(const walk *w, whisper *m) {
    const whisper_stack *enc = &w->h->encoder, *dec = &w->h->decoder;
    for (size_t i = 0; i < COUNT(encoder_parts); i++)
        TRY(visit_part(w, &encoder_parts[i], enc, "", m));
    TRY(visit_layers(w, enc, m ? m->encoder : NULL, false));
    for (size_t i = 0; i < COUNT(decoder_parts); i++)
        TRY(visit_part(w, &decoder_parts[i], dec, "", m));
    return visit_layers(w, dec, m ? m->decoder : NULL, true);
}

typedef struct plain_walk {
    hone_status (*each)(void *user, const whisper_tensor *t);
    void *user;
} plain_walk;

static hone_status visit_plainly(void *user, const whisper_tensor *t, const part *p, void *where) {
    (void)p, (void)where;
    const plain_walk *w = user;
    return w->each(w->user, t);
}

hone_status whisper_each_tensor(const whisper_hparams *h,
                                hone_status (*each)(void *user, const whisper_tensor *t),
                                void *user) {
    plain_walk plain = {each, user};
    return visit_all(&(walk){h, visit_plainly, &plain}, NULL);
}

/* --- opening --- */

typedef struct loader {
    const model_source *s;
    float *next;
    size_t n_vector_floats;
} loader;

/* A convolution [out, in, 3] as a matrix [out, 3 · in]; GGUF may hold it as the matrix. */
static hone_status find_conv(const model_source *s, const whisper_tensor *t, tensor *view) {
    tensor found;
    if (!source_find(s, t->name, &found))
        return fail(HONE_ERR_FORMAT, "%s: tensor %s is missing", s->path, t->name);
    if (found.n_dims != 3) return source_tensor(s, t->name, t->n_out, 3 * t->n_in, view);
    if (found.ne[0] != 3 || found.ne[1] != t->n_in || found.ne[2] != t->n_out)
        return fail(HONE_ERR_FORMAT,
                    "%s: tensor %s has shape [%zu, %zu, %zu], expected [%zu, %zu, 3]", s->path,
                    t->name, found.ne[2], found.ne[1], found.ne[0], t->n_out, t->n_in);
    if (found.type != DTYPE_F32 && found.type != DTYPE_F16 && found.type != DTYPE_BF16)
        return fail(HONE_ERR_UNSUPPORTED, "%s: tensor %s: a convolution of type %s", s->path,
                    t->name, dtype_get(found.type)->name);
    *view = (tensor){.data = found.data, .type = found.type, .n_dims = 2,
                     .ne = {3 * t->n_in, t->n_out, 1, 1}, .row_bytes = found.row_bytes * t->n_in};
    return HONE_OK;
}

static hone_status find_matrix(void *user, const whisper_tensor *t, const part *p, void *where) {
    loader *l = user;
    if (t->n_out == 0) {
        l->n_vector_floats += t->n_in;
        return HONE_OK;
    }
    tensor *view = (tensor *)((char *)where + p->offset); /* the first member of a whisper_linear */
    return t->is_conv ? find_conv(l->s, t, view)
                      : source_tensor(l->s, t->name, t->n_out, t->n_in, view);
}

static hone_status load_vector(void *user, const whisper_tensor *t, const part *p, void *where) {
    loader *l = user;
    if (t->n_out > 0) return HONE_OK;
    tensor view;
    TRY(source_tensor(l->s, t->name, 0, t->n_in, &view));
    quant_decode_row(view.type, l->next, view.data, t->n_in);
    for (size_t i = 0; i < t->n_in; i++)
        if (!isfinite(l->next[i]))
            return fail(HONE_ERR_NUMERIC, "%s: tensor %s: value %zu is not a finite number",
                        l->s->path, t->name, i);
    char *at = (char *)where + p->offset;
    bool is_bias = strcmp(t->name + strlen(t->name) - 4, "bias") == 0;
    if (p->n_out > NONE) ((whisper_linear *)(void *)at)->bias = l->next;
    else if (is_bias) ((whisper_norm *)(void *)at)->bias = l->next;
    else ((whisper_norm *)(void *)at)->weight = l->next;
    l->next += t->n_in;
    return HONE_OK;
}

/* The matrices first: once they are there, the file is larger than what its vectors will take. */
static hone_status load(whisper *m, const model_source *s) {
    loader l = {.s = s};
    m->encoder = mem_calloc(m->h.encoder.n_layers, sizeof *m->encoder);
    m->decoder = mem_calloc(m->h.decoder.n_layers, sizeof *m->decoder);
    if (!m->encoder || !m->decoder) return mem_fail("layers", sizeof *m->encoder);
    TRY(visit_all(&(walk){&m->h, find_matrix, &l}, m));
    m->vectors = mem_calloc(l.n_vector_floats, sizeof(float));
    if (!m->vectors) return mem_fail("norms and biases", l.n_vector_floats * sizeof(float));
    l.next = m->vectors;
    return visit_all(&(walk){&m->h, load_vector, &l}, m);
}

hone_status whisper_open(whisper *m, const model_source *s) {
    *m = (whisper){0};
    TRY(whisper_hparams_read(&m->h, s));
    hone_status status = load(m, s);
    if (status != HONE_OK) whisper_release(m);
    return status;
}

void whisper_release(whisper *m) {
    whisper_hparams_release(&m->h);
    mem_free(m->encoder);
    mem_free(m->decoder);
    mem_free(m->vectors);
    *m = (whisper){0};
}

void whisper_scratch_release(whisper_scratch *s) {
    mem_free(s->memory);
    *s = (whisper_scratch){0};
}
