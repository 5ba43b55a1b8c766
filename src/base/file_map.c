#include "base/file_map.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

hone_status file_map_open(file_map *map, const char *path) {
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a FIFO must not block us */
    if (fd < 0)
        return fail(errno == ENOENT ? HONE_ERR_NOT_FOUND : HONE_ERR_IO, "%s: %s", path,
                    strerror(errno));
    struct stat st;
    hone_status status = HONE_OK;
    file_map opened = {0};
    if (fstat(fd, &st) != 0) {
        status = fail(HONE_ERR_IO, "%s: %s", path, strerror(errno));
    } else if (!S_ISREG(st.st_mode)) {
        status = fail(HONE_ERR_IO, "%s: not a regular file", path);
    } else if (st.st_size > 0) {
        opened.size = (size_t)st.st_size;
        void *data = mmap(NULL, opened.size, PROT_READ, MAP_SHARED, fd, 0);
        if (data == MAP_FAILED)
            status = fail(HONE_ERR_IO, "%s: cannot map %zu bytes: %s", path, opened.size,
                          strerror(errno));
        opened.data = data;
    }
    bool keep = status == HONE_OK && opened.data && flock(fd, LOCK_SH | LOCK_NB) == 0;
    opened.lock = keep ? fd : -1;
    if (!keep) close(fd);
    if (status == HONE_OK) *map = opened;
    return status;
}

void file_map_forget(const file_map *map) {
    if (map->data) madvise((void *)map->data, map->size, MADV_DONTNEED);
}

void file_map_release(file_map *map) {
    if (map->data) munmap((void *)map->data, map->size);
    if (map->data && map->lock >= 0) close(map->lock);
    *map = (file_map){0};
}
