#include "base/new_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/mem.h"

/* Linux keeps what is written at once, from such a place on, in one large page, and maps it so. */
enum { WRITTEN_AT_ONCE = 2 << 20 };

static hone_status system_failure(const new_file *f, const char *doing) {
    return fail(HONE_ERR_IO, "%s: %s: %s", f->path, doing, strerror(errno));
}

/* O_EXCL and a number of our own: mkstemp would leave mode 0600 and the umask unasked. */
static hone_status open_temporary(new_file *f) {
    static atomic_uint counter;
    size_t room = strlen(f->path) + 40;
    f->temporary = mem_alloc(room);
    if (!f->temporary) return mem_fail("file name", room);
    for (int attempt = 0; attempt < 100; attempt++) {
        snprintf(f->temporary, room, "%s.%ld-%u.part", f->path, (long)getpid(),
                 atomic_fetch_add(&counter, 1u));
        f->fd = open(f->temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (f->fd >= 0) {
            flock(f->fd, LOCK_EX | LOCK_NB); /* says that we live; best effort */
            return HONE_OK;
        }
        if (errno != EEXIST) break;
    }
    hone_status status = system_failure(f, "cannot create");
    mem_free(f->temporary);
    f->temporary = NULL; /* not ours to remove */
    return status;
}

hone_status new_file_open(new_file *f, const char *path) {
    *f = (new_file){.fd = -1, .path = mem_copy_string(path, strlen(path))};
    hone_status status = f->path ? open_temporary(f) : mem_fail("file name", strlen(path) + 1);
    if (status != HONE_OK) new_file_discard(f);
    return status;
}

hone_status new_file_reserve(new_file *f, size_t bytes) {
    if (bytes == 0 || fallocate(f->fd, FALLOC_FL_KEEP_SIZE, 0, (off_t)bytes) == 0) return HONE_OK;
    if (errno != ENOSPC && errno != EFBIG && errno != EDQUOT) return HONE_OK;
    return fail(HONE_ERR_IO, "%s: no room for %zu bytes: %s", f->path, bytes, strerror(errno));
}

static hone_status write_waiting(new_file *f) {
    const char *next = f->waiting;
    while (f->n_waiting > 0) {
        ssize_t written = write(f->fd, next, f->n_waiting);
        if (written < 0 && errno == EINTR) continue;
        if (written < 0) return system_failure(f, "cannot write");
        next += written;
        f->n_waiting -= (size_t)written;
    }
    return HONE_OK;
}

hone_status new_file_write(new_file *f, const void *bytes, size_t n) {
    const char *next = bytes;
    if (!f->waiting && !(f->waiting = mem_alloc(WRITTEN_AT_ONCE)))
        return mem_fail("file buffer", WRITTEN_AT_ONCE);
    while (n > 0) {
        const size_t room = WRITTEN_AT_ONCE - f->n_waiting, taken = n < room ? n : room;
        memcpy(f->waiting + f->n_waiting, next, taken);
        f->n_waiting += taken;
        next += taken;
        n -= taken;
        if (f->n_waiting == WRITTEN_AT_ONCE) TRY(write_waiting(f));
    }
    return HONE_OK;
}

/* Without this a power cut could undo the rename. Best effort: the file itself is complete. */
static void sync_folder_of(const char *path) {
    const char *slash = strrchr(path, '/');
    char *folder = slash ? mem_copy_string(path, (size_t)(slash - path) + 1) : NULL;
    int fd = open(folder ? folder : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) {
        fsync(fd);
        close(fd);
    }
    mem_free(folder);
}

hone_status new_file_commit(new_file *f) {
    TRY(write_waiting(f));
    if (fsync(f->fd) != 0) return system_failure(f, "cannot flush");
    int fd = f->fd;
    f->fd = -1;
    if (close(fd) != 0) return system_failure(f, "cannot close");
    if (rename(f->temporary, f->path) != 0) return system_failure(f, "cannot rename into place");
    mem_free(f->temporary);
    f->temporary = NULL;
    sync_folder_of(f->path);
    return HONE_OK;
}

void new_file_discard(new_file *f) {
    if (f->fd >= 0) close(f->fd);
    if (f->temporary) unlink(f->temporary);
    mem_free(f->waiting);
    mem_free(f->temporary);
    mem_free(f->path);
    *f = (new_file){.fd = -1};
}
