/* The parts of `hone tune`: how what came out is told (tune_report.c). What is measured, and how, is in
 * lab/tune.h. */
#ifndef CLI_TUNE_H
#define CLI_TUNE_H

#include "cli/record.h"
#include "lab/tune.h"

typedef struct tune_page {
    const tune *t;
    double budget_ms;
    size_t n_tokens;      /* of a run; 0 = its items are those of a task */
    const char *task;     /* of goal quality */
    const char *profile;  /* the file; NULL = none was written */
    const char *unmet;    /* what is demanded and was not found; NULL = all is well */
    validity *validity;
    bool resumed;
} tune_page;

/* The object of --json; NULL when memory is short. */
json_t *tune_to_json(const tune_page *p);
int tune_print_page(const tune_page *p); /* returns an exit code */

/* Figures and gains as metrics of the result. */
hone_status tune_store(const tune *t, results *db, int64_t id);

#endif
