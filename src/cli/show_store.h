/* What `hone show` says of a model from the store, beside what the model says of itself. */
#ifndef CLI_SHOW_STORE_H
#define CLI_SHOW_STORE_H

#include <jansson.h>

#include "cli/output.h"
#include "weights/store.h"

/* Rows for a table of two columns: origin, source, files, and the first line of small texts that
 * came with it (system prompt, parameters, a licence …). */
void show_store_rows(cli_table *table, const store_entry *entry);

/* As in `hone list --json`, and "texts": {"system": …, "params": …} in full. NULL when memory is
 * short. */
json_t *show_store_json(const store_entry *entry);

#endif
