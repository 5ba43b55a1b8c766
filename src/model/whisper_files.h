/* Whisper in the forms of other programs: sources whose tensors lie under GGUF names in a table,
 * and whose config.json is made from what the file says (docs/models/whisper.md).
 *
 * Each fills s->table and s->config; s->path is set. On failure the caller releases `s`. */
#ifndef MODEL_WHISPER_FILES_H
#define MODEL_WHISPER_FILES_H

#include "model/source.h"

/* A folder with CTranslate2's model.bin. */
hone_status source_open_ct2(model_source *s);

/* whisper.cpp's file, and OpenAI's checkpoint with its vocabulary beside it; the caller keeps the
 * map and hands it to s->raw when there is one. */
hone_status source_open_whisper_ggml(model_source *s, const file_map *map);
hone_status source_open_pytorch(model_source *s, const file_map *map);

/* Tokens of the model in s->table: rows of its embedding, or 0. */
size_t source_whisper_vocabulary(const model_source *s);

/* For the openers: "config.json" of a Whisper model whose tensors are in s->table. */
hone_status whisper_make_config(model_source *s, size_t encoder_heads, size_t decoder_heads);

#endif
