/* Grammars over a model's vocabulary (include/hone/grammar.h): the machine's states, and the mask of
 * each. */
#include "hone/grammar.h"

#include <pthread.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "infer/engine.h"
#include "text/grammar_mask.h"
#include "text/schema.h"

#define MAX_MACHINE_BYTES ((size_t)64 << 20)
#define MAX_GBNF_BYTES ((size_t)16 << 20)

struct hone_grammar {
    const hone_model *model;
    grammar *program;
    pthread_mutex_t lock;     /* of all below */
    grammar_machine *machine; /* NULL after a failed restart, as are its masks */
    grammar_masks *masks;
    uint64_t epoch;           /* counts machines, from 1: states of older ones mean nothing */
};

/* A machine that has grown too large is thrown away; cursors find their way in the new one. */
static hone_status restart(hone_grammar *g) {
    const token_trie *trie;
    const uint64_t *stops;
    const hone_model *m = g->model;
    size_t n_vocab = m->net.h.n_vocab;
    grammar_masks_close(g->masks);
    grammar_machine_close(g->machine);
    g->machine = NULL;
    g->masks = NULL;
    g->epoch++;
    TRY(token_trees_find(m->trees, m->tokenizer, n_vocab, &trie, &stops));
    TRY(grammar_machine_open(&g->machine, g->program, MAX_MACHINE_BYTES));
    hone_status status = grammar_masks_open(&g->masks, g->machine, trie, stops, n_vocab);
    if (status != HONE_OK) {
        grammar_machine_close(g->machine);
        g->machine = NULL;
    }
    return status;
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
    hone_status status = restart(g);
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
    grammar_masks_close(g->masks);
    grammar_machine_close(g->machine);
    grammar_close(g->program);
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

static hone_status find_mask(hone_grammar *g, hone_grammar_cursor *c, const int32_t *tokens,
                             size_t n, uint64_t *out) {
    if (!g->machine) TRY(restart(g));
    const uint64_t *mask = NULL;
    TRY(follow_tokens(g, c, tokens, n));
    TRY(grammar_masks_of(g->masks, c->state, &mask));
    memcpy(out, mask, (g->model->net.h.n_vocab + 63) / 64 * sizeof *mask);
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
