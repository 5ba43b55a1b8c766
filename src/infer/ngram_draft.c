#include "infer/ngram_draft.h"

#include <string.h>

/* How many tokens before history[end] are those before history[n], at most NGRAM_LONGEST. */
static size_t common_tokens(const int32_t *history, size_t end, size_t n) {
    size_t m = 0;
    while (m < NGRAM_LONGEST && m < end && history[end - 1 - m] == history[n - 1 - m]) m++;
    return m;
}

enum { BLOCK = 16 };

/* The largest end ≤ limit with history[end − 1] = token, or 0. Whole blocks are passed at once. */
static size_t previous_end(const int32_t *history, size_t limit, int32_t token) {
    while (limit >= BLOCK) {
        const int32_t *block = history + limit - BLOCK;
        int found = 0;
        for (size_t j = 0; j < BLOCK; j++) found |= block[j] == token;
        if (found) break;
        limit -= BLOCK;
    }
    while (limit > 0 && history[limit - 1] != token) limit--;
    return limit;
}

size_t ngram_draft(const int32_t *history, size_t n, int32_t *draft, size_t k) {
    if (n < 2) return 0;
    size_t best_end = 0, best_common = 0;
    for (size_t end = n - 1; best_common < NGRAM_LONGEST; end--) {
        end = previous_end(history, end, history[n - 1]);
        if (end == 0) break;
        size_t common = common_tokens(history, end, n);
        if (common > best_common) {
            best_common = common;
            best_end = end;
        }
    }
    if (best_common == 0) return 0;
    size_t n_following = n - best_end;
    if (n_following > k) n_following = k;
    memcpy(draft, history + best_end, n_following * sizeof *draft);
    return n_following;
}
