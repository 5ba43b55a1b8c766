/* Deterministic automata over characters: sets of texts as JSON schemas speak of them (patterns,
 * names, formats, numbers), with intersection, union and difference.
 *
 * State 0 is the start; a character without an arc leads nowhere. Automata live in an arena, are
 * immutable, and have no arc from which nothing can be completed. Built for one thread. */
#ifndef TEXT_AUTOMATON_H
#define TEXT_AUTOMATON_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/status.h"

enum { AUTOMATON_MAX_STATES = 1 << 15, AUTOMATON_MAX_ARCS = 1 << 18 };
#define AUTOMATON_LAST_CHARACTER 0x10FFFFu

typedef struct automaton_arc {
    uint32_t low, high, to; /* code points, both included */
} automaton_arc;

typedef struct automaton_state {
    uint32_t first, n; /* arcs[first … first + n − 1], ascending, apart */
    bool accepts;
} automaton_state;

typedef struct automaton {
    const automaton_state *states;
    const automaton_arc *arcs;
    uint32_t n_states, n_arcs;
} automaton;

typedef struct automaton_word {
    const char *text; /* valid UTF-8 */
    size_t n;
} automaton_word;

typedef enum automaton_operation {
    AUTOMATON_AND, AUTOMATON_OR, AUTOMATON_MINUS
} automaton_operation;

/* HONE_ERR_UNSUPPORTED when the result would have more states or arcs than the limits, from here on
 * down; HONE_ERR_MEMORY. */
hone_status automaton_all(const automaton **out, mem_arena *arena);
hone_status automaton_words(const automaton **out, mem_arena *arena, const automaton_word *words,
                            size_t n_words);
/* All texts of min … max characters; max UINT32_MAX = without bound. */
hone_status automaton_lengths(const automaton **out, mem_arena *arena, uint32_t min, uint32_t max);
hone_status automaton_combine(const automaton **out, mem_arena *arena, const automaton *a,
                              const automaton *b, automaton_operation operation);
/* The smallest automaton of the same set, or `a` itself where that takes too many rounds. */
hone_status automaton_minimise(const automaton **out, mem_arena *arena, const automaton *a);

/* An ECMA-262 regular expression (text/pattern.c) that matches somewhere in the text, as `pattern`
 * asks. HONE_ERR_FORMAT: bad syntax. HONE_ERR_UNSUPPORTED: what is no regular language (references
 * back), look-around elsewhere than in front, word boundaries. */
hone_status automaton_pattern(const automaton **out, mem_arena *arena, const char *pattern,
                              size_t n);

bool automaton_is_empty(const automaton *a);
bool automaton_is_all(const automaton *a);
bool automaton_has(const automaton *a, const char *text, size_t n);

/* --- making others --- */

/* Arcs are given state by state, in the states' order; `to` may be a state to come. */
typedef struct automaton_builder {
    automaton_state *states;
    automaton_arc *arcs;
    uint32_t n_states, n_arcs;
    size_t state_capacity, arc_capacity;
} automaton_builder;

hone_status automaton_add_state(automaton_builder *b, bool accepts);
/* Joined with the last arc of the last state where it continues it. */
hone_status automaton_add_arc(automaton_builder *b, uint32_t low, uint32_t high, uint32_t to);
/* Moves what was built, without its dead ends, into the arena, unless `status` is a failure, which
 * is passed on; releases the builder in any case. */
hone_status automaton_finish(const automaton **out, mem_arena *arena, automaton_builder *b,
                             hone_status status);

/* A set of numbers of equal length → 0, 1, 2 … in the order of first sight; for constructions whose
 * states are pairs or sets. Keys are copied. */
typedef struct automaton_names {
    uint32_t *keys, *starts, *slots;
    size_t n, n_slots, n_keys, start_capacity, key_capacity;
} automaton_names;

hone_status automaton_name(automaton_names *m, const uint32_t *key, size_t n, uint32_t *number);
static inline const uint32_t *automaton_key(const automaton_names *m, uint32_t number, size_t *n) {
    *n = m->starts[number + 1] - m->starts[number];
    return *n ? m->keys + m->starts[number] : NULL;
}
void automaton_names_release(automaton_names *m);

#endif
