/* Runs a grammar's program byte by byte: a pushdown automaton, made deterministic as it is used.
 *
 * A configuration is a place in the program and the stack of returns above it; a state is the set of
 * all that are possible after the bytes so far. Equal stacks and equal states are stored once, and
 * every transition is remembered: a state that was met before costs one look-up for each byte. Not
 * thread-safe. */
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

/* A place for one block of memory with each state, freed with the machine and counted in max_bytes;
 * NULL until it is set. */
void *grammar_machine_note(const grammar_machine *m, uint32_t state);
hone_status grammar_machine_set_note(grammar_machine *m, uint32_t state, size_t bytes, void **note);

#endif
