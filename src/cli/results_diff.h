/* Two results side by side, for people and for scripts. */
#ifndef CLI_RESULTS_DIFF_H
#define CLI_RESULTS_DIFF_H

#include <stdbool.h>

#include "lab/result_diff.h"

/* Each returns an exit code. */
int results_print_diff(results *r, int64_t a, int64_t b, bool json);

/* The tables alone. */
int results_print_diff_tables(const result_diff *d, const stored_result *a, const stored_result *b);
json_t *results_diff_to_json(const result_diff *d, const stored_result *a, const stored_result *b);

#endif
