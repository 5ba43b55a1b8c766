/* Sets of texts (text/automaton.h). */
#include "text/automaton.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/utf8.h"

#define NOWHERE UINT32_MAX

static hone_status too_large(void) {
    return fail(HONE_ERR_UNSUPPORTED, "it would take an automaton of more than %d states",
                AUTOMATON_MAX_STATES);
}

/* --- building --- */

hone_status automaton_add_state(automaton_builder *b, bool accepts) {
    if (b->n_states == AUTOMATON_MAX_STATES) return too_large();
    TRY(mem_grow(&b->states, &b->state_capacity, b->n_states + 1, sizeof *b->states, "automaton"));
    b->states[b->n_states++] = (automaton_state){.first = b->n_arcs, .accepts = accepts};
    return HONE_OK;
}

hone_status automaton_add_arc(automaton_builder *b, uint32_t low, uint32_t high, uint32_t to) {
    automaton_state *s = &b->states[b->n_states - 1];
    automaton_arc *last = s->n ? &b->arcs[b->n_arcs - 1] : NULL;
    if (last && last->to == to && last->high + 1 == low) {
        last->high = high;
        return HONE_OK;
    }
    if (b->n_arcs == AUTOMATON_MAX_ARCS) return too_large();
    TRY(mem_grow(&b->arcs, &b->arc_capacity, b->n_arcs + 1, sizeof *b->arcs, "automaton"));
    b->arcs[b->n_arcs++] = (automaton_arc){low, high, to};
    s->n++;
    return HONE_OK;
}

/* keep[s] = whether a text can be completed from s, found backwards: states are mostly in the order
 * of a breadth-first walk, so that few rounds are enough. */
static void find_live(const automaton_builder *b, bool *keep) {
    for (bool changed = true; changed;) {
        changed = false;
        for (uint32_t s = b->n_states; s-- > 0;) {
            bool live = b->states[s].accepts;
            for (uint32_t i = 0; i < b->states[s].n && !live; i++)
                live = keep[b->arcs[b->states[s].first + i].to];
            changed |= live && !keep[s];
            keep[s] |= live;
        }
    }
}

static hone_status trim(automaton *out, mem_arena *arena, const automaton_builder *b,
                        const bool *keep, uint32_t *number) {
    uint32_t n_states = 0, n_arcs = 0;
    for (uint32_t s = 0; s < b->n_states; s++) {
        number[s] = n_states;
        n_states += keep[s] || s == 0;
    }
    automaton_state *states = arena_alloc(arena, n_states, sizeof *states);
    automaton_arc *arcs = arena_alloc(arena, b->n_arcs, sizeof *arcs);
    if (!states || !arcs) return HONE_ERR_MEMORY;
    for (uint32_t s = 0; s < b->n_states; s++) {
        if (!keep[s] && s != 0) continue;
        automaton_state *state = &states[number[s]];
        *state = (automaton_state){.first = n_arcs, .accepts = b->states[s].accepts};
        for (uint32_t i = 0; i < b->states[s].n; i++) {
            automaton_arc arc = b->arcs[b->states[s].first + i];
            if (!keep[arc.to]) continue;
            arc.to = number[arc.to];
            arcs[n_arcs++] = arc;
        }
        state->n = n_arcs - state->first;
    }
    *out = (automaton){states, arcs, n_states, n_arcs};
    return HONE_OK;
}

hone_status automaton_finish(const automaton **out, mem_arena *arena, automaton_builder *b,
                             hone_status status) {
    if (status == HONE_OK) {
        automaton *made = arena_alloc(arena, 1, sizeof *made);
        bool *keep = mem_calloc(b->n_states, sizeof *keep);
        uint32_t *number = mem_calloc(b->n_states, sizeof *number);
        if (!made || !keep || !number) {
            status = mem_fail("automaton", b->n_states);
        } else {
            find_live(b, keep);
            status = trim(made, arena, b, keep, number);
        }
        mem_free(keep);
        mem_free(number);
        if (status == HONE_OK) *out = made;
    }
    mem_free(b->states);
    mem_free(b->arcs);
    *b = (automaton_builder){0};
    return status;
}

/* --- names --- */

static uint64_t hash_key(const uint32_t *key, size_t n) {
    uint64_t h = n;
    for (size_t i = 0; i < n; i++) {
        h = (h ^ key[i]) * 0xD6E8FEB86659FD93u;
        h ^= h >> 32;
    }
    return h;
}

static hone_status rehash(automaton_names *m) {
    size_t n_slots = m->n_slots ? 2 * m->n_slots : 256;
    uint32_t *slots = mem_calloc(n_slots, sizeof *slots);
    if (!slots) return mem_fail("automaton", n_slots * sizeof *slots);
    for (uint32_t i = 0; i < m->n; i++) {
        size_t n;
        const uint32_t *key = automaton_key(m, i, &n);
        size_t at = hash_key(key, n) & (n_slots - 1);
        while (slots[at]) at = (at + 1) & (n_slots - 1);
        slots[at] = i + 1;
    }
    mem_free(m->slots);
    m->slots = slots;
    m->n_slots = n_slots;
    return HONE_OK;
}

hone_status automaton_name(automaton_names *m, const uint32_t *key, size_t n, uint32_t *number) {
    if (2 * m->n >= m->n_slots) TRY(rehash(m));
    size_t at = hash_key(key, n) & (m->n_slots - 1);
    for (; m->slots[at]; at = (at + 1) & (m->n_slots - 1)) {
        size_t n_there;
        const uint32_t *there = automaton_key(m, m->slots[at] - 1, &n_there);
        if (n_there != n || (n && memcmp(there, key, n * sizeof *key) != 0)) continue;
        *number = m->slots[at] - 1;
        return HONE_OK;
    }
    if (m->n_keys + n > ((size_t)1 << 24)) return too_large();
    TRY(mem_grow(&m->starts, &m->start_capacity, m->n + 2, sizeof *m->starts, "automaton"));
    TRY(mem_grow(&m->keys, &m->key_capacity, m->n_keys + n, sizeof *m->keys, "automaton"));
    if (n) memcpy(m->keys + m->n_keys, key, n * sizeof *key);
    m->starts[m->n] = (uint32_t)m->n_keys;
    m->n_keys += n;
    m->starts[m->n + 1] = (uint32_t)m->n_keys;
    *number = (uint32_t)m->n++;
    m->slots[at] = *number + 1;
    return HONE_OK;
}

void automaton_names_release(automaton_names *m) {
    mem_free(m->keys);
    mem_free(m->starts);
    mem_free(m->slots);
    *m = (automaton_names){0};
}

/* --- simple sets --- */

hone_status automaton_all(const automaton **out, mem_arena *arena) {
    return automaton_lengths(out, arena, 0, UINT32_MAX);
}

hone_status automaton_lengths(const automaton **out, mem_arena *arena, uint32_t min, uint32_t max) {
    automaton_builder b = {0};
    hone_status status = HONE_OK;
    uint32_t last = max == UINT32_MAX ? min : max;
    if (min > max) return automaton_words(out, arena, NULL, 0);
    for (uint32_t i = 0; i <= last && status == HONE_OK; i++) {
        uint32_t next = i < last ? i + 1 : max == UINT32_MAX ? i : NOWHERE;
        status = automaton_add_state(&b, i >= min);
        if (status == HONE_OK && next != NOWHERE)
            status = automaton_add_arc(&b, 0, AUTOMATON_LAST_CHARACTER, next);
    }
    return automaton_finish(out, arena, &b, status);
}

static int compare_words(const void *a, const void *b) {
    const automaton_word *x = a, *y = b;
    int order = memcmp(x->text, y->text, x->n < y->n ? x->n : y->n);
    return order ? order : (x->n > y->n) - (x->n < y->n);
}

/* One state of the words' tree: words[from … to − 1] share their first `depth` bytes. */
typedef struct word_group {
    uint32_t from, to;
    size_t depth;
} word_group;

/* The tree, breadth first: a group's arcs lead to groups behind all that there are so far. UTF-8
 * sorts as its characters do, so that arcs ascend. */
static hone_status build_words(automaton_builder *b, const automaton_word *words,
                               word_group *groups) {
    size_t n_groups = 1;
    for (size_t g = 0; g < n_groups; g++) {
        word_group group = groups[g];
        uint32_t i = group.from;
        bool accepts = i < group.to && words[i].n == group.depth;
        TRY(automaton_add_state(b, accepts));
        while (i < group.to && words[i].n == group.depth) i++;
        while (i < group.to) {
            uint32_t code, first = i;
            const char *at = words[i].text + group.depth;
            size_t n = utf8_decode(at, words[i].n - group.depth, &code);
            while (i < group.to && words[i].n >= group.depth + n &&
                   memcmp(words[i].text + group.depth, at, n) == 0)
                i++;
            if (n_groups == AUTOMATON_MAX_STATES) return too_large();
            TRY(automaton_add_arc(b, code, code, (uint32_t)n_groups));
            groups[n_groups++] = (word_group){first, i, group.depth + n};
        }
    }
    return HONE_OK;
}

hone_status automaton_words(const automaton **out, mem_arena *arena, const automaton_word *words,
                            size_t n_words) {
    automaton_builder b = {0};
    automaton_word *sorted = mem_calloc(n_words, sizeof *sorted);
    word_group *groups = mem_calloc(AUTOMATON_MAX_STATES, sizeof *groups);
    hone_status status = HONE_OK;
    if (!sorted || !groups || n_words >= UINT32_MAX) {
        status = mem_fail("automaton", n_words * sizeof *sorted);
    } else {
        if (n_words) memcpy(sorted, words, n_words * sizeof *sorted);
        qsort(sorted, n_words, sizeof *sorted, compare_words);
        groups[0] = (word_group){0, (uint32_t)n_words, 0};
        status = build_words(&b, sorted, groups);
    }
    mem_free(sorted);
    mem_free(groups);
    return automaton_finish(out, arena, &b, status);
}

/* --- combining --- */

static bool combined_accepts(automaton_operation operation, bool a, bool b) {
    switch (operation) {
    case AUTOMATON_AND: return a && b;
    case AUTOMATON_OR: return a || b;
    case AUTOMATON_MINUS: return a && !b;
    }
    return false;
}

static bool is_useful(automaton_operation operation, uint32_t a, uint32_t b) {
    if (operation == AUTOMATON_AND) return a != NOWHERE && b != NOWHERE;
    return a != NOWHERE || (operation == AUTOMATON_OR && b != NOWHERE);
}

/* The arcs of one pair: both lists are walked together, cut where either begins or ends. */
static hone_status combine_state(automaton_builder *out, automaton_names *names, const automaton *a,
                                 const automaton *b, const uint32_t pair[2],
                                 automaton_operation operation) {
    static const automaton_state none;
    const automaton_state *x = pair[0] == NOWHERE ? &none : &a->states[pair[0]];
    const automaton_state *y = pair[1] == NOWHERE ? &none : &b->states[pair[1]];
    TRY(automaton_add_state(out, combined_accepts(operation, x->accepts, y->accepts)));
    uint32_t i = 0, k = 0, low = 0;
    while (i < x->n || k < y->n) {
        const automaton_arc *p = i < x->n ? &a->arcs[x->first + i] : NULL;
        const automaton_arc *q = k < y->n ? &b->arcs[y->first + k] : NULL;
        uint32_t begin = UINT32_MAX, end = AUTOMATON_LAST_CHARACTER;
        if (p) begin = p->low > low ? p->low : low;
        if (q && (q->low > low ? q->low : low) < begin) begin = q->low > low ? q->low : low;
        bool in_p = p && p->low <= begin, in_q = q && q->low <= begin;
        if (p) end = in_p ? p->high : p->low - 1;
        if (q && (in_q ? q->high : q->low - 1) < end) end = in_q ? q->high : q->low - 1;
        uint32_t to[2] = {in_p ? p->to : NOWHERE, in_q ? q->to : NOWHERE}, number;
        if (is_useful(operation, to[0], to[1])) {
            TRY(automaton_name(names, to, 2, &number));
            TRY(automaton_add_arc(out, begin, end, number));
        }
        i += in_p && p->high == end;
        k += in_q && q->high == end;
        low = end + 1;
    }
    return HONE_OK;
}

hone_status automaton_combine(const automaton **out, mem_arena *arena, const automaton *a,
                              const automaton *b, automaton_operation operation) {
    automaton_builder builder = {0};
    automaton_names names = {0};
    uint32_t number, start[2] = {0, 0};
    hone_status status = automaton_name(&names, start, 2, &number);
    for (uint32_t s = 0; s < names.n && status == HONE_OK; s++) {
        size_t n;
        const uint32_t *key = automaton_key(&names, s, &n);
        uint32_t pair[2] = {key[0], key[1]}; /* the names move when they grow */
        status = combine_state(&builder, &names, a, b, pair, operation);
    }
    automaton_names_release(&names);
    return automaton_finish(out, arena, &builder, status);
}

/* --- the smallest one --- */

enum { MAX_ROUNDS = 64 };

/* The key of a state among the groups so far: its own group, then its arcs by group. */
static uint32_t state_key(uint32_t *key, const automaton *a, uint32_t s, const uint32_t *group) {
    uint32_t n = 0;
    key[n++] = group[s];
    for (uint32_t i = 0; i < a->states[s].n; i++) {
        const automaton_arc *arc = &a->arcs[a->states[s].first + i];
        if (i && key[n - 1] == group[arc->to] && key[n - 2] + 1 == arc->low) {
            key[n - 2] = arc->high;
        } else {
            key[n++] = arc->low;
            key[n++] = arc->high;
            key[n++] = group[arc->to];
        }
    }
    return n;
}

/* Moore's refinement: groups are split until no two states of one can be told apart. */
static hone_status refine(const automaton *a, uint32_t *group, uint32_t *next, uint32_t *key,
                          uint32_t *n_groups, bool *settled) {
    for (uint32_t s = 0; s < a->n_states; s++)
        group[s] = a->states[s].accepts != a->states[0].accepts;
    *n_groups = 0;
    *settled = false;
    for (int round = 0; round < MAX_ROUNDS && !*settled; round++) {
        automaton_names names = {0};
        hone_status status = HONE_OK;
        for (uint32_t s = 0; s < a->n_states && status == HONE_OK; s++)
            status = automaton_name(&names, key, state_key(key, a, s, group), &next[s]);
        *settled = *n_groups == names.n;
        *n_groups = (uint32_t)names.n;
        automaton_names_release(&names);
        if (status != HONE_OK) return status;
        memcpy(group, next, a->n_states * sizeof *group);
    }
    return HONE_OK;
}

static hone_status build_groups(automaton_builder *b, const automaton *a, const uint32_t *group,
                                uint32_t n_groups) {
    for (uint32_t g = 0, s = 0; g < n_groups; g++) {
        while (group[s] != g) s++; /* groups are numbered in the order of first sight */
        TRY(automaton_add_state(b, a->states[s].accepts));
        for (uint32_t i = 0; i < a->states[s].n; i++) {
            const automaton_arc *arc = &a->arcs[a->states[s].first + i];
            TRY(automaton_add_arc(b, arc->low, arc->high, group[arc->to]));
        }
    }
    return HONE_OK;
}

hone_status automaton_minimise(const automaton **out, mem_arena *arena, const automaton *a) {
    uint32_t n = a->n_states, n_groups, most = 0;
    for (uint32_t s = 0; s < n; s++)
        if (a->states[s].n > most) most = a->states[s].n;
    uint32_t *numbers = mem_calloc(2 * (size_t)n + 3 * (size_t)most + 1, sizeof *numbers);
    if (!numbers) return mem_fail("automaton", n * sizeof *numbers);
    automaton_builder b = {0};
    bool settled;
    hone_status status = refine(a, numbers, numbers + n, numbers + 2 * n, &n_groups, &settled);
    if (status == HONE_OK && settled && n_groups < n) {
        status = build_groups(&b, a, numbers, n_groups);
        status = automaton_finish(out, arena, &b, status);
    } else {
        *out = a;
    }
    mem_free(numbers);
    return status;
}

/* --- questions --- */

bool automaton_is_empty(const automaton *a) {
    return a->states[0].n == 0 && !a->states[0].accepts;
}

bool automaton_is_all(const automaton *a) {
    for (uint32_t s = 0; s < a->n_states; s++) {
        const automaton_state *state = &a->states[s];
        uint32_t low = 0;
        for (uint32_t i = 0; i < state->n && a->arcs[state->first + i].low == low; i++)
            low = a->arcs[state->first + i].high + 1;
        if (!state->accepts || low <= AUTOMATON_LAST_CHARACTER) return false;
    }
    return true;
}

bool automaton_has(const automaton *a, const char *text, size_t n) {
    uint32_t s = 0;
    for (size_t at = 0; at < n;) {
        uint32_t code, i = 0;
        at += utf8_decode(text + at, n - at, &code);
        const automaton_state *state = &a->states[s];
        const automaton_arc *arcs = a->arcs + state->first;
        while (i < state->n && arcs[i].high < code) i++;
        if (i == state->n || arcs[i].low > code) return false;
        s = arcs[i].to;
    }
    return a->states[s].accepts;
}
