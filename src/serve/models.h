/* The models that the server has open: loaded when first asked for, closed when memory is wanted
 * for another or nobody asked for a while.
 *
 * Names are those of the store; paths are never taken from a request. Any thread may call. Many
 * that ask for one model wait for one loading, and share its failure. A model in use is never
 * closed. */
#ifndef SERVE_MODELS_H
#define SERVE_MODELS_H

#include "serve/model_settings.h"
#include "serve/scheduler.h"
#include "weights/store.h"

typedef struct models models;

#define MODELS_KEEP_ALWAYS INT64_MAX

/* What one model is opened with. */
typedef struct model_opening {
    int n_threads;
    bool copy_weights; /* hone/model.h */
    size_t n_slots;
    hone_session_options session;
    json_t *parameters; /* Ollama's options for what the model's own say nothing about; taken over,
                         * NULL = none */
} model_opening;

typedef struct models_options {
    uint64_t memory_bytes; /* of weights, buffers and caches together; 0 = no limit */
    size_t max_open;       /* models at once; 0 = 32, the most */
    int64_t keep_ms;       /* how long a model stays open after its last answer; at least 0 */
    int wait_ms;           /* for room that running answers take; then HONE_ERR_BUSY */
    int n_threads;
    scheduler_options scheduler; /* cache_bytes and n_slots for each model */
    /* May change what the options say for that model: called with its name in the store, or as it
     * was named on the command line, and with its path, from any thread. NULL:
     * they hold for all. */
    void (*adapt)(void *user, const char *name, const char *path, model_opening *opening);
    void *adapt_user;
} models_options;

/* Errors: those of store_open. */
hone_status models_open(models **out, const models_options *options);
void models_stop(models *m);  /* running answers end as cancelled */
void models_close(models *m); /* everything has been given back */

/* Whether models_stop was called. */
bool models_are_stopping(models *m);

/* The store that names are looked up in. */
const store *models_store(const models *m);

/* A model under its name in the store. */
typedef struct served_model {
    const char *name;
    hone_model *model;
    scheduler *scheduler; /* NULL for models that take only audio */
    const model_settings *settings; /* what was written beside it in the store */
    size_t n_context; /* the most that prompt and answer may take together */
    double load_ms;       /* of this call: 0 where it was open already */
} served_model;

/* `name` NULL or "" = the one that was opened first. HONE_ERR_NOT_FOUND, HONE_ERR_MEMORY when it
 * fits not even alone, HONE_ERR_BUSY when what is in use leaves no room, else those of
 * hone_model_open. */
hone_status models_borrow(models *m, const char *name, served_model *out);
void models_return(models *m, const served_model *borrowed);

/* From now on the model stays open for that long after its last answer (0: it is closed when the
 * last one that uses it is done). Models of the command line stay all the same. */
void models_keep(models *m, const served_model *borrowed, int64_t keep_ms);

/* Closes the model, at once or when those who use it are done; one of the command line, too.
 * HONE_ERR_NOT_FOUND when it is not open. */
hone_status models_unload(models *m, const char *name);

/* Opens a model by what a person typed (a path, too), for the command line; it stays open. */
hone_status models_preload(models *m, const char *name);

/* One that is open. */
typedef struct open_model {
    served_model served;
    size_t n_users;
    const char *path;
    uint64_t bytes;    /* counted against the limit */
    double idle_ms_left; /* until it is closed if nobody asks; INFINITY = it stays */
} open_model;

/* Calls `each` for those that are open, under the lock: no call from there into here. */
void models_each(models *m, void (*each)(void *user, const open_model *model), void *user);

typedef struct models_counts {
    uint64_t n_loads, n_failed_loads;
    uint64_t n_evicted; /* closed for another's sake */
    uint64_t n_expired; /* closed after a while unused */
    double load_ms;     /* of all loads together */
    uint64_t bytes, limit_bytes; /* in use now; 0 = no limit */
    size_t n_open;
} models_counts;

models_counts models_count(models *m);

#endif
