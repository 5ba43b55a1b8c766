/* Manifests of Ollama's registry and store: any bytes are read or refused; what is read names files
 * by hashes only, and has a model first. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "weights/origin_ollama.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static ollama_manifest m;
    if (ollama_manifest_parse(&m, (const char *)data, size, "fuzz") != HONE_OK) return 0;
    if (m.n == 0 || m.n > sizeof m.layers / sizeof *m.layers) abort();
    if (strcmp(m.layers[0].role, "model") != 0) abort();
    for (size_t i = 0; i < m.n; i++)
        if (!m.layers[i].role[0] || !sha256_is_hex(m.layers[i].sha256)) abort();
    return 0;
}
