/* What `show` says of a quantised file's fidelity record, where it has one. */
#ifndef CLI_SHOW_LOSSES_H
#define CLI_SHOW_LOSSES_H

#include "cli/output.h"

/* Rows of two columns; none for a model without a record. `name` as typed. */
void show_losses_rows(cli_table *table, const char *name);

/* Adds "fidelity" to the object. */
void show_losses_json(json_t *root, const char *name);

#endif
