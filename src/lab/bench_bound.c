/* Bytes and operations of a step over the machine's rates. */
#include "lab/bench_bound.h"

#include <string.h>

typedef struct work {
    const bench_subject *subject;
    const hone_model_info *info;
    const hone_limits *limits;
} work;

/* The fastest arithmetic that could compute the products with these weights. */
static double product_peak(const work *w) {
    const hone_limits *l = w->limits;
    const char *type = w->info->weight_type;
    bool halves = !strcmp(type, "F16") || !strcmp(type, "BF16"), floats = !strcmp(type, "F32");
    double peak = l->f32_ops_per_s;
    if (w->subject->exact || floats) return peak;
    double other = halves ? l->bf16_ops_per_s : l->int8_ops_per_s;
    return other > peak ? other : peak;
}

/* Scores and weighted sums of n_queries that see n_seen positions on average. */
static double attention_ops(const hone_model_info *info, double n_queries, double n_seen) {
    return 4.0 * (double)(info->n_heads * info->head_dim * info->n_layers) * n_queries * n_seen;
}

static double kv_bytes_per_token(const work *w) {
    double f16 = (double)w->info->kv_bytes_per_token;
    switch (w->subject->kv) {
    case HONE_KV_F32: return 2 * f16;
    case HONE_KV_Q8_0: return f16 * 34 / 64;
    case HONE_KV_F16: break;
    }
    return f16;
}

/* What a prompt, or a step of all answers, has to do: products of weights, the floats of attention,
 * and bytes that are read. */
typedef struct load {
    double products, attention, bytes;
} load;

/* One prompt; all its tokens share a reading of the weights. */
static load prefill_load(const work *w, const bench_row *row) {
    double n = (double)row->n_tokens, seen = (double)row->depth + (n + 1) / 2;
    const hone_model_info *info = w->info;
    return (load){
        .products = (double)info->token_ops * n + (double)info->logits_ops,
        .attention = attention_ops(info, n, seen),
        .bytes = (double)info->step_bytes,
    };
}

/* One step of all answers. What they share of the cache is read once. */
static load decode_load(const work *w, const bench_row *row) {
    double n = (double)row->n_parallel, own = ((double)row->n_tokens + 1) / 2;
    const hone_model_info *info = w->info;
    double cached = (double)row->depth + n * own;
    return (load){
        .products = (double)(info->token_ops + info->logits_ops) * n,
        .attention = attention_ops(info, n, (double)row->depth + own),
        .bytes = (double)info->step_bytes + kv_bytes_per_token(w) * cached,
    };
}

void bench_bound_row(bench_row *row, const bench_subject *subject, const hone_limits *limits) {
    const work w = {subject, hone_model_describe(subject->model), limits};
    if (w.info->step_bytes == 0 || row->speed.median <= 0) return;
    bool prefill = row->kind == BENCH_PREFILL;
    load l = prefill ? prefill_load(&w, row) : decode_load(&w, row);
    double took_s = (double)(prefill ? row->n_tokens : row->n_parallel) / row->speed.median;
    /* The products of bytes and the floats of attention come one after the other. */
    double arithmetic_s = l.products / product_peak(&w) + l.attention / limits->f32_ops_per_s;
    double memory_s = l.bytes / limits->best_read_bytes_per_s;
    /* What fits the caches is not read from memory. */
    if (w.info->step_bytes < 2 * limits->cache_bytes) memory_s = 0;
    row->bound_by_memory = memory_s > arithmetic_s;
    row->share_of_limit = (row->bound_by_memory ? memory_s : arithmetic_s) / took_s;
    row->ops_per_s = (l.products + l.attention) / took_s;
    row->ops_per_byte = (l.products + l.attention) / l.bytes;
}
