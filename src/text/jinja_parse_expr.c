/* Expressions, with jinja2's precedence, loosest first:
 *
 *   a if b else c · or · and · not · comparisons, in · + - · ~ · * / // % · ** · unary
 *
 * Behind each unary come .name [index] (call), then |filter and "is test". */
#include <string.h>

#include "base/utf8.h"
#include "text/jinja_parse_int.h"

static hone_status parse_unary(parser *p, bool with_filters, node **out);

static hone_status pair(parser *p, node_type type, node *left, node *right, node **out) {
    TRY(new_node(p, type, out));
    (*out)->left = left;
    (*out)->right = right;
    return HONE_OK;
}

/* ---- literals ---- */

static int hex_digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* \x41, \u00e9, \U0001f600: `digits` hex digits at s. */
static bool hex_escape(const char *s, size_t n, size_t digits, uint32_t *code) {
    *code = 0;
    if (n < digits) return false;
    for (size_t i = 0; i < digits; i++) {
        int digit = hex_digit(s[i]);
        if (digit < 0) return false;
        *code = *code << 4 | (uint32_t)digit;
    }
    return *code <= 0x10FFFF && (*code < 0xD800 || *code > 0xDFFF);
}

/* One escape sequence behind its backslash: bytes read, and what they stand for (0 to 4 bytes). */
static size_t unescape(const char *s, size_t n, char *out, size_t *written) {
    static const char plain[] = "n\nt\tr\ra\ab\bf\fv\v\\\\''\"\"";
    *written = 1;
    for (size_t i = 0; i + 1 < sizeof plain; i += 2)
        if (plain[i] == s[0]) {
            *out = plain[i + 1];
            return 1;
        }
    if (s[0] == '\n') {
        *written = 0;
        return 1;
    }
    uint32_t code = 0;
    size_t digits = s[0] == 'x' ? 2 : s[0] == 'u' ? 4 : s[0] == 'U' ? 8 : 0;
    if (digits) {
        if (!hex_escape(s + 1, n - 1, digits, &code)) return 0;
        *written = utf8_write(out, code);
        return digits + 1;
    }
    while (digits < 3 && digits < n && s[digits] >= '0' && s[digits] <= '7')
        code = code * 8 + (uint32_t)(s[digits++] - '0');
    if (digits) {
        *written = utf8_write(out, code);
        return digits;
    }
    *out = '\\'; /* an unknown escape stands for itself */
    return n + 1;
}

/* Adjacent literals are one string. */
static hone_status parse_string(parser *p, node **out) {
    size_t room = 0;
    for (const token *t = p->t; t->kind == T_STRING; t++) room += t->n + 4;
    char *bytes = arena_alloc(p->arena, room, 1);
    text *made = arena_alloc(p->arena, 1, sizeof *made);
    if (!bytes || !made) return HONE_ERR_MEMORY;
    TRY(new_node(p, E_CONST, out));
    size_t n = 0;
    for (; p->t->kind == T_STRING; p->t++) {
        const char *s = p->t->at, *end = s + p->t->n;
        while (s < end) {
            if (*s != '\\' || s + 1 == end) {
                bytes[n++] = *s++;
                continue;
            }
            size_t left = (size_t)(end - s) - 1, written, read = unescape(s + 1, left, bytes + n,
                                                                          &written);
            if (!read)
                return misuse("template line %u: bad \\%c escape in a string", p->t->line, s[1]);
            n += written;
            s += read > left ? 1 : read + 1;
        }
    }
    *made = (text){.bytes = bytes, .n = n};
    (*out)->constant = TEXT_VALUE(made);
    return HONE_OK;
}

/* Items up to `close`, a comma may follow the last one. */
static hone_status parse_items(parser *p, token_kind close, const char *what, node **items) {
    node **tail = items;
    while (p->t->kind != close) {
        TRY(parse_expression(p, 0, tail));
        tail = &(*tail)->next;
        if (!skip_token(p, T_COMMA)) break;
    }
    return expect_token(p, close, what);
}

/* key: value, … — keys and values alternate in the list. */
static hone_status parse_dict(parser *p, node *n) {
    node **tail = &n->list;
    while (p->t->kind != T_RBRACE) {
        TRY(parse_expression(p, 0, tail));
        TRY(expect_token(p, T_COLON, "\":\" behind a key"));
        tail = &(*tail)->next;
        TRY(parse_expression(p, 0, tail));
        tail = &(*tail)->next;
        if (!skip_token(p, T_COMMA)) break;
    }
    return expect_token(p, T_RBRACE, "\"}\"");
}

static hone_status parse_parenthesised(parser *p, node **out) {
    if (skip_token(p, T_RPAREN)) return new_node(p, E_TUPLE, out);
    TRY(parse_tuple(p, 0, out));
    return expect_token(p, T_RPAREN, "\")\"");
}

static hone_status parse_name(parser *p, node **out) {
    static const struct {
        const char *word;
        value value;
    } words[] = {
        {"true", {.type = V_BOOL, .boolean = true}},
        {"True", {.type = V_BOOL, .boolean = true}},
        {"false", {.type = V_BOOL}},
        {"False", {.type = V_BOOL}},
        {"none", {.type = V_NONE}},
        {"None", {.type = V_NONE}},
    };
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (!skip_name(p, words[i].word)) continue;
        TRY(new_node(p, E_CONST, out));
        (*out)->constant = words[i].value;
        return HONE_OK;
    }
    TRY(new_node(p, E_NAME, out));
    TRY(expect_name(p, &(*out)->name));
    if ((*out)->name == p->known.varargs || (*out)->name == p->known.kwargs) p->rest_used = true;
    return HONE_OK;
}

static hone_status parse_primary(parser *p, node **out) {
    const token *t = p->t;
    switch (t->kind) {
    case T_NAME: return parse_name(p, out);
    case T_STRING: return parse_string(p, out);
    case T_INTEGER:
    case T_FLOAT:
        TRY(new_node(p, E_CONST, out));
        (*out)->constant = t->kind == T_FLOAT ? FLOAT_VALUE(t->real) : INT_VALUE(t->integer);
        p->t++;
        return HONE_OK;
    default: break;
    }
    TRY(parser_enter(p));
    if (skip_token(p, T_LPAREN)) {
        TRY(parse_parenthesised(p, out));
    } else if (skip_token(p, T_LBRACKET)) {
        TRY(new_node(p, E_LIST, out));
        TRY(parse_items(p, T_RBRACKET, "\"]\"", &(*out)->list));
    } else if (skip_token(p, T_LBRACE)) {
        TRY(new_node(p, E_DICT, out));
        TRY(parse_dict(p, *out));
    } else {
        return unexpected(p, "an expression");
    }
    p->nesting--;
    return HONE_OK;
}

/* ---- what follows a primary ---- */

static hone_status parse_subscript(parser *p, node **out) {
    node *parts[3] = {NULL};
    int colons = 0;
    if (p->t->kind != T_COLON) TRY(parse_expression(p, 0, &parts[0]));
    while (colons < 2 && skip_token(p, T_COLON)) {
        colons++;
        if (p->t->kind != T_COLON && p->t->kind != T_RBRACKET && p->t->kind != T_COMMA)
            TRY(parse_expression(p, 0, &parts[colons]));
    }
    if (!colons) {
        *out = parts[0];
        return HONE_OK;
    }
    TRY(pair(p, E_SLICE, parts[0], parts[1], out));
    (*out)->third = parts[2];
    return HONE_OK;
}

/* Behind "[". Several subscripts, or none, make a tuple. */
static hone_status parse_index(parser *p, node *object, node **out) {
    node *index = NULL, **tail = &index;
    while (p->t->kind != T_RBRACKET) {
        TRY(parse_subscript(p, tail));
        tail = &(*tail)->next;
        if (!skip_token(p, T_COMMA)) break;
    }
    TRY(expect_token(p, T_RBRACKET, "\"]\""));
    if (!index || index->next) {
        node *tuple;
        TRY(new_node(p, E_TUPLE, &tuple));
        tuple->list = index;
        index = tuple;
    }
    return pair(p, E_GETITEM, object, index, out);
}

static hone_status parse_dot(parser *p, node *object, node **out) {
    if (p->t->kind == T_INTEGER) { /* list.0 */
        node *index;
        TRY(parse_primary(p, &index));
        return pair(p, E_GETITEM, object, index, out);
    }
    TRY(pair(p, E_GETATTR, object, NULL, out));
    return expect_name(p, &(*out)->name);
}

/* Behind "(": a, b, name=c — named ones last. */
static hone_status parse_call_args(parser *p, node **args) {
    node **tail = args;
    bool named = false;
    while (p->t->kind != T_RPAREN) {
        const char *name = NULL;
        if (p->t->kind == T_MUL || p->t->kind == T_POW)
            return fail(HONE_ERR_UNSUPPORTED, "template line %u: \"*\" arguments are not supported",
                        p->t->line);
        if (p->t->kind == T_NAME && p->t[1].kind == T_ASSIGN) {
            TRY(expect_name(p, &name));
            p->t++;
            named = true;
        } else if (named) {
            return unexpected(p, "a named argument behind a named argument");
        }
        TRY(parse_expression(p, 0, tail));
        if (name) {
            node *given = *tail;
            TRY(pair(p, E_ARGUMENT, given, NULL, tail));
            (*tail)->name = name;
        }
        tail = &(*tail)->next;
        if (!skip_token(p, T_COMMA)) break;
    }
    return expect_token(p, T_RPAREN, "\")\" behind arguments");
}

static hone_status parse_call(parser *p, node *callee, node **out) {
    TRY(pair(p, E_CALL, callee, NULL, out));
    return parse_call_args(p, &(*out)->list);
}

static hone_status parse_postfix(parser *p, node *object, node **out) {
    for (;;) {
        if (skip_token(p, T_DOT)) TRY(parse_dot(p, object, &object));
        else if (skip_token(p, T_LBRACKET)) TRY(parse_index(p, object, &object));
        else if (skip_token(p, T_LPAREN)) TRY(parse_call(p, object, &object));
        else break;
    }
    *out = object;
    return HONE_OK;
}

/* a.b: namespaces of filters and tests are spelt with dots. */
static hone_status find_function(parser *p, node *n, bool is_test) {
    TRY(expect_name(p, &n->name));
    if (p->t->kind == T_DOT) return unexpected(p, "no \".\" in a filter's or test's name");
    n->function = is_test ? test_find(n->name) : filter_find(n->name);
    if (n->function || p->conditions) return HONE_OK;
    return fail(HONE_ERR_UNSUPPORTED, "template line %u: no %s named \"%s\"", n->line,
                is_test ? "test" : "filter", n->name);
}

static hone_status parse_filter(parser *p, node *object, node **out) {
    TRY(pair(p, E_FILTER, object, NULL, out));
    TRY(find_function(p, *out, false));
    return skip_token(p, T_LPAREN) ? parse_call_args(p, &(*out)->list) : HONE_OK;
}

hone_status parse_filter_chain(parser *p, node *object, node **out) {
    do TRY(parse_filter(p, object, &object));
    while (skip_token(p, T_PIPE));
    *out = object;
    return HONE_OK;
}

/* A test's argument may stand without parentheses: x is divisibleby 3. */
static bool at_test_argument(const parser *p) {
    switch (p->t->kind) {
    case T_NAME: return !at_name(p, "else") && !at_name(p, "or") && !at_name(p, "and");
    case T_STRING:
    case T_INTEGER:
    case T_FLOAT:
    case T_LBRACKET:
    case T_LBRACE: return true;
    default: return false;
    }
}

static hone_status parse_test(parser *p, node *object, node **out) {
    bool negated = skip_name(p, "not");
    node *test;
    TRY(pair(p, E_TEST, object, NULL, &test));
    TRY(find_function(p, test, true));
    if (skip_token(p, T_LPAREN)) {
        TRY(parse_call_args(p, &test->list));
    } else if (at_test_argument(p)) {
        if (at_name(p, "is")) return unexpected(p, "no second \"is\": tests do not chain");
        TRY(parse_primary(p, &test->list));
        TRY(parse_postfix(p, test->list, &test->list));
    }
    *out = test;
    return negated ? pair(p, E_NOT, test, NULL, out) : HONE_OK;
}

static hone_status parse_filters(parser *p, node *object, node **out) {
    for (;;) {
        if (skip_token(p, T_PIPE)) TRY(parse_filter(p, object, &object));
        else if (skip_name(p, "is")) TRY(parse_test(p, object, &object));
        else if (skip_token(p, T_LPAREN)) TRY(parse_call(p, object, &object));
        else break;
    }
    *out = object;
    return HONE_OK;
}

/* ---- operators ---- */

static hone_status parse_unary(parser *p, bool with_filters, node **out) {
    token_kind sign = p->t->kind;
    if (sign == T_SUB || sign == T_ADD) {
        node *operand;
        p->t++;
        TRY(parser_enter(p));
        TRY(parse_unary(p, false, &operand));
        p->nesting--;
        TRY(pair(p, sign == T_SUB ? E_NEGATE : E_PLUS, operand, NULL, out));
    } else {
        TRY(parse_primary(p, out));
    }
    TRY(parse_postfix(p, *out, out));
    return with_filters ? parse_filters(p, *out, out) : HONE_OK;
}

/* How tightly a binary operator binds; 0: not one. "~" (2) makes a list of its own. */
static int strength(token_kind kind) {
    switch (kind) {
    case T_ADD:
    case T_SUB: return 1;
    case T_TILDE: return 2;
    case T_MUL:
    case T_DIV:
    case T_FLOORDIV:
    case T_MOD: return 3;
    case T_POW: return 4;
    default: return 0;
    }
}

static hone_status parse_arithmetic(parser *p, int weakest, node **out) {
    if (weakest > 4) return parse_unary(p, true, out);
    TRY(parse_arithmetic(p, weakest + 1, out));
    if (weakest == 2 && p->t->kind == T_TILDE) {
        node *first = *out, **tail = &first->next;
        TRY(new_node(p, E_CONCAT, out));
        (*out)->list = first;
        while (skip_token(p, T_TILDE)) {
            TRY(parse_arithmetic(p, 3, tail));
            tail = &(*tail)->next;
        }
    }
    while (strength(p->t->kind) == weakest) {
        token_kind op = (p->t++)->kind;
        node *right;
        TRY(parse_arithmetic(p, weakest + 1, &right));
        TRY(pair(p, E_BINARY, *out, right, out));
        (*out)->op = op;
    }
    return HONE_OK;
}

static bool skip_comparison(parser *p, token_kind *op) {
    *op = p->t->kind;
    if (*op >= T_EQ && *op <= T_GE) {
        p->t++;
        return true;
    }
    if (skip_name(p, "in")) {
        *op = T_IN;
        return true;
    }
    if (!at_name(p, "not") || p->t[1].kind != T_NAME || p->t[1].n != 2 ||
        memcmp(p->t[1].at, "in", 2) != 0)
        return false;
    p->t += 2;
    *op = T_NOT_IN;
    return true;
}

/* a < b < c: E_COMPARE has the operands in its list, each after the first with its operator. */
static hone_status parse_comparison(parser *p, node **out) {
    TRY(parse_arithmetic(p, 1, out));
    token_kind op;
    node *compare = NULL, **tail = NULL;
    while (skip_comparison(p, &op)) {
        node *operand;
        TRY(parse_arithmetic(p, 1, &operand));
        if (!compare) {
            TRY(new_node(p, E_COMPARE, &compare));
            compare->left = *out;
            tail = &compare->list;
        }
        TRY(pair(p, E_OPERAND, operand, NULL, tail));
        (*tail)->op = op;
        tail = &(*tail)->next;
    }
    if (compare) *out = compare;
    return HONE_OK;
}

static hone_status parse_not(parser *p, node **out) {
    if (!skip_name(p, "not")) return parse_comparison(p, out);
    node *operand;
    TRY(parser_enter(p));
    TRY(parse_not(p, &operand));
    p->nesting--;
    return pair(p, E_NOT, operand, NULL, out);
}

static hone_status parse_and(parser *p, node **out) {
    TRY(parse_not(p, out));
    while (skip_name(p, "and")) {
        node *right;
        TRY(parse_not(p, &right));
        TRY(pair(p, E_AND, *out, right, out));
    }
    return HONE_OK;
}

static hone_status parse_or(parser *p, node **out) {
    TRY(parse_and(p, out));
    while (skip_name(p, "or")) {
        node *right;
        TRY(parse_and(p, &right));
        TRY(pair(p, E_OR, *out, right, out));
    }
    return HONE_OK;
}

hone_status parse_expression(parser *p, unsigned flags, node **out) {
    TRY(parser_enter(p));
    TRY(parse_or(p, out));
    while (!(flags & EXPR_NO_CONDITION) && skip_name(p, "if")) {
        node *condition;
        TRY(new_node(p, E_CONDITION, &condition));
        condition->right = *out;
        p->conditions++;
        TRY(parse_or(p, &condition->left));
        if (skip_name(p, "else")) TRY(parse_expression(p, 0, &condition->third));
        p->conditions--;
        *out = condition;
    }
    p->nesting--;
    return HONE_OK;
}

static bool at_tuple_end(const parser *p, unsigned flags) {
    switch (p->t->kind) {
    case T_VARIABLE_END:
    case T_BLOCK_END:
    case T_RPAREN: return true;
    case T_NAME: return (flags & EXPR_STOP_AT_RECURSIVE) && at_name(p, "recursive");
    default: return false;
    }
}

hone_status parse_tuple(parser *p, unsigned flags, node **out) {
    TRY(parse_expression(p, flags, out));
    if (p->t->kind != T_COMMA) return HONE_OK;
    node *first = *out, **tail = &first->next;
    while (skip_token(p, T_COMMA) && !at_tuple_end(p, flags)) {
        TRY(parse_expression(p, flags, tail));
        tail = &(*tail)->next;
    }
    TRY(new_node(p, E_TUPLE, out));
    (*out)->list = first;
    return HONE_OK;
}

hone_status parse_primary_call(parser *p, node **out) {
    TRY(parse_unary(p, true, out));
    return (*out)->type == E_CALL ? HONE_OK : unexpected(p, "a call");
}
