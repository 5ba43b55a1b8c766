/* ECMA-262 regular expressions to a syntax tree. */
#include <stdlib.h>
#include <string.h>

#include "base/hex.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "text/pattern.h"

#define LAST_CHARACTER 0x10FFFFu

typedef struct parser {
    pattern_tree *tree;
    const char *text;
    size_t n, at;
    int depth;
} parser;

static hone_status wrong(const parser *p, const char *what) {
    return fail(HONE_ERR_FORMAT, "the regular expression, byte %zu: %s", p->at, what);
}

static hone_status refuse(const parser *p, const char *what) {
    return fail(HONE_ERR_UNSUPPORTED, "the regular expression, byte %zu: %s is not supported",
                p->at, what);
}

static hone_status add_node(parser *p, uint32_t *number, pattern_node node) {
    pattern_tree *t = p->tree;
    TRY(mem_grow(&t->nodes, &t->node_capacity, t->n_nodes + 1, sizeof *t->nodes,
                 "regular expression"));
    *number = (uint32_t)t->n_nodes;
    t->nodes[t->n_nodes++] = node;
    return HONE_OK;
}

static hone_status add_range(parser *p, uint32_t low, uint32_t high) {
    pattern_tree *t = p->tree;
    TRY(mem_grow(&t->ranges, &t->range_capacity, t->n_ranges + 1, sizeof *t->ranges,
                 "regular expression"));
    t->ranges[t->n_ranges++] = (pattern_range){low, high};
    return HONE_OK;
}

static char peek(const parser *p) { return p->at < p->n ? p->text[p->at] : '\0'; }

static bool skip(parser *p, const char *word) {
    size_t n = strlen(word);
    if (p->n - p->at < n || memcmp(p->text + p->at, word, n) != 0) return false;
    p->at += n;
    return true;
}

/* --- classes --- */

static int compare_ranges(const void *a, const void *b) {
    const pattern_range *x = a, *y = b;
    return (x->low > y->low) - (x->low < y->low);
}

/* Sorts the ranges from `first` on, merges what touches, turns them inside out if `negated`. */
static hone_status settle(parser *p, size_t first, bool negated) {
    pattern_tree *t = p->tree;
    size_t n = t->n_ranges - first, kept = 0;
    pattern_range *r = t->ranges + first;
    if (n) qsort(r, n, sizeof *r, compare_ranges);
    for (size_t i = 0; i < n; i++) {
        if (kept && r[i].low <= r[kept - 1].high + 1) {
            if (r[i].high > r[kept - 1].high) r[kept - 1].high = r[i].high;
        } else {
            r[kept++] = r[i];
        }
    }
    t->n_ranges = first + kept;
    if (!negated) return HONE_OK;
    uint32_t low = 0;
    size_t gaps = 0;
    for (size_t i = 0; i < kept; i++) {
        pattern_range hole = t->ranges[first + i];
        if (hole.low > low) t->ranges[first + gaps++] = (pattern_range){low, hole.low - 1};
        low = hole.high + 1;
    }
    t->n_ranges = first + gaps;
    return low <= LAST_CHARACTER ? add_range(p, low, LAST_CHARACTER) : HONE_OK;
}

/* \d \w \s and their opposites; false: another letter. */
static hone_status add_named_class(parser *p, char name, bool *found) {
    static const pattern_range digits[] = {{'0', '9'}};
    static const pattern_range words[] = {{'0', '9'}, {'A', 'Z'}, {'_', '_'}, {'a', 'z'}};
    static const pattern_range spaces[] = {
        {9, 13}, {' ', ' '}, {0xA0, 0xA0}, {0x1680, 0x1680}, {0x2000, 0x200A}, {0x2028, 0x2029},
        {0x202F, 0x202F}, {0x205F, 0x205F}, {0x3000, 0x3000}, {0xFEFF, 0xFEFF}};
    static const struct { char lower, upper; const pattern_range *ranges; size_t n; } classes[] = {
        {'d', 'D', digits, 1}, {'w', 'W', words, 4}, {'s', 'S', spaces, 10}};
    *found = false;
    for (size_t i = 0; i < sizeof classes / sizeof *classes; i++) {
        if (name != classes[i].lower && name != classes[i].upper) continue;
        *found = true;
        uint32_t low = 0;
        for (size_t k = 0; k < classes[i].n; k++) {
            pattern_range r = classes[i].ranges[k];
            if (name == classes[i].lower) TRY(add_range(p, r.low, r.high));
            else if (r.low > low) TRY(add_range(p, low, r.low - 1));
            low = r.high + 1;
        }
        if (name == classes[i].upper) TRY(add_range(p, low, LAST_CHARACTER));
    }
    return HONE_OK;
}

static hone_status read_hex(parser *p, size_t digits, uint32_t *code) {
    size_t n = hex_read(p->text + p->at, p->n - p->at, digits, code);
    p->at += n;
    if (n < digits) return wrong(p, "a hexadecimal digit was expected");
    return HONE_OK;
}

/* Behind \u: four digits, two such escapes that make a pair, or {…}. */
static hone_status read_unicode(parser *p, uint32_t *code) {
    if (skip(p, "{")) {
        *code = 0;
        int value;
        while ((value = hex_value(peek(p))) >= 0 && *code <= LAST_CHARACTER) {
            *code = *code << 4 | (uint32_t)value;
            p->at++;
        }
        if (!skip(p, "}") || *code > LAST_CHARACTER) return wrong(p, "\\u{…} is not closed");
        return HONE_OK;
    }
    TRY(read_hex(p, 4, code));
    if (*code >= 0xD800 && *code <= 0xDBFF && skip(p, "\\u")) {
        uint32_t low;
        TRY(read_hex(p, 4, &low));
        if (low < 0xDC00 || low > 0xDFFF) return wrong(p, "half a pair of surrogates");
        *code = 0x10000 + ((*code - 0xD800) << 10) + (low - 0xDC00);
    }
    if (*code >= 0xD800 && *code <= 0xDFFF) return wrong(p, "half a pair of surrogates");
    return HONE_OK;
}

/* One character behind a backslash that stands for itself or for a control character. */
static hone_status read_escape(parser *p, uint32_t *code) {
    static const char letters[] = "tnrfv0", meant[] = "\t\n\r\f\v";
    if (p->at >= p->n) return wrong(p, "a backslash at the end");
    char c = peek(p);
    const char *known = strchr(letters, c);
    if ((c >= '1' && c <= '9') || c == 'k') return refuse(p, "a reference back");
    if (c == 'b' || c == 'B') return refuse(p, "a word boundary");
    if (c == 'p' || c == 'P') return refuse(p, "a Unicode property");
    if (c && known) {
        p->at++;
        *code = (unsigned char)meant[known - letters];
        return HONE_OK;
    }
    if (skip(p, "x")) return read_hex(p, 2, code);
    if (skip(p, "u")) return read_unicode(p, code);
    if (skip(p, "c")) {
        char letter = peek(p) | 0x20;
        if (letter < 'a' || letter > 'z') return wrong(p, "a letter was expected behind \\c");
        p->at++;
        *code = (uint32_t)(letter - 'a' + 1);
        return HONE_OK;
    }
    if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')) return wrong(p, "an unknown escape");
    p->at += utf8_decode(p->text + p->at, p->n - p->at, code);
    return *code == UTF8_INVALID ? wrong(p, "invalid UTF-8") : HONE_OK;
}

/* A member of a class: one character, or a named class (*single false), whose ranges are added. */
static hone_status read_member(parser *p, uint32_t *code, bool *single) {
    *single = true;
    if (!skip(p, "\\")) {
        p->at += utf8_decode(p->text + p->at, p->n - p->at, code);
        return *code == UTF8_INVALID ? wrong(p, "invalid UTF-8") : HONE_OK;
    }
    bool named;
    TRY(add_named_class(p, peek(p), &named));
    *single = !named;
    p->at += named;
    if (named) return HONE_OK;
    if (skip(p, "b")) {
        *code = '\b';
        return HONE_OK;
    }
    return read_escape(p, code);
}

static hone_status add_characters(parser *p, uint32_t *node, size_t first) {
    return add_node(p, node, (pattern_node){.kind = PATTERN_CHARACTERS, .first = (uint32_t)first,
                                            .count = (uint32_t)(p->tree->n_ranges - first)});
}

static hone_status parse_class(parser *p, uint32_t *node) {
    size_t first = p->tree->n_ranges;
    bool negated = skip(p, "^");
    while (!skip(p, "]")) {
        if (p->at >= p->n) return wrong(p, "a character class is not closed");
        uint32_t low, high;
        bool single;
        TRY(read_member(p, &low, &single));
        if (!single) continue;
        high = low;
        if (peek(p) == '-' && p->at + 1 < p->n && p->text[p->at + 1] != ']') {
            p->at++;
            TRY(read_member(p, &high, &single));
            if (!single) { /* [a-\d]: the hyphen is one */
                TRY(add_range(p, '-', '-'));
                high = low;
            }
            if (high < low) return wrong(p, "a range of characters runs backwards");
        }
        TRY(add_range(p, low, high));
    }
    TRY(settle(p, first, negated));
    return add_characters(p, node, first);
}

/* --- terms --- */

static hone_status parse_choice(parser *p, uint32_t *node);

/* Behind an opening parenthesis that is no look-around. */
static hone_status parse_group(parser *p, uint32_t *node) {
    if (p->depth == PATTERN_MAX_DEPTH) return wrong(p, "parentheses are nested too deeply");
    p->depth++;
    TRY(parse_choice(p, node));
    p->depth--;
    return skip(p, ")") ? HONE_OK : wrong(p, "a closing parenthesis was expected");
}

static hone_status parse_parenthesis(parser *p, uint32_t *node) {
    if (skip(p, "?:")) return parse_group(p, node);
    if (skip(p, "?<") || skip(p, "?P<")) {
        if (peek(p) == '=' || peek(p) == '!') return refuse(p, "looking back");
        while (p->at < p->n && peek(p) != '>') p->at++;
        p->at += p->at < p->n;
        return parse_group(p, node);
    }
    if (peek(p) == '?') return refuse(p, "looking ahead (other than directly behind a leading ^)");
    return parse_group(p, node);
}

static hone_status parse_backslash(parser *p, uint32_t *node) {
    size_t first = p->tree->n_ranges;
    bool named;
    TRY(add_named_class(p, peek(p), &named));
    p->at += named;
    if (!named) {
        uint32_t code;
        TRY(read_escape(p, &code));
        TRY(add_range(p, code, code));
    }
    return add_characters(p, node, first);
}

static hone_status parse_dot(parser *p, uint32_t *node) {
    size_t first = p->tree->n_ranges;
    static const uint32_t line_ends[] = {'\n', '\r', 0x2028, 0x2029};
    for (size_t i = 0; i < 4; i++) TRY(add_range(p, line_ends[i], line_ends[i]));
    TRY(settle(p, first, true));
    return add_characters(p, node, first);
}

/* *found false: nothing that a term could begin with. */
static hone_status parse_term(parser *p, uint32_t *node, bool *found) {
    *found = p->at < p->n && peek(p) != '|' && peek(p) != ')';
    if (!*found) return HONE_OK;
    size_t first = p->tree->n_ranges;
    if (skip(p, "^")) return add_node(p, node, (pattern_node){.kind = PATTERN_BEGIN});
    if (skip(p, "$")) return add_node(p, node, (pattern_node){.kind = PATTERN_END});
    if (skip(p, "(")) return parse_parenthesis(p, node);
    if (skip(p, "[")) return parse_class(p, node);
    if (skip(p, ".")) return parse_dot(p, node);
    if (skip(p, "\\")) return parse_backslash(p, node);
    if (strchr("*+?", peek(p)) && peek(p)) return wrong(p, "nothing to repeat");
    uint32_t code;
    p->at += utf8_decode(p->text + p->at, p->n - p->at, &code);
    if (code == UTF8_INVALID) return wrong(p, "invalid UTF-8");
    TRY(add_range(p, code, code));
    return add_characters(p, node, first);
}

static bool read_count(parser *p, uint32_t *count) {
    size_t start = p->at;
    for (*count = 0; peek(p) >= '0' && peek(p) <= '9'; p->at++)
        if (*count <= PATTERN_MAX_REPEATS) *count = *count * 10 + (uint32_t)(peek(p) - '0');
    return p->at > start;
}

/* {m}, {m,} or {m,n}; else the brace stands for itself. */
static bool read_braces(parser *p, uint32_t *min, uint32_t *max) {
    size_t start = p->at;
    bool good = skip(p, "{") && read_count(p, min);
    *max = *min;
    if (good && skip(p, ",")) {
        *max = PATTERN_FOREVER;
        if (peek(p) != '}') good = read_count(p, max);
    }
    good = good && skip(p, "}");
    if (!good) p->at = start;
    return good;
}

static hone_status parse_repeat(parser *p, uint32_t *node) {
    uint32_t min = 0, max = PATTERN_FOREVER;
    if (skip(p, "+")) min = 1;
    else if (skip(p, "?")) max = 1;
    else if (!skip(p, "*") && !read_braces(p, &min, &max)) return HONE_OK;
    skip(p, "?"); /* lazy: the same language */
    if (min > max) return wrong(p, "{m,n} with m above n");
    if (min > PATTERN_MAX_REPEATS || (max != PATTERN_FOREVER && max > PATTERN_MAX_REPEATS))
        return refuse(p, "so many repetitions");
    if (peek(p) == '*' || peek(p) == '+' || peek(p) == '?') return wrong(p, "nothing to repeat");
    return add_node(p, node, (pattern_node){.kind = PATTERN_REPEAT, .first = *node, .min = min,
                                            .max = max});
}

static void append(parser *p, uint32_t list, uint32_t child) {
    pattern_node *nodes = p->tree->nodes;
    nodes[child].before = nodes[list].first;
    nodes[list].first = child;
}

static hone_status parse_sequence(parser *p, uint32_t *sequence) {
    TRY(add_node(p, sequence, (pattern_node){.kind = PATTERN_SEQUENCE}));
    for (;;) {
        uint32_t term = 0;
        bool found;
        TRY(parse_term(p, &term, &found));
        if (!found) return HONE_OK;
        TRY(parse_repeat(p, &term));
        append(p, *sequence, term);
    }
}

static hone_status parse_choice(parser *p, uint32_t *choice) {
    TRY(add_node(p, choice, (pattern_node){.kind = PATTERN_CHOICE}));
    do {
        uint32_t sequence;
        TRY(parse_sequence(p, &sequence));
        append(p, *choice, sequence);
    } while (skip(p, "|"));
    return HONE_OK;
}

/* (?=a)(?!b) behind ^: the rest of the pattern goes on as if they were not there. */
static hone_status parse_looks(parser *p) {
    pattern_tree *t = p->tree;
    for (;;) {
        bool negative = false;
        if (!skip(p, "(?=")) {
            if (!skip(p, "(?!")) return HONE_OK;
            negative = true;
        }
        if (t->n_looks == PATTERN_MAX_LOOKS) return refuse(p, "looking ahead so often");
        uint32_t node;
        TRY(parse_group(p, &node));
        t->looks[t->n_looks++] = (pattern_look){node, negative};
    }
}

static hone_status parse_all(parser *p) {
    pattern_tree *t = p->tree;
    uint32_t none, begin;
    TRY(add_node(p, &none, (pattern_node){.kind = PATTERN_SEQUENCE}));
    bool anchored = p->n && p->text[0] == '^';
    if (anchored) {
        p->at++;
        TRY(parse_looks(p));
        if (t->n_looks == 0) p->at = 0;
    }
    TRY(parse_choice(p, &t->root));
    if (p->at < p->n) return wrong(p, "a closing parenthesis without an opening one");
    TRY(add_range(p, 0, LAST_CHARACTER));
    if (t->n_looks == 0) return HONE_OK;
    uint32_t first = t->nodes[t->root].first;
    if (t->nodes[first].before) return refuse(p, "looking ahead in one alternative of several");
    /* The ^ in front of them goes to the front of the only sequence. */
    TRY(add_node(p, &begin, (pattern_node){.kind = PATTERN_BEGIN}));
    uint32_t *end = &t->nodes[first].first;
    while (*end) end = &t->nodes[*end].before;
    *end = begin;
    return HONE_OK;
}

hone_status pattern_parse(pattern_tree *t, const char *text, size_t n) {
    *t = (pattern_tree){0};
    if (n > PATTERN_MAX_BYTES)
        return fail(HONE_ERR_UNSUPPORTED, "a regular expression of %zu bytes, at most %d", n,
                    PATTERN_MAX_BYTES);
    parser p = {.tree = t, .text = text, .n = n};
    hone_status status = parse_all(&p);
    if (status != HONE_OK) pattern_tree_release(t);
    return status;
}

void pattern_tree_release(pattern_tree *t) {
    mem_free(t->nodes);
    mem_free(t->ranges);
    *t = (pattern_tree){0};
}
