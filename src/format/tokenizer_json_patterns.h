/* The regular expressions that tokenizer.json files split text by, recognised by their text. */
#ifndef FORMAT_TOKENIZER_JSON_PATTERNS_H
#define FORMAT_TOKENIZER_JSON_PATTERNS_H

#include <stdbool.h>
#include <stddef.h>

#include "format/tokenizer_spec.h"

typedef enum split_pattern {
    STEP_PATTERN_NONE, STEP_PATTERN_GPT2, STEP_PATTERN_QWEN2, STEP_PATTERN_LLAMA3,
    STEP_PATTERN_QWEN35, STEP_PATTERN_NUMBER, STEP_PATTERN_NEWLINE, STEP_PATTERN_DEEPSEEK_LETTERS,
    STEP_PATTERN_DEEPSEEK_PUNCT, STEP_PATTERN_END_SPACE, STEP_PATTERN_CJK, STEP_PATTERN_LETTERS,
    STEP_PATTERN_PUNCT
} split_pattern;

enum { SPLIT_STEPS_MAX = 8 };

/* The patterns of a file in their order. */
typedef struct split_steps {
    split_pattern items[SPLIT_STEPS_MAX];
    size_t n;
} split_steps;

hone_status split_steps_add(split_steps *steps, split_pattern pattern);

/* False when hone has no scanner for this expression. \x{…} escapes and the characters themselves
 * are the same. */
bool split_pattern_find(const char *regex, split_pattern *found);

/* False when hone has no split for this sequence. No patterns at all are SPLIT_NONE. */
bool split_steps_rule(const split_steps *steps, tokenizer_split *rule);

/* The way back: the expressions of a rule, at most SPLIT_STEPS_MAX. False for rules that this file
 * only recognises. */
bool split_rule_regexes(tokenizer_split rule, const char *regexes[SPLIT_STEPS_MAX], size_t *n);

#endif
