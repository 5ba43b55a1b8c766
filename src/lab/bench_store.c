/* A benchmark as the metrics of a result. */
#include <math.h>
#include <stdio.h>

#include "lab/bench.h"

/* Keys in alphabetical order (lab/results.h). */
static void format_condition(char *text, size_t n, const bench_row *row) {
    int used = 0;
    if (row->n_batch) used = snprintf(text, n, "batch=%zu ", row->n_batch);
    used += snprintf(text + used, n - (size_t)used, "depth=%zu", row->depth);
    if (row->kind == BENCH_DECODE) {
        used += snprintf(text + used, n - (size_t)used, " parallel=%zu", row->n_parallel);
    }
    snprintf(text + used, n - (size_t)used, " tokens=%zu", row->n_tokens);
}

static hone_status store_row(const bench_row *row, results *r, int64_t id) {
    char condition[128], share[32], energy[32];
    const char *name = bench_kind_name(row->kind);
    const spread *s = &row->speed;
    format_condition(condition, sizeof condition, row);
    snprintf(share, sizeof share, "%s_share_of_limit", name);
    snprintf(energy, sizeof energy, "%s_energy", name);
    const result_metric all[] = {
        {.name = name, .condition = condition, .unit = "tokens/s", .value = s->median,
         .low = s->low, .high = s->high, .n = s->n, .better = 1, .samples = row->samples,
         .n_samples = s->n},
        {.name = share, .condition = condition, .unit = "share", .value = row->share_of_limit,
         .low = NAN, .high = NAN, .n = s->n},
        {.name = "ttft", .condition = condition, .unit = "ms", .value = row->ttft_ms.median,
         .low = row->ttft_ms.low, .high = row->ttft_ms.high, .n = row->ttft_ms.n, .better = -1},
        {.name = energy, .condition = condition, .unit = "J/token", .value = row->joules_per_token,
         .low = NAN, .high = NAN, .n = s->n, .better = -1},
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        if (all[i].value > 0) TRY(results_add_metrics(r, id, &all[i], 1));
    }
    return HONE_OK;
}

static hone_status store_load(const char *name, const spread *s, results *r, int64_t id) {
    const result_metric metric = {.name = name, .unit = "ms", .value = s->median, .low = s->low,
                                  .high = s->high, .n = s->n, .better = -1};
    return s->n ? results_add_metrics(r, id, &metric, 1) : HONE_OK;
}

static hone_status store_number(const char *name, const char *unit, double value, int better,
                                results *r, int64_t id) {
    const result_metric metric = {.name = name, .unit = unit, .value = value, .low = NAN,
                                  .high = NAN, .n = 1, .better = better};
    return value > 0 ? results_add_metrics(r, id, &metric, 1) : HONE_OK;
}

hone_status bench_store(const bench *b, results *r, int64_t id) {
    for (size_t i = 0; i < b->n_rows; i++) TRY(store_row(&b->rows[i], r, id));
    TRY(store_load("load_cold", &b->load.cold, r, id));
    TRY(store_load("load_warm", &b->load.warm, r, id));
    TRY(store_number("peak_memory", "bytes", (double)b->peak_memory_bytes, -1, r, id));
    TRY(store_number("steady_memory", "bytes", (double)b->memory.resident, -1, r, id));
    TRY(store_number("read_limit", "bytes/s", b->limits.best_read_bytes_per_s, 0, r, id));
    return store_number("arithmetic_limit", "ops/s",
                        b->limits.int8_ops_per_s > 0 ? b->limits.int8_ops_per_s
                                                     : b->limits.f32_ops_per_s, 0, r, id);
}
