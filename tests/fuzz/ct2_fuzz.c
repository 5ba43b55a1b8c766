#include "format/ct2.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    tensor_table *t;
    if (ct2_parse(&t, data, size, "WhisperSpec", "fuzz") != HONE_OK) return 0;
    unsigned sum = 0; /* every byte that a view promises is there */
    for (size_t i = 0; i < tensor_table_count(t); i++) {
        const named_tensor *n = tensor_table_at(t, i);
        for (size_t k = 0; k < n->bytes; k++) sum += ((const uint8_t *)n->view.data)[k];
    }
    tensor_table_close(t);
    volatile unsigned keep = sum;
    (void)keep;
    return 0;
}
