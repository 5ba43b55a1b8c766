/* Files that appear when they are complete: bytes in any portions, a full disk. */
#include "base/new_file.h"

#include <signal.h>
#include <sys/resource.h>

#include "files.h"
#include "test.h"

static unsigned char byte_at(size_t i) { return (unsigned char)(i * 2654435761u >> 24); }

static void portions_arrive_in_order(void) {
    enum { TOTAL = 5000001 };
    const size_t portions[] = {1, 300000, 2 << 20, 7, 0, 3000000};
    static unsigned char bytes[TOTAL];
    test_folder folder = test_folder_make();
    const char *path = test_path(folder.path, "file");
    new_file f;
    for (size_t i = 0; i < TOTAL; i++) bytes[i] = byte_at(i);
    CHECK_OK(new_file_open(&f, path));
    for (size_t at = 0, n, i = 0; at < TOTAL; at += n, i++) {
        n = portions[i % 6] < TOTAL - at ? portions[i % 6] : TOTAL - at;
        CHECK_OK(new_file_write(&f, bytes + at, n));
    }
    CHECK_OK(new_file_commit(&f));
    new_file_discard(&f);
    size_t size = 0;
    unsigned char *read = test_read_file(path, &size);
    CHECK(read && size == TOTAL && memcmp(read, bytes, TOTAL) == 0);
    free(read);
    CHECK(test_folder_count(&folder, NULL) == 1);
    test_folder_remove(&folder);
}

/* A limit on file sizes stands for a full disk. It shows while the file is written, or at its end
 * if it is small; what stood there stays. */
static void a_full_disk_leaves_the_old_file(void) {
    static const char bytes[4 << 20];
    const size_t sizes[] = {400, sizeof bytes};
    test_folder folder = test_folder_make();
    const char *path = test_path(folder.path, "old");
    CHECK(test_write_file(path, "old words", 9));
    signal(SIGXFSZ, SIG_IGN);
    for (int i = 0; i < 2; i++) {
        struct rlimit before, small;
        CHECK(getrlimit(RLIMIT_FSIZE, &before) == 0);
        small = before;
        small.rlim_cur = 300;
        CHECK(setrlimit(RLIMIT_FSIZE, &small) == 0);
        new_file f;
        CHECK_OK(new_file_open(&f, path));
        hone_status status = new_file_write(&f, bytes, sizes[i]);
        if (status == HONE_OK) status = new_file_commit(&f);
        new_file_discard(&f);
        CHECK(setrlimit(RLIMIT_FSIZE, &before) == 0);
        CHECK(status == HONE_ERR_IO && strstr(hone_error_message(), path));
        CHECK(test_folder_count(&folder, NULL) == 1);
        size_t size = 0;
        unsigned char *read = test_read_file(path, &size);
        CHECK(read && size == 9 && memcmp(read, "old words", 9) == 0);
        free(read);
    }
    test_folder_remove(&folder);
}

int main(void) {
    RUN(portions_arrive_in_order);
    RUN(a_full_disk_leaves_the_old_file);
    return test_summary();
}
