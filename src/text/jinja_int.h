/* Inside of the template interpreter; text/template.h is its outside.
 *
 *     source --jinja_lex--> tokens --jinja_parse--> tree of nodes --jinja_run--> text
 *
 * Files: jinja_lex (tokens, white space control), jinja_parse (statements), jinja_parse_expr,
 * jinja_eval (expressions), jinja_exec (statements, macros, loops), jinja_value (lists, dicts,
 * comparison), jinja_string (strings and where their bytes come from), jinja_repr (print, tojson,
 * JSON in), jinja_format (% and .format), jinja_number, and the tables of builtins: jinja_filters,
 * jinja_filters_text, jinja_tests, jinja_methods, jinja_methods_text, jinja_functions.
 *
 * Everything made during a render lives in one arena and dies with it. Functions that fail have
 * stored a sentence; chat_template_render puts the line in front of it. */
#ifndef TEXT_JINJA_INT_H
#define TEXT_JINJA_INT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "base/arena.h"
#include "base/status.h"

/* ---- bounds ---------------------------------------------------------------------------------- */

enum {
    JINJA_MAX_SOURCE = 4 << 20,       /* bytes of a template */
    JINJA_MAX_PARSE_MEMORY = 256 << 20,
    JINJA_MAX_NESTING = 100,          /* tags inside tags, brackets inside brackets */
    JINJA_MAX_DEPTH = 1000,           /* evaluator calls on the C stack; data inside data */
    JINJA_MAX_STEPS = 20000000,       /* nodes evaluated, items visited, 64 bytes of text moved */
    JINJA_MAX_TEXT = 32 << 20,        /* bytes of one string, and of the output */
    JINJA_MAX_MEMORY = 256 << 20,     /* bytes that one render may take */
    JINJA_MAX_RANGE = 100000,         /* items of one range(), as in jinja2's sandbox */
};

/* ---- values ---------------------------------------------------------------------------------- */

typedef enum value_type {
    V_MISSING, /* an argument that was not given; never seen by templates */
    V_UNDEFINED,
    V_NONE,
    V_BOOL,
    V_INT,
    V_FLOAT,
    V_TEXT,
    V_LIST,
    V_TUPLE,
    V_DICT,
    V_GENERATOR, /* what map, select, items … give: true, without length, good for one iteration */
    V_NAMESPACE,
    V_LOOP,
    V_MACRO,
    V_FUNCTION,
    V_METHOD,
} value_type;

typedef struct value {
    value_type type;
    union {
        bool boolean;
        int64_t integer;
        double real;
        const struct text *text;
        struct list *list; /* V_LIST, V_TUPLE, V_GENERATOR */
        struct dict *dict; /* V_DICT, V_NAMESPACE */
        struct loop *loop;
        struct macro *macro;
        const struct builtin *function;
        const struct method *method;
        const char *name; /* V_UNDEFINED: what was looked for; may be NULL */
    };
} value;

#define NONE_VALUE ((value){.type = V_NONE})
#define BOOL_VALUE(b) ((value){.type = V_BOOL, .boolean = (b)})
#define INT_VALUE(i) ((value){.type = V_INT, .integer = (i)})
#define FLOAT_VALUE(d) ((value){.type = V_FLOAT, .real = (d)})
#define TEXT_VALUE(t) ((value){.type = V_TEXT, .text = (t)})
#define UNDEFINED_VALUE(what) ((value){.type = V_UNDEFINED, .name = (what)})

/* Who wrote a string. FROM_BOTH has a mark for each byte: 0 the template, 1 a user. */
typedef enum origin { FROM_TEMPLATE, FROM_USER, FROM_BOTH } origin;

typedef struct text {
    const char *bytes; /* UTF-8; not NUL-terminated; shared between slices */
    const uint8_t *marks;
    size_t n;
    origin origin;
    bool safe; /* jinja2's Markup: `+` escapes the other side */
} text;

typedef struct list {
    value *items;
    size_t n, capacity;
} list;

typedef struct dict_entry {
    value key, item;
    uint32_t hash;
} dict_entry;

/* In order of insertion. Keys compare as in Python: 1, 1.0 and true are one key. */
typedef struct dict {
    dict_entry *entries;
    size_t n, capacity;
    uint32_t *slots; /* entry number + 1; 0 = free; NULL while the dict is small */
    size_t n_slots;  /* a power of two */
} dict;

typedef struct interp interp;

typedef struct named_value {
    const char *name;
    value value;
} named_value;

/* positional[0] is the value that a filter, test or method is applied to. */
typedef struct call_args {
    value *positional;
    size_t n;
    named_value *named;
    size_t n_named;
} call_args;

typedef hone_status builtin_fn(interp *in, const call_args *args, value *out);

/* call == NULL: Python has it, hone does not. */
typedef struct builtin {
    const char *name;
    builtin_fn *call;
} builtin;

typedef struct method {
    const builtin *function;
    value self;
} method;

const builtin *builtin_find(const builtin *table, const char *name); /* table ends in a NULL name */
const builtin *filter_find(const char *name);
const builtin *test_find(const char *name);
const builtin *global_find(const char *name);
const builtin *method_find(value_type type, const char *name);
extern const builtin text_filters[], text_methods[];

/* ---- tokens ---------------------------------------------------------------------------------- */

typedef enum token_kind {
    T_END, T_DATA, T_VARIABLE_BEGIN, T_VARIABLE_END, T_BLOCK_BEGIN, T_BLOCK_END,
    T_NAME, T_STRING, T_INTEGER, T_FLOAT,
    T_ADD, T_SUB, T_MUL, T_DIV, T_FLOORDIV, T_MOD, T_POW, T_TILDE,
    T_EQ, T_NE, T_LT, T_LE, T_GT, T_GE, T_IN, T_NOT_IN,
    T_ASSIGN, T_DOT, T_COMMA, T_COLON, T_PIPE,
    T_LPAREN, T_RPAREN, T_LBRACKET, T_RBRACKET, T_LBRACE, T_RBRACE,
} token_kind;

typedef struct token {
    token_kind kind;
    uint32_t line;
    const char *at; /* into the source; a string's bytes without quotes, escapes as written */
    size_t n;
    union {
        int64_t integer;
        double real;
    };
} token;

/* The source is what the nodes point into; its line ends are "\n". The arena holds the tokens, of
 * which the last is T_END. */
hone_status jinja_lex(const char *source, size_t n, mem_arena *arena, const token **tokens);

/* ---- tree ------------------------------------------------------------------------------------ */

typedef enum node_type {
    /* expressions */
    E_CONST, E_NAME, E_LIST, E_TUPLE, E_DICT, E_GETATTR, E_GETITEM, E_SLICE, E_CALL, E_ARGUMENT,
    E_FILTER, E_TEST, E_NOT, E_NEGATE, E_PLUS, E_BINARY, E_AND, E_OR, E_COMPARE, E_OPERAND,
    E_CONCAT, E_CONDITION,
    /* statements */
    S_TEXT, S_OUTPUT, S_IF, S_FOR, S_SET, S_SET_BLOCK, S_MACRO, S_CALL_BLOCK, S_FILTER_BLOCK,
    S_WITH, S_SCOPE, S_BREAK, S_CONTINUE,
} node_type;

/* Lists of nodes hang on `next`. Names are interned: equal names are equal pointers. */
typedef struct node {
    node_type type;
    uint32_t line;
    token_kind op;     /* E_BINARY, E_OPERAND: an operand of E_COMPARE after the first */
    const char *name;  /* E_NAME, E_GETATTR, E_FILTER, E_TEST, S_MACRO;
                          E_ARGUMENT: a named one, its value is `left` */
    struct node *next;
    struct node *left;  /* object, condition, callee, loop's iterable, value to set … */
    struct node *right; /* second operand, index, target of set and for; default of a parameter */
    struct node *third; /* else part; slice step; filter of a set block */
    struct node *list;  /* items, arguments, parameters, branches */
    struct node *body, *otherwise;
    const builtin *function; /* E_FILTER, E_TEST; NULL = unknown, an error only when reached */
    value constant;
    bool recursive;    /* S_FOR */
    bool takes_rest;   /* S_MACRO: the body speaks of varargs or kwargs */
} node;

/* Names that the interpreter itself sets. */
typedef struct known_names {
    const char *loop, *caller, *varargs, *kwargs;
} known_names;

typedef struct jinja_tree {
    node *body;
    known_names names;
} jinja_tree;

hone_status jinja_parse(const token *tokens, mem_arena *arena, jinja_tree *tree);

/* ---- interpreter ----------------------------------------------------------------------------- */

typedef struct text_builder {
    interp *in;
    char *bytes;
    uint8_t *marks; /* only once both kinds of text are in it */
    size_t n, capacity;
    origin origin;
} text_builder;

typedef struct variable {
    const char *name;
    value value;
} variable;

typedef struct scope {
    struct scope *parent;
    variable *variables;
    size_t n, capacity;
} scope;

typedef struct macro {
    const char *name;
    const node *parameters, *body;
    scope *scope; /* where it was written */
    bool takes_rest;
} macro;

typedef struct loop {
    const node *node;
    scope *scope;
    const list *items;
    size_t index, depth;
    value last_changed; /* loop.changed() */
} loop;

struct interp {
    mem_arena arena;
    const jinja_tree *tree;
    const json_t *variables;
    const struct tm *now;
    text_builder *out;
    scope *root, *scope;
    uint64_t steps;
    unsigned depth;
    uint32_t line;
};

hone_status jinja_run(interp *in);

hone_status spend(interp *in, size_t steps);
hone_status enter(interp *in); /* one level deeper; leave() on every way out after success */
void leave(interp *in);

/* A sentence about misuse: HONE_ERR_FORMAT. */
#define misuse(...) fail(HONE_ERR_FORMAT, __VA_ARGS__)

/* Evaluation. */
hone_status eval(interp *in, const node *e, value *out);
hone_status eval_args(interp *in, const node *args, const value *self, call_args *out);
hone_status call_value(interp *in, value callee, const call_args *args, value *out);
hone_status call_macro(interp *in, const macro *m, const call_args *args, value *out);
hone_status call_loop(interp *in, const loop *l, const call_args *args, value *out);
hone_status binary(interp *in, token_kind op, value a, value b, value *out);
hone_status scope_set(interp *in, scope *s, const char *name, value v);
hone_status get_attribute(interp *in, value object, const char *name, value *out);
hone_status get_item(interp *in, value object, value key, value *out);
hone_status get_loop_attribute(interp *in, const loop *l, const char *name, value *out);

/* Arguments: slots[i] gets the argument for names[i], V_MISSING where none was given. */
hone_status args_bind(const call_args *args, const char *what, const char *const *names,
                      size_t n_required, size_t n_names, value *slots);
#define ARGS_BIND(args, what, n_required, slots, ...)                                     \
    args_bind(args, what, (const char *const[]){__VA_ARGS__}, n_required,                 \
              sizeof((const char *const[]){__VA_ARGS__}) / sizeof(const char *), slots)

/* Values. */
const char *type_name(value v);
bool truth(value v);
bool is_number(value v); /* bool, int, float */
bool as_integer(value v, int64_t *out); /* bool or int */
double as_real(value v);
hone_status expect_text(value v, const char *what, const text **out);
hone_status expect_integer(value v, const char *what, int64_t *out);
hone_status values_equal(interp *in, value a, value b, bool *out);
/* −1, 0, 1, or 2 where NaN has no order; fails for types without order. */
hone_status values_order(interp *in, value a, value b, int *out);
hone_status value_contains(interp *in, value container, value item, bool *out);
hone_status value_length(value v, int64_t *out);
hone_status list_new(interp *in, value_type type, size_t capacity, value *out);
hone_status list_add(interp *in, list *l, value v);
hone_status dict_new(interp *in, value *out);
hone_status dict_find(interp *in, const dict *d, value key, dict_entry **out); /* NULL: not there */
hone_status dict_put(interp *in, dict *d, value key, value item);
hone_status dict_remove(interp *in, dict *d, dict_entry *entry);
value *dict_get_name(const dict *d, const char *name); /* by text; NULL: not there */
hone_status dict_put_name(interp *in, dict *d, const char *name, value item);
/* The items as a list of its own: list items, dict keys, characters; nothing for undefined. A
 * generator is empty afterwards. */
hone_status iterate(interp *in, value v, list **out);
typedef hone_status sort_order(interp *in, value a, value b, int *out);
/* Stable; sorts `items` by `keys`, both permuted alike. */
hone_status sort_by_keys(interp *in, value *items, value *keys, size_t n, bool reverse);

/* Strings. */
/* text_new borrows the bytes for the rest of the render. */
hone_status text_new(interp *in, const char *bytes, size_t n, origin from, value *out);
hone_status text_copy(interp *in, const char *bytes, size_t n, origin from, value *out);
hone_status text_slice(interp *in, const text *t, size_t begin, size_t end, value *out);
origin text_origin_at(const text *t, size_t byte);
bool text_equals(const text *t, const char *s);
bool text_starts(const text *t, size_t at, const text *prefix);
size_t text_find(const text *t, size_t from, const text *needle); /* t->n + 1: not there */
size_t text_rfind(const text *t, size_t end, const text *needle);
size_t text_length(const text *t); /* characters */
size_t text_offset(const text *t, size_t character); /* byte of the n-th character, at most t->n */
size_t char_bytes(const text *t, size_t at);
uint32_t char_at(const text *t, size_t at, size_t *bytes);
bool is_space(uint32_t code); /* as Python's str.isspace */
enum { STRIP_LEFT = 1, STRIP_RIGHT = 2 };
hone_status text_strip(interp *in, const text *t, const text *chars, unsigned sides, value *out);
hone_status text_replace(interp *in, const text *t, const text *from, const text *to, int64_t count,
                         value *out);
hone_status text_repeat(interp *in, const text *t, int64_t count, value *out);
hone_status text_concat(interp *in, const text *a, const text *b, value *out);
hone_status text_splitlines(interp *in, const text *t, bool keep_ends, list **out);
hone_status text_safe(interp *in, const text *t, value *out); /* the same text as Markup */
hone_status text_escape(interp *in, const text *t, value *out); /* HTML, result is safe */
/* CASE_TITLE begins words as str.title does, CASE_WORDS as the filter title. */
typedef enum letter_case {
    CASE_LOWER,
    CASE_UPPER,
    CASE_CAPITAL,
    CASE_TITLE,
    CASE_WORDS,
    CASE_SWAP,
} letter_case;
hone_status text_to_case(interp *in, const text *t, letter_case to, value *out);

void builder_init(text_builder *b, interp *in);
hone_status builder_add(text_builder *b, const char *bytes, size_t n, origin from);
hone_status builder_add_text(text_builder *b, const text *t);
hone_status builder_add_slice(text_builder *b, const text *t, size_t begin, size_t end);
hone_status builder_add_string(text_builder *b, const char *s); /* the template's own */
hone_status builder_pad(text_builder *b, size_t n, char c);
/* All bytes become users' text if any is: for operations that mix beyond tracing. */
void builder_taint(text_builder *b, size_t from);
hone_status builder_finish(text_builder *b, value *out);

/* Printing and JSON. */
hone_status to_text(interp *in, value v, const text **out); /* Python's str() */
hone_status print_value(text_builder *b, value v);
hone_status repr_value(text_builder *b, value v);
typedef struct json_style {
    bool ensure_ascii, sort_keys;
    const text *item_separator, *key_separator;
    const text *indent; /* NULL: one line */
} json_style;
hone_status json_print(text_builder *b, value v, const json_style *style);
hone_status value_from_json(interp *in, const json_t *json, origin from, value *out);

/* Numbers as Python reads and writes them. */
enum { NUMBER_TEXT_MAX = 400 };
void real_to_text(double d, char out[static 40]);
bool text_to_integer(const text *t, int base, int64_t *out); /* false: not one, or too large */
bool text_to_real(const text *t, double *out);

/* '%' on strings and str.format. */
hone_status format_percent(interp *in, const text *format, const call_args *args, value *out);
hone_status format_braces(interp *in, const text *format, const call_args *args, value *out);

#endif
