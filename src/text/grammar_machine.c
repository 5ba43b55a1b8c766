/* The lazily determinised pushdown automaton (text/grammar_machine.h). */
#include "text/grammar_machine.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

/* Where a rule returns to, and the frame that its caller stands in. Frame 0 is the root's. */
typedef struct frame {
    uint32_t place, above;
} frame;

/* A place in the program in its high half, a frame in its low one. */
typedef uint64_t configuration;

typedef struct state {
    configuration *set; /* [n], ascending; all at instructions that take a byte */
    uint32_t n;
    bool accepts;
    uint32_t *next; /* [n_classes]; UNKNOWN until asked */
    void *notes[GRAMMAR_NOTES];
} state;

#define UNKNOWN UINT32_MAX
#define SEEN_SLOTS 32768

/* Open addressing over numbers into another array; 0 = free, else number + 1. */
typedef struct index_table {
    uint32_t *slots;
    size_t n_slots, n_used;
} index_table;

struct grammar_machine {
    const grammar *g;
    size_t bytes, max_bytes;
    uint8_t class_of[256]; /* bytes that no instruction tells apart share a class */
    size_t n_classes;
    frame *frames;
    size_t n_frames, frame_capacity;
    state *states;
    size_t n_states, state_capacity;
    index_table frame_index, state_index;
    uint32_t start;

    /* The closure under way. */
    configuration *work, *found;
    configuration *seen; /* [SEEN_SLOTS], hashed, each + 1; 0 = free */
    uint16_t *used;      /* [n_seen] slots of it */
    size_t n_work, n_found, n_seen;
    bool accepts;
};

/* --- memory --- */

static hone_status take(grammar_machine *m, size_t bytes) {
    if (bytes > m->max_bytes - m->bytes)
        return fail(HONE_ERR_MEMORY, "the grammar's states would need more than %zu MB",
                    m->max_bytes >> 20);
    m->bytes += bytes;
    return HONE_OK;
}

static hone_status allocate(grammar_machine *m, void *out, size_t count, size_t size) {
    TRY(take(m, count * size));
    void *memory = mem_calloc(count, size);
    if (!memory) return mem_fail("grammar states", count * size);
    *(void **)out = memory;
    return HONE_OK;
}

static hone_status make_room(grammar_machine *m, void *array, size_t n, size_t *capacity,
                             size_t size) {
    if (n < *capacity) return HONE_OK;
    size_t wanted = *capacity ? 2 * *capacity : 64;
    TRY(take(m, (wanted - *capacity) * size));
    void *larger = mem_realloc(*(void **)array, wanted, size);
    if (!larger) return mem_fail("grammar states", wanted * size);
    *(void **)array = larger;
    *capacity = wanted;
    return HONE_OK;
}

static uint64_t mix(uint64_t h) {
    h ^= h >> 32;
    h *= 0xD6E8FEB86659FD93u;
    h ^= h >> 32;
    return h;
}

/* Doubles the table when it is half full; hash(m, number) gives an old entry's. */
static hone_status table_make_room(grammar_machine *m, index_table *t,
                                   uint64_t (*hash)(const grammar_machine *m, uint32_t number)) {
    if (2 * t->n_used < t->n_slots) return HONE_OK;
    index_table larger = {.n_slots = t->n_slots ? 2 * t->n_slots : 128, .n_used = t->n_used};
    TRY(allocate(m, &larger.slots, larger.n_slots, sizeof *larger.slots));
    for (size_t i = 0; i < t->n_slots; i++) {
        if (!t->slots[i]) continue;
        size_t at = hash(m, t->slots[i] - 1) & (larger.n_slots - 1);
        while (larger.slots[at]) at = (at + 1) & (larger.n_slots - 1);
        larger.slots[at] = t->slots[i];
    }
    m->bytes -= t->n_slots * sizeof *t->slots;
    mem_free(t->slots);
    *t = larger;
    return HONE_OK;
}

/* --- frames --- */

static uint64_t hash_frame(const grammar_machine *m, uint32_t number) {
    return mix((uint64_t)m->frames[number].place << 32 | m->frames[number].above);
}

/* The frame that returns to `place` above `above`: a new one or the one that there is. */
static hone_status find_frame(grammar_machine *m, uint32_t place, uint32_t above, uint32_t *out) {
    TRY(table_make_room(m, &m->frame_index, hash_frame));
    TRY(make_room(m, &m->frames, m->n_frames, &m->frame_capacity, sizeof *m->frames));
    size_t mask = m->frame_index.n_slots - 1;
    size_t at = mix((uint64_t)place << 32 | above) & mask;
    for (uint32_t slot; (slot = m->frame_index.slots[at]) != 0; at = (at + 1) & mask) {
        const frame *f = &m->frames[slot - 1];
        if (f->place != place || f->above != above) continue;
        *out = slot - 1;
        return HONE_OK;
    }
    *out = (uint32_t)m->n_frames;
    m->frames[m->n_frames++] = (frame){place, above};
    m->frame_index.slots[at] = *out + 1;
    m->frame_index.n_used++;
    return HONE_OK;
}

/* --- closure --- */

/* Adds a configuration to the work, once. */
static hone_status reach(grammar_machine *m, uint32_t place, uint32_t frame_number) {
    configuration c = (uint64_t)place << 32 | frame_number;
    size_t at = mix(c + 1) % SEEN_SLOTS;
    for (; m->seen[at]; at = (at + 1) % SEEN_SLOTS)
        if (m->seen[at] == c + 1) return HONE_OK;
    if (2 * m->n_seen >= SEEN_SLOTS)
        return fail(HONE_ERR_FORMAT, "the grammar is too ambiguous: more than %zu ways to read the "
                    "text so far", m->n_seen);
    m->seen[at] = c + 1;
    m->used[m->n_seen++] = (uint16_t)at;
    m->work[m->n_work++] = c;
    return HONE_OK;
}

/* Follows what takes no byte. */
static hone_status close_over(grammar_machine *m) {
    const grammar_instruction *code = m->g->code;
    while (m->n_work) {
        configuration c = m->work[--m->n_work];
        uint32_t place = (uint32_t)(c >> 32), above = (uint32_t)c;
        const grammar_instruction *i = &code[place];
        switch (i->op) {
        case GRAMMAR_BYTE:
            if (m->n_found == GRAMMAR_MAX_CONFIGURATIONS)
                return fail(HONE_ERR_FORMAT, "the grammar is too ambiguous: more than %d ways to "
                            "read the text so far", GRAMMAR_MAX_CONFIGURATIONS);
            m->found[m->n_found++] = c;
            break;
        case GRAMMAR_SPLIT:
            TRY(reach(m, i->next, above));
            TRY(reach(m, i->other, above));
            break;
        case GRAMMAR_CALL:
            /* A call in the last place needs no frame: so lists by right recursion stay flat. */
            if (code[i->next].op != GRAMMAR_RETURN) TRY(find_frame(m, i->next, above, &above));
            TRY(reach(m, i->other, above));
            break;
        case GRAMMAR_RETURN:
            if (above) TRY(reach(m, m->frames[above].place, m->frames[above].above));
            else m->accepts = true;
            break;
        }
    }
    return HONE_OK;
}

static void begin_closure(grammar_machine *m) {
    while (m->n_seen) m->seen[m->used[--m->n_seen]] = 0;
    m->n_work = m->n_found = 0;
    m->accepts = false;
}

/* --- states --- */

static uint64_t hash_set(const configuration *set, size_t n, bool accepts) {
    uint64_t h = accepts;
    for (size_t i = 0; i < n; i++) h = mix(h ^ set[i]) + i;
    return mix(h);
}

static uint64_t hash_state(const grammar_machine *m, uint32_t number) {
    const state *s = &m->states[number];
    return hash_set(s->set, s->n, s->accepts);
}

static int compare_configurations(const void *a, const void *b) {
    const configuration *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

/* The state of what was found. */
static hone_status find_state(grammar_machine *m, uint32_t *out) {
    TRY(table_make_room(m, &m->state_index, hash_state));
    TRY(make_room(m, &m->states, m->n_states, &m->state_capacity, sizeof *m->states));
    qsort(m->found, m->n_found, sizeof *m->found, compare_configurations);
    size_t bytes = m->n_found * sizeof *m->found, mask = m->state_index.n_slots - 1;
    size_t at = hash_set(m->found, m->n_found, m->accepts) & mask;
    for (uint32_t slot; (slot = m->state_index.slots[at]) != 0; at = (at + 1) & mask) {
        const state *s = &m->states[slot - 1];
        if (s->n != m->n_found || s->accepts != m->accepts ||
            (bytes && memcmp(s->set, m->found, bytes) != 0))
            continue;
        *out = slot - 1;
        return HONE_OK;
    }
    /* The set and the transitions share a block; what takes nothing needs no transitions. */
    state s = {.n = (uint32_t)m->n_found, .accepts = m->accepts};
    if (s.n) {
        TRY(allocate(m, &s.set, bytes + m->n_classes * sizeof *s.next, 1));
        memcpy(s.set, m->found, bytes);
        s.next = (uint32_t *)(s.set + s.n);
        memset(s.next, 0xFF, m->n_classes * sizeof *s.next);
    }
    *out = (uint32_t)m->n_states;
    m->states[m->n_states++] = s;
    m->state_index.slots[at] = *out + 1;
    m->state_index.n_used++;
    return HONE_OK;
}

hone_status grammar_machine_step(grammar_machine *m, uint32_t from, uint8_t byte, uint32_t *next) {
    const state *s = &m->states[from];
    *next = GRAMMAR_DEAD;
    if (s->n == 0) return HONE_OK;
    *next = s->next[m->class_of[byte]];
    if (*next != UNKNOWN) return HONE_OK;
    begin_closure(m);
    for (uint32_t i = 0; i < s->n; i++) {
        const grammar_instruction *taker = &m->g->code[s->set[i] >> 32];
        if (byte < taker->low || byte > taker->high) continue;
        TRY(reach(m, taker->next, (uint32_t)s->set[i]));
        TRY(close_over(m));
    }
    TRY(find_state(m, next));
    m->states[from].next[m->class_of[byte]] = *next;
    return HONE_OK;
}

/* --- parts --- */

/* The state behind a frame's return. */
static hone_status find_outside(grammar_machine *m, uint32_t above, uint32_t *out) {
    *out = GRAMMAR_DEAD;
    if (!above) return HONE_OK;
    begin_closure(m);
    TRY(reach(m, m->frames[above].place, m->frames[above].above));
    TRY(close_over(m));
    return find_state(m, out);
}

/* The state of those configurations of `s` that stand above the frame, with nothing above them. */
static hone_status find_inside(grammar_machine *m, uint32_t s, uint32_t above, uint32_t *out) {
    begin_closure(m);
    for (uint32_t i = 0; i < m->states[s].n; i++) {
        configuration c = m->states[s].set[i];
        if ((uint32_t)c != above) continue;
        TRY(reach(m, (uint32_t)(c >> 32), 0));
        TRY(close_over(m));
    }
    return find_state(m, out);
}

hone_status grammar_machine_parts(grammar_machine *m, uint32_t s, grammar_part *parts,
                                  size_t *n_parts) {
    *n_parts = 0;
    uint32_t n = m->states[s].n;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t above = (uint32_t)m->states[s].set[i], k = 0;
        while (k < i && (uint32_t)m->states[s].set[k] != above) k++;
        if (k < i) continue; /* met before */
        grammar_part part;
        TRY(find_inside(m, s, above, &part.inside));
        TRY(find_outside(m, above, &part.outside));
        parts[(*n_parts)++] = part;
    }
    return HONE_OK;
}

/* --- the machine --- */

static void classify_bytes(grammar_machine *m) {
    bool begins[257] = {[0] = true};
    for (size_t i = 0; i < m->g->n_code; i++) {
        const grammar_instruction *code = &m->g->code[i];
        if (code->op != GRAMMAR_BYTE || code->low > code->high) continue;
        begins[code->low] = begins[code->high + 1] = true;
    }
    for (int b = 0; b < 256; b++) {
        m->n_classes += begins[b];
        m->class_of[b] = (uint8_t)(m->n_classes - 1);
    }
}

static hone_status prepare(grammar_machine *m) {
    TRY(take(m, sizeof *m));
    TRY(allocate(m, &m->seen, SEEN_SLOTS, sizeof *m->seen));
    TRY(allocate(m, &m->used, SEEN_SLOTS, sizeof *m->used));
    TRY(allocate(m, &m->work, SEEN_SLOTS, sizeof *m->work));
    TRY(allocate(m, &m->found, GRAMMAR_MAX_CONFIGURATIONS, sizeof *m->found));
    classify_bytes(m);
    uint32_t number;
    TRY(find_frame(m, 0, 0, &number)); /* frame 0 */
    begin_closure(m);
    TRY(find_state(m, &number)); /* GRAMMAR_DEAD */
    TRY(reach(m, m->g->root, 0));
    TRY(close_over(m));
    return find_state(m, &m->start);
}

hone_status grammar_machine_open(grammar_machine **out, const grammar *g, size_t max_bytes) {
    *out = NULL;
    grammar_machine *m = mem_calloc(1, sizeof *m);
    if (!m) return mem_fail("grammar states", sizeof *m);
    m->g = g;
    m->max_bytes = max_bytes;
    hone_status status = prepare(m);
    if (status != HONE_OK) {
        grammar_machine_close(m);
        return status;
    }
    *out = m;
    return HONE_OK;
}

void grammar_machine_close(grammar_machine *m) {
    if (!m) return;
    for (size_t i = 0; i < m->n_states; i++) {
        mem_free(m->states[i].set);
        for (int k = 0; k < GRAMMAR_NOTES; k++) mem_free(m->states[i].notes[k]);
    }
    mem_free(m->states);
    mem_free(m->frames);
    mem_free(m->frame_index.slots);
    mem_free(m->state_index.slots);
    mem_free(m->work);
    mem_free(m->found);
    mem_free(m->seen);
    mem_free(m->used);
    mem_free(m);
}

uint32_t grammar_machine_start(const grammar_machine *m) { return m->start; }

bool grammar_machine_accepts(const grammar_machine *m, uint32_t s) { return m->states[s].accepts; }

bool grammar_machine_goes_on(const grammar_machine *m, uint32_t s) { return m->states[s].n > 0; }

void *grammar_machine_note(const grammar_machine *m, uint32_t s, grammar_note kind) {
    return m->states[s].notes[kind];
}

hone_status grammar_machine_set_note(grammar_machine *m, uint32_t s, grammar_note kind,
                                     size_t bytes, void **note) {
    TRY(allocate(m, note, bytes, 1));
    m->states[s].notes[kind] = *note;
    return HONE_OK;
}
