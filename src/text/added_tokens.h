/* Finds added tokens (<|im_end|>, <tool_call>, …) in text: a trie over their bytes. */
#ifndef TEXT_ADDED_TOKENS_H
#define TEXT_ADDED_TOKENS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

typedef struct added_node {
    uint32_t child, sibling; /* 0 = none: node 0 is the root and nobody's child */
    int32_t id;              /* the token that ends here, or -1 */
    uint8_t byte;
    bool control;
} added_node;

typedef struct added_tokens {
    added_node *nodes;
    size_t n_nodes, capacity;
    bool starts[256]; /* bytes that some token begins with */
} added_tokens;

hone_status added_tokens_init(added_tokens *a);
void added_tokens_release(added_tokens *a);

/* HONE_ERR_FORMAT when another token has this text. Empty texts are passed over. */
hone_status added_tokens_add(added_tokens *a, const char *text, size_t n, int32_t id, bool control);

/* The longest token at the beginning of text[n]; a control token only where it ends within the
 * first `control_n` bytes. Returns its length, 0 where there is none. */
size_t added_tokens_match(const added_tokens *a, const char *text, size_t n, size_t control_n,
                          int32_t *id);

#endif
