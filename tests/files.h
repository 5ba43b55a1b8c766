/* Files for tests: a temporary folder that lives as long as one test, whole files in and out. */
#ifndef TESTS_FILES_H
#define TESTS_FILES_H

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct test_folder {
    char path[200];
} test_folder;

static inline test_folder test_folder_make(void) {
    const char *base = getenv("TMPDIR");
    test_folder folder;
    snprintf(folder.path, sizeof folder.path, "%s/hone-test-XXXXXX", base ? base : P_tmpdir);
    if (!mkdtemp(folder.path)) {
        perror(folder.path);
        exit(1);
    }
    return folder;
}

/* "<folder>/<name>", in one of eight static buffers. */
static inline const char *test_path(const char *folder, const char *name) {
    static char paths[8][600];
    static int next;
    char *path = paths[next++ % 8];
    snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}

/* Number of entries; the last one's name goes to `last` if that is not NULL. */
static inline int test_folder_count(const test_folder *folder, char last[256]) {
    int n = 0;
    DIR *dir = opendir(folder->path);
    for (struct dirent *entry; dir && (entry = readdir(dir));) {
        if (entry->d_name[0] == '.') continue;
        if (last) snprintf(last, 256, "%s", entry->d_name);
        n++;
    }
    if (dir) closedir(dir);
    return n;
}

/* Removes the folder and the files in it. */
static inline void test_folder_remove(const test_folder *folder) {
    char last[256];
    while (test_folder_count(folder, last) > 0)
        if (unlink(test_path(folder->path, last)) != 0) break;
    rmdir(folder->path);
}

/* The whole file in a block of exactly its size, so that AddressSanitizer sees one byte too far.
 * Free it. NULL where it cannot be read. */
static inline unsigned char *test_read_file(const char *path, size_t *size) {
    FILE *file = fopen(path, "rb");
    if (!file) return NULL;
    fseek(file, 0, SEEK_END);
    *size = (size_t)ftell(file);
    rewind(file);
    unsigned char *bytes = malloc(*size ? *size : 1);
    if (bytes && fread(bytes, 1, *size, file) != *size) {
        free(bytes);
        bytes = NULL;
    }
    fclose(file);
    return bytes;
}

static inline int test_write_file(const char *path, const void *bytes, size_t size) {
    FILE *file = fopen(path, "wb");
    if (!file) return 0;
    size_t written = fwrite(bytes, 1, size, file);
    return fclose(file) == 0 && written == size;
}

#endif
