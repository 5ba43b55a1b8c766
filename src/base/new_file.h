/* A file that appears under its name only when it is complete.
 *
 * The bytes go to a temporary file in the same folder (`<path>.<something>.part`); `commit` flushes
 * it to the disk and renames it, replacing what stood there. Whatever happens before leaves `path`
 * as it was. While it is written a lock is held on the temporary file: one without is what a killed
 * process left. Errors name the path and the system's reason. */
#ifndef BASE_NEW_FILE_H
#define BASE_NEW_FILE_H

#include <stddef.h>

#include "base/status.h"

typedef struct new_file {
    int fd;
    char *path, *temporary;
    char *waiting; /* n_waiting bytes that are not in the file yet; NULL before the first */
    size_t n_waiting;
} new_file;

hone_status new_file_open(new_file *f, const char *path);

/* Asks for the room of `bytes` bytes at once, so that a full disk shows before hours of work.
 * File systems that cannot say are believed to have it. */
hone_status new_file_reserve(new_file *f, size_t bytes);

/* What was written may wait in memory until `commit`, a few megabytes at most. */
hone_status new_file_write(new_file *f, const void *bytes, size_t n);

/* On failure the file is still open: discard it. */
hone_status new_file_commit(new_file *f);

/* Removes the temporary file, if there still is one, and releases `f`. Call it in any case. */
void new_file_discard(new_file *f);

#endif
