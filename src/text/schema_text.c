/* Strings, member names and numbers: automata to rules. In a string each character is written as
 * itself, or by the one escape that JSON wants for it. */
#include <string.h>

#include "base/mem.h"
#include "base/utf8.h"
#include "text/schema_int.h"

/* Nesting of choices within one rule; deeper parts of an automaton get rules of their own. */
enum { MAX_INLINE = 24 };

/* --- characters of a string --- */

static const code_range hex_digits[] = {{'0', '9'}, {'A', 'F'}, {'a', 'f'}};

static hone_status append_hex(schema_compiler *c, uint32_t list, unsigned n) {
    while (n--) TRY(append_class(c, list, hex_digits, 3));
    return HONE_OK;
}

/* Behind the backslash: \uXXXX for what is no surrogate, or a pair of them. */
static hone_status append_unicode(schema_compiler *c, uint32_t choice) {
    static const code_range plain[] = {{'0', '9'}, {'A', 'C'}, {'E', 'F'}, {'a', 'c'}, {'e', 'f'}};
    static const code_range d[] = {{'D', 'D'}, {'d', 'd'}}, low[] = {{'0', '7'}};
    static const code_range first[] = {{'8', '9'}, {'A', 'B'}, {'a', 'b'}};
    static const code_range second[] = {{'C', 'F'}, {'c', 'f'}};
    uint32_t way;
    TRY(append_list(c, choice, NODE_SEQUENCE, &way));
    TRY(append_text(c, way, "u"));
    TRY(append_class(c, way, plain, 5));
    TRY(append_hex(c, way, 3));
    TRY(append_list(c, choice, NODE_SEQUENCE, &way));
    TRY(append_text(c, way, "u"));
    TRY(append_class(c, way, d, 2));
    TRY(append_class(c, way, low, 1));
    TRY(append_hex(c, way, 2));
    TRY(append_list(c, choice, NODE_SEQUENCE, &way));
    TRY(append_text(c, way, "u"));
    TRY(append_class(c, way, d, 2));
    TRY(append_class(c, way, first, 3));
    TRY(append_hex(c, way, 2));
    TRY(append_text(c, way, "\\u"));
    TRY(append_class(c, way, d, 2));
    TRY(append_class(c, way, second, 2));
    return append_hex(c, way, 2);
}

/* Any one character of a string, in any of its ways. */
static hone_status append_character(schema_compiler *c, uint32_t list) {
    static const code_range raw[] = {{' ', '!'}, {'#', '['}, {']', AUTOMATON_LAST_CHARACTER}};
    static const code_range letters[] = {{'"', '"'}, {'/', '/'}, {'\\', '\\'}, {'b', 'b'},
                                         {'f', 'f'}, {'n', 'n'}, {'r', 'r'},   {'t', 't'}};
    uint32_t choice, escape, kinds;
    TRY(append_list(c, list, NODE_CHOICE, &choice));
    TRY(append_class(c, choice, raw, 3));
    TRY(append_list(c, choice, NODE_SEQUENCE, &escape));
    TRY(append_text(c, escape, "\\"));
    TRY(append_list(c, escape, NODE_CHOICE, &kinds));
    TRY(append_class(c, kinds, letters, 8));
    return append_unicode(c, kinds);
}

/* Rules that are made when they are first needed. */
static hone_status character_rule(schema_compiler *c) {
    uint32_t body;
    if (c->character_rule) return HONE_OK;
    TRY(rule_new(c, "char", &c->character_rule));
    TRY(rule_list(c, &body, NODE_SEQUENCE));
    TRY(append_character(c, body));
    return rule_set(c, c->character_rule, body);
}

/* The characters are written out, not called: a state inside a string then depends on nothing
 * else. */
static hone_status characters_rule(schema_compiler *c) {
    uint32_t body, repeat;
    if (c->characters_rule) return HONE_OK;
    TRY(rule_new(c, "chars", &c->characters_rule));
    TRY(rule_list(c, &body, NODE_SEQUENCE));
    TRY(append_character(c, body));
    TRY(grammar_tree_add(&c->tree, &repeat, (grammar_node){.kind = NODE_REPEAT, .first = body,
                                                           .max = REPEAT_FOREVER}));
    return rule_set(c, c->characters_rule, repeat);
}

/* All characters that must be escaped, each in its one way. */
static hone_status append_escape(schema_compiler *c, uint32_t choice, uint32_t code) {
    static const char letters[] = "btnfr"; /* 8, 9, 10, 12, 13 */
    char text[8];
    if (code == '"' || code == '\\') snprintf(text, sizeof text, "\\%c", (int)code);
    else if (code >= 8 && code <= 13 && code != 11)
        snprintf(text, sizeof text, "\\%c", letters[code - 8 - (code > 11)]);
    else snprintf(text, sizeof text, "\\u%04x", code);
    return append_text(c, choice, text);
}

static bool is_escaped(uint32_t code) { return code < 0x20 || code == '"' || code == '\\'; }

static hone_status escape_rule(schema_compiler *c) {
    uint32_t body;
    if (c->escape_rule) return HONE_OK;
    TRY(rule_new(c, "escape", &c->escape_rule));
    TRY(rule_list(c, &body, NODE_CHOICE));
    for (uint32_t code = 0; code <= '\\'; code++)
        if (is_escaped(code)) TRY(append_escape(c, body, code));
    return rule_set(c, c->escape_rule, body);
}

hone_status append_quoted(schema_compiler *c, uint32_t list, const char *text, size_t n) {
    TRY(append_text(c, list, "\""));
    for (size_t at = 0; at < n;) {
        uint32_t code;
        size_t bytes = utf8_decode(text + at, n - at, &code);
        if (is_escaped(code)) TRY(append_escape(c, list, code));
        else TRY(append_bytes(c, list, text + at, bytes));
        at += bytes;
    }
    return append_text(c, list, "\"");
}

/* One character out of ranges, inside a string. */
static hone_status append_in_string(schema_compiler *c, uint32_t list, const code_range *ranges,
                                    size_t n) {
    static const struct { uint32_t low, high; } raw[] = {
        {' ', '!'}, {'#', '['}, {']', AUTOMATON_LAST_CHARACTER}};
    code_range *kept;
    uint32_t escaped[34], choice;
    size_t n_kept = 0, n_escaped = 0;
    TRY(schema_alloc(c, &kept, 3 * n, sizeof *kept));
    for (size_t i = 0; i < n; i++) {
        for (size_t k = 0; k < 3; k++) {
            uint32_t low = ranges[i].low > raw[k].low ? ranges[i].low : raw[k].low;
            uint32_t high = ranges[i].high < raw[k].high ? ranges[i].high : raw[k].high;
            if (low <= high) kept[n_kept++] = (code_range){low, high};
        }
        for (uint32_t code = ranges[i].low; code <= ranges[i].high && code <= '\\'; code++)
            if (is_escaped(code)) escaped[n_escaped++] = code;
    }
    if (n_escaped == 0) return append_class(c, list, kept, n_kept);
    TRY(append_list(c, list, NODE_CHOICE, &choice));
    if (n_kept) TRY(append_class(c, choice, kept, n_kept));
    if (n_escaped == 34) {
        TRY(escape_rule(c));
        return append_call(c, choice, c->escape_rule);
    }
    for (size_t i = 0; i < n_escaped; i++) TRY(append_escape(c, choice, escaped[i]));
    return HONE_OK;
}

/* --- automata --- */

typedef struct writing {
    schema_compiler *c;
    const automaton *a;
    bool in_string;
    uint32_t *rules;  /* [n_states] + 1; 0: none yet */
    uint32_t *queue;  /* [n_states] whose rules have no body yet */
    uint8_t *n_ways;  /* [n_states] arcs that lead there, up to 2 */
    size_t n_queue;
} writing;

static hone_status state_rule(writing *w, uint32_t s, uint32_t *rule) {
    if (!w->rules[s]) {
        TRY(rule_new(w->c, w->in_string ? "text" : "digits", rule));
        w->rules[s] = *rule + 1;
        w->queue[w->n_queue++] = s;
    }
    *rule = w->rules[s] - 1;
    return HONE_OK;
}

/* Whatever follows, it is in the set. */
static bool takes_all(const writing *w, uint32_t s) {
    const automaton_state *state = &w->a->states[s];
    return w->in_string && state->accepts && state->n == 1 && w->a->arcs[state->first].low == 0 &&
           w->a->arcs[state->first].high == AUTOMATON_LAST_CHARACTER &&
           w->a->arcs[state->first].to == s;
}

/* The characters of state s that lead to the target of its i-th arc. */
static hone_status append_arc(writing *w, uint32_t list, uint32_t s, uint32_t i) {
    const automaton_state *state = &w->a->states[s];
    const automaton_arc *arcs = w->a->arcs + state->first;
    code_range *ranges;
    size_t n = 0;
    TRY(schema_alloc(w->c, &ranges, state->n - i, sizeof *ranges));
    for (uint32_t k = i; k < state->n; k++)
        if (arcs[k].to == arcs[i].to) ranges[n++] = (code_range){arcs[k].low, arcs[k].high};
    if (n == 1 && ranges[0].low == ranges[0].high && !(w->in_string && is_escaped(ranges[0].low))) {
        char text[4];
        return append_bytes(w->c, list, text, utf8_write(text, ranges[0].low));
    }
    if (w->in_string) return append_in_string(w->c, list, ranges, n);
    return append_class(w->c, list, ranges, n);
}

/* Whether an arc before the i-th has the same target. */
static bool is_repeated(const writing *w, uint32_t s, uint32_t i) {
    const automaton_arc *arcs = w->a->arcs + w->a->states[s].first;
    for (uint32_t k = 0; k < i; k++)
        if (arcs[k].to == arcs[i].to) return true;
    return false;
}

static hone_status append_state(writing *w, uint32_t list, uint32_t s, int depth);

/* What follows when the automaton has come to s. */
static hone_status append_rest(writing *w, uint32_t list, uint32_t s, int depth) {
    const automaton_state *state = &w->a->states[s];
    uint32_t rule;
    if (state->n == 0) return HONE_OK; /* it accepts, or would not be there */
    if (takes_all(w, s)) {
        TRY(characters_rule(w->c));
        return append_call(w->c, list, w->c->characters_rule);
    }
    if (w->n_ways[s] == 1 && depth < MAX_INLINE) return append_state(w, list, s, depth + 1);
    TRY(state_rule(w, s, &rule));
    return append_call(w->c, list, rule);
}

static bool is_single(const writing *w, uint32_t s) {
    const automaton_state *state = &w->a->states[s];
    for (uint32_t i = 1; i < state->n; i++)
        if (!is_repeated(w, s, i)) return false;
    return state->n && !state->accepts;
}

static hone_status append_state(writing *w, uint32_t list, uint32_t s, int depth) {
    const automaton_arc *arcs = w->a->arcs;
    while (is_single(w, s)) {
        uint32_t to = arcs[w->a->states[s].first].to;
        TRY(append_arc(w, list, s, 0));
        if (w->n_ways[to] > 1 || !is_single(w, to)) return append_rest(w, list, to, depth);
        s = to;
    }
    const automaton_state *state = &w->a->states[s];
    uint32_t choice, way;
    TRY(append_list(w->c, list, NODE_CHOICE, &choice));
    if (state->accepts) TRY(append_list(w->c, choice, NODE_SEQUENCE, &way));
    for (uint32_t i = 0; i < state->n; i++) {
        if (is_repeated(w, s, i)) continue;
        TRY(append_list(w->c, choice, NODE_SEQUENCE, &way));
        TRY(append_arc(w, way, s, i));
        TRY(append_rest(w, way, arcs[state->first + i].to, depth));
    }
    return HONE_OK;
}

static hone_status write_states(writing *w, uint32_t *rule) {
    for (uint32_t s = 0; s < w->a->n_states; s++) {
        for (uint32_t i = 0; i < w->a->states[s].n; i++) {
            if (is_repeated(w, s, i)) continue;
            uint8_t *n = &w->n_ways[w->a->arcs[w->a->states[s].first + i].to];
            *n += *n < 2;
        }
    }
    TRY(state_rule(w, 0, rule));
    for (size_t i = 0; i < w->n_queue; i++) {
        uint32_t body;
        TRY(rule_list(w->c, &body, NODE_SEQUENCE));
        TRY(append_state(w, body, w->queue[i], 0));
        TRY(rule_set(w->c, w->rules[w->queue[i]] - 1, body));
    }
    return HONE_OK;
}

/* One rule for each automaton, however often it is met. */
static hone_status automaton_rule(schema_compiler *c, const automaton *a, bool in_string,
                                  uint32_t *rule) {
    uint64_t address = (uint64_t)(uintptr_t)a;
    uint32_t key[3] = {(uint32_t)address, (uint32_t)(address >> 32), in_string}, number;
    size_t known = c->written.n;
    TRY(automaton_name(&c->written, key, 3, &number));
    TRY(mem_grow(&c->written_rules, &c->written_capacity,
                 number + 1, sizeof *c->written_rules, "schema"));
    if (number < known) {
        *rule = c->written_rules[number];
        return HONE_OK;
    }
    uint32_t *numbers = mem_calloc(2 * (size_t)a->n_states, sizeof *numbers);
    uint8_t *n_ways = mem_calloc(a->n_states, 1);
    hone_status status = HONE_OK;
    if (!numbers || !n_ways) {
        status = mem_fail("schema", a->n_states);
    } else {
        writing w = {c, a, in_string, numbers, numbers + a->n_states, n_ways, 0};
        status = write_states(&w, rule);
    }
    mem_free(numbers);
    mem_free(n_ways);
    if (status == HONE_OK) c->written_rules[number] = *rule;
    return status;
}

hone_status append_automaton(schema_compiler *c, uint32_t list, const automaton *set,
                             bool in_string) {
    uint32_t rule;
    if (automaton_is_empty(set)) return append_class(c, list, NULL, 0);
    TRY(automaton_rule(c, set, in_string, &rule));
    if (in_string) TRY(append_text(c, list, "\""));
    TRY(append_call(c, list, rule));
    return in_string ? append_text(c, list, "\"") : HONE_OK;
}

/* --- strings --- */

hone_status append_any_string(schema_compiler *c, uint32_t list) {
    if (!c->string_rule) {
        uint32_t body, repeat, one;
        TRY(rule_new(c, "string", &c->string_rule));
        TRY(rule_list(c, &body, NODE_SEQUENCE));
        TRY(append_text(c, body, "\""));
        TRY(rule_list(c, &one, NODE_SEQUENCE));
        TRY(append_character(c, one));
        TRY(grammar_tree_add(&c->tree, &repeat, (grammar_node){.kind = NODE_REPEAT, .first = one,
                                                               .max = REPEAT_FOREVER}));
        grammar_tree_append(&c->tree, body, repeat);
        TRY(append_text(c, body, "\""));
        TRY(rule_set(c, c->string_rule, body));
    }
    return append_call(c, list, c->string_rule);
}

hone_status append_string(schema_compiler *c, uint32_t list, const branch *b) {
    const automaton *set;
    bool any_length = b->min_length == 0 && b->max_length == UINT64_MAX;
    if (!b->string && any_length) return append_any_string(c, list);
    if (!b->string) {
        TRY(character_rule(c));
        TRY(append_text(c, list, "\""));
        TRY(append_repeat(c, list, c->character_rule, b->min_length, b->max_length));
        return append_text(c, list, "\"");
    }
    set = b->string;
    if (!any_length) TRY(branch_is_string(c, b, &set));
    return append_automaton(c, list, set, true);
}

/* --- numbers --- */

/* child? behind what there is. */
static hone_status append_optional(schema_compiler *c, uint32_t list, uint32_t child) {
    uint32_t optional;
    TRY(grammar_tree_add(&c->tree, &optional, (grammar_node){.kind = NODE_REPEAT, .first = child,
                                                             .max = 1}));
    grammar_tree_append(&c->tree, list, optional);
    return HONE_OK;
}

/* [0-9]{min,max} */
static hone_status append_digits(schema_compiler *c, uint32_t list, uint32_t min, uint32_t max) {
    static const code_range digits[] = {{'0', '9'}};
    uint32_t digit, repeat;
    TRY(grammar_tree_add_class(&c->tree, &digit, digits, 1));
    TRY(grammar_tree_add(&c->tree, &repeat, (grammar_node){.kind = NODE_REPEAT, .first = digit,
                                                           .min = min, .max = max}));
    grammar_tree_append(&c->tree, list, repeat);
    return HONE_OK;
}

/* "0", or so many digits at most of which the first is another. */
static hone_status append_whole(schema_compiler *c, uint32_t list, uint32_t most) {
    static const code_range first[] = {{'1', '9'}};
    uint32_t choice, way;
    TRY(append_list(c, list, NODE_CHOICE, &choice));
    TRY(append_text(c, choice, "0"));
    TRY(append_list(c, choice, NODE_SEQUENCE, &way));
    TRY(append_class(c, way, first, 1));
    return append_digits(c, way, 0, most - 1);
}

/* Any integer, or any number: 16 digits, 16 behind the point, three of an exponent. */
static hone_status any_number_rule(schema_compiler *c, uint32_t *rule, bool integer) {
    static const code_range e[] = {{'E', 'E'}, {'e', 'e'}}, signs[] = {{'+', '+'}, {'-', '-'}};
    uint32_t body, minus, sign, fraction, exponent;
    TRY(rule_new(c, integer ? "integer" : "number", rule));
    TRY(rule_list(c, &body, NODE_SEQUENCE));
    TRY(rule_set(c, *rule, body));
    TRY(grammar_tree_add_bytes(&c->tree, &minus, "-", 1));
    TRY(append_optional(c, body, minus));
    TRY(append_whole(c, body, 16));
    if (integer) return HONE_OK;
    TRY(rule_list(c, &fraction, NODE_SEQUENCE));
    TRY(append_text(c, fraction, "."));
    TRY(append_digits(c, fraction, 1, 16));
    TRY(append_optional(c, body, fraction));
    TRY(rule_list(c, &exponent, NODE_SEQUENCE));
    TRY(append_class(c, exponent, e, 2));
    TRY(grammar_tree_add_class(&c->tree, &sign, signs, 2));
    TRY(append_optional(c, exponent, sign));
    TRY(append_whole(c, exponent, 3));
    return append_optional(c, body, exponent);
}

hone_status append_number(schema_compiler *c, uint32_t list, const branch *b) {
    const automaton *fractions, *syntax, *written;
    if (!b->number || b->number == c->integers) {
        uint32_t *rule = b->number ? &c->integer_rule : &c->number_rule;
        if (!*rule) TRY(any_number_rule(c, rule, b->number != NULL));
        return append_call(c, list, *rule);
    }
    TRY(schema_combine(c, &fractions, b->number, c->integers, AUTOMATON_MINUS));
    TRY(number_syntax(c, &syntax, b->number_digits > 16 ? b->number_digits : 16,
                      automaton_is_empty(fractions), b->number_is_literal));
    TRY(schema_combine(c, &written, b->number, syntax, AUTOMATON_AND));
    return append_automaton(c, list, written, false);
}
