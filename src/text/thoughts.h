/* Thoughts: what models write between two tags before their answer (DeepSeek-R1, Qwen3: <think>;
 * Magistral: [THINK]). Some templates already open the tag in the prompt. */
#ifndef TEXT_THOUGHTS_H
#define TEXT_THOUGHTS_H

#include <stdbool.h>
#include <stddef.h>

typedef struct thought_tags {
    const char *open, *close;
} thought_tags;

enum { THOUGHT_TAG_BYTES = 16 }; /* the longest tag is shorter */

/* The tags whose opening one ends the text, but for white space behind it; NULL: none does. */
const thought_tags *thoughts_opened_by(const char *text, size_t n);

/* The tags with which the text begins, but for white space before it. NULL with *maybe: more text
 * decides. */
const thought_tags *thoughts_begin_in(const char *text, size_t n, bool *maybe);

/* What stands behind the last closing tag: a part of the text; NULL where there is none. */
const char *thoughts_end_in(const char *text, size_t n);

/* Whether an opening tag stands anywhere in the text. */
bool thoughts_stand_in(const char *text, size_t n);

/* Whether a closing tag ends the text. */
bool thoughts_closed_by(const char *text, size_t n);

/* The tags that the source of a chat template speaks of; NULL: none. */
const thought_tags *thoughts_of_template(const char *source);

#endif
