/* Votes and stopping rules (strategy/vote.h). */
#include "strategy/vote.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "base/status.h"

void votes_free(hone_vote *votes, size_t n_votes) {
    for (size_t i = 0; i < n_votes; i++) mem_free(votes[i].answer);
    mem_free(votes);
}

static bool ahead(const hone_vote *a, const hone_vote *b) {
    return a->weight != b->weight ? a->weight > b->weight : a->n > b->n;
}

/* Insertion: few lines, and equal ones keep their order. */
static void sort_votes(hone_vote *votes, size_t n) {
    for (size_t i = 1; i < n; i++) {
        hone_vote v = votes[i];
        size_t at = i;
        for (; at > 0 && ahead(&v, &votes[at - 1]); at--) votes[at] = votes[at - 1];
        votes[at] = v;
    }
}

static hone_status add_vote(hone_vote *votes, size_t *n_votes, const char *answer, double weight) {
    size_t i = 0;
    while (i < *n_votes && strcmp(votes[i].answer, answer)) i++;
    if (i == *n_votes) {
        votes[i] = (hone_vote){.answer = mem_copy_string(answer, strlen(answer))};
        if (!votes[i].answer) return mem_fail("vote", strlen(answer));
        *n_votes += 1;
    }
    votes[i].n++;
    votes[i].weight += weight;
    return HONE_OK;
}

hone_status votes_count(hone_vote **out, size_t *n_out, const char *const *answers,
                        const double *weights, size_t n) {
    hone_vote *votes = mem_calloc(n, sizeof *votes);
    size_t n_votes = 0;
    if (!votes) return mem_fail("votes", n * sizeof *votes);
    for (size_t i = 0; i < n; i++) {
        if (!answers[i]) continue;
        hone_status status = add_vote(votes, &n_votes, answers[i], weights ? weights[i] : 1);
        if (status != HONE_OK) {
            votes_free(votes, n_votes);
            return status;
        }
    }
    sort_votes(votes, n_votes);
    *out = votes;
    *n_out = n_votes;
    return HONE_OK;
}

bool votes_decided(size_t leader, size_t second, size_t undecided) {
    return leader > second + undecided;
}

/* I_½(a + 1, b + 1) = P(at most b heads in a + b + 1 throws of a fair coin). */
double votes_lead_probability(size_t leader, size_t second) {
    size_t n = leader + second + 1;
    double term = ldexp(1, -(int)n), below = 0; /* term = C(n, i) / 2ⁿ */
    for (size_t i = 0; i <= second; i++) {
        below += term;
        term *= (double)(n - i) / (double)(i + 1);
    }
    return 1 - below;
}
