/* Open models, by name (serve/models.h). */
#include "serve/models.h"

#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "base/mem.h"
#include "base/system.h"
#include "hone/hone.h"

enum { MAX_OPEN_MODELS = 32, MAX_NAMED = 32 };

typedef struct entry {
    char *name, *path;
    hone_model *model;
    scheduler *scheduler;
    hone_adapter *adapters[MODEL_SETTINGS_MAX_ADAPTERS];
    model_settings settings;
    model_opening opening;
    uint64_t file_bytes, other_bytes; /* weights; caches, buffers, tables */
    size_t n_users;
    size_t n_waiting; /* for the end of its loading */
    uint64_t used_at;
    int64_t keep_ms;
    double free_since; /* clock_ms, while nobody uses it */
    bool pinned, loading, unwanted;
    hone_status failure; /* of its loading; then it is in no list any more */
    char *words;
} entry;

/* A model of the command line can be opened again, also one that is a path. */
typedef struct named {
    char *name, *path; /* path NULL: it is in the store */
} named;

struct models {
    models_options options;
    store *store;
    pthread_mutex_t lock;
    pthread_cond_t changed; /* somebody loaded, failed or gave back */
    pthread_cond_t sweep;   /* for the janitor: an earlier end, or the way down */
    pthread_t janitor;
    bool has_janitor, stopping;
    entry *entries[MAX_OPEN_MODELS]; /* in the order of their opening */
    size_t n;
    named named[MAX_NAMED];
    size_t n_named;
    uint64_t clock;
    models_counts counts;
};

/* --- entries --- */

static entry *make_entry(const char *name, const char *path, uint64_t file_bytes,
                         uint64_t cache_bytes, int64_t keep_ms) {
    entry *e = mem_calloc(1, sizeof *e);
    if (!e) return NULL;
    e->name = mem_copy_string(name, strlen(name));
    e->path = mem_copy_string(path, strlen(path));
    e->file_bytes = file_bytes;
    e->other_bytes = cache_bytes;
    e->keep_ms = keep_ms;
    e->loading = true;
    if (e->name && e->path) return e;
    mem_free(e->name);
    mem_free(e->path);
    mem_free(e);
    return NULL;
}

static void close_entry(entry *e) {
    scheduler_close(e->scheduler);
    for (size_t i = 0; i < e->settings.n_adapters; i++) hone_adapter_close(e->adapters[i]);
    hone_model_close(e->model);
    model_settings_release(&e->settings);
    mem_free(e->words);
    mem_free(e->name);
    mem_free(e->path);
    mem_free(e);
}

static served_model as_served(const entry *e, double load_ms) {
    size_t own = hone_model_describe(e->model)->n_context;
    size_t wanted = e->opening.session.n_context;
    return (served_model){e->name, e->model, e->scheduler, &e->settings,
                          wanted && wanted < own ? wanted : own, load_ms};
}

/* --- finding and making room; the lock is held --- */

static entry *find(const models *m, const char *name) {
    if (!name || !*name) return m->n ? m->entries[0] : NULL;
    for (size_t i = 0; i < m->n; i++)
        if (!strcmp(m->entries[i]->name, name)) return m->entries[i];
    return NULL;
}

/* As it was asked for, or under its full name. */
static entry *find_any(const models *m, const char *name) {
    model_name full;
    entry *e = find(m, name);
    if (e || !name || !*name || store_full_name(m->store, &full, name) != HONE_OK) return e;
    return find(m, full.text);
}

static void take_out(models *m, entry *e) {
    size_t i = 0;
    while (m->entries[i] != e) i++;
    memmove(&m->entries[i], &m->entries[i + 1], (--m->n - i) * sizeof *m->entries);
}

/* A file that is open under two names is mapped twice and in memory once. */
static uint64_t bytes_in_use(const models *m) {
    uint64_t bytes = 0;
    for (size_t i = 0; i < m->n; i++) {
        const entry *e = m->entries[i];
        bool again = false;
        for (size_t k = 0; k < i; k++) again |= !strcmp(m->entries[k]->path, e->path);
        bytes += e->other_bytes + (again ? 0 : e->file_bytes);
    }
    return bytes;
}

static entry *least_used(const models *m) {
    entry *found = NULL;
    for (size_t i = 0; i < m->n; i++) {
        entry *e = m->entries[i];
        if (e->n_users || e->n_waiting || e->pinned || e->loading) continue;
        if (!found || e->used_at < found->used_at) found = e;
    }
    return found;
}

static struct timespec monotonic_at(double ms) {
    return (struct timespec){(time_t)(ms / 1000), (long)(fmod(ms, 1000) * 1e6)};
}

/* Waits for running answers where they have the room, for a while. */
static hone_status make_room(models *m, uint64_t bytes, const char *name) {
    uint64_t limit = m->options.memory_bytes;
    if (limit && bytes > limit)
        return fail(HONE_ERR_MEMORY, "%s needs %llu MB of memory; this server may use %llu MB",
                    name, (unsigned long long)(bytes >> 20), (unsigned long long)(limit >> 20));
    struct timespec end = monotonic_at(clock_ms() + m->options.wait_ms);
    while (m->n >= m->options.max_open || (limit && bytes_in_use(m) + bytes > limit)) {
        entry *e = least_used(m);
        if (e) {
            take_out(m, e);
            close_entry(e);
            m->counts.n_evicted++;
        } else if (m->stopping || pthread_cond_timedwait(&m->changed, &m->lock, &end) != 0) {
            return fail(HONE_ERR_BUSY,
                        "no memory for %s while other models answer; try again later", name);
        } else if (find(m, name)) {
            return HONE_OK; /* another request has begun to open it */
        }
    }
    return HONE_OK;
}

/* --- loading --- */

static hone_status open_adapters(entry *e) {
    for (size_t i = 0; i < e->settings.n_adapters; i++)
        TRY(hone_adapter_open(&e->adapters[i], e->model, e->settings.adapters[i].text));
    return HONE_OK;
}

/* What the file's size does not tell: tables, buffers of a pass. */
static uint64_t memory_beside_weights(const hone_model *model, const model_opening *o) {
    hone_memory needed;
    const hone_memory_settings settings = {.n_context = 1, .n_slots = o->n_slots,
                                           .kv = o->session.kv, .exact = o->session.exact,
                                           .prefill_chunk = o->session.prefill_chunk};
    if (hone_memory_needed(&needed, model, &settings) != HONE_OK) return 0;
    return needed.activations + needed.tables;
}

/* As the options say for all, and then what is known of this one. */
static hone_status choose_opening(const models *m, entry *e) {
    const models_options *o = &m->options;
    e->opening = (model_opening){.n_threads = o->n_threads, .n_slots = o->scheduler.n_slots,
                                 .session = o->scheduler.session};
    if (!o->adapt) return HONE_OK;
    o->adapt(o->adapt_user, e->name, e->path, &e->opening);
    json_t *more = e->opening.parameters;
    if (!more) return HONE_OK;
    if (!e->settings.parameters) e->settings.parameters = json_object();
    int failed = json_object_update_missing(e->settings.parameters, more);
    json_decref(more);
    e->opening.parameters = NULL;
    return failed ? mem_fail(e->name, 0) : HONE_OK;
}

static hone_status load(const models *m, entry *e) {
    TRY(choose_opening(m, e));
    const hone_model_options options = {.n_threads = e->opening.n_threads,
                                        .copy_weights = e->opening.copy_weights,
                                        .chat_template = model_settings_jinja(&e->settings)};
    TRY(hone_model_open(&e->model, e->path, &options));
    TRY(open_adapters(e));
    if (!hone_model_describe(e->model)->takes_text) return HONE_OK;
    scheduler_options o = m->options.scheduler;
    o.n_slots = e->opening.n_slots;
    o.session = e->opening.session;
    o.name = e->name;
    o.adapters = e->adapters;
    o.n_adapters = e->settings.n_adapters;
    return scheduler_open(&e->scheduler, e->model, &o);
}

/* What remains of an entry whose loading failed, for those who waited; the last one closes it. */
static hone_status take_failure(entry *e) {
    hone_status status = fail(e->failure, "%s", e->words ? e->words : "out of memory");
    if (e->n_waiting == 0) close_entry(e);
    return status;
}

static hone_status note_failure(models *m, entry *e, hone_status status) {
    const char *words = hone_error_message();
    size_t n_path = strlen(e->path);
    if (!strncmp(words, e->path, n_path)) { /* clients know names, not where things lie */
        fail(status, "%s%s", e->name, words + n_path);
        words = hone_error_message();
    }
    e->failure = status;
    e->words = mem_copy_string(words, strlen(words));
    m->counts.n_failed_loads++;
    take_out(m, e);
    return take_failure(e);
}

/* Loads an entry that is in the list already, with the lock open; who else asks for it waits. */
static hone_status load_entry(models *m, entry *e) {
    double begin = clock_ms();
    pthread_mutex_unlock(&m->lock);
    hone_status status = load(m, e);
    uint64_t beside = status == HONE_OK ? memory_beside_weights(e->model, &e->opening) : 0;
    pthread_mutex_lock(&m->lock);
    e->loading = false;
    pthread_cond_broadcast(&m->changed);
    if (status != HONE_OK) return note_failure(m, e, status);
    e->file_bytes = hone_model_describe(e->model)->file_bytes;
    e->other_bytes += beside;
    e->free_since = clock_ms();
    m->counts.n_loads++;
    m->counts.load_ms += clock_ms() - begin;
    return HONE_OK;
}

/* Adds and loads; `settings` are taken over, also on failure. *out may be another's entry, where
 * one came in between. */
static hone_status open_entry(models *m, const char *name, const char *path, uint64_t file_bytes,
                              model_settings *settings, entry **out) {
    uint64_t cache_bytes = m->options.scheduler.cache_bytes;
    hone_status status = make_room(m, file_bytes + cache_bytes, name);
    entry *e = NULL;
    if (status == HONE_OK && !find(m, name)) {
        e = make_entry(name, path, file_bytes, cache_bytes, m->options.keep_ms);
        if (!e) status = mem_fail(name, sizeof *e);
    }
    if (!e) {
        model_settings_release(settings);
        return status;
    }
    e->settings = *settings;
    m->entries[m->n++] = e;
    TRY(load_entry(m, e));
    *out = e;
    return HONE_OK;
}

static hone_status open_stored(models *m, const char *name, entry **out) {
    store_entry found;
    model_settings settings;
    model_name full;
    pthread_mutex_unlock(&m->lock);
    hone_status status = store_find(m->store, name, &found);
    if (status == HONE_OK) {
        full = found.manifest.name;
        status = model_settings_load(&settings, m->store, &found);
        manifest_release(&found.manifest);
    }
    pthread_mutex_lock(&m->lock);
    if (status != HONE_OK) return status;
    return open_entry(m, full.text, found.path.text, found.bytes, &settings, out);
}

static const named *find_named(const models *m, const char *name) {
    for (size_t i = 0; i < m->n_named; i++)
        if (!name || !*name || !strcmp(m->named[i].name, name)) return &m->named[i];
    return NULL;
}

/* Opens what is in no list: a model of the command line, or one of the store. */
static hone_status open_missing(models *m, const char *name, entry **out) {
    const named *known = find_named(m, name);
    if (known && known->path) {
        struct stat st;
        model_settings none = {.n_adapters = 0};
        bool is_file = stat(known->path, &st) == 0 && S_ISREG(st.st_mode);
        return open_entry(m, known->name, known->path, is_file ? (uint64_t)st.st_size : 0, &none,
                          out);
    }
    if (known) name = known->name;
    if (!name || !*name) return fail(HONE_ERR_ARGUMENT, "the request names no model");
    return open_stored(m, name, out);
}

/* The entry of that name, loaded by us or by another. */
static hone_status obtain(models *m, const char *name, entry **out) {
    for (;;) {
        entry *e = find_any(m, name);
        if (!e) {
            *out = NULL;
            TRY(open_missing(m, name, out));
            if (*out) return HONE_OK;
            continue;
        }
        e->n_waiting++;
        while (e->loading) pthread_cond_wait(&m->changed, &m->lock);
        e->n_waiting--;
        if (e->failure != HONE_OK) return take_failure(e);
        *out = e;
        return HONE_OK;
    }
}

/* --- borrowing --- */

static bool is_expired(const entry *e, double now) {
    return !e->n_users && !e->n_waiting && !e->loading &&
           (e->unwanted || (!e->pinned && e->keep_ms != MODELS_KEEP_ALWAYS &&
                            now - e->free_since >= (double)e->keep_ms));
}

hone_status models_borrow(models *m, const char *name, served_model *out) {
    double begin = clock_ms();
    entry *e = NULL;
    pthread_mutex_lock(&m->lock);
    const entry *there = find_any(m, name);
    bool was_open = there && !there->loading;
    hone_status status = m->stopping ? fail(HONE_ERR_BUSY, "the server is going down")
                                     : obtain(m, name, &e);
    if (status == HONE_OK) {
        e->n_users++;
        e->used_at = ++m->clock;
        e->unwanted = false;
        *out = as_served(e, was_open ? 0 : clock_ms() - begin);
    }
    pthread_mutex_unlock(&m->lock);
    return status;
}

void models_return(models *m, const served_model *borrowed) {
    pthread_mutex_lock(&m->lock);
    entry *e = find(m, borrowed->name);
    if (--e->n_users == 0) {
        e->free_since = clock_ms();
        pthread_cond_signal(&m->sweep);
        pthread_cond_broadcast(&m->changed);
    }
    pthread_mutex_unlock(&m->lock);
}

void models_keep(models *m, const served_model *borrowed, int64_t keep_ms) {
    pthread_mutex_lock(&m->lock);
    find(m, borrowed->name)->keep_ms = keep_ms;
    pthread_mutex_unlock(&m->lock);
}

hone_status models_unload(models *m, const char *name) {
    pthread_mutex_lock(&m->lock);
    entry *e = name && *name ? find_any(m, name) : NULL;
    if (e) e->unwanted = true;
    pthread_cond_signal(&m->sweep);
    pthread_mutex_unlock(&m->lock);
    return e ? HONE_OK : fail(HONE_ERR_NOT_FOUND, "%s is not loaded", name ? name : "it");
}

/* --- the janitor --- */

static entry *take_expired(models *m) {
    double now = clock_ms();
    for (size_t i = 0; i < m->n; i++) {
        entry *e = m->entries[i];
        if (!is_expired(e, now)) continue;
        take_out(m, e);
        m->counts.n_expired++;
        return e;
    }
    return NULL;
}

/* When the next model is due; a day when none is. */
static double next_end(const models *m) {
    double first = clock_ms() + 86400e3;
    for (size_t i = 0; i < m->n; i++) {
        const entry *e = m->entries[i];
        if (e->n_users || e->pinned || e->loading || e->keep_ms == MODELS_KEEP_ALWAYS) continue;
        double end = e->free_since + (double)e->keep_ms;
        if (end < first) first = end;
    }
    return first;
}

/* Closes what nobody wants any more, with the lock open: freeing takes a moment. */
static void *run_janitor(void *user) {
    models *m = user;
    pthread_mutex_lock(&m->lock);
    while (!m->stopping) {
        entry *e = take_expired(m);
        if (e) {
            pthread_mutex_unlock(&m->lock);
            close_entry(e);
            pthread_mutex_lock(&m->lock);
            pthread_cond_broadcast(&m->changed);
            continue;
        }
        struct timespec end = monotonic_at(next_end(m));
        pthread_cond_timedwait(&m->sweep, &m->lock, &end);
    }
    pthread_mutex_unlock(&m->lock);
    return NULL;
}

/* --- up and down --- */

static void init_monotonic(pthread_cond_t *condition) {
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(condition, &monotonic);
    pthread_condattr_destroy(&monotonic);
}

hone_status models_open(models **out, const models_options *options) {
    models *m = mem_calloc(1, sizeof *m);
    *out = NULL;
    if (!m) return mem_fail("models", sizeof *m);
    m->options = *options;
    if (!m->options.max_open || m->options.max_open > MAX_OPEN_MODELS)
        m->options.max_open = MAX_OPEN_MODELS;
    pthread_mutex_init(&m->lock, NULL);
    init_monotonic(&m->changed);
    init_monotonic(&m->sweep);
    hone_status status = store_open(&m->store, NULL);
    if (status == HONE_OK) {
        m->has_janitor = pthread_create(&m->janitor, NULL, run_janitor, m) == 0;
        if (!m->has_janitor) status = fail(HONE_ERR_IO, "no thread can be started");
    }
    if (status != HONE_OK) {
        models_close(m);
        return status;
    }
    *out = m;
    return HONE_OK;
}

void models_stop(models *m) {
    pthread_mutex_lock(&m->lock);
    m->stopping = true;
    pthread_cond_signal(&m->sweep);
    pthread_cond_broadcast(&m->changed);
    for (size_t i = 0; i < m->n; i++) {
        entry *e = m->entries[i];
        if (e->scheduler) scheduler_stop(e->scheduler);
        if (!e->loading && hone_model_describe(e->model)->takes_audio)
            hone_transcribe_cancel(e->model);
    }
    pthread_mutex_unlock(&m->lock);
}

void models_close(models *m) {
    if (!m) return;
    models_stop(m);
    if (m->has_janitor) pthread_join(m->janitor, NULL);
    for (size_t i = 0; i < m->n; i++) close_entry(m->entries[i]);
    for (size_t i = 0; i < m->n_named; i++) {
        mem_free(m->named[i].name);
        mem_free(m->named[i].path);
    }
    store_close(m->store);
    pthread_cond_destroy(&m->changed);
    pthread_cond_destroy(&m->sweep);
    pthread_mutex_destroy(&m->lock);
    mem_free(m);
}

bool models_are_stopping(models *m) {
    pthread_mutex_lock(&m->lock);
    bool stopping = m->stopping;
    pthread_mutex_unlock(&m->lock);
    return stopping;
}

const store *models_store(const models *m) { return m->store; }

/* The name that requests will use: the store's full one where it is one of the store. */
static hone_status note_named(models *m, const char *typed, const char **name) {
    store_entry found;
    char *path;
    if (m->n_named == MAX_NAMED)
        return fail(HONE_ERR_ARGUMENT, "more than %d models on the command line", MAX_NAMED);
    TRY(store_resolve(typed, &path));
    named n = {.path = path};
    if (store_find(m->store, typed, &found) == HONE_OK) {
        if (!strcmp(found.path.text, path)) {
            n.name = mem_copy_string(found.manifest.name.text, strlen(found.manifest.name.text));
            n.path = NULL;
            mem_free(path);
        }
        manifest_release(&found.manifest);
    }
    if (!n.name) n.name = mem_copy_string(typed, strlen(typed));
    if (!n.name) {
        mem_free(n.path);
        return mem_fail("name", strlen(typed));
    }
    *name = n.name;
    m->named[m->n_named++] = n;
    return HONE_OK;
}

hone_status models_preload(models *m, const char *typed) {
    const char *name;
    served_model served;
    pthread_mutex_lock(&m->lock);
    hone_status status = note_named(m, typed, &name);
    pthread_mutex_unlock(&m->lock);
    TRY(status);
    TRY(models_borrow(m, name, &served));
    pthread_mutex_lock(&m->lock);
    find(m, name)->pinned = true;
    pthread_mutex_unlock(&m->lock);
    models_return(m, &served);
    return HONE_OK;
}

void models_each(models *m, void (*each)(void *user, const open_model *model), void *user) {
    pthread_mutex_lock(&m->lock);
    double now = clock_ms();
    for (size_t i = 0; i < m->n; i++) {
        const entry *e = m->entries[i];
        if (e->loading) continue;
        open_model one = {.served = as_served(e, 0), .n_users = e->n_users, .path = e->path,
                          .bytes = e->file_bytes + e->other_bytes, .idle_ms_left = INFINITY};
        if (!e->pinned && e->keep_ms != MODELS_KEEP_ALWAYS)
            one.idle_ms_left = (double)e->keep_ms - (e->n_users ? 0 : now - e->free_since);
        each(user, &one);
    }
    pthread_mutex_unlock(&m->lock);
}

models_counts models_count(models *m) {
    pthread_mutex_lock(&m->lock);
    models_counts counts = m->counts;
    counts.bytes = bytes_in_use(m);
    counts.limit_bytes = m->options.memory_bytes;
    counts.n_open = m->n;
    pthread_mutex_unlock(&m->lock);
    return counts;
}
