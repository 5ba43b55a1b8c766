/* whisper.cpp's own model files ("ggml-base.bin"): bytes in, views out (docs/formats.md). */
#ifndef FORMAT_WHISPER_GGML_H
#define FORMAT_WHISPER_GGML_H

#include <stdint.h>

#include "format/tensor_table.h"
#include "format/tokenizer_ranks.h"

typedef struct whisper_ggml {
    int32_t n_vocab, n_audio_context, n_audio_width, n_audio_heads, n_audio_layers;
    int32_t n_text_context, n_text_width, n_text_heads, n_text_layers, n_mels, file_type;
    int32_t n_filter_mels, n_filter_bins;
    const uint8_t *filters; /* [n_filter_mels, n_filter_bins] little-endian floats, unaligned */
    ranked_texts texts;     /* the vocabulary without special tokens */
    tensor_table *tensors;  /* OpenAI's names: "encoder.blocks.0.attn.query.weight" */
} whisper_ggml;

/* Whether the bytes begin like one. */
bool whisper_ggml_is(const uint8_t *data, size_t size);

/* Views point into the bytes, which must outlive them. All numbers are positive and the lengths lie
 * within the file; whether they make a model is the caller's question. `name` stands for the file
 * in errors. */
hone_status whisper_ggml_parse(whisper_ggml *out, const uint8_t *data, size_t size,
                               const char *name);
void whisper_ggml_release(whisper_ggml *w);

#endif
