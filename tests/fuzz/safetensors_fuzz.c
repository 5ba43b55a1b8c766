/* What is accepted is walked completely, so that a wrong view shows under AddressSanitizer. */
#include <stdlib.h>
#include <string.h>

#include "format/safetensors.h"

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size);

static volatile uint8_t sink;

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size) {
    safetensors *st;
    if (safetensors_parse(&st, input, size, "input") != HONE_OK) return 0;
    for (size_t i = 0; i < safetensors_count(st); i++) {
        const safetensors_entry *e = safetensors_at(st, i);
        const uint8_t *bytes = e->view.data;
        for (size_t b = 0; b < e->bytes; b++) sink ^= bytes[b];
        if (safetensors_find(st, e->name) != e || strlen(e->dtype_name) == 0) abort();
    }
    safetensors_metadata(st, "format");
    safetensors_close(st);
    return 0;
}
