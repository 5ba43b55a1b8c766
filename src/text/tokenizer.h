/* Text to token ids and back, exactly as the model's own tokenizer does (docs/tokenizers.md).
 *
 * A tokenizer is immutable and may be shared by threads.
 *
 * Control tokens (<|im_end|>, </s>, …) are matched only inside spans that the caller marks as
 * control: a template's own text. Whatever a user wrote is ordinary text, even where it spells such
 * a token. User-defined tokens match anywhere. */
#ifndef TEXT_TOKENIZER_H
#define TEXT_TOKENIZER_H

#include "format/tokenizer_spec.h"

typedef struct tokenizer tokenizer;

/* Copies what it needs: the spec may be released afterwards. HONE_ERR_FORMAT names the bad row. */
hone_status tokenizer_open(tokenizer **out, const tokenizer_spec *spec);
void tokenizer_close(tokenizer *t);

/* Bytes begin … end − 1 of the text may hold control tokens. */
typedef struct text_span {
    size_t begin, end;
} text_span;

typedef struct token_list {
    int32_t *ids;
    size_t n, capacity;
} token_list;

void token_list_release(token_list *list);

enum { ENCODE_ADD_SPECIAL = 1 }; /* BOS and EOS where the model wants them */

/* Appends the ids of text[n] to *ids. `spans` are ordered, apart, and inside the text; NULL with 0
 * = nothing is control. Invalid UTF-8 is HONE_ERR_FORMAT with the offset of the first bad byte.
 * On failure *ids is as it was. */
hone_status tokenizer_encode(const tokenizer *t, const char *text, size_t n,
                             const text_span *spans, size_t n_spans, unsigned flags,
                             token_list *ids);

/* The bytes of one token as they appear in text (may be part of a character). Control tokens give
 * "" unless `with_control`. *text points into the tokenizer. A leading space that SentencePiece
 * adds to a text is the caller's to drop: tokenizer_drops_first_space. HONE_ERR_ARGUMENT for ids
 * out of range. */
hone_status tokenizer_piece(const tokenizer *t, int32_t id, bool with_control, const char **text,
                            size_t *n);
bool tokenizer_drops_first_space(const tokenizer *t);

/* All pieces together, as text; invalid UTF-8 is kept as it is (callers show U+FFFD). The caller
 * frees *text with mem_free. */
hone_status tokenizer_decode(const tokenizer *t, const int32_t *ids, size_t n, bool with_control,
                             char **text, size_t *bytes);

size_t tokenizer_size(const tokenizer *t);
size_t tokenizer_bytes(const tokenizer *t); /* of memory */
token_type tokenizer_type_of(const tokenizer *t, int32_t id); /* TOKEN_UNUSED when out of range */
int32_t tokenizer_bos(const tokenizer *t);                    /* -1: none */
bool tokenizer_adds_bos(const tokenizer *t);
/* Whether generation ends at this id. */
bool tokenizer_is_stop(const tokenizer *t, int32_t id);
/* The id whose literal text this is, or -1. */
int32_t tokenizer_find(const tokenizer *t, const char *text, size_t n);

#endif
