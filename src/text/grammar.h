/* Grammars for answers: GBNF text (docs/grammars.md) compiled to a program over bytes.
 *
 * A program is a pushdown automaton: instructions that take one byte out of a range, choose between
 * two ways, call a rule or return from it. text/grammar_machine.h runs it. A compiled grammar is
 * immutable and may be shared by threads. */
#ifndef TEXT_GRAMMAR_H
#define TEXT_GRAMMAR_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

enum {
    GRAMMAR_MAX_BYTES = 1 << 20,        /* of the text */
    GRAMMAR_MAX_RULES = 1 << 16,
    GRAMMAR_MAX_NODES = 1 << 21,        /* of the syntax tree */
    GRAMMAR_MAX_DEPTH = 128,            /* of parentheses */
    GRAMMAR_MAX_REPEATS = 100000,       /* in {m,n} */
    GRAMMAR_MAX_INSTRUCTIONS = 1 << 20, /* after repetitions are written out */
};

typedef enum grammar_op { GRAMMAR_BYTE, GRAMMAR_SPLIT, GRAMMAR_CALL, GRAMMAR_RETURN } grammar_op;

typedef struct grammar_instruction {
    uint8_t op;
    uint8_t low, high;    /* BYTE: takes low … high; low > high takes nothing */
    uint32_t next, other; /* SPLIT: both; CALL: the rule's entry is `other`, then `next` */
} grammar_instruction;

typedef struct grammar {
    grammar_instruction *code;
    size_t n_code;
    uint32_t root; /* entry of the rule "root" */
} grammar;

/* HONE_ERR_FORMAT gives the line and the reason: bad syntax, a rule that is missing or defined
 * twice, no "root", left recursion (by rule), no text that could match, or a grammar beyond the
 * limits above. HONE_ERR_
 * UNSUPPORTED for token references (<[10]>, <think>). */
hone_status grammar_compile(grammar **out, const char *text, size_t n);
void grammar_close(grammar *g);

#endif
