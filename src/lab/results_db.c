/* SQLite under the results: opening, migrating, statements, transactions. */
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "base/system.h"
#include "base/utf8.h"
#include "lab/results_int.h"
#include "weights/paths.h"

enum { WAIT_MS = 10000, APPLICATION_ID = 0x686f6e65 /* "hone" */ };
#define MAX_TEXT_BYTES ((size_t)256 << 20) /* of one value */

hone_status results_fail(results *r, const char *what) {
    int code = r->db ? sqlite3_errcode(r->db) : SQLITE_NOMEM;
    const char *words = r->db ? sqlite3_errmsg(r->db) : "out of memory";
    hone_status status = code == SQLITE_NOMEM || code == SQLITE_FULL ? HONE_ERR_MEMORY
                         : code == SQLITE_NOTADB || code == SQLITE_CORRUPT ? HONE_ERR_FORMAT
                                                                           : HONE_ERR_IO;
    if (code == SQLITE_BUSY || code == SQLITE_LOCKED) words = "another program is writing into it";
    return fail(status, "%s: %s: %s", r->path.text, what, words);
}

hone_status results_run(results *r, const char *sql) {
    return sqlite3_exec(r->db, sql, NULL, NULL, NULL) == SQLITE_OK ? HONE_OK
                                                                   : results_fail(r, "SQL");
}

/* A rollback for which there was no memory is made up for first. */
static hone_status begin(results *r, const char *sql) {
    if (!sqlite3_get_autocommit(r->db)) TRY(results_run(r, "ROLLBACK"));
    return results_run(r, sql);
}

hone_status results_lock(results *r) { return begin(r, "BEGIN IMMEDIATE"); }

hone_status results_lock_to_read(results *r) { return begin(r, "BEGIN"); }

hone_status results_unlock(results *r, hone_status status) {
    if (status == HONE_OK) status = results_run(r, "COMMIT");
    if (status != HONE_OK) sqlite3_exec(r->db, "ROLLBACK", NULL, NULL, NULL);
    return status;
}

/* --- statements --- */

/* SQLite's own copy of the text, valid UTF-8 without NULs. */
static int bind_text(sqlite3_stmt *statement, int place, const char *text) {
    if (!text) return sqlite3_bind_null(statement, place);
    size_t n = strlen(text);
    if (n > MAX_TEXT_BYTES) return SQLITE_TOOBIG;
    if (utf8_is_valid(text, n)) {
        return sqlite3_bind_text(statement, place, text, (int)n, SQLITE_TRANSIENT);
    }
    buf repaired;
    buf_init(&repaired, 3 * MAX_TEXT_BYTES);
    int code = SQLITE_NOMEM;
    if (utf8_add_replaced(&repaired, text, n) == HONE_OK) {
        code = sqlite3_bind_text(statement, place, repaired.data, (int)repaired.len,
                                 SQLITE_TRANSIENT);
    }
    buf_release(&repaired);
    return code;
}

static int bind_json(sqlite3_stmt *statement, int place, const json_t *value) {
    if (!value) return sqlite3_bind_null(statement, place);
    char *text = json_dumps(value, JSON_COMPACT | JSON_REAL_PRECISION(12));
    int code = text ? bind_text(statement, place, text) : SQLITE_NOMEM;
    mem_free(text);
    return code;
}

static int bind_all(sqlite3_stmt *statement, const char *types, va_list args) {
    int code = SQLITE_OK;
    for (int place = 1; *types && code == SQLITE_OK; place++, types++) {
        switch (*types) {
        case 'i': code = sqlite3_bind_int64(statement, place, va_arg(args, int64_t)); break;
        case 'd': code = sqlite3_bind_double(statement, place, va_arg(args, double)); break;
        case 't': code = bind_text(statement, place, va_arg(args, const char *)); break;
        case 'j': code = bind_json(statement, place, va_arg(args, const json_t *)); break;
        }
    }
    return code;
}

static hone_status prepare(results *r, sqlite3_stmt **out, const char *sql, const char *types,
                           va_list args) {
    sqlite3_stmt *statement = NULL;
    int code = sqlite3_prepare_v2(r->db, sql, -1, &statement, NULL);
    if (code != SQLITE_OK) return results_fail(r, "SQL");
    code = bind_all(statement, types, args);
    if (code == SQLITE_OK) {
        *out = statement;
        return HONE_OK;
    }
    sqlite3_finalize(statement);
    return fail(HONE_ERR_MEMORY, "%s: a value: %s", r->path.text, sqlite3_errstr(code));
}

hone_status results_prepare(results *r, sqlite3_stmt **out, const char *sql, const char *types,
                            ...) {
    va_list args;
    va_start(args, types);
    hone_status status = prepare(r, out, sql, types, args);
    va_end(args);
    return status;
}

hone_status results_step(results *r, sqlite3_stmt *statement, bool *there) {
    int code = sqlite3_step(statement);
    *there = code == SQLITE_ROW;
    return code == SQLITE_ROW || code == SQLITE_DONE ? HONE_OK : results_fail(r, "reading");
}

hone_status results_execute(results *r, const char *sql, const char *types, ...) {
    sqlite3_stmt *statement;
    va_list args;
    va_start(args, types);
    hone_status status = prepare(r, &statement, sql, types, args);
    va_end(args);
    if (status != HONE_OK) return status;
    if (sqlite3_step(statement) != SQLITE_DONE) status = results_fail(r, "writing");
    sqlite3_finalize(statement);
    return status;
}

/* The one number that a statement gives. */
static hone_status read_number(results *r, const char *sql, int64_t *number) {
    sqlite3_stmt *statement;
    bool there;
    TRY(results_prepare(r, &statement, sql, ""));
    hone_status status = results_step(r, statement, &there);
    if (status == HONE_OK && there) *number = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    return status;
}

/* --- memory: SQLite asks base/mem.h, like everybody --- */

enum { SIZE_BYTES = 16 }; /* in front of each block: SQLite wants to know how large it is */

static void *sqlite_alloc(int n) {
    char *block = mem_alloc((size_t)n + SIZE_BYTES);
    if (!block) return NULL;
    memcpy(block, &n, sizeof n);
    return block + SIZE_BYTES;
}

static void sqlite_release(void *memory) {
    if (memory) mem_free((char *)memory - SIZE_BYTES);
}

static void *sqlite_realloc(void *memory, int n) {
    char *block = mem_realloc((char *)memory - SIZE_BYTES, (size_t)n + SIZE_BYTES, 1);
    if (!block) return NULL;
    memcpy(block, &n, sizeof n);
    return block + SIZE_BYTES;
}

static int sqlite_size(void *memory) {
    int n = 0;
    if (memory) memcpy(&n, (char *)memory - SIZE_BYTES, sizeof n);
    return n;
}

static int sqlite_round_up(int n) { return (n + 7) & ~7; }
static int sqlite_begin(void *unused) { return (void)unused, SQLITE_OK; }
static void sqlite_end(void *unused) { (void)unused; }

/* Refused, and no harm, where the host program uses SQLite already. */
static void use_mem(void) {
    static const sqlite3_mem_methods methods = {sqlite_alloc, sqlite_release,  sqlite_realloc,
                                                sqlite_size,  sqlite_round_up, sqlite_begin,
                                                sqlite_end,   NULL};
    sqlite3_config(SQLITE_CONFIG_MALLOC, &methods);
    json_use_mem();
}

/* --- opening --- */

static hone_status make_path(fs_path *path, const char *given) {
    fs_path folder;
    if (given) return fs_path_format(path, "%s", given);
    TRY(paths_folder(&folder, PATHS_DATA));
    TRY(fs_make_folders(folder.text));
    return fs_path_format(path, "%s/results.db", folder.text);
}

/* Other processes may be opening it for the first time, too: then SQLite may not wait by itself. */
static hone_status use_log(results *r) {
    double start_ms = clock_ms();
    for (;;) {
        int code = sqlite3_exec(r->db, "PRAGMA journal_mode = WAL", NULL, NULL, NULL);
        if (code == SQLITE_OK) return HONE_OK;
        if (code != SQLITE_BUSY || clock_ms() - start_ms > WAIT_MS) {
            return results_fail(r, "opening");
        }
        sqlite3_sleep(10);
    }
}

/* Whether it is ours, and of which version. */
static hone_status identify(results *r, int64_t *version) {
    int64_t application = 0, n_tables = 0;
    TRY(read_number(r, "PRAGMA application_id", &application));
    TRY(read_number(r, "PRAGMA user_version", version));
    TRY(read_number(r, "SELECT count(*) FROM sqlite_schema", &n_tables));
    if (application != APPLICATION_ID && (application || n_tables)) {
        return fail(HONE_ERR_FORMAT, "%s: a database of another program", r->path.text);
    }
    if (*version <= RESULTS_VERSION) return HONE_OK;
    return fail(HONE_ERR_UNSUPPORTED, "%s: made by a later hone (schema %lld, this one knows %d)",
                r->path.text, (long long)*version, RESULTS_VERSION);
}

static hone_status migrate(results *r) {
    int64_t version;
    char sql[96];
    TRY(identify(r, &version)); /* again: somebody else may just have done it */
    for (; version < RESULTS_VERSION; version++) TRY(results_run(r, results_steps[version]));
    snprintf(sql, sizeof sql, "PRAGMA application_id = %d; PRAGMA user_version = %d",
             APPLICATION_ID, RESULTS_VERSION);
    return results_run(r, sql);
}

static hone_status prepare_database(results *r) {
    int64_t version;
    sqlite3_busy_timeout(r->db, WAIT_MS);
    sqlite3_db_config(r->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    sqlite3_db_config(r->db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    /* in one transaction: somebody may be making it just now */
    TRY(results_lock_to_read(r));
    TRY(results_unlock(r, identify(r, &version)));
    TRY(use_log(r));
    /* FULL: what is committed also survives a power cut. */
    TRY(results_run(r, "PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;"
                       "PRAGMA secure_delete = ON")); /* prompts that were deleted are gone */
    if (version == RESULTS_VERSION) return HONE_OK;
    TRY(results_lock(r));
    return results_unlock(r, migrate(r));
}

static bool find_file(const results *r, dev_t *device, ino_t *inode) {
    struct stat s;
    if (stat(r->path.text, &s) != 0) return false;
    *device = s.st_dev;
    *inode = s.st_ino;
    return true;
}

hone_status results_open(results **out, const char *path) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, use_mem);
    results *r = mem_calloc(1, sizeof *r);
    if (!r) return mem_fail("the results", sizeof *r);
    hone_status status = make_path(&r->path, path);
    if (status == HONE_OK) {
        int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
        if (sqlite3_open_v2(r->path.text, &r->db, flags, NULL) != SQLITE_OK) {
            status = results_fail(r, "opening");
        }
    }
    if (status == HONE_OK) status = prepare_database(r);
    if (status == HONE_OK) (void)find_file(r, &r->device, &r->inode);
    if (status != HONE_OK) {
        results_close(r);
        return status;
    }
    *out = r;
    return HONE_OK;
}

void results_close(results *r) {
    if (!r) return;
    sqlite3_close(r->db);
    mem_free(r);
}

const char *results_path(const results *r) { return r->path.text; }

hone_status results_data_version(results *r, int64_t *version) {
    return read_number(r, "PRAGMA data_version", version);
}

bool results_is_in_place(const results *r) {
    dev_t device;
    ino_t inode;
    return find_file(r, &device, &inode) && device == r->device && inode == r->inode;
}
