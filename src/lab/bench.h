/* How fast a model is on this machine.
 *
 *     bench b;
 *     bench_init(&b);
 *     status = bench_text(&b, &subject, &settings);          // or another kind of model
 *     ... b.rows[0 … b.n_rows), b.validity ...
 *     bench_release(&b);
 *
 * Each measurement is warmed up once, repeated, and kept as median and spread, beside the least
 * time that memory and arithmetic allow. The work is fixed: no answer ends before its time. What
 * makes the numbers doubtful is kept as reasons (lab/validity.h). */
#ifndef LAB_BENCH_H
#define LAB_BENCH_H

#include "base/stats.h"
#include "hone/hone.h"
#include "lab/load_time.h"
#include "lab/machine.h"
#include "lab/results.h"
#include "lab/validity.h"

enum { BENCH_MAX_REPEAT = 1000, BENCH_MAX_PARALLEL = 256, BENCH_MAX_SWEEP = 16 };

/* --- what came out --- */

typedef enum bench_kind { BENCH_PREFILL, BENCH_DECODE, BENCH_SPECULATION } bench_kind;

/* "prefill", "decode", "speculation" */
const char *bench_kind_name(bench_kind kind);

/* One measurement. */
typedef struct bench_row {
    bench_kind kind;
    size_t n_tokens;   /* read or written in a run, by each answer */
    size_t depth;      /* tokens that were in the cache before */
    size_t n_parallel; /* answers together */
    size_t n_batch;    /* most tokens of a prompt in a pass; 0 = the session's own */
    spread speed;      /* tokens/s of all answers together */
    double *samples;   /* [speed.n] the single runs, ascending */
    spread ttft_ms;    /* prefill: until the first token is chosen; n 0 = not measured */
    spread times_one; /* several answers together: their time over that of the smallest number that
                       * was measured in turn with them, run by run; n 0 = not measured */
    double joules_per_token; /* of the whole machine (lab/energy.h); 0 = unknown */
    /* The least time that the machine's limits allow, over the time that it took; and which limit
     * is the nearer one. 0 = unknown. */
    double share_of_limit;
    bool bound_by_memory;
    /* The work's place under the roofline (Williams et al. 2009): operations done in a second, and
     * for each byte that must come from memory. 0 = unknown. */
    double ops_per_s, ops_per_byte;
} bench_row;

typedef struct bench {
    bench_row *rows;
    size_t n_rows;
    double ttft_ms; /* median for the first prompt length; 0 = not measured */
    size_t n_drafted, n_accepted;
    load_time load;             /* filled by the caller where it measured it; warm.n 0 = not */
    uint64_t peak_memory_bytes; /* most that was resident,
                                 * without what measuring the limits takes */
    machine_memory memory;      /* steady: when everything had run */
    char energy[96];            /* where the joules come from, or why there are none */
    hone_limits limits;         /* the best of all looks */
    validity validity;          /* why the numbers may mislead */
} bench;

void bench_init(bench *b);
void bench_release(bench *b);

/* The first row of that kind, or NULL. */
const bench_row *bench_find(const bench *b, bench_kind kind);

/* How much faster the answer comes with drafts; 0 = not measured. */
double bench_speculation_gain(const bench *b);

/* --- text models --- */

/* All borrowed. The session is empty and of `model`; adapters on it are measured, too. */
typedef struct bench_subject {
    hone_model *model;
    hone_session *session, *draft_session;
    hone_kv_type kv;
    bool exact;
    hone_draft_kind draft_kind;
    size_t n_draft;
    hone_session *const *batch_sessions; /* one like `session` for each of the settings' batches,
                                            with that prefill_chunk */
} bench_subject;

/* Lists hold what is swept; the rows come in their order. Lengths that are 0 measure nothing. */
typedef struct bench_settings {
    size_t n_prompts, prompts[BENCH_MAX_SWEEP];     /* tokens that are read */
    size_t n_depths, depths[BENCH_MAX_SWEEP];       /* tokens in the cache before; at least one */
    size_t n_parallels, parallels[BENCH_MAX_SWEEP]; /* answers together, 1 … BENCH_MAX_PARALLEL */
    size_t n_batches, batches[BENCH_MAX_SWEEP];     /* passes in which prompts are read; may be 0 */
    size_t n_decode; /* tokens that each answer writes */
    size_t repeat;   /* 1 … BENCH_MAX_REPEAT */
    uint64_t seed;
    /* Hears what runs (run 0 is the warm-up); false ends the work with HONE_ERR_CANCELLED. May be
     * NULL. */
    bool (*observe)(void *context, const char *what, size_t n_tokens, size_t run, size_t n_runs);
    void *context;
} bench_settings;

/* Measures and judges. The caller has seen to it that everything fits the session's context. */
hone_status bench_text(bench *b, const bench_subject *subject, const bench_settings *settings);

/* --- parts for other kinds of models --- */

/* Adds a row with the spread and a copy of values[n] (sorted in place); NULL when memory is short,
 * with words. The row may be filled further until the next call. */
bench_row *bench_add(bench *b, bench_kind kind, double *values, size_t n);

/* The rows as metrics of a result (lab/results.h), with load time, memory and limits. */
hone_status bench_store(const bench *b, results *r, int64_t id);

/* Looks at the machine's limits with so many threads; the better of what was seen stays in
 * b->limits. *arithmetic (may be NULL): the rate of its products at this look. Where others were at
 * work meanwhile, b->validity says that the limits are too low. */
hone_status bench_look_at_limits(bench *b, int n_threads, double *arithmetic);

#endif
