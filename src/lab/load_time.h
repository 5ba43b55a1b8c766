/* How long a model takes from its file to the first token: opening, a session, one token through
 * all weights. Opening alone maps the file and reads little of it.
 *
 * Warm: the file's pages are in the system's cache. Cold: they were dropped from it just before
 * (posix_fadvise), and the system says that they are gone (mincore); caches further away (of the
 * disk, of a virtual machine's host) are beyond reach. */
#ifndef LAB_LOAD_TIME_H
#define LAB_LOAD_TIME_H

#include "base/stats.h"
#include "hone/hone.h"

typedef struct load_time {
    spread warm, cold; /* milliseconds; cold.n 0 = not measured */
    double kept; /* share of the files that could not be dropped: another program has them open */
} load_time;

enum { LOAD_TIME_RUNS = 3 }; /* cold ones beyond LOAD_TIME_LARGE bytes: one */
#define LOAD_TIME_LARGE ((uint64_t)1 << 30)

/* Nobody has the model open in this process: its pages could not be dropped. `observe` (may be
 * NULL) hears before each run; false ends it with HONE_ERR_CANCELLED. Errors of opening and of
 * steps. */
hone_status load_time_measure(load_time *out, const char *path, const hone_model_options *model,
                              const hone_session_options *session,
                              bool (*observe)(void *context, const char *what, size_t run,
                                              size_t n),
                              void *context);

#endif
