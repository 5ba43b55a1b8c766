/* Paths, folders and small files: what the C library leaves to everyone.
 *
 * Failures name the path and the system's reason. A disk that is full (or a quota or file-size
 * limit reached) is HONE_ERR_MEMORY, since "the work does not fit"; all else is HONE_ERR_IO. */
#ifndef BASE_FS_H
#define BASE_FS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/status.h"

/* A path by value, so that building one needs no clean-up. */
typedef struct fs_path {
    char text[4096];
} fs_path;

/* HONE_ERR_ARGUMENT when the result is too long. The arguments must not lie within `path`. */
hone_status fs_path_format(fs_path *path, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* The folder and the missing ones above it. Fine where it exists. */
hone_status fs_make_folders(const char *path);

/* Appends the whole file to `out`, whose maximum bounds it. HONE_ERR_NOT_FOUND where it is
 * missing. */
hone_status fs_read_file(buf *out, const char *path);

/* The number that a file of the system begins with; `otherwise` where there is none ("max", or no
 * such file). */
uint64_t fs_read_number(const char *path, uint64_t otherwise);
/* The number in its line "key: 123 …" or "key 123"; `otherwise` where there is none. */
uint64_t fs_read_number_behind(const char *path, const char *key, uint64_t otherwise);

/* A small file at once, by way of new_file.h: whole and on disk, or as it was. */
hone_status fs_write_file(const char *path, const void *data, size_t n);

/* All `n` bytes to an open file; `path` is for the words. */
hone_status fs_write_all(int fd, const void *data, size_t n, const char *path);
/* The same at byte `offset`, wherever the file stands. */
hone_status fs_write_all_at(int fd, uint64_t offset, const void *data, size_t n, const char *path);

/* Makes renames in the folder of `path` survive a power cut. Best effort. */
void fs_sync_folder_of(const char *path);

/* Whether `bytes` more fit on the disk of `path`; HONE_ERR_MEMORY says how much is missing. Fine
 * where the system does not tell. */
hone_status fs_check_space(const char *path, uint64_t bytes);

/* Calls `each` for what a folder holds, in no order, without names that begin with a dot, until a
 * call fails. Fine where the folder is missing. `path` is the folder's with the name behind it. */
hone_status fs_each(const char *folder,
                    hone_status (*each)(void *context, const char *path, const char *name),
                    void *context);

/* File or folder with all that it holds, symbolic links not followed. Fine where it is missing. */
hone_status fs_remove_tree(const char *path);

/* --- locks between processes (flock): they end with their process, however it ends --- */
typedef struct fs_lock {
    int fd; /* -1: not held */
    fs_path path;
} fs_lock;

/* Waits until the lock is ours. While it is not, calls `wait` (may be NULL) ten times a second;
 * false from it gives HONE_ERR_CANCELLED. */
hone_status fs_lock_take(fs_lock *lock, const char *path, bool (*wait)(void *context),
                         void *context);
/* `remove` deletes the file as well; those who wait for it notice and make a new one. */
void fs_lock_release(fs_lock *lock, bool remove);

/* Whether somebody holds a lock on that file, shared or not. */
bool fs_is_locked(const char *path);

#endif
