/* What a model's files are, by their contents; remembered, since models are large. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/sha256.h"
#include "lab/model_files.h"
#include "lab/results_int.h"

typedef bool go_on_function(void *context, uint64_t bytes);

static int64_t modified_ns(const struct stat *s) {
    return (int64_t)s->st_mtim.tv_sec * 1000000000 + s->st_mtim.tv_nsec;
}

/* A file of the store has its hash in its name. */
static bool hash_in_name(const char *path, sha256_hex *hex) {
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    if (strncmp(name, "sha256-", 7) != 0 || !sha256_is_hex(name + 7)) return false;
    memcpy(hex->text, name + 7, sizeof hex->text);
    return true;
}

static hone_status remembered(results *r, const char *path, const struct stat *s, sha256_hex *hex,
                              bool *found) {
    sqlite3_stmt *statement;
    TRY(results_prepare(r, &statement,
                        "SELECT hash FROM file WHERE path = ?1 AND bytes = ?2 AND modified_ns = ?3"
                        " AND inode = ?4",
                        "tiii", path, (int64_t)s->st_size, modified_ns(s), (int64_t)s->st_ino));
    hone_status status = results_step(r, statement, found);
    const char *text = *found ? (const char *)sqlite3_column_text(statement, 0) : NULL;
    *found = text && sha256_is_hex(text);
    if (*found) memcpy(hex->text, text, sizeof hex->text);
    sqlite3_finalize(statement);
    return status;
}

static hone_status hash_file(results *r, const char *given, sha256_hex *hex, go_on_function *go_on,
                             void *context) {
    char path[PATH_MAX];
    struct stat now, *s = &now;
    bool found;
    if (!realpath(given, path) || stat(path, s) != 0) {
        return fail(HONE_ERR_IO, "%s: %s", given, strerror(errno));
    }
    if (hash_in_name(path, hex)) return HONE_OK;
    TRY(remembered(r, path, s, hex, &found));
    if (found) return HONE_OK;
    TRY(sha256_of_file(hex, path, go_on, context));
    return results_execute(r, "INSERT OR REPLACE INTO file VALUES (?1, ?2, ?3, ?4, ?5)", "tiiit",
                           path, (int64_t)s->st_size, modified_ns(s), (int64_t)s->st_ino,
                           hex->text);
}

/* Of several files, the exclusive or of the hashes of "hash name": they come in no order, and their
 * names differ. One file is its own hash. */
typedef struct files_hash {
    results *r;
    go_on_function *go_on;
    void *context;
    size_t n_files;
    sha256_hex last;
    uint8_t nibbles[64];
} files_hash;

static uint8_t nibble(char c) { return (uint8_t)(c <= '9' ? c - '0' : c - 'a' + 10); }

static hone_status add_file(void *context, const char *path, const char *name) {
    files_hash *f = context;
    sha256_hex both;
    char text[sizeof f->last.text + 256];
    TRY(hash_file(f->r, path, &f->last, f->go_on, f->context));
    snprintf(text, sizeof text, "%s %.255s", f->last.text, name);
    TRY(sha256_of_text(&both, text));
    for (size_t i = 0; i < sizeof f->nibbles; i++) f->nibbles[i] ^= nibble(both.text[i]);
    f->n_files++;
    return HONE_OK;
}

hone_status results_hash(results *r, const char *path, char hash[65], go_on_function *go_on,
                         void *context) {
    files_hash f = {.r = r, .go_on = go_on, .context = context};
    TRY(model_files_each(path, add_file, &f));
    for (size_t i = 0; i < sizeof f.nibbles && f.n_files != 1; i++) {
        f.last.text[i] = "0123456789abcdef"[f.nibbles[i]];
    }
    memcpy(hash, f.last.text, sizeof f.last.text);
    return HONE_OK;
}
