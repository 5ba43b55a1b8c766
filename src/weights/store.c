#include "weights/store.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "weights/catalogue.h"
#include "weights/paths.h"
#include "weights/store_int.h"

enum { MAX_MODELS = 100000 };

hone_status store_open(store **out, const char *folder) {
    fs_path path;
    if (folder)
        TRY(fs_path_format(&path, "%s", folder));
    else
        TRY(paths_folder(&path, PATHS_DATA));
    store *s = mem_alloc(sizeof *s);
    if (!s) return mem_fail("store", sizeof *s);
    s->folder = path;
    *out = s;
    return HONE_OK;
}

void store_close(store *s) { mem_free(s); }

const char *store_folder(const store *s) { return s->folder.text; }

/* --- places --- */

hone_status store_full_name(model_name *name, const char *text) {
    const catalogue_entry *known = catalogue_find(text);
    return model_name_parse(name, known ? known->name : text);
}

hone_status store_manifest_path(const store *s, const model_name *name, fs_path *path) {
    const char *tag = strchr(name->text, ':');
    return fs_path_format(path, "%s/models/%.*s/%s.json", s->folder.text, (int)(tag - name->text),
                          name->text, tag + 1);
}

hone_status store_blob_path(const store *s, const sha256_hex *sha256, fs_path *path) {
    return fs_path_format(path, "%s/blobs/sha256-%s", s->folder.text, sha256->text);
}

hone_status store_lock(const store *s, fs_lock *lock) {
    fs_path path;
    TRY(fs_path_format(&path, "%s/lock", s->folder.text));
    return fs_lock_take(lock, path.text, NULL, NULL);
}

/* --- entries --- */

static void note_problem(store_entry *entry, const char *words) {
    snprintf(entry->problem, sizeof entry->problem, "%s", words);
}

static hone_status check_blobs(const store *s, store_entry *entry) {
    const manifest *m = &entry->manifest;
    for (size_t i = 0; i < m->n_files; i++) {
        fs_path blob;
        struct stat st;
        TRY(store_blob_path(s, &m->files[i].sha256, &blob));
        if (i == 0) entry->path = blob;
        entry->bytes += m->files[i].bytes;
        if (stat(blob.text, &st) != 0)
            note_problem(entry, "its file is missing from the store");
        else if ((uint64_t)st.st_size != m->files[i].bytes)
            note_problem(entry, "its file has another size than when it was pulled");
    }
    return HONE_OK;
}

hone_status store_read_entry(const store *s, const char *path, const model_name *name,
                             store_entry *entry) {
    struct stat st;
    *entry = (store_entry){0};
    hone_status status = manifest_read(&entry->manifest, path);
    if (status == HONE_ERR_MEMORY) return status;
    if (status != HONE_OK) note_problem(entry, hone_error_message());
    /* The place decides: a manifest that was copied by hand must not answer to two names. */
    entry->manifest.name = *name;
    if (stat(path, &st) == 0) entry->modified = st.st_mtime;
    return check_blobs(s, entry);
}

static hone_status fail_unknown(const char *name) {
    return fail(HONE_ERR_NOT_FOUND, "%s: no model of that name; `hone list` shows what is there",
                name);
}

hone_status store_find(const store *s, const char *text, store_entry *entry) {
    model_name name;
    fs_path path;
    TRY(store_full_name(&name, text));
    TRY(store_manifest_path(s, &name, &path));
    if (access(path.text, F_OK) != 0) {
        const catalogue_entry *known = catalogue_find(text);
        if (known)
            return fail(HONE_ERR_NOT_FOUND,
                        "%s: not pulled yet: `hone pull %s` fetches it (%.0f MB)", known->name,
                        known->name, (double)known->bytes / 1e6);
        return fail_unknown(text);
    }
    store_entry found;
    TRY(store_read_entry(s, path.text, &name, &found));
    if (found.problem[0]) {
        manifest_release(&found.manifest);
        return fail(HONE_ERR_FORMAT, "%s: %s; `hone pull` it again", name.text, found.problem);
    }
    *entry = found;
    return HONE_OK;
}

/* --- MODEL on the command line --- */

static bool ends_in_gguf(const char *text) {
    size_t n = strlen(text);
    return n > 5 && strcasecmp(text + n - 5, ".gguf") == 0;
}

static hone_status find_path(const char *name, fs_path *path) {
    store *s;
    store_entry entry;
    TRY(store_open(&s, NULL));
    hone_status status = store_find(s, name, &entry);
    if (status == HONE_OK) {
        *path = entry.path;
        manifest_release(&entry.manifest);
    }
    store_close(s);
    return status;
}

hone_status store_resolve(const char *model, char **out) {
    fs_path path;
    bool is_path = model[0] == '/' || model[0] == '.' || ends_in_gguf(model);
    bool exists = access(model, F_OK) == 0;
    if (!exists && origin_is_meant(model))
        return fail(HONE_ERR_NOT_FOUND, "%s: a source, not a model: `hone pull` it first", model);
    if (!exists && is_path)
        return fail(errno == ENOENT ? HONE_ERR_NOT_FOUND : HONE_ERR_IO, "%s: %s", model,
                    strerror(errno));
    TRY(fs_path_format(&path, "%s", model));
    if (!is_path) {
        hone_status status = find_path(model, &path);
        bool unknown = status == HONE_ERR_NOT_FOUND || status == HONE_ERR_ARGUMENT;
        if (status != HONE_OK && !(unknown && exists)) return status;
    }
    char *copy = mem_copy_string(path.text, strlen(path.text));
    if (!copy) return mem_fail("path", strlen(path.text) + 1);
    *out = copy;
    return HONE_OK;
}

/* --- listing --- */

void store_listing_release(store_listing *listing) {
    for (size_t i = 0; i < listing->n; i++) {
        manifest_release(&listing->entries[i]->manifest);
        mem_free(listing->entries[i]);
    }
    mem_free(listing->entries);
    *listing = (store_listing){0};
}

static hone_status add_entry(const store *s, store_listing *listing, const char *path,
                             const model_name *name) {
    if (listing->n == MAX_MODELS)
        return fail(HONE_ERR_MEMORY, "%s: more than %d models", s->folder.text, MAX_MODELS);
    if (listing->n == listing->capacity) {
        size_t capacity = listing->capacity * 2 + 8;
        store_entry **longer = mem_realloc(listing->entries, capacity, sizeof *longer);
        if (!longer) return mem_fail("list of models", capacity * sizeof *longer);
        listing->entries = longer;
        listing->capacity = capacity;
    }
    store_entry *entry = mem_alloc(sizeof *entry);
    if (!entry) return mem_fail("list of models", sizeof *entry);
    hone_status status = store_read_entry(s, path, name, entry);
    if (status != HONE_OK) {
        mem_free(entry);
        return status;
    }
    listing->entries[listing->n++] = entry;
    return HONE_OK;
}

/* Walks models/<above>; `above` is "" or the name's parts so far. */
static hone_status list_folder(const store *s, store_listing *listing, const char *above,
                               int depth) {
    fs_path folder;
    TRY(fs_path_format(&folder, "%s/models%s%s", s->folder.text, *above ? "/" : "", above));
    DIR *dir = opendir(folder.text);
    if (!dir && errno == ENOENT) return HONE_OK;
    if (!dir) return fail(HONE_ERR_IO, "%s: %s", folder.text, strerror(errno));
    hone_status status = HONE_OK;
    struct dirent *item;
    while (status == HONE_OK && (item = readdir(dir))) {
        fs_path path, below;
        struct stat st;
        model_name name;
        size_t n = strlen(item->d_name);
        if (item->d_name[0] == '.') continue;
        status = fs_path_format(&path, "%s/%s", folder.text, item->d_name);
        if (status != HONE_OK || stat(path.text, &st) != 0) continue;
        if (S_ISDIR(st.st_mode)) {
            status = fs_path_format(&below, "%s%s%s", above, *above ? "/" : "", item->d_name);
            if (status == HONE_OK && depth < MODEL_NAME_MAX_PARTS)
                status = list_folder(s, listing, below.text, depth + 1);
        } else if (n > 5 && strcmp(item->d_name + n - 5, ".json") == 0 && *above) {
            status = fs_path_format(&below, "%s:%.*s", above, (int)n - 5, item->d_name);
            if (status == HONE_OK && model_name_parse(&name, below.text) == HONE_OK)
                status = add_entry(s, listing, path.text, &name);
        }
    }
    closedir(dir);
    return status;
}

static int by_name(const void *a, const void *b) {
    const store_entry *const *left = a, *const *right = b;
    return strcmp((*left)->manifest.name.text, (*right)->manifest.name.text);
}

/* What the blobs occupy; foreign files there count as well. */
static uint64_t blob_bytes(const store *s) {
    fs_path folder, path;
    uint64_t sum = 0;
    if (fs_path_format(&folder, "%s/blobs", s->folder.text) != HONE_OK) return 0;
    DIR *dir = opendir(folder.text);
    struct dirent *item;
    while (dir && (item = readdir(dir))) {
        struct stat st;
        if (fs_path_format(&path, "%s/%s", folder.text, item->d_name) == HONE_OK &&
            lstat(path.text, &st) == 0 && S_ISREG(st.st_mode))
            sum += (uint64_t)st.st_size;
    }
    if (dir) closedir(dir);
    return sum;
}

hone_status store_list(const store *s, store_listing *out) {
    store_listing listing = {0};
    hone_status status = list_folder(s, &listing, "", 0);
    if (status != HONE_OK) {
        store_listing_release(&listing);
        return status;
    }
    if (listing.n) qsort(listing.entries, listing.n, sizeof *listing.entries, by_name);
    listing.disk_bytes = blob_bytes(s);
    *out = listing;
    return HONE_OK;
}

/* --- removing --- */

static bool names_blob(const store_listing *listing, const sha256_hex *sha256) {
    for (size_t i = 0; i < listing->n; i++) {
        const manifest *m = &listing->entries[i]->manifest;
        /* An unreadable manifest might name anything. */
        if (m->n_files == 0) return true;
        for (size_t k = 0; k < m->n_files; k++)
            if (strcmp(m->files[k].sha256.text, sha256->text) == 0) return true;
    }
    return false;
}

/* The folders of a name that no longer hold anything. */
static void remove_empty_folders(const store *s, const char *manifest_path) {
    fs_path folder, top;
    if (fs_path_format(&folder, "%s", manifest_path) != HONE_OK ||
        fs_path_format(&top, "%s/models", s->folder.text) != HONE_OK)
        return;
    for (;;) {
        char *slash = strrchr(folder.text, '/');
        if (!slash) return;
        *slash = 0;
        if (strlen(folder.text) <= strlen(top.text) || rmdir(folder.text) != 0) return;
    }
}

static hone_status remove_blobs(const store *s, const manifest *m, uint64_t *freed) {
    store_listing rest;
    TRY(store_list(s, &rest));
    hone_status status = HONE_OK;
    for (size_t i = 0; i < m->n_files && status == HONE_OK; i++) {
        fs_path blob;
        if (names_blob(&rest, &m->files[i].sha256)) continue;
        status = store_blob_path(s, &m->files[i].sha256, &blob);
        if (status == HONE_OK && unlink(blob.text) == 0)
            *freed += m->files[i].bytes;
        else if (status == HONE_OK && errno != ENOENT)
            status = fail(HONE_ERR_IO, "%s: cannot remove: %s", blob.text, strerror(errno));
    }
    store_listing_release(&rest);
    return status;
}

hone_status store_remove(const store *s, const char *text, uint64_t *freed) {
    model_name name;
    fs_path path;
    fs_lock lock;
    store_entry entry;
    uint64_t bytes = 0;
    TRY(store_full_name(&name, text));
    TRY(store_manifest_path(s, &name, &path));
    if (access(path.text, F_OK) != 0)
        return fail_unknown(text);
    TRY(store_lock(s, &lock));
    hone_status status = store_read_entry(s, path.text, &name, &entry);
    if (status == HONE_OK) {
        if (unlink(path.text) != 0)
            status = fail(HONE_ERR_IO, "%s: cannot remove: %s", path.text, strerror(errno));
        else
            status = remove_blobs(s, &entry.manifest, &bytes);
        manifest_release(&entry.manifest);
    }
    if (status == HONE_OK) remove_empty_folders(s, path.text);
    fs_lock_release(&lock, false);
    if (status == HONE_OK && freed) *freed = bytes;
    return status;
}
