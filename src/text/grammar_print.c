/* A grammar's syntax tree as GBNF text (text/grammar_tree.h). */
#include <string.h>

#include "base/mem.h"
#include "base/utf8.h"
#include "text/grammar_tree.h"

/* What a rule's text needs around it: a choice in a sequence, anything longer under a
 * repetition. */
typedef enum place { IN_CHOICE, IN_SEQUENCE, REPEATED } place;

static hone_status print_code(buf *out, uint32_t code, const char *special) {
    char text[5] = {0};
    switch (code) {
    case '\n': return buf_add_text(out, "\\n");
    case '\r': return buf_add_text(out, "\\r");
    case '\t': return buf_add_text(out, "\\t");
    default: break;
    }
    if (code < 0x20 || code == 0x7F) return buf_add_format(out, "\\x%02X", code);
    if (code < 0x7F) {
        text[0] = (char)code;
        return buf_add_format(out, strchr(special, text[0]) ? "\\%s" : "%s", text);
    }
    return buf_add_format(out, code <= 0xFFFF ? "\\u%04X" : "\\U%08X", code);
}

static hone_status print_bytes(buf *out, const grammar_tree *t, const grammar_node *node) {
    TRY(buf_add_text(out, "\""));
    for (size_t at = 0; at < node->count;) {
        uint32_t code;
        at += utf8_decode(t->bytes + node->first + at, node->count - at, &code);
        TRY(print_code(out, code, "\"\\"));
    }
    return buf_add_text(out, "\"");
}

static hone_status print_class(buf *out, const grammar_tree *t, const grammar_node *node) {
    static const char special[] = "[]-^\\";
    TRY(buf_add_text(out, "["));
    for (uint32_t i = 0; i < node->count; i++) {
        code_range r = t->ranges[node->first + i];
        /* A class holds no surrogates, and no escape can name them. */
        if (r.low >= 0xD800 && r.low <= 0xDFFF) r.low = 0xE000;
        if (r.high >= 0xD800 && r.high <= 0xDFFF) r.high = 0xD7FF;
        if (r.low > r.high) continue;
        TRY(print_code(out, r.low, special));
        if (r.high == r.low) continue;
        TRY(buf_add_text(out, "-"));
        TRY(print_code(out, r.high, special));
    }
    return buf_add_text(out, "]");
}

static hone_status print_node(buf *out, const grammar_tree *t, uint32_t number, place where);

static hone_status print_repeat(buf *out, const grammar_tree *t, const grammar_node *node) {
    TRY(print_node(out, t, node->first, REPEATED));
    if (node->max == 1 && node->min == 0) return buf_add_text(out, "?");
    if (node->max == REPEAT_FOREVER && node->min <= 1)
        return buf_add_text(out, node->min ? "+" : "*");
    if (node->max == REPEAT_FOREVER) return buf_add_format(out, "{%u,}", node->min);
    if (node->max == node->min) return buf_add_format(out, "{%u}", node->min);
    return buf_add_format(out, "{%u,%u}", node->min, node->max);
}

/* Children are linked from the last to the first. */
static hone_status print_list(buf *out, const grammar_tree *t, const grammar_node *node,
                              place where) {
    bool choice = node->kind == NODE_CHOICE;
    size_t n = 0;
    for (uint32_t i = node->first; i; i = t->nodes[i].before) n++;
    if (n == 0) return buf_add_text(out, "\"\"");
    uint32_t *children = mem_calloc(n, sizeof *children);
    if (!children) return mem_fail("grammar", n * sizeof *children);
    for (uint32_t i = node->first, at = (uint32_t)n; i; i = t->nodes[i].before) children[--at] = i;
    bool group = n > 1 && (choice ? where != IN_CHOICE : where == REPEATED);
    hone_status status = buf_add_text(out, group ? "(" : "");
    if (n == 1) status = print_node(out, t, children[0], where);
    for (size_t i = 0; n > 1 && i < n && status == HONE_OK; i++) {
        if (i) status = buf_add_text(out, choice ? " | " : " ");
        if (status == HONE_OK)
            status = print_node(out, t, children[i], choice ? IN_CHOICE : IN_SEQUENCE);
    }
    if (status == HONE_OK && group) status = buf_add_text(out, ")");
    mem_free(children);
    return status;
}

/* Depth is that of the tree, which whoever built it bounds. */
static hone_status print_node(buf *out, const grammar_tree *t, uint32_t number, place where) {
    const grammar_node *node = &t->nodes[number];
    switch (node->kind) {
    case NODE_BYTES: return print_bytes(out, t, node);
    case NODE_CLASS: return print_class(out, t, node);
    case NODE_RULE: {
        const grammar_rule *r = &t->rules[node->first];
        return buf_add(out, r->name, r->name_bytes);
    }
    case NODE_REPEAT: return print_repeat(out, t, node);
    case NODE_SEQUENCE:
    case NODE_CHOICE: return print_list(out, t, node, where);
    }
    return HONE_ERR_FORMAT;
}

hone_status grammar_print(buf *out, const grammar_tree *t) {
    for (size_t i = 0; i < t->n_rules; i++) {
        TRY(buf_add(out, t->rules[i].name, t->rules[i].name_bytes));
        TRY(buf_add_text(out, " ::= "));
        TRY(print_node(out, t, t->rules[i].body, IN_CHOICE));
        TRY(buf_add_text(out, "\n"));
    }
    return HONE_OK;
}
