/* A vocabulary as grammars want it, made when the first grammar asks and kept with the model. */
#ifndef INFER_TOKEN_TREES_H
#define INFER_TOKEN_TREES_H

#include "text/token_trie.h"

typedef struct token_trees token_trees;

hone_status token_trees_open(token_trees **out);
void token_trees_close(token_trees *t);

/* The tree of all tokens, and those that end an answer: stops[(n_tokens + 63) / 64]. Both live as
 * long as `t`. Any thread may ask; one builds, the others wait. */
hone_status token_trees_find(token_trees *t, const tokenizer *words, size_t n_tokens,
                             const token_trie **trie, const uint64_t **stops);

#endif
