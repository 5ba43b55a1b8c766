/* The parts of `hone bench`: what it measures (bench_measure.c), whether the numbers can be
 * believed and how near they are to what the machine can do (bench_judge.c), how they are told
 * (bench_report.c), and the limits alone (bench_limits.c). */
#ifndef CLI_BENCH_H
#define CLI_BENCH_H

#include "base/stats.h"
#include "cli/engine.h"
#include "cli/machine.h"
#include "cli/options.h"

enum {
    BENCH_MAX_REPEAT = 1000,
    BENCH_MAX_PARALLEL = 256,
    BENCH_MAX_ROWS = 18, /* prompt lengths, decode, decode with speculation */
    BENCH_MAX_REASONS = 16,
};

typedef struct bench_settings {
    engine_settings engine;
    cli_integers prompt;
    int64_t decode, depth, parallel, repeat, seed;
    bool limits, json;
} bench_settings;

typedef enum bench_kind { BENCH_PREFILL, BENCH_DECODE, BENCH_SPECULATION } bench_kind;

/* One line of the result: tokens/s. */
typedef struct bench_row {
    bench_kind kind;
    size_t n_tokens, depth;
    spread speed;
    /* The least time that the machine's limits allow, over the time that it took; and which limit
     * is the nearer one. 0 = unknown. */
    double share_of_limit;
    bool bound_by_memory;
} bench_row;

typedef struct bench {
    const bench_settings *settings;
    engine engine;
    const hone_model_info *info;
    size_t depth, parallel, repeat;
    size_t n_decode;
    size_t n_prompts, prompts[16];
    int32_t *tokens; /* the synthetic text, as long as the longest run needs */
    size_t n_tokens;
    hone_session *sessions[BENCH_MAX_PARALLEL]; /* forks that decode together */
    double values[BENCH_MAX_REPEAT];
    bench_row rows[BENCH_MAX_ROWS];
    size_t n_rows;
    double ttft_ms; /* median for the first prompt length; 0 = not measured */
    size_t n_drafted, n_accepted;
    uint64_t peak_memory_bytes; /* without what measuring the limits takes */
    hone_limits limits;         /* the best of two looks */
    char reasons[BENCH_MAX_REASONS][160]; /* why the numbers may mislead */
    size_t n_reasons;
} bench;

/* Adds a reason not to rely on the numbers. */
void bench_doubt(bench *b, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Fills rows, ttft_ms and the drafts. */
hone_status bench_measure(bench *b);

/* Takes the better of what `limits` holds and what is measured now. */
hone_status bench_look_at_limits(bench *b);
void bench_judge(bench *b, const machine_state *before, double wall_ms);

/* Each returns an exit code. */
int bench_print_json(const bench *b, const char *name);
int bench_print_page(const bench *b, const char *name);

/* The limits for 1, 2, 4, … n_threads threads. */
int bench_print_limits(int n_threads, bool json);

/* --- shared by the parts --- */

/* "31.4 GB/s", "925 GOP/s" */
const char *bench_format_rate(cli_text *t, double per_s, const char *unit);
json_t *bench_limits_to_json(const hone_limits *l);

/* "decode, 8 together": what a row measures. */
const char *bench_row_name(const bench *b, const bench_row *row, cli_text *t);

#endif
