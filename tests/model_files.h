/* Small models for tests: random ones, or copies of a reference model in other types and files.
 *
 *     model_recipe r = {.type = DTYPE_Q8_0};                    random weights, width 64
 *     model_recipe r = {.from = folder, .type = DTYPE_Q4_K};    a quantised copy of a folder
 *     CHECK_OK(model_write_gguf(&r, path));
 *
 * The same recipe gives the same file. Llama's q and k rows are permuted to GGUF's neighbouring
 * pairs where the origin has them in halves (docs/models/llama.md). */
#ifndef TESTS_MODEL_FILES_H
#define TESTS_MODEL_FILES_H

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "format/gguf.h"
#include "format/tokenizer_spec.h"
#include "model/hparams.h"
#include "tensor/quant.h"

typedef struct model_recipe {
    const char *from;         /* a folder or a GGUF file; NULL = random weights */
    const char *architecture; /* of random models; NULL = "llama" */
    size_t width;             /* of random models, a multiple of 64; 0 = 64 */
    size_t n_layers;          /* 0 = 2, or as many as the origin has */
    size_t n_context;         /* 0 = 256, or the origin's */
    unsigned seed;            /* another one, other random weights */
    dtype type;               /* of the matrices; Q8_0 or F16 where their rows do not allow it */
    float noise;              /* added to the matrices, relative to 1 / sqrt(inputs) */
    int part, n_parts;        /* of a split file, from 1; 0 = all in one */
    const char *leave_out;    /* a tensor by its GGUF name */
    const char *reshape;      /* a tensor that gets a row less */
    const char *key;          /* this key ("llama.block_count") gets `value` */
    uint64_t value;
    const char *text_key, *text; /* this one gets a text */
    /* Changes the bytes of a tensor before they are written. */
    void (*spoil)(const char *name, dtype type, void *bytes, size_t n_bytes);
} model_recipe;

typedef struct made_tensor {
    char name[64], folder_name[80];
    size_t n_in, n_out; /* n_out 0: a vector */
    dtype type;
} made_tensor;

typedef struct model_maker {
    const model_recipe *r;
    model_source source;
    hparams h;
    tokenizer_spec spec;
    made_tensor tensors[128];
    size_t n_tensors, first; /* `first` of those in this file */
    bool has_output;
} model_maker;

/* --- a random model's numbers --- */

static inline uint64_t made_hash(uint64_t x) { /* splitmix64, Steele et al. 2014 */
    x += 0x9e3779b97f4a7c15;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
    x = (x ^ x >> 27) * 0x94d049bb133111eb;
    return x ^ x >> 31;
}

/* Deviation about 1. */
static inline float made_normal(uint64_t *state) {
    uint64_t bits = made_hash((*state)++);
    int sum = (int)(bits & 0xffff) + (int)(bits >> 16 & 0xffff) + (int)(bits >> 32 & 0xffff) +
              (int)(bits >> 48);
    return (float)(sum - 2 * 65535) * (1.7320508f / 65536.0f);
}

static inline uint64_t made_state(const made_tensor *t, size_t row, unsigned seed) {
    uint64_t state = seed;
    for (const char *c = t->name; *c; c++) state = made_hash(state ^ (uint8_t)*c);
    return made_hash(state + row) & 0xffffffffffff;
}

/* Three control tokens, the bytes, six words; the rest of the 272 rows is padding. */
enum { MADE_END = 0, MADE_TURN = 1, MADE_TURN_END = 2, MADE_BYTES = 3, MADE_TOKENS = 265,
       MADE_VOCABULARY = 272 };

static inline void made_vocabulary(tokenizer_spec *spec) {
    static const char *const control[] = {"<|endoftext|>", "<|im_start|>", "<|im_end|>"};
    static const char *const words[] = {"he", "\xc4\xa0t", "\xc4\xa0the", "in", "on", "an"};
    static const token_merge merges[] = {{{"h", 1}, {"e", 1}}, {{"\xc4\xa0", 2}, {"t", 1}},
                                         {{"\xc4\xa0t", 3}, {"he", 2}}, {{"i", 1}, {"n", 1}},
                                         {{"o", 1}, {"n", 1}}, {{"a", 1}, {"n", 1}}};
    static char bytes[256][4];
    token_entry *tokens = calloc(MADE_TOKENS, sizeof *tokens);
    uint32_t next = 0x100;
    for (int b = 0; b < 256; b++) { /* GPT-2's visible characters for bytes */
        bool visible = (b >= 33 && b <= 126) || (b >= 161 && b != 173);
        uint32_t c = visible ? (uint32_t)b : next++;
        if (c < 0x80)
            snprintf(bytes[b], 4, "%c", (int)c);
        else
            snprintf(bytes[b], 4, "%c%c", (int)(0xc0 | c >> 6), (int)(0x80 | (c & 0x3f)));
    }
    for (int i = 0; i < MADE_TOKENS; i++) {
        const char *text = i < MADE_BYTES         ? control[i]
                         : i < MADE_BYTES + 256 ? bytes[i - MADE_BYTES]
                                                : words[i - MADE_BYTES - 256];
        tokens[i] = (token_entry){.text = text, .n = (uint32_t)strlen(text),
                                  .type = i < MADE_BYTES ? TOKEN_CONTROL : TOKEN_NORMAL};
    }
    *spec = (tokenizer_spec){.model = TOKENIZER_BPE_BYTES, .split = SPLIT_GPT2, .tokens = tokens,
                             .n_tokens = MADE_TOKENS, .merges = (token_merge *)merges,
                             .n_merges = 6,
                             .bos = MADE_END, .eos = MADE_TURN_END, .unk = -1, .pad = -1,
                             .chat_template =
        "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
        "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"};
}

static inline void made_hparams(hparams *h, const model_recipe *r) {
    size_t width = r->width ? r->width : 64;
    *h = (hparams){.architecture = r->architecture ? r->architecture : "llama", .n_layers = 2,
                   .n_embd = width, .n_ff = 2 * width, .n_heads = width / 32,
                   .n_kv_heads = width / 64, .head_dim = 32, .n_vocab = MADE_VOCABULARY,
                   .n_context = 256, .norm_eps = 1e-5f};
    h->qkv_bias = strcmp(h->architecture, "qwen2") == 0;
    h->rope = (rope_params){.n_dims = 32, .base = 10000, .factor = 1};
}

/* --- the tensors --- */

static inline void made_add(model_maker *m, const char *name, const char *folder_name, size_t n_in,
                            size_t n_out) {
    static const dtype fallbacks[] = {DTYPE_Q8_0, DTYPE_F16};
    dtype type = n_out ? m->r->type : DTYPE_F32;
    for (int i = 0; i < 2 && n_in % dtype_get(type)->block; i++) type = fallbacks[i];
    made_tensor *t = &m->tensors[m->n_tensors++];
    *t = (made_tensor){.n_in = n_in, .n_out = n_out, .type = type};
    snprintf(t->name, sizeof t->name, "%s", name);
    snprintf(t->folder_name, sizeof t->folder_name, "%s", folder_name);
    if (m->r->leave_out && strcmp(name, m->r->leave_out) == 0) m->n_tensors--;
    if (m->r->reshape && strcmp(name, m->r->reshape) == 0) n_out ? t->n_out-- : t->n_in--;
}

static inline void made_add_layer(model_maker *m, size_t layer) {
    const hparams *h = &m->h;
    size_t q = h->n_heads * h->head_dim, kv = h->n_kv_heads * h->head_dim;
    const struct {
        const char *name, *folder;
        size_t n_in, n_out;
        bool is_bias;
    } parts[] = {
        {"attn_norm.weight", "input_layernorm.weight", h->n_embd, 0, false},
        {"attn_q.weight", "self_attn.q_proj.weight", h->n_embd, q, false},
        {"attn_k.weight", "self_attn.k_proj.weight", h->n_embd, kv, false},
        {"attn_v.weight", "self_attn.v_proj.weight", h->n_embd, kv, false},
        {"attn_q.bias", "self_attn.q_proj.bias", q, 0, true},
        {"attn_k.bias", "self_attn.k_proj.bias", kv, 0, true},
        {"attn_v.bias", "self_attn.v_proj.bias", kv, 0, true},
        {"attn_output.weight", "self_attn.o_proj.weight", q, h->n_embd, false},
        {"ffn_norm.weight", "post_attention_layernorm.weight", h->n_embd, 0, false},
        {"ffn_gate.weight", "mlp.gate_proj.weight", h->n_embd, h->n_ff, false},
        {"ffn_up.weight", "mlp.up_proj.weight", h->n_embd, h->n_ff, false},
        {"ffn_down.weight", "mlp.down_proj.weight", h->n_ff, h->n_embd, false},
    };
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        char name[64], folder[80];
        if (parts[i].is_bias && !h->qkv_bias) continue;
        snprintf(name, sizeof name, "blk.%zu.%s", layer, parts[i].name);
        snprintf(folder, sizeof folder, "model.layers.%zu.%s", layer, parts[i].folder);
        made_add(m, name, folder, parts[i].n_in, parts[i].n_out);
    }
}

static inline void made_add_all(model_maker *m) {
    const hparams *h = &m->h;
    made_add(m, "token_embd.weight", "model.embed_tokens.weight", h->n_embd, h->n_vocab);
    for (size_t i = 0; i < h->n_layers; i++) made_add_layer(m, i);
    made_add(m, "output_norm.weight", "model.norm.weight", h->n_embd, 0);
    if (m->has_output) made_add(m, "output.weight", "lm_head.weight", h->n_embd, h->n_vocab);
}

/* Row `row` of the tensor as the origin orders it. */
static inline void made_row(const model_maker *m, const made_tensor *t, size_t row, float *out) {
    uint64_t state = made_state(t, row, m->r->seed);
    float deviation = t->n_out ? 1.0f / sqrtf((float)t->n_in) : 0.1f;
    if (m->r->from) {
        tensor view;
        if (!source_find(&m->source, t->name, &view) && /* a head stored under its name only */
            !source_find(&m->source, "output.weight", &view)) abort();
        quant_decode_row(view.type, out, t->n_out ? tensor_row(&view, row) : view.data, t->n_in);
    } else {
        for (size_t i = 0; i < t->n_in; i++) out[i] = made_normal(&state) * deviation;
        if (strstr(t->name, "norm")) for (size_t i = 0; i < t->n_in; i++) out[i] += 1;
    }
    for (size_t i = 0; i < t->n_in && t->n_out && m->r->noise > 0; i++)
        out[i] += made_normal(&state) * m->r->noise * deviation;
}

/* The origin's row that stands at `row` of a GGUF file. */
static inline size_t made_gguf_row(const model_maker *m, const made_tensor *t, size_t row) {
    bool halves = !m->source.gguf && strcmp(m->h.architecture, "llama") == 0;
    if (!halves) return row;
    if (!strstr(t->name, "attn_q.weight") && !strstr(t->name, "attn_k.weight")) return row;
    size_t dim = m->h.head_dim, in_head = row % dim;
    return row - in_head + in_head % 2 * (dim / 2) + in_head / 2;
}

static inline hone_status made_fill(const model_maker *m, const made_tensor *t, bool gguf_order,
                                    size_t offset, char *out, size_t bytes) {
    size_t coded_bytes;
    dtype_row_bytes(t->type, t->n_in, &coded_bytes);
    size_t first = offset / coded_bytes, n_rows = bytes / coded_bytes;
    float *row = malloc(t->n_in * sizeof *row);
    char *coded = malloc(coded_bytes);
    hone_status status = HONE_OK;
    for (size_t i = 0; i < n_rows && status == HONE_OK; i++) {
        made_row(m, t, gguf_order ? made_gguf_row(m, t, first + i) : first + i, row);
        status = quant_encode_row(t->type, coded, row, t->n_in, NULL);
        memcpy(out + i * coded_bytes, coded, coded_bytes);
    }
    if (m->r->spoil && status == HONE_OK && offset == 0)
        m->r->spoil(t->name, t->type, out, bytes);
    free(coded);
    free(row);
    return status;
}

/* --- GGUF --- */

static inline hone_status made_number(const model_maker *m, gguf_writer *w, const char *end,
                                      uint64_t value) {
    char key[96];
    snprintf(key, sizeof key, "%s.%s", m->h.architecture, end);
    bool changed = m->r->key && strcmp(key, m->r->key) == 0;
    return changed ? gguf_put_u64(w, key, m->r->value) : gguf_put_u32(w, key, (uint32_t)value);
}

static inline hone_status made_real(const model_maker *m, gguf_writer *w, const char *end,
                                    double value) {
    char key[96];
    snprintf(key, sizeof key, "%s.%s", m->h.architecture, end);
    return gguf_put_f32(w, key, (float)value);
}

static inline hone_status made_put_hparams(const model_maker *m, gguf_writer *w) {
    const hparams *h = &m->h;
    TRY(gguf_put_string(w, "general.architecture", h->architecture, strlen(h->architecture)));
    const struct {
        const char *key;
        size_t value;
    } numbers[] = {
        {"block_count", h->n_layers},           {"context_length", h->n_context},
        {"embedding_length", h->n_embd},        {"feed_forward_length", h->n_ff},
        {"attention.head_count", h->n_heads},   {"attention.head_count_kv", h->n_kv_heads},
        {"attention.key_length", h->head_dim},  {"attention.value_length", h->head_dim},
        {"rope.dimension_count", h->rope.n_dims},
    };
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        TRY(made_number(m, w, numbers[i].key, numbers[i].value));
    TRY(made_real(m, w, "rope.freq_base", h->rope.base));
    if (m->r->text) TRY(gguf_put_string(w, m->r->text_key, m->r->text, strlen(m->r->text)));
    return made_real(m, w, "attention.layer_norm_rms_epsilon", h->norm_eps);
}

static inline hone_status made_put_tokens(gguf_writer *w, const tokenizer_spec *s) {
    gguf_string *texts = calloc(s->n_tokens, sizeof *texts);
    float *scores = calloc(s->n_tokens, sizeof *scores);
    int32_t *types = calloc(s->n_tokens, sizeof *types);
    for (size_t i = 0; i < s->n_tokens; i++) {
        texts[i] = (gguf_string){s->tokens[i].text, s->tokens[i].n};
        scores[i] = s->tokens[i].score;
        types[i] = s->tokens[i].type;
    }
    hone_status status = gguf_put_strings(w, "tokenizer.ggml.tokens", texts, s->n_tokens);
    if (status == HONE_OK)
        status = gguf_put_array(w, "tokenizer.ggml.scores", GGUF_F32, scores, s->n_tokens);
    if (status == HONE_OK)
        status = gguf_put_array(w, "tokenizer.ggml.token_type", GGUF_I32, types, s->n_tokens);
    free(texts);
    free(scores);
    free(types);
    return status;
}

static inline hone_status made_put_merges(gguf_writer *w, const tokenizer_spec *s) {
    gguf_string *texts = calloc(s->n_merges, sizeof *texts);
    for (size_t i = 0; i < s->n_merges; i++) {
        const token_merge *merge = &s->merges[i];
        texts[i].n = merge->left.n + 1 + merge->right.n;
        char *text = malloc(texts[i].n + 1);
        snprintf(text, texts[i].n + 1, "%.*s %.*s", (int)merge->left.n, merge->left.data,
                 (int)merge->right.n, merge->right.data);
        texts[i].data = text;
    }
    hone_status status = gguf_put_strings(w, "tokenizer.ggml.merges", texts, s->n_merges);
    for (size_t i = 0; i < s->n_merges; i++) free((char *)texts[i].data);
    free(texts);
    return status;
}

static inline hone_status made_put_tokenizer(gguf_writer *w, const tokenizer_spec *s) {
    static const char *const splits[] = {
        [SPLIT_GPT2] = "gpt-2", [SPLIT_QWEN2] = "qwen2", [SPLIT_LLAMA3] = "llama-bpe",
        [SPLIT_SMOLLM] = "smollm", [SPLIT_DEEPSEEK_LLM] = "deepseek-llm",
        [SPLIT_DEFAULT] = "default"};
    bool spm = s->model == TOKENIZER_SPM;
    const char *model = spm ? "llama" : s->model == TOKENIZER_BPE_CHARS ? "gemma4" : "gpt2";
    const char *split = s->model == TOKENIZER_BPE_BYTES ? splits[s->split] : "default";
    TRY(gguf_put_string(w, "tokenizer.ggml.model", model, strlen(model)));
    TRY(gguf_put_string(w, "tokenizer.ggml.pre", split, strlen(split)));
    TRY(made_put_tokens(w, s));
    if (!spm) TRY(made_put_merges(w, s));
    if (s->bos >= 0) TRY(gguf_put_u32(w, "tokenizer.ggml.bos_token_id", (uint32_t)s->bos));
    if (s->eos >= 0) TRY(gguf_put_u32(w, "tokenizer.ggml.eos_token_id", (uint32_t)s->eos));
    TRY(gguf_put_bool(w, "tokenizer.ggml.add_bos_token", s->add_bos));
    if (!s->chat_template) return HONE_OK;
    return gguf_put_string(w, "tokenizer.chat_template", s->chat_template,
                           strlen(s->chat_template));
}

static inline hone_status made_produce(void *user, size_t index, size_t offset, void *out,
                                       size_t bytes) {
    const model_maker *m = user;
    return made_fill(m, &m->tensors[m->first + index], true, offset, out, bytes);
}

static inline hone_status made_write(model_maker *m, gguf_writer *w, const char *path) {
    size_t end = m->n_tensors;
    if (m->r->n_parts) {
        m->first = (size_t)(m->r->part - 1) * m->n_tensors / (size_t)m->r->n_parts;
        end = (size_t)m->r->part * m->n_tensors / (size_t)m->r->n_parts;
        TRY(gguf_put_u32(w, "split.no", (uint32_t)m->r->part - 1));
        TRY(gguf_put_u32(w, "split.count", (uint32_t)m->r->n_parts));
        TRY(gguf_put_i32(w, "split.tensors.count", (int32_t)m->n_tensors));
    }
    if (m->r->part <= 1) {
        TRY(made_put_hparams(m, w));
        TRY(made_put_tokenizer(w, &m->spec));
    }
    for (size_t i = m->first; i < end; i++) {
        const made_tensor *t = &m->tensors[i];
        TRY(gguf_put_tensor(w, t->name, t->type, (size_t[]){t->n_in, t->n_out ? t->n_out : 1},
                            t->n_out ? 2 : 1));
    }
    return gguf_write(w, path, made_produce, m);
}

/* --- both --- */

static inline hone_status made_open(model_maker *m, const model_recipe *r) {
    tensor view;
    *m = (model_maker){.r = r, .has_output = true};
    if (r->from) {
        TRY(source_open(&m->source, r->from));
        TRY(hparams_read(&m->h, &m->source));
        TRY(m->source.gguf ? tokenizer_spec_from_gguf(&m->spec, m->source.gguf, r->from)
                           : tokenizer_spec_from_folder(&m->spec, r->from));
        m->has_output = source_find(&m->source, "output.weight", &view);
    } else {
        made_hparams(&m->h, r);
        made_vocabulary(&m->spec);
    }
    if (r->n_layers) m->h.n_layers = r->n_layers;
    if (r->n_context) m->h.n_context = r->n_context;
    made_add_all(m);
    return HONE_OK;
}

static inline void made_close(model_maker *m) {
    if (m->r->from) {
        tokenizer_spec_release(&m->spec);
        source_release(&m->source);
    } else {
        free(m->spec.tokens);
    }
}

static inline hone_status model_write_gguf(const model_recipe *r, const char *path) {
    model_maker m;
    gguf_writer *w = NULL;
    hone_status status = made_open(&m, r);
    if (status == HONE_OK) status = gguf_writer_open(&w);
    if (status == HONE_OK) status = made_write(&m, w, path);
    gguf_writer_close(w);
    made_close(&m);
    return status;
}

#endif
