/* Keywords of arrays and of objects; constant arrays and objects. */
#include <string.h>

#include "base/mem.h"
#include "text/schema_int.h"

hone_status keyword_count(const schema_compiler *c, const keyword *k, uint64_t *count) {
    if (json_to_u64(k->value, count) && *count < UINT64_MAX - 1) return HONE_OK;
    return keyword_fail(c, k, HONE_ERR_FORMAT, "must be a whole number, not below 0");
}

/* --- facets --- */

static void keep_items(branch *b, uint64_t min, uint64_t max) {
    if (min > b->min_items) b->min_items = min;
    if (max < b->max_items) b->max_items = max;
    if (b->min_items > b->max_items) b->types &= ~(unsigned)TYPE_ARRAY;
}

static void keep_properties(branch *b, uint64_t min, uint64_t max) {
    if (min > b->min_properties) b->min_properties = min;
    if (max < b->max_properties) b->max_properties = max;
    if (b->min_properties > b->max_properties) b->types &= ~(unsigned)TYPE_OBJECT;
}

static hone_status add_array(schema_compiler *c, branch *b, const literal *items, size_t n,
                             literal rest) {
    array_facet *f;
    TRY(schema_alloc(c, &f, 1, sizeof *f));
    *f = (array_facet){b->arrays, items, n, rest};
    b->arrays = f;
    return HONE_OK;
}

static hone_status add_contains(schema_compiler *c, branch *b, contains_facet what) {
    contains_facet *f;
    if (what.min == 0 && what.max == UINT64_MAX) return HONE_OK;
    TRY(schema_alloc(c, &f, 1, sizeof *f));
    *f = what;
    f->before = b->contains;
    b->contains = f;
    if (what.min) keep_items(b, what.from + what.min, UINT64_MAX);
    return HONE_OK;
}

static hone_status add_name(schema_compiler *c, branch *b, name_facet what) {
    name_facet *f;
    if (what.required && what.value == LITERAL_FALSE) b->types &= ~(unsigned)TYPE_OBJECT;
    for (const name_facet *o = b->names; o; o = o->before) {
        if (o->n != what.n || memcmp(o->name, what.name, what.n) != 0) continue;
        if ((o->required && what.value == LITERAL_FALSE) ||
            (what.required && o->value == LITERAL_FALSE))
            b->types &= ~(unsigned)TYPE_OBJECT;
    }
    TRY(schema_alloc(c, &f, 1, sizeof *f));
    *f = what;
    f->before = b->names;
    b->names = f;
    return HONE_OK;
}

static hone_status add_names(schema_compiler *c, const names_facet **list, const automaton *names,
                             literal value) {
    names_facet *f;
    if (value == LITERAL_TRUE && automaton_is_empty(names)) return HONE_OK;
    TRY(schema_alloc(c, &f, 1, sizeof *f));
    *f = (names_facet){*list, names, value};
    *list = f;
    return HONE_OK;
}

/* --- counts --- */

static hone_status apply_count(schema_compiler *c, branch *b, const keyword *k) {
    uint64_t n;
    TRY(keyword_count(c, k, &n));
    bool minimum = k->name[1] == 'i', items = strstr(k->name, "Items") != NULL;
    (items ? keep_items : keep_properties)(b, minimum ? n : 0, minimum ? UINT64_MAX : n);
    return HONE_OK;
}

static hone_status deny_count(schema_compiler *c, const branch *b, const keyword *k) {
    uint64_t n;
    branch *copy;
    TRY(keyword_count(c, k, &n));
    bool minimum = k->name[1] == 'i', items = strstr(k->name, "Items") != NULL;
    if (minimum && n == 0) return HONE_OK;
    TRY(branch_copy_type(c, b, items ? TYPE_ARRAY : TYPE_OBJECT, &copy));
    (items ? keep_items : keep_properties)(copy, minimum ? 0 : n + 1, minimum ? n - 1 : UINT64_MAX);
    return HONE_OK;
}

/* --- items --- */

/* What items, prefixItems and additionalItems say together. */
typedef struct item_rules {
    literal *items;
    size_t n_items;
    literal rest;
    bool tuple, rest_said;
} item_rules;

static hone_status read_items(schema_compiler *c, const keyword *k, item_rules *out) {
    const json_t *items = json_object_get(k->schema, "items");
    const json_t *prefix = json_object_get(k->schema, "prefixItems");
    const json_t *rest = items;
    *out = (item_rules){.rest = LITERAL_TRUE};
    if (json_is_array(items)) { /* drafts up to 2019-09 */
        if (prefix) return keyword_fail(c, k, HONE_ERR_FORMAT, "has a list beside prefixItems");
        prefix = items;
        rest = json_object_get(k->schema, "additionalItems");
    } else if (prefix && !json_is_array(prefix)) { /* seen in the wild: meant as items */
        if (items) return keyword_fail(c, k, HONE_ERR_FORMAT, "stands beside prefixItems, no list");
        rest = prefix;
        prefix = NULL;
    }
    if (rest) TRY(schema_literal(c, rest, k->node, &out->rest));
    out->rest_said = rest != NULL;
    out->tuple = prefix != NULL;
    out->n_items = json_array_size(prefix);
    TRY(schema_alloc(c, &out->items, out->n_items + 1, sizeof *out->items));
    for (size_t i = 0; i < out->n_items; i++)
        TRY(schema_literal(c, json_array_get(prefix, i), k->node, &out->items[i]));
    return HONE_OK;
}

/* The first of the keywords stands for all. */
static bool is_first(const keyword *k) {
    static const char *const group[] = {"prefixItems", "items", "additionalItems"};
    for (size_t i = 0; i < 3; i++)
        if (json_object_get(k->schema, group[i])) return !strcmp(k->name, group[i]);
    return false;
}

static hone_status apply_items(schema_compiler *c, branch *b, const keyword *k) {
    item_rules r;
    if (!is_first(k)) return HONE_OK;
    TRY(read_items(c, k, &r));
    bool counted = json_object_get(k->schema, "minItems") || json_object_get(k->schema, "maxItems");
    if (!c->exact && r.tuple && !r.rest_said && !counted) keep_items(b, r.n_items, r.n_items);
    if (r.rest == LITERAL_FALSE) keep_items(b, 0, r.n_items);
    if (r.rest == LITERAL_TRUE && r.n_items == 0) return HONE_OK;
    return add_array(c, b, r.items, r.n_items, r.rest);
}

/* One item is not what it must be. */
static hone_status deny_items(schema_compiler *c, const branch *b, const keyword *k) {
    item_rules r;
    branch *copy;
    if (!is_first(k)) return HONE_OK;
    TRY(read_items(c, k, &r));
    for (size_t i = 0; i < r.n_items; i++) {
        literal *items;
        if (r.items[i] == LITERAL_TRUE) continue;
        TRY(schema_alloc(c, &items, i + 1, sizeof *items));
        items[i] = r.items[i] ^ LITERAL_NEGATED;
        TRY(branch_copy_type(c, b, TYPE_ARRAY, &copy));
        keep_items(copy, i + 1, UINT64_MAX);
        TRY(add_array(c, copy, items, i + 1, LITERAL_TRUE));
    }
    if (r.rest == LITERAL_TRUE) return HONE_OK;
    TRY(branch_copy_type(c, b, TYPE_ARRAY, &copy));
    if (r.rest == LITERAL_FALSE) return keep_items(copy, r.n_items + 1, UINT64_MAX), HONE_OK;
    return add_contains(c, copy, (contains_facet){.what = r.rest ^ LITERAL_NEGATED, .min = 1,
                                                  .from = r.n_items, .max = UINT64_MAX});
}

static hone_status read_contains(schema_compiler *c, const keyword *k, contains_facet *out) {
    *out = (contains_facet){.min = 1, .max = UINT64_MAX};
    const json_t *min = json_object_get(k->schema, "minContains");
    const json_t *max = json_object_get(k->schema, "maxContains");
    keyword bound = *k;
    if (min && c->draft > 7) {
        bound.value = min, bound.name = "minContains";
        TRY(keyword_count(c, &bound, &out->min));
    }
    if (max && c->draft > 7) {
        bound.value = max, bound.name = "maxContains";
        TRY(keyword_count(c, &bound, &out->max));
    }
    return schema_literal(c, k->value, k->node, &out->what);
}

static hone_status apply_contains(schema_compiler *c, branch *b, const keyword *k) {
    contains_facet f;
    TRY(read_contains(c, k, &f));
    return add_contains(c, b, f);
}

static hone_status deny_contains(schema_compiler *c, const branch *b, const keyword *k) {
    contains_facet f, other;
    branch *copy;
    TRY(read_contains(c, k, &f));
    other = f;
    if (f.min) {
        TRY(branch_copy_type(c, b, TYPE_ARRAY, &copy));
        other.min = 0;
        other.max = f.min - 1;
        TRY(add_contains(c, copy, other));
    }
    if (f.max == UINT64_MAX) return HONE_OK;
    TRY(branch_copy_type(c, b, TYPE_ARRAY, &copy));
    other.min = f.max + 1;
    other.max = UINT64_MAX;
    return add_contains(c, copy, other);
}

static hone_status apply_unique(schema_compiler *c, branch *b, const keyword *k) {
    (void)c;
    if (json_is_true(k->value)) b->unique = k->node;
    return HONE_OK;
}

static hone_status deny_unique(schema_compiler *c, const branch *b, const keyword *k) {
    (void)b;
    if (!json_is_true(k->value)) return HONE_OK;
    return keyword_fail(c, k, HONE_ERR_UNSUPPORTED, "is not supported where it must not hold");
}

/* --- properties --- */

static hone_status check_object(const schema_compiler *c, const keyword *k) {
    if (json_is_object(k->value)) return HONE_OK;
    return keyword_fail(c, k, HONE_ERR_FORMAT, "must be an object");
}

static hone_status apply_properties(schema_compiler *c, branch *b, const keyword *k) {
    const char *name;
    json_t *value;
    TRY(check_object(c, k));
    b->lists_properties |= json_object_size(k->value) > 0;
    json_object_foreach((json_t *)k->value, name, value) {
        name_facet f = {.name = name, .n = strlen(name), .listed = true};
        TRY(schema_literal(c, value, k->node, &f.value));
        TRY(add_name(c, b, f));
    }
    return HONE_OK;
}

static hone_status deny_properties(schema_compiler *c, const branch *b, const keyword *k) {
    const char *name;
    json_t *value;
    branch *copy;
    TRY(check_object(c, k));
    json_object_foreach((json_t *)k->value, name, value) {
        name_facet f = {.name = name, .n = strlen(name), .required = true};
        TRY(schema_literal(c, value, k->node, &f.value));
        if (f.value == LITERAL_TRUE) continue;
        f.value ^= LITERAL_NEGATED;
        TRY(branch_copy_type(c, b, TYPE_OBJECT, &copy));
        TRY(add_name(c, copy, f));
    }
    return HONE_OK;
}

/* The names of a list of strings, of which each is required, or one (in a copy each) forbidden. */
static hone_status require(schema_compiler *c, branch *b, const keyword *k, const json_t *list) {
    size_t i;
    json_t *name;
    if (!json_is_array(list)) return keyword_fail(c, k, HONE_ERR_FORMAT, "must be a list of names");
    json_array_foreach(list, i, name) {
        if (!json_is_string(name))
            return keyword_fail(c, k, HONE_ERR_FORMAT, "must be a list of names");
        TRY(add_name(c, b, (name_facet){.name = json_string_value(name), .value = LITERAL_TRUE,
                                        .n = json_string_length(name), .required = true,
                                        .listed = true}));
    }
    return HONE_OK;
}

static hone_status forbid_one(schema_compiler *c, const branch *b, const keyword *k,
                              const json_t *list) {
    size_t i;
    json_t *name;
    branch checked = *b, *copy;
    TRY(require(c, &checked, k, list));
    json_array_foreach(list, i, name) {
        TRY(branch_copy_type(c, b, TYPE_OBJECT, &copy));
        TRY(add_name(c, copy, (name_facet){.name = json_string_value(name), .value = LITERAL_FALSE,
                                           .n = json_string_length(name)}));
    }
    return HONE_OK;
}

static hone_status apply_required(schema_compiler *c, branch *b, const keyword *k) {
    return require(c, b, k, k->value);
}

static hone_status deny_required(schema_compiler *c, const branch *b, const keyword *k) {
    return forbid_one(c, b, k, k->value);
}

/* --- names by pattern --- */

static hone_status pattern_names(schema_compiler *c, const keyword *k, const char *pattern,
                                 const automaton **out) {
    hone_status status = automaton_pattern(out, &c->arena, pattern, strlen(pattern));
    return status == HONE_OK ? status : keyword_fail(c, k, status, NULL);
}

/* All names that neither `properties` nor `patternProperties` of the same schema speak of. */
static hone_status other_names(schema_compiler *c, const keyword *k, const automaton **out) {
    json_t *properties = json_object_get(k->schema, "properties"), *value;
    json_t *patterns = json_object_get(k->schema, "patternProperties");
    size_t n = 0;
    const char *name;
    const automaton *set;
    automaton_word *words;
    TRY(schema_alloc(c, &words, json_object_size(properties) + 1, sizeof *words));
    json_object_foreach(properties, name, value) words[n++] = (automaton_word){name, strlen(name)};
    TRY(automaton_all(out, &c->arena));
    TRY(automaton_words(&set, &c->arena, words, n));
    if (n) TRY(schema_combine(c, out, *out, set, AUTOMATON_MINUS));
    json_object_foreach(patterns, name, value) {
        TRY(pattern_names(c, k, name, &set));
        TRY(schema_combine(c, out, *out, set, AUTOMATON_MINUS));
    }
    return HONE_OK;
}

static hone_status apply_additional(schema_compiler *c, branch *b, const keyword *k) {
    literal value;
    const automaton *names;
    b->others_said = true;
    TRY(schema_literal(c, k->value, k->node, &value));
    if (value == LITERAL_TRUE || !(b->types & TYPE_OBJECT)) return HONE_OK;
    TRY(other_names(c, k, &names));
    return add_names(c, &b->members, names, value);
}

static hone_status deny_additional(schema_compiler *c, const branch *b, const keyword *k) {
    literal value;
    const automaton *names;
    branch *copy;
    TRY(schema_literal(c, k->value, k->node, &value));
    if (value == LITERAL_TRUE) return HONE_OK;
    TRY(other_names(c, k, &names));
    TRY(branch_copy_type(c, b, TYPE_OBJECT, &copy));
    copy->others_said = true;
    return add_names(c, &copy->exists, names, value ^ LITERAL_NEGATED);
}

static hone_status apply_patterns(schema_compiler *c, branch *b, const keyword *k) {
    const char *pattern;
    json_t *json;
    TRY(check_object(c, k));
    b->others_said = true;
    json_object_foreach((json_t *)k->value, pattern, json) {
        literal value;
        const automaton *names;
        TRY(schema_literal(c, json, k->node, &value));
        TRY(pattern_names(c, k, pattern, &names));
        TRY(add_names(c, &b->members, names, value));
    }
    return HONE_OK;
}

static hone_status deny_patterns(schema_compiler *c, const branch *b, const keyword *k) {
    const char *pattern;
    json_t *json;
    branch *copy;
    TRY(check_object(c, k));
    json_object_foreach((json_t *)k->value, pattern, json) {
        literal value;
        const automaton *names;
        TRY(schema_literal(c, json, k->node, &value));
        if (value == LITERAL_TRUE) continue;
        TRY(pattern_names(c, k, pattern, &names));
        TRY(branch_copy_type(c, b, TYPE_OBJECT, &copy));
        copy->others_said = true;
        TRY(add_names(c, &copy->exists, names, value ^ LITERAL_NEGATED));
    }
    return HONE_OK;
}

/* The names that propertyNames does not allow. */
static hone_status forbidden_names(schema_compiler *c, const keyword *k, const automaton **out) {
    literal what;
    branch_list list;
    TRY(automaton_all(out, &c->arena));
    TRY(schema_literal(c, k->value, k->node, &what));
    TRY(schema_expand(c, &what, 1, &list));
    hone_status status = HONE_OK;
    for (size_t i = 0; i < list.n && status == HONE_OK; i++) {
        const automaton *set;
        status = branch_is_string(c, &list.all[i], &set);
        if (status == HONE_OK) status = schema_combine(c, out, *out, set, AUTOMATON_MINUS);
    }
    mem_free(list.all);
    return status == HONE_OK ? status : keyword_fail(c, k, status, NULL);
}

static hone_status apply_name_schema(schema_compiler *c, branch *b, const keyword *k) {
    const automaton *names;
    b->others_said = true;
    TRY(forbidden_names(c, k, &names));
    return automaton_is_empty(names) ? HONE_OK : add_names(c, &b->members, names, LITERAL_FALSE);
}

static hone_status deny_name_schema(schema_compiler *c, const branch *b, const keyword *k) {
    const automaton *names;
    names_facet *f;
    branch *copy;
    TRY(forbidden_names(c, k, &names));
    TRY(branch_copy_type(c, b, TYPE_OBJECT, &copy));
    copy->others_said = true;
    TRY(schema_alloc(c, &f, 1, sizeof *f));
    *f = (names_facet){copy->exists, names, LITERAL_TRUE};
    copy->exists = f;
    return HONE_OK;
}

/* --- dependencies --- */

/* One member of a dependency keyword; `k->value` is the keyword's object in each. */
typedef struct dependency {
    const char *name;
    const json_t *what; /* a list of names, or a schema */
} dependency;

static hone_status hold_dependency(schema_compiler *c, branch *b, const keyword *k,
                                   const dependency *d) {
    literal what;
    TRY(add_name(c, b, (name_facet){.name = d->name, .n = strlen(d->name), .required = true,
                                    .value = LITERAL_TRUE}));
    if (json_is_array(d->what)) return require(c, b, k, d->what);
    TRY(schema_literal(c, d->what, k->node, &what));
    return branch_add(c, b, what, k->from);
}

/* k->value is the dependency's own value here, k->name the member's name. */
static hone_status split_dependency(schema_compiler *c, const branch *b, const keyword *k) {
    branch with = *b, without = *b, *copy;
    TRY(hold_dependency(c, &with, k, &(dependency){k->name, k->value}));
    if (with.types) TRY(branch_copy(c, &with, &copy));
    TRY(add_name(c, &without, (name_facet){.name = k->name, .n = strlen(k->name),
                                           .value = LITERAL_FALSE}));
    return without.types ? branch_copy(c, &without, &copy) : HONE_OK;
}

static hone_status apply_dependencies(schema_compiler *c, branch *b, const keyword *k) {
    const char *name;
    json_t *value;
    TRY(check_object(c, k));
    json_object_foreach((json_t *)k->value, name, value) {
        keyword one = *k;
        literal what = LITERAL_FALSE;
        if (!json_is_array(value)) TRY(schema_literal(c, value, k->node, &what));
        if (what == LITERAL_TRUE || (json_is_array(value) && json_array_size(value) == 0)) continue;
        one.name = name;
        one.value = value;
        TRY(branch_fork(c, b, &one, split_dependency));
    }
    return HONE_OK;
}

/* The member is there, and what depends on it is not. */
static hone_status deny_dependencies(schema_compiler *c, const branch *b, const keyword *k) {
    const char *name;
    json_t *value;
    TRY(check_object(c, k));
    json_object_foreach((json_t *)k->value, name, value) {
        branch with = *b, *copy;
        literal what;
        with.types &= TYPE_OBJECT;
        TRY(add_name(c, &with, (name_facet){.name = name, .n = strlen(name), .required = true,
                                            .value = LITERAL_TRUE}));
        if (json_is_array(value)) {
            TRY(forbid_one(c, &with, k, value));
            continue;
        }
        TRY(schema_literal(c, value, k->node, &what));
        TRY(branch_add(c, &with, what ^ LITERAL_NEGATED, k->from));
        if (with.types) TRY(branch_copy(c, &with, &copy));
    }
    return HONE_OK;
}

static hone_status apply_unevaluated(schema_compiler *c, branch *b, const keyword *k) {
    literal value;
    TRY(schema_literal(c, k->value, k->node, &value));
    if (value == LITERAL_TRUE) return HONE_OK;
    /* What other parts of the schema have seen is only known where this schema is all there is. */
    if (value != LITERAL_FALSE || k->from->above)
        return keyword_fail(c, k, HONE_ERR_UNSUPPORTED,
                            "is supported as false, in a schema that no other is combined with");
    b->unevaluated = k->node;
    return HONE_OK;
}

static hone_status deny_unevaluated(schema_compiler *c, const branch *b, const keyword *k) {
    (void)b;
    if (json_is_true(k->value)) return HONE_OK;
    return keyword_fail(c, k, HONE_ERR_UNSUPPORTED, "is not supported where it must not hold");
}

/* --- constants --- */

hone_status branch_apply_members(schema_compiler *c, branch *b, const json_t *value) {
    size_t i, n = json_array_size(value);
    json_t *member;
    const char *name;
    if (json_is_array(value)) {
        literal *items;
        TRY(schema_alloc(c, &items, n + 1, sizeof *items));
        json_array_foreach(value, i, member) TRY(schema_constant(c, member, &items[i]));
        keep_items(b, n, n);
        return add_array(c, b, items, n, LITERAL_FALSE);
    }
    json_object_foreach((json_t *)value, name, member) {
        name_facet f = {.name = name, .n = strlen(name), .required = true, .listed = true};
        TRY(schema_constant(c, member, &f.value));
        TRY(add_name(c, b, f));
    }
    keyword self = {.schema = json_null()};
    automaton_word *words;
    const automaton *set, *others;
    n = json_object_size(value);
    TRY(schema_alloc(c, &words, n + 1, sizeof *words));
    i = 0;
    json_object_foreach((json_t *)value, name, member)
        words[i++] = (automaton_word){name, strlen(name)};
    TRY(other_names(c, &self, &others));
    TRY(automaton_words(&set, &c->arena, words, n));
    TRY(schema_combine(c, &others, others, set, AUTOMATON_MINUS));
    b->others_said = true;
    return add_names(c, &b->members, others, LITERAL_FALSE);
}

/* Another length, or one item that differs. */
static hone_status deny_array(schema_compiler *c, const branch *b, const json_t *value) {
    size_t n = json_array_size(value);
    branch *copy;
    TRY(branch_copy_type(c, b, TYPE_ARRAY, &copy));
    keep_items(copy, n + 1, UINT64_MAX);
    if (n == 0) return HONE_OK;
    TRY(branch_copy_type(c, b, TYPE_ARRAY, &copy));
    keep_items(copy, 0, n - 1);
    for (size_t i = 0; i < n; i++) {
        literal *items;
        TRY(schema_alloc(c, &items, i + 1, sizeof *items));
        TRY(schema_constant(c, json_array_get(value, i), &items[i]));
        items[i] ^= LITERAL_NEGATED;
        TRY(branch_copy_type(c, b, TYPE_ARRAY, &copy));
        keep_items(copy, i + 1, UINT64_MAX);
        TRY(add_array(c, copy, items, i + 1, LITERAL_TRUE));
    }
    return HONE_OK;
}

hone_status branch_deny_members(schema_compiler *c, const branch *b, const json_t *value) {
    const char *name;
    json_t *member;
    branch *copy;
    if (json_is_array(value)) return deny_array(c, b, value);
    TRY(branch_copy_type(c, b, TYPE_OBJECT, &copy));
    keep_properties(copy, json_object_size(value) + 1, UINT64_MAX);
    json_object_foreach((json_t *)value, name, member) {
        name_facet f = {.name = name, .n = strlen(name), .value = LITERAL_FALSE};
        TRY(branch_copy_type(c, b, TYPE_OBJECT, &copy));
        TRY(add_name(c, copy, f));
        TRY(schema_constant(c, member, &f.value));
        f.value ^= LITERAL_NEGATED;
        f.required = true;
        TRY(branch_copy_type(c, b, TYPE_OBJECT, &copy));
        TRY(add_name(c, copy, f));
    }
    return HONE_OK;
}

const keyword_rule schema_member_rules[] = {
    {"minItems", TYPE_ARRAY, apply_count, deny_count},
    {"maxItems", TYPE_ARRAY, apply_count, deny_count},
    {"prefixItems", TYPE_ARRAY, apply_items, deny_items},
    {"items", TYPE_ARRAY, apply_items, deny_items},
    {"additionalItems", TYPE_ARRAY, apply_items, deny_items},
    {"contains", TYPE_ARRAY, apply_contains, deny_contains},
    {"uniqueItems", TYPE_ARRAY, apply_unique, deny_unique},
    {"properties", TYPE_OBJECT, apply_properties, deny_properties},
    {"required", TYPE_OBJECT, apply_required, deny_required},
    {"additionalProperties", TYPE_OBJECT, apply_additional, deny_additional},
    {"patternProperties", TYPE_OBJECT, apply_patterns, deny_patterns},
    {"propertyNames", TYPE_OBJECT, apply_name_schema, deny_name_schema},
    {"minProperties", TYPE_OBJECT, apply_count, deny_count},
    {"maxProperties", TYPE_OBJECT, apply_count, deny_count},
    {"dependencies", TYPE_OBJECT, apply_dependencies, deny_dependencies},
    {"dependentRequired", TYPE_OBJECT, apply_dependencies, deny_dependencies},
    {"dependentSchemas", TYPE_OBJECT, apply_dependencies, deny_dependencies},
    {"unevaluatedProperties", TYPE_OBJECT, apply_unevaluated, deny_unevaluated},
    {NULL, 0, NULL, NULL}};
