/* A model of the store as `list --json` and `pull --json` print it. */
#ifndef CLI_STORE_JSON_H
#define CLI_STORE_JSON_H

#include <jansson.h>

#include "weights/store.h"

/* {"name", "file", "bytes", "sha256", "license", "source", "modified", "path", "problem"}; license,
 * source and problem are null where there is none, "modified" is UTC as "2026-01-31T12:00:00Z".
 * NULL when memory is short. */
json_t *store_entry_json(const store_entry *entry);

#endif
