/* Which tokens of a vocabulary may follow, for each state of a grammar's machine.
 *
 * A token's way from a state lies mostly inside the rule that the text stands in, whoever called
 * it: that part is found once for each place of the grammar and shared by all states there. What
 * remains are tokens that leave the rule (behind a string's quote, say); they are followed from
 * where the rule returns to. (The idea of XGrammar, Dong et al. 2024, arXiv:2411.15100.) Not
 * thread-safe. */
#ifndef TEXT_GRAMMAR_MASK_H
#define TEXT_GRAMMAR_MASK_H

#include "text/grammar_machine.h"
#include "text/token_trie.h"

typedef struct grammar_masks grammar_masks;

/* All three must outlive the masks. The trie's tokens are below n_tokens; stops[(n_tokens + 63) /
 * 64] are those that end an answer. */
hone_status grammar_masks_open(grammar_masks **out, grammar_machine *machine,
                               const token_trie *trie, const uint64_t *stops, size_t n_tokens);
void grammar_masks_close(grammar_masks *m);

/* *mask[(n_tokens + 63) / 64], which lives as long as the machine: bit t = token t may follow. Stop
 * tokens may where the state accepts. Errors are the machine's. */
hone_status grammar_masks_of(grammar_masks *m, uint32_t state, const uint64_t **mask);

#endif
