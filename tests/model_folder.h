/* The models of model_files.h as Hugging Face folders: config.json, tokenizer.json and
 * model.safetensors, in F32, F16 or BF16. */
#ifndef TESTS_MODEL_FOLDER_H
#define TESTS_MODEL_FOLDER_H

#include <jansson.h>

#include "files.h"
#include "model_files.h"

static inline int made_dump(json_t *json, const char *folder, const char *name) {
    int fine = json_dump_file(json, test_path(folder, name), JSON_COMPACT) == 0;
    json_decref(json);
    return fine;
}

/* `changes` (may be NULL) replaces or adds members of config.json. */
static inline int made_write_config(const model_maker *m, const char *folder, const char *changes) {
    const hparams *h = &m->h;
    json_t *config = json_pack(
        "{s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:f, s:f}", "model_type",
        h->architecture, "hidden_act", "silu", "num_hidden_layers", (json_int_t)h->n_layers,
        "hidden_size", (json_int_t)h->n_embd, "intermediate_size", (json_int_t)h->n_ff,
        "num_attention_heads", (json_int_t)h->n_heads, "num_key_value_heads",
        (json_int_t)h->n_kv_heads, "head_dim", (json_int_t)h->head_dim, "vocab_size",
        (json_int_t)h->n_vocab, "max_position_embeddings", (json_int_t)h->n_context,
        "rms_norm_eps", (double)h->norm_eps, "rope_theta", h->rope.base);
    json_t *changed = changes ? json_loads(changes, 0, NULL) : NULL;
    if (changed) json_object_update(config, changed);
    json_decref(changed);
    return made_dump(config, folder, "config.json");
}

static inline int made_write_tokenizer(const model_maker *m, const char *folder) {
    json_t *vocab = json_object(), *merges = json_array(), *added = json_array();
    for (size_t i = 0; i < m->spec.n_tokens; i++) {
        const token_entry *t = &m->spec.tokens[i];
        json_object_set_new(vocab, t->text, json_integer((json_int_t)i));
        if (t->type == TOKEN_CONTROL)
            json_array_append_new(added, json_pack("{s:I, s:s, s:b}", "id", (json_int_t)i,
                                                   "content",
                                                   t->text, "special", 1));
    }
    for (size_t i = 0; i < m->spec.n_merges; i++) {
        const token_merge *merge = &m->spec.merges[i];
        json_array_append_new(merges, json_pack("[s%, s%]", merge->left.data, merge->left.n,
                                                merge->right.data, merge->right.n));
    }
    json_t *bytes = json_pack("{s:s, s:b, s:b, s:b}", "type", "ByteLevel", "add_prefix_space", 0,
                              "trim_offsets", 1, "use_regex", 1);
    int fine = made_dump(json_pack("{s:s, s:o, s:n, s:O, s:n, s:o, s:{s:s, s:o, s:o}}", "version",
                                   "1.0", "added_tokens", added, "normalizer", "pre_tokenizer",
                                   bytes, "post_processor", "decoder", bytes, "model", "type",
                                   "BPE",
                                   "vocab", vocab, "merges", merges), folder, "tokenizer.json");
    return fine && made_dump(json_pack("{s:s, s:s, s:s, s:b}", "bos_token", "<|endoftext|>",
                                       "eos_token", "<|im_end|>", "chat_template",
                                       m->spec.chat_template, "add_bos_token", 0),
                             folder, "tokenizer_config.json");
}

static inline int made_write_weights(const model_maker *m, const char *folder) {
    json_t *header = json_object();
    size_t at = 0, bytes[128];
    dtype type = m->r->type;
    const char *dtype_name = type == DTYPE_F16 ||
        type == DTYPE_BF16 ? dtype_get(type)->name : "F32";
    for (size_t i = 0; i < m->n_tensors; i++) {
        const made_tensor *t = &m->tensors[i];
        size_t n_rows = t->n_out ? t->n_out : 1;
        dtype_row_bytes(t->type, t->n_in, &bytes[i]);
        bytes[i] *= n_rows;
        json_t *shape = t->n_out ? json_pack("[I, I]", (json_int_t)t->n_out, (json_int_t)t->n_in)
                                 : json_pack("[I]", (json_int_t)t->n_in);
        json_object_set_new(header, t->folder_name,
                            json_pack("{s:s, s:o, s:[I, I]}", "dtype",
                                      t->n_out ? dtype_name : "F32", "shape", shape,
                                      "data_offsets", (json_int_t)at, (json_int_t)(at + bytes[i])));
        at += bytes[i];
    }
    char *text = json_dumps(header, JSON_COMPACT);
    uint64_t n = strlen(text);
    FILE *file = fopen(test_path(folder, "model.safetensors"), "wb");
    fwrite(&n, sizeof n, 1, file);
    fwrite(text, 1, n, file);
    for (size_t i = 0; i < m->n_tensors; i++) {
        char *data = malloc(bytes[i]);
        made_fill(m, &m->tensors[i], false, 0, data, bytes[i]);
        fwrite(data, 1, bytes[i], file);
        free(data);
    }
    json_decref(header);
    free(text);
    return fclose(file) == 0;
}

/* The folder exists. True when everything was written. */
static inline int model_write_folder(const model_recipe *r, const char *folder,
                                     const char *config_changes) {
    model_maker m;
    if (made_open(&m, r) != HONE_OK) return 0;
    int fine = made_write_config(&m, folder, config_changes) && made_write_tokenizer(&m, folder) &&
               made_write_weights(&m, folder);
    made_close(&m);
    return fine;
}

#endif
