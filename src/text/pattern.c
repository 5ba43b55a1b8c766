/* A regular expression to its automaton: the tree becomes a program of choices (Thompson), whose
 * sets of places become states. */
#include "text/pattern.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "text/automaton.h"

enum { MAX_STEPS = 1 << 17, MAX_CHARACTER_RANGES = 4096, MAX_WORK = 1 << 25 };

typedef enum step_op { TAKE, SPLIT, AT_BEGIN, AT_END, FOUND } step_op;

typedef struct step {
    uint8_t op;
    uint32_t next, other; /* SPLIT: both */
    uint32_t first, count; /* TAKE: ranges */
} step;

typedef struct construction {
    const pattern_tree *tree;
    step *steps;
    size_t n_steps, capacity;
    bool *seen;       /* [n_steps] in the closure under way */
    uint32_t *work;   /* [n_steps] */
    uint32_t *places; /* [n_steps] of the closure, ascending in the end */
    size_t n_work, n_places;
    size_t done; /* places looked at, in all states together */
} construction;

/* --- the program --- */

static hone_status emit(construction *c, uint32_t *entry, step s) {
    if (c->n_steps == MAX_STEPS)
        return fail(HONE_ERR_UNSUPPORTED, "the regular expression has more than %d steps when its "
                    "repetitions are written out", MAX_STEPS);
    TRY(mem_grow(&c->steps, &c->capacity, c->n_steps + 1, sizeof *c->steps, "regular expression"));
    *entry = (uint32_t)c->n_steps;
    c->steps[c->n_steps++] = s;
    return HONE_OK;
}

static hone_status compile(construction *c, uint32_t *entry, uint32_t number, uint32_t next);

static hone_status compile_repeat(construction *c, uint32_t *entry, const pattern_node *node,
                                  uint32_t next) {
    *entry = next;
    if (node->max == PATTERN_FOREVER) {
        uint32_t loop, body;
        TRY(emit(c, &loop, (step){.op = SPLIT, .next = next, .other = next}));
        TRY(compile(c, &body, node->first, loop));
        c->steps[loop].next = body;
        *entry = loop;
    } else {
        for (uint32_t i = node->min; i < node->max; i++) {
            TRY(compile(c, entry, node->first, *entry));
            TRY(emit(c, entry, (step){.op = SPLIT, .next = *entry, .other = next}));
        }
    }
    for (uint32_t i = 0; i < node->min; i++) TRY(compile(c, entry, node->first, *entry));
    return HONE_OK;
}

static hone_status compile_choice(construction *c, uint32_t *entry, const pattern_node *node,
                                  uint32_t next) {
    const pattern_node *nodes = c->tree->nodes;
    TRY(compile(c, entry, node->first, next));
    for (uint32_t i = nodes[node->first].before; i; i = nodes[i].before) {
        uint32_t way;
        TRY(compile(c, &way, i, next));
        TRY(emit(c, entry, (step){.op = SPLIT, .next = way, .other = *entry}));
    }
    return HONE_OK;
}

/* From behind: the entry of a node that goes on at `next`. Depth is that of the parentheses. */
static hone_status compile(construction *c, uint32_t *entry, uint32_t number, uint32_t next) {
    const pattern_node *node = &c->tree->nodes[number];
    switch (node->kind) {
    case PATTERN_CHARACTERS:
        return emit(c, entry, (step){TAKE, next, 0, node->first, node->count});
    case PATTERN_BEGIN: return emit(c, entry, (step){.op = AT_BEGIN, .next = next});
    case PATTERN_END: return emit(c, entry, (step){.op = AT_END, .next = next});
    case PATTERN_REPEAT: return compile_repeat(c, entry, node, next);
    case PATTERN_CHOICE: return compile_choice(c, entry, node, next);
    case PATTERN_SEQUENCE:
        *entry = next;
        for (uint32_t i = node->first; i; i = c->tree->nodes[i].before)
            TRY(compile(c, entry, i, *entry));
        return HONE_OK;
    }
    return HONE_ERR_FORMAT;
}

/* --- closures --- */

static void reach(construction *c, uint32_t place) {
    if (c->seen[place]) return;
    c->seen[place] = true;
    c->work[c->n_work++] = place;
}

static int compare_places(const void *a, const void *b) {
    const uint32_t *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

/* What was reached, followed where no character is needed. FOUND swallows everything: whatever else
 * the text holds, it matches. True: FOUND is among it. */
static bool close_over(construction *c, bool at_begin, bool at_end) {
    bool found = false;
    c->n_places = 0;
    size_t first = 0;
    for (size_t i = 0; i < c->n_work; i++) {
        uint32_t place = c->work[i];
        const step *s = &c->steps[place];
        if (s->op == SPLIT) {
            reach(c, s->next);
            reach(c, s->other);
        } else if ((s->op == AT_BEGIN && at_begin) || (s->op == AT_END && at_end)) {
            reach(c, s->next);
        }
        /* At the beginning an END stays, too: more text may follow. */
        if (s->op == TAKE || s->op == AT_END) c->places[c->n_places++] = place;
        if (s->op == FOUND) {
            found = true;
            first = place;
        }
    }
    for (size_t i = 0; i < c->n_work; i++) c->seen[c->work[i]] = false;
    c->n_work = 0;
    if (found) {
        c->places[0] = (uint32_t)first;
        c->n_places = 1;
    }
    if (c->n_places) qsort(c->places, c->n_places, sizeof *c->places, compare_places);
    return found;
}

/* --- states --- */

typedef struct cuts {
    uint32_t at[2 * MAX_CHARACTER_RANGES];
    size_t n;
} cuts;

/* Where any taker's ranges begin or end. */
static hone_status find_cuts(const construction *c, const uint32_t *set, size_t n, cuts *out) {
    out->n = 0;
    for (size_t i = 0; i < n; i++) {
        const step *s = &c->steps[set[i]];
        for (uint32_t k = 0; s->op == TAKE && k < s->count; k++) {
            if (out->n + 2 > 2 * MAX_CHARACTER_RANGES) {
                /* mostly the same ranges again: make room */
                qsort(out->at, out->n, sizeof *out->at, compare_places);
                size_t kept = 0;
                for (size_t j = 0; j < out->n; j++)
                    if (!kept || out->at[kept - 1] != out->at[j]) out->at[kept++] = out->at[j];
                out->n = kept;
                if (out->n + 2 > 2 * MAX_CHARACTER_RANGES)
                    return fail(HONE_ERR_UNSUPPORTED,
                                "the regular expression tells too many ranges "
                                "of characters apart");
            }
            pattern_range r = c->tree->ranges[s->first + k];
            out->at[out->n++] = r.low;
            out->at[out->n++] = r.high + 1;
        }
    }
    if (out->n) qsort(out->at, out->n, sizeof *out->at, compare_places);
    return HONE_OK;
}

static bool takes(const construction *c, const step *s, uint32_t code) {
    for (uint32_t k = 0; k < s->count; k++) {
        pattern_range r = c->tree->ranges[s->first + k];
        if (code >= r.low && code <= r.high) return true;
    }
    return false;
}

static bool accepts(construction *c, const uint32_t *set, size_t n, bool at_begin) {
    for (size_t i = 0; i < n; i++) reach(c, set[i]);
    return close_over(c, at_begin, true);
}

/* set[n] is a copy: names grow meanwhile. */
static hone_status build_state(construction *c, automaton_builder *b, automaton_names *names,
                               const uint32_t *set, size_t n, bool start, cuts *cut) {
    TRY(automaton_add_state(b, accepts(c, set, n, start)));
    if (n == 1 && c->steps[set[0]].op == FOUND)
        return automaton_add_arc(b, 0, AUTOMATON_LAST_CHARACTER, b->n_states - 1);
    TRY(find_cuts(c, set, n, cut));
    c->done += n * (cut->n + 1);
    if (c->done > MAX_WORK)
        return fail(HONE_ERR_UNSUPPORTED, "the regular expression takes too long to turn into an "
                    "automaton");
    for (size_t k = 0; k + 1 < cut->n; k++) {
        uint32_t low = cut->at[k], high = cut->at[k + 1] - 1, number;
        if (cut->at[k] == cut->at[k + 1]) continue;
        for (size_t i = 0; i < n; i++) {
            const step *s = &c->steps[set[i]];
            if (s->op == TAKE && takes(c, s, low)) reach(c, s->next);
        }
        if (c->n_work == 0) continue;
        close_over(c, false, false);
        if (c->n_places == 0) continue;
        TRY(automaton_name(names, c->places, c->n_places, &number));
        TRY(automaton_add_arc(b, low, high, number));
    }
    return HONE_OK;
}

/* The start is state 0 even where its set comes again: only there does ^ hold, and acceptance at
 * the end of an empty text may depend on it. A set of its own marks it: a number that is no
 * place. */
static hone_status build_states(construction *c, automaton_builder *b, automaton_names *names,
                                uint32_t entry, uint32_t *set, cuts *cut) {
    uint32_t number, mark = UINT32_MAX;
    reach(c, entry);
    close_over(c, true, false);
    size_t n = c->n_places;
    memcpy(set, c->places, n * sizeof *set);
    TRY(automaton_name(names, &mark, 1, &number));
    reach(c, entry);
    bool empty_matches = close_over(c, true, true);
    TRY(build_state(c, b, names, set, n, true, cut));
    b->states[0].accepts = empty_matches;
    for (uint32_t s = 1; s < names->n; s++) {
        const uint32_t *key = automaton_key(names, s, &n);
        memcpy(set, key, n * sizeof *set);
        TRY(build_state(c, b, names, set, n, false, cut));
    }
    return HONE_OK;
}

/* The automaton of texts that the node matches somewhere; at the very beginning if `anchored`. */
static hone_status construct(const automaton **out, mem_arena *arena, const pattern_tree *tree,
                             uint32_t root, bool anchored) {
    construction c = {.tree = tree};
    automaton_builder b = {0};
    automaton_names names = {0};
    uint32_t *numbers = NULL;
    cuts *cut = mem_alloc(sizeof *cut);
    uint32_t found, entry, loop, take;
    hone_status status = cut ? HONE_OK : mem_fail("regular expression", sizeof *cut);
    if (status == HONE_OK) status = emit(&c, &found, (step){.op = FOUND});
    if (status == HONE_OK) status = compile(&c, &entry, root, found);
    if (status == HONE_OK && !anchored) {
        status = emit(&c, &loop, (step){.op = SPLIT, .next = entry});
        /* the tree's last range is that of any character */
        if (status == HONE_OK)
            status = emit(&c, &take, (step){TAKE, loop, 0, (uint32_t)tree->n_ranges - 1, 1});
        if (status == HONE_OK) c.steps[loop].other = take;
        entry = loop;
    }
    if (status == HONE_OK) {
        numbers = mem_calloc(3 * c.n_steps, sizeof *numbers);
        c.seen = mem_calloc(c.n_steps, sizeof *c.seen);
        if (!numbers || !c.seen) {
            status = mem_fail("regular expression", c.n_steps);
        } else {
            c.work = numbers;
            c.places = numbers + c.n_steps;
            status = build_states(&c, &b, &names, entry, numbers + 2 * c.n_steps, cut);
        }
    }
    mem_free(numbers);
    mem_free(c.seen);
    mem_free(c.steps);
    mem_free(cut);
    automaton_names_release(&names);
    return automaton_finish(out, arena, &b, status);
}

hone_status automaton_pattern(const automaton **out, mem_arena *arena, const char *pattern,
                              size_t n) {
    pattern_tree tree;
    TRY(pattern_parse(&tree, pattern, n));
    const automaton *all, *look;
    hone_status status = construct(&all, arena, &tree, tree.root, false);
    for (size_t i = 0; i < tree.n_looks && status == HONE_OK; i++) {
        status = construct(&look, arena, &tree, tree.looks[i].node, true);
        if (status == HONE_OK)
            status = automaton_combine(&all, arena, all, look, tree.looks[i].negative
                                       ? AUTOMATON_MINUS : AUTOMATON_AND);
    }
    pattern_tree_release(&tree);
    if (status == HONE_OK) *out = all;
    return status;
}
