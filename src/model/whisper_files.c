#include "model/whisper_files.h"

#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"

/* Size `dim` (ne's order) of a tensor that must be there with so many dimensions. */
static hone_status size_of(const model_source *s, const char *name, uint32_t n_dims, size_t dim,
                           size_t *size) {
    const named_tensor *t = tensor_table_find(s->table, name);
    if (!t || t->view.n_dims != n_dims)
        return fail(HONE_ERR_FORMAT, "%s: tensor %s is missing or has not %u dimensions", s->path,
                    name, n_dims);
    *size = t->view.ne[dim];
    return HONE_OK;
}

static size_t count_layers(const model_source *s, const char *stack) {
    char name[64];
    for (size_t n = 0;; n++) {
        snprintf(name, sizeof name, "%s.blk.%zu.attn_q.weight", stack, n);
        if (!tensor_table_find(s->table, name)) return n;
    }
}

size_t source_whisper_vocabulary(const model_source *s) {
    const named_tensor *t = tensor_table_find(s->table, "token_embd.weight");
    return t && t->view.n_dims == 2 ? t->view.ne[1] : 0;
}

hone_status whisper_make_config(model_source *s, size_t encoder_heads, size_t decoder_heads) {
    size_t mels = 0, audio_context = 0, text_context = 0, width = 0, encoder_ff = 0, decoder_ff = 0;
    TRY(size_of(s, "enc.conv1.weight", 3, 1, &mels));
    TRY(size_of(s, "enc.position_embd.weight", 2, 1, &audio_context));
    TRY(size_of(s, "dec.position_embd.weight", 2, 1, &text_context));
    TRY(size_of(s, "token_embd.weight", 2, 0, &width));
    TRY(size_of(s, "enc.blk.0.ffn_up.weight", 2, 1, &encoder_ff));
    TRY(size_of(s, "dec.blk.0.ffn_up.weight", 2, 1, &decoder_ff));
    json_use_mem();
    s->config = json_pack("{ss sI sI sI sI sI sI sI sI sI sI}", "model_type", "whisper",
                          "num_mel_bins", (json_int_t)mels,
                          "max_source_positions", (json_int_t)audio_context,
                          "max_target_positions", (json_int_t)text_context,
                          "d_model", (json_int_t)width,
                          "encoder_layers", (json_int_t)count_layers(s, "enc"),
                          "decoder_layers", (json_int_t)count_layers(s, "dec"),
                          "encoder_ffn_dim", (json_int_t)encoder_ff,
                          "decoder_ffn_dim", (json_int_t)decoder_ff,
                          "encoder_attention_heads", (json_int_t)encoder_heads,
                          "decoder_attention_heads", (json_int_t)decoder_heads);
    return s->config ? HONE_OK : mem_fail("config.json", 0);
}
