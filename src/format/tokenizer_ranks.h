/* Vocabularies that are a list of byte strings by rank and nothing else: tiktoken's files, and what
 * whisper.cpp keeps in its models. Byte-level BPE merges follow from the ranks. */
#ifndef FORMAT_TOKENIZER_RANKS_H
#define FORMAT_TOKENIZER_RANKS_H

#include "format/tokenizer_spec.h"

/* Byte strings by id; the views' memory is `memory` (or elsewhere). */
typedef struct ranked_texts {
    gguf_string *items;
    size_t n, room;
    char *memory;
} ranked_texts;

void ranked_texts_release(ranked_texts *texts);

/* Appends a view. HONE_ERR_FORMAT beyond some 250,000 texts, or 256 bytes. */
hone_status ranked_texts_add(ranked_texts *texts, const char *bytes, size_t n);

/* A tiktoken file: lines of a text in base64 and its rank, in order from 0. `name` stands for the
 * file in errors. */
hone_status ranked_texts_parse(ranked_texts *texts, const char *file, size_t n, const char *name);

/* Whisper's tokenizer of a model with n_vocab tokens: the texts, of which those are passed over
 * that stand where special tokens belong, and the special tokens by OpenAI's rule, timestamps left
 * out. The spec owns all that it points to. HONE_ERR_FORMAT when the numbers do not fit. */
hone_status tokenizer_spec_from_whisper_ranks(tokenizer_spec *spec, const ranked_texts *texts,
                                              size_t n_vocab, const char *name);

#endif
