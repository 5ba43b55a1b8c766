/* Where tasks lie: manifests and items as files. */
#ifndef LAB_TASK_PLACES_H
#define LAB_TASK_PLACES_H

#include "base/fs.h"
#include "base/json.h"

/* The manifest's path for a name, or for a path itself. HONE_ERR_NOT_FOUND. */
hone_status task_places_find_manifest(fs_path *path, const char *name);

/* The file of items that a manifest names ("items"), beside it or where fetched ones are kept.
 * HONE_ERR_NOT_FOUND says how to get them. */
hone_status task_places_find_items(fs_path *path, const char *manifest_path, const json_t *m);

#endif
