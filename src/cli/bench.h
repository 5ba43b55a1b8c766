/* The parts of `hone bench`: how the numbers are told (bench_report.c), and the machine's limits
 * alone (bench_limits.c). Models for speech have a page of their own (bench_speech.c). What is
 * measured is in lab/bench.h and lab/bench_speech.h. */
#ifndef CLI_BENCH_H
#define CLI_BENCH_H

#include "cli/engine.h"
#include "lab/bench.h"
#include "lab/bench_speech.h"

/* What is told with the numbers. */
typedef struct bench_page {
    const char *name; /* as the user wrote it */
    const bench *b;
    const hone_model_info *info;
    const engine_settings *settings;
    double load_ms;
} bench_page;

/* The object of --json; NULL when memory is short. */
json_t *bench_to_json(const bench_page *p);
int bench_print_page(const bench_page *p); /* returns an exit code */

/* The limits for 1, 2, 4, … n_threads threads. */
int bench_print_limits(int n_threads, bool json);

/* Measures an open model for speech and tells. Returns an exit code. */
int bench_speech_page(hone_model *model, const char *name, const bench_speech_settings *settings,
                      double load_ms, bool json);

/* --- shared by the parts --- */

/* "31.4 GB/s", "925 GOP/s" */
const char *bench_format_rate(cli_text *t, double per_s, const char *unit);
json_t *bench_limits_to_json(const hone_limits *l);

#endif
