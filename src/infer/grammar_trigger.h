/* The texts that make a lazy grammar begin (hone_grammar_set_triggers), found in a text that comes
 * token by token. */
#ifndef INFER_GRAMMAR_TRIGGER_H
#define INFER_GRAMMAR_TRIGGER_H

#include "hone/grammar.h"

enum { TRIGGER_MAX_BYTES = 64 };

typedef struct grammar_triggers {
    struct { char text[TRIGGER_MAX_BYTES]; size_t n; } all[HONE_MAX_TRIGGERS];
    size_t n, longest; /* bytes */
} grammar_triggers;

/* The last bytes of a text in which no trigger is complete: longest − 1 at most. */
typedef struct trigger_tail {
    char text[TRIGGER_MAX_BYTES];
    size_t n;
} trigger_tail;

/* HONE_ERR_ARGUMENT: too many, an empty or a long one. */
hone_status triggers_init(grammar_triggers *t, const char *const *texts, size_t n);

/* The first trigger that is complete in tail + text[n]: *number, and how many bytes of `text` it
 * ends behind. False: none; the tail then takes the text up. */
bool triggers_find(const grammar_triggers *t, trigger_tail *tail, const char *text, size_t n,
                   size_t *number, size_t *end);

/* Whether the tail ends in the first k bytes of a trigger. */
bool trigger_begun(const grammar_triggers *t, size_t number, const trigger_tail *tail, size_t k);

#endif
