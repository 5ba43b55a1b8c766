/* What choosing reads from files, kept for who chooses often: the rules written by hand, and the
 * rows of the results database. Each time it is looked whether the files are still the same (their
 * size, time and place; SQLite's data_version); what is not is read again.
 *
 * Threads may share it. */
#ifndef ROUTE_FILES_H
#define ROUTE_FILES_H

#include "route/measured.h"
#include "route/rules.h"

typedef struct route_files route_files;

/* Reads nothing yet. */
hone_status route_files_open(route_files **f);
void route_files_close(route_files *f); /* nobody has rules of it any more; NULL is allowed */

/* The rules of route_rules_read_usual, and its errors. They stay as they are until they are given
 * back, also where the file changes. */
hone_status route_files_rules(route_files *f, const route_rules **rules);
void route_files_return(route_files *f, const route_rules *rules); /* NULL is allowed */

/* As measured_read, from the database in the data folder. */
hone_status route_files_measured(route_files *f, measured *m, const store_listing *candidates,
                                 prompt_kind kind);

#endif
