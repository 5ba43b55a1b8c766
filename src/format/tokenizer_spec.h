/* What a model file says about its tokenizer: arrays and flags, whatever file they came from.
 *
 * `tokenizer_spec_from_gguf` reads tokenizer.ggml.*; `tokenizer_spec_from_folder` reads
 * tokenizer.json, tokenizer_config.json, generation_config.json and chat_template.jinja of a
 * Hugging Face folder. text/tokenizer.h makes a working tokenizer of it. */
#ifndef FORMAT_TOKENIZER_SPEC_H
#define FORMAT_TOKENIZER_SPEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/json.h"
#include "base/status.h"
#include "format/gguf.h"

typedef enum token_type { /* GGUF's numbers */
    TOKEN_NORMAL = 1, TOKEN_UNKNOWN = 2, TOKEN_CONTROL = 3, TOKEN_USER_DEFINED = 4,
    TOKEN_UNUSED = 5, TOKEN_BYTE = 6
} token_type;

typedef enum tokenizer_model {
    TOKENIZER_BPE_BYTES,  /* byte-level BPE by merge ranks ("gpt2") */
    TOKENIZER_SPM,        /* SentencePiece BPE by scores, byte fallback ("llama") */
    TOKENIZER_BPE_CHARS   /* BPE by merge ranks over characters, ▁ for space, byte fallback */
} tokenizer_model;

/* The ways to split text before BPE, by name (docs/tokenizers.md has each pattern). */
typedef enum tokenizer_split {
    SPLIT_NONE, SPLIT_GPT2, SPLIT_QWEN2, SPLIT_LLAMA3, SPLIT_SMOLLM, SPLIT_DEEPSEEK_LLM,
    SPLIT_DEEPSEEK_CODER, SPLIT_FALCON, SPLIT_QWEN35, SPLIT_NEWLINES, SPLIT_DEFAULT
} tokenizer_split;

typedef struct token_entry {
    const char *text; /* as stored: byte-level alphabet or ▁ form; literal text for added tokens */
    uint32_t n;
    float score;
    uint8_t type;                   /* token_type */
    bool strips_left, strips_right; /* an added token that swallows white space beside it */
} token_entry;

/* The pair of tokens that becomes one; its rank is its place in the list. */
typedef struct token_merge {
    gguf_string left, right;
} token_merge;

typedef struct tokenizer_spec {
    tokenizer_model model;
    tokenizer_split split;
    token_entry *tokens;
    size_t n_tokens;
    token_merge *merges;
    size_t n_merges;
    bool normalise_nfc, ignore_merges, byte_fallback, fuse_unk;
    bool add_prefix_space;  /* a space goes in front of each text between added tokens … */
    bool prefix_first_only; /* … only where the whole text begins with it */
    bool prefix_if_missing; /* … only where no space is there already */
    bool split_is_guess;    /* the file does not say how to split (`.pre` is missing) */
    bool add_bos, add_eos;
    int32_t bos, eos, unk, pad; /* -1: none */
    int32_t stops[16];          /* every id that ends a generation, eos included */
    size_t n_stops;
    char *chat_template; /* NUL-terminated, or NULL */
    void *owned;         /* a parsed JSON file that the views point into, or NULL */
    char *texts;         /* other memory that they point into, or NULL */
} tokenizer_spec;

/* The views point into `file`, which must outlive the spec. A file without tokenizer keys gives
 * HONE_ERR_NOT_FOUND; an unknown model or pre-tokenizer is refused by name. */
hone_status tokenizer_spec_from_gguf(tokenizer_spec *spec, const gguf *file, const char *name);

/* What tokenizer.json asks for and hone does not have is refused by name. */
hone_status tokenizer_spec_from_folder(tokenizer_spec *spec, const char *folder);

/* Of one tokenizer.json's bytes, without the files beside it: no eos, stops or chat template, and
 * a BOS only where the post-processor names one. `name` stands for the file in errors. */
hone_status tokenizer_spec_from_json(tokenizer_spec *spec, const char *json, size_t n,
                                     const char *name);

/* Writes the spec as tokenizer.* keys, such that tokenizer_spec_from_gguf reads it back: BPE over
 * characters without splits becomes the SentencePiece form, whose scores are the merges' order.
 * Rows of the model beyond the tokens (n_vocab of them in all) and gaps become unused tokens,
 * "[PAD17]". GGUF cannot say that a token swallows white space beside it, nor where else than in
 * front of the text the first space goes; both get lost. What else it cannot say is
 * HONE_ERR_UNSUPPORTED. `name` stands for the origin in errors. */
hone_status tokenizer_spec_to_gguf(gguf_writer *w, const tokenizer_spec *spec, size_t n_vocab,
                                   const char *name);

/* As tokenizer.json, such that tokenizer_spec_from_json reads it back; SentencePiece becomes BPE
 * over characters with the merges that its scores mean. And the members of tokenizer_config.json
 * and generation_config.json that the spec knows. *out is for the caller to json_decref.
 * HONE_ERR_UNSUPPORTED for ways to split that have no expression here, and for tokens with one
 * text. */
hone_status tokenizer_spec_to_json(json_t **out, const tokenizer_spec *spec, const char *name);
hone_status tokenizer_spec_to_config(json_t **out, const tokenizer_spec *spec);
hone_status tokenizer_spec_to_generation(json_t **out, const tokenizer_spec *spec);

void tokenizer_spec_release(tokenizer_spec *spec);

/* --- for the readers and the writer --- */

/* Adds an id to `stops` once; negative ids are passed over. */
hone_status tokenizer_spec_add_stop(tokenizer_spec *spec, int64_t id);
/* Adds every token whose text is known to end a turn (<|im_end|>, <|eot_id|>, …). */
hone_status tokenizer_spec_add_known_stops(tokenizer_spec *spec);
bool token_is_known_stop(const token_entry *token);
/* The word of tokenizer.ggml.pre for byte-level BPE like this one, or NULL: no file can say it. */
const char *tokenizer_spec_pre_name(const tokenizer_spec *spec);

#endif
