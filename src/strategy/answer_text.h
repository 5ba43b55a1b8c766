/* Reading the part of an answer that counts, and telling whether two of them are the same.
 *
 * Canonical forms make equal answers equal strings: numbers lose separators, units, signs of
 * currency and trailing zeros ("$1,200.50" → "1200.5"), fractions are reduced ("2/4" → "1/2"),
 * choices become a capital letter, texts are folded to lower case with single spaces and without
 * closing punctuation. */
#ifndef STRATEGY_ANSWER_TEXT_H
#define STRATEGY_ANSWER_TEXT_H

#include "hone/strategy.h"

/* *answer (freed with mem_free) is NULL where the text holds none. In the form AUTO the first of
 * these that is there: the last \boxed{…}; what stands behind the last "answer is", "answer:" or
 * "####" up to the end of its sentence; the last choice letter in brackets or bold that stands
 * alone; the last number; all of it where it is short ("Paris."). Text inside <think>…</think> does
 * not count, nor does an unclosed one. */
hone_status answer_read(const char *text, hone_answer_form form, char **answer);

/* What stands behind the thoughts: a part of the text; its end where they were not closed. */
const char *answer_behind_thoughts(const char *text);

/* Whether anything stands in the text but blanks and thoughts. `thinks`: it holds thoughts, maybe
 * of a tag that the prompt has opened. */
bool answer_is_there(const char *text, bool thinks);

/* A program in a text. */
typedef struct code_block {
    const char *language; /* the word behind the fence, n_language bytes; often none */
    size_t n_language;
    const char *code;
    size_t n;
} code_block;

/* The last fenced block behind the thoughts; one that was never closed goes to the end. Fences
 * begin lines. False where there is none. */
bool answer_code_block(const char *text, code_block *block);

/* The canonical form of something that is an answer already. NULL = empty, or no UTF-8. */
hone_status answer_canonical(const char *text, size_t n, hone_answer_form form, char **answer);

#endif
