/* Counting votes, and knowing when more of them cannot or will hardly change the winner. */
#ifndef STRATEGY_VOTE_H
#define STRATEGY_VOTE_H

#include "hone/strategy.h"

/* The table of n votes: answers[i] (NULL = abstains) with weights[i] (NULL = 1 each). Sorted by
 * weight, then by number, then by who came first: a tie goes to the answer that was given first.
 * *votes is freed with votes_free. */
hone_status votes_count(hone_vote **votes, size_t *n_votes, const char *const *answers,
                        const double *weights, size_t n);
void votes_free(hone_vote *votes, size_t n_votes);

/* Exact: the leader has more votes ahead of the second than there are undecided ones. */
bool votes_decided(size_t leader, size_t second, size_t undecided);

/* Adaptive-Consistency (Aggarwal et al. 2023): the probability that the leader is ahead of the
 * second in the long run, from a uniform Beta prior over their two shares: 1 − I_½(leader + 1,
 * second + 1). 0.969 for 4–0, 0.965 for 6–1, 0.5 for a tie. */
double votes_lead_probability(size_t leader, size_t second);

#endif
