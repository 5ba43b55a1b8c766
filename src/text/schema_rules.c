/* Alternatives to rules: one rule for each set of literals that is met. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "text/schema_int.h"

/* --- the tree --- */

static bool is_word(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-';
}

/* A name that is free: the hint's letters, with a number where they are taken. Beside a root of
 * another name all begin with the root's. */
static hone_status choose_name(schema_compiler *c, const char *hint, const char **out) {
    enum { MAX_HINT = 40 };
    size_t n_root = strlen(c->root_name), at = 0, n = 0;
    bool prefixed = strcmp(c->root_name, "root") != 0;
    char *name;
    uint32_t number;
    TRY(schema_alloc(c, &name, n_root + MAX_HINT + 16, 1));
    if (prefixed) at = (size_t)sprintf(name, "%s-", c->root_name);
    for (; hint[n] && n < MAX_HINT; n++) name[at + n] = is_word(hint[n]) ? hint[n] : '-';
    if (n == 0) name[at + n++] = '-';
    at += n;
    name[at] = '\0';
    c->n_names++;
    const strmap *taken = &c->tree.rule_numbers;
    for (uint32_t k = c->n_names; strmap_find(taken, name, strlen(name), &number); k++)
        sprintf(name + at, "-%u", k);
    *out = name;
    return HONE_OK;
}

hone_status rule_new(schema_compiler *c, const char *hint, uint32_t *rule) {
    const char *name = c->root_name;
    if (c->tree.n_rules) TRY(choose_name(c, hint, &name));
    return grammar_tree_find_rule(&c->tree, name, strlen(name), rule);
}

hone_status rule_set(schema_compiler *c, uint32_t rule, uint32_t body) {
    c->tree.rules[rule].body = body;
    return HONE_OK;
}

hone_status rule_call(schema_compiler *c, uint32_t *node, uint32_t rule) {
    return grammar_tree_add(&c->tree, node, (grammar_node){.kind = NODE_RULE, .first = rule});
}

hone_status rule_list(schema_compiler *c, uint32_t *node, node_kind kind) {
    return grammar_tree_add(&c->tree, node, (grammar_node){.kind = kind});
}

hone_status append_text(schema_compiler *c, uint32_t list, const char *text) {
    return append_bytes(c, list, text, strlen(text));
}

/* Texts behind one another become one. */
hone_status append_bytes(schema_compiler *c, uint32_t list, const char *bytes, size_t n) {
    grammar_tree *t = &c->tree;
    grammar_node *last = &t->nodes[t->nodes[list].first];
    uint32_t node;
    if (t->nodes[list].kind == NODE_SEQUENCE && t->nodes[list].first && last->kind == NODE_BYTES &&
        last->first + last->count == t->n_bytes) {
        TRY(grammar_tree_reserve(t, n, 0));
        memcpy(t->bytes + t->n_bytes, bytes, n);
        t->n_bytes += n;
        last->count += (uint32_t)n;
        return HONE_OK;
    }
    TRY(grammar_tree_add_bytes(t, &node, bytes, n));
    grammar_tree_append(t, list, node);
    return HONE_OK;
}

hone_status append_call(schema_compiler *c, uint32_t list, uint32_t rule) {
    uint32_t node;
    TRY(rule_call(c, &node, rule));
    grammar_tree_append(&c->tree, list, node);
    return HONE_OK;
}

hone_status append_class(schema_compiler *c, uint32_t list, const code_range *ranges, size_t n) {
    uint32_t node;
    TRY(grammar_tree_add_class(&c->tree, &node, ranges, n));
    grammar_tree_append(&c->tree, list, node);
    return HONE_OK;
}

hone_status append_list(schema_compiler *c, uint32_t list, node_kind kind, uint32_t *child) {
    TRY(rule_list(c, child, kind));
    grammar_tree_append(&c->tree, list, *child);
    return HONE_OK;
}

/* --- white space --- */

/* Nothing, a blank, or a line end or two and some indentation: as models write JSON, and an end to
 * it. */
static hone_status make_space(schema_compiler *c) {
    static const code_range blanks[] = {{'\t', '\t'}, {' ', ' '}};
    uint32_t choice, sequence, line, lines, blank, indent;
    TRY(rule_new(c, "space", &c->space_rule));
    TRY(rule_list(c, &choice, NODE_CHOICE));
    TRY(append_list(c, choice, NODE_SEQUENCE, &sequence));
    TRY(append_text(c, choice, " "));
    TRY(append_list(c, choice, NODE_SEQUENCE, &sequence));
    TRY(grammar_tree_add_bytes(&c->tree, &line, "\n", 1));
    TRY(grammar_tree_add(&c->tree, &lines, (grammar_node){.kind = NODE_REPEAT, .first = line,
                                                          .min = 1, .max = 2}));
    grammar_tree_append(&c->tree, sequence, lines);
    TRY(grammar_tree_add_class(&c->tree, &blank, blanks, 2));
    TRY(grammar_tree_add(&c->tree, &indent, (grammar_node){.kind = NODE_REPEAT, .first = blank,
                                                           .max = 20}));
    grammar_tree_append(&c->tree, sequence, indent);
    return rule_set(c, c->space_rule, choice);
}

hone_status append_space(schema_compiler *c, uint32_t list) {
    if (!c->space_rule) TRY(make_space(c));
    return append_call(c, list, c->space_rule);
}

/* --- repetition --- */

enum { MAX_PLAIN_REPEAT = 512 };

/* Rules by doubling: exact[k] is 2^k times, up[k] is 0 … 2^k − 1 times. At each place of a text at
 * most one way for each k is open. */
typedef struct doubling {
    uint32_t exact[64], up[64]; /* rules; up[0] is unused: nothing */
    unsigned n_exact, n_up;
} doubling;

static hone_status exact_rule(schema_compiler *c, doubling *d, unsigned k) {
    for (; d->n_exact <= k; d->n_exact++) {
        uint32_t sequence;
        TRY(rule_new(c, "times", &d->exact[d->n_exact]));
        TRY(rule_list(c, &sequence, NODE_SEQUENCE));
        TRY(append_call(c, sequence, d->exact[d->n_exact - 1]));
        TRY(append_call(c, sequence, d->exact[d->n_exact - 1]));
        TRY(rule_set(c, d->exact[d->n_exact], sequence));
    }
    return HONE_OK;
}

static hone_status up_rule(schema_compiler *c, doubling *d, unsigned k) {
    for (; d->n_up <= k; d->n_up++) {
        uint32_t choice, with, without;
        TRY(exact_rule(c, d, d->n_up - 1));
        TRY(rule_new(c, "up-to", &d->up[d->n_up]));
        TRY(rule_list(c, &choice, NODE_CHOICE));
        TRY(append_list(c, choice, NODE_SEQUENCE, &with));
        TRY(append_list(c, choice, NODE_SEQUENCE, &without));
        TRY(append_call(c, with, d->exact[d->n_up - 1]));
        if (d->n_up > 1) TRY(append_call(c, with, d->up[d->n_up - 1]));
        if (d->n_up > 1) TRY(append_call(c, without, d->up[d->n_up - 1]));
        TRY(rule_set(c, d->up[d->n_up], choice));
    }
    return HONE_OK;
}

static hone_status append_exact(schema_compiler *c, uint32_t list, doubling *d, uint64_t n) {
    for (unsigned k = 63; k < 64; k--) {
        if (!(n >> k & 1)) continue;
        TRY(exact_rule(c, d, k));
        TRY(append_call(c, list, d->exact[k]));
    }
    return HONE_OK;
}

/* 0 … n times: 0 … 2^k − 1, and the same behind the h times that are missing to n; h ≤ 2^k. */
static hone_status append_up_to(schema_compiler *c, uint32_t list, doubling *d, uint64_t n) {
    unsigned k = 0;
    uint32_t choice, plain, shifted;
    while (k < 62 && ((uint64_t)2 << k) - 1 <= n) k++;
    uint64_t missing = n - (((uint64_t)1 << k) - 1);
    TRY(up_rule(c, d, k));
    if (missing == 0) return k ? append_call(c, list, d->up[k]) : HONE_OK;
    TRY(append_list(c, list, NODE_CHOICE, &choice));
    TRY(append_list(c, choice, NODE_SEQUENCE, &plain));
    TRY(append_list(c, choice, NODE_SEQUENCE, &shifted));
    if (k) TRY(append_call(c, plain, d->up[k]));
    TRY(append_exact(c, shifted, d, missing));
    return k ? append_call(c, shifted, d->up[k]) : HONE_OK;
}

hone_status append_repeat(schema_compiler *c, uint32_t list, uint32_t rule, uint64_t min,
                          uint64_t max) {
    uint32_t call, repeat;
    bool forever = max == UINT64_MAX;
    if (min > MAX_PLAIN_REPEAT || (!forever && max > MAX_PLAIN_REPEAT)) {
        doubling d = {.exact = {rule}, .n_exact = 1, .n_up = 1};
        TRY(append_exact(c, list, &d, min));
        if (!forever) return append_up_to(c, list, &d, max - min);
        min = 0;
    }
    if (max == 0) return HONE_OK;
    TRY(rule_call(c, &call, rule));
    if (min == 1 && max == 1) return grammar_tree_append(&c->tree, list, call), HONE_OK;
    TRY(grammar_tree_add(&c->tree, &repeat, (grammar_node){
        .kind = NODE_REPEAT, .first = call, .min = (uint32_t)min,
        .max = forever ? REPEAT_FOREVER : (uint32_t)max}));
    grammar_tree_append(&c->tree, list, repeat);
    return HONE_OK;
}

/* --- values --- */

static int compare_literals(const void *a, const void *b) {
    const literal *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

/* Sorted, each once; what is always true left out; the one FALSE where it is impossible. */
static size_t settle(literal *all, size_t n) {
    size_t kept = 0;
    qsort(all, n, sizeof *all, compare_literals);
    for (size_t i = 0; i < n; i++) {
        if (all[i] == LITERAL_TRUE || (kept && all[kept - 1] == all[i])) continue;
        bool contrary = kept && all[kept - 1] == (all[i] ^ LITERAL_NEGATED);
        if (all[i] == LITERAL_FALSE || contrary) {
            all[0] = LITERAL_FALSE;
            return 1;
        }
        all[kept++] = all[i];
    }
    return kept;
}

static const char *hint_of(const schema_compiler *c, const literal *all, size_t n) {
    if (n == 0) return "value";
    if (all[0] == LITERAL_FALSE) return "nothing";
    const char *token = c->index.nodes[literal_node(all[0])].token;
    return *token ? token : "value";
}

hone_status schema_rule(schema_compiler *c, const literal *all, size_t n, uint32_t *rule) {
    literal *sorted;
    uint32_t set;
    TRY(schema_alloc(c, &sorted, n + 1, sizeof *sorted));
    if (n) memcpy(sorted, all, n * sizeof *sorted);
    n = settle(sorted, n);
    TRY(automaton_name(&c->sets, sorted, n, &set));
    if (set >= c->set_capacity) {
        size_t wanted = 2 * c->set_capacity + 64;
        void *larger = mem_realloc(c->set_rules, wanted, sizeof *c->set_rules);
        if (!larger) return mem_fail("schema", wanted * sizeof *c->set_rules);
        c->set_rules = larger;
        memset(c->set_rules + c->set_capacity, 0,
               (wanted - c->set_capacity) * sizeof *c->set_rules);
        c->set_capacity = wanted;
    }
    if (!c->set_rules[set]) {
        TRY(rule_new(c, hint_of(c, sorted, n), rule));
        c->set_rules[set] = *rule + 1;
    }
    *rule = c->set_rules[set] - 1;
    return HONE_OK;
}

/* null, true and false: once for all alternatives. */
static hone_status append_names(schema_compiler *c, uint32_t choice, const branch_list *list) {
    unsigned types = 0;
    for (size_t i = 0; i < list->n; i++) types |= list->all[i].types;
    if (types & TYPE_NULL) TRY(append_text(c, choice, "null"));
    if (types & TYPE_TRUE) TRY(append_text(c, choice, "true"));
    if (types & TYPE_FALSE) TRY(append_text(c, choice, "false"));
    return HONE_OK;
}

static hone_status append_branch(schema_compiler *c, uint32_t choice, const branch *b) {
    uint32_t way;
    if (b->types & TYPE_NUMBER) {
        TRY(append_list(c, choice, NODE_SEQUENCE, &way));
        TRY(append_number(c, way, b));
    }
    if (b->types & TYPE_STRING) {
        TRY(append_list(c, choice, NODE_SEQUENCE, &way));
        TRY(append_string(c, way, b));
    }
    if (b->types & TYPE_ARRAY) {
        TRY(append_list(c, choice, NODE_SEQUENCE, &way));
        TRY(append_array(c, way, b));
    }
    if (b->types & TYPE_OBJECT) {
        TRY(append_list(c, choice, NODE_SEQUENCE, &way));
        TRY(append_object(c, way, b));
    }
    return HONE_OK;
}

static hone_status append_branches(schema_compiler *c, uint32_t choice, const branch_list *list) {
    TRY(append_names(c, choice, list));
    for (size_t i = 0; i < list->n; i++) TRY(append_branch(c, choice, &list->all[i]));
    return HONE_OK;
}

/* What failed without a place of its own failed here. */
static hone_status say_where(const schema_compiler *c, hone_status status, uint32_t node) {
    keyword k = {.node = node, .name = ""};
    if (status == HONE_ERR_MEMORY || hone_error_message()[0] == '#') return status;
    return keyword_fail(c, &k, status, NULL);
}

static hone_status fill_rule(schema_compiler *c, uint32_t set) {
    size_t n;
    literal *all;
    branch_list list;
    uint32_t body;
    const uint32_t *key = automaton_key(&c->sets, set, &n);
    TRY(schema_alloc(c, &all, n + 1, sizeof *all));
    if (n) memcpy(all, key, n * sizeof *all);
    hone_status status = schema_expand(c, all, n, &list);
    if (status == HONE_OK) status = rule_list(c, &body, NODE_CHOICE);
    if (status == HONE_OK) status = append_branches(c, body, &list);
    /* A choice of nothing is the empty text; a class of nothing is nothing. */
    if (status == HONE_OK && c->tree.nodes[body].first == 0)
        status = grammar_tree_add_class(&c->tree, &body, NULL, 0);
    if (status == HONE_OK) status = rule_set(c, c->set_rules[set] - 1, body);
    mem_free(list.all);
    return status == HONE_OK ? status : say_where(c, status, n ? literal_node(all[0]) : 0);
}

hone_status schema_rules(schema_compiler *c, literal root) {
    uint32_t rule;
    if (root == LITERAL_TRUE && !c->exact) {
        /* {} for an answer as a whole: any object */
        branch any = {.types = TYPE_OBJECT, .max_properties = UINT64_MAX};
        uint32_t body;
        TRY(rule_new(c, "root", &rule));
        TRY(rule_list(c, &body, NODE_SEQUENCE));
        TRY(append_object(c, body, &any));
        TRY(rule_set(c, rule, body));
    } else {
        TRY(schema_rule(c, &root, 1, &rule));
    }
    for (uint32_t set = 0; set < c->sets.n; set++) TRY(fill_rule(c, set));
    return HONE_OK;
}
