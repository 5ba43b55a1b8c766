/* Writing, copying and removing names; checking what they stand for. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "weights/store_int.h"

/* --- writing --- */

/* Links under the files' own names, for what is opened as a folder. */
static hone_status write_links(const store *s, const manifest *m) {
    fs_path folder, link, target;
    TRY(store_links_path(s, &m->name, &folder));
    TRY(fs_remove_tree(folder.text));
    if (!manifest_is_folder(m)) return HONE_OK;
    TRY(fs_make_folders(folder.text));
    for (size_t i = 0; i < m->n_files; i++) {
        if (strcmp(m->files[i].role, "model") != 0) continue;
        TRY(store_file_path(s, &m->files[i], &target));
        TRY(fs_path_format(&link, "%s/%s", folder.text, m->files[i].name));
        if (symlink(target.text, link.text) != 0)
            return fail(HONE_ERR_IO, "%s: cannot link: %s", link.text, strerror(errno));
    }
    return HONE_OK;
}

static hone_status write_under_lock(const store *s, const manifest *m) {
    fs_path path, folder;
    for (size_t i = 0; i < m->n_files; i++) {
        TRY(store_file_path(s, &m->files[i], &path));
        if (access(path.text, F_OK) != 0)
            return fail(HONE_ERR_IO, "%s: removed while it was pulled; pull again", m->name.text);
    }
    TRY(write_links(s, m));
    TRY(store_manifest_path(s, &m->name, &path));
    TRY(fs_path_format(&folder, "%s", path.text));
    *strrchr(folder.text, '/') = 0;
    TRY(fs_make_folders(folder.text));
    return manifest_write(m, path.text);
}

hone_status store_write_entry(const store *s, const manifest *m) {
    fs_lock lock;
    TRY(store_lock(s, &lock));
    hone_status status = write_under_lock(s, m);
    fs_lock_release(&lock, false);
    return status;
}

/* --- copying --- */

hone_status store_copy(const store *s, const char *from, const char *to) {
    model_name name;
    fs_path path;
    store_entry entry;
    TRY(model_name_parse(&name, to));
    TRY(store_manifest_path(s, &name, &path));
    if (access(path.text, F_OK) == 0)
        return fail(HONE_ERR_ARGUMENT, "%s: the store has a model of that name; `hone rm` it first",
                    name.text);
    TRY(store_find(s, from, &entry));
    entry.manifest.name = name;
    hone_status status = fs_make_folders(s->folder.text);
    if (status == HONE_OK) status = store_write_entry(s, &entry.manifest);
    manifest_release(&entry.manifest);
    return status;
}

/* --- removing --- */

static bool names_blob(const store_listing *listing, const model_name *but,
                       const sha256_hex *sha256) {
    for (size_t i = 0; i < listing->n; i++) {
        const manifest *m = &listing->entries[i]->manifest;
        if (strcmp(m->name.text, but->text) == 0) continue;
        /* An unreadable manifest might name anything. */
        if (m->n_files == 0) return true;
        for (size_t k = 0; k < m->n_files; k++)
            if (!m->files[k].path[0] && strcmp(m->files[k].sha256.text, sha256->text) == 0)
                return true;
    }
    return false;
}

/* The folders of a name that no longer hold anything, up to the one of all names. */
static void remove_empty_folders(const store *s, const char *path, const char *kind) {
    fs_path folder, top;
    if (fs_path_format(&folder, "%s", path) != HONE_OK ||
        fs_path_format(&top, "%s/%s", s->folder.text, kind) != HONE_OK)
        return;
    for (;;) {
        char *slash = strrchr(folder.text, '/');
        if (!slash) return;
        *slash = 0;
        if (strlen(folder.text) <= strlen(top.text) || rmdir(folder.text) != 0) return;
    }
}

/* The files of `m` that no other name needs: looks whether one is in use, or removes them. */
static hone_status go_through_own(const store *s, const store_listing *all, const manifest *m,
                                  bool remove, uint64_t *freed) {
    for (size_t i = 0; i < m->n_files; i++) {
        fs_path blob;
        if (m->files[i].path[0] || names_blob(all, &m->name, &m->files[i].sha256)) continue;
        TRY(store_blob_path(s, &m->files[i].sha256, &blob));
        if (!remove) {
            /* Whoever has a file mapped holds a shared lock on it. */
            if (fs_is_locked(blob.text))
                return fail(HONE_ERR_IO, "%s: in use by a running program", m->name.text);
        } else if (unlink(blob.text) == 0) {
            *freed += m->files[i].bytes;
        } else if (errno != ENOENT) {
            return fail(HONE_ERR_IO, "%s: cannot remove: %s", blob.text, strerror(errno));
        }
    }
    return HONE_OK;
}

static hone_status remove_under_lock(const store *s, const char *path, const model_name *name,
                                     uint64_t *freed) {
    store_entry entry;
    store_listing all;
    fs_path links;
    TRY(store_links_path(s, name, &links));
    TRY(store_read_entry(s, path, name, &entry));
    hone_status status = store_list(s, false, &all);
    if (status == HONE_OK) {
        status = go_through_own(s, &all, &entry.manifest, false, freed);
        if (status == HONE_OK && unlink(path) != 0)
            status = fail(HONE_ERR_IO, "%s: cannot remove: %s", path, strerror(errno));
        if (status == HONE_OK) status = fs_remove_tree(links.text);
        if (status == HONE_OK) status = go_through_own(s, &all, &entry.manifest, true, freed);
        store_listing_release(&all);
    }
    manifest_release(&entry.manifest);
    if (status != HONE_OK) return status;
    remove_empty_folders(s, path, "models");
    remove_empty_folders(s, links.text, "folders");
    return HONE_OK;
}

/* Not in the store: unknown, or another's. */
static hone_status refuse_foreign(const store *s, const char *text) {
    store_entry entry;
    if (store_find_foreign(s, text, &entry) != HONE_OK) return store_fail_unknown(text);
    manifest_release(&entry.manifest);
    return fail(HONE_ERR_UNSUPPORTED, "%s: kept by %s, where hone changes nothing; remove it there",
                text, entry.keeper);
}

hone_status store_remove(const store *s, const char *text, uint64_t *freed) {
    model_name name;
    fs_path path;
    fs_lock lock;
    uint64_t bytes = 0;
    TRY(store_full_name(s, &name, text));
    TRY(store_manifest_path(s, &name, &path));
    if (access(path.text, F_OK) != 0) return refuse_foreign(s, text);
    TRY(store_lock(s, &lock));
    hone_status status = remove_under_lock(s, path.text, &name, &bytes);
    fs_lock_release(&lock, false);
    if (status == HONE_OK && freed) *freed = bytes;
    return status;
}

/* --- verifying --- */

typedef struct check {
    bool (*go_on)(void *context, const char *file, uint64_t bytes, uint64_t total);
    void *context;
    const manifest_file *file;
} check;

static bool on_hash(void *context, uint64_t bytes) {
    const check *c = context;
    return !c->go_on || c->go_on(c->context, c->file->name, bytes, c->file->bytes);
}

static hone_status verify_file(const store *s, check *c) {
    const manifest_file *file = c->file;
    fs_path path;
    struct stat st;
    sha256_hex sha256;
    TRY(store_file_path(s, file, &path));
    if (stat(path.text, &st) != 0)
        return fail(HONE_ERR_FORMAT, "%s: missing: %s", file->name, path.text);
    if ((uint64_t)st.st_size != file->bytes)
        return fail(HONE_ERR_FORMAT, "%s: %lld bytes, expected %llu: %s", file->name,
                    (long long)st.st_size, (unsigned long long)file->bytes, path.text);
    TRY(sha256_of_file(&sha256, path.text, on_hash, c));
    if (!file->sha256.text[0] || strcmp(sha256.text, file->sha256.text) == 0) return HONE_OK;
    return fail(HONE_ERR_FORMAT, "%s: damaged: its SHA-256 is %.12s…, expected %.12s…: %s",
                file->name, sha256.text, file->sha256.text, path.text);
}

hone_status store_verify(const store *s, const store_entry *entry,
                         bool (*go_on)(void *context, const char *file, uint64_t bytes,
                                       uint64_t total),
                         void *context, size_t *n_unknown) {
    const manifest *m = &entry->manifest;
    size_t n = 0;
    if (m->n_files == 0) return fail(HONE_ERR_FORMAT, "%s", entry->problem);
    for (size_t i = 0; i < m->n_files; i++) {
        check c = {go_on, context, &m->files[i]};
        n += !m->files[i].sha256.text[0];
        TRY(verify_file(s, &c));
    }
    if (n_unknown) *n_unknown = n;
    return HONE_OK;
}
