/* Manifests of tasks and files of items: a manifest, a NUL, the items. Whatever is taken can be
 * asked for groups and names. */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lab/task.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The bytes as a file that has a path; NULL where there can be none. */
static const char *show(char path[32], int *fd, const void *data, size_t n) {
    *fd = memfd_create("task", MFD_CLOEXEC);
    if (*fd < 0 || write(*fd, data, n) != (ssize_t)n) return NULL;
    snprintf(path, 32, "/proc/self/fd/%d", *fd);
    return path;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const uint8_t *end = memchr(data, 0, size);
    size_t n = end ? (size_t)(end - data) : size;
    char manifest[32], items[32];
    int fds[2] = {-1, -1};
    task *t;
    if (show(manifest, &fds[0], data, n) &&
        show(items, &fds[1], data + n + !!end, size - n - !!end) &&
        task_open(&t, manifest, items) == HONE_OK) {
        for (size_t i = 0; i < t->n_items; i++) {
            task_item_group(t, i);
            task_item_id(t, i);
        }
        task_close(t);
    }
    for (int i = 0; i < 2; i++)
        if (fds[i] >= 0) close(fds[i]);
    return 0;
}
