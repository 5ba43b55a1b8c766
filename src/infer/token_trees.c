/* The vocabulary's tree, once for each model (infer/token_trees.h). */
#include "infer/token_trees.h"

#include <pthread.h>

#include "base/mem.h"

struct token_trees {
    pthread_mutex_t lock;
    bool built;
    token_trie trie;
    uint64_t *stops;
};

hone_status token_trees_open(token_trees **out) {
    token_trees *t = mem_calloc(1, sizeof *t);
    *out = t;
    if (!t) return mem_fail("token tree", sizeof *t);
    pthread_mutex_init(&t->lock, NULL);
    return HONE_OK;
}

void token_trees_close(token_trees *t) {
    if (!t) return;
    token_trie_release(&t->trie);
    mem_free(t->stops);
    pthread_mutex_destroy(&t->lock);
    mem_free(t);
}

static hone_status build(token_trees *t, const tokenizer *words, size_t n_tokens) {
    uint64_t *stops = mem_calloc((n_tokens + 63) / 64, sizeof *stops);
    if (!stops) return mem_fail("token tree", n_tokens / 8);
    hone_status status = token_trie_build(&t->trie, words);
    if (status != HONE_OK) {
        mem_free(stops);
        return status;
    }
    for (int32_t id = 0; id < (int32_t)tokenizer_size(words); id++)
        if (tokenizer_is_stop(words, id)) stops[id / 64] |= (uint64_t)1 << (id % 64);
    t->stops = stops;
    t->built = true;
    return HONE_OK;
}

hone_status token_trees_find(token_trees *t, const tokenizer *words, size_t n_tokens,
                             const token_trie **trie, const uint64_t **stops) {
    pthread_mutex_lock(&t->lock);
    hone_status status = t->built ? HONE_OK : build(t, words, n_tokens);
    *trie = &t->trie;
    *stops = t->stops;
    pthread_mutex_unlock(&t->lock);
    return status;
}
