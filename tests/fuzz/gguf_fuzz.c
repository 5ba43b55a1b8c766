/* The first byte says whether the data must be there; the rest is the file. What is accepted is
 * walked completely, so that a wrong view shows under AddressSanitizer. */
#include <stdlib.h>
#include <string.h>

#include "format/gguf.h"

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size);

static volatile uint8_t sink;

static void touch(const void *bytes, size_t n) {
    const uint8_t *at = bytes;
    for (size_t i = 0; i < n; i++) sink ^= at[i];
}

static void walk_key(const gguf *file, const gguf_kv *kv) {
    gguf_string text;
    size_t cursor = 0;
    uint64_t u;
    double f;
    touch(kv->key.data, kv->key.n);
    touch(kv->data, kv->bytes);
    while (gguf_next_string(kv, &cursor, &text)) touch(text.data, text.n);
    for (size_t i = 0; i < kv->count && kv->element != GGUF_STRING; i++) {
        gguf_element_u64(kv, i, &u);
        gguf_element_f64(kv, i, &f);
    }
    char *name = strndup(kv->key.data, kv->key.n);
    if (name && gguf_find(file, name) != kv) abort();
    free(name);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size) {
    gguf *file;
    if (size < 1) return 0;
    if (gguf_parse(&file, input + 1, size - 1, "input", input[0] & 1) != HONE_OK) return 0;
    for (size_t i = 0; i < gguf_n_kv(file); i++) walk_key(file, gguf_kv_at(file, i));
    for (size_t i = 0; i < gguf_n_tensors(file); i++) {
        const gguf_tensor *t = gguf_tensor_at(file, i);
        if ((input[0] & 1) && !t->view.data) abort();
        if (t->view.data) touch(t->view.data, t->bytes);
    }
    gguf_close(file);
    return 0;
}
