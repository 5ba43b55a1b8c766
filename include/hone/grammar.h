/* Grammars: what an answer may look like, as GBNF rules (docs/grammars.md) or as a JSON schema
 * (docs/schemas.md).
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

/* A document that a schema may refer to by its URI; nothing is ever fetched. */
typedef struct hone_schema_document {
    const char *uri, *text;
    size_t n_bytes;
} hone_schema_document;

/* Zero-initialise and set what you need. */
typedef struct hone_schema_options {
    int draft; /* 4, 6, 7, 2019 or 2020, where the schema has no $schema; 0 = 2020 */
    /* False: read the schema as its author most likely meant it. An object that lists properties
     * and does not speak of additional ones has no others, a tuple has just its items, `properties`
     * alone mean an object, `{}` at the root is any object. True: to the letter, so that every
     * valid document can be written. Whatever is generated is valid in both. */
    bool exact;
    const char *root; /* name of the first rule, hone_schema_to_gbnf; NULL = "root" */
    const hone_schema_document *documents;
    size_t n_documents;
} hone_schema_options;

/* Compiles a JSON schema: each answer is a JSON text that the schema allows (docs/schemas.md: which
 * keywords, the order of properties, how values are written). `options` may be NULL.
 * HONE_ERR_FORMAT: no JSON, no schema, or nothing can satisfy it. HONE_ERR_UNSUPPORTED, with the
 * keyword and its JSON pointer: what a grammar cannot promise (nothing is ignored), or a schema
 * that would take more than a bounded amount of work. The model must outlive the grammar. */
HONE_API hone_status hone_grammar_open_schema(hone_grammar **grammar, const hone_model *model,
                                              const char *schema, size_t n_bytes,
                                              const hone_schema_options *options);

/* The same as GBNF text: to be read, or to be composed. With `root` "weather", all rules are named
 * "weather" or begin with "weather-", so that the texts of several schemas can stand in one grammar
 * behind rules of your own:
 *     root ::= "{\"name\": \"get_weather\", \"arguments\": " weather "}"
 * *gbnf ends in NUL and is freed with hone_free. */
HONE_API hone_status hone_schema_to_gbnf(char **gbnf, size_t *n_gbnf, const char *schema,
                                         size_t n_bytes, const hone_schema_options *options);

/* Makes the grammar lazy: the answer is free, and may end, until it holds one of the triggers; from
 * the trigger's first byte on it must match the grammar. Each rule for a trigger begins with its
 * text: root ::= "<tool_call>" call "</tool_call>". Copies the texts; call it once, before the
 * first mask. HONE_ERR_ARGUMENT when a trigger is empty, longer than 64 bytes, or not the beginning
 * of anything that the grammar matches. */
enum { HONE_MAX_TRIGGERS = 16 };
HONE_API hone_status hone_grammar_set_triggers(hone_grammar *grammar, const char *const *triggers,
                                               size_t n_triggers);

HONE_API bool hone_grammar_is_lazy(const hone_grammar *grammar); /* has triggers */

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
