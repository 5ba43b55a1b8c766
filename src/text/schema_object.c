/* Objects: the members that are spoken of by name, in their order, then all others. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "text/schema_int.h"

enum { MAX_EXISTS = 6, MAX_CLASSES = 256 };

/* Members of one name, or (name NULL) of one set of names. */
typedef struct member {
    const char *name;
    size_t n_name;
    const automaton *names; /* NULL: any */
    literal *all;           /* what such a member is */
    size_t n_all;
    unsigned exists; /* bit k: it may be the one that b->exists' k-th wants */
    bool required, listed, declared;
} member;

/* States are the member whose turn it is, the number of members so far, and which of `exists` have
 * been met; the number stops where more makes no difference. */
typedef struct object {
    schema_compiler *c;
    const branch *b;
    member *named, *others;
    size_t n_named, n_others;
    literal exists[MAX_EXISTS];
    size_t n_exists;
    uint64_t last; /* members so far, at most */
    automaton_names names;
    uint32_t *rules;
    size_t capacity;
} object;

/* --- named members --- */

static hone_status find_named(object *o) {
    const branch *b = o->b;
    strmap numbers;
    size_t n = 0;
    for (const name_facet *f = b->names; f; f = f->before) n++;
    const name_facet **facets;
    TRY(schema_alloc(o->c, &facets, n + 1, sizeof *facets));
    TRY(schema_alloc(o->c, &o->named, n + 1, sizeof *o->named));
    for (const name_facet *f = b->names; f; f = f->before) facets[--n] = f; /* oldest first */
    TRY(strmap_init(&numbers, 16));
    hone_status status = HONE_OK;
    for (; facets[n] && status == HONE_OK; n++) {
        const name_facet *f = facets[n];
        uint32_t at = (uint32_t)o->n_named;
        if (!strmap_find(&numbers, f->name, f->n, &at)) {
            status = strmap_insert(&numbers, f->name, f->n, at, NULL);
            o->named[o->n_named++] = (member){.name = f->name, .n_name = f->n};
        }
        member *m = &o->named[at];
        literal *larger = arena_grow(&o->c->arena, m->all, m->n_all * sizeof *m->all,
                                     (m->n_all + 1) * sizeof *m->all);
        if (!larger) status = HONE_ERR_MEMORY;
        if (status != HONE_OK) break;
        m->all = larger;
        m->all[m->n_all++] = f->value;
        m->required |= f->required;
        m->listed |= f->listed;
        m->declared |= f->listed && !f->required;
    }
    strmap_release(&numbers);
    return status;
}

/* --- other members --- */

static hone_status add_literal(schema_compiler *c, member *m, literal what) {
    literal *all;
    TRY(schema_alloc(c, &all, m->n_all + 1, sizeof *all));
    if (m->n_all) memcpy(all, m->all, m->n_all * sizeof *all);
    all[m->n_all++] = what;
    m->all = all;
    return HONE_OK;
}

/* Cuts every class of other names at the facet's: inside, `change` is made. */
static hone_status cut_classes(object *o, const names_facet *f, unsigned exists_bit) {
    schema_compiler *c = o->c;
    size_t n = o->n_others, kept = 0;
    member *cut;
    TRY(schema_alloc(c, &cut, 2 * n + 1, sizeof *cut));
    for (size_t i = 0; i < n; i++) {
        member inside = o->others[i], outside = o->others[i];
        TRY(schema_combine(c, &inside.names, o->others[i].names, f->names, AUTOMATON_AND));
        TRY(schema_combine(c, &outside.names, o->others[i].names, f->names, AUTOMATON_MINUS));
        if (!automaton_is_empty(outside.names)) cut[kept++] = outside;
        if (automaton_is_empty(inside.names)) continue;
        inside.exists |= exists_bit;
        if (!exists_bit) {
            if (f->value == LITERAL_FALSE) continue;
            TRY(add_literal(c, &inside, f->value));
        }
        cut[kept++] = inside;
    }
    if (kept > MAX_CLASSES)
        return fail(HONE_ERR_UNSUPPORTED, "patterns cut the names of members into more than %d "
                    "classes", MAX_CLASSES);
    o->others = cut;
    o->n_others = kept;
    return HONE_OK;
}

/* Names for which no keyword but these sets speaks. */
static hone_status find_others(object *o) {
    schema_compiler *c = o->c;
    const branch *b = o->b;
    const automaton *all, *named;
    automaton_word *words;
    TRY(schema_alloc(c, &o->others, 1, sizeof *o->others));
    o->n_others = 1;
    if (!o->n_named && !b->members && !b->exists && !b->unevaluated) return HONE_OK; /* any name */
    TRY(schema_alloc(c, &words, o->n_named + 1, sizeof *words));
    for (size_t i = 0; i < o->n_named; i++)
        words[i] = (automaton_word){o->named[i].name, o->named[i].n_name};
    TRY(automaton_all(&all, &c->arena));
    TRY(automaton_words(&named, &c->arena, words, o->n_named));
    TRY(schema_combine(c, &o->others[0].names, all, named, AUTOMATON_MINUS));
    unsigned bit = 1;
    for (const names_facet *f = b->exists; f; f = f->before, bit <<= 1)
        TRY(cut_classes(o, f, bit));
    for (const names_facet *f = b->members; f; f = f->before) TRY(cut_classes(o, f, 0));
    return HONE_OK;
}

/* What sets of names say of the members that have one. */
static hone_status complete_named(object *o) {
    for (size_t i = 0; i < o->n_named; i++) {
        member *m = &o->named[i];
        unsigned bit = 1;
        for (const names_facet *f = o->b->members; f; f = f->before)
            if (automaton_has(f->names, m->name, m->n_name)) TRY(add_literal(o->c, m, f->value));
        for (const names_facet *f = o->b->exists; f; f = f->before, bit <<= 1)
            if (automaton_has(f->names, m->name, m->n_name)) m->exists |= bit;
    }
    return HONE_OK;
}

/* Not read to the letter: who lists properties and says nothing of others wants no others. What
 * only a negation brought in is no property either. */
static void close_object(object *o) {
    size_t kept = 0;
    for (size_t i = 0; i < o->n_named; i++) {
        member *m = &o->named[i];
        if (!m->listed && !m->required) continue;
        if (!m->listed) m->all[0] = LITERAL_FALSE;
        o->named[kept++] = *m;
    }
    o->n_named = kept;
    o->n_others = 0;
}

/* unevaluatedProperties false: only what `properties` or a pattern of this alternative speaks
 * of. */
static hone_status close_unevaluated(object *o) {
    const automaton *unseen;
    TRY(automaton_all(&unseen, &o->c->arena));
    for (const names_facet *f = o->b->members; f; f = f->before)
        TRY(schema_combine(o->c, &unseen, unseen, f->names, AUTOMATON_MINUS));
    const names_facet none = {.names = unseen, .value = LITERAL_FALSE};
    for (size_t i = 0; i < o->n_named; i++) {
        member *m = &o->named[i];
        if (!m->declared && automaton_has(unseen, m->name, m->n_name))
            TRY(add_literal(o->c, m, LITERAL_FALSE));
    }
    return cut_classes(o, &none, 0);
}

static hone_status describe(object *o) {
    const branch *b = o->b;
    for (const names_facet *f = b->exists; f; f = f->before) {
        if (o->n_exists == MAX_EXISTS)
            return fail(HONE_ERR_UNSUPPORTED, "more than %d patterns of names must not all hold",
                        MAX_EXISTS);
        o->exists[o->n_exists++] = f->value;
    }
    TRY(find_named(o));
    TRY(find_others(o));
    TRY(complete_named(o));
    if (b->unevaluated) return close_unevaluated(o);
    if (!o->c->exact && b->lists_properties && !b->others_said) close_object(o);
    return HONE_OK;
}

/* --- rules --- */

typedef struct place {
    uint32_t turn, n, met;
} place;

static hone_status place_rule(object *o, place p, uint32_t *rule) {
    uint32_t key[3] = {p.turn, p.n, p.met}, number;
    size_t known = o->names.n;
    TRY(automaton_name(&o->names, key, 3, &number));
    if (number < known) return *rule = o->rules[number], HONE_OK;
    if (number >= SCHEMA_MAX_STATES)
        return fail(HONE_ERR_UNSUPPORTED, "the number of properties takes more than %d rules to "
                    "count", SCHEMA_MAX_STATES);
    TRY(mem_grow(&o->rules, &o->capacity, number + 1, sizeof *o->rules, "schema"));
    TRY(rule_new(o->c, "members", rule));
    o->rules[number] = *rule;
    return HONE_OK;
}

/* A member whose value is also each of `exists` in `meets`. */
static hone_status append_member(object *o, uint32_t list, const member *m, bool first,
                                 unsigned meets) {
    schema_compiler *c = o->c;
    literal *all;
    size_t n = m->n_all;
    uint32_t value;
    TRY(schema_alloc(c, &all, n + o->n_exists + 1, sizeof *all));
    if (n) memcpy(all, m->all, n * sizeof *all);
    for (size_t k = 0; k < o->n_exists; k++)
        if (meets >> k & 1) all[n++] = o->exists[k];
    TRY(schema_rule(c, all, n, &value));
    if (!first) {
        TRY(append_text(c, list, ","));
        TRY(append_space(c, list));
    }
    if (m->name) TRY(append_quoted(c, list, m->name, m->n_name));
    else if (m->names) TRY(append_automaton(c, list, m->names, true));
    else TRY(append_any_string(c, list));
    TRY(append_space(c, list));
    TRY(append_text(c, list, ":"));
    TRY(append_space(c, list));
    return append_call(c, list, value);
}

static place behind(const object *o, place p, unsigned meets) {
    return (place){p.turn + (p.turn < o->n_named), p.n + (p.n < o->last), p.met | meets};
}

/* The member in each way, by what it meets; then the rest. */
static hone_status append_ways(object *o, uint32_t choice, const member *m, place p) {
    unsigned open = m->exists & ~p.met, meets = open;
    if (p.n >= o->b->max_properties) return HONE_OK;
    for (;; meets = (meets - 1) & open) { /* all subsets of `open` */
        uint32_t way, rest;
        TRY(append_list(o->c, choice, NODE_SEQUENCE, &way));
        TRY(append_member(o, way, m, p.n == 0, meets));
        TRY(place_rule(o, behind(o, p, meets), &rest));
        TRY(append_call(o->c, way, rest));
        if (meets == 0) return HONE_OK;
    }
}

/* Required members that follow one another need no choice. */
static hone_status append_required(object *o, uint32_t list, place *p) {
    while (p->turn < o->n_named) {
        const member *m = &o->named[p->turn];
        if (!m->required || (m->exists & ~p->met) || p->n >= o->b->max_properties) return HONE_OK;
        TRY(append_member(o, list, m, p->n == 0, 0));
        *p = behind(o, *p, 0);
    }
    return HONE_OK;
}

static hone_status fill_place(object *o, place p, uint32_t rule) {
    schema_compiler *c = o->c;
    uint32_t body, choice, way, rest;
    TRY(rule_list(c, &body, NODE_SEQUENCE));
    TRY(append_required(o, body, &p));
    TRY(append_list(c, body, NODE_CHOICE, &choice));
    if (p.turn < o->n_named) {
        const member *m = &o->named[p.turn];
        TRY(append_ways(o, choice, m, p));
        if (!m->required) {
            TRY(place_rule(o, (place){p.turn + 1, p.n, p.met}, &rest));
            TRY(append_call(c, choice, rest));
        }
    } else {
        bool complete = p.n >= o->b->min_properties && p.met == (1u << o->n_exists) - 1;
        if (complete) TRY(append_list(c, choice, NODE_SEQUENCE, &way));
        for (size_t i = 0; i < o->n_others; i++) TRY(append_ways(o, choice, &o->others[i], p));
    }
    if (c->tree.nodes[choice].first == 0) TRY(append_class(c, choice, NULL, 0));
    return rule_set(c, rule, body);
}

/* Members are counted as far as the bounds need it; and whether one was in front, for the comma. */
static void find_last(object *o) {
    uint64_t n_required = 0;
    const branch *b = o->b;
    for (size_t i = 0; i < o->n_named; i++) n_required += o->named[i].required;
    o->last = b->min_properties > n_required ? b->min_properties : 1;
    bool can_pass = o->n_others || b->max_properties < o->n_named;
    if (b->max_properties != UINT64_MAX && can_pass && b->max_properties > o->last)
        o->last = b->max_properties;
}

static hone_status write_object(object *o, uint32_t list) {
    uint32_t rule;
    TRY(describe(o));
    find_last(o);
    if (o->last >= SCHEMA_MAX_STATES)
        return fail(HONE_ERR_UNSUPPORTED, "a count of %llu properties",
                    (unsigned long long)o->last);
    TRY(place_rule(o, (place){0, 0, 0}, &rule));
    for (uint32_t s = 0; s < o->names.n; s++) {
        size_t n;
        const uint32_t *key = automaton_key(&o->names, s, &n);
        TRY(fill_place(o, (place){key[0], key[1], key[2]}, o->rules[s]));
    }
    TRY(append_text(o->c, list, "{"));
    TRY(append_space(o->c, list));
    TRY(append_call(o->c, list, rule));
    TRY(append_space(o->c, list));
    return append_text(o->c, list, "}");
}

hone_status append_object(schema_compiler *c, uint32_t list, const branch *b) {
    object o = {.c = c, .b = b};
    hone_status status = write_object(&o, list);
    automaton_names_release(&o.names);
    mem_free(o.rules);
    return status;
}
