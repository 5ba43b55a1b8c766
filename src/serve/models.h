/* The models that the server has open: loaded when first asked for, closed when memory is wanted for
 * another or nobody asked for a while.
 *
 * Names are those of the store; paths are never taken from a request. Any thread may call. Many
 * that ask for one model wait for one loading. A model in use is never closed. */
#ifndef SERVE_MODELS_H
#define SERVE_MODELS_H

#include "serve/scheduler.h"

typedef struct models models;

typedef struct models_options {
    uint64_t memory_bytes; /* of weights and caches together; 0 = no limit */
    int n_threads;
    scheduler_options scheduler; /* cache_bytes and n_slots for each model */
} models_options;

hone_status models_open(models **out, const models_options *options);
void models_stop(models *m);  /* running answers end as cancelled */
void models_close(models *m); /* everything has been given back */

/* A model under its name in the store. */
typedef struct served_model {
    const char *name;
    hone_model *model;
    scheduler *scheduler; /* NULL for models that take only audio */
    double load_ms;       /* of this call: 0 where it was open already */
} served_model;

/* `name` NULL or "" = the one that was opened first. HONE_ERR_NOT_FOUND, HONE_ERR_MEMORY when it
 * fits not even alone, HONE_ERR_BUSY when what is in use leaves no room. */
hone_status models_borrow(models *m, const char *name, served_model *out);
void models_return(models *m, const served_model *borrowed);

/* Opens a model by what a person typed (a path, too), for the command line; it stays open. */
hone_status models_preload(models *m, const char *name);

/* Calls `each` for those that are open. */
void models_each(models *m,
                 void (*each)(void *user, const served_model *model, size_t n_users),
                 void *user);

#endif
