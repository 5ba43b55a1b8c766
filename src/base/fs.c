#include "base/fs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "base/new_file.h"

static hone_status fail_errno(const char *path, const char *what) {
    int error = errno;
    if (error == ENOSPC || error == EDQUOT || error == EFBIG)
        return fail(HONE_ERR_MEMORY, "%s: %s: no space left (%s)", path, what, strerror(error));
    return fail(error == ENOENT ? HONE_ERR_NOT_FOUND : HONE_ERR_IO, "%s: %s: %s", path, what,
                strerror(error));
}

hone_status fs_path_format(fs_path *path, const char *format, ...) {
    va_list args;
    va_start(args, format);
    int n = vsnprintf(path->text, sizeof path->text, format, args);
    va_end(args);
    if (n < 0 || (size_t)n >= sizeof path->text)
        return fail(HONE_ERR_ARGUMENT, "path longer than %zu bytes", sizeof path->text - 1);
    return HONE_OK;
}

/* --- folders --- */

static hone_status make_folder(const char *path) {
    struct stat st;
    if (mkdir(path, 0777) == 0) return HONE_OK;
    if (errno == EEXIST && stat(path, &st) == 0 && S_ISDIR(st.st_mode)) return HONE_OK;
    return fail_errno(path, "cannot make the folder");
}

hone_status fs_make_folders(const char *path) {
    fs_path upper;
    TRY(fs_path_format(&upper, "%s", path));
    for (char *c = upper.text + 1; *c; c++) {
        if (*c != '/') continue;
        *c = 0;
        /* Folders above may be readable by others only: just the last one has to be made by us. */
        struct stat st;
        if (stat(upper.text, &st) != 0) TRY(make_folder(upper.text));
        *c = '/';
    }
    return make_folder(path);
}

void fs_sync_folder_of(const char *path) {
    fs_path folder;
    if (fs_path_format(&folder, "%s", path) != HONE_OK) return;
    char *slash = strrchr(folder.text, '/');
    if (slash) *slash = 0;
    int fd = open(slash ? folder.text : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return;
    fsync(fd);
    close(fd);
}

hone_status fs_each(const char *folder,
                    hone_status (*each)(void *context, const char *path, const char *name),
                    void *context) {
    DIR *dir = opendir(folder);
    if (!dir && (errno == ENOENT || errno == ENOTDIR)) return HONE_OK;
    if (!dir) return fail_errno(folder, "cannot read the folder");
    hone_status status = HONE_OK;
    struct dirent *item;
    while (status == HONE_OK && (item = readdir(dir))) {
        fs_path path;
        if (item->d_name[0] == '.') continue;
        status = fs_path_format(&path, "%s/%s", folder, item->d_name);
        if (status == HONE_OK) status = each(context, path.text, item->d_name);
    }
    closedir(dir);
    return status;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw) {
    (void)st, (void)type, (void)ftw;
    return remove(path);
}

hone_status fs_remove_tree(const char *path) {
    if (nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS) == 0 || errno == ENOENT) return HONE_OK;
    return fail_errno(path, "cannot remove");
}

/* --- files --- */

hone_status fs_read_file(buf *out, const char *path) {
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a FIFO must not block us */
    if (fd < 0) return fail_errno(path, "cannot open");
    hone_status status;
    for (;;) {
        char block[16384];
        ssize_t n = read(fd, block, sizeof block);
        if (n < 0 && errno == EINTR) continue;
        status = n < 0 ? fail_errno(path, "cannot read") : HONE_OK;
        if (n <= 0) break;
        status = buf_add(out, block, (size_t)n);
        if (status != HONE_OK) break;
    }
    close(fd);
    return status;
}

hone_status fs_write_all(int fd, const void *data, size_t n, const char *path) {
    const char *at = data;
    while (n > 0) {
        ssize_t written = write(fd, at, n);
        if (written < 0 && errno == EINTR) continue;
        if (written < 0) return fail_errno(path, "cannot write");
        at += written;
        n -= (size_t)written;
    }
    return HONE_OK;
}

hone_status fs_write_all_at(int fd, uint64_t offset, const void *data, size_t n, const char *path) {
    const char *at = data;
    while (n > 0) {
        ssize_t written = pwrite(fd, at, n, (off_t)offset);
        if (written < 0 && errno == EINTR) continue;
        if (written < 0) return fail_errno(path, "cannot write");
        at += written;
        offset += (uint64_t)written;
        n -= (size_t)written;
    }
    return HONE_OK;
}

uint64_t fs_read_number(const char *path, uint64_t otherwise) {
    FILE *file = fopen(path, "r");
    if (!file) return otherwise;
    unsigned long long value;
    int n = fscanf(file, "%llu", &value);
    fclose(file);
    return n == 1 ? value : otherwise;
}

uint64_t fs_read_number_behind(const char *path, const char *key, uint64_t otherwise) {
    FILE *file = fopen(path, "r");
    if (!file) return otherwise;
    char line[256];
    size_t n = strlen(key);
    uint64_t number = otherwise;
    while (number == otherwise && fgets(line, sizeof line, file))
        if (strncmp(line, key, n) == 0 && (line[n] == ':' || line[n] == ' '))
            number = strtoull(line + n + 1, NULL, 10);
    fclose(file);
    return number;
}

hone_status fs_write_file(const char *path, const void *data, size_t n) {
    new_file file;
    TRY(new_file_open(&file, path));
    hone_status status = new_file_write(&file, data, n);
    if (status == HONE_OK) status = new_file_commit(&file);
    new_file_discard(&file);
    return status;
}

hone_status fs_check_space(const char *path, uint64_t bytes) {
    struct statvfs fs;
    if (statvfs(path, &fs) != 0 || fs.f_blocks == 0) return HONE_OK;
    uint64_t free_bytes = (uint64_t)fs.f_bavail * fs.f_frsize;
    if (free_bytes >= bytes) return HONE_OK;
    return fail(HONE_ERR_MEMORY, "%s: the disk is too full: %.1f MB needed, %.1f MB free", path,
                (double)bytes / 1e6, (double)free_bytes / 1e6);
}

/* --- locks --- */

/* The file that we locked may have been removed by its last holder in the meantime; then somebody
 * else may hold a new file of that name. */
static bool still_there(int fd, const char *path) {
    struct stat ours, named;
    return fstat(fd, &ours) == 0 && stat(path, &named) == 0 && ours.st_ino == named.st_ino &&
           ours.st_dev == named.st_dev;
}

hone_status fs_lock_take(fs_lock *lock, const char *path, bool (*wait)(void *context),
                         void *context) {
    lock->fd = -1;
    TRY(fs_path_format(&lock->path, "%s", path));
    for (;;) {
        int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
        if (fd < 0) return fail_errno(path, "cannot open the lock");
        if (flock(fd, LOCK_EX | LOCK_NB) == 0) {
            if (still_there(fd, path)) {
                lock->fd = fd;
                return HONE_OK;
            }
        } else if (errno != EWOULDBLOCK && errno != EINTR) {
            hone_status status = fail_errno(path, "cannot lock");
            close(fd);
            return status;
        } else {
            if (wait && !wait(context)) {
                close(fd);
                return fail(HONE_ERR_CANCELLED, "cancelled");
            }
            nanosleep(&(struct timespec){.tv_nsec = 100000000}, NULL);
        }
        close(fd);
    }
}

void fs_lock_release(fs_lock *lock, bool remove) {
    if (lock->fd < 0) return;
    if (remove) unlink(lock->path.text);
    close(lock->fd);
    lock->fd = -1;
}

bool fs_is_locked(const char *path) {
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) return false;
    bool locked = flock(fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK;
    close(fd);
    return locked;
}
