/* All tokens of a vocabulary as one tree of bytes, laid out in the order of a walk.
 *
 * Node i's subtree is i … end[i] − 1, so that a walk that cannot go on at a node jumps to end[i].
 * Node 0 is the root, the empty text. Immutable. */
#ifndef TEXT_TOKEN_TRIE_H
#define TEXT_TOKEN_TRIE_H

#include "text/tokenizer.h"

typedef struct token_trie {
    size_t n_nodes;
    uint8_t *byte;     /* the last one of the node's text */
    uint16_t *depth;   /* bytes of the node's text; 0 for the root */
    uint32_t *end;
    int32_t *token;    /* one with this text, or −1 … */
    int32_t *same;     /* [n_tokens]: … and the next one with the same text, or −1 */
    size_t max_depth;
} token_trie;

/* Control tokens and tokens without text are left out, as are texts longer than 1024 bytes. */
hone_status token_trie_build(token_trie *trie, const tokenizer *t);
void token_trie_release(token_trie *trie);

#endif
