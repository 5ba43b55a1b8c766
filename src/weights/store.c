/* Names, places, entries: the store as it stands. */
#include "weights/store.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "weights/foreign.h"
#include "weights/paths.h"
#include "weights/store_int.h"

enum { MAX_MODELS = 100000 };

hone_status store_open(store **out, const char *folder) {
    fs_path path;
    if (folder)
        TRY(fs_path_format(&path, "%s", folder));
    else
        TRY(paths_folder(&path, PATHS_DATA));
    store *s = mem_calloc(1, sizeof *s);
    if (!s) return mem_fail("store", sizeof *s);
    s->folder = path;
    hone_status status = catalogue_open(&s->catalogue);
    if (status == HONE_OK)
        *out = s;
    else
        store_close(s);
    return status;
}

void store_close(store *s) {
    if (s) catalogue_close(s->catalogue);
    mem_free(s);
}

const char *store_folder(const store *s) { return s->folder.text; }

const catalogue *store_catalogue(const store *s) { return s->catalogue; }

/* --- places --- */

hone_status store_full_name(const store *s, model_name *name, const char *text) {
    const catalogue_entry *known = catalogue_find(s->catalogue, text);
    origin source;
    bool is_source = !known && origin_is_meant(text) && origin_parse(&source, text) == HONE_OK &&
                     (source.kind == ORIGIN_HUB || source.kind == ORIGIN_OLLAMA);
    return is_source ? origin_model_name(&source, name)
                     : model_name_parse(name, known ? known->name : text);
}

/* <data folder>/<kind>/<name>/<tag><ending> */
static hone_status name_path(const store *s, const char *kind, const model_name *name,
                             const char *ending, fs_path *path) {
    const char *tag = strchr(name->text, ':');
    return fs_path_format(path, "%s/%s/%.*s/%s%s", s->folder.text, kind, (int)(tag - name->text),
                          name->text, tag + 1, ending);
}

hone_status store_manifest_path(const store *s, const model_name *name, fs_path *path) {
    return name_path(s, "models", name, ".json", path);
}

hone_status store_links_path(const store *s, const model_name *name, fs_path *path) {
    return name_path(s, "folders", name, "", path);
}

hone_status store_blob_path(const store *s, const sha256_hex *sha256, fs_path *path) {
    return fs_path_format(path, "%s/blobs/sha256-%s", s->folder.text, sha256->text);
}

hone_status store_file_path(const store *s, const manifest_file *file, fs_path *path) {
    return file->path[0] ? fs_path_format(path, "%s", file->path)
                         : store_blob_path(s, &file->sha256, path);
}

hone_status store_read_file(const store *s, const manifest_file *file, buf *out) {
    fs_path path;
    TRY(store_file_path(s, file, &path));
    return fs_read_file(out, path.text);
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

static bool ends_in_gguf(const char *text) {
    size_t n = strlen(text);
    return n > 5 && strcasecmp(text + n - 5, ".gguf") == 0;
}

/* What is opened: the one file, the first part among the links, or the folder of links. */
static hone_status set_path(const store *s, store_entry *entry) {
    const manifest *m = &entry->manifest;
    fs_path links;
    struct stat st;
    if (!manifest_is_folder(m)) return store_file_path(s, &m->files[0], &entry->path);
    TRY(store_links_path(s, &m->name, &links));
    entry->path = links;
    if (ends_in_gguf(m->files[0].name))
        TRY(fs_path_format(&entry->path, "%s/%s", links.text, m->files[0].name));
    if (stat(entry->path.text, &st) != 0)
        note_problem(entry, "its folder of links is missing from the store");
    return HONE_OK;
}

static hone_status check_files(const store *s, store_entry *entry) {
    const manifest *m = &entry->manifest;
    if (m->n_files == 0) return HONE_OK;
    TRY(set_path(s, entry));
    for (size_t i = 0; i < m->n_files; i++) {
        const manifest_file *file = &m->files[i];
        fs_path path;
        struct stat st;
        TRY(store_file_path(s, file, &path));
        entry->bytes += file->bytes;
        if (stat(path.text, &st) != 0)
            note_problem(entry, file->path[0] ? "its file is no longer where it was"
                                              : "its file is missing from the store");
        else if ((uint64_t)st.st_size != file->bytes)
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
    return check_files(s, entry);
}

/* --- finding --- */

hone_status store_fail_unknown(const char *name) {
    return fail(HONE_ERR_NOT_FOUND, "%s: no model of that name; `hone list` shows what is there",
                name);
}

static hone_status fail_not_pulled(const catalogue_entry *known) {
    if (!known->bytes)
        return fail(HONE_ERR_NOT_FOUND, "%s: not pulled yet: `hone pull %s` fetches it",
                    known->name, known->name);
    return fail(HONE_ERR_NOT_FOUND, "%s: not pulled yet: `hone pull %s` fetches it (%.0f MB)",
                known->name, known->name, (double)known->bytes / 1e6);
}

/* Hands an entry of a listing over. */
static void take_entry(store_listing *listing, size_t index, store_entry *entry) {
    *entry = *listing->entries[index];
    listing->entries[index]->manifest.files = NULL;
    listing->entries[index]->manifest.n_files = 0;
}

static bool take_named(store_listing *listing, const char *name, store_entry *entry) {
    for (size_t i = 0; i < listing->n; i++) {
        if (strcasecmp(listing->entries[i]->manifest.name.text, name) != 0) continue;
        take_entry(listing, i, entry);
        return true;
    }
    return false;
}

/* Of a file whose hash both know, the same one. */
static bool is_known_file(const store_entry *entry, const catalogue_entry *known) {
    const char *its = entry->manifest.n_files ? entry->manifest.files[0].sha256.text : "";
    const char *expected = known->files[0].sha256;
    return !*its || !expected || strcmp(its, expected) == 0;
}

/* The catalogue's source, as others call what they have from there. */
static bool take_known(store_listing *listing, const catalogue_entry *known, store_entry *entry) {
    for (const char *const *text = known->files[0].sources; *text; text++) {
        origin source;
        model_name name;
        bool has_name = origin_parse(&source, *text) == HONE_OK && source.kind != ORIGIN_PATH &&
                        origin_model_name(&source, &name) == HONE_OK;
        if (!has_name || !take_named(listing, name.text, entry)) continue;
        if (is_known_file(entry, known)) return true;
        manifest_release(&entry->manifest);
    }
    return false;
}

hone_status store_find_foreign(const store *s, const char *text, store_entry *entry) {
    store_listing listing = {0};
    model_name name;
    const catalogue_entry *known = catalogue_find(s->catalogue, text);
    TRY(store_full_name(s, &name, text));
    hone_status status = foreign_list(&listing);
    if (status == HONE_OK && !take_named(&listing, name.text, entry) &&
        !(known && take_known(&listing, known, entry)))
        status = known ? fail_not_pulled(known) : store_fail_unknown(text);
    store_listing_release(&listing);
    return status;
}

hone_status store_find(const store *s, const char *text, store_entry *entry) {
    model_name name;
    fs_path path;
    TRY(store_full_name(s, &name, text));
    TRY(store_manifest_path(s, &name, &path));
    if (access(path.text, F_OK) != 0) return store_find_foreign(s, text, entry);
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
    bool is_source = origin_is_meant(model);
    bool is_path = !is_source && (model[0] == '/' || model[0] == '.' || ends_in_gguf(model));
    bool exists = access(model, F_OK) == 0;
    if (!exists && is_path)
        return fail(errno == ENOENT ? HONE_ERR_NOT_FOUND : HONE_ERR_IO, "%s: %s", model,
                    strerror(errno));
    TRY(fs_path_format(&path, "%s", model));
    if (!is_path) {
        hone_status status = find_path(model, &path);
        bool unknown = status == HONE_ERR_NOT_FOUND || status == HONE_ERR_ARGUMENT;
        if (unknown && !exists && is_source)
            return fail(HONE_ERR_NOT_FOUND, "%s: a source, not a model: `hone pull` it first",
                        model);
        if (status != HONE_OK && !(unknown && exists)) return status;
    }
    char *copy = mem_copy_string(path.text, strlen(path.text));
    if (!copy) return mem_fail("path", strlen(path.text) + 1);
    *out = copy;
    return HONE_OK;
}

hone_status store_open_model(hone_model **out, const char *model,
                             const hone_model_options *options) {
    char *path;
    TRY(store_resolve(model, &path));
    hone_status status = hone_model_open(out, path, options);
    if (status != HONE_OK && strcmp(path, model) != 0) fail_context(status, "%s", model);
    mem_free(path);
    return status;
}

/* --- listing --- */

void store_listing_drop(store_listing *listing) {
    store_entry *last = listing->entries[--listing->n];
    manifest_release(&last->manifest);
    mem_free(last);
}

void store_listing_release(store_listing *listing) {
    while (listing->n > 0) store_listing_drop(listing);
    mem_free(listing->entries);
    *listing = (store_listing){0};
}

store_entry *store_listing_add(store_listing *listing) {
    if (listing->n == MAX_MODELS) {
        fail(HONE_ERR_MEMORY, "more than %d models", MAX_MODELS);
        return NULL;
    }
    if (listing->n == listing->capacity) {
        size_t capacity = listing->capacity * 2 + 8;
        store_entry **longer = mem_realloc(listing->entries, capacity, sizeof *longer);
        if (!longer) {
            mem_fail("list of models", capacity * sizeof *longer);
            return NULL;
        }
        listing->entries = longer;
        listing->capacity = capacity;
    }
    store_entry *entry = mem_calloc(1, sizeof *entry);
    if (entry)
        listing->entries[listing->n++] = entry;
    else
        mem_fail("list of models", sizeof *entry);
    return entry;
}

/* A walk through models/; `above` is "" or the name's parts so far. */
typedef struct walk {
    const store *store;
    store_listing *listing;
    const char *above;
    int depth;
} walk;

static hone_status add_entry(const walk *w, const char *path, const model_name *name) {
    store_entry *entry = store_listing_add(w->listing);
    if (!entry) return HONE_ERR_MEMORY;
    hone_status status = store_read_entry(w->store, path, name, entry);
    if (status != HONE_OK) store_listing_drop(w->listing);
    return status;
}

static hone_status list_item(void *context, const char *path, const char *item) {
    walk *w = context;
    fs_path below;
    struct stat st;
    model_name name;
    size_t n = strlen(item);
    if (stat(path, &st) != 0) return HONE_OK;
    if (S_ISDIR(st.st_mode) && w->depth < MODEL_NAME_MAX_PARTS) {
        TRY(fs_path_format(&below, "%s%s%s", w->above, *w->above ? "/" : "", item));
        walk deeper = {w->store, w->listing, below.text, w->depth + 1};
        return fs_each(path, list_item, &deeper);
    }
    if (n <= 5 || strcmp(item + n - 5, ".json") != 0 || !*w->above) return HONE_OK;
    TRY(fs_path_format(&below, "%s:%.*s", w->above, (int)n - 5, item));
    return model_name_parse(&name, below.text) == HONE_OK ? add_entry(w, path, &name) : HONE_OK;
}

static int by_name(const void *a, const void *b) {
    const store_entry *const *left = a, *const *right = b;
    int order = strcmp((*left)->manifest.name.text, (*right)->manifest.name.text);
    return order ? order : ((*left)->keeper != NULL) - ((*right)->keeper != NULL);
}

/* What the store has goes by its name there, not by another's. */
static void drop_doubles(store_listing *listing) {
    size_t kept = 0;
    for (size_t i = 0; i < listing->n; i++) {
        store_entry *entry = listing->entries[i];
        const store_entry *last = kept ? listing->entries[kept - 1] : NULL;
        if (last && strcmp(last->manifest.name.text, entry->manifest.name.text) == 0) {
            manifest_release(&entry->manifest);
            mem_free(entry);
        } else {
            listing->entries[kept++] = entry;
        }
    }
    listing->n = kept;
}

/* What the blobs occupy; foreign files there count as well. */
static hone_status add_bytes(void *context, const char *path, const char *name) {
    uint64_t *sum = context;
    struct stat st;
    (void)name;
    if (lstat(path, &st) == 0 && S_ISREG(st.st_mode)) *sum += (uint64_t)st.st_size;
    return HONE_OK;
}

hone_status store_list(const store *s, bool foreign, store_listing *out) {
    store_listing listing = {0};
    fs_path folder;
    walk w = {s, &listing, "", 0};
    hone_status status = fs_path_format(&folder, "%s/models", s->folder.text);
    if (status == HONE_OK) status = fs_each(folder.text, list_item, &w);
    if (status == HONE_OK && foreign) status = foreign_list(&listing);
    if (status == HONE_OK) status = fs_path_format(&folder, "%s/blobs", s->folder.text);
    if (status == HONE_OK) status = fs_each(folder.text, add_bytes, &listing.disk_bytes);
    if (status != HONE_OK) {
        store_listing_release(&listing);
        return status;
    }
    if (listing.n) qsort(listing.entries, listing.n, sizeof *listing.entries, by_name);
    drop_doubles(&listing);
    *out = listing;
    return HONE_OK;
}
