/* Grammars over a model's vocabulary (include/hone/grammar.h): the machine's states, and the mask
 * of each. */
#include "hone/grammar.h"

#include <pthread.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "infer/engine.h"
#include "infer/grammar_trigger.h"
#include "text/grammar_mask.h"
#include "text/schema.h"

/* A cursor's state while the answer is free. */
#define WAITING UINT32_MAX

#define MAX_MACHINE_BYTES ((size_t)64 << 20)
#define MAX_GBNF_BYTES ((size_t)16 << 20)

struct hone_grammar {
    const hone_model *model;
    grammar *program;
    pthread_mutex_t lock;     /* of all below */
    grammar_machine *machine; /* NULL after a failed restart, as are its masks */
    grammar_masks *masks;
    grammar_triggers triggers; /* none: the grammar holds from the first token on */
    uint64_t *never;           /* while it waits: tokens that hold a trigger and cannot be */
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

void hone_grammar_close(hone_grammar *g) {
    if (!g) return;
    grammar_masks_close(g->masks);
    grammar_machine_close(g->machine);
    grammar_close(g->program);
    mem_free(g->never);
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

static size_t mask_words(const hone_grammar *g) { return (g->model->net.h.n_vocab + 63) / 64; }

/* What a lazy grammar looks for its triggers in: control tokens count by their names. */
static hone_status token_text(const hone_grammar *g, int32_t id, bool waiting, const char **text,
                              size_t *n) {
    return tokenizer_piece(g->model->tokenizer, id, waiting, text, n);
}

/* *state, from WAITING on, behind more text. */
static hone_status wait_for_trigger(hone_grammar *g, trigger_tail *tail, const char *text, size_t n,
                                    uint32_t *state) {
    size_t number, end;
    if (!triggers_find(&g->triggers, tail, text, n, &number, &end)) return HONE_OK;
    *state = grammar_machine_start(g->machine);
    TRY(follow_bytes(g, state, g->triggers.all[number].text, g->triggers.all[number].n));
    return follow_bytes(g, state, text + end, n - end);
}

/* The tail of tokens[n], which hold no trigger. */
static hone_status find_tail(const hone_grammar *g, const int32_t *tokens, size_t n,
                             trigger_tail *tail) {
    size_t from = n, enough = 0, number, end, bytes;
    const char *text;
    *tail = (trigger_tail){.n = 0};
    while (from > 0 && enough + 1 < g->triggers.longest) {
        TRY(token_text(g, tokens[--from], true, &text, &bytes));
        enough += bytes;
    }
    for (; from < n; from++) {
        TRY(token_text(g, tokens[from], true, &text, &bytes));
        triggers_find(&g->triggers, tail, text, bytes, &number, &end);
    }
    return HONE_OK;
}

/* *tail is that of all tokens, where the cursor still waits. */
static hone_status follow_tokens(hone_grammar *g, hone_grammar_cursor *c, const int32_t *tokens,
                                 size_t n, trigger_tail *tail) {
    if (c->epoch != g->epoch || c->n_tokens > n)
        *c = (hone_grammar_cursor){.epoch = g->epoch, .state = g->triggers.n ? WAITING
                                   : grammar_machine_start(g->machine)};
    if (c->state == WAITING) TRY(find_tail(g, tokens, c->n_tokens, tail));
    for (; c->n_tokens < n; c->n_tokens++) {
        const char *text;
        size_t bytes;
        bool waiting = c->state == WAITING;
        TRY(token_text(g, tokens[c->n_tokens], waiting, &text, &bytes));
        if (waiting) TRY(wait_for_trigger(g, tail, text, bytes, &c->state));
        else TRY(follow_bytes(g, &c->state, text, bytes));
        if (c->state == GRAMMAR_DEAD)
            return fail(HONE_ERR_ARGUMENT, "token %zu of the answer does not match the grammar",
                        c->n_tokens);
    }
    return HONE_OK;
}

/* --- masks --- */

static hone_status find_trie(const hone_grammar *g, const token_trie **trie) {
    const uint64_t *stops;
    return token_trees_find(g->model->trees, g->model->tokenizer, g->model->net.h.n_vocab, trie,
                            &stops);
}

/* The node of a text in the tree, or false. */
static bool find_node(const token_trie *t, const char *text, size_t n, size_t *node) {
    *node = 0;
    for (size_t k = 0; k < n; k++) {
        size_t child = *node + 1, end = t->end[*node];
        while (child < end && t->byte[child] != (uint8_t)text[k]) child = t->end[child];
        if (child >= end) return false;
        *node = child;
    }
    return true;
}

/* Clears the tokens below a node, behind which `state` stands, that cannot go on from it. */
static hone_status clear_below(hone_grammar *g, const token_trie *t, size_t node, uint32_t state,
                               uint64_t *mask) {
    uint32_t path[1025]; /* by depth; the tree holds no longer texts (text/token_trie.h) */
    path[t->depth[node]] = state;
    for (size_t i = node + 1; i < t->end[node]; i++) {
        uint32_t *at = &path[t->depth[i]];
        *at = path[t->depth[i] - 1];
        if (*at != GRAMMAR_DEAD) TRY(grammar_machine_step(g->machine, *at, t->byte[i], at));
        for (int32_t id = *at == GRAMMAR_DEAD ? t->token[i] : -1; id >= 0; id = t->same[id])
            mask[id / 64] &= ~((uint64_t)1 << (id % 64));
    }
    return HONE_OK;
}

/* Every token, but those that would complete a trigger and go on as the grammar does not. */
static hone_status waiting_mask(hone_grammar *g, const trigger_tail *tail, uint64_t *mask) {
    const token_trie *trie;
    size_t n_words = mask_words(g), n_vocab = g->model->net.h.n_vocab, node;
    TRY(find_trie(g, &trie));
    for (size_t i = 0; i < n_words; i++) mask[i] = ~g->never[i];
    if (n_vocab % 64) mask[n_words - 1] &= ((uint64_t)1 << (n_vocab % 64)) - 1;
    for (size_t i = 0; i < g->triggers.n; i++) {
        const char *text = g->triggers.all[i].text;
        size_t n = g->triggers.all[i].n;
        for (size_t k = 1; k < n && k <= tail->n; k++) {
            uint32_t state = grammar_machine_start(g->machine);
            if (!trigger_begun(&g->triggers, i, tail, k)) continue;
            if (!find_node(trie, text + k, n - k, &node)) continue;
            TRY(follow_bytes(g, &state, text, n));
            TRY(clear_below(g, trie, node, state, mask));
        }
    }
    return HONE_OK;
}

static hone_status find_mask(hone_grammar *g, hone_grammar_cursor *c, const int32_t *tokens,
                             size_t n, uint64_t *out) {
    if (!g->machine) TRY(restart(g));
    const uint64_t *mask = NULL;
    trigger_tail tail;
    TRY(follow_tokens(g, c, tokens, n, &tail));
    if (c->state == WAITING) return waiting_mask(g, &tail, out);
    TRY(grammar_masks_of(g->masks, c->state, &mask));
    memcpy(out, mask, mask_words(g) * sizeof *mask);
    return HONE_OK;
}

/* Marks the tokens that hold a whole trigger and go on as the grammar does not. */
static hone_status find_never(hone_grammar *g) {
    for (int32_t id = 0; id < (int32_t)tokenizer_size(g->model->tokenizer); id++) {
        const char *text;
        size_t n;
        trigger_tail tail = {.n = 0};
        uint32_t state = WAITING;
        TRY(token_text(g, id, true, &text, &n));
        TRY(wait_for_trigger(g, &tail, text, n, &state));
        if (state == GRAMMAR_DEAD) g->never[id / 64] |= (uint64_t)1 << (id % 64);
    }
    return HONE_OK;
}

static hone_status check_triggers(hone_grammar *g) {
    for (size_t i = 0; i < g->triggers.n; i++) {
        uint32_t state = grammar_machine_start(g->machine);
        TRY(follow_bytes(g, &state, g->triggers.all[i].text, g->triggers.all[i].n));
        if (state == GRAMMAR_DEAD)
            return fail(HONE_ERR_ARGUMENT, "nothing that the grammar matches begins with the "
                        "trigger %.*s", (int)g->triggers.all[i].n, g->triggers.all[i].text);
    }
    return HONE_OK;
}

bool hone_grammar_is_lazy(const hone_grammar *g) { return g->triggers.n > 0; }

hone_status hone_grammar_set_triggers(hone_grammar *g, const char *const *triggers,
                                      size_t n_triggers) {
    pthread_mutex_lock(&g->lock);
    mem_free(g->never);
    g->never = mem_calloc(mask_words(g), sizeof *g->never);
    hone_status status = g->never ? HONE_OK : mem_fail("token mask", mask_words(g));
    if (status == HONE_OK) status = triggers_init(&g->triggers, triggers, n_triggers);
    if (status == HONE_OK && !g->machine) status = restart(g);
    if (status == HONE_OK) status = check_triggers(g);
    if (status == HONE_OK) status = find_never(g);
    if (status != HONE_OK) g->triggers.n = 0;
    pthread_mutex_unlock(&g->lock);
    return status;
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

static hone_status test_text(hone_grammar *g, const char *text, size_t n,
                             hone_grammar_match *match) {
    trigger_tail tail = {.n = 0};
    uint32_t state = g->triggers.n ? WAITING : grammar_machine_start(g->machine);
    if (g->triggers.n) TRY(wait_for_trigger(g, &tail, text, n, &state));
    else TRY(follow_bytes(g, &state, text, n));
    if (state == WAITING || grammar_machine_accepts(g->machine, state)) *match = HONE_GRAMMAR_WHOLE;
    else if (state != GRAMMAR_DEAD) *match = HONE_GRAMMAR_BEGINNING;
    return HONE_OK;
}

hone_status hone_grammar_test(hone_grammar *g, const char *text, size_t n_bytes,
                              hone_grammar_match *match) {
    *match = HONE_GRAMMAR_NO;
    pthread_mutex_lock(&g->lock);
    hone_status status = g->machine ? HONE_OK : restart(g);
    if (status == HONE_OK) status = test_text(g, text, n_bytes, match);
    pthread_mutex_unlock(&g->lock);
    return status;
}
