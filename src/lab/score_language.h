/* Which language a text is in: by its script, and among languages that share one by their most
 * frequent words. Coarser than a trained detector, and enough for "the answer is in German". */
#ifndef LAB_SCORE_LANGUAGE_H
#define LAB_SCORE_LANGUAGE_H

/* The ISO 639-1 code, or NULL where the text (valid UTF-8) does not tell: no letters, or no word
 * that is known. The string is static. */
const char *score_language_of(const char *text);

#endif
