/* Cuts text into the pieces that BPE never merges across.
 *
 * Each rule is a published regular expression, or a sequence of them, run by a scanner written for
 * it (docs/tokenizers.md has the patterns). Every byte of the text is in exactly one piece. The
 * work is linear in the text. */
#ifndef TEXT_SPLIT_H
#define TEXT_SPLIT_H

#include <stdbool.h>
#include <stddef.h>

#include "format/tokenizer_spec.h"

enum { SPLIT_MAX_STEPS = 6 };

/* Where one step of a sequence stands in the piece that the step before it left. */
typedef struct split_level {
    size_t at, end;
    size_t match_begin, match_end; /* the next match; valid while at <= match_begin */
    bool searched;
} split_level;

typedef struct splitter {
    tokenizer_split rule;
    const char *text;
    size_t n, at;
    size_t deepest; /* level that gave the last piece */
    split_level levels[SPLIT_MAX_STEPS];
} splitter;

/* `text` is valid UTF-8 and outlives the splitter. */
void split_init(splitter *s, tokenizer_split rule, const char *text, size_t n);

/* The next piece, text[*begin] to text[*end − 1]; false at the end of the text. */
bool split_next(splitter *s, size_t *begin, size_t *end);

/* --- for split.c and split_sequence.c only --- */

/* End of GPT-2's piece that begins at `i` of text[n]. */
size_t split_gpt2_piece(const char *text, size_t i, size_t n);
bool split_is_sequence(tokenizer_split rule);
void split_sequence_init(splitter *s);
bool split_sequence_next(splitter *s, size_t *begin, size_t *end);

#endif
