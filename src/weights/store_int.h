/* Inside of the store, for store*.c only. */
#ifndef WEIGHTS_STORE_INT_H
#define WEIGHTS_STORE_INT_H

#include "weights/store.h"

struct store {
    fs_path folder;
};

/* The full name, by way of the catalogue's aliases. */
hone_status store_full_name(model_name *name, const char *text);

hone_status store_manifest_path(const store *s, const model_name *name, fs_path *path);
hone_status store_blob_path(const store *s, const sha256_hex *sha256, fs_path *path);
hone_status store_lock(const store *s, fs_lock *lock);

/* Fills `entry` from the manifest at `path`; what is wrong with it goes into entry->problem, and
 * only a lack of memory is an error. `name` stands in where the manifest cannot be read. */
hone_status store_read_entry(const store *s, const char *path, const model_name *name,
                             store_entry *entry);

#endif
