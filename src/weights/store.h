/* The local store: models that were pulled, by name.
 *
 *     <data folder>/                       weights/paths.h
 *         models/<name>/<tag>.json         what a name stands for (weights/manifest.h)
 *         blobs/sha256-<hash>              the files; shared by all names that want them
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
#include "weights/manifest.h"
#include "weights/origin.h"

typedef struct store store;

/* `folder` NULL = the user's data folder. Makes nothing on disk; an empty store needs no folder. */
hone_status store_open(store **s, const char *folder);
void store_close(store *s);
const char *store_folder(const store *s);

/* --- what is there --- */

typedef struct store_entry {
    manifest manifest;
    fs_path path;       /* the file to open */
    uint64_t bytes;     /* all files of the model */
    int64_t modified;   /* of the manifest, seconds since 1970 */
    char problem[200];  /* "" when all is well: an unreadable manifest, a missing file */
} store_entry;

typedef struct store_listing {
    store_entry **entries; /* sorted by name */
    size_t n, capacity;
    uint64_t disk_bytes; /* blobs counted once */
} store_listing;

hone_status store_list(const store *s, store_listing *listing);
void store_listing_release(store_listing *listing);

/* The model of that name (or of the catalogue's alias for it), whole: HONE_ERR_NOT_FOUND says how
 * to get it, HONE_ERR_FORMAT what is wrong with it. Release the entry's manifest. */
hone_status store_find(const store *s, const char *name, store_entry *entry);

/* Turns what a person typed for MODEL into a path: a path (it begins with '/' or '.', or ends in
 * .gguf), a name in the user's store, or a file or folder in the current one; names come first. The
 * path is the caller's (mem_free). HONE_ERR_NOT_FOUND tells what to do. */
hone_status store_resolve(const char *model, char **path);

/* --- changes --- */

typedef struct store_pull_options {
    const char *name;       /* NULL = the catalogue's, or made from the file's name */
    pull_observer *observe; /* may be NULL */
    void *context;
    int answer_timeout_s, stall_timeout_s; /* 0 = usual (http.h) */
} store_pull_options;

/* Fetches `what`: a name of the catalogue, or a source (weights/origin.h), and fills `entry`
 * (release its manifest). A model that is there already is not fetched again; *was_there (may be
 * NULL) says so. Sources are tried in order; when none works the words say why for each.
 * HONE_ERR_MEMORY: the disk is full; HONE_ERR_CANCELLED: the observer said so. An interrupted pull
 * continues at the next call. A second process that pulls the same file waits for the first. */
hone_status store_pull(const store *s, const char *what, const store_pull_options *options,
                       store_entry *entry, bool *was_there);

/* Takes the name away, and its files where no other name needs them. *freed (may be NULL) is the
 * number of bytes given back. Programs that have a file mapped keep it until they close it. */
hone_status store_remove(const store *s, const char *name, uint64_t *freed);

#endif
