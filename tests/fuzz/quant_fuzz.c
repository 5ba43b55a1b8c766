/* Encoding any floats with any importance, decoding any bytes: no undefined behaviour, and what was
 * accepted decodes to finite values whose error is not above the values themselves. */
#include "tensor/quant.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { N = 256 };

static void check_decoded(dtype type, const float *x, const uint8_t *row) {
    float decoded[N], largest = 0.0f;
    quant_decode_row(type, decoded, row, N);
    for (int i = 0; i < N; i++) largest = fmaxf(largest, fabsf(x[i]));
    for (int i = 0; i < N; i++) {
        if (!isfinite(decoded[i])) abort();
        if (fabsf(decoded[i]) > 4.0f * largest + 1e-3f) abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    float values[2 * N] = {0}, decoded[N];
    uint8_t row[N * 4] = {0};
    if (size < 2) return 0;
    dtype type = (dtype)(data[0] % DTYPE_LIMIT);
    size_t n_bytes = size - 2 < sizeof values ? size - 2 : sizeof values;
    memcpy(values, data + 2, n_bytes);
    const float *importance = data[1] & 1 ? values + N : NULL;
    if (quant_encode_row(type, row, values, N, importance) == HONE_OK)
        check_decoded(type, values, row);
    if (!dtype_get(type)->is_weight) return 0;
    memcpy(row, data + 2, size - 2 < sizeof row ? size - 2 : sizeof row);
    quant_decode_row(type, decoded, row, N);
    return 0;
}
