/* Importance data of either form from any bytes: no undefined behaviour, and what was accepted is
 * finite, not negative and found under its names. */
#include "weights/imatrix.h"

#include <math.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    imatrix m;
    if (imatrix_parse(&m, data, size, "input") != HONE_OK) return 0;
    for (size_t i = 0; i < m.n; i++) {
        const imatrix_entry *e = &m.entries[i];
        if (imatrix_find(&m, e->name) != e) abort();
        for (size_t j = 0; j < e->n_columns * e->n_matrices; j++)
            if (!isfinite(e->mean[j]) || e->mean[j] < 0.0f) abort();
    }
    imatrix_release(&m);
    return 0;
}
