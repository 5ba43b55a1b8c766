/* The keys file and its owners (serve/keys.h). */
#include "serve/keys.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/system.h"

#define MAX_FILE_BYTES (1 << 20)
#define LOOK_MS 1000

/* What tells one state of the file from the next. */
typedef struct file_state {
    struct timespec changed;
    off_t size;
    ino_t inode;
} file_state;

struct keys {
    keys_options options;
    pthread_mutex_t lock;
    key_entry *entries; /* those of the file */
    size_t n;
    key_entry single;
    file_state read; /* the state that `entries` come from */
    double look_at;  /* when to look next */
};

/* --- one line --- */

static bool set_name(key_owner *owner, const char *word) {
    size_t n = strlen(word);
    if (n == 0 || n >= sizeof owner->name) return false;
    for (size_t i = 0; i < n; i++) /* it stands in logs and in names of metrics */
        if (word[i] <= ' ' || word[i] > '~' || word[i] == '"' || word[i] == '\\') return false;
    memcpy(owner->name, word, n + 1);
    return true;
}

static bool set_priority(key_owner *owner, const char *word) {
    static const char *const names[] = {"low", "normal", "high"};
    for (int i = 0; i < 3; i++)
        if (!strcmp(word, names[i])) {
            owner->priority = (client_priority)(i - 1);
            return true;
        }
    return false;
}

static bool set_limit(unsigned *limit, const char *word) {
    char *end;
    unsigned long n = strtoul(word, &end, 10);
    if (*word < '0' || *word > '9' || *end || n == 0 || n > 1000000000) return false;
    *limit = (unsigned)n;
    return true;
}

static bool set_word(key_owner *owner, const char *word) {
    if (!strncmp(word, "priority=", 9)) return set_priority(owner, word + 9);
    if (!strncmp(word, "requests=", 9)) return set_limit(&owner->allowance.requests, word + 9);
    if (!strncmp(word, "tokens=", 7)) return set_limit(&owner->allowance.tokens, word + 7);
    return !strchr(word, '=') && set_name(owner, word);
}

/* No words of the line are repeated in the message: it goes to the log, and they may be the key. */
static hone_status parse_line(char *line, size_t number, const char *path, key_entry *e) {
    char *save = NULL, *word = strtok_r(line, " \t", &save);
    if (!strncmp(word, "sha256:", 7)) {
        if (!sha256_is_hex(word + 7))
            return fail(HONE_ERR_FORMAT, "%s: line %zu: 64 lower-case hexadecimal digits belong "
                        "behind sha256:", path, number);
        memcpy(e->hash.text, word + 7, sizeof e->hash.text);
    } else {
        TRY(sha256_of_text(&e->hash, word));
    }
    snprintf(e->owner.name, sizeof e->owner.name, "key-%zu", number);
    while ((word = strtok_r(NULL, " \t", &save)) && *word != '#')
        if (!set_word(&e->owner, word))
            return fail(HONE_ERR_FORMAT, "%s: line %zu: behind the key stand a name and "
                        "priority=low|normal|high, requests=N, tokens=N", path, number);
    return HONE_OK;
}

/* --- the file --- */

static hone_status parse_lines(char *text, const char *path, key_entry *entries, size_t *n) {
    size_t number = 1;
    for (char *line = text, *next; line; line = next, number++) {
        next = strchr(line, '\n');
        if (next) *next++ = '\0';
        line[strcspn(line, "\r")] = '\0';
        line += strspn(line, " \t");
        if (!*line || *line == '#') continue;
        if (*n == KEYS_MAX) return fail(HONE_ERR_FORMAT, "%s: more than %d keys", path, KEYS_MAX);
        entries[*n] = (key_entry){.owner.priority = PRIORITY_NORMAL};
        TRY(parse_line(line, number, path, &entries[*n]));
        (*n)++;
    }
    return HONE_OK;
}

hone_status keys_parse(const char *text, size_t n_bytes, const char *path, key_entry **out,
                       size_t *n) {
    if (memchr(text, '\0', n_bytes)) return fail(HONE_ERR_FORMAT, "%s is no text", path);
    size_t n_lines = 1, n_found = 0;
    for (size_t i = 0; i < n_bytes; i++) n_lines += text[i] == '\n';
    if (n_lines > KEYS_MAX) n_lines = KEYS_MAX;
    char *copy = mem_copy_string(text, n_bytes);
    key_entry *entries = mem_calloc(n_lines, sizeof *entries);
    hone_status status = copy && entries ? parse_lines(copy, path, entries, &n_found)
                                         : mem_fail("keys", n_bytes);
    mem_free(copy);
    if (status != HONE_OK) {
        mem_free(entries);
        return status;
    }
    *out = entries;
    *n = n_found;
    return HONE_OK;
}

static bool file_state_of(const char *path, file_state *state, mode_t *mode) {
    struct stat s;
    if (stat(path, &s) != 0) return false;
    *state = (file_state){s.st_mtim, s.st_size, s.st_ino};
    *mode = s.st_mode;
    return true;
}

static bool same_state(const file_state *a, const file_state *b) {
    return a->changed.tv_sec == b->changed.tv_sec && a->changed.tv_nsec == b->changed.tv_nsec &&
           a->size == b->size && a->inode == b->inode;
}

static void say(const keys *k, const char *line) {
    if (k->options.log) k->options.log(k->options.user, line);
}

static hone_status read_file(keys *k) {
    const char *path = k->options.path;
    mode_t mode = 0;
    buf text;
    key_entry *entries = NULL;
    size_t n = 0;
    buf_init(&text, MAX_FILE_BYTES);
    file_state_of(path, &k->read, &mode); /* before it is read: a later change is seen */
    hone_status status = fs_read_file(&text, path);
    if (status == HONE_OK)
        status = keys_parse(text.data ? text.data : "", text.len, path, &entries, &n);
    buf_release(&text);
    TRY(status);
    mem_free(k->entries);
    k->entries = entries;
    k->n = n;
    if (mode & S_IROTH) say(k, "the keys file may be read by every user of this machine");
    return HONE_OK;
}

/* Under the lock. */
static void look_again(keys *k) {
    double now = clock_ms();
    file_state state;
    mode_t mode;
    if (!k->options.path || now < k->look_at) return;
    k->look_at = now + LOOK_MS;
    if (!file_state_of(k->options.path, &state, &mode) || same_state(&state, &k->read)) return;
    say(k, read_file(k) == HONE_OK ? "the keys were read again" : hone_error_message());
}

/* --- from outside --- */

static hone_status read_first(keys *k) {
    if (k->options.single) {
        TRY(sha256_of_text(&k->single.hash, k->options.single));
        strcpy(k->single.owner.name, "key");
        k->options.single = "";
    }
    if (!k->options.path) return HONE_OK;
    TRY(read_file(k));
    return k->n || k->options.single ? HONE_OK
                                     : fail(HONE_ERR_FORMAT, "%s holds no key", k->options.path);
}

hone_status keys_open(keys **out, const keys_options *options) {
    keys *k = mem_calloc(1, sizeof *k);
    *out = NULL;
    if (!k) return mem_fail("keys", sizeof *k);
    k->options = *options;
    pthread_mutex_init(&k->lock, NULL);
    hone_status status = read_first(k);
    if (status != HONE_OK) keys_close(k);
    else *out = k;
    return status;
}

void keys_close(keys *k) {
    if (!k) return;
    pthread_mutex_destroy(&k->lock);
    mem_free(k->entries);
    mem_free(k);
}

bool keys_are_needed(const keys *k) { return k->options.path || k->options.single; }

size_t keys_count(keys *k) {
    pthread_mutex_lock(&k->lock);
    size_t n = k->n + (k->options.single != NULL);
    pthread_mutex_unlock(&k->lock);
    return n;
}

/* The same work whatever differs. */
static bool equal(const sha256_hex *a, const sha256_hex *b) {
    unsigned difference = 0;
    for (size_t i = 0; i < sizeof a->text; i++) difference |= (unsigned)(a->text[i] ^ b->text[i]);
    return difference == 0;
}

bool keys_find(keys *k, const char *key, key_owner *owner) {
    sha256_hex given;
    const key_entry *found = NULL;
    if (sha256_of_text(&given, key) != HONE_OK) return false;
    pthread_mutex_lock(&k->lock);
    look_again(k);
    for (size_t i = 0; i < k->n; i++)
        if (equal(&given, &k->entries[i].hash)) found = &k->entries[i];
    if (k->options.single && equal(&given, &k->single.hash)) found = &k->single;
    if (found) *owner = found->owner;
    pthread_mutex_unlock(&k->lock);
    return found != NULL;
}

client_priority keys_priority(keys *k, const char *name) {
    client_priority priority = PRIORITY_NORMAL;
    pthread_mutex_lock(&k->lock);
    for (size_t i = 0; i < k->n; i++)
        if (!strcmp(k->entries[i].owner.name, name)) priority = k->entries[i].owner.priority;
    pthread_mutex_unlock(&k->lock);
    return priority;
}
