/* Literals that all hold at one place, brought into alternatives (text/schema.h). */
#include <string.h>

#include "base/mem.h"
#include "text/schema_int.h"

/* How deep a question whether branches exclude each other looks into members and items. */
enum { MAX_LOOK_DEPTH = 6 };

/* --- open alternatives --- */

static hone_status push(branch_list *list, const branch *b) {
    if (list->n == SCHEMA_MAX_BRANCHES)
        return fail(HONE_ERR_UNSUPPORTED, "the schema has more than %d alternatives at one place",
                    SCHEMA_MAX_BRANCHES);
    TRY(mem_grow(&list->all, &list->capacity, list->n + 1, sizeof *list->all, "schema"));
    list->all[list->n++] = *b;
    return HONE_OK;
}

hone_status branch_copy(schema_compiler *c, const branch *b, branch **copy) {
    TRY(push(c->open, b));
    *copy = &c->open->all[c->open->n - 1];
    return HONE_OK;
}

hone_status branch_copy_type(schema_compiler *c, const branch *b, unsigned types, branch **copy) {
    TRY(branch_copy(c, b, copy));
    (*copy)->types &= types;
    return HONE_OK;
}

/* `what` again behind itself, with nothing between: the schema would mean itself. */
static bool is_circle(const origin *from, literal what) {
    for (; from; from = from->above)
        if (from->what == what) return true;
    return false;
}

hone_status branch_add(schema_compiler *c, branch *b, literal what, const origin *from) {
    if (what == LITERAL_TRUE) return HONE_OK;
    if (what == LITERAL_FALSE) {
        b->types = 0;
        return HONE_OK;
    }
    if (is_circle(from, what))
        return schema_fail(c, HONE_ERR_UNSUPPORTED, literal_node(what),
                           "the schema refers to itself with no property or item between");
    pending *p;
    origin *o;
    TRY(schema_alloc(c, &p, 1, sizeof *p));
    TRY(schema_alloc(c, &o, 1, sizeof *o));
    *o = (origin){from, what};
    *p = (pending){b->pending, what, o};
    b->pending = p;
    return HONE_OK;
}

hone_status branch_fork(schema_compiler *c, branch *b, const keyword *k,
                        hone_status (*split)(schema_compiler *c, const branch *b,
                                             const keyword *k)) {
    fork_facet *f;
    TRY(schema_alloc(c, &f, 1, sizeof *f));
    *f = (fork_facet){b->forks, split, *k};
    b->forks = f;
    return HONE_OK;
}

/* --- applicators --- */

static hone_status exclude(schema_compiler *c, unsigned types, const literal *all, size_t n,
                           bool *empty);
static unsigned implied_types(const json_t *schema);

static hone_status subschema(schema_compiler *c, const keyword *k, const json_t *json,
                             literal *out) {
    return schema_literal(c, json, k->node, out);
}

static hone_status sibling(schema_compiler *c, const keyword *k, const char *name, literal *out) {
    const json_t *json = json_object_get(k->schema, name);
    *out = LITERAL_TRUE;
    return json ? subschema(c, k, json, out) : HONE_OK;
}

/* A copy of `b` in which the literals hold, too. */
static hone_status copy_with(schema_compiler *c, const branch *b, const keyword *k, literal one,
                             literal other) {
    branch with = *b, *copy;
    TRY(branch_add(c, &with, other, k->from));
    TRY(branch_add(c, &with, one, k->from));
    return with.types ? branch_copy(c, &with, &copy) : HONE_OK;
}

static hone_status check_list(schema_compiler *c, const keyword *k) {
    if (json_is_array(k->value) && json_array_size(k->value)) return HONE_OK;
    return keyword_fail(c, k, HONE_ERR_FORMAT, "must be a list of schemas that is not empty");
}

/* All of a list, or none of it; from the last, so that the first is taken up first. */
static hone_status add_list(schema_compiler *c, branch *b, const keyword *k, literal negated) {
    for (size_t i = json_array_size(k->value); i-- > 0;) {
        literal what;
        TRY(subschema(c, k, json_array_get(k->value, i), &what));
        TRY(branch_add(c, b, what ^ negated, k->from));
    }
    return HONE_OK;
}

static hone_status split_list(schema_compiler *c, const branch *b, const keyword *k,
                              literal negated) {
    for (size_t i = json_array_size(k->value); i-- > 0;) {
        literal what;
        TRY(subschema(c, k, json_array_get(k->value, i), &what));
        TRY(copy_with(c, b, k, what ^ negated, LITERAL_TRUE));
    }
    return HONE_OK;
}

static hone_status apply_all_of(schema_compiler *c, branch *b, const keyword *k) {
    TRY(check_list(c, k));
    return add_list(c, b, k, 0);
}

static hone_status deny_all_of(schema_compiler *c, const branch *b, const keyword *k) {
    TRY(check_list(c, k));
    return split_list(c, b, k, LITERAL_NEGATED);
}

static hone_status split_any_of(schema_compiler *c, const branch *b, const keyword *k) {
    return split_list(c, b, k, 0);
}

static hone_status apply_any_of(schema_compiler *c, branch *b, const keyword *k) {
    TRY(check_list(c, k));
    return branch_fork(c, b, k, split_any_of);
}

/* None of the list. */
static hone_status copy_without(schema_compiler *c, const branch *b, const keyword *k) {
    branch none = *b, *copy;
    TRY(add_list(c, &none, k, LITERAL_NEGATED));
    return none.types ? branch_copy(c, &none, &copy) : HONE_OK;
}

static hone_status deny_any_of(schema_compiler *c, const branch *b, const keyword *k) {
    TRY(check_list(c, k));
    return copy_without(c, b, k);
}

/* Whether no value of these types is both, as far as a short look tells; remembered, and "no" while
 * it is being found out. */
static hone_status find_apart(schema_compiler *c, unsigned types, literal one, literal other,
                              bool *apart) {
    const uint32_t key[3] = {types, one < other ? one : other, one < other ? other : one};
    uint32_t number;
    size_t known = c->pairs.n;
    TRY(automaton_name(&c->pairs, key, 3, &number));
    TRY(mem_grow(&c->excluded, &c->excluded_capacity, number + 1, sizeof *c->excluded, "schema"));
    if (number >= known) {
        const literal all[2] = {one, other};
        bool found, exact = c->exact;
        c->excluded[number] = false;
        c->exact = true;
        hone_status status = exclude(c, types, all, 2, &found);
        c->exact = exact;
        TRY(status);
        c->excluded[number] = found;
    }
    *apart = c->excluded[number];
    return HONE_OK;
}

/* The types that a literal leaves to a branch at first sight. */
static unsigned types_of(const schema_compiler *c, const branch *b, literal what) {
    bool implied = !c->exact && !(what & (LITERAL_NEGATED | LITERAL_CONSTANT)) && what;
    return b->types & (implied ? implied_types(c->index.nodes[literal_node(what)].json) : TYPE_ALL);
}

/* One, and none of the others that do not exclude it anyway. */
static hone_status split_one_of(schema_compiler *c, const branch *b, const keyword *k) {
    size_t n = json_array_size(k->value);
    for (size_t i = n; i-- > 0;) {
        branch one = *b, *copy;
        literal what[2];
        TRY(subschema(c, k, json_array_get(k->value, i), &what[0]));
        for (size_t j = n; j-- > 0;) {
            bool apart = false;
            if (j == i) continue;
            TRY(subschema(c, k, json_array_get(k->value, j), &what[1]));
            TRY(find_apart(c, types_of(c, b, what[0]), what[0], what[1], &apart));
            if (!apart) TRY(branch_add(c, &one, what[1] ^ LITERAL_NEGATED, k->from));
        }
        TRY(branch_add(c, &one, what[0], k->from));
        if (one.types) TRY(branch_copy(c, &one, &copy));
    }
    return HONE_OK;
}

static hone_status apply_one_of(schema_compiler *c, branch *b, const keyword *k) {
    TRY(check_list(c, k));
    return branch_fork(c, b, k, split_one_of);
}

/* None, or at least two. */
static hone_status deny_one_of(schema_compiler *c, const branch *b, const keyword *k) {
    TRY(check_list(c, k));
    TRY(copy_without(c, b, k));
    for (size_t i = 0; i < json_array_size(k->value); i++) {
        for (size_t j = 0; j < i; j++) {
            literal one, other;
            TRY(subschema(c, k, json_array_get(k->value, i), &one));
            TRY(subschema(c, k, json_array_get(k->value, j), &other));
            TRY(copy_with(c, b, k, one, other));
        }
    }
    return HONE_OK;
}

static hone_status apply_not(schema_compiler *c, branch *b, const keyword *k) {
    literal what;
    TRY(subschema(c, k, k->value, &what));
    return branch_add(c, b, what ^ LITERAL_NEGATED, k->from);
}

static hone_status deny_not(schema_compiler *c, const branch *b, const keyword *k) {
    literal what;
    TRY(subschema(c, k, k->value, &what));
    return copy_with(c, b, k, what, LITERAL_TRUE);
}

static hone_status split_if(schema_compiler *c, const branch *b, const keyword *k) {
    literal condition, then, otherwise;
    TRY(subschema(c, k, k->value, &condition));
    TRY(sibling(c, k, "then", &then));
    TRY(sibling(c, k, "else", &otherwise));
    TRY(copy_with(c, b, k, condition ^ LITERAL_NEGATED, otherwise));
    return copy_with(c, b, k, condition, then);
}

static hone_status apply_if(schema_compiler *c, branch *b, const keyword *k) {
    bool any = json_object_get(k->schema, "then") || json_object_get(k->schema, "else");
    return any ? branch_fork(c, b, k, split_if) : HONE_OK;
}

static hone_status deny_if(schema_compiler *c, const branch *b, const keyword *k) {
    literal condition, then, otherwise;
    TRY(subschema(c, k, k->value, &condition));
    TRY(sibling(c, k, "then", &then));
    TRY(sibling(c, k, "else", &otherwise));
    TRY(copy_with(c, b, k, condition ^ LITERAL_NEGATED, otherwise ^ LITERAL_NEGATED));
    return copy_with(c, b, k, condition, then ^ LITERAL_NEGATED);
}

static hone_status resolve(schema_compiler *c, const keyword *k, literal *target) {
    if (!json_is_string(k->value)) return keyword_fail(c, k, HONE_ERR_FORMAT, "must be a string");
    return schema_resolve(c, k->node, json_string_value(k->value), target);
}

static hone_status apply_ref(schema_compiler *c, branch *b, const keyword *k) {
    literal target;
    TRY(resolve(c, k, &target));
    return branch_add(c, b, target, k->from);
}

static hone_status deny_ref(schema_compiler *c, const branch *b, const keyword *k) {
    literal target;
    TRY(resolve(c, k, &target));
    return copy_with(c, b, k, target ^ LITERAL_NEGATED, LITERAL_TRUE);
}

static const keyword_rule applicators[] = {
    {"$ref", 0, apply_ref, deny_ref},
    {"allOf", 0, apply_all_of, deny_all_of},
    {"anyOf", 0, apply_any_of, deny_any_of},
    {"oneOf", 0, apply_one_of, deny_one_of},
    {"not", 0, apply_not, deny_not},
    {"if", 0, apply_if, deny_if},
    {NULL, 0, NULL, NULL}};

/* --- schemas --- */

/* Words that some draft gives a meaning which is not offered. */
static bool is_refused(const char *name) {
    static const char *const refused[] = {
        "$dynamicRef", "$recursiveRef", "contentMediaType", "contentSchema", "unevaluatedItems",
        "disallow", "divisibleBy", "extends", "nullable"};
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
        if (!strcmp(name, refused[i])) return true;
    return false;
}

static const keyword_rule *find_rule(const char *name) {
    static const keyword_rule *const tables[] = {applicators, schema_scalar_rules,
                                                 schema_member_rules};
    for (size_t i = 0; i < 3; i++)
        for (const keyword_rule *r = tables[i]; r->name; r++)
            if (!strcmp(name, r->name)) return r;
    return NULL;
}

/* A schema that names no type means those that its keywords speak of, unless read to the letter. */
static unsigned implied_types(const json_t *schema) {
    unsigned types = 0;
    const char *name;
    json_t *value;
    if (json_object_get(schema, "type") || json_object_get(schema, "enum") ||
        json_object_get(schema, "const") || json_object_get(schema, "$ref"))
        return TYPE_ALL;
    json_object_foreach((json_t *)schema, name, value) {
        const keyword_rule *r = find_rule(name);
        if (r) types |= r->types;
    }
    return types ? types : TYPE_ALL;
}

/* In drafts up to 7 nothing beside $ref counts. */
static bool is_only_ref(const schema_compiler *c, const json_t *schema) {
    return c->draft <= 7 && json_is_string(json_object_get(schema, "$ref"));
}

/* Applies each keyword of the schema to a branch, or denies it in one; the other is NULL. */
static hone_status each_keyword(schema_compiler *c, branch *apply_to, const branch *deny_in,
                                uint32_t node, const origin *from) {
    const json_t *schema = c->index.nodes[node].json;
    const char *name;
    json_t *value;
    bool only_ref = is_only_ref(c, schema);
    json_object_foreach((json_t *)schema, name, value) {
        const keyword_rule *r = find_rule(name);
        keyword k = {schema, value, name, node, from};
        if (only_ref && strcmp(name, "$ref") != 0) continue;
        if (!r && is_refused(name))
            return keyword_fail(c, &k, HONE_ERR_UNSUPPORTED, "is not supported");
        if (r && apply_to && r->apply) TRY(r->apply(c, apply_to, &k));
        if (r && deny_in && r->deny) TRY(r->deny(c, deny_in, &k));
    }
    return HONE_OK;
}

static hone_status apply_schema(schema_compiler *c, branch *b, const pending *p) {
    uint32_t node = literal_node(p->what);
    const json_t *schema = c->index.nodes[node].json;
    if (!c->exact) b->types &= implied_types(schema);
    return each_keyword(c, b, NULL, node, p->from);
}

/* Takes up one literal. False in *goes_on: `b` was replaced by alternatives. */
static hone_status apply_literal(schema_compiler *c, branch *b, const pending *p, bool *goes_on) {
    const json_t *json = c->index.nodes[literal_node(p->what)].json;
    *goes_on = !(p->what & LITERAL_NEGATED);
    if (p->what & LITERAL_CONSTANT)
        return *goes_on ? branch_apply_constant(c, b, json) : branch_deny_constant(c, b, json);
    if (*goes_on) return apply_schema(c, b, p);
    return each_keyword(c, NULL, b, literal_node(p->what), p->from);
}

/* *known: `what` holds already; *contrary: its opposite does. */
static void look_up(const branch *b, literal what, bool *known, bool *contrary) {
    *known = *contrary = false;
    for (const pending *p = b->applied; p; p = p->before) {
        *known |= p->what == what;
        *contrary |= p->what == (what ^ LITERAL_NEGATED);
    }
}

/* Takes the branch as far as it goes; *done false: it was replaced, or nothing can satisfy it. */
static hone_status develop(schema_compiler *c, branch *b, bool *done) {
    *done = false;
    for (bool goes_on = true; goes_on && b->types;) {
        if (++c->n_steps > SCHEMA_MAX_STEPS)
            return fail(HONE_ERR_UNSUPPORTED, "the schema takes more than %d steps to bring into "
                        "alternatives", SCHEMA_MAX_STEPS);
        if (b->pending) {
            pending *p;
            bool known, contrary;
            TRY(schema_alloc(c, &p, 1, sizeof *p));
            *p = *b->pending;
            b->pending = p->before;
            look_up(b, p->what, &known, &contrary);
            if (contrary) return HONE_OK;
            if (known) continue;
            p->before = b->applied;
            b->applied = p;
            TRY(apply_literal(c, b, p, &goes_on));
        } else if (b->forks) {
            const fork_facet *f = b->forks;
            b->forks = f->before;
            return f->split(c, b, &f->k);
        } else {
            *done = true;
            return HONE_OK;
        }
    }
    return HONE_OK;
}

static hone_status expand(schema_compiler *c, unsigned types, const literal *all, size_t n,
                          branch_list *out) {
    branch_list open = {0}, *outer = c->open;
    *out = (branch_list){0};
    branch first = {.types = types, .max_length = UINT64_MAX, .max_items = UINT64_MAX,
                    .max_properties = UINT64_MAX};
    c->open = &open;
    hone_status status = HONE_OK;
    for (size_t i = n; i-- > 0 && status == HONE_OK;)
        status = branch_add(c, &first, all[i], NULL);
    if (status == HONE_OK && first.types) status = push(&open, &first);
    while (open.n && status == HONE_OK) {
        branch b = open.all[--open.n];
        bool done;
        status = develop(c, &b, &done);
        if (status == HONE_OK && done && b.types) status = push(out, &b);
    }
    c->open = outer;
    mem_free(open.all);
    if (status != HONE_OK) {
        mem_free(out->all);
        *out = (branch_list){0};
    }
    return status;
}

hone_status schema_expand(schema_compiler *c, const literal *all, size_t n, branch_list *out) {
    return expand(c, TYPE_ALL, all, n, out);
}

/* --- exclusion --- */

/* Whether the required member `f` of the branch cannot be. */
static hone_status member_excluded(schema_compiler *c, const branch *b, const name_facet *f,
                                   bool *empty) {
    literal all[16];
    size_t n = 0;
    for (const name_facet *o = b->names; o && n < 16; o = o->before)
        if (o->n == f->n && memcmp(o->name, f->name, f->n) == 0) all[n++] = o->value;
    for (const names_facet *o = b->members; o && n < 16; o = o->before)
        if (automaton_has(o->names, f->name, f->n)) all[n++] = o->value;
    return exclude(c, TYPE_ALL, all, n, empty);
}

static hone_status item_excluded(schema_compiler *c, const branch *b, uint64_t i, bool *empty) {
    literal all[16];
    size_t n = 0;
    for (const array_facet *a = b->arrays; a && n < 16; a = a->before)
        all[n++] = i < a->n_items ? a->items[i] : a->rest;
    return exclude(c, TYPE_ALL, all, n, empty);
}

/* Takes the types from the branch that its members or items make impossible. */
static hone_status look_inside(schema_compiler *c, branch *b) {
    bool empty = false;
    for (const name_facet *f = b->names; f && (b->types & TYPE_OBJECT); f = f->before) {
        if (!f->required) continue;
        TRY(member_excluded(c, b, f, &empty));
        if (empty) b->types &= ~(unsigned)TYPE_OBJECT;
    }
    for (uint64_t i = 0; i < b->min_items && i < 8 && (b->types & TYPE_ARRAY); i++) {
        TRY(item_excluded(c, b, i, &empty));
        if (empty) b->types &= ~(unsigned)TYPE_ARRAY;
    }
    return HONE_OK;
}

static hone_status exclude(schema_compiler *c, unsigned types, const literal *all, size_t n,
                           bool *empty) {
    branch_list list;
    *empty = false;
    if (c->depth == MAX_LOOK_DEPTH) return HONE_OK;
    c->depth++;
    hone_status status = expand(c, types, all, n, &list);
    *empty = status == HONE_OK;
    for (size_t i = 0; i < list.n && status == HONE_OK && *empty; i++) {
        status = look_inside(c, &list.all[i]);
        *empty = list.all[i].types == 0;
    }
    mem_free(list.all);
    c->depth--;
    return status;
}

/* --- strings --- */

hone_status branch_is_string(schema_compiler *c, const branch *b, const automaton **set) {
    const automaton *lengths;
    if (!(b->types & TYPE_STRING)) return automaton_words(set, &c->arena, NULL, 0);
    uint64_t max = b->max_length;
    if (b->min_length > AUTOMATON_MAX_STATES || (max != UINT64_MAX && max > AUTOMATON_MAX_STATES))
        return fail(HONE_ERR_UNSUPPORTED,
                    "a length of more than %d beside other rules for the text",
                    AUTOMATON_MAX_STATES);
    TRY(automaton_lengths(&lengths, &c->arena, (uint32_t)b->min_length,
                          max == UINT64_MAX ? UINT32_MAX : (uint32_t)max));
    *set = lengths;
    return b->string ? schema_combine(c, set, b->string, lengths, AUTOMATON_AND) : HONE_OK;
}
