/* Models made from parts: blobs that are handed over, and names for them. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/new_file.h"
#include "base/system.h"
#include "weights/store_int.h"

struct store_blob {
    const store *store;
    sha256_hex expected;
    sha256_hash hash;
    new_file file;
    bool is_open;
};

bool store_has_blob(const store *s, const sha256_hex *sha256, uint64_t *bytes) {
    fs_path path;
    struct stat st;
    if (!sha256_is_hex(sha256->text) || store_blob_path(s, sha256, &path) != HONE_OK ||
        lstat(path.text, &st) != 0 || !S_ISREG(st.st_mode))
        return false;
    if (bytes) *bytes = (uint64_t)st.st_size;
    return true;
}

static hone_status make_folder(const store *s, const char *below) {
    fs_path folder;
    TRY(fs_path_format(&folder, "%s/%s", s->folder.text, below));
    return fs_make_folders(folder.text);
}

static hone_status begin_blob(store_blob *b) {
    fs_path path;
    TRY(make_folder(b->store, "blobs"));
    TRY(store_blob_path(b->store, &b->expected, &path));
    TRY(sha256_init(&b->hash));
    TRY(new_file_open(&b->file, path.text));
    b->is_open = true;
    return HONE_OK;
}

hone_status store_blob_open(store_blob **out, const store *s, const sha256_hex *sha256) {
    if (!sha256_is_hex(sha256->text))
        return fail(HONE_ERR_ARGUMENT, "a blob's name is 64 hexadecimal digits");
    store_blob *b = mem_calloc(1, sizeof *b);
    if (!b) return mem_fail("blob", sizeof *b);
    b->store = s;
    b->expected = *sha256;
    hone_status status = begin_blob(b);
    if (status == HONE_OK) *out = b;
    else store_blob_close(b);
    return status;
}

hone_status store_blob_write(store_blob *b, const void *bytes, size_t n) {
    TRY(sha256_add(&b->hash, bytes, n));
    return new_file_write(&b->file, bytes, n);
}

hone_status store_blob_commit(store_blob *b) {
    sha256_hex found;
    fs_lock lock;
    TRY(sha256_finish(&b->hash, &found));
    if (strcmp(found.text, b->expected.text) != 0)
        return fail(HONE_ERR_FORMAT, "digest mismatch: what came has the SHA-256 %s, not %s",
                    found.text, b->expected.text);
    if (store_has_blob(b->store, &b->expected, NULL)) return HONE_OK;
    TRY(store_lock(b->store, &lock));
    fchmod(b->file.fd, 0444); /* nothing changes a blob */
    hone_status status = new_file_commit(&b->file);
    fs_lock_release(&lock, false);
    return status;
}

void store_blob_close(store_blob *b) {
    if (!b) return;
    if (b->is_open) new_file_discard(&b->file);
    sha256_release(&b->hash);
    mem_free(b);
}

static hone_status hash_bytes(sha256_hex *hex, const char *text, size_t n) {
    sha256_hash hash;
    TRY(sha256_init(&hash));
    hone_status status = sha256_add(&hash, text, n);
    if (status == HONE_OK) status = sha256_finish(&hash, hex);
    sha256_release(&hash);
    return status;
}

hone_status store_add_text(const store *s, const char *text, size_t n, manifest_file *file) {
    store_blob *b;
    file->bytes = n;
    TRY(hash_bytes(&file->sha256, text, n));
    if (store_has_blob(s, &file->sha256, NULL)) return HONE_OK;
    TRY(store_blob_open(&b, s, &file->sha256));
    hone_status status = store_blob_write(b, text, n);
    if (status == HONE_OK) status = store_blob_commit(b);
    store_blob_close(b);
    return status;
}

hone_status store_scratch_open(store_scratch *scratch, const store *s) {
    fs_path folder, lock;
    scratch->folder.text[0] = '\0';
    TRY(make_folder(s, "partial"));
    TRY(fs_path_format(&folder, "%s/partial/%016llx", s->folder.text,
                       (unsigned long long)system_random()));
    TRY(fs_path_format(&lock, "%s.lock", folder.text));
    TRY(fs_lock_take(&scratch->lock, lock.text, NULL, NULL));
    scratch->folder = folder;
    hone_status status = fs_make_folders(folder.text);
    if (status != HONE_OK) store_scratch_close(scratch);
    return status;
}

void store_scratch_close(store_scratch *scratch) {
    if (!scratch->folder.text[0]) return;
    fs_remove_tree(scratch->folder.text);
    fs_lock_release(&scratch->lock, true);
    scratch->folder.text[0] = '\0';
}

hone_status store_add_file(const store *s, const char *path, manifest_file *file) {
    fs_path blob;
    fs_lock lock;
    struct stat st;
    TRY(make_folder(s, "blobs"));
    TRY(sha256_of_file(&file->sha256, path, NULL, NULL));
    if (stat(path, &st) != 0) return fail(HONE_ERR_IO, "%s: %s", path, strerror(errno));
    file->bytes = (uint64_t)st.st_size;
    if (store_has_blob(s, &file->sha256, NULL)) return HONE_OK;
    TRY(store_blob_path(s, &file->sha256, &blob));
    chmod(path, 0444);
    TRY(store_lock(s, &lock));
    hone_status status = HONE_OK;
    if (rename(path, blob.text) != 0)
        status = fail(HONE_ERR_IO, "%s: cannot rename: %s", blob.text, strerror(errno));
    fs_sync_folder_of(blob.text);
    fs_lock_release(&lock, false);
    return status;
}

hone_status store_define(const store *s, const manifest *m) {
    TRY(fs_make_folders(s->folder.text));
    return store_write_entry(s, m);
}
