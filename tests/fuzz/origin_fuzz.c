/* Sources as people type them: any text is taken apart or refused, and nothing in the parts could
 * climb out of a folder or become an option of a helper program. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "weights/origin.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_path(const char *path) {
    if (!*path || *path == '/' || *path == '-' || strstr(path, "/../")) abort();
    if (strcmp(path, "..") == 0 || strncmp(path, "../", 3) == 0) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static origin s;
    char text[2000];
    if (size >= sizeof text) return 0;
    memcpy(text, data, size);
    text[size] = 0;
    if (origin_parse(&s, text) != HONE_OK) return 0;
    if (s.kind == ORIGIN_PATH) return 0; /* whatever is on this machine */
    if (s.file[0]) check_path(s.file);
    if (strchr(s.file, '/')) abort();
    if (s.kind == ORIGIN_HUB) {
        check_path(s.hub.repository);
        if (s.hub.path[0]) check_path(s.hub.path);
        if (strpbrk(s.hub.revision, "/?#") || strpbrk(s.hub.quant, "/?#")) abort();
    }
    if (s.kind == ORIGIN_OLLAMA) {
        check_path(s.registry.repository);
        if (strpbrk(s.registry.host, "/@?#") || strpbrk(s.registry.tag, "/@?#")) abort();
    }
    for (size_t i = 0; i < s.n_parts; i++) {
        check_path(s.parts[i].package);
        check_path(s.parts[i].member);
    }
    model_name name;
    if (origin_model_name(&s, &name) == HONE_OK) check_path(name.text);
    return 0;
}
