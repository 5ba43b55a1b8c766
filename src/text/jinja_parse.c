/* Statements: tokens to a tree. */
#include "text/jinja_parse_int.h"

#include <string.h>

/* ---- small tools ---- */

hone_status new_node(parser *p, node_type type, node **out) {
    node *n = arena_alloc(p->arena, 1, sizeof *n);
    if (!n) return HONE_ERR_MEMORY;
    n->type = type;
    n->line = p->t->line;
    *out = n;
    return HONE_OK;
}

hone_status intern(parser *p, const char *name, size_t n, const char **out) {
    uint32_t known;
    if (strmap_find(&p->names, name, n, &known)) {
        *out = p->interned[known];
        return HONE_OK;
    }
    if (p->n_names == p->names_capacity) {
        size_t capacity = p->names_capacity ? p->names_capacity * 2 : 64;
        const char **grown = arena_grow(p->arena, p->interned, p->n_names * sizeof *grown,
                                              capacity * sizeof *grown);
        if (!grown) return HONE_ERR_MEMORY;
        p->interned = grown;
        p->names_capacity = capacity;
    }
    char *copy = arena_alloc(p->arena, n + 1, 1);
    if (!copy) return HONE_ERR_MEMORY;
    memcpy(copy, name, n);
    TRY(strmap_insert(&p->names, copy, n, (uint32_t)p->n_names, NULL));
    p->interned[p->n_names++] = copy;
    *out = copy;
    return HONE_OK;
}

bool at_name(const parser *p, const char *word) {
    size_t n = strlen(word);
    return p->t->kind == T_NAME && p->t->n == n && memcmp(p->t->at, word, n) == 0;
}

bool skip_name(parser *p, const char *word) {
    bool there = at_name(p, word);
    p->t += there;
    return there;
}

bool skip_token(parser *p, token_kind kind) {
    bool there = p->t->kind == kind;
    p->t += there;
    return there;
}

hone_status unexpected(const parser *p, const char *expected) {
    int n = p->t->n < 40 ? (int)p->t->n : 40;
    return misuse("template line %u: expected %s, found \"%.*s\"", p->t->line, expected, n,
                  p->t->at);
}

hone_status expect_token(parser *p, token_kind kind, const char *what) {
    return skip_token(p, kind) ? HONE_OK : unexpected(p, what);
}

hone_status expect_name(parser *p, const char **name) {
    if (p->t->kind != T_NAME) return unexpected(p, "a name");
    TRY(intern(p, p->t->at, p->t->n, name));
    p->t++;
    return HONE_OK;
}

hone_status parser_enter(parser *p) {
    if (++p->nesting > JINJA_MAX_NESTING)
        return misuse("template line %u: nested deeper than %d levels", p->t->line,
                      JINJA_MAX_NESTING);
    return HONE_OK;
}

static hone_status block_end(parser *p) { return expect_token(p, T_BLOCK_END, "\"%}\""); }

/* ---- bodies ---- */

static hone_status parse_statement(parser *p, node **out);

/* Whether "{% word" stands here for one of up to three words that end the body. */
static bool at_end_tag(const parser *p, const char *const *ends) {
    if (p->t->kind != T_BLOCK_BEGIN || p->t[1].kind != T_NAME) return false;
    for (; *ends; ends++)
        if (strlen(*ends) == p->t[1].n && memcmp(*ends, p->t[1].at, p->t[1].n) == 0) return true;
    return false;
}

static hone_status parse_piece(parser *p, node **out) {
    if (p->t->kind == T_DATA) {
        text *t = arena_alloc(p->arena, 1, sizeof *t);
        if (!t) return HONE_ERR_MEMORY;
        *t = (text){.bytes = p->t->at, .n = p->t->n};
        TRY(new_node(p, S_TEXT, out));
        (*out)->constant = TEXT_VALUE(t);
        p->t++;
        return HONE_OK;
    }
    if (skip_token(p, T_VARIABLE_BEGIN)) {
        TRY(new_node(p, S_OUTPUT, out));
        TRY(parse_tuple(p, 0, &(*out)->left));
        return expect_token(p, T_VARIABLE_END, "\"}}\"");
    }
    p->t++; /* "{%" */
    return parse_statement(p, out);
}

/* Up to a tag that begins with one of `ends`; stops behind its "{%". Empty `ends`: to the end. */
static hone_status parse_body(parser *p, const char *const *ends, node **body) {
    uint32_t line = p->t->line;
    node **tail = body;
    TRY(parser_enter(p));
    while (p->t->kind != T_END && !at_end_tag(p, ends)) {
        TRY(parse_piece(p, tail));
        tail = &(*tail)->next;
    }
    p->nesting--;
    if (p->t->kind != T_END) p->t++;
    else if (*ends) return misuse("template line %u: no \"%s\" for this tag", line, ends[0]);
    return HONE_OK;
}

#define ENDS(...) ((const char *const[]){__VA_ARGS__, NULL})

/* A body that one tag ends, and that tag. */
static hone_status parse_whole_body(parser *p, const char *end, node **body) {
    TRY(block_end(p));
    TRY(parse_body(p, ENDS(end), body));
    p->t++;
    return block_end(p);
}

/* The same for a body whose output goes elsewhere: loops outside cannot be left from inside. */
static hone_status parse_captured_body(parser *p, const char *end, node **body) {
    unsigned loops = p->loops;
    p->loops = 0;
    TRY(parse_whole_body(p, end, body));
    p->loops = loops;
    return HONE_OK;
}

/* ---- targets: what set, for and with give values to ---- */

/* name · name, name · (name, name) · namespace.name where allowed */
static hone_status parse_target(parser *p, bool with_namespace, node **out);

static hone_status parse_one_target(parser *p, bool with_namespace, node **out) {
    if (skip_token(p, T_LPAREN)) {
        TRY(parser_enter(p));
        TRY(parse_target(p, false, out));
        p->nesting--;
        return expect_token(p, T_RPAREN, "\")\"");
    }
    TRY(new_node(p, E_NAME, out));
    TRY(expect_name(p, &(*out)->name));
    if (!with_namespace || !skip_token(p, T_DOT)) return HONE_OK;
    node *object = *out;
    TRY(new_node(p, E_GETATTR, out));
    (*out)->left = object;
    return expect_name(p, &(*out)->name);
}

static hone_status parse_target(parser *p, bool with_namespace, node **out) {
    TRY(parse_one_target(p, with_namespace, out));
    if (p->t->kind != T_COMMA) return HONE_OK;
    node *first = *out, **tail = &first->next;
    while (skip_token(p, T_COMMA) && (p->t->kind == T_LPAREN ||
                                      (p->t->kind == T_NAME && !at_name(p, "in")))) {
        TRY(parse_one_target(p, with_namespace, tail));
        tail = &(*tail)->next;
    }
    TRY(new_node(p, E_TUPLE, out));
    (*out)->list = first;
    return HONE_OK;
}

/* ---- statements, each from behind its own name ---- */

/* The branches hang on `list`: left = condition, body; the else part is `otherwise`. */
static hone_status parse_if(parser *p, node *n) {
    node **tail = &n->list;
    p->conditions++;
    for (;;) {
        TRY(new_node(p, S_IF, tail));
        TRY(parse_tuple(p, EXPR_NO_CONDITION, &(*tail)->left));
        TRY(block_end(p));
        TRY(parse_body(p, ENDS("endif", "elif", "else"), &(*tail)->body));
        tail = &(*tail)->next;
        if (!skip_name(p, "elif")) break;
    }
    if (skip_name(p, "else")) {
        TRY(block_end(p));
        TRY(parse_body(p, ENDS("endif"), &n->otherwise));
    }
    p->conditions--;
    p->t++;
    return block_end(p);
}

static hone_status parse_for(parser *p, node *n) {
    TRY(parse_target(p, false, &n->right));
    if (!skip_name(p, "in")) return unexpected(p, "\"in\"");
    TRY(parse_tuple(p, EXPR_NO_CONDITION | EXPR_STOP_AT_RECURSIVE, &n->left));
    if (skip_name(p, "if")) TRY(parse_expression(p, 0, &n->third));
    n->recursive = skip_name(p, "recursive");
    TRY(block_end(p));
    p->loops++;
    TRY(parse_body(p, ENDS("endfor", "else"), &n->body));
    p->loops--;
    if (skip_name(p, "else")) {
        TRY(block_end(p));
        TRY(parse_body(p, ENDS("endfor"), &n->otherwise));
    }
    p->t++;
    return block_end(p);
}

static hone_status parse_set(parser *p, node *n) {
    TRY(parse_target(p, true, &n->right));
    if (skip_token(p, T_ASSIGN)) {
        TRY(parse_tuple(p, 0, &n->left));
        return block_end(p);
    }
    n->type = S_SET_BLOCK;
    if (skip_token(p, T_PIPE)) TRY(parse_filter_chain(p, NULL, &n->third));
    return parse_captured_body(p, "endset", &n->body);
}

/* (a, b=default, …); parameters hang on the list as E_NAME, their default on `right` */
static hone_status parse_parameters(parser *p, node **parameters) {
    TRY(expect_token(p, T_LPAREN, "\"(\""));
    node **tail = parameters;
    while (p->t->kind != T_RPAREN) {
        TRY(new_node(p, E_NAME, tail));
        TRY(expect_name(p, &(*tail)->name));
        if (skip_token(p, T_ASSIGN)) TRY(parse_expression(p, 0, &(*tail)->right));
        tail = &(*tail)->next;
        if (!skip_token(p, T_COMMA)) break;
    }
    return expect_token(p, T_RPAREN, "\")\" behind parameters");
}

static hone_status parse_macro_body(parser *p, const char *end, node *n) {
    bool rest_used = p->rest_used;
    p->rest_used = false;
    TRY(parse_captured_body(p, end, &n->body));
    n->takes_rest = p->rest_used;
    p->rest_used = rest_used;
    return HONE_OK;
}

static hone_status parse_macro(parser *p, node *n) {
    TRY(expect_name(p, &n->name));
    TRY(parse_parameters(p, &n->list));
    return parse_macro_body(p, "endmacro", n);
}

static hone_status parse_call_block(parser *p, node *n) {
    if (p->t->kind == T_LPAREN) TRY(parse_parameters(p, &n->list));
    TRY(parse_primary_call(p, &n->left));
    return parse_macro_body(p, "endcall", n);
}

static hone_status parse_filter_block(parser *p, node *n) {
    TRY(parse_filter_chain(p, NULL, &n->third));
    return parse_captured_body(p, "endfilter", &n->body);
}

static hone_status parse_with(parser *p, node *n) {
    node **tail = &n->list;
    while (p->t->kind != T_BLOCK_END) {
        if (n->list) TRY(expect_token(p, T_COMMA, "\",\""));
        TRY(new_node(p, S_SET, tail));
        TRY(parse_target(p, false, &(*tail)->right));
        TRY(expect_token(p, T_ASSIGN, "\"=\""));
        TRY(parse_expression(p, 0, &(*tail)->left));
        tail = &(*tail)->next;
    }
    return parse_whole_body(p, "endwith", &n->body);
}

static hone_status parse_generation(parser *p, node *n) {
    return parse_whole_body(p, "endgeneration", &n->body);
}

static hone_status parse_loop_control(parser *p, node *n) {
    if (!p->loops) return misuse("template line %u: outside of a loop", n->line);
    return block_end(p);
}

static const struct {
    const char *name;
    node_type type;
    hone_status (*parse)(parser *p, node *n);
} statements[] = {
    {"if", S_IF, parse_if},
    {"set", S_SET, parse_set},
    {"for", S_FOR, parse_for},
    {"macro", S_MACRO, parse_macro},
    {"call", S_CALL_BLOCK, parse_call_block},
    {"filter", S_FILTER_BLOCK, parse_filter_block},
    {"with", S_WITH, parse_with},
    {"generation", S_SCOPE, parse_generation},
    {"break", S_BREAK, parse_loop_control},
    {"continue", S_CONTINUE, parse_loop_control},
};

static hone_status parse_statement(parser *p, node **out) {
    for (size_t i = 0; i < sizeof statements / sizeof *statements; i++) {
        if (!skip_name(p, statements[i].name)) continue;
        TRY(new_node(p, statements[i].type, out));
        return statements[i].parse(p, *out);
    }
    if (p->t->kind != T_NAME) return unexpected(p, "a tag's name");
    if (p->t->n > 3 && memcmp(p->t->at, "end", 3) == 0) return unexpected(p, "another tag");
    return fail(HONE_ERR_UNSUPPORTED, "template line %u: no tag named \"%.*s\"", p->t->line,
                p->t->n < 40 ? (int)p->t->n : 40, p->t->at);
}

static hone_status parse_all(parser *p, jinja_tree *tree) {
    TRY(intern(p, "loop", 4, &p->known.loop));
    TRY(intern(p, "caller", 6, &p->known.caller));
    TRY(intern(p, "varargs", 7, &p->known.varargs));
    TRY(intern(p, "kwargs", 6, &p->known.kwargs));
    TRY(parse_body(p, ENDS(NULL), &tree->body));
    tree->names = p->known;
    return HONE_OK;
}

hone_status jinja_parse(const token *tokens, mem_arena *arena, jinja_tree *tree) {
    parser p = {.t = tokens, .arena = arena};
    TRY(strmap_init(&p.names, 128));
    jinja_tree parsed = {0};
    hone_status status = parse_all(&p, &parsed);
    strmap_release(&p.names);
    if (status == HONE_OK) *tree = parsed;
    return status;
}
