/* Reading an answer: the number in it, the words of it, the letter that it chose. Texts are valid
 * UTF-8. The rules are in docs/eval.md. */
#ifndef LAB_SCORE_TEXT_H
#define LAB_SCORE_TEXT_H

#include <stdbool.h>

#include "base/buf.h"

/* The number that the answer gives: the last one behind the last "####" or "answer is", else the
 * last one of the text. Digits of any script, commas between digits, signs of money and per cent
 * are understood. *number is untouched and *found false where there is none. HONE_ERR_MEMORY. */
hone_status score_read_number(const char *answer, double *number, bool *found);

/* Whether they agree to 1e-6 of the right one. */
bool score_same_number(double number, double right);

/* The text that counts as the answer, as a part of it: what stands behind the last "answer is",
 * else the first line that is not blank. */
void score_find_prediction(const char *answer, const char **prediction, size_t *n);

/* Appends text[n] in the form in which texts are compared: NFKC, lower case, no quotes,
 * backslashes, commas and final full stop, blanks to one. HONE_ERR_MEMORY. */
hone_status score_plain_text(buf *out, const char *text, size_t n);

/* Whether an answer is the expected one after score_find_prediction and score_plain_text; for an
 * expected "(X)" also X, X) and (X at the beginning of it. The prediction is appended to `seen`. */
hone_status score_same_text(const char *answer, const char *expected, bool *same, buf *seen);

/* The choice among A, B, C … of n ≤ 26 that the answer names: a letter behind the last "answer is"
 * or "answer:", else the first letter that stands alone or in brackets; −1 = none. */
int score_read_letter(const char *answer, size_t n);

/* Appends text[n] as it is compared in word error rates: NFKC, lower case, no combining marks and
 * apostrophes, everything that is no letter or digit as a blank. HONE_ERR_MEMORY. */
hone_status score_plain_words(buf *out, const char *text, size_t n);

#endif
