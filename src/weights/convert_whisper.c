/* Whisper (model/whisper.h), from any form that model/source.h reads. */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "model/whisper.h"
#include "weights/convert_int.h"

typedef struct whisper_own {
    whisper_hparams h;
    tokenizer_spec spec;
} whisper_own;

static hone_status open_whisper(convert_job *j) {
    whisper_own *own = j->own = mem_calloc(1, sizeof *own);
    if (!own) return mem_fail("conversion", sizeof *own);
    TRY(whisper_hparams_read(&own->h, &j->source));
    const whisper_stack *dec = &own->h.decoder;
    j->architecture = "whisper";
    j->shape = (quant_mix_model){.n_layers = dec->n_layers, .n_heads = dec->n_heads,
                                 .n_kv_heads = dec->n_heads};
    return source_tokenizer(&j->source, &own->spec);
}

static void release_whisper(convert_job *j) {
    whisper_own *own = j->own;
    if (!own) return;
    whisper_hparams_release(&own->h);
    tokenizer_spec_release(&own->spec);
    mem_free(own);
}

/* --- tensors --- */

/* A convolution keeps its three dimensions. */
static hone_status add_conv(convert_job *j, const whisper_tensor *t) {
    tensor view;
    if (!source_find(&j->source, t->name, &view))
        return fail(HONE_ERR_FORMAT, "%s: tensor %s is missing", j->folder, t->name);
    if (view.n_dims != 3 || view.ne[0] != 3 || view.ne[1] != t->n_in || view.ne[2] != t->n_out)
        return fail(HONE_ERR_FORMAT, "%s: tensor %s: expected the shape [%zu, %zu, 3]", j->folder,
                    t->name, t->n_out, t->n_in);
    return convert_add(j, t->name, &view, 0);
}

static hone_status add_tensor(void *user, const whisper_tensor *t) {
    convert_job *j = user;
    return t->is_conv ? add_conv(j, t) : convert_add_named(j, t->name, t->n_out, t->n_in, 0);
}

static hone_status plan_whisper(convert_job *j) {
    const whisper_own *own = j->own;
    return whisper_each_tensor(&own->h, add_tensor, j);
}

/* The head is the embedding; some folders hold it twice. */
static bool is_head(const char *name) { return strcmp(name, "proj_out.weight") == 0; }

/* --- keys --- */

static hone_status put_stack(convert_job *j, const char *prefix, const whisper_stack *stack) {
    const struct {
        const char *key;
        size_t value;
    } counts[] = {
        {"context_length", stack->n_context},   {"embedding_length", stack->n_embd},
        {"block_count", stack->n_layers},       {"feed_forward_length", stack->n_ff},
        {"attention.head_count", stack->n_heads},
    };
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        char key[64];
        snprintf(key, sizeof key, "%s.%s", prefix, counts[i].key);
        TRY(convert_put_count(j, key, counts[i].value));
    }
    return HONE_OK;
}

static hone_status put_heads(convert_job *j, const whisper_hparams *h) {
    uint32_t pairs[2 * WHISPER_MAX_HEADS];
    for (size_t i = 0; i < h->n_heads; i++) {
        pairs[2 * i] = h->heads[i].layer;
        pairs[2 * i + 1] = h->heads[i].head;
    }
    return gguf_put_array(j->writer, "whisper.alignment_heads", GGUF_U32, pairs, 2 * h->n_heads);
}

static hone_status put_ids(convert_job *j, const char *key, const int32_t *ids, size_t n) {
    return ids ? gguf_put_array(j->writer, key, GGUF_I32, ids, n) : HONE_OK;
}

static hone_status put_whisper_keys(convert_job *j) {
    const whisper_own *own = j->own;
    const whisper_hparams *h = &own->h;
    TRY(convert_put_count(j, "encoder.mel_bands", h->n_mels));
    TRY(put_stack(j, "encoder", &h->encoder));
    TRY(put_stack(j, "decoder", &h->decoder));
    TRY(convert_put_count(j, "vocab_size", h->n_vocab));
    TRY(gguf_put_bool(j->writer, "whisper.multilingual", h->multilingual));
    TRY(put_heads(j, h));
    TRY(put_ids(j, "whisper.suppress_tokens", h->suppress, h->n_suppress));
    return put_ids(j, "whisper.begin_suppress_tokens", h->begin_suppress, h->n_begin_suppress);
}

static hone_status put_whisper_tokenizer(convert_job *j) {
    const whisper_own *own = j->own;
    return tokenizer_spec_to_gguf(j->writer, &own->spec, own->h.n_vocab, j->folder);
}

const convert_family convert_whisper = {
    .model_types = (const char *const[]){"whisper", NULL},
    .open = open_whisper,
    .plan = plan_whisper,
    .put_keys = put_whisper_keys,
    .put_tokenizer = put_whisper_tokenizer,
    .release = release_whisper,
    .is_redundant = is_head,
};
