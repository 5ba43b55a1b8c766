/* Removing what nothing needs any more. */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "weights/store_int.h"

typedef struct pruning {
    const store *store;
    store_listing all;
    bool only_look;
    bool pull_is_under_way;
    void (*removed)(void *context, const char *path, uint64_t bytes);
    void *context;
} pruning;

static uint64_t tree_bytes(const char *path);

static hone_status add_bytes(void *context, const char *path, const char *name) {
    (void)name;
    *(uint64_t *)context += tree_bytes(path);
    return HONE_OK;
}

/* Links count as nothing, wherever they lead. */
static uint64_t tree_bytes(const char *path) {
    struct stat st;
    uint64_t sum = 0;
    if (lstat(path, &st) != 0) return 0;
    if (S_ISREG(st.st_mode)) return (uint64_t)st.st_size;
    if (S_ISDIR(st.st_mode)) fs_each(path, add_bytes, &sum);
    return sum;
}

static hone_status take_away(pruning *p, const char *path) {
    uint64_t bytes = tree_bytes(path);
    if (!p->only_look) TRY(fs_remove_tree(path));
    if (p->removed) p->removed(p->context, path, bytes);
    return HONE_OK;
}

static bool ends_in(const char *text, const char *end) {
    size_t n = strlen(text), m = strlen(end);
    return n > m && strcmp(text + n - m, end) == 0;
}

/* --- partial/ --- */

static hone_status look_for_pulls(void *context, const char *path, const char *name) {
    pruning *p = context;
    if (ends_in(name, ".lock") && fs_is_locked(path)) p->pull_is_under_way = true;
    return HONE_OK;
}

/* <key>, <key>.wheels and <key>.lock: all but those of a pull that is under way. */
static hone_status prune_partial(void *context, const char *path, const char *name) {
    fs_path lock;
    fs_path folder;
    int key = (int)strcspn(name, ".");
    TRY(fs_path_format(&folder, "%s", path));
    *strrchr(folder.text, '/') = 0;
    TRY(fs_path_format(&lock, "%s/%.*s.lock", folder.text, key, name));
    return fs_is_locked(lock.text) ? HONE_OK : take_away(context, path);
}

/* --- blobs/ and folders/ --- */

static bool is_named(const pruning *p, const char *blob) {
    for (size_t i = 0; i < p->all.n; i++) {
        const manifest *m = &p->all.entries[i]->manifest;
        if (m->n_files == 0) return true; /* unreadable: it might name anything */
        for (size_t k = 0; k < m->n_files; k++)
            if (!m->files[k].path[0] && strcmp(m->files[k].sha256.text, blob) == 0) return true;
    }
    return false;
}

static hone_status prune_blob(void *context, const char *path, const char *name) {
    pruning *p = context;
    bool is_blob = strncmp(name, "sha256-", 7) == 0 && sha256_is_hex(name + 7);
    if (!is_blob || is_named(p, name + 7) || fs_is_locked(path)) return HONE_OK;
    return take_away(p, path);
}

/* Links whose model has gone. The folder of a name holds links and nothing else. */
static hone_status prune_links(void *context, const char *path, const char *name) {
    pruning *p = context;
    struct stat st;
    (void)name;
    if (lstat(path, &st) != 0 || !S_ISDIR(st.st_mode)) return HONE_OK;
    for (size_t i = 0; i < p->all.n; i++) {
        fs_path links;
        TRY(store_links_path(p->store, &p->all.entries[i]->manifest.name, &links));
        size_t n = strlen(path);
        /* This one's, or a folder above it. */
        if (strncmp(links.text, path, n) == 0 && (!links.text[n] || links.text[n] == '/'))
            return links.text[n] ? fs_each(path, prune_links, p) : HONE_OK;
    }
    return take_away(p, path);
}

/* --- half-written files --- */

/* "<name>.<pid>-<number>.part", whose writer holds a lock on it while it lives. */
static hone_status prune_part(void *context, const char *path, const char *name) {
    pruning *p = context;
    struct stat st;
    size_t n = strlen(name);
    if (lstat(path, &st) != 0) return HONE_OK;
    if (S_ISDIR(st.st_mode) && p->store) return fs_each(path, prune_part, p);
    if (!S_ISREG(st.st_mode) || !ends_in(name, ".part")) return HONE_OK;
    const char *at = name + n - strlen(".part");
    while (at > name && strspn(at - 1, "0123456789-") > 0) at--;
    unsigned long pid, number;
    int length = 0;
    if (at == name || at[-1] != '.' || sscanf(at, "%lu-%lu.part%n", &pid, &number, &length) != 2 ||
        at[length] || !length || fs_is_locked(path))
        return HONE_OK;
    return take_away(p, path);
}

/* --- all of it --- */

static hone_status go_through(pruning *p, const char *below,
                              hone_status (*each)(void *context, const char *path,
                                                  const char *name)) {
    fs_path folder;
    TRY(fs_path_format(&folder, "%s/%s", p->store->folder.text, below));
    return fs_each(folder.text, each, p);
}

static hone_status prune_under_lock(pruning *p) {
    TRY(go_through(p, "partial", look_for_pulls));
    TRY(go_through(p, "partial", prune_partial));
    TRY(go_through(p, "models", prune_part));
    TRY(go_through(p, "folders", prune_links));
    TRY(go_through(p, "blobs", prune_part));
    return p->pull_is_under_way ? HONE_OK : go_through(p, "blobs", prune_blob);
}

hone_status store_prune(const store *s, bool only_look,
                        void (*removed)(void *context, const char *path, uint64_t bytes),
                        void *context) {
    pruning p = {.store = s, .only_look = only_look, .removed = removed, .context = context};
    fs_lock lock;
    if (access(s->folder.text, F_OK) != 0) return HONE_OK; /* nothing was ever pulled */
    TRY(store_lock(s, &lock));
    hone_status status = store_list(s, false, &p.all);
    if (status == HONE_OK) {
        status = prune_under_lock(&p);
        store_listing_release(&p.all);
    }
    fs_lock_release(&lock, false);
    return status;
}

hone_status store_prune_folder(const char *folder, bool only_look,
                               void (*removed)(void *context, const char *path, uint64_t bytes),
                               void *context) {
    pruning p = {.only_look = only_look, .removed = removed, .context = context};
    return fs_each(folder, prune_part, &p);
}
