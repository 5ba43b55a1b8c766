/* Where a model's weights and description come from: a GGUF file, a Hugging Face folder, or a
 * Whisper model in another program's form (CTranslate2's folder, whisper.cpp's file, OpenAI's
 * checkpoint).
 *
 * Tensors are asked for by their GGUF name ("blk.0.attn_q.weight"); in a folder the name is
 * translated ("model.layers.0.self_attn.q_proj.weight"). Views point into the mapped files. */
#ifndef MODEL_SOURCE_H
#define MODEL_SOURCE_H

#include "base/json.h"
#include "format/gguf.h"
#include "format/safetensors.h"
#include "format/tensor_table.h"
#include "format/tokenizer_ranks.h"

typedef struct model_source {
    char *path;
    gguf *gguf;          /* either this … */
    safetensors *folder; /* … or this, with `config` … */
    tensor_table *table; /* … or this, under GGUF names, with `config` as it would be */
    tensor_table *raw;   /* what `table` points into: the file's own tensors */
    ranked_texts texts;  /* the vocabulary of a file that has it in this form; else empty */
    json_t *config;      /* config.json */
} model_source;

/* Errors name the path; what is none of these is HONE_ERR_FORMAT. */
hone_status source_open(model_source *s, const char *path);
void source_release(model_source *s);
size_t source_file_bytes(const model_source *s);
/* Memory for the lists of keys and tensors, about. */
size_t source_table_bytes(const model_source *s);
hone_status source_take_in(model_source *s); /* file_map_take_in for all files */
void source_forget(const model_source *s); /* file_map_forget for all files */

/* The tokenizer that comes with the weights. */
hone_status source_tokenizer(const model_source *s, tokenizer_spec *spec);

/* False when there is none of that name. */
bool source_find(const model_source *s, const char *gguf_name, tensor *view);

/* A matrix [n_out, n_in] of any weight type, or with n_out = 0 a vector [n_in]. HONE_ERR_FORMAT
 * names the tensor, the shape that was expected and the one that was found. */
hone_status source_tensor(const model_source *s, const char *gguf_name, size_t n_out, size_t n_in,
                          tensor *view);

enum { SOURCE_MAX_NAME = 128 };

/* A name in a folder of the tensor that GGUF calls `gguf_name`, and the way back; for layers any
 * ending is kept (".weight", ".bias"). Families may call one thing by several names: they count
 * from `nth` = 0. False for names that have no (further) counterpart, or where the counterpart does
 * not fit into out[n]. */
bool source_folder_name(const char *gguf_name, size_t nth, char *out, size_t n);
bool source_gguf_name(const char *folder_name, char *out, size_t n);

/* Calls `each` for every tensor of the source, under the file's own name (not NUL-terminated). */
void source_each(const model_source *s,
                 void (*each)(void *user, gguf_string name, const tensor *view, size_t bytes),
                 void *user);

#endif
