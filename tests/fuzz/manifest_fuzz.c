/* Manifests of the store: any bytes are read or refused; what is read can be trusted in paths. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "weights/manifest.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    manifest m;
    if (manifest_parse(&m, (const char *)data, size, "fuzz") != HONE_OK) return 0;
    model_name again;
    if (m.n_files == 0 || m.n_files > MANIFEST_MAX_FILES) abort();
    for (size_t i = 0; i < m.n_files; i++)
        if (!sha256_is_hex(m.files[i].sha256.text)) abort();
    if (model_name_parse(&again, m.name.text) != HONE_OK) abort();
    if (strcmp(again.text, m.name.text) != 0 || strstr(again.text, "..") == again.text) abort();
    manifest_release(&m);
    return 0;
}
