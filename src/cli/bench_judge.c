/* Whether to believe what was measured, and how near it is to what the machine can do. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/cpu.h"
#include "cli/bench.h"

void bench_doubt(bench *b, const char *format, ...) {
    if (b->n_reasons == BENCH_MAX_REASONS) return;
    va_list args;
    va_start(args, format);
    vsnprintf(b->reasons[b->n_reasons++], sizeof b->reasons[0], format, args);
    va_end(args);
}

/* What disturbed the machine while it was measured. */
static void judge_machine(bench *b, const machine_state *before, double wall_ms) {
    machine_state after;
    machine_look(&after);
    double others = (after.others_cpu_ms - before->others_cpu_ms) / wall_ms;
    int cores = cpu_usable_count();
    if (others > 0.1 * cores) bench_doubt(b, "other programs used %.1f of %d cores", others, cores);
    if (b->info->n_threads > cores) {
        bench_doubt(b, "%d threads share %d usable cores", b->info->n_threads, cores);
    }
    if (after.n_throttled > before->n_throttled) {
        bench_doubt(b, "the container's processor quota stopped the run %llu times",
              (unsigned long long)(after.n_throttled - before->n_throttled));
    }
    if (after.swapped_bytes) bench_doubt(b, "a part of the program was swapped out");
    if (after.n_major_faults > before->n_major_faults + 16) {
        bench_doubt(b, "weights were read from disk during the run (%llu page faults)",
              (unsigned long long)(after.n_major_faults - before->n_major_faults));
    }
}

static void judge_spread(bench *b) {
    if (b->repeat < 3) bench_doubt(b, "fewer than three repetitions say little about the spread");
    for (size_t i = 0; i < b->n_rows; i++) {
        double width = spread_width(&b->rows[i].speed);
        cli_text name;
        if (width > 0.1) {
            bench_doubt(b, "%s of %zu tokens varies by %.0f %% between runs",
                        bench_row_name(b, &b->rows[i], &name), b->rows[i].n_tokens, 100 * width);
        }
    }
}

/* --- the limits --- */

/* Limits are measured, too, and other programs slow them. */
#define LIMIT_TOLERANCE 1.05

hone_status bench_look_at_limits(bench *b) {
    hone_limits now, *best = &b->limits;
    TRY(hone_measure_limits(&now, b->info->n_threads));
    double *kept[] = {&best->best_read_bytes_per_s, &best->int8_ops_per_s, &best->bf16_ops_per_s,
                      &best->f32_ops_per_s};
    double before[4];
    for (int i = 0; i < 4; i++) before[i] = *kept[i];
    *best = now;
    for (int i = 0; i < 4; i++) {
        if (before[i] > *kept[i]) *kept[i] = before[i];
    }
    return HONE_OK;
}

/* The fastest arithmetic that could compute the products with these weights. */
static double product_peak(const bench *b) {
    const hone_limits *l = &b->limits;
    const char *type = b->info->weight_type;
    bool halves = !strcmp(type, "F16") || !strcmp(type, "BF16"), floats = !strcmp(type, "F32");
    double peak = l->f32_ops_per_s;
    if (b->settings->engine.exact || floats) return peak;
    double other = halves ? l->bf16_ops_per_s : l->int8_ops_per_s;
    return other > peak ? other : peak;
}

/* Scores and weighted sums of n_queries that see n_seen positions on average. */
static double attention_ops(const hone_model_info *info, double n_queries, double n_seen) {
    return 4.0 * (double)(info->n_heads * info->head_dim * info->n_layers) * n_queries * n_seen;
}

static double kv_bytes_per_token(const bench *b) {
    double f16 = (double)b->info->kv_bytes_per_token;
    switch (engine_kv_type(&b->settings->engine)) {
    case HONE_KV_F32: return 2 * f16;
    case HONE_KV_Q8_0: return f16 * 34 / 64;
    case HONE_KV_F16: break;
    }
    return f16;
}

typedef struct bound {
    double arithmetic_s, memory_s;
} bound;

/* One prompt; the products of bytes and the floats of attention come one after the other. */
static bound prefill_bound(const bench *b, const bench_row *row) {
    double n = (double)row->n_tokens, seen = (double)row->depth + (n + 1) / 2;
    const hone_model_info *info = b->info;
    double ops = (double)info->token_ops * n + (double)info->logits_ops;
    return (bound){
        .arithmetic_s = ops / product_peak(b) +
                        attention_ops(info, n, seen) / b->limits.f32_ops_per_s,
        .memory_s = (double)info->step_bytes / b->limits.best_read_bytes_per_s,
    };
}

/* One step of all sequences. What they share of the cache is read once. */
static bound decode_bound(const bench *b, const bench_row *row) {
    double n = (double)b->parallel, own = ((double)row->n_tokens + 1) / 2;
    double seen = (double)row->depth + own;
    const hone_model_info *info = b->info;
    double ops = (double)(info->token_ops + info->logits_ops) * n;
    double cached = (double)row->depth + n * own;
    double bytes = (double)info->step_bytes + kv_bytes_per_token(b) * cached;
    return (bound){
        .arithmetic_s = ops / product_peak(b) +
                        attention_ops(info, n, seen) / b->limits.f32_ops_per_s,
        .memory_s = bytes / b->limits.best_read_bytes_per_s,
    };
}

static void compare_with_limit(bench *b, bench_row *row) {
    if (b->info->step_bytes == 0 || row->speed.median <= 0) return;
    bool prefill = row->kind == BENCH_PREFILL;
    bound least = prefill ? prefill_bound(b, row) : decode_bound(b, row);
    /* What fits the caches is not read from memory. */
    bool cached = b->info->step_bytes < 2 * b->limits.cache_bytes;
    if (cached) least.memory_s = 0;
    double n = prefill ? (double)row->n_tokens : (double)b->parallel;
    double took_s = n / row->speed.median;
    row->bound_by_memory = least.memory_s > least.arithmetic_s;
    row->share_of_limit =
        (row->bound_by_memory ? least.memory_s : least.arithmetic_s) / took_s;
    if (row->share_of_limit <= LIMIT_TOLERANCE) return;
    cli_text name;
    bench_doubt(b, "%s of %zu tokens took %.0f %% of the time that the %s allows: measured wrong",
                bench_row_name(b, row, &name), row->n_tokens, 100 / row->share_of_limit,
                row->bound_by_memory ? "memory" : "processor");
}

void bench_judge(bench *b, const machine_state *before, double wall_ms) {
    judge_machine(b, before, wall_ms);
    judge_spread(b);
    for (size_t i = 0; i < b->n_rows; i++) { /* a draft's tokens are not all computed one by one */
        if (b->rows[i].kind != BENCH_SPECULATION) compare_with_limit(b, &b->rows[i]);
    }
}
