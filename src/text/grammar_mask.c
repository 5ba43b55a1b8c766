/* Masks by walks over the vocabulary's tree (text/grammar_mask.h). */
#include "text/grammar_mask.h"

#include <string.h>

#include "base/mem.h"

struct grammar_masks {
    grammar_machine *machine;
    const token_trie *trie;
    const uint64_t *stops;
    size_t n_words;
    uint32_t *path;    /* [max_depth + 1] states along the walk */
    uint64_t *mask;    /* [n_words] under construction */
    uint32_t *exits;   /* [n_nodes] of the walk under way */
    size_t n_exits;
    grammar_part *parts; /* [GRAMMAR_MAX_CONFIGURATIONS] of a state */
};

/* The note of a part: the tokens that stay in its rule, and the nodes at which the rule returns. */
typedef struct local {
    size_t n_exits;
    uint64_t words[]; /* n_words of the mask, then the exits, two in a word */
} local;

/* Walks the nodes `first` … `end` − 1 below the one whose state is in the path. With `exits`, the
 * nodes at which the state accepts are noted, where something follows. */
static hone_status walk(grammar_masks *m, size_t first, size_t end, bool exits) {
    const token_trie *t = m->trie;
    for (size_t i = first; i < end;) {
        uint32_t next;
        TRY(grammar_machine_step(m->machine, m->path[t->depth[i] - 1], t->byte[i], &next));
        if (next == GRAMMAR_DEAD) {
            i = t->end[i];
            continue;
        }
        m->path[t->depth[i]] = next;
        for (int32_t id = t->token[i]; id >= 0; id = t->same[id])
            m->mask[id / 64] |= (uint64_t)1 << (id % 64);
        if (exits && t->end[i] > i + 1 && grammar_machine_accepts(m->machine, next))
            m->exits[m->n_exits++] = (uint32_t)i;
        i++;
    }
    return HONE_OK;
}

static hone_status find_local(grammar_masks *m, uint32_t inside, const local **out) {
    *out = grammar_machine_note(m->machine, inside, GRAMMAR_NOTE_LOCAL);
    if (*out) return HONE_OK;
    local *made;
    void *note;
    memset(m->mask, 0, m->n_words * sizeof *m->mask);
    m->n_exits = 0;
    m->path[0] = inside;
    TRY(walk(m, 1, m->trie->n_nodes, true));
    size_t bytes = sizeof *made + m->n_words * sizeof *made->words + m->n_exits * sizeof *m->exits;
    TRY(grammar_machine_set_note(m->machine, inside, GRAMMAR_NOTE_LOCAL, bytes, &note));
    made = note;
    made->n_exits = m->n_exits;
    memcpy(made->words, m->mask, m->n_words * sizeof *m->mask);
    if (m->n_exits) memcpy(made->words + m->n_words, m->exits, m->n_exits * sizeof *m->exits);
    *out = made;
    return HONE_OK;
}

/* Adds what follows a part's return: m->mask holds the state's mask so far. */
static hone_status follow_exits(grammar_masks *m, const local *l, uint32_t outside) {
    const uint32_t *exits = (const uint32_t *)(l->words + m->n_words);
    for (size_t k = 0; k < l->n_exits; k++) {
        uint32_t i = exits[k];
        m->path[m->trie->depth[i]] = outside;
        TRY(walk(m, i + 1, m->trie->end[i], false));
    }
    return HONE_OK;
}

static hone_status make(grammar_masks *m, uint32_t state) {
    size_t n_parts;
    TRY(grammar_machine_parts(m->machine, state, m->parts, &n_parts));
    const local *l = NULL;
    for (size_t k = 0; k < n_parts; k++) TRY(find_local(m, m->parts[k].inside, &l));
    memset(m->mask, 0, m->n_words * sizeof *m->mask);
    for (size_t k = 0; k < n_parts; k++) {
        TRY(find_local(m, m->parts[k].inside, &l)); /* there by now: touches nothing */
        for (size_t i = 0; i < m->n_words; i++) m->mask[i] |= l->words[i];
        if (m->parts[k].outside != GRAMMAR_DEAD) TRY(follow_exits(m, l, m->parts[k].outside));
    }
    if (grammar_machine_accepts(m->machine, state))
        for (size_t i = 0; i < m->n_words; i++) m->mask[i] |= m->stops[i];
    return HONE_OK;
}

hone_status grammar_masks_of(grammar_masks *m, uint32_t state, const uint64_t **mask) {
    *mask = grammar_machine_note(m->machine, state, GRAMMAR_NOTE_MASK);
    if (*mask) return HONE_OK;
    void *note;
    TRY(make(m, state));
    TRY(grammar_machine_set_note(m->machine, state, GRAMMAR_NOTE_MASK,
                                 m->n_words * sizeof *m->mask, &note));
    memcpy(note, m->mask, m->n_words * sizeof *m->mask);
    *mask = note;
    return HONE_OK;
}

hone_status grammar_masks_open(grammar_masks **out, grammar_machine *machine,
                               const token_trie *trie, const uint64_t *stops, size_t n_tokens) {
    grammar_masks *m = mem_calloc(1, sizeof *m);
    *out = NULL;
    if (!m) return mem_fail("token mask", sizeof *m);
    *m = (grammar_masks){.machine = machine, .trie = trie, .stops = stops,
                         .n_words = (n_tokens + 63) / 64};
    m->path = mem_calloc(trie->max_depth + 1, sizeof *m->path);
    m->mask = mem_calloc(m->n_words, sizeof *m->mask);
    m->exits = mem_calloc(trie->n_nodes, sizeof *m->exits);
    m->parts = mem_calloc(GRAMMAR_MAX_CONFIGURATIONS, sizeof *m->parts);
    if (!m->path || !m->mask || !m->exits || !m->parts) {
        grammar_masks_close(m);
        return mem_fail("token mask", trie->n_nodes * sizeof *m->exits);
    }
    *out = m;
    return HONE_OK;
}

void grammar_masks_close(grammar_masks *m) {
    if (!m) return;
    mem_free(m->path);
    mem_free(m->mask);
    mem_free(m->exits);
    mem_free(m->parts);
    mem_free(m);
}
