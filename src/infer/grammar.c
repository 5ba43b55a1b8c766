/* Grammars over a model's vocabulary (include/hone/grammar.h): the machine's states, and the mask of
 * each, found by walking the vocabulary's tree with it. */
#include "hone/grammar.h"

#include <pthread.h>
#include <string.h>

#include "base/mem.h"
#include "infer/engine.h"
#include "base/buf.h"
#include "text/grammar_machine.h"
#include "text/schema.h"
#include "text/token_trie.h"

#define MAX_MACHINE_BYTES ((size_t)64 << 20)
#define MAX_GBNF_BYTES ((size_t)16 << 20)

struct hone_grammar {
    const hone_model *model;
    grammar *program;
    token_trie trie;
    uint32_t *path; /* [max_depth + 1] states along the walk */
    uint64_t *stops; /* [mask_words]: tokens that end an answer */
    size_t mask_words;
    pthread_mutex_t lock;     /* of all below */
    grammar_machine *machine; /* NULL after a failed restart */
    uint64_t epoch;           /* counts machines, from 1: states of older ones mean nothing */
};

/* A machine that has grown too large is thrown away; cursors find their way in the new one. */
static hone_status restart(hone_grammar *g) {
    grammar_machine_close(g->machine);
    g->machine = NULL;
    g->epoch++;
    return grammar_machine_open(&g->machine, g->program, MAX_MACHINE_BYTES);
}

static hone_status prepare(hone_grammar *g) {
    const tokenizer *t = g->model->tokenizer;
    TRY(token_trie_build(&g->trie, t));
    g->path = mem_calloc(g->trie.max_depth + 1, sizeof *g->path);
    g->stops = mem_calloc(g->mask_words, sizeof *g->stops);
    if (!g->path || !g->stops) return mem_fail("grammar", g->mask_words * sizeof *g->stops);
    for (int32_t id = 0; id < (int32_t)tokenizer_size(t); id++)
        if (tokenizer_is_stop(t, id)) g->stops[id / 64] |= (uint64_t)1 << (id % 64);
    return restart(g);
}

/* Takes the program, also where it fails. */
static hone_status open_program(hone_grammar **out, const hone_model *model, grammar *program) {
    hone_grammar *g = mem_calloc(1, sizeof *g);
    *out = NULL;
    if (!g) {
        grammar_close(program);
        return mem_fail("grammar", sizeof *g);
    }
    pthread_mutex_init(&g->lock, NULL);
    g->model = model;
    g->program = program;
    g->mask_words = (model->net.h.n_vocab + 63) / 64;
    hone_status status = prepare(g);
    if (status != HONE_OK) {
        hone_grammar_close(g);
        return status;
    }
    *out = g;
    return HONE_OK;
}

hone_status hone_grammar_open(hone_grammar **out, const hone_model *model, const char *gbnf,
                              size_t n_bytes) {
    grammar *program;
    *out = NULL;
    TRY(grammar_compile(&program, gbnf, n_bytes));
    return open_program(out, model, program);
}

hone_status hone_grammar_open_schema(hone_grammar **out, const hone_model *model,
                                     const char *schema, size_t n_bytes,
                                     const hone_schema_options *options) {
    grammar *program;
    *out = NULL;
    TRY(schema_compile(&program, schema, n_bytes, options));
    return open_program(out, model, program);
}

hone_status hone_schema_to_gbnf(char **gbnf, size_t *n_gbnf, const char *schema, size_t n_bytes,
                                const hone_schema_options *options) {
    buf text;
    *gbnf = NULL;
    *n_gbnf = 0;
    buf_init(&text, MAX_GBNF_BYTES);
    hone_status status = schema_print(&text, schema, n_bytes, options);
    if (status == HONE_OK) {
        size_t n = text.len;
        *gbnf = buf_take(&text);
        if (*gbnf) *n_gbnf = n;
        else status = mem_fail("grammar", n);
    }
    buf_release(&text);
    return status;
}

hone_status hone_grammar_set_triggers(hone_grammar *g, const char *const *triggers,
                                      size_t n_triggers) {
    (void)g, (void)triggers, (void)n_triggers;
    return fail(HONE_ERR_UNSUPPORTED, "triggers are not supported yet");
}

void hone_grammar_close(hone_grammar *g) {
    if (!g) return;
    grammar_machine_close(g->machine);
    grammar_close(g->program);
    token_trie_release(&g->trie);
    mem_free(g->path);
    mem_free(g->stops);
    pthread_mutex_destroy(&g->lock);
    mem_free(g);
}

const hone_model *hone_grammar_model(const hone_grammar *g) { return g->model; }

/* --- following a text --- */

static hone_status follow_bytes(hone_grammar *g, uint32_t *state, const char *text, size_t n) {
    for (size_t i = 0; i < n && *state != GRAMMAR_DEAD; i++)
        TRY(grammar_machine_step(g->machine, *state, (uint8_t)text[i], state));
    return HONE_OK;
}

static hone_status follow_tokens(hone_grammar *g, hone_grammar_cursor *c, const int32_t *tokens,
                                 size_t n) {
    if (c->epoch != g->epoch || c->n_tokens > n)
        *c = (hone_grammar_cursor){.epoch = g->epoch, .state = grammar_machine_start(g->machine)};
    for (; c->n_tokens < n; c->n_tokens++) {
        const char *text;
        size_t bytes;
        TRY(tokenizer_piece(g->model->tokenizer, tokens[c->n_tokens], false, &text, &bytes));
        TRY(follow_bytes(g, &c->state, text, bytes));
        if (c->state == GRAMMAR_DEAD)
            return fail(HONE_ERR_ARGUMENT, "token %zu of the answer does not match the grammar",
                        c->n_tokens);
    }
    return HONE_OK;
}

/* --- masks --- */

static hone_status walk(hone_grammar *g, uint32_t state, uint64_t *mask) {
    const token_trie *t = &g->trie;
    g->path[0] = state;
    for (size_t i = 1; i < t->n_nodes;) {
        uint32_t next;
        TRY(grammar_machine_step(g->machine, g->path[t->depth[i] - 1], t->byte[i], &next));
        if (next == GRAMMAR_DEAD) {
            i = t->end[i];
            continue;
        }
        g->path[t->depth[i]] = next;
        for (int32_t id = t->token[i]; id >= 0; id = t->same[id])
            mask[id / 64] |= (uint64_t)1 << (id % 64);
        i++;
    }
    return HONE_OK;
}

/* The mask of a state, made once. */
static hone_status state_mask(hone_grammar *g, uint32_t state, const uint64_t **mask) {
    *mask = grammar_machine_note(g->machine, state);
    if (*mask) return HONE_OK;
    uint64_t *made = mem_calloc(g->mask_words, sizeof *made);
    if (!made) return mem_fail("token mask", g->mask_words * sizeof *made);
    hone_status status = HONE_OK;
    if (grammar_machine_goes_on(g->machine, state)) status = walk(g, state, made);
    if (grammar_machine_accepts(g->machine, state))
        for (size_t i = 0; i < g->mask_words; i++) made[i] |= g->stops[i];
    void *note;
    if (status == HONE_OK)
        status = grammar_machine_set_note(g->machine, state, g->mask_words * sizeof *made, &note);
    if (status == HONE_OK) {
        memcpy(note, made, g->mask_words * sizeof *made);
        *mask = note;
    }
    mem_free(made);
    return status;
}

static hone_status find_mask(hone_grammar *g, hone_grammar_cursor *c, const int32_t *tokens,
                             size_t n, uint64_t *out) {
    if (!g->machine) TRY(restart(g));
    const uint64_t *mask = NULL;
    TRY(follow_tokens(g, c, tokens, n));
    TRY(state_mask(g, c->state, &mask));
    memcpy(out, mask, g->mask_words * sizeof *mask);
    return HONE_OK;
}

hone_status hone_grammar_mask(hone_grammar *g, hone_grammar_cursor *cursor,
                              const int32_t *generated, size_t n_tokens, uint64_t *mask) {
    pthread_mutex_lock(&g->lock);
    hone_status status = find_mask(g, cursor, generated, n_tokens, mask);
    if (status == HONE_ERR_MEMORY) {
        /* Full of states that other answers needed: begin anew, with this one's alone. */
        status = restart(g);
        if (status == HONE_OK) status = find_mask(g, cursor, generated, n_tokens, mask);
    }
    pthread_mutex_unlock(&g->lock);
    return status;
}

hone_status hone_grammar_test(hone_grammar *g, const char *text, size_t n_bytes,
                              hone_grammar_match *match) {
    *match = HONE_GRAMMAR_NO;
    pthread_mutex_lock(&g->lock);
    hone_status status = g->machine ? HONE_OK : restart(g);
    if (status == HONE_OK) {
        uint32_t state = grammar_machine_start(g->machine);
        status = follow_bytes(g, &state, text, n_bytes);
        if (status == HONE_OK && state != GRAMMAR_DEAD)
            *match = grammar_machine_accepts(g->machine, state) ? HONE_GRAMMAR_WHOLE
                                                                : HONE_GRAMMAR_BEGINNING;
    }
    pthread_mutex_unlock(&g->lock);
    return status;
}
