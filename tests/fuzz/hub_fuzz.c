/* The hub's answer about a repository: any bytes are read or refused; whatever a source then picks
 * from it are names that can be used in paths, with sources that can be fetched. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "weights/origin_hub.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_file(const wanted_file *file) {
    static origin source;
    if (!file->name[0] || file->name[0] == '.' || strchr(file->name, '/')) abort();
    if (file->sha256[0] && !sha256_is_hex(file->sha256)) abort();
    if (origin_parse(&source, file->source) != HONE_OK) abort();
    if (strcmp(source.file, file->name) != 0) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const char *const wishes[] = {"hf.co/a/b", "hf.co/a/b:Q4_K_M", "hf.co/a/b/x.gguf",
                                         "hf.co/a/b#x-00001-of-00003.gguf"};
    hub_repository r;
    if (hub_repository_parse(&r, (const char *)data, size, "fuzz") != HONE_OK) return 0;
    for (size_t i = 0; i < sizeof wishes / sizeof *wishes; i++) {
        static origin wish;
        wanted_list list = {0};
        if (origin_parse(&wish, wishes[i]) != HONE_OK) abort();
        if (hub_choose(&r, &wish, &list) == HONE_OK)
            for (size_t k = 0; k < list.n; k++) check_file(&list.files[k]);
        wanted_list_release(&list);
    }
    hub_repository_release(&r);
    return 0;
}
