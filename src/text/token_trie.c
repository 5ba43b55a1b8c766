/* The tree of a vocabulary (text/token_trie.h): tokens are sorted by their bytes, then each adds
 * the nodes that its predecessor does not have. */
#include "text/token_trie.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

#define MAX_TOKEN_BYTES 1024

typedef struct entry {
    const char *text;
    uint32_t n;
    int32_t id;
} entry;

static int compare_entries(const void *a, const void *b) {
    const entry *x = a, *y = b;
    int order = memcmp(x->text, y->text, x->n < y->n ? x->n : y->n);
    if (order == 0) order = (x->n > y->n) - (x->n < y->n);
    return order ? order : (x->id > y->id) - (x->id < y->id);
}

static size_t common_bytes(const entry *a, const entry *b) {
    size_t n = a->n < b->n ? a->n : b->n, i = 0;
    while (i < n && a->text[i] == b->text[i]) i++;
    return i;
}

static size_t collect(entry *entries, const tokenizer *t) {
    size_t n = 0;
    for (int32_t id = 0; id < (int32_t)tokenizer_size(t); id++) {
        const char *text;
        size_t bytes;
        if (tokenizer_piece(t, id, false, &text, &bytes) != HONE_OK) continue;
        if (bytes && bytes <= MAX_TOKEN_BYTES) entries[n++] = (entry){text, (uint32_t)bytes, id};
    }
    qsort(entries, n, sizeof *entries, compare_entries);
    return n;
}

static size_t count_nodes(const entry *entries, size_t n) {
    size_t nodes = 1;
    for (size_t i = 0; i < n; i++)
        nodes += entries[i].n - (i ? common_bytes(&entries[i], &entries[i - 1]) : 0);
    return nodes;
}

static hone_status allocate(token_trie *trie, size_t n_tokens) {
    size_t n = trie->n_nodes;
    trie->byte = mem_calloc(n, sizeof *trie->byte);
    trie->depth = mem_calloc(n, sizeof *trie->depth);
    trie->end = mem_calloc(n, sizeof *trie->end);
    trie->token = mem_calloc(n, sizeof *trie->token);
    trie->same = mem_calloc(n_tokens, sizeof *trie->same);
    bool all = trie->byte && trie->depth && trie->end && trie->token && trie->same;
    return all ? HONE_OK : mem_fail("token tree", n * 12);
}

static void fill(token_trie *trie, const entry *entries, size_t n) {
    uint32_t path[MAX_TOKEN_BYTES + 1] = {0}; /* nodes of the text so far */
    size_t n_nodes = 1, open = 0;             /* path[0 … open] are not ended yet */
    trie->token[0] = -1;
    for (size_t i = 0; i < n; i++) {
        const entry *e = &entries[i];
        size_t common = i ? common_bytes(e, &entries[i - 1]) : 0;
        for (; open > common; open--) trie->end[path[open]] = (uint32_t)n_nodes;
        for (; open < e->n; n_nodes++) {
            trie->byte[n_nodes] = (uint8_t)e->text[open];
            path[++open] = (uint32_t)n_nodes;
            trie->depth[n_nodes] = (uint16_t)open;
            trie->token[n_nodes] = -1;
        }
        trie->same[e->id] = trie->token[path[open]];
        trie->token[path[open]] = e->id;
        if (open > trie->max_depth) trie->max_depth = open;
    }
    for (size_t i = 0; i <= open; i++) trie->end[path[i]] = (uint32_t)n_nodes;
}

hone_status token_trie_build(token_trie *trie, const tokenizer *t) {
    *trie = (token_trie){0};
    size_t n_tokens = tokenizer_size(t);
    entry *entries = mem_calloc(n_tokens, sizeof *entries);
    if (!entries) return mem_fail("token tree", n_tokens * sizeof *entries);
    size_t n = collect(entries, t);
    trie->n_nodes = count_nodes(entries, n);
    hone_status status = allocate(trie, n_tokens);
    if (status == HONE_OK) fill(trie, entries, n);
    else token_trie_release(trie);
    mem_free(entries);
    return status;
}

void token_trie_release(token_trie *trie) {
    mem_free(trie->byte);
    mem_free(trie->depth);
    mem_free(trie->end);
    mem_free(trie->token);
    mem_free(trie->same);
    *trie = (token_trie){0};
}
