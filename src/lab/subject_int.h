/* The kinds of subjects: each fills a row of operations; what it does not have is NULL. */
#ifndef LAB_SUBJECT_INT_H
#define LAB_SUBJECT_INT_H

#include "base/status.h"
#include "lab/subject.h"

typedef struct subject_ops {
    void (*close)(subject *s);
    hone_status (*generate)(subject *s, const subject_request *requests, size_t n,
                            subject_answer *answers, const subject_progress *progress);
    hone_status (*score)(subject *s, subject_scoring *scorings, size_t n,
                         const subject_progress *progress);
    hone_status (*transcribe)(subject *s, const char *path, const char *language, char **text,
                              double *seconds);
} subject_ops;

struct subject {
    const subject_ops *ops;
    subject_info info;
    char *name, *where; /* what info points to */
};

/* A subject's beginning is a `subject`; each opens its own kind. Name and place are kept by the
 * caller (subject.c). On failure nothing is left open. */
hone_status subject_local_open(subject **out, const subject_settings *settings);
hone_status subject_url_open(subject **out, const subject_settings *settings);

bool subject_goes_on(const subject_progress *progress, size_t n_done, size_t n_items);

/* Notes in the answer why there is none: HONE_ERR_CONTEXT_FULL as SUBJECT_NO_ROOM, others as
 * SUBJECT_FAILED with the words of the last failure. HONE_ERR_MEMORY. */
hone_status subject_note_failure(subject_answer *answer, hone_status status, const char *words);

/* --- in process (subject_local.c, subject_score.c) --- */

typedef struct subject_local {
    subject base;
    hone_model *model;
    hone_session_options session;
    hone_adapter *adapters[HONE_MAX_ADAPTERS];
    float scales[HONE_MAX_ADAPTERS];
    size_t n_adapters;
    hone_strategy *strategy; /* NULL = none */
    hone_model *others[HONE_MAX_OTHERS]; /* that it asks beside the first */
    size_t n_others;
} subject_local;

/* A session with the subject's options and adapters. */
hone_status subject_local_session(const subject_local *s, hone_session **out);

/* A request to a session, with the messages that it points to. */
typedef struct local_request {
    hone_request request;
    hone_message messages[2];
    hone_part parts[2];
} local_request;

void local_request_init(local_request *to, const subject_request *r);

/* Answers by the subject's strategy, one request after the other (subject_strategy.c). */
hone_status subject_local_strategy(subject *s, const subject_request *requests, size_t n,
                                   subject_answer *answers, const subject_progress *progress);

hone_status subject_local_score(subject *s, subject_scoring *scorings, size_t n,
                                const subject_progress *progress);

#endif
