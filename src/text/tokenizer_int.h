/* The inside of a tokenizer, for tokenizer.c (queries), vocabulary.c (opening) and encode.c. */
#ifndef TEXT_TOKENIZER_INT_H
#define TEXT_TOKENIZER_INT_H

#include "base/strmap.h"
#include "text/added_tokens.h"
#include "text/bpe.h"
#include "text/tokenizer.h"

/* What is known about encoding a token's own text. */
enum { WHOLE_UNKNOWN, WHOLE_YES, WHOLE_NO };

typedef struct token_text {
    size_t at; /* in tokenizer.text: the bytes the token stands for, ▁ as space */
    uint32_t n;
    uint8_t type; /* token_type */
    bool encodable;
    bool strips_left, strips_right;
} token_text;

struct tokenizer {
    tokenizer_model model;
    tokenizer_split split;
    bool normalise_nfc, ignore_merges, byte_fallback, fuse_unk;
    bool add_prefix_space, prefix_first_only, prefix_if_missing;
    bool add_bos, add_eos;
    bool words_apart; /* no token has a space behind another character */
    int32_t bos, eos, unk; /* unk −1 also where it is a control token */
    int32_t stops[16];
    size_t n_stops;

    token_text *tokens;
    size_t n_tokens;
    size_t longest; /* bytes of the longest encodable token */
    char *text;

    strmap words;      /* encodable tokens by the bytes they stand for */
    strmap odd_chars;  /* characters that occur in pieces and are none: symbols ≥ n_tokens */
    uint32_t byte_id[256];   /* the token of a byte, or BPE_NONE */
    uint32_t ascii_id[128];  /* the symbol of a character, or BPE_NONE; by characters only */
    bpe_merges merges;
    added_tokens added;

    /* WHOLE_…, by token: whether merging its text gives the token itself. Found out when first
     * asked. Threads may write at once: they write the same. */
    _Atomic uint8_t *whole;
};

/* The symbol a character starts as; BPE_NONE where it takes part in no merge. */
uint32_t tokenizer_char_symbol(const tokenizer *t, const char *text, size_t n);

/* spm.c: fills t->merges from scores, which SentencePiece vocabularies have in place of merges. */
hone_status spm_derive_merges(tokenizer *t, const tokenizer_spec *spec);

#endif
