/* PyTorch's archives, and their pickles by themselves (behind a checksum few inputs would get). */
#include "format/pytorch.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    pickle *p;
    pytorch_file f;
    unsigned sum = 0; /* every byte that a view promises is there */
    if (pickle_parse(&p, data, size, "fuzz") == HONE_OK) {
        pickle_get(pickle_get(pickle_root(p), "dims"), "n_mels");
        pickle_close(p);
    }
    if (pytorch_parse(&f, data, size, "model_state_dict", "fuzz") != HONE_OK) return 0;
    for (size_t i = 0; i < tensor_table_count(f.tensors); i++) {
        const named_tensor *n = tensor_table_at(f.tensors, i);
        for (size_t k = 0; k < n->bytes; k++) sum += ((const uint8_t *)n->view.data)[k];
    }
    pytorch_release(&f);
    volatile unsigned keep = sum;
    (void)keep;
    return 0;
}
