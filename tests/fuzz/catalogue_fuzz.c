/* The user's own entries: any text is read or refused with its line; every entry that is read has a
 * proper name, files, and a source for each. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "weights/catalogue.h"
#include "weights/manifest.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    catalogue *c;
    const catalogue_entry *entry;
    if (catalogue_parse(&c, (const char *)data, size, "fuzz") != HONE_OK) {
        if (strncmp(hone_error_message(), "fuzz", 4) != 0) abort();
        return 0;
    }
    for (size_t i = 0; (entry = catalogue_at(c, i)) && entry != catalogue_built_in(0); i++) {
        model_name name;
        if (model_name_parse(&name, entry->name) != HONE_OK) abort();
        if (entry->n_files == 0 || entry->n_files > CATALOGUE_MAX_FILES) abort();
        for (size_t k = 0; k < entry->n_files; k++)
            if (!entry->files[k].sources[0] || !entry->files[k].sources[0][0]) abort();
        if (!catalogue_find(c, entry->name)) abort();
    }
    catalogue_close(c);
    return 0;
}
