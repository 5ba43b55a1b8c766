/* API keys: whose they are and what their owners may have.
 *
 * A keys file has one key a line:
 *
 *     KEY [NAME] [priority=low|normal|high] [requests=N] [tokens=N]    # a comment
 *
 * KEY is the key itself, or sha256: and its hash in hexadecimal, so that the file need not hold
 * it. NAME stands in logs (key-LINE without one). requests and tokens are limits for each minute
 * instead of the server's.
 *
 * Only hashes are kept, and compared in the same time wherever they differ. The file is read again
 * when it changes: at most once a second somebody's request looks. A file that cannot be read or
 * understood leaves the keys as they are and says so in the log; one without keys lets nobody in.
 * Any thread may call. */
#ifndef SERVE_KEYS_H
#define SERVE_KEYS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/sha256.h"
#include "base/status.h"

typedef struct keys keys;

enum { KEYS_MAX = 4096, KEY_NAME_BYTES = 64 };

typedef enum client_priority {
    PRIORITY_LOW = -1, PRIORITY_NORMAL = 0, PRIORITY_HIGH = 1
} client_priority;

/* What somebody may have in a minute; 0 = as much as they like. */
typedef struct allowance {
    unsigned requests, tokens;
} allowance;

typedef struct key_owner {
    char name[KEY_NAME_BYTES];
    client_priority priority;
    allowance allowance; /* 0 = the server's */
} key_owner;

typedef struct keys_options {
    const char *path;   /* the keys file, borrowed; NULL = none */
    const char *single; /* one key more, named "key"; NULL = none. Not kept. */
    void (*log)(void *user, const char *line); /* may be NULL */
    void *user;
} keys_options;

/* HONE_ERR_FORMAT names the line that is wrong, or says that there is no key at all. */
hone_status keys_open(keys **out, const keys_options *options);
void keys_close(keys *k);

/* Whether anybody needs a key: false where neither file nor single key was given. */
bool keys_are_needed(const keys *k);
size_t keys_count(keys *k);

/* Whose key this is; false = nobody's. */
bool keys_find(keys *k, const char *key, key_owner *owner);

/* The priority of the owner of that name; normal where there is none. */
client_priority keys_priority(keys *k, const char *name);

/* --- the file, for tests --- */

typedef struct key_entry {
    sha256_hex hash;
    key_owner owner;
} key_entry;

/* Parses a keys file; `path` is for words. *entries[*n] is freed with mem_free. */
hone_status keys_parse(const char *text, size_t n_bytes, const char *path, key_entry **entries,
                       size_t *n);

#endif
