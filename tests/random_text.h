/* A random text of a grammar, byte by byte along its machine. */
#ifndef TESTS_RANDOM_TEXT_H
#define TESTS_RANDOM_TEXT_H

#include <stdint.h>
#include <string.h>

#include "text/grammar_machine.h"

static inline uint32_t random_next(uint64_t *seed) {
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*seed >> 33);
}

/* Writes at most `size` bytes; −1 when the text has not ended by then. Ends and closing marks are
 * preferred, so that texts stay short; `plain`: printable ASCII alone, no blanks, no backslashes. */
static inline int random_text(grammar_machine *m, uint64_t *seed, bool plain, char *text,
                              int size) {
    uint32_t state = grammar_machine_start(m);
    for (int n = 0; n < size; n++) {
        uint8_t bytes[256];
        uint32_t next[256];
        int n_bytes = 0, closing = -1;
        for (int b = 0; b < 256; b++) {
            if (plain && (b <= ' ' || b >= 0x7F || b == '\\')) continue;
            if (grammar_machine_step(m, state, (uint8_t)b, &next[n_bytes]) != HONE_OK) return -1;
            if (next[n_bytes] == GRAMMAR_DEAD) continue;
            if (b && strchr("\"]}", b) && (closing < 0 || random_next(seed) % 2)) closing = n_bytes;
            bytes[n_bytes++] = (uint8_t)b;
        }
        if (grammar_machine_accepts(m, state) && (n_bytes == 0 || random_next(seed) % 4 == 0))
            return n;
        if (n_bytes == 0) return -1;
        int pick = (int)(random_next(seed) % (unsigned)n_bytes);
        /* the further, the more eagerly to the end */
        if (closing >= 0 && random_next(seed) % (n > size / 2 ? 16 : 4)) pick = closing;
        text[n] = (char)bytes[pick];
        state = next[pick];
    }
    return grammar_machine_accepts(m, state) ? size : -1;
}

#endif
