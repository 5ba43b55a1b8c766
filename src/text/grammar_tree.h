/* The syntax tree between a grammar's text and its program: grammar_parse.c makes it of GBNF,
 * schema.c of a JSON schema; grammar_compile.c takes it, grammar_print.c writes it as GBNF. Nodes
 * are numbers into one array; 0 is none. */
#ifndef TEXT_GRAMMAR_TREE_H
#define TEXT_GRAMMAR_TREE_H

#include "base/buf.h"
#include "base/strmap.h"
#include "text/grammar.h"

typedef enum node_kind {
    NODE_BYTES,    /* `first` = offset into bytes, `count` of them */
    NODE_CLASS,    /* `first` = offset into ranges, `count` of them */
    NODE_RULE,     /* `first` = number of the rule */
    NODE_SEQUENCE, /* `first` = last child; each child's `before` is the one in front of it */
    NODE_CHOICE,   /* the same */
    NODE_REPEAT    /* `first` = child, `min` … `max` times */
} node_kind;

#define REPEAT_FOREVER UINT32_MAX

typedef struct grammar_node {
    node_kind kind;
    uint32_t first, count, min, max, before;
} grammar_node;

typedef struct code_range {
    uint32_t low, high; /* code points, both included */
} code_range;

typedef struct grammar_rule {
    const char *name; /* into the text */
    uint32_t name_bytes, line, body; /* body 0: used but not defined */
} grammar_rule;

typedef struct grammar_tree {
    grammar_node *nodes;
    code_range *ranges; /* of one class: ascending, apart */
    char *bytes;
    grammar_rule *rules;
    size_t n_nodes, n_ranges, n_bytes, n_rules;
    size_t node_capacity, range_capacity, byte_capacity, rule_capacity;
    strmap rule_numbers;
} grammar_tree;

/* An empty tree, in which node 0 is taken. */
hone_status grammar_tree_init(grammar_tree *t);
void grammar_tree_release(grammar_tree *t);

/* Adding; *number is the new node's (or the rule's, which is made where the name is new). Names
 * must outlive the tree; HONE_ERR_FORMAT beyond GRAMMAR_MAX_RULES. */
hone_status grammar_tree_add(grammar_tree *t, uint32_t *number, grammar_node node);
hone_status grammar_tree_add_bytes(grammar_tree *t, uint32_t *number, const char *bytes, size_t n);
hone_status grammar_tree_add_class(grammar_tree *t, uint32_t *number, const code_range *ranges,
                                   size_t n);
hone_status grammar_tree_find_rule(grammar_tree *t, const char *name, size_t n, uint32_t *number);

/* Room for `more` bytes and ranges behind those that there are. */
hone_status grammar_tree_reserve(grammar_tree *t, size_t more_bytes, size_t more_ranges);

/* Puts a child at the end of a sequence or a choice. */
static inline void grammar_tree_append(grammar_tree *t, uint32_t list, uint32_t child) {
    t->nodes[child].before = t->nodes[list].first;
    t->nodes[list].first = child;
}

/* GBNF to a tree; `text` must outlive it. On failure the tree is released. */
hone_status grammar_parse(grammar_tree *t, const char *text, size_t n);

/* Left recursion, a rule "root" that is missing, sizes: as grammar_compile. Choices from which
 * nothing can be completed are left out; HONE_ERR_FORMAT when nothing remains. */
hone_status grammar_compile_tree(grammar **out, const grammar_tree *t);

/* GBNF text, rule by rule. */
hone_status grammar_print(buf *out, const grammar_tree *t);

#endif
