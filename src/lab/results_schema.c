/* The database's schema, step by step; docs/results.md explains it. */
#include "lab/results_int.h"

const char *const results_steps[RESULTS_VERSION] = {
    /* 1 */
    "CREATE TABLE machine ("
    "  fingerprint TEXT PRIMARY KEY,"
    "  cpu TEXT NOT NULL, features TEXT NOT NULL,"
    "  cores INTEGER NOT NULL, processors INTEGER NOT NULL,"
    "  memory_bytes INTEGER NOT NULL, cache_bytes INTEGER NOT NULL"
    ") STRICT;"
    "CREATE TABLE result ("
    "  id INTEGER PRIMARY KEY AUTOINCREMENT," /* an id that was deleted does not come back */
    "  kind TEXT NOT NULL,"
    "  state TEXT NOT NULL CHECK (state IN ('running', 'finished')),"
    "  started_ms INTEGER NOT NULL, seconds REAL NOT NULL DEFAULT 0,"
    "  machine TEXT NOT NULL REFERENCES machine (fingerprint),"
    "  kernel TEXT NOT NULL, build TEXT NOT NULL,"
    "  process INTEGER NOT NULL, folder TEXT NOT NULL,"
    "  command TEXT, environment TEXT NOT NULL, settings TEXT NOT NULL," /* JSON */
    "  items_hash TEXT,"
    "  repeats INTEGER," /* of a result that may have been deleted since */
    "  detail TEXT" /* JSON */
    ") STRICT;"
    "CREATE INDEX result_by_time ON result (started_ms);"
    "CREATE TABLE subject ("
    "  result INTEGER NOT NULL REFERENCES result (id) ON DELETE CASCADE,"
    "  place INTEGER NOT NULL,"
    "  role TEXT NOT NULL, name TEXT NOT NULL, file TEXT, hash TEXT, quantisation TEXT,"
    "  bytes INTEGER NOT NULL,"
    "  PRIMARY KEY (result, place)"
    ") STRICT, WITHOUT ROWID;"
    "CREATE TABLE metric ("
    "  result INTEGER NOT NULL REFERENCES result (id) ON DELETE CASCADE,"
    "  name TEXT NOT NULL, condition TEXT NOT NULL, unit TEXT NOT NULL,"
    "  value REAL, low REAL, high REAL, n INTEGER NOT NULL, better INTEGER NOT NULL,"
    "  items_hash TEXT, samples TEXT," /* JSON */
    "  UNIQUE (result, name, condition)"
    ") STRICT;"
    "CREATE TABLE reason ("
    "  result INTEGER NOT NULL REFERENCES result (id) ON DELETE CASCADE,"
    "  place INTEGER NOT NULL, code TEXT NOT NULL, words TEXT NOT NULL,"
    "  PRIMARY KEY (result, place)"
    ") STRICT, WITHOUT ROWID;"
    "CREATE TABLE item ("
    "  result INTEGER NOT NULL REFERENCES result (id) ON DELETE CASCADE,"
    "  task TEXT NOT NULL, id TEXT NOT NULL,"
    "  prompt TEXT, output TEXT, verdict TEXT, reason TEXT, score REAL, scores TEXT," /* JSON */
    "  UNIQUE (result, task, id)"
    ") STRICT;",
    /* 2: files are not hashed twice */
    "CREATE TABLE file ("
    "  path TEXT PRIMARY KEY,"
    "  bytes INTEGER NOT NULL, modified_ns INTEGER NOT NULL, inode INTEGER NOT NULL,"
    "  hash TEXT NOT NULL"
    ") STRICT, WITHOUT ROWID;",
};
