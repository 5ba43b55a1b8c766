/* What all benchmarks share: rows, the machine's limits. */
#include "lab/bench.h"

#include <string.h>

#include "base/cpu.h"
#include "base/mem.h"
#include "base/status.h"

void bench_init(bench *b) { *b = (bench){.n_rows = 0}; }

void bench_release(bench *b) {
    for (size_t i = 0; i < b->n_rows; i++) mem_free(b->rows[i].samples);
    mem_free(b->rows);
    bench_init(b);
}

const char *bench_kind_name(bench_kind kind) {
    static const char *const names[] = {"prefill", "decode", "speculation"};
    return names[kind];
}

const bench_row *bench_find(const bench *b, bench_kind kind) {
    for (size_t i = 0; i < b->n_rows; i++) {
        if (b->rows[i].kind == kind) return &b->rows[i];
    }
    return NULL;
}

bench_row *bench_add(bench *b, bench_kind kind, double *values, size_t n) {
    bench_row *rows = mem_realloc(b->rows, b->n_rows + 1, sizeof *rows);
    if (rows) b->rows = rows;
    double *samples = rows ? mem_calloc(n, sizeof *samples) : NULL;
    if (!samples) {
        mem_fail("the benchmark's rows", (b->n_rows + 1) * sizeof *rows);
        return NULL;
    }
    rows[b->n_rows] = (bench_row){.kind = kind, .n_parallel = 1, .speed = spread_of(values, n),
                                  .samples = samples};
    memcpy(samples, values, n * sizeof *samples);
    return &rows[b->n_rows++];
}

double bench_speculation_gain(const bench *b) {
    const bench_row *with = bench_find(b, BENCH_SPECULATION),
                    *without = bench_find(b, BENCH_DECODE);
    return with && without && without->speed.median > 0
               ? with->speed.median / without->speed.median : 0;
}

static void keep_better(double *best, double seen) {
    if (seen > *best) *best = seen;
}

static void judge_look(bench *b, const machine_state *before, const machine_state *after) {
    validity seen = {.n = 0};
    validity_judge_machine(&seen, before, after, 1, cpu_usable_count());
    for (size_t i = 0; i < seen.n; i++) {
        if (seen.reasons[i].code == VALIDITY_SWAPPING) continue; /* of no matter to these loops */
        validity_doubt(&b->validity, seen.reasons[i].code,
                       "%s while the machine's limits were measured: they are too low",
                       seen.reasons[i].words);
    }
}

hone_status bench_look_at_limits(bench *b, int n_threads, double *arithmetic) {
    hone_limits now, before = b->limits, *best = &b->limits;
    machine_state start, end;
    machine_look(&start);
    TRY(hone_measure_limits(&now, n_threads));
    machine_look(&end);
    judge_look(b, &start, &end);
    if (arithmetic) *arithmetic = now.int8_ops_per_s > 0 ? now.int8_ops_per_s : now.f32_ops_per_s;
    *best = now;
    keep_better(&best->best_read_bytes_per_s, before.best_read_bytes_per_s);
    keep_better(&best->int8_ops_per_s, before.int8_ops_per_s);
    keep_better(&best->bf16_ops_per_s, before.bf16_ops_per_s);
    keep_better(&best->f32_ops_per_s, before.f32_ops_per_s);
    return HONE_OK;
}
