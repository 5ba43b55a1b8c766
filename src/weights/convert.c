#include "weights/convert.h"

#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "format/tokenizer_spec.h"
#include "model/hparams.h"

enum { QUANTISATION_VERSION = 2 };

typedef struct planned {
    char name[64]; /* in GGUF */
    tensor view;
    dtype type;            /* wanted */
    size_t pairs_of_head;  /* recode_tensor */
} planned;

typedef struct job {
    const char *folder, *out_path;
    const quant_mix *mix;
    const recode_options *options;
    model_source source;
    hparams h;
    tokenizer_spec spec;
    gguf_writer *writer;
    recoder recoder;
    planned *tensors;
    size_t n_tensors, room;
    float *rope_divisors; /* [h.rope.n_dims / 2], or NULL */
} job;

/* --- tensors --- */

static planned *add(job *j, const char *name, const tensor *view) {
    planned *p = &j->tensors[j->n_tensors++];
    *p = (planned){.view = *view, .type = view->n_dims > 1 ? view->type : DTYPE_F32};
    snprintf(p->name, sizeof p->name, "%s", name);
    return p;
}

/* A matrix [n_out, n_in], or with n_out = 0 a vector. */
static hone_status add_tensor(job *j, const char *name, size_t n_out, size_t n_in,
                              size_t pairs_of_head) {
    tensor view;
    TRY(source_tensor(&j->source, name, n_out, n_in, &view));
    add(j, name, &view)->pairs_of_head = pairs_of_head;
    return HONE_OK;
}

static hone_status add_layer(job *j, size_t layer) {
    const hparams *h = &j->h;
    size_t q = h->n_heads * h->head_dim, kv = h->n_kv_heads * h->head_dim;
    /* llama's rotation takes neighbours in GGUF, halves in the folder */
    size_t head = strcmp(h->architecture, "llama") == 0 ? h->head_dim : 0;
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
        TRY(add_tensor(j, name, parts[i].n_out, parts[i].n_in, parts[i].pairs_of_head));
    }
    return HONE_OK;
}

/* A tied head is stored once, under either name; GGUF's readers want it as the embedding. */
static hone_status add_ends(job *j) {
    const hparams *h = &j->h;
    tensor found;
    bool has_embedding = source_find(&j->source, "token_embd.weight", &found);
    bool has_output = source_find(&j->source, "output.weight", &found);
    if (has_embedding || !has_output) {
        TRY(add_tensor(j, "token_embd.weight", h->n_vocab, h->n_embd, 0));
    } else {
        TRY(source_tensor(&j->source, "output.weight", h->n_vocab, h->n_embd, &found));
        add(j, "token_embd.weight", &found);
        has_output = false;
    }
    TRY(add_tensor(j, "output_norm.weight", 0, h->n_embd, 0));
    return has_output ? add_tensor(j, "output.weight", h->n_vocab, h->n_embd, 0) : HONE_OK;
}

/* GGUF has no key for Llama 3's scaling: the divisor of each frequency is a tensor. */
static hone_status add_rope_divisors(job *j) {
    const rope_params *rope = &j->h.rope;
    if (rope->scaling != ROPE_LLAMA3) return HONE_OK;
    size_t n = rope->n_dims / 2;
    float *plain = mem_calloc(2 * n, sizeof *plain), amplitude;
    if (!plain) return mem_fail("rope frequencies", 2 * n * sizeof *plain);
    float *scaled = plain + n;
    rope_params unscaled = *rope;
    unscaled.scaling = ROPE_PLAIN;
    rope_frequencies(&unscaled, plain, &amplitude);
    rope_frequencies(rope, scaled, &amplitude);
    for (size_t i = 0; i < n; i++) plain[i] /= scaled[i];
    j->rope_divisors = plain;
    add(j, "rope_freqs.weight",
        &(tensor){.data = plain, .type = DTYPE_F32, .n_dims = 1, .ne = {n, 1, 1, 1},
                  .row_bytes = n * sizeof *plain});
    return HONE_OK;
}

static bool is_planned(const job *j, const tensor *view) {
    for (size_t i = 0; i < j->n_tensors; i++)
        if (j->tensors[i].view.data == view->data) return true;
    return false;
}

/* A tensor that GGUF has no place for would be lost without a word. Tables of frequencies, which
 * some old folders hold, follow from the hyperparameters. */
static hone_status refuse_leftovers(const job *j) {
    for (size_t i = 0; i < safetensors_count(j->source.folder); i++) {
        const safetensors_entry *e = safetensors_at(j->source.folder, i);
        if (strstr(e->name, "rotary_emb.inv_freq") || is_planned(j, &e->view)) continue;
        return fail(HONE_ERR_UNSUPPORTED, "%s: tensor %s has no place in a GGUF file of \"%s\"",
                    j->folder, e->name, j->h.architecture);
    }
    return HONE_OK;
}

static hone_status plan(job *j) {
    j->room = 12 * j->h.n_layers + 4;
    j->tensors = mem_calloc(j->room, sizeof *j->tensors);
    if (!j->tensors) return mem_fail("tensors", j->room * sizeof *j->tensors);
    TRY(add_ends(j));
    for (size_t i = 0; i < j->h.n_layers; i++) TRY(add_layer(j, i));
    TRY(refuse_leftovers(j));
    return add_rope_divisors(j);
}

static hone_status put_tensors(job *j) {
    tensor found;
    const quant_mix_model model = {.n_layers = j->h.n_layers, .n_heads = j->h.n_heads,
                                   .n_kv_heads = j->h.n_kv_heads,
                                   .has_output = source_find(&j->source, "token_embd.weight",
                                                             &found) &&
                                                 source_find(&j->source, "output.weight", &found)};
    for (size_t i = 0; i < j->n_tensors; i++) {
        planned *p = &j->tensors[i];
        if (j->mix) p->type = quant_mix_type(j->mix, &model, p->name, &p->view);
        TRY(gguf_put_tensor(j->writer, p->name, p->type, p->view.ne, p->view.n_dims));
    }
    return HONE_OK;
}

static hone_status produce(void *user, size_t index, void *out, size_t bytes) {
    job *j = user;
    const planned *p = &j->tensors[index];
    (void)bytes;
    return recode_tensor(&j->recoder, &p->view, p->type, p->pairs_of_head, out);
}

/* --- keys --- */

static hone_status put_text(gguf_writer *w, const char *key, const char *text) {
    return gguf_put_string(w, key, text, strlen(text));
}

/* "llama" + ".block_count" */
static const char *full_key(const job *j, const char *end, char key[96]) {
    snprintf(key, 96, "%s.%s", j->h.architecture, end);
    return key;
}

static hone_status put_real(job *j, const char *end, double value) {
    char key[96];
    return gguf_put_f32(j->writer, full_key(j, end, key), (float)value);
}

static hone_status put_general(job *j) {
    char path[PATH_MAX];
    const char *name = realpath(j->folder, path) ? strrchr(path, '/') : NULL;
    uint32_t file_type = j->mix                               ? quant_mix_file_type(j->mix)
                         : j->tensors[0].view.type == DTYPE_F16  ? 1
                         : j->tensors[0].view.type == DTYPE_BF16 ? 32
                                                                 : 0;
    TRY(put_text(j->writer, "general.architecture", j->h.architecture));
    TRY(put_text(j->writer, "general.type", "model"));
    if (name && name[1]) TRY(put_text(j->writer, "general.name", name + 1));
    TRY(gguf_put_u32(j->writer, "general.file_type", file_type));
    return gguf_put_u32(j->writer, "general.quantization_version", QUANTISATION_VERSION);
}

static hone_status put_sizes(job *j) {
    const hparams *h = &j->h;
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
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        char key[96];
        TRY(gguf_put_u32(j->writer, full_key(j, sizes[i].key, key), (uint32_t)sizes[i].value));
    }
    return put_real(j, "attention.layer_norm_rms_epsilon", (double)h->norm_eps);
}

/* YaRN's factor on cos and sin; a GGUF file states it relative to the formula's. */
static hone_status put_attention_factor(job *j) {
    const rope_params *rope = &j->h.rope;
    double formula = rope->factor > 1 ? 0.1 * log(rope->factor) + 1 : 1;
    if (rope->attention_factor == 0 || fabs(rope->attention_factor / formula - 1) < 1e-6)
        return HONE_OK;
    return put_real(j, "rope.scaling.attn_factor", rope->attention_factor / formula);
}

static hone_status put_rope(job *j) {
    const rope_params *rope = &j->h.rope;
    char key[96];
    TRY(put_real(j, "rope.freq_base", rope->base));
    bool yarn = rope->scaling == ROPE_YARN;
    if (!rope->round_correction || (!yarn && rope->attention_factor > 0))
        return fail(HONE_ERR_UNSUPPORTED, "%s/config.json: GGUF cannot say \"%s\" of rope_scaling",
                    j->folder, yarn ? "truncate" : "attention_factor");
    if (!yarn && rope->scaling != ROPE_LINEAR) return HONE_OK;
    TRY(put_text(j->writer, full_key(j, "rope.scaling.type", key), yarn ? "yarn" : "linear"));
    TRY(put_real(j, "rope.scaling.factor", rope->factor));
    if (!yarn) return HONE_OK;
    TRY(gguf_put_u32(j->writer, full_key(j, "rope.scaling.original_context_length", key),
                     (uint32_t)rope->original_context));
    TRY(put_real(j, "rope.scaling.yarn_beta_fast", rope->beta_fast));
    TRY(put_real(j, "rope.scaling.yarn_beta_slow", rope->beta_slow));
    return put_attention_factor(j);
}

/* --- all of it --- */

static hone_status open_folder(job *j) {
    TRY(source_open(&j->source, j->folder));
    if (j->source.gguf)
        return fail(HONE_ERR_ARGUMENT, "%s is a GGUF file already; hone quantize changes its types",
                    j->folder);
    TRY(hparams_read(&j->h, &j->source));
    return tokenizer_spec_from_folder(&j->spec, j->folder);
}

static uint64_t weight_bytes(const job *j) {
    uint64_t total = 0;
    for (size_t i = 0; i < j->n_tensors; i++)
        total += j->tensors[i].view.ne[1] * j->tensors[i].view.row_bytes;
    return total;
}

static hone_status convert(job *j) {
    TRY(open_folder(j));
    TRY(recode_check_output(j->out_path, j->folder, j->options->replace));
    TRY(plan(j));
    TRY(recoder_init(&j->recoder, j->options, weight_bytes(j)));
    TRY(gguf_writer_open(&j->writer));
    TRY(put_general(j));
    TRY(put_sizes(j));
    TRY(put_rope(j));
    TRY(tokenizer_spec_to_gguf(j->writer, &j->spec, j->h.n_vocab, j->folder));
    TRY(put_tensors(j));
    return gguf_write(j->writer, j->out_path, produce, j);
}

hone_status convert_folder(const char *folder, const char *out, const quant_mix *mix,
                           const recode_options *options, convert_result *result) {
    job j = {.folder = folder, .out_path = out, .mix = mix, .options = options};
    hone_status status = convert(&j);
    if (status == HONE_OK && result) {
        struct stat st;
        *result = (convert_result){.architecture = j.h.architecture, .n_tensors = j.n_tensors,
                                   .in_bytes = source_file_bytes(&j.source)};
        if (stat(out, &st) == 0) result->out_bytes = (uint64_t)st.st_size;
    }
    gguf_writer_close(j.writer);
    recoder_release(&j.recoder);
    mem_free(j.rope_divisors);
    mem_free(j.tensors);
    tokenizer_spec_release(&j.spec);
    source_release(&j.source);
    return status;
}
