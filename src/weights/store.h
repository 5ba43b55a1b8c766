/* The local store: models that were pulled, by name.
 *
 *     <data folder>/                       weights/paths.h
 *         models/<name>/<tag>.json         what a name stands for (weights/manifest.h)
 *         blobs/sha256-<hash>              the files; shared by all names that want them
 *         folders/<name>/<tag>/            for models of several files: links under their own names
 *         partial/<key>/                   a pull that is under way or was interrupted
 *         partial/<key>.lock               … and who does it
 *         lock                             held for the moment in which names and blobs change
 *
 * A blob gets its name only when its size and hash are right and its bytes are on disk, and a
 * manifest appears only after its blobs: whenever a process is killed, what has a name is whole.
 * Several processes may use one store at once. A handle is immutable: threads may share it. */
#ifndef WEIGHTS_STORE_H
#define WEIGHTS_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/fs.h"
#include "base/status.h"
#include "hone/model.h"
#include "weights/catalogue.h"
#include "weights/manifest.h"
#include "weights/origin.h"

typedef struct store store;

/* `folder` NULL = the user's data folder. Makes nothing on disk; an empty store needs no folder.
 * Reads the catalogue: HONE_ERR_FORMAT where the user's own entries are wrong. */
hone_status store_open(store **s, const char *folder);
void store_close(store *s);
const char *store_folder(const store *s);
const catalogue *store_catalogue(const store *s);

/* --- what is there --- */

typedef struct store_entry {
    manifest manifest;
    fs_path path;       /* the file or folder to open */
    uint64_t bytes;     /* all files of the model */
    int64_t modified;   /* of the manifest, seconds since 1970 */
    const char *keeper; /* whose it is, where not hone's: "ollama", …; else NULL */
    char problem[200];  /* "" when all is well: an unreadable manifest, a missing file */
} store_entry;

typedef struct store_listing {
    store_entry **entries; /* sorted by name */
    size_t n, capacity;
    uint64_t disk_bytes; /* blobs counted once */
} store_listing;

/* With `foreign`, also what other programs keep on this machine (weights/foreign.h), unless the
 * store has something of that name. */
hone_status store_list(const store *s, bool foreign, store_listing *listing);
void store_listing_release(store_listing *listing);

/* The full name of what was typed: of the catalogue's alias, of a source on a hub or in a registry,
 * or of a name without its tag. Looks at nothing on disk. HONE_ERR_ARGUMENT where it is no name. */
hone_status store_full_name(const store *s, model_name *name, const char *text);

/* The model of that name (or of the catalogue's alias for it), whole; from the store, or where
 * another program keeps it. HONE_ERR_NOT_FOUND says how to get it, HONE_ERR_FORMAT what is wrong
 * with it. Release the entry's manifest. */
hone_status store_find(const store *s, const char *name, store_entry *entry);

/* Where a file of a manifest lies; and a small one read, appended to `out`, whose maximum bounds
 * it. */
hone_status store_file_path(const store *s, const manifest_file *file, fs_path *path);
hone_status store_read_file(const store *s, const manifest_file *file, buf *out);

/* Turns what a person typed for MODEL into a path: a path (it begins with '/' or '.', or ends in
 * .gguf), a name in the user's store, or a file or folder in the current one; names come first. The
 * path is the caller's (mem_free). HONE_ERR_NOT_FOUND tells what to do. */
hone_status store_resolve(const char *model, char **path);

/* Resolves and opens; an error of a file in the store names the model, not the hash alone. */
hone_status store_open_model(hone_model **out, const char *model,
                             const hone_model_options *options);

/* Reads all files of a model and compares them with what the manifest says. HONE_ERR_FORMAT names
 * the first that differs. *n_unknown (may be NULL) counts those of which no hash is known. `go_on`
 * (may be NULL) hears how far it is; false gives HONE_ERR_CANCELLED. */
hone_status store_verify(const store *s, const store_entry *entry,
                         bool (*go_on)(void *context, const char *file, uint64_t bytes,
                                       uint64_t total),
                         void *context, size_t *n_unknown);

/* --- changes --- */

typedef struct store_pull_options {
    const char *name;       /* NULL = the catalogue's, or made from the source */
    pull_observer *observe; /* may be NULL */
    void *context;
    int answer_timeout_s, stall_timeout_s; /* 0 = usual (http.h) */
} store_pull_options;

/* Fetches `what`: a name of the catalogue, or a source (weights/origin.h), and fills `entry`
 * (release its manifest). A model that is there already is not fetched again, nor one that another
 * program keeps on this machine; *was_there (may be NULL) says so. So it is with each file whose
 * hash is known before. Files on this machine are used where they lie.
 *
 * Sources are tried in order; when none works the words say why for each. HONE_ERR_MEMORY: the disk
 * is full; HONE_ERR_CANCELLED: the observer said so. An interrupted pull continues at the next
 * call. A second process that pulls the same file waits for the first. */
hone_status store_pull(const store *s, const char *what, const store_pull_options *options,
                       store_entry *entry, bool *was_there);

/* --- models made from parts (store_make.c) --- */

/* Whether the store has that blob. *bytes may be NULL. */
bool store_has_blob(const store *s, const sha256_hex *sha256, uint64_t *bytes);

/* A blob of a known hash that comes piece by piece. `commit` is HONE_ERR_FORMAT when what came has
 * another one; until then, and whenever the process is killed, the store is as it was. Fine where
 * the blob is there already. One thread at a time. */
typedef struct store_blob store_blob;
hone_status store_blob_open(store_blob **blob, const store *s, const sha256_hex *sha256);
hone_status store_blob_write(store_blob *blob, const void *bytes, size_t n);
hone_status store_blob_commit(store_blob *blob);
void store_blob_close(store_blob *blob); /* NULL is allowed */

/* A small text becomes a blob: fills the file's hash and size. */
hone_status store_add_text(const store *s, const char *text, size_t n, manifest_file *file);

/* A new folder of the store's own for files and links on their way. Closing removes it; what a
 * killed process leaves there is removed by store_prune. */
typedef struct store_scratch {
    fs_path folder; /* "" = none is open */
    fs_lock lock;   /* while it is held, nothing is pruned that it could need */
} store_scratch;
hone_status store_scratch_open(store_scratch *scratch, const store *s);
void store_scratch_close(store_scratch *scratch);

/* A file in such a folder becomes a blob: fills the file's hash and size. */
hone_status store_add_file(const store *s, const char *path, manifest_file *file);

/* Gives the manifest's name to its files, in place of what had it. All of them must be there. */
hone_status store_define(const store *s, const manifest *m);

/* Gives the model `from` a second name. Files are shared; what another program keeps stays there.
 * HONE_ERR_ARGUMENT where the name is taken by another model. */
hone_status store_copy(const store *s, const char *from, const char *to);

/* Takes the name away, and its files where no other name needs them. *freed (may be NULL) is the
 * number of bytes given back. Refused where a running program has one of those files open
 * (HONE_ERR_IO; it holds a lock on it, base/file_map.h), and where another program is the keeper
 * (HONE_ERR_UNSUPPORTED). */
hone_status store_remove(const store *s, const char *name, uint64_t *freed);

/* Removes what nothing needs any more: interrupted pulls, files that no name stands for, what
 * killed writers left. `removed` (may be NULL) hears of each. While a pull is under way in another
 * process, what could be its work stays. With `only_look`, nothing is removed. */
hone_status store_prune(const store *s, bool only_look,
                        void (*removed)(void *context, const char *path, uint64_t bytes),
                        void *context);

/* The same for half-written files beside models in any folder (base/new_file.h). */
hone_status store_prune_folder(const char *folder, bool only_look,
                               void (*removed)(void *context, const char *path, uint64_t bytes),
                               void *context);

#endif
