/* The lists of characters in DeepSeek's split patterns. They are fixed lists, no Unicode classes.
 *
 * The reader of tokenizer.json recognises the patterns by them; the scanners in text/ use them. */
#ifndef FORMAT_SPLIT_RANGES_H
#define FORMAT_SPLIT_RANGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct code_range {
    uint32_t first, last;
} code_range;

/* Ascending, apart and not adjacent. */
typedef struct code_ranges {
    const code_range *items;
    size_t n;
} code_ranges;

extern const code_ranges deepseek_letters;
/* Includes the ASCII letters, as published: a piece " café" becomes " caf" and "é". */
extern const code_ranges deepseek_punct;
extern const code_ranges deepseek_cjk;
extern const code_ranges newline_codes; /* carriage return, line feed */

bool code_ranges_have(const code_ranges *ranges, uint32_t code);

#endif
