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
    check_path(s.file);
    if (strchr(s.file, '/')) abort();
    if (s.kind == ORIGIN_HUB) check_path(s.hub.repository), check_path(s.hub.path);
    for (size_t i = 0; i < s.n_parts; i++) {
        check_path(s.parts[i].package);
        check_path(s.parts[i].member);
    }
    return 0;
}
