#include "base/file_map.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* What is read from the disk comes in large pages then, where the system's cache has them, and is
 * mapped by these. */
static void ask_for_large_pages(void *data, size_t size) {
#ifdef __linux__
    madvise(data, size, MADV_HUGEPAGE);
#else
    (void)data, (void)size;
#endif
}

void file_map_read_sparsely(const void *bytes, size_t n) {
#ifdef __linux__
    const size_t into = (uintptr_t)bytes % (size_t)sysconf(_SC_PAGESIZE);
    madvise((char *)bytes - into, n + into, MADV_NOHUGEPAGE);
#else
    (void)bytes, (void)n;
#endif
}

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
        else
            ask_for_large_pages(data, opened.size);
        opened.data = data;
    }
    bool keep = status == HONE_OK && opened.data && flock(fd, LOCK_SH | LOCK_NB) == 0;
    opened.lock = keep ? fd : -1;
    if (!keep) close(fd);
    if (status == HONE_OK) *map = opened;
    return status;
}

#ifdef __linux__
enum { TAKEN_AT_ONCE = 32 << 20 };
#define LARGE_PAGE ((size_t)2 << 20)

/* The copy lies as its place does within large pages, so that these can move as a whole. */
hone_status file_map_take_in(file_map *map) {
    if (!map->data || map->taken_in) return HONE_OK;
    const size_t page = (size_t)sysconf(_SC_PAGESIZE), room = map->size + LARGE_PAGE;
    uint8_t *from = mmap(NULL, room, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (from == MAP_FAILED)
        return fail(HONE_ERR_MEMORY, "out of memory: a copy of %zu bytes", map->size);
    size_t skipped = ((uintptr_t)map->data - (uintptr_t)from) % LARGE_PAGE;
    uint8_t *copy = from + skipped;
    madvise(copy, map->size, MADV_HUGEPAGE);
    for (size_t at = 0; at < map->size; at += TAKEN_AT_ONCE) {
        size_t left = map->size - at, n = left < TAKEN_AT_ONCE ? left : TAKEN_AT_ONCE;
        memcpy(copy + at, map->data + at, n);
        madvise((void *)(map->data + at), n, MADV_DONTNEED); /* not twice in memory */
    }
    mprotect(copy, map->size, PROT_READ);
    bool moved = mremap(copy, map->size, map->size, MREMAP_MAYMOVE | MREMAP_FIXED,
                        (void *)map->data) != MAP_FAILED;
    if (!moved) {
        munmap(from, room);
        return fail(HONE_ERR_MEMORY, "a copy of %zu bytes cannot be put in place", map->size);
    }
    /* What lay around the copy; in between somebody else may have mapped something by now. */
    size_t end = skipped + (map->size + page - 1) / page * page;
    if (skipped) munmap(from, skipped);
    if (end < room) munmap(from + end, room - end);
    map->taken_in = true;
    return HONE_OK;
}
#else
hone_status file_map_take_in(file_map *map) {
    (void)map;
    return fail(HONE_ERR_UNSUPPORTED, "weights are always mapped on this system");
}
#endif

void file_map_forget(const file_map *map) {
    if (map->data && !map->taken_in) madvise((void *)map->data, map->size, MADV_DONTNEED);
}

void file_map_release(file_map *map) {
    if (map->data) munmap((void *)map->data, map->size);
    if (map->data && map->lock >= 0) close(map->lock);
    *map = (file_map){0};
}
