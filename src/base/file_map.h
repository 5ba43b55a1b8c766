/* A file mapped read-only. Parsers are pure functions over its bytes. */
#ifndef BASE_FILE_MAP_H
#define BASE_FILE_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

typedef struct file_map {
    const uint8_t *data; /* NULL when the file is empty */
    size_t size;
    int lock; /* an open file that holds a shared lock, only while data is not NULL; −1 = none */
    bool taken_in; /* file_map_take_in */
} file_map;

/* Maps the whole of a regular file; the pages are shared with every other process that maps it, and
 * large where the system's cache has it so: a byte that is touched may bring in the 2 MB around it.
 * While it is mapped a shared lock (flock) is held on it, where the file system has locks, so that
 * who would remove the file can tell (fs_is_locked).
 * HONE_ERR_NOT_FOUND or HONE_ERR_IO name the path and the system's reason. */
hone_status file_map_open(file_map *map, const char *path);
void file_map_release(file_map *map);

/* Puts a copy of the bytes in place of the mapped pages, at the same address: memory of this
 * process's own, in large pages where the system has them, which no other process shares and which
 * the system cannot drop. HONE_ERR_MEMORY, HONE_ERR_UNSUPPORTED beyond Linux; the map is as it was
 * then. */
hone_status file_map_take_in(file_map *map);

/* For bytes of an open map that are read here and there: maps no more around each than small pages
 * do (64 KiB on Linux). Not for a copy. */
void file_map_read_sparsely(const void *bytes, size_t n);

/* Lets go of the pages that were read so far, so that they no longer count as this process's
 * memory. What is read again comes back from the file. Does nothing to a copy. */
void file_map_forget(const file_map *map);

#endif
