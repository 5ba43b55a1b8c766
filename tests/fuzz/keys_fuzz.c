/* Any bytes as a keys file of the server. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "serve/keys.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    key_entry *entries;
    size_t n;
    if (keys_parse((const char *)data, size, "keys", &entries, &n) != HONE_OK) return 0;
    for (size_t i = 0; i < n; i++)
        if (!sha256_is_hex(entries[i].hash.text) || !entries[i].owner.name[0] ||
            strlen(entries[i].owner.name) >= KEY_NAME_BYTES)
            abort();
    mem_free(entries);
    return 0;
}
