/* GBNF text to a syntax tree. */
#include "text/grammar_tree.h"

#include <stdlib.h>
#include <string.h>

#include "base/hex.h"
#include "base/utf8.h"

/* (…)*?{2} and so on: each one is a level of the tree. */
#define MAX_STACKED_REPEATS 4

typedef struct parser {
    grammar_tree *tree;
    const char *text;
    size_t n, at;
    int depth;
    size_t line_at; /* line ends in front of it have been counted */
    uint32_t line_ends;
} parser;

/* The line of `at`, from 1. */
static uint32_t line(parser *p) {
    size_t at = p->at < p->n ? p->at : p->n;
    while (p->line_at < at) p->line_ends += p->text[p->line_at++] == '\n';
    while (p->line_at > at) p->line_ends -= p->text[--p->line_at] == '\n';
    return p->line_ends + 1;
}

static hone_status wrong(parser *p, const char *what) {
    return fail(HONE_ERR_FORMAT, "grammar, line %u: %s", line(p), what);
}

static hone_status add_node(parser *p, uint32_t *number, grammar_node node) {
    return grammar_tree_add(p->tree, number, node);
}

static hone_status add_range(parser *p, uint32_t low, uint32_t high) {
    grammar_tree *t = p->tree;
    TRY(grammar_tree_reserve(t, 0, 1));
    t->ranges[t->n_ranges++] = (code_range){low, high};
    return HONE_OK;
}

/* A rule is defined on the line where it was first met, until its definition comes. */
static hone_status find_rule(parser *p, const char *name, size_t n, uint32_t *number) {
    grammar_tree *t = p->tree;
    TRY(grammar_tree_find_rule(t, name, n, number));
    if (!t->rules[*number].line) t->rules[*number].line = line(p);
    return HONE_OK;
}

/* --- characters --- */

static char peek(const parser *p) { return p->at < p->n ? p->text[p->at] : '\0'; }

static bool starts_with(const parser *p, const char *word) {
    size_t n = strlen(word);
    return p->n - p->at >= n && memcmp(p->text + p->at, word, n) == 0;
}

/* Blanks and comments; line ends, too, where a rule may go on behind them. */
static void skip_space(parser *p, bool lines) {
    while (p->at < p->n) {
        char c = p->text[p->at];
        if (c == '#') {
            while (p->at < p->n && p->text[p->at] != '\n') p->at++;
        } else if (c == ' ' || c == '\t' || c == '\r' || (lines && c == '\n')) {
            p->at++;
        } else {
            return;
        }
    }
}

static bool is_word(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           c == '-' || c == '_';
}

static size_t word_length(const parser *p) {
    size_t n = 0;
    while (p->at + n < p->n && is_word(p->text[p->at + n])) n++;
    return n;
}

static hone_status read_hex(parser *p, size_t digits, uint32_t *code) {
    size_t n = hex_read(p->text + p->at, p->n - p->at, digits, code);
    p->at += n;
    if (n < digits) return wrong(p, "a hexadecimal digit was expected");
    if (*code > 0x10FFFF || (*code >= 0xD800 && *code <= 0xDFFF))
        return wrong(p, "an escape that is no character");
    return HONE_OK;
}

/* One character of a literal or a class, escapes resolved. */
static hone_status read_character(parser *p, uint32_t *code) {
    if (peek(p) != '\\') {
        p->at += utf8_decode(p->text + p->at, p->n - p->at, code);
        return *code == UTF8_INVALID ? wrong(p, "invalid UTF-8") : HONE_OK;
    }
    p->at++;
    char c = peek(p);
    p->at++;
    switch (c) {
    case 'x': return read_hex(p, 2, code);
    case 'u': return read_hex(p, 4, code);
    case 'U': return read_hex(p, 8, code);
    case 'n': *code = '\n'; return HONE_OK;
    case 'r': *code = '\r'; return HONE_OK;
    case 't': *code = '\t'; return HONE_OK;
    case '\\': case '"': case '[': case ']': case '-': case '^':
        *code = (unsigned char)c;
        return HONE_OK;
    default:
        p->at -= p->at < p->n;
        return wrong(p, "an unknown escape; known are \\n \\r \\t \\\\ \\\" \\[ \\] \\- \\^ "
                        "\\xHH \\uHHHH \\UHHHHHHHH");
    }
}

/* --- elements --- */

static hone_status parse_literal(parser *p, uint32_t *node) {
    grammar_tree *t = p->tree;
    size_t first = t->n_bytes;
    for (p->at++;;) {
        TRY(grammar_tree_reserve(t, 4, 0));
        if (peek(p) == '"') break;
        if (p->at >= p->n) return wrong(p, "a literal is not closed");
        uint32_t code;
        TRY(read_character(p, &code));
        t->n_bytes += utf8_write(t->bytes + t->n_bytes, code);
    }
    p->at++;
    return add_node(p, node, (grammar_node){.kind = NODE_BYTES, .first = (uint32_t)first,
                                            .count = (uint32_t)(t->n_bytes - first)});
}

static int compare_ranges(const void *a, const void *b) {
    const code_range *x = a, *y = b;
    return (x->low > y->low) - (x->low < y->low);
}

/* Sorts the ranges from `first` on, merges what touches, and turns them inside out if `negated`.
 * Surrogates are no characters and belong to no class. */
static hone_status settle_class(parser *p, size_t first, bool negated) {
    grammar_tree *t = p->tree;
    TRY(grammar_tree_reserve(t, 0, 1));
    code_range *r = t->ranges + first;
    size_t n = t->n_ranges - first, kept = 0;
    qsort(r, n, sizeof *r, compare_ranges);
    for (size_t i = 0; i < n; i++) {
        if (kept && r[i].low <= r[kept - 1].high + 1) {
            if (r[i].high > r[kept - 1].high) r[kept - 1].high = r[i].high;
        } else {
            r[kept++] = r[i];
        }
    }
    if (negated) {
        uint32_t low = 0;
        size_t gaps = 0;
        for (size_t i = 0; i < kept; i++) {
            code_range hole = r[i];
            if (hole.low > low) r[gaps++] = (code_range){low, hole.low - 1};
            low = hole.high + 1;
        }
        if (low <= 0x10FFFF) r[gaps++] = (code_range){low, 0x10FFFF};
        kept = gaps;
    }
    t->n_ranges = first + kept;
    return HONE_OK;
}

static hone_status parse_class(parser *p, uint32_t *node) {
    size_t first = p->tree->n_ranges;
    p->at++;
    bool negated = peek(p) == '^';
    p->at += negated;
    while (peek(p) != ']') {
        if (p->at >= p->n) return wrong(p, "a character class is not closed");
        uint32_t low, high;
        TRY(read_character(p, &low));
        high = low;
        if (peek(p) == '-' && p->at + 1 < p->n && p->text[p->at + 1] != ']') {
            p->at++;
            TRY(read_character(p, &high));
            if (high < low) return wrong(p, "a range of characters runs backwards");
        }
        TRY(add_range(p, low, high));
    }
    p->at++;
    TRY(settle_class(p, first, negated));
    return add_node(p, node, (grammar_node){.kind = NODE_CLASS, .first = (uint32_t)first,
                                            .count = (uint32_t)(p->tree->n_ranges - first)});
}

static hone_status parse_any(parser *p, uint32_t *node) {
    p->at++;
    uint32_t first = (uint32_t)p->tree->n_ranges;
    TRY(add_range(p, 0, 0x10FFFF));
    return add_node(p, node, (grammar_node){.kind = NODE_CLASS, .first = first, .count = 1});
}

static hone_status parse_choice(parser *p, uint32_t *node);

static hone_status parse_group(parser *p, uint32_t *node) {
    if (p->depth == GRAMMAR_MAX_DEPTH) return wrong(p, "parentheses are nested too deeply");
    p->at++;
    p->depth++;
    TRY(parse_choice(p, node));
    p->depth--;
    if (peek(p) != ')') return wrong(p, "a closing parenthesis was expected");
    p->at++;
    return HONE_OK;
}

static hone_status parse_rule_name(parser *p, uint32_t *node) {
    size_t n = word_length(p);
    uint32_t number;
    TRY(find_rule(p, p->text + p->at, n, &number));
    p->at += n;
    return add_node(p, node, (grammar_node){.kind = NODE_RULE, .first = number});
}

/* False: nothing that an element could begin with. */
static hone_status parse_element(parser *p, uint32_t *node, bool *found) {
    char c = peek(p);
    *found = true;
    if (c == '"') return parse_literal(p, node);
    if (c == '[') return parse_class(p, node);
    if (c == '.') return parse_any(p, node);
    if (c == '(') return parse_group(p, node);
    if (c == '<' || (c == '!' && p->at + 1 < p->n && p->text[p->at + 1] == '<'))
        return fail(HONE_ERR_UNSUPPORTED, "grammar, line %u: references to tokens are not offered; "
                    "write the text that the token stands for", line(p));
    if (is_word(c)) return parse_rule_name(p, node);
    *found = false;
    return HONE_OK;
}

/* --- repetition --- */

static hone_status read_count(parser *p, uint32_t *count) {
    if (peek(p) < '0' || peek(p) > '9') return wrong(p, "a number was expected in {}");
    for (*count = 0; peek(p) >= '0' && peek(p) <= '9'; p->at++) {
        *count = *count * 10 + (uint32_t)(peek(p) - '0');
        if (*count > GRAMMAR_MAX_REPEATS) return wrong(p, "too many repetitions in {}");
    }
    return HONE_OK;
}

static hone_status read_braces(parser *p, uint32_t *min, uint32_t *max) {
    p->at++;
    skip_space(p, false);
    *min = 0;
    if (peek(p) != ',') TRY(read_count(p, min));
    *max = *min;
    skip_space(p, false);
    if (peek(p) == ',') {
        p->at++;
        skip_space(p, false);
        *max = REPEAT_FOREVER;
        if (peek(p) != '}') TRY(read_count(p, max));
        skip_space(p, false);
    }
    if (peek(p) != '}') return wrong(p, "a closing } was expected");
    p->at++;
    return *min > *max ? wrong(p, "{m,n} with m above n") : HONE_OK;
}

static hone_status parse_repeats(parser *p, uint32_t *node) {
    for (int n = 0;; n++) {
        skip_space(p, p->depth > 0);
        uint32_t min, max;
        char c = peek(p);
        if (c != '*' && c != '+' && c != '?' && c != '{') return HONE_OK;
        if (n == MAX_STACKED_REPEATS) return wrong(p, "too many repetitions of repetitions");
        if (c == '{') {
            TRY(read_braces(p, &min, &max));
        } else {
            min = c == '+';
            max = c == '?' ? 1 : REPEAT_FOREVER;
            p->at++;
        }
        TRY(add_node(p, node, (grammar_node){.kind = NODE_REPEAT, .first = *node, .min = min,
                                             .max = max}));
    }
}

/* --- rules --- */

/* At a line's end on the outermost level: whether the rule goes on below, because the next line
 * does not begin another one. */
static void cross_line_ends(parser *p) {
    if (p->depth > 0 || peek(p) != '\n') return;
    size_t before = p->at;
    skip_space(p, true);
    size_t here = p->at;
    p->at += word_length(p);
    skip_space(p, false);
    bool next_rule = p->at >= p->n || (p->at > here && starts_with(p, "::="));
    p->at = next_rule ? before : here;
}

static hone_status parse_sequence(parser *p, uint32_t *sequence) {
    TRY(add_node(p, sequence, (grammar_node){.kind = NODE_SEQUENCE}));
    for (;;) {
        skip_space(p, p->depth > 0);
        cross_line_ends(p);
        uint32_t element = 0;
        bool found;
        TRY(parse_element(p, &element, &found));
        if (!found) return HONE_OK;
        TRY(parse_repeats(p, &element));
        grammar_tree_append(p->tree, *sequence, element);
    }
}

static hone_status parse_choice(parser *p, uint32_t *choice) {
    TRY(add_node(p, choice, (grammar_node){.kind = NODE_CHOICE}));
    for (;;) {
        uint32_t sequence;
        TRY(parse_sequence(p, &sequence));
        grammar_tree_append(p->tree, *choice, sequence);
        if (peek(p) != '|') return HONE_OK;
        p->at++;
        skip_space(p, true);
    }
}

static hone_status parse_rule(parser *p) {
    size_t n = word_length(p);
    if (n == 0) return wrong(p, "the name of a rule was expected");
    uint32_t number, body;
    TRY(find_rule(p, p->text + p->at, n, &number));
    if (p->tree->rules[number].body) return wrong(p, "a rule is defined a second time");
    p->tree->rules[number].line = line(p);
    p->at += n;
    skip_space(p, false);
    if (!starts_with(p, "::=")) return wrong(p, "::= was expected behind the name of a rule");
    p->at += 3;
    skip_space(p, true);
    TRY(parse_choice(p, &body));
    p->tree->rules[number].body = body;
    skip_space(p, false);
    return p->at < p->n && peek(p) != '\n' ? wrong(p, "the rule cannot go on like this") : HONE_OK;
}

static hone_status parse_rules(parser *p) {
    grammar_tree *t = p->tree;
    for (skip_space(p, true); p->at < p->n; skip_space(p, true)) TRY(parse_rule(p));
    for (size_t i = 0; i < t->n_rules; i++)
        if (!t->rules[i].body)
            return fail(HONE_ERR_FORMAT, "grammar, line %u: the rule %.*s is not defined",
                        t->rules[i].line, (int)t->rules[i].name_bytes, t->rules[i].name);
    return HONE_OK;
}

hone_status grammar_parse(grammar_tree *t, const char *text, size_t n) {
    if (n > GRAMMAR_MAX_BYTES)
        return fail(HONE_ERR_FORMAT, "the grammar has %zu bytes, at most %d", n, GRAMMAR_MAX_BYTES);
    TRY(grammar_tree_init(t));
    parser p = {.tree = t, .text = text, .n = n};
    hone_status status = parse_rules(&p);
    if (status != HONE_OK) grammar_tree_release(t);
    return status;
}
