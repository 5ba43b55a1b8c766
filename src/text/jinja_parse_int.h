/* What the two halves of the parser share: jinja_parse.c (statements), jinja_parse_expr.c. */
#ifndef TEXT_JINJA_PARSE_INT_H
#define TEXT_JINJA_PARSE_INT_H

#include "base/strmap.h"
#include "text/jinja_int.h"

typedef struct parser {
    const token *t; /* the current token; the last of all is T_END */
    mem_arena *arena;
    strmap names;
    const char **interned;
    size_t n_names, names_capacity;
    known_names known;
    unsigned nesting;
    unsigned loops;      /* enclosing loops inside the current macro */
    unsigned conditions; /* enclosing if-bodies: an unknown filter there fails only when reached */
    bool rest_used;      /* varargs or kwargs seen since the current macro began */
} parser;

hone_status new_node(parser *p, node_type type, node **out);
hone_status intern(parser *p, const char *name, size_t n, const char **out);
bool at_name(const parser *p, const char *word);
bool skip_name(parser *p, const char *word);
bool skip_token(parser *p, token_kind kind);
hone_status expect_token(parser *p, token_kind kind, const char *what);
hone_status expect_name(parser *p, const char **name); /* any identifier */
hone_status unexpected(const parser *p, const char *expected);
hone_status parser_enter(parser *p); /* p->nesting-- on the way out after success */

enum { EXPR_NO_CONDITION = 1, EXPR_STOP_AT_RECURSIVE = 2 };
hone_status parse_expression(parser *p, unsigned flags, node **out);
hone_status parse_tuple(parser *p, unsigned flags, node **out); /* a, b, c without parentheses */
hone_status parse_primary_call(parser *p, node **out);          /* of a call block */
hone_status parse_filter_chain(parser *p, node *object, node **out); /* name(args)|name … */

#endif
