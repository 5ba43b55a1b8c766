/* What a strategy did, for people and for programs. */
#ifndef CLI_TRACE_H
#define CLI_TRACE_H

#include <jansson.h>
#include <stdio.h>

#include "hone/strategy.h"

/* A table of the draws, the votes and why it ended. */
void trace_print(FILE *out, const hone_strategy_result *trace);

/* The object of `trace`; NULL when memory is short. */
json_t *trace_to_json(const hone_strategy_result *trace);

#endif
