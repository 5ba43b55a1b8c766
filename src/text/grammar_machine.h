/* Runs a grammar's program byte by byte: a pushdown automaton, made deterministic as it is used.
 *
 * A configuration is a place in the program and the stack of returns above it; a state is the set
 * of all that are possible after the bytes so far. Equal stacks and equal states are stored once,
 * and every transition is remembered: a state that was met before costs one look-up for each byte.
 * Not thread-safe. */
#ifndef TEXT_GRAMMAR_MACHINE_H
#define TEXT_GRAMMAR_MACHINE_H

#include <stdbool.h>

#include "text/grammar.h"

typedef struct grammar_machine grammar_machine;

/* States are numbers; this one takes nothing any more. */
#define GRAMMAR_DEAD 0u

/* `g` must outlive the machine, which never takes more than max_bytes. */
hone_status grammar_machine_open(grammar_machine **out, const grammar *g, size_t max_bytes);
void grammar_machine_close(grammar_machine *m);

/* The state before the first byte. */
uint32_t grammar_machine_start(const grammar_machine *m);

/* HONE_ERR_MEMORY when max_bytes would be passed, HONE_ERR_FORMAT when the grammar is so ambiguous
 * that a state has more than GRAMMAR_MAX_CONFIGURATIONS. The machine stays usable. */
enum { GRAMMAR_MAX_CONFIGURATIONS = 4096 };
hone_status grammar_machine_step(grammar_machine *m, uint32_t state, uint8_t byte, uint32_t *next);

/* Whether the text may end here, and whether it may go on. */
bool grammar_machine_accepts(const grammar_machine *m, uint32_t state);
bool grammar_machine_goes_on(const grammar_machine *m, uint32_t state);

/* The ways to read the text so far that stand in the same call of a rule: `inside` is the state of
 * that rule by itself, which accepts where the rule returns; `outside` the state behind the return,
 * GRAMMAR_DEAD where nothing called. A state takes what any of its parts takes, inside, or outside
 * once the rule has returned. parts[GRAMMAR_MAX_CONFIGURATIONS]. */
typedef struct grammar_part {
    uint32_t inside, outside;
} grammar_part;
hone_status grammar_machine_parts(grammar_machine *m, uint32_t state, grammar_part *parts,
                                  size_t *n_parts);

/* Places for blocks of memory with each state, freed with the machine and counted in max_bytes;
 * NULL until they are set. */
typedef enum grammar_note { GRAMMAR_NOTE_MASK, GRAMMAR_NOTE_LOCAL, GRAMMAR_NOTES } grammar_note;
void *grammar_machine_note(const grammar_machine *m, uint32_t state, grammar_note kind);
hone_status grammar_machine_set_note(grammar_machine *m, uint32_t state, grammar_note kind,
                                     size_t bytes, void **note);

#endif
