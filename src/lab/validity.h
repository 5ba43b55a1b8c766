/* Why a measurement must not be relied on.
 *
 * Pure functions over observations that were made elsewhere: they look at nothing themselves, so
 * that each can be tried with numbers. A measurement without reasons is valid; one with reasons is
 * shown as invalid, with them, and left out of every summary that does not ask for it. */
#ifndef LAB_VALIDITY_H
#define LAB_VALIDITY_H

#include <stdbool.h>
#include <stddef.h>

#include "lab/machine.h"

typedef enum validity_code {
    VALIDITY_EARLY_END,       /* an answer ended before the work was done */
    VALIDITY_CACHE_HIT,       /* a part of the prompt was in a cache: it was not computed */
    VALIDITY_TRUNCATED,       /* a part of the prompt was left out */
    VALIDITY_SWAPPING,        /* pages came from disk or went there while time was taken */
    VALIDITY_DISTURBED,       /* other programs, more threads than cores */
    VALIDITY_THROTTLED,       /* a lower clock, a quota, stolen processor time */
    VALIDITY_IMPOSSIBLE,      /* faster than memory or arithmetic allow */
    VALIDITY_EMPTY_ANSWER,
    VALIDITY_CUT_ANSWER,      /* the token limit cut it */
    VALIDITY_FEW_REPETITIONS,
    VALIDITY_SPREAD,          /* the runs differ too much from each other */
    VALIDITY_UNFINISHED,      /* the measurement did not come to its end */
    VALIDITY_NOT_COMPARABLE,  /* other machines, other items, other work */
    VALIDITY_TOKEN_COUNT,     /* the server's count of tokens cannot be right */
    VALIDITY_ERRORS,          /* requests failed */
    VALIDITY_N_CODES
} validity_code;

/* "early_end", …: stable, for scripts and the database. */
const char *validity_code_name(validity_code code);

enum { VALIDITY_MAX_REASONS = 24, VALIDITY_MAX_WORDS = 192 };

typedef struct validity_reason {
    validity_code code;
    char words[VALIDITY_MAX_WORDS]; /* a sentence without a full stop */
} validity_reason;

typedef struct validity {
    validity_reason reasons[VALIDITY_MAX_REASONS]; /* further ones are dropped */
    size_t n;
} validity;

/* What was said already is not said twice. */
void validity_doubt(validity *v, validity_code code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
bool validity_has(const validity *v, validity_code code);
void validity_add(validity *to, const validity *from);

/* --- the machine while it measured --- */

/* Looks before and after; compute threads of the measurement and cores that it may use. */
void validity_judge_machine(validity *v, const machine_state *before, const machine_state *after,
                            int n_threads, int n_cores);

/* The machine's limits before and after the work: rates of the same loops. A tenth less of the one
 * that computes (0 = unknown) means a lower clock or a busier machine. */
void validity_judge_limits(validity *v, double before, double after);

/* --- repeated measurements --- */

enum { VALIDITY_LEAST_REPETITIONS = 3 };
void validity_judge_repetitions(validity *v, size_t n);

/* `width`: of the median's interval over the median. `what` names the measurement. */
void validity_judge_spread(validity *v, const char *what, double width);

/* `share`: the least time that a limit allows over the time taken; `limit` names it ("memory"). */
void validity_judge_share(validity *v, const char *what, double share, const char *limit);

/* --- the work that was done --- */

/* Tokens of a prompt that were found in a cache, and how many may be there. */
void validity_judge_reuse(validity *v, size_t n_found, size_t n_expected);

/* Tokens of an answer, and how many were asked for. */
void validity_judge_length(validity *v, size_t n_tokens, size_t n_wanted);

#endif
