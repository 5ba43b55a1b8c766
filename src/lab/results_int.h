/* What the parts of the results share: the handle, statements, the schema's steps. */
#ifndef LAB_RESULTS_INT_H
#define LAB_RESULTS_INT_H

#include <sqlite3.h>
#include <sys/types.h>

#include "base/fs.h"
#include "lab/results.h"

struct results {
    sqlite3 *db;
    fs_path path;
    dev_t device; /* of the file that was opened */
    ino_t inode;
};

/* results_steps[i] brings a database of version i to version i + 1. A step that was released is
 * never changed. */
enum { RESULTS_VERSION = 2 };
extern const char *const results_steps[RESULTS_VERSION];

/* The failure of SQLite's last call in hone's words; `what` says what was tried. */
hone_status results_fail(results *r, const char *what);

/* Runs SQL that gives no rows. */
hone_status results_run(results *r, const char *sql);

/* A transaction: begin, then end with what came of it; a failure takes all back. A writer that has
 * to wait too long gets HONE_ERR_IO. */
hone_status results_lock(results *r);
hone_status results_lock_to_read(results *r); /* one view of the database,
                                               * whoever writes meanwhile */
hone_status results_unlock(results *r, hone_status status);

/* A statement with its parameters ?1, ?2, … bound from `types`, one letter each: 'i' int64_t, 'd'
 * double (NAN = NULL), 't' const char * (NULL = NULL; repaired where it is no UTF-8), 'j' json_t *
 * (NULL = NULL). End it with sqlite3_finalize. */
hone_status results_prepare(results *r, sqlite3_stmt **out, const char *sql, const char *types,
                            ...);

/* The next row: *there false where there is none. */
hone_status results_step(results *r, sqlite3_stmt *statement, bool *there);

/* The same, run at once, for statements that give no rows. */
hone_status results_execute(results *r, const char *sql, const char *types, ...);

#endif
