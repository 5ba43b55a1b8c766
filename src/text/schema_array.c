/* Arrays: items one after the other, and how many of them are what `contains` wants. */
#include <string.h>

#include "base/mem.h"
#include "text/schema_int.h"

enum { MAX_CONTAINS = 4 };

static size_t prefix_length(const branch *b) {
    size_t n = 0;
    for (const array_facet *f = b->arrays; f; f = f->before)
        if (f->n_items > n) n = f->n_items;
    return n;
}

/* The rule of item i; `more` are literals that hold besides. */
static hone_status item_rule(schema_compiler *c, const branch *b, uint64_t i, const literal *more,
                             size_t n_more, uint32_t *rule) {
    literal *all;
    size_t n = n_more;
    for (const array_facet *f = b->arrays; f; f = f->before) n++;
    TRY(schema_alloc(c, &all, n + 1, sizeof *all));
    if (n_more) memcpy(all, more, n_more * sizeof *all);
    n = n_more;
    for (const array_facet *f = b->arrays; f; f = f->before)
        all[n++] = i < f->n_items ? f->items[i] : f->rest;
    return schema_rule(c, all, n, rule);
}

static hone_status append_item(schema_compiler *c, uint32_t list, bool first, uint32_t rule) {
    if (!first) {
        TRY(append_text(c, list, ","));
        TRY(append_space(c, list));
    }
    return append_call(c, list, rule);
}

/* --- items alone --- */

/* All items from the n-th on, which are alike. */
static hone_status append_alike(schema_compiler *c, uint32_t list, const branch *b, size_t n) {
    uint32_t rule, next, body, choice, none, some;
    uint64_t min = b->min_items > n ? b->min_items - n : 0;
    uint64_t max = b->max_items == UINT64_MAX ? UINT64_MAX : b->max_items - n;
    if (max == 0) return HONE_OK;
    TRY(item_rule(c, b, n, NULL, 0, &rule));
    TRY(rule_new(c, "next-item", &next));
    TRY(rule_list(c, &body, NODE_SEQUENCE));
    TRY(append_item(c, body, false, rule));
    TRY(rule_set(c, next, body));
    if (n) return append_repeat(c, list, next, min, max);
    some = list;
    if (min == 0) {
        TRY(append_list(c, list, NODE_CHOICE, &choice));
        TRY(append_list(c, choice, NODE_SEQUENCE, &none));
        TRY(append_list(c, choice, NODE_SEQUENCE, &some));
    }
    TRY(append_call(c, some, rule));
    return append_repeat(c, some, next, min ? min - 1 : 0, max == UINT64_MAX ? max : max - 1);
}

static hone_status append_plain(schema_compiler *c, uint32_t list, const branch *b) {
    size_t n = prefix_length(b);
    for (size_t i = 0; i < n && i < b->max_items; i++) {
        uint32_t rule, choice, none, rest;
        if (i >= b->min_items) { /* the array may end here: the rest is a rule of its own */
            TRY(append_list(c, list, NODE_CHOICE, &choice));
            TRY(append_list(c, choice, NODE_SEQUENCE, &none));
            TRY(rule_new(c, "items", &rest));
            TRY(append_call(c, choice, rest));
            TRY(rule_list(c, &list, NODE_SEQUENCE));
            TRY(rule_set(c, rest, list));
        }
        TRY(item_rule(c, b, i, NULL, 0, &rule));
        TRY(append_item(c, list, i == 0, rule));
    }
    return b->max_items > n ? append_alike(c, list, b, n) : HONE_OK;
}

/* --- with contains --- */

/* States are the number of items so far and, for each facet, of those that count; numbers stop
 * where more makes no difference. */
typedef struct counting {
    schema_compiler *c;
    const branch *b;
    const contains_facet *facets[MAX_CONTAINS];
    size_t n;
    uint64_t last;         /* items so far, at most */
    automaton_names names; /* states: items, counts */
    uint32_t *rules;       /* of the states so far */
    size_t capacity;
} counting;

static uint64_t max_of(uint64_t a, uint64_t b) { return a > b ? a : b; }

static hone_status state_rule(counting *g, const uint32_t *state, uint32_t *rule) {
    uint32_t number;
    size_t known = g->names.n;
    TRY(automaton_name(&g->names, state, g->n + 1, &number));
    if (number < known) return *rule = g->rules[number], HONE_OK;
    if (number >= SCHEMA_MAX_STATES)
        return fail(HONE_ERR_UNSUPPORTED, "contains, minItems and maxItems take more than %d rules "
                    "together", SCHEMA_MAX_STATES);
    TRY(mem_grow(&g->rules, &g->capacity, number + 1, sizeof *g->rules, "schema"));
    TRY(rule_new(g->c, "items", rule));
    g->rules[number] = *rule;
    return HONE_OK;
}

/* One more item: `inside` says for each facet whether it counts. False: it cannot be so. */
static bool choose(const counting *g, const uint32_t *state, unsigned inside, uint32_t *next,
                   literal *more, size_t *n_more) {
    *n_more = 0;
    next[0] = state[0] + (state[0] < g->last);
    for (size_t k = 0; k < g->n; k++) {
        const contains_facet *f = g->facets[k];
        bool counts = inside >> k & 1, bounded = f->max != UINT64_MAX;
        bool open = state[0] >= f->from && (bounded || state[k + 1] < f->min);
        next[k + 1] = state[k + 1] + counts;
        if (counts && (!open || next[k + 1] > f->max)) return false;
        if (counts) more[(*n_more)++] = f->what;
        else if (open && bounded) more[(*n_more)++] = f->what ^ LITERAL_NEGATED;
    }
    return true;
}

static hone_status fill_state(counting *g, const uint32_t *state, uint32_t rule) {
    schema_compiler *c = g->c;
    uint32_t choice, way, item, rest, next[MAX_CONTAINS + 1];
    literal more[MAX_CONTAINS];
    size_t n_more;
    bool complete = state[0] >= g->b->min_items;
    for (size_t k = 0; k < g->n; k++) complete &= state[k + 1] >= g->facets[k]->min;
    TRY(rule_list(c, &choice, NODE_CHOICE));
    if (complete) TRY(append_list(c, choice, NODE_SEQUENCE, &way));
    for (unsigned inside = 0; inside < 1u << g->n && state[0] < g->b->max_items; inside++) {
        if (!choose(g, state, inside, next, more, &n_more)) continue;
        TRY(item_rule(c, g->b, state[0], more, n_more, &item));
        TRY(state_rule(g, next, &rest));
        TRY(append_list(c, choice, NODE_SEQUENCE, &way));
        TRY(append_item(c, way, state[0] == 0, item));
        TRY(append_call(c, way, rest));
    }
    if (c->tree.nodes[choice].first == 0) TRY(append_class(c, choice, NULL, 0));
    return rule_set(c, rule, choice);
}

static hone_status count_items(counting *g, uint32_t list) {
    uint32_t state[MAX_CONTAINS + 1] = {0}, rule;
    g->last = max_of(prefix_length(g->b), g->b->min_items);
    if (g->b->max_items != UINT64_MAX) g->last = max_of(g->last, g->b->max_items);
    for (const contains_facet *f = g->b->contains; f; f = f->before) {
        if (g->n == MAX_CONTAINS)
            return fail(HONE_ERR_UNSUPPORTED, "more than %d contains hold at one place",
                        MAX_CONTAINS);
        g->last = max_of(g->last, f->from);
        g->facets[g->n++] = f;
    }
    if (g->last >= SCHEMA_MAX_STATES)
        return fail(HONE_ERR_UNSUPPORTED, "contains beside a count of %llu items",
                    (unsigned long long)g->last);
    if (g->last == 0) g->last = 1; /* the first item has no comma in front */
    TRY(state_rule(g, state, &rule));
    for (uint32_t s = 0; s < g->names.n; s++) {
        size_t n;
        memcpy(state, automaton_key(&g->names, s, &n), (g->n + 1) * sizeof *state);
        TRY(fill_state(g, state, g->rules[s]));
    }
    return append_call(g->c, list, g->rules[0]);
}

hone_status append_array(schema_compiler *c, uint32_t list, const branch *b) {
    if (b->unique && b->max_items > 1)
        return schema_fail(c, HONE_ERR_UNSUPPORTED, b->unique, "uniqueItems is not supported where "
                           "there may be more than one item: a grammar cannot remember them");
    TRY(append_text(c, list, "["));
    TRY(append_space(c, list));
    if (b->contains) {
        counting g = {.c = c, .b = b};
        hone_status status = count_items(&g, list);
        automaton_names_release(&g.names);
        mem_free(g.rules);
        if (status != HONE_OK) return status;
    } else {
        /* In a rule of its own: what follows a choice inside it is written behind the call. */
        uint32_t rule, body;
        TRY(rule_new(c, "items", &rule));
        TRY(rule_list(c, &body, NODE_SEQUENCE));
        TRY(rule_set(c, rule, body));
        TRY(append_plain(c, body, b));
        TRY(append_call(c, list, rule));
    }
    TRY(append_space(c, list));
    return append_text(c, list, "]");
}
