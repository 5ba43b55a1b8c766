/* What was measured, kept: one SQLite database (docs/results.md has the schema).
 *
 *     results_open(&r, NULL);
 *     results_begin(r, &start, &id);            // before the work: who is killed leaves a trace
 *     results_add_items(r, id, items, n);       // as often as there is news
 *     results_add_metrics(r, id, metrics, n);
 *     results_finish(r, id, &validity, detail);
 *     results_close(r);
 *
 * Several processes may write at once (write-ahead log; a writer waits for another one up to ten
 * seconds). Every call is a transaction: what has returned survives the death of the process, and
 * what has not leaves nothing. A result that was begun and never finished is read as invalid.
 *
 * A handle is used by one thread at a time. Errors: HONE_ERR_IO and HONE_ERR_FORMAT name the file
 * and SQLite's reason, HONE_ERR_MEMORY (also: the disk is full), HONE_ERR_UNSUPPORTED for a
 * database of a later hone, HONE_ERR_NOT_FOUND for an id that is not there. */
#ifndef LAB_RESULTS_H
#define LAB_RESULTS_H

#include "base/json.h"
#include "lab/machine.h"
#include "lab/validity.h"

typedef struct results results;

/* `path` NULL = results.db in the data folder (weights/paths.h). Made where it is missing, migrated
 * where it is of an earlier hone. */
hone_status results_open(results **out, const char *path);
void results_close(results *r); /* NULL is allowed */
const char *results_path(const results *r);

/* For who keeps what it has read: a number that changes whenever somebody else has committed … */
hone_status results_data_version(results *r, int64_t *version);
/* … and whether the file at results_path is still the one that is open. */
bool results_is_in_place(const results *r);

/* --- what a result consists of --- */

typedef enum result_kind {
    RESULT_BENCH, RESULT_EVAL, RESULT_FIDELITY, RESULT_TUNE, RESULT_COMPARE, RESULT_LOAD
} result_kind;

enum { RESULT_N_KINDS = 6 };

const char *result_kind_name(result_kind kind); /* "bench", … */
bool result_kind_find(const char *name, result_kind *kind);

/* One of the models that took part. Strings NULL or "" = unknown. */
typedef struct result_subject {
    const char *role;         /* "model", "reference", "candidate", "draft", "adapter" */
    const char *name;         /* as the user wrote it; behind a server: the server's name for it */
    const char *file;         /* path, or the URL of the server */
    const char *hash;         /* SHA-256, see results_hash */
    const char *quantisation; /* "Q4_K_M", "F16" */
    uint64_t bytes;
} result_subject;

/* A number. Name and condition together are its key within the result: what was measured ("decode",
 * "accuracy", "peak_memory"), and where ("depth=1024 tokens=128", "task=arithmetic", or ""); keys
 * in alphabetical order, so that the same condition is the same text. */
typedef struct result_metric {
    const char *name, *condition, *unit; /* unit: "tokens/s", "ms", "bytes", "J/token", "share" … */
    double value, low, high;             /* the 95 % interval; NAN = none */
    uint64_t n;                          /* repetitions or items */
    int better;                          /* 1: more is better, −1: less is, 0: neither */
    const char *items_hash;              /* of the items that it was measured on; NULL = none */
    const double *samples;               /* [n_samples] single measurements, may be NULL */
    size_t n_samples;
} result_metric;

/* One item of a task. Task and id together are its key. */
typedef struct result_item {
    const char *task, *id;
    const char *prompt, *output; /* as they stood; NULL = none */
    const char *verdict; /* "right", "wrong", "invalid", or NULL where there is only a score */
    const char *reason;          /* why it is invalid (validity_code_name or words), or NULL */
    double score;                /* what the metric is made of; NAN = none */
    json_t *scores; /* an object with whatever else was scored; NULL = none. Borrowed. */
} result_item;

/* --- writing --- */

typedef struct result_start {
    result_kind kind;
    const result_subject *subjects; /* the first one is what the result is about */
    size_t n_subjects;
    json_t *settings; /* an object: all that the numbers depend on. Borrowed, may be NULL */
    const char *const *argv;   /* the command line, argv[0] included; NULL ends it. May be NULL */
    const char *items_hash;    /* of all items together; NULL = none */
    int64_t repeats;           /* the result that this one repeats; 0 = none */
} result_start;

/* Also keeps the machine, the build, the working folder, this process and the environment's
 * HONE_CPU and HONE_THREADS. */
hone_status results_begin(results *r, const result_start *start, int64_t *id);

/* Metrics and items with the key of an earlier one replace it (a run that was resumed). Names, text
 * and JSON may hold anything: what is no UTF-8 is kept with U+FFFD. */
hone_status results_add_metrics(results *r, int64_t id, const result_metric *metrics, size_t n);
hone_status results_add_items(results *r, int64_t id, const result_item *items, size_t n);

/* The work came to its end. `detail`: an object with everything that has no column, may be NULL;
 * borrowed. `v` may be NULL: no doubts. */
hone_status results_finish(results *r, int64_t id, const validity *v, json_t *detail);

/* The name of the subject at `place`, where it is known only now (a server's own model). */
hone_status results_name_subject(results *r, int64_t id, size_t place, const char *name);

/* Says of a finished result that it repeats another one. */
hone_status results_set_repeats(results *r, int64_t id, int64_t repeats);

hone_status results_delete(results *r, int64_t id);

/* What is kept as `build` of each result. */
enum { RESULTS_MAX_BUILD = 256 };
void results_describe_build(char *text, size_t n);

/* SHA-256 of a file, or of a folder's files (their names and hashes). A file that has neither moved
 * nor changed since it was last asked for is not read again. `go_on` as in base/sha256.h. */
hone_status results_hash(results *r, const char *path, char hash[65],
                         bool (*go_on)(void *context, uint64_t bytes), void *context);

/* --- reading --- */

typedef struct stored_result {
    int64_t id;
    result_kind kind;
    bool finished;
    int64_t started_ms; /* since 1970, UTC */
    double seconds;     /* of work; 0 while unfinished */
    int64_t repeats;    /* 0 = none */
    int64_t process;    /* id of the process that measured */
    result_subject *subjects;
    size_t n_subjects;
    result_metric *metrics; /* in the order in which they were added */
    size_t n_metrics;
    size_t n_items;
    const char *items_hash; /* "" = none */
    const char *build;      /* "0.1.0 gcc 12.2.0 3f9c…": version, compiler, the linker's build id */
    const char *folder;     /* where the command was run */
    const char **argv;      /* NULL ends it; NULL = unknown */
    json_t *settings, *environment, *detail; /* objects */
    machine_description machine;
    validity validity; /* an unfinished one has VALIDITY_UNFINISHED */
    void **owned;      /* what the strings above point to */
    size_t n_owned;
} stored_result;

hone_status results_get(results *r, int64_t id, stored_result *out);
void result_release(stored_result *out);

/* The metric of that key, or NULL. */
const result_metric *result_find_metric(const stored_result *r, const char *name,
                                        const char *condition);

typedef enum results_wanted { RESULTS_VALID, RESULTS_ALL, RESULTS_INVALID } results_wanted;

/* Zero-initialise and set what is wanted; all of it must hold. */
typedef struct results_filter {
    const char *kind;        /* NULL = any */
    const char *model;       /* part of a subject's name, file or hash; NULL = any */
    const char *fingerprint; /* of the machine; NULL = any */
    int64_t since_ms;        /* started then or later; 0 = ever */
    results_wanted wanted;
    size_t n_most;           /* the newest so many; 0 = all */
} results_filter;

/* Newest last. Free with results_list_release. */
typedef struct results_list {
    stored_result *results;
    size_t n;
} results_list;

hone_status results_find(results *r, const results_filter *filter, results_list *list);
void results_list_release(results_list *list);

/* Calls `each` with every item, in the order of task and id, until a call fails. Strings are valid
 * during the call. */
hone_status results_each_item(results *r, int64_t id,
                              hone_status (*each)(void *context, const result_item *item),
                              void *context);

#endif
