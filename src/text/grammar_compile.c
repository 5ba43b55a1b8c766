/* A grammar's syntax tree to its program.
 *
 * A node is compiled from behind: given the instruction that follows it, it yields its own entry.
 * So nothing is ever patched but the loops. Characters become ranges of bytes (UTF-8). */
#include <string.h>

#include "base/mem.h"
#include "base/utf8.h"
#include "text/grammar_tree.h"

typedef struct compiler {
    const grammar_tree *tree;
    grammar *out;
    size_t capacity;
    uint32_t *entries; /* of the rules */
    uint32_t *begins;  /* rule r's instructions: begins[r] … begins[r + 1] − 1 */
} compiler;

static hone_status emit(compiler *c, uint32_t *entry, grammar_instruction instruction) {
    grammar *g = c->out;
    if (g->n_code == GRAMMAR_MAX_INSTRUCTIONS)
        return fail(HONE_ERR_FORMAT, "the grammar is too large: more than %d steps when its "
                    "repetitions are written out", GRAMMAR_MAX_INSTRUCTIONS);
    TRY(mem_grow(&g->code, &c->capacity, g->n_code + 1, sizeof *g->code, "grammar"));
    *entry = (uint32_t)g->n_code;
    g->code[g->n_code++] = instruction;
    return HONE_OK;
}

static hone_status emit_byte(compiler *c, uint32_t *entry, unsigned low, unsigned high,
                             uint32_t next) {
    return emit(c, entry,
                (grammar_instruction){GRAMMAR_BYTE, (uint8_t)low, (uint8_t)high, next, 0});
}

/* *entry = either what it was, or `other`. */
static hone_status emit_or(compiler *c, uint32_t *entry, uint32_t other) {
    return emit(c, entry, (grammar_instruction){GRAMMAR_SPLIT, 0, 0, *entry, other});
}

/* --- characters --- */

static hone_status emit_bytes(compiler *c, uint32_t *entry, const char *bytes, size_t n,
                              uint32_t next) {
    *entry = next;
    for (size_t i = n; i-- > 0;) {
        unsigned b = (unsigned char)bytes[i];
        TRY(emit_byte(c, entry, b, b, *entry));
    }
    return HONE_OK;
}

/* Alternatives for low … high, whose UTF-8 forms have the same length `n`: where the leading bytes
 * differ, the range is cut so that all trailing bytes of a part run over all their values. */
static hone_status emit_same_length(compiler *c, uint32_t *choice, bool *any, uint32_t low,
                                    uint32_t high, size_t n, uint32_t next) {
    for (size_t tail = n - 1; tail > 0; tail--) {
        uint32_t mask = ((uint32_t)1 << (6 * tail)) - 1;
        if ((low & ~mask) == (high & ~mask)) continue;
        if (low & mask) {
            TRY(emit_same_length(c, choice, any, low, low | mask, n, next));
            low = (low | mask) + 1;
            return emit_same_length(c, choice, any, low, high, n, next);
        }
        if ((high & mask) != mask) {
            TRY(emit_same_length(c, choice, any, low, (high & ~mask) - 1, n, next));
            return emit_same_length(c, choice, any, high & ~mask, high, n, next);
        }
    }
    char from[4], to[4];
    utf8_write(from, low);
    utf8_write(to, high);
    uint32_t entry = next;
    for (size_t i = n; i-- > 0;)
        TRY(emit_byte(c, &entry, (unsigned char)from[i], (unsigned char)to[i], entry));
    if (!*any) {
        *any = true;
        *choice = entry;
        return HONE_OK;
    }
    return emit_or(c, choice, entry);
}

static hone_status compile_class(compiler *c, uint32_t *entry, const grammar_node *node,
                                 uint32_t next) {
    /* Code points of one UTF-8 length, without the surrogates. */
    static const struct { uint32_t low, high; size_t bytes; } lengths[] = {
        {0, 0x7F, 1}, {0x80, 0x7FF, 2}, {0x800, 0xD7FF, 3}, {0xE000, 0xFFFF, 3},
        {0x10000, 0x10FFFF, 4}};
    bool any = false;
    for (uint32_t i = 0; i < node->count; i++) {
        code_range r = c->tree->ranges[node->first + i];
        for (size_t k = 0; k < sizeof lengths / sizeof *lengths; k++) {
            uint32_t low = r.low > lengths[k].low ? r.low : lengths[k].low;
            uint32_t high = r.high < lengths[k].high ? r.high : lengths[k].high;
            if (low <= high)
                TRY(emit_same_length(c, entry, &any, low, high, lengths[k].bytes, next));
        }
    }
    return any ? HONE_OK : emit_byte(c, entry, 1, 0, next);
}

/* --- nodes --- */

static hone_status compile_node(compiler *c, uint32_t *entry, uint32_t number, uint32_t next);

static hone_status compile_repeat(compiler *c, uint32_t *entry, const grammar_node *node,
                                  uint32_t next) {
    uint32_t child = node->first;
    *entry = next;
    if (node->max == REPEAT_FOREVER) {
        uint32_t loop, body;
        TRY(emit(c, &loop, (grammar_instruction){GRAMMAR_SPLIT, 0, 0, next, next}));
        TRY(compile_node(c, &body, child, loop));
        c->out->code[loop].next = body;
        *entry = loop;
    } else {
        for (uint32_t i = node->min; i < node->max; i++) {
            TRY(compile_node(c, entry, child, *entry));
            TRY(emit_or(c, entry, next));
        }
    }
    for (uint32_t i = 0; i < node->min; i++) TRY(compile_node(c, entry, child, *entry));
    return HONE_OK;
}

static hone_status compile_choice(compiler *c, uint32_t *entry, const grammar_node *node,
                                  uint32_t next) {
    TRY(compile_node(c, entry, node->first, next));
    for (uint32_t i = c->tree->nodes[node->first].before; i; i = c->tree->nodes[i].before) {
        uint32_t way;
        TRY(compile_node(c, &way, i, next));
        TRY(emit_or(c, entry, way));
    }
    return HONE_OK;
}

/* Depth is that of the text's parentheses, which the parser bounds. */
static hone_status compile_node(compiler *c, uint32_t *entry, uint32_t number, uint32_t next) {
    const grammar_tree *t = c->tree;
    const grammar_node *node = &t->nodes[number];
    switch (node->kind) {
    case NODE_BYTES: return emit_bytes(c, entry, t->bytes + node->first, node->count, next);
    case NODE_CLASS: return compile_class(c, entry, node, next);
    case NODE_RULE: /* `other` is the rule's number until all entries are known */
        return emit(c, entry, (grammar_instruction){GRAMMAR_CALL, 0, 0, next, node->first});
    case NODE_SEQUENCE:
        *entry = next;
        for (uint32_t i = node->first; i; i = t->nodes[i].before)
            TRY(compile_node(c, entry, i, *entry));
        return HONE_OK;
    case NODE_CHOICE: return compile_choice(c, entry, node, next);
    case NODE_REPEAT: return compile_repeat(c, entry, node, next);
    }
    return HONE_ERR_FORMAT;
}

/* --- left recursion --- */

/* Which instructions each rule can reach before it takes its first byte. The instructions of a rule
 * lie together, so that one mark for each tells; only the return is common to all. */
typedef struct survey {
    const compiler *c;
    bool *first;       /* [n_code]: reached */
    uint32_t *stack;   /* [n_code]: reached, ways onward not yet followed */
    size_t depth;
    uint32_t *waiting; /* [n_code]: the next call that waits for the same rule to be nullable */
    uint32_t *waiters; /* [n_rules]: the first of them; 0 = none (0 is the return) */
    bool *nullable;    /* [n_rules]: may take nothing */
} survey;

static uint32_t owner(const compiler *c, uint32_t instruction) {
    size_t low = 0, high = c->tree->n_rules;
    while (high - low > 1) {
        size_t middle = (low + high) / 2;
        if (c->begins[middle] <= instruction) low = middle;
        else high = middle;
    }
    return (uint32_t)low;
}

static void reach(survey *s, uint32_t rule, uint32_t instruction) {
    if (s->c->out->code[instruction].op == GRAMMAR_RETURN) {
        s->nullable[rule] = true;
        for (uint32_t call = s->waiters[rule]; call; call = s->waiting[call])
            s->stack[s->depth++] = call;
        s->waiters[rule] = 0;
    } else if (!s->first[instruction]) {
        s->first[instruction] = true;
        s->stack[s->depth++] = instruction;
    }
}

static void follow(survey *s, uint32_t instruction) {
    const grammar_instruction *i = &s->c->out->code[instruction];
    uint32_t rule = owner(s->c, instruction);
    if (i->op == GRAMMAR_SPLIT) {
        reach(s, rule, i->next);
        reach(s, rule, i->other);
    } else if (i->op == GRAMMAR_CALL && s->nullable[i->other]) {
        reach(s, rule, i->next);
    } else if (i->op == GRAMMAR_CALL) {
        s->waiting[instruction] = s->waiters[i->other];
        s->waiters[i->other] = instruction;
    }
}

/* Depth-first over "can begin with": level r stands at the instruction at[r] of its rule. */
static hone_status find_cycles(const survey *s, uint32_t *at, uint32_t *path, uint8_t *colour) {
    enum { NEW, ON_PATH, DONE };
    const compiler *c = s->c;
    memcpy(at, c->begins, c->tree->n_rules * sizeof *at);
    for (uint32_t start = 0; start < c->tree->n_rules; start++) {
        if (colour[start] != NEW) continue;
        size_t depth = 0;
        path[depth++] = start;
        colour[start] = ON_PATH;
        while (depth) {
            uint32_t rule = path[depth - 1], i = at[rule];
            if (i == c->begins[rule + 1]) {
                colour[rule] = DONE;
                depth--;
                continue;
            }
            at[rule]++;
            if (!s->first[i] || c->out->code[i].op != GRAMMAR_CALL) continue;
            uint32_t callee = c->out->code[i].other;
            const grammar_rule *r = &c->tree->rules[callee];
            if (colour[callee] == ON_PATH)
                return fail(HONE_ERR_FORMAT, "grammar, line %u: the rule %.*s is left-recursive "
                            "(it can begin with itself); write the repetition with * or +",
                            r->line, (int)r->name_bytes, r->name);
            if (colour[callee] == NEW) {
                colour[callee] = ON_PATH;
                path[depth++] = callee;
            }
        }
    }
    return HONE_OK;
}

static hone_status refuse_left_recursion(const compiler *c) {
    size_t n_rules = c->tree->n_rules, n_code = c->out->n_code;
    /* A call is stacked twice at most: when it is reached, and when its rule turns nullable. */
    uint32_t *numbers = mem_calloc(3 * n_code + 3 * n_rules, sizeof *numbers);
    uint8_t *flags = mem_calloc(n_code + 2 * n_rules, 1);
    hone_status status = HONE_OK;
    if (!numbers || !flags) {
        status = mem_fail("grammar", 3 * n_code * sizeof *numbers);
    } else {
        survey s = {.c = c, .first = (bool *)flags, .nullable = (bool *)flags + n_code,
                    .stack = numbers, .waiting = numbers + 2 * n_code,
                    .waiters = numbers + 3 * n_code};
        for (uint32_t r = 0; r < n_rules; r++) {
            reach(&s, r, c->entries[r]);
            while (s.depth) follow(&s, s.stack[--s.depth]);
        }
        uint32_t *at = numbers + 3 * n_code + n_rules;
        status = find_cycles(&s, at, at + n_rules, flags + n_code + n_rules);
    }
    mem_free(numbers);
    mem_free(flags);
    return status;
}

/* --- dead ends --- */

/* Instructions from which the return cannot be reached are never entered, so that an answer is
 * never led to where it could not go on. live[i] = a text can be completed from i. Instructions lie
 * mostly behind what follows them, hence a few rounds are enough. */
static void find_live(const grammar *g, bool *live) {
    for (bool changed = true; changed;) {
        changed = false;
        for (size_t n = 0; n < g->n_code; n++) {
            const grammar_instruction *i = &g->code[n];
            if (live[n]) continue;
            switch (i->op) {
            case GRAMMAR_RETURN: live[n] = true; break;
            case GRAMMAR_BYTE: live[n] = i->low <= i->high && live[i->next]; break;
            case GRAMMAR_SPLIT: live[n] = live[i->next] || live[i->other]; break;
            case GRAMMAR_CALL: live[n] = live[i->next] && live[i->other]; break;
            }
            changed |= live[n];
        }
    }
}

static hone_status leave_out_dead_ends(grammar *g) {
    bool *live = mem_calloc(g->n_code, sizeof *live);
    if (!live) return mem_fail("grammar", g->n_code);
    find_live(g, live);
    for (size_t n = 0; n < g->n_code; n++) {
        grammar_instruction *i = &g->code[n];
        if (!live[n]) *i = (grammar_instruction){GRAMMAR_BYTE, 1, 0, 0, 0};
        else if (i->op == GRAMMAR_SPLIT && !live[i->next]) i->next = i->other;
        else if (i->op == GRAMMAR_SPLIT && !live[i->other]) i->other = i->next;
    }
    bool any = live[g->root];
    mem_free(live);
    return any ? HONE_OK : fail(HONE_ERR_FORMAT, "nothing can match the grammar");
}

/* --- the whole --- */

static hone_status compile_rules(compiler *c) {
    const grammar_tree *t = c->tree;
    uint32_t root, end;
    if (!strmap_find(&t->rule_numbers, "root", 4, &root))
        return fail(HONE_ERR_FORMAT, "the grammar has no rule named root");
    TRY(emit(c, &end, (grammar_instruction){.op = GRAMMAR_RETURN}));
    for (size_t i = 0; i < t->n_rules; i++) {
        c->begins[i] = (uint32_t)c->out->n_code;
        TRY(compile_node(c, &c->entries[i], t->rules[i].body, end));
    }
    c->begins[t->n_rules] = (uint32_t)c->out->n_code;
    TRY(refuse_left_recursion(c));
    for (size_t i = 0; i < c->out->n_code; i++)
        if (c->out->code[i].op == GRAMMAR_CALL)
            c->out->code[i].other = c->entries[c->out->code[i].other];
    c->out->root = c->entries[root];
    return leave_out_dead_ends(c->out);
}

hone_status grammar_compile_tree(grammar **out, const grammar_tree *tree) {
    *out = NULL;
    compiler c = {.tree = tree, .out = mem_calloc(1, sizeof *c.out)};
    c.entries = mem_calloc(2 * tree->n_rules + 1, sizeof *c.entries);
    c.begins = c.entries + tree->n_rules;
    hone_status status = c.out && c.entries ? compile_rules(&c) : mem_fail("grammar", 0);
    mem_free(c.entries);
    if (status != HONE_OK) {
        grammar_close(c.out);
        return status;
    }
    *out = c.out;
    return HONE_OK;
}

hone_status grammar_compile(grammar **out, const char *text, size_t n) {
    *out = NULL;
    grammar_tree tree;
    TRY(grammar_parse(&tree, text, n));
    hone_status status = grammar_compile_tree(out, &tree);
    grammar_tree_release(&tree);
    return status;
}

void grammar_close(grammar *g) {
    if (!g) return;
    mem_free(g->code);
    mem_free(g);
}
