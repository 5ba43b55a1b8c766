/* A meter that keeps every run in the database of results, and on the way back gives what an
 * interrupted tuning measured instead of measuring it again.
 *
 * A run that is given again takes the time on the clock that it took before, so that a budget covers
 * all attempts together, and the same decisions come out. */
#ifndef LAB_TUNE_JOURNAL_H
#define LAB_TUNE_JOURNAL_H

#include "lab/results.h"
#include "lab/tune.h"

typedef struct tune_journal tune_journal;

/* The newest tuning with these settings and subjects on this machine and build that was begun, is not
 * finished, and on which nobody works; *id 0 = none. */
hone_status tune_journal_find(results *db, json_t *settings, const result_subject *subjects,
                              size_t n_subjects, int64_t *id);

/* Notes of result `id` (which may be new) over the runs of `inner`. `db` NULL: nothing is kept. Borrows
 * both. */
hone_status tune_journal_open(tune_journal **out, const tune_meter *inner, results *db, int64_t id);
void tune_journal_close(tune_journal *j); /* NULL is allowed */

size_t tune_journal_n_known(const tune_journal *j); /* runs that were there */

/* A number that is kept beside the runs; NAN = not there. */
double tune_journal_number(const tune_journal *j, const char *name);
hone_status tune_journal_keep_number(tune_journal *j, const char *name, double value);

tune_meter tune_journal_meter(tune_journal *j);

#endif
