/* Keeping what a command measures (lab/results.h). Where that fails, the measurement goes on and a
 * sentence on stderr says that it is not kept. */
#ifndef CLI_RECORD_H
#define CLI_RECORD_H

#include "hone/hone.h"
#include "lab/results.h"

enum { RECORD_MAX_MODELS = 8 };

/* Zero-initialise. */
typedef struct record {
    results *db; /* NULL: not kept */
    int64_t id;
    result_subject subjects[RECORD_MAX_MODELS];
    char hashes[RECORD_MAX_MODELS][65];
    char *paths[RECORD_MAX_MODELS];
    size_t n_subjects;
    bool failed; /* said once */
} record;

/* Adds a model by the name that the user gave it; `model` is open, or NULL where it is of no
 * interest what it holds. Its files are hashed, once in their life. */
void record_add_model(record *r, const char *role, const char *name, const hone_model *model);

/* Adds a server by its URL, under the model's name there ("" = its first). */
void record_add_server(record *r, const char *name, const char *url);

/* Begins the result of this command line. `settings`: an object that is taken over; NULL when
 * memory was short. */
void record_begin(record *r, result_kind kind, json_t *settings);

/* Stores what the call says; a failure is told once and ends the keeping. */
void record_note(record *r, hone_status status);
#define RECORD(r, call)                            \
    do {                                           \
        if ((r)->id) record_note((r), (call));     \
    } while (0)

/* Ends it: `detail` is borrowed. Where a person watches, stderr says under which number it is
 * kept. */
void record_finish(record *r, const validity *v, json_t *detail);

/* In any case. */
void record_release(record *r);

/* "Do not rely on these numbers:" with the reasons, on stdout; nothing where there are none. */
void record_print_doubts(const validity *v);

#endif
