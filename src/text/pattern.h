/* The syntax tree of an ECMA-262 regular expression, between its parser (pattern_parse.c) and its
 * automaton (pattern.c). Nodes are numbers into one array; 0 is none. */
#ifndef TEXT_PATTERN_H
#define TEXT_PATTERN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

enum {
    PATTERN_MAX_BYTES = 16 << 10,
    PATTERN_MAX_DEPTH = 64,     /* of parentheses */
    PATTERN_MAX_REPEATS = 10000 /* in {m,n} */
};
#define PATTERN_FOREVER UINT32_MAX

typedef enum pattern_kind {
    PATTERN_CHARACTERS, /* one of ranges[first … first + count − 1] */
    PATTERN_SEQUENCE,   /* `first` = last child; each child's `before` is the one in front of it */
    PATTERN_CHOICE,     /* the same */
    PATTERN_REPEAT,     /* `first` = child, min … max times */
    PATTERN_BEGIN,      /* ^ */
    PATTERN_END         /* $ */
} pattern_kind;

typedef struct pattern_node {
    pattern_kind kind;
    uint32_t first, count, min, max, before;
} pattern_node;

typedef struct pattern_range {
    uint32_t low, high;
} pattern_range;

/* (?=…) and (?!…) directly behind a leading ^, which hold for the whole text. */
enum { PATTERN_MAX_LOOKS = 8 };
typedef struct pattern_look {
    uint32_t node;
    bool negative;
} pattern_look;

typedef struct pattern_tree {
    pattern_node *nodes;
    pattern_range *ranges; /* of one node: ascending, apart; the last one is any character */
    size_t n_nodes, n_ranges, node_capacity, range_capacity;
    uint32_t root;
    pattern_look looks[PATTERN_MAX_LOOKS];
    size_t n_looks;
} pattern_tree;

/* On failure the tree is released. */
hone_status pattern_parse(pattern_tree *t, const char *text, size_t n);
void pattern_tree_release(pattern_tree *t);

#endif
