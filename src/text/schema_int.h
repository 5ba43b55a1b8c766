/* Inside of the schema compiler; text/schema.h is its outside. */
#ifndef TEXT_SCHEMA_INT_H
#define TEXT_SCHEMA_INT_H

#include "base/arena.h"
#include "base/json.h"
#include "text/automaton.h"
#include "text/schema.h"

/* ---- documents ------------------------------------------------------------------------------- */

/* Any value of any document. Node 0 is the schema `true`. */
typedef struct schema_node {
    const json_t *json;
    uint32_t parent;   /* itself for a document's root */
    const char *token; /* its name or number in the parent */
    const char *base;  /* the URI that references in it are relative to; "" = none */
} schema_node;

typedef struct schema_index {
    schema_node *nodes;
    size_t n_nodes, node_capacity;
    uint32_t *slots; /* node + 1 by address */
    size_t n_slots;
    strmap named; /* URI, or URI#anchor → node */
} schema_index;

/* A subschema or a constant that must hold at a place, or must not. */
typedef uint32_t literal;
#define LITERAL_TRUE 0u
#define LITERAL_FALSE 1u
#define LITERAL_NEGATED 1u
#define LITERAL_CONSTANT 2u
static inline uint32_t literal_node(literal l) { return l >> 2; }

/* ---- alternatives ---------------------------------------------------------------------------- */

enum {
    TYPE_NULL = 1, TYPE_TRUE = 2, TYPE_FALSE = 4, TYPE_NUMBER = 8, TYPE_STRING = 16,
    TYPE_ARRAY = 32, TYPE_OBJECT = 64, TYPE_BOOLEAN = TYPE_TRUE | TYPE_FALSE, TYPE_ALL = 127
};

/* Facets are lists in the arena that alternatives share; the newest is the first. */

/* Items 0 … n_items − 1, and all behind them. */
typedef struct array_facet {
    const struct array_facet *before;
    const literal *items;
    size_t n_items;
    literal rest;
} array_facet;

/* Of the items from `from` on, min … max are `what`. */
typedef struct contains_facet {
    const struct contains_facet *before;
    literal what;
    uint64_t from, min, max;
} contains_facet;

/* A member by name: what it is where it is there. */
typedef struct name_facet {
    const struct name_facet *before;
    const char *name;
    size_t n;
    literal value;
    bool required, listed; /* listed: `properties` speaks of it */
} name_facet;

/* Members by a set of names: each of them is `value`; in `exists`, one of them is. */
typedef struct names_facet {
    const struct names_facet *before;
    const automaton *names;
    literal value;
} names_facet;

/* Why a literal is there: the chain of those that brought it, to find circles. */
typedef struct origin {
    const struct origin *above;
    literal what;
} origin;

typedef struct pending {
    const struct pending *before;
    literal what;
    const origin *from;
} pending;

struct schema_compiler;
struct branch;

/* One keyword of one schema. */
typedef struct keyword {
    const json_t *schema, *value;
    const char *name;
    uint32_t node; /* of the schema */
    const origin *from;
} keyword;

/* A disjunction still to be taken: `split` adds an alternative for each way. */
typedef struct fork_facet {
    const struct fork_facet *before;
    hone_status (*split)(struct schema_compiler *c, const struct branch *b, const keyword *k);
    keyword k;
} fork_facet;

/* An alternative: what a value must be, by type. `no bound` is UINT64_MAX. */
typedef struct branch {
    unsigned types;
    const automaton *number; /* values in plain decimals; NULL = all */
    bool number_is_literal;  /* came of enum or const: written in one way only */
    unsigned number_digits;  /* in front of the point, of the longest bound */
    const automaton *string; /* NULL = all */
    uint64_t min_length, max_length;
    const array_facet *arrays;
    const contains_facet *contains;
    uint64_t min_items, max_items;
    uint32_t unique; /* the node that wants unique items, or 0 */
    const name_facet *names;
    const names_facet *members, *exists;
    uint64_t min_properties, max_properties;
    bool lists_properties, others_said; /* keywords speak of members; of those not listed */
    uint32_t unevaluated;  /* the node that forbids unevaluated properties, or 0 */
    const pending *pending, *applied;
    const fork_facet *forks;
} branch;

typedef struct branch_list {
    branch *all;
    size_t n, capacity;
} branch_list;

/* ---- the compiler ---------------------------------------------------------------------------- */

typedef struct schema_compiler {
    const hone_schema_options *options;
    const char *root_name;
    int draft;
    bool exact; /* the options' word, or true where a negation is looked at */
    mem_arena arena;
    json_t *documents[SCHEMA_MAX_DOCUMENTS + 1];
    size_t n_documents;
    schema_index index;
    size_t n_steps, n_combined;
    int n_hops; /* references followed, one within the other */
    int depth; /* of questions whether branches exclude each other */
    branch_list *open; /* alternatives of the expansion under way */

    /* Sets of literals and their rules. */
    automaton_names sets;
    uint32_t *set_rules; /* [set_capacity] + 1; 0 = none yet */
    size_t set_capacity;
    const automaton *integers, *numbers;
    grammar_tree tree;
    uint32_t n_names; /* rules named so far */
    uint32_t space_rule, string_rule, character_rule, characters_rule,
        escape_rule; /* 0: none yet */
    uint32_t number_rule, integer_rule;
    automaton_names written; /* automata by address, and their rules */
    uint32_t *written_rules;
    size_t written_capacity;
    automaton_names pairs; /* of literals, and whether they exclude each other */
    bool *excluded;
    size_t excluded_capacity;
} schema_compiler;

/* arena_alloc, or HONE_ERR_UNSUPPORTED when the schema takes too much. */
hone_status schema_alloc(schema_compiler *c, void *out, size_t count, size_t size);
/* "#/properties/a: " in front of the sentence. Returns the status. */
hone_status schema_fail(const schema_compiler *c, hone_status status, uint32_t node,
                        const char *format, ...) __attribute__((format(printf, 4, 5)));
hone_status keyword_fail(const schema_compiler *c, const keyword *k, hone_status status,
                         const char *what);

/* --- schema_index.c --- */
hone_status schema_index_documents(schema_compiler *c, const char *schema, size_t n);
void schema_index_release(schema_compiler *c);
hone_status schema_find_node(schema_compiler *c, const json_t *json, uint32_t *node);
/* The literal of a subschema; HONE_ERR_FORMAT where it is neither an object nor a boolean. */
hone_status schema_literal(schema_compiler *c, const json_t *json, uint32_t parent, literal *out);
hone_status schema_constant(schema_compiler *c, const json_t *json, literal *out);
hone_status schema_resolve(schema_compiler *c, uint32_t node, const char *reference, literal *out);

/* --- schema_branch.c --- */
/* The alternatives of literals that all hold; *out is released by the caller. */
hone_status schema_expand(schema_compiler *c, const literal *all, size_t n, branch_list *out);
/* For keywords: one more literal that must hold; a fork to take later; a copy of `b` among the open
 * alternatives, valid until the next. */
hone_status branch_add(schema_compiler *c, branch *b, literal what, const origin *from);
hone_status branch_fork(schema_compiler *c, branch *b, const keyword *k,
                        hone_status (*split)(schema_compiler *c, const branch *b,
                                             const keyword *k));
hone_status branch_copy(schema_compiler *c, const branch *b, branch **copy);
/* The same, of these types alone. */
hone_status branch_copy_type(schema_compiler *c, const branch *b, unsigned types, branch **copy);
hone_status branch_is_string(schema_compiler *c, const branch *b, const automaton **set);

/* `apply` makes the keyword hold in *b. `deny` adds the alternatives in which it does not hold.
 * NULL: does nothing by itself. */
typedef struct keyword_rule {
    const char *name;
    unsigned types; /* that a schema means by this keyword, when it is not read to the letter */
    hone_status (*apply)(schema_compiler *c, branch *b, const keyword *k);
    hone_status (*deny)(schema_compiler *c, const branch *b, const keyword *k);
} keyword_rule;

extern const keyword_rule schema_scalar_rules[], schema_member_rules[]; /* end in a NULL name */

/* --- schema_scalar.c, schema_members.c --- */
hone_status branch_apply_constant(schema_compiler *c, branch *b, const json_t *value);
hone_status branch_deny_constant(schema_compiler *c, const branch *b, const json_t *value);
hone_status branch_keep_strings(schema_compiler *c, branch *b, const automaton *set,
                                automaton_operation operation);
hone_status branch_apply_members(schema_compiler *c, branch *b, const json_t *value);
hone_status branch_deny_members(schema_compiler *c, const branch *b, const json_t *value);
hone_status keyword_count(const schema_compiler *c, const keyword *k, uint64_t *count);
hone_status schema_combine(schema_compiler *c, const automaton **out, const automaton *a,
                           const automaton *b, automaton_operation operation);

/* --- schema_number.c --- */
typedef enum number_side { NUMBER_BELOW = 1, NUMBER_EQUAL = 2, NUMBER_ABOVE = 4 } number_side;
/* Plain decimals, each value in all its ways ("2", "2.0"), that stand on the given sides of v. */
hone_status number_compared(schema_compiler *c, const automaton **out, const json_t *v,
                            unsigned sides);
hone_status number_integers(schema_compiler *c, const automaton **out);
hone_status number_multiples(schema_compiler *c, const automaton **out, const json_t *of);
/* All plain decimals that may be written: so many digits in front of the point; without a point, or
 * in shortest form, if so wished. */
hone_status number_syntax(schema_compiler *c, const automaton **out, unsigned digits, bool integer,
                          bool shortest);
/* The shortest plain decimal: text[n] in the arena. */
hone_status number_text(schema_compiler *c, const json_t *v, automaton_word *out);
hone_status number_common(schema_compiler *c);

/* --- schema_format.c --- */
/* *pattern NULL: not known. */
void schema_format(const char *name, const char **pattern);

/* --- schema_rules.c --- */
/* The rule of a value that is all of these. */
hone_status schema_rule(schema_compiler *c, const literal *all, size_t n, uint32_t *rule);
hone_status schema_rules(schema_compiler *c, literal root);

/* Nodes of the tree, for schema_rules.c, schema_text.c, schema_array.c, schema_object.c. */
hone_status rule_new(schema_compiler *c, const char *hint, uint32_t *rule);
hone_status rule_set(schema_compiler *c, uint32_t rule, uint32_t body);
hone_status rule_call(schema_compiler *c, uint32_t *node, uint32_t rule);
hone_status rule_list(schema_compiler *c, uint32_t *node, node_kind kind);
/* Appending to a sequence or a choice. */
hone_status append_bytes(schema_compiler *c, uint32_t list, const char *bytes, size_t n);
hone_status append_class(schema_compiler *c, uint32_t list, const code_range *ranges, size_t n);
hone_status append_list(schema_compiler *c, uint32_t list, node_kind kind, uint32_t *child);
hone_status append_text(schema_compiler *c, uint32_t list, const char *text);
hone_status append_call(schema_compiler *c, uint32_t list, uint32_t rule);
hone_status append_space(schema_compiler *c, uint32_t list);
/* item{min,max}; max UINT64_MAX = without bound. Great counts take rules that double. */
hone_status append_repeat(schema_compiler *c, uint32_t list, uint32_t rule, uint64_t min,
                          uint64_t max);

/* --- schema_text.c --- */
hone_status append_any_string(schema_compiler *c, uint32_t list);
hone_status append_string(schema_compiler *c, uint32_t list, const branch *b);
hone_status append_number(schema_compiler *c, uint32_t list, const branch *b);
/* One text of the set; in a string with its quotes, and escaped. */
hone_status append_automaton(schema_compiler *c, uint32_t list, const automaton *set,
                             bool in_string);
hone_status append_quoted(schema_compiler *c, uint32_t list, const char *text, size_t n);

/* --- schema_array.c, schema_object.c --- */
hone_status append_array(schema_compiler *c, uint32_t list, const branch *b);
hone_status append_object(schema_compiler *c, uint32_t list, const branch *b);

#endif
