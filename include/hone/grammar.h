/* Grammars: what an answer may look like, as GBNF rules (docs/grammars.md).
 *
 * A grammar is compiled once for a model's vocabulary and may serve many answers, one after another
 * or at once; each keeps its place in a cursor. hone_request takes one; programs that step sessions
 * themselves ask for the mask of each token. Any thread may call; calls on one grammar take turns,
 * except that closing it ends all use. */
#ifndef HONE_GRAMMAR_H
#define HONE_GRAMMAR_H

#include "hone/model.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct hone_grammar hone_grammar;

/* Compiles GBNF text whose rule `root` the whole answer must match. HONE_ERR_FORMAT with line and
 * reason: bad syntax, missing rules, left recursion, more than a million steps once repetitions are
 * written out. The model must outlive the grammar. */
HONE_API hone_status hone_grammar_open(hone_grammar **grammar, const hone_model *model,
                                       const char *gbnf, size_t n_bytes);
HONE_API void hone_grammar_close(hone_grammar *grammar); /* NULL is allowed */
HONE_API const hone_model *hone_grammar_model(const hone_grammar *grammar);

/* Where an answer stands. Begin with all zeros; copy it to fork an answer. */
typedef struct hone_grammar_cursor {
    uint64_t epoch;
    size_t n_tokens;
    uint32_t state;
} hone_grammar_cursor;

/* mask[(n_vocab + 63) / 64]: bit t set = token t may follow generated[n_tokens]. Stop tokens may
 * where the text matches the whole grammar. The cursor moves along; where `generated` got shorter,
 * or in fact at any call with an all-zero cursor, it is read from its beginning again.
 * HONE_ERR_ARGUMENT when what was generated does not match; HONE_ERR_MEMORY when the grammar would
 * take more than 64 MB to follow. */
HONE_API hone_status hone_grammar_mask(hone_grammar *grammar, hone_grammar_cursor *cursor,
                                       const int32_t *generated, size_t n_tokens, uint64_t *mask);

typedef enum hone_grammar_match {
    HONE_GRAMMAR_NO = 0, HONE_GRAMMAR_BEGINNING = 1, HONE_GRAMMAR_WHOLE = 2
} hone_grammar_match;

/* Whether a text matches, or is the beginning of one that does. */
HONE_API hone_status hone_grammar_test(hone_grammar *grammar, const char *text, size_t n_bytes,
                                       hone_grammar_match *match);

#ifdef __cplusplus
}
#endif
#endif
