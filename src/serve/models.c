/* Open models, by name (serve/models.h). */
#include "serve/models.h"

#include <pthread.h>
#include <string.h>

#include "base/mem.h"
#include "base/system.h"
#include "weights/store.h"

enum { MAX_OPEN_MODELS = 32 };

typedef struct entry {
    char *name, *path;
    hone_model *model;
    scheduler *scheduler;
    uint64_t bytes;
    size_t n_users;
    uint64_t used_at;
    bool pinned, loading;
} entry;

struct models {
    models_options options;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    entry *entries[MAX_OPEN_MODELS]; /* in the order of their opening */
    size_t n;
    uint64_t clock;
};

hone_status models_open(models **out, const models_options *options) {
    models *m = mem_calloc(1, sizeof *m);
    *out = m;
    if (!m) return mem_fail("models", sizeof *m);
    m->options = *options;
    pthread_mutex_init(&m->lock, NULL);
    pthread_cond_init(&m->changed, NULL);
    return HONE_OK;
}

static void close_entry(entry *e) {
    scheduler_close(e->scheduler);
    hone_model_close(e->model);
    mem_free(e->name);
    mem_free(e->path);
    mem_free(e);
}

void models_stop(models *m) {
    pthread_mutex_lock(&m->lock);
    for (size_t i = 0; i < m->n; i++)
        if (m->entries[i]->scheduler) scheduler_stop(m->entries[i]->scheduler);
    pthread_mutex_unlock(&m->lock);
}

void models_close(models *m) {
    if (!m) return;
    for (size_t i = 0; i < m->n; i++) close_entry(m->entries[i]);
    pthread_cond_destroy(&m->changed);
    pthread_mutex_destroy(&m->lock);
    mem_free(m);
}

/* --- finding and making room; the lock is held --- */

static entry *find(const models *m, const char *name) {
    if (!name || !*name) return m->n ? m->entries[0] : NULL;
    for (size_t i = 0; i < m->n; i++)
        if (!strcmp(m->entries[i]->name, name)) return m->entries[i];
    return NULL;
}

static void take_out(models *m, entry *e) {
    size_t i = 0;
    while (m->entries[i] != e) i++;
    memmove(&m->entries[i], &m->entries[i + 1], (--m->n - i) * sizeof *m->entries);
}

static uint64_t bytes_in_use(const models *m) {
    uint64_t bytes = 0;
    for (size_t i = 0; i < m->n; i++) bytes += m->entries[i]->bytes;
    return bytes;
}

static entry *least_used(const models *m) {
    entry *found = NULL;
    for (size_t i = 0; i < m->n; i++) {
        entry *e = m->entries[i];
        if (e->n_users || e->pinned || e->loading) continue;
        if (!found || e->used_at < found->used_at) found = e;
    }
    return found;
}

static hone_status make_room(models *m, uint64_t bytes, const char *name) {
    uint64_t limit = m->options.memory_bytes;
    if (limit && bytes > limit)
        return fail(HONE_ERR_MEMORY, "%s needs %llu MB of memory; this server may use %llu MB",
                    name, (unsigned long long)(bytes >> 20), (unsigned long long)(limit >> 20));
    while (m->n == MAX_OPEN_MODELS || (limit && bytes_in_use(m) + bytes > limit)) {
        entry *e = least_used(m);
        if (!e)
            return fail(HONE_ERR_BUSY, "no memory for %s while other models answer; try again later",
                        name);
        take_out(m, e);
        close_entry(e);
    }
    return HONE_OK;
}

/* --- loading --- */

static hone_status load(models *m, entry *e) {
    TRY(hone_model_open(&e->model, e->path,
                        &(hone_model_options){.n_threads = m->options.n_threads}));
    if (!hone_model_describe(e->model)->takes_text) return HONE_OK;
    return scheduler_open(&e->scheduler, e->model, &m->options.scheduler);
}

static entry *make_entry(const char *name, const char *path, uint64_t bytes) {
    entry *e = mem_calloc(1, sizeof *e);
    if (!e) return NULL;
    e->name = mem_copy_string(name, strlen(name));
    e->path = mem_copy_string(path, strlen(path));
    e->bytes = bytes;
    e->loading = true;
    if (e->name && e->path) return e;
    close_entry(e);
    return NULL;
}

/* Adds the model and loads it with the lock open; who else asks for it waits. */
static hone_status open_entry(models *m, const char *name, const char *path, uint64_t file_bytes,
                              entry **out) {
    uint64_t bytes = file_bytes + m->options.scheduler.cache_bytes;
    TRY(make_room(m, bytes, name));
    entry *e = make_entry(name, path, bytes);
    if (!e) return mem_fail(name, sizeof *e);
    m->entries[m->n++] = e;
    pthread_mutex_unlock(&m->lock);
    hone_status status = load(m, e);
    pthread_mutex_lock(&m->lock);
    e->loading = false;
    pthread_cond_broadcast(&m->changed);
    if (status == HONE_OK) {
        *out = e;
        return HONE_OK;
    }
    take_out(m, e);
    close_entry(e);
    return status;
}

/* The entry of that name, loaded by us or by another. */
static hone_status obtain(models *m, const char *name, entry **out) {
    for (;;) {
        *out = find(m, name);
        if (*out && !(*out)->loading) return HONE_OK;
        if (!*out) break;
        pthread_cond_wait(&m->changed, &m->lock);
    }
    if (!name || !*name) return fail(HONE_ERR_ARGUMENT, "the request names no model");
    store *s;
    TRY(store_open(&s, NULL));
    store_entry found;
    hone_status status = store_find(s, name, &found);
    if (status == HONE_OK) {
        status = open_entry(m, name, found.path.text, found.bytes, out);
        manifest_release(&found.manifest);
    }
    store_close(s);
    return status;
}

hone_status models_borrow(models *m, const char *name, served_model *out) {
    double begin = clock_ms();
    entry *e = NULL;
    pthread_mutex_lock(&m->lock);
    bool was_open = find(m, name) != NULL;
    hone_status status = obtain(m, name, &e);
    if (status == HONE_OK) {
        e->n_users++;
        e->used_at = ++m->clock;
        *out = (served_model){e->name, e->model, e->scheduler, was_open ? 0 : clock_ms() - begin};
    }
    pthread_mutex_unlock(&m->lock);
    return status;
}

void models_return(models *m, const served_model *borrowed) {
    pthread_mutex_lock(&m->lock);
    find(m, borrowed->name)->n_users--;
    pthread_mutex_unlock(&m->lock);
}

hone_status models_preload(models *m, const char *name) {
    char *path;
    entry *e;
    TRY(store_resolve(name, &path));
    pthread_mutex_lock(&m->lock);
    hone_status status = open_entry(m, name, path, 0, &e);
    if (status == HONE_OK) {
        e->pinned = true;
        e->bytes += hone_model_describe(e->model)->file_bytes;
    }
    pthread_mutex_unlock(&m->lock);
    mem_free(path);
    return status;
}

void models_each(models *m,
                 void (*each)(void *user, const served_model *model, size_t n_users),
                 void *user) {
    pthread_mutex_lock(&m->lock);
    for (size_t i = 0; i < m->n; i++) {
        const entry *e = m->entries[i];
        if (e->loading) continue;
        each(user, &(served_model){e->name, e->model, e->scheduler, 0}, e->n_users);
    }
    pthread_mutex_unlock(&m->lock);
}
