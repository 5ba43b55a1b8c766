/* Any bytes up to the first NUL as a grammar, what follows as a text that it reads. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "text/grammar_machine.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const uint8_t *end = memchr(data, 0, size);
    size_t n = end ? (size_t)(end - data) : size;
    grammar *g;
    if (grammar_compile(&g, (const char *)data, n) != HONE_OK) return 0;
    grammar_machine *m;
    if (grammar_machine_open(&m, g, 4 << 20) == HONE_OK) {
        uint32_t state = grammar_machine_start(m);
        for (size_t i = n; i < size && state != GRAMMAR_DEAD; i++)
            if (grammar_machine_step(m, state, data[i], &state) != HONE_OK) break;
        if (state == GRAMMAR_DEAD &&
            (grammar_machine_goes_on(m, state) || grammar_machine_accepts(m, state)))
            abort();
        grammar_machine_close(m);
    }
    grammar_close(g);
    return 0;
}
