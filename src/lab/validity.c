/* The judgements; each bound stands beside the reason for it. */
#include "lab/validity.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const char *validity_code_name(validity_code code) {
    static const char *const names[] = {
        [VALIDITY_EARLY_END] = "early_end",
        [VALIDITY_CACHE_HIT] = "cache_hit",
        [VALIDITY_TRUNCATED] = "truncated",
        [VALIDITY_SWAPPING] = "swapping",
        [VALIDITY_DISTURBED] = "disturbed",
        [VALIDITY_THROTTLED] = "throttled",
        [VALIDITY_IMPOSSIBLE] = "impossible",
        [VALIDITY_EMPTY_ANSWER] = "empty_answer",
        [VALIDITY_CUT_ANSWER] = "cut_answer",
        [VALIDITY_FEW_REPETITIONS] = "few_repetitions",
        [VALIDITY_SPREAD] = "spread",
        [VALIDITY_UNFINISHED] = "unfinished",
        [VALIDITY_NOT_COMPARABLE] = "not_comparable",
        [VALIDITY_TOKEN_COUNT] = "token_count",
        [VALIDITY_ERRORS] = "errors",
    };
    return names[code];
}

void validity_doubt(validity *v, validity_code code, const char *format, ...) {
    validity_reason reason = {.code = code};
    va_list args;
    va_start(args, format);
    vsnprintf(reason.words, sizeof reason.words, format, args);
    va_end(args);
    for (size_t i = 0; i < v->n; i++) {
        if (!strcmp(v->reasons[i].words, reason.words)) return;
    }
    if (v->n < VALIDITY_MAX_REASONS) v->reasons[v->n++] = reason;
}

void validity_add(validity *to, const validity *from) {
    for (size_t i = 0; i < from->n; i++)
        validity_doubt(to, from->reasons[i].code, "%s", from->reasons[i].words);
}

bool validity_has(const validity *v, validity_code code) {
    for (size_t i = 0; i < v->n; i++) {
        if (v->reasons[i].code == code) return true;
    }
    return false;
}

/* --- the machine --- */

#define OTHERS_TOLERATED 0.1 /* of all cores: a desktop at rest stays below */
#define STOLEN_TOLERATED 0.02 /* of all cores' time */
enum { FAULTS_TOLERATED = 16 }; /* pages of the program itself that were not in yet */

void validity_judge_machine(validity *v, const machine_state *before, const machine_state *after,
                            int n_threads, int n_cores) {
    double wall_ms = after->clock_ms - before->clock_ms;
    if (wall_ms <= 0) return;
    double others = (after->others_cpu_ms - before->others_cpu_ms) / wall_ms;
    double stolen = (after->stolen_ms - before->stolen_ms) / wall_ms / n_cores;
    uint64_t faults = after->n_major_faults - before->n_major_faults;
    if (others > OTHERS_TOLERATED * n_cores) {
        validity_doubt(v, VALIDITY_DISTURBED, "other programs used %.1f of %d cores", others,
                       n_cores);
    }
    if (n_threads > n_cores) {
        validity_doubt(v, VALIDITY_DISTURBED, "%d threads share %d usable cores", n_threads,
                       n_cores);
    }
    if (stolen > STOLEN_TOLERATED) {
        validity_doubt(v, VALIDITY_THROTTLED,
                       "%.0f %% of the processor time was given to other virtual machines",
                       100 * stolen);
    }
    if (after->n_throttled > before->n_throttled) {
        validity_doubt(v, VALIDITY_THROTTLED,
                       "the container's processor quota stopped the run %llu times",
                       (unsigned long long)(after->n_throttled - before->n_throttled));
    }
    if (after->swapped_bytes) {
        validity_doubt(v, VALIDITY_SWAPPING, "a part of the program was swapped out");
    }
    if (after->n_major_faults > before->n_major_faults + FAULTS_TOLERATED) {
        validity_doubt(v, VALIDITY_SWAPPING,
                       "weights were read from disk during the run (%llu page faults)",
                       (unsigned long long)faults);
    }
}

#define CLOCK_TOLERATED 0.9

void validity_judge_limits(validity *v, double before, double after) {
    if (before <= 0 || after <= 0) return;
    double ratio = after < before ? after / before : before / after;
    if (ratio >= CLOCK_TOLERATED) return;
    validity_doubt(v, VALIDITY_THROTTLED,
                   "the processor computed %.0f %% %s after the run than before it: "
                   "another clock, or a busier machine", 100 * (1 - ratio),
                   after < before ? "slower" : "faster");
}

/* --- repeated measurements --- */

#define WIDTH_TOLERATED 0.1
#define SHARE_TOLERATED 1.05 /* limits are measured, too, and other programs slow them */

void validity_judge_repetitions(validity *v, size_t n) {
    if (n >= VALIDITY_LEAST_REPETITIONS) return;
    validity_doubt(v, VALIDITY_FEW_REPETITIONS,
                   "fewer than three repetitions say little about the spread");
}

void validity_judge_spread(validity *v, const char *what, double width) {
    if (width <= WIDTH_TOLERATED) return;
    validity_doubt(v, VALIDITY_SPREAD, "%s varies by %.0f %% between runs", what, 100 * width);
}

void validity_judge_share(validity *v, const char *what, double share, const char *limit) {
    if (share <= SHARE_TOLERATED) return;
    validity_doubt(v, VALIDITY_IMPOSSIBLE,
                   "%s took %.0f %% of the time that the %s allows: measured wrong", what,
                   100 / share, limit);
}

/* --- the work that was done --- */

void validity_judge_reuse(validity *v, size_t n_found, size_t n_expected) {
    if (n_found == n_expected) return;
    validity_doubt(v, VALIDITY_CACHE_HIT, "prefill found %zu tokens in the cache instead of %zu",
                   n_found, n_expected);
}

void validity_judge_length(validity *v, size_t n_tokens, size_t n_wanted) {
    if (n_tokens >= n_wanted) return;
    validity_doubt(v, VALIDITY_EARLY_END, "an answer ended after %zu of %zu tokens", n_tokens,
                   n_wanted);
}
