/* Inside of the store, for store*.c and foreign.c only. */
#ifndef WEIGHTS_STORE_INT_H
#define WEIGHTS_STORE_INT_H

#include "weights/store.h"

struct store {
    fs_path folder;
    catalogue *catalogue;
};

hone_status store_manifest_path(const store *s, const model_name *name, fs_path *path);
hone_status store_blob_path(const store *s, const sha256_hex *sha256, fs_path *path);
/* The folder of links for a model of several files. */
hone_status store_links_path(const store *s, const model_name *name, fs_path *path);
hone_status store_lock(const store *s, fs_lock *lock);

hone_status store_fail_unknown(const char *name);

/* Fills `entry` from the manifest at `path`; what is wrong with it goes into entry->problem, and
 * only a lack of memory is an error. `name` stands in where the manifest cannot be read. */
hone_status store_read_entry(const store *s, const char *path, const model_name *name,
                             store_entry *entry);

/* Writes the manifest, and the links that it needs, under the lock. All blobs must be there. */
hone_status store_write_entry(const store *s, const manifest *m);

/* An entry more, zeroed; NULL with words when memory is short. And the last one away. */
store_entry *store_listing_add(store_listing *listing);
void store_listing_drop(store_listing *listing);

/* What others keep under that name, or keep of the catalogue's entry of that name. */
hone_status store_find_foreign(const store *s, const char *name, store_entry *entry);

#endif
