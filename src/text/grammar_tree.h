/* The syntax tree between a grammar's text and its program: grammar_parse.c makes it,
 * grammar_compile.c takes it. Nodes are numbers into one array; 0 is none. */
#ifndef TEXT_GRAMMAR_TREE_H
#define TEXT_GRAMMAR_TREE_H

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

/* `text` must outlive the tree. On failure the tree is released. */
hone_status grammar_parse(grammar_tree *t, const char *text, size_t n);
void grammar_tree_release(grammar_tree *t);

#endif
