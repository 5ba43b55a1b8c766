/* Models of the local store as JSON, for `list`, `pull` and `show`. */
#ifndef CLI_STORE_JSON_H
#define CLI_STORE_JSON_H

#include <jansson.h>

#include "weights/store.h"

/* {"name", "origin", "file", "bytes", "sha256", "license", "source", "revision", "modified",
 * "path", "problem", "files": [{"role", "file", "bytes", "sha256", "path"}]}; what is not known is
 * null, "origin" is "hone" or the program that keeps it. NULL when memory is short. */
json_t *store_entry_json(const store_entry *entry);

#endif
