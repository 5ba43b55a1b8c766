/* Instructions that can be checked (IFEval: Zhou et al. 2023, arXiv:2311.07911): whether an answer
 * has no comma, 300 words, a title, … The 25 kinds and their rules: docs/eval.md. */
#ifndef LAB_SCORE_IFEVAL_H
#define LAB_SCORE_IFEVAL_H

#include <stdbool.h>

#include "base/json.h"

/* Whether `answer` (valid UTF-8) follows the instruction ("punctuation:no_comma") with its
 * arguments, an object. An empty answer follows nothing. HONE_ERR_FORMAT for an unknown instruction
 * or an argument that is missing. */
hone_status score_ifeval_check(const char *answer, const char *instruction, const json_t *arguments,
                               bool *follows);

/* As it is, and leniently: without its first line, its last, both,
 * and each of these without "*". */
hone_status score_ifeval_check_loosely(const char *answer, const char *instruction,
                                       const json_t *arguments, bool *follows);

#endif
