/* The decoder: new tokens of several rows in one pass over the weights. */
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "model/whisper_int.h"
#include "tensor/quant.h"

/* Queries that look at one window together, so that its keys are read once for them. */
enum { CROSS_QUERIES = 24 };

/* --- the cache of self-attention --- */

hone_status whisper_cache_init(whisper_cache *cache, const whisper *m, bool exact, size_t n_rows) {
    const whisper_stack *s = &m->h.decoder;
    kv_layout layout;
    *cache = (whisper_cache){0};
    TRY(kv_layout_init(&layout, exact ? DTYPE_F32 : DTYPE_F16, s->n_layers, s->n_heads,
                       s->n_embd / s->n_heads));
    cache->rows = mem_calloc(n_rows, sizeof *cache->rows);
    if (!cache->rows) return mem_fail("cache", n_rows * sizeof *cache->rows);
    cache->n_rows = n_rows;
    for (size_t i = 0; i < n_rows; i++) kv_init(&cache->rows[i], &layout);
    return HONE_OK;
}

void whisper_cache_release(whisper_cache *cache) {
    for (size_t i = 0; i < cache->n_rows; i++) kv_release(&cache->rows[i]);
    mem_free(cache->rows);
    *cache = (whisper_cache){0};
}

hone_status whisper_cache_copy(whisper_cache *cache, size_t to, size_t from, size_t n_tokens) {
    kv_release(&cache->rows[to]);
    return kv_share(&cache->rows[to], &cache->rows[from], n_tokens);
}

void whisper_cache_clear(whisper_cache *cache, size_t row) { kv_truncate(&cache->rows[row], 0); }

/* --- the pass --- */

/* A token of the pass: its item and its place in it. */
typedef struct place {
    const whisper_item *item;
    size_t position;
} place;

/* Tokens first … first + n − 1 look at the same window. */
typedef struct group {
    size_t first, n;
} group;

/* Everything a pass writes, for T tokens. */
typedef struct decoding {
    const whisper_run *run;
    const whisper_batch *b;
    size_t n_tokens, n_groups, layer;
    float *x, *h, *q, *k, *v, *att; /* [T, embd] */
    float *ff;                      /* [T, ff] */
    void *quantised;
    place *places;                  /* [T] */
    group *groups;                  /* [T] at most */
    kv_segment *segments;           /* [items] of self-attention, */
    attention_plan plan;            /* and how it is cut */
    float *att_parts;               /* op_attention's memory */
} decoding;

static hone_status lay_out(decoding *d) {
    const whisper_stack *s = &d->run->m->h.decoder;
    size_t n = d->n_tokens, wide = n * s->n_embd;
    const whisper_array arrays[] = {
        {&d->x, wide}, {&d->h, wide}, {&d->q, wide}, {&d->k, wide}, {&d->v, wide},
        {&d->att, wide}, {&d->ff, n * s->n_ff},
        {&d->quantised, whisper_quantised_floats(s, n)},
        {&d->places, n * sizeof *d->places / sizeof(float)},
        {&d->groups, n * sizeof *d->groups / sizeof(float)},
        {&d->att_parts, d->plan.n_part_floats},
    };
    return whisper_lay_out(d->run->scratch, arrays, sizeof arrays / sizeof *arrays);
}

static hone_status reserve_thread_scratch(const decoding *d) {
    const whisper *m = d->run->m;
    const whisper_stack *s = &m->h.decoder;
    size_t dim = s->n_embd / s->n_heads, columns = m->h.encoder.n_context + KV_BLOCK;
    size_t self = d->plan.scratch_bytes;
    size_t cross = (CROSS_QUERIES * (columns + dim) + KV_BLOCK * dim) * sizeof(float);
    size_t products = whisper_product_scratch(m->decoder, s->n_layers, d->n_tokens);
    size_t head = matmul_scratch_bytes(&m->embedding, d->n_tokens);
    size_t most = self > cross ? self : cross;
    if (products > most) most = products;
    return compute_reserve(d->run->c, head > most ? head : most);
}

static void find_places(decoding *d) {
    size_t t = 0;
    for (size_t i = 0; i < d->b->n_items; i++) {
        const whisper_item *item = &d->b->items[i];
        for (size_t j = 0; j < item->n_tokens; j++, t++) {
            d->places[t] = (place){item, item->position + j};
            group *last = d->n_groups ? &d->groups[d->n_groups - 1] : NULL;
            if (last && last->n < CROSS_QUERIES &&
                d->places[last->first].item->cross == item->cross)
                last->n++;
            else
                d->groups[d->n_groups++] = (group){t, 1};
        }
    }
}

static void products(const decoding *d, const float *x, size_t n, size_t n_in, const linear *jobs,
                     size_t n_jobs) {
    op_products(d->run->c, x, n, n_in, jobs, n_jobs, d->run->exact ? NULL : d->quantised);
}

static void embed(void *user, size_t t, int thread) {
    const decoding *d = user;
    const whisper *m = d->run->m;
    const kernels *k = d->run->c->k;
    const place *p = &d->places[t];
    size_t embd = m->h.decoder.n_embd;
    float *x = d->x + t * embd, *row = d->run->c->scratch[thread];
    int32_t id = p->item->tokens[p->position - p->item->position];
    k->decode_row(m->embedding.type, x, tensor_row(&m->embedding, (size_t)id), embd);
    k->decode_row(m->text_positions.type, row, tensor_row(&m->text_positions, p->position), embd);
    for (size_t i = 0; i < embd; i++) x[i] += row[i];
}

/* --- self-attention --- */

static void self_block(decoding *d, const whisper_attention *a) {
    static const float nothing[1];
    static const rope_table no_rope = {.cos = nothing, .sin = nothing}; /* positions are learned */
    compute *c = d->run->c;
    const whisper_stack *s = &d->run->m->h.decoder;
    size_t embd = s->n_embd, n = d->n_tokens;
    op_layer_norm(c, d->h, d->x, a->norm.weight, a->norm.bias, n, embd, WHISPER_NORM_EPS);
    products(d, d->h, n, embd,
             (linear[]){{&a->q.w, a->q.bias, d->q, embd},
                        {&a->k.w, a->k.bias, d->k, embd},
                        {&a->v.w, a->v.bias, d->v, embd}}, 3);
    op_rope_and_store(c, d->segments, d->b->n_items, d->layer, &no_rope, s->n_heads, d->q, d->k,
                      d->v);
    op_attention(c, &d->plan, d->layer, d->q, d->att, d->att_parts);
    products(d, d->att, n, embd, &(linear){&a->out.w, a->out.bias, d->h, embd}, 1);
    op_add(c, d->x, d->h, n, embd);
}

/* --- cross-attention --- */

static void capture_scores(const decoding *d, const group *g, size_t head, const float *scores,
                           size_t stride) {
    const whisper_hparams *h = &d->run->m->h;
    size_t n = h->encoder.n_context;
    for (size_t i = 0; i < h->n_heads; i++) {
        if (h->heads[i].layer != d->layer || h->heads[i].head != head) continue;
        for (size_t r = 0; r < g->n; r++)
            memcpy(d->b->scores + (i * d->n_tokens + g->first + r) * n, scores + r * stride,
                   n * sizeof *scores);
    }
}

/* scores[rows, n_blocks · KV_BLOCK] of one head. */
static void score_cross(const decoding *d, const whisper_cross *cross, size_t head, const float *q,
                        size_t n_rows, float *scores, float *widened) {
    const whisper *m = d->run->m;
    const size_t dim = m->h.decoder.n_embd / m->h.decoder.n_heads;
    for (size_t b = 0; b < cross->n_blocks; b++) {
        const char *keys = whisper_cross_block(cross, m, d->layer, head, KV_KEYS, b);
        const char *next = whisper_cross_block(cross, m, d->layer, head, KV_KEYS, b + 1);
        d->run->c->k->block_scores(scores + b * KV_BLOCK, cross->n_blocks * KV_BLOCK, q, n_rows,
                                   cross->type, keys, next, dim, widened);
    }
}

/* out[rows, …] = weights · values; the values' first block lies behind the keys' last. */
static void sum_cross(const decoding *d, const whisper_cross *cross, size_t head, float *out,
                      const float *weights, size_t n_rows, float *widened) {
    const whisper *m = d->run->m;
    const size_t embd = m->h.decoder.n_embd, dim = embd / m->h.decoder.n_heads;
    const size_t n = m->h.encoder.n_context;
    for (size_t b = 0; b < cross->n_blocks; b++) {
        const size_t rest = n - b * KV_BLOCK, n_values = rest < KV_BLOCK ? rest : KV_BLOCK;
        const bool last = b + 1 == cross->n_blocks;
        const char *values = whisper_cross_block(cross, m, d->layer, head, KV_VALUES, b);
        const char *next =
            last ? NULL : whisper_cross_block(cross, m, d->layer, head, KV_VALUES, b + 1);
        d->run->c->k->block_values(out, embd, weights + b * KV_BLOCK, cross->n_blocks * KV_BLOCK,
                                   n_rows, cross->type, values, next, n_values, dim, b > 0,
                                   widened);
    }
}

static void attend_cross(void *user, size_t index, int thread) {
    const decoding *d = user;
    const whisper *m = d->run->m;
    const kernels *k = d->run->c->k;
    size_t n_heads = m->h.decoder.n_heads, embd = m->h.decoder.n_embd, dim = embd / n_heads;
    size_t n = m->h.encoder.n_context, head = index % n_heads;
    const group *g = &d->groups[index / n_heads];
    const whisper_cross *cross = d->places[g->first].item->cross;
    size_t stride = cross->n_blocks * KV_BLOCK;
    float *widened = d->run->c->scratch[thread], *q = widened + KV_BLOCK * dim;
    float *scores = q + CROSS_QUERIES * dim, *out = d->att + g->first * embd + head * dim;
    for (size_t r = 0; r < g->n; r++)
        memcpy(q + r * dim, d->q + (g->first + r) * embd + head * dim, dim * sizeof *q);
    k->scale(q, 1.0f / sqrtf((float)dim), g->n * dim);
    score_cross(d, cross, head, q, g->n, scores, widened);
    if (d->b->scores) capture_scores(d, g, head, scores, stride);
    float inverse[CROSS_QUERIES], max;
    for (size_t r = 0; r < g->n; r++)
        inverse[r] = 1.0f / k->softmax_row(scores + r * stride, n, 1, &max);
    sum_cross(d, cross, head, out, scores, g->n, widened);
    for (size_t r = 0; r < g->n; r++) k->scale(out + r * embd, inverse[r], dim);
}

static void cross_block(decoding *d, const whisper_attention *a) {
    compute *c = d->run->c;
    size_t embd = d->run->m->h.decoder.n_embd, n = d->n_tokens;
    op_layer_norm(c, d->h, d->x, a->norm.weight, a->norm.bias, n, embd, WHISPER_NORM_EPS);
    products(d, d->h, n, embd, &(linear){&a->q.w, a->q.bias, d->q, embd}, 1);
    op_parallel(c, d->n_groups * d->run->m->h.decoder.n_heads, attend_cross, d);
    products(d, d->att, n, embd, &(linear){&a->out.w, a->out.bias, d->h, embd}, 1);
    op_add(c, d->x, d->h, n, embd);
}

/* --- the rest --- */

static void feed_forward_block(decoding *d, const whisper_layer *layer) {
    compute *c = d->run->c;
    const whisper_stack *s = &d->run->m->h.decoder;
    size_t n = d->n_tokens;
    op_layer_norm(c, d->h, d->x, layer->ffn_norm.weight, layer->ffn_norm.bias, n, s->n_embd,
                  WHISPER_NORM_EPS);
    products(d, d->h, n, s->n_embd, &(linear){&layer->up.w, layer->up.bias, d->ff, s->n_ff}, 1);
    op_gelu(c, d->ff, n, s->n_ff);
    products(d, d->ff, n, s->n_ff, &(linear){&layer->down.w, layer->down.bias, d->h, s->n_embd}, 1);
    op_add(c, d->x, d->h, n, s->n_embd);
}

static void head(decoding *d) {
    const whisper *m = d->run->m;
    const whisper_batch *b = d->b;
    size_t embd = m->h.decoder.n_embd;
    if (b->n_logit_rows == 0) return;
    for (size_t i = 0; i < b->n_logit_rows; i++) /* ascending, so nothing is overwritten early */
        memmove(d->x + i * embd, d->x + b->logit_rows[i] * embd, embd * sizeof *d->x);
    op_layer_norm(d->run->c, d->h, d->x, m->text_norm.weight, m->text_norm.bias, b->n_logit_rows,
                  embd, WHISPER_NORM_EPS);
    products(d, d->h, b->n_logit_rows, embd,
             &(linear){&m->embedding, NULL, b->logits, m->h.n_vocab}, 1);
}

/* Room in the caches, and the segments of all items. */
static hone_status begin(decoding *d) {
    const whisper_batch *b = d->b;
    size_t n_context = d->run->m->h.decoder.n_context;
    d->segments = mem_calloc(b->n_items, sizeof *d->segments);
    if (!d->segments) return mem_fail("decoder", b->n_items * sizeof *d->segments);
    for (size_t i = 0; i < b->n_items; i++) {
        const whisper_item *item = &b->items[i];
        if (item->n_tokens > n_context - item->position)
            return fail(HONE_ERR_CONTEXT_FULL, "%zu tokens after %zu do not fit into %zu",
                        item->n_tokens, item->position, n_context);
        kv_cache *kv = &b->cache->rows[item->row];
        TRY(kv_reserve(kv, item->position, item->position + item->n_tokens));
        d->segments[i] = (kv_segment){kv, d->n_tokens, item->n_tokens, item->position};
        d->n_tokens += item->n_tokens;
    }
    attention_plan_init(&d->plan, d->run->c, d->segments, b->n_items,
                        d->run->m->h.decoder.n_heads);
    TRY(reserve_thread_scratch(d));
    return lay_out(d);
}

static hone_status run_pass(decoding *d) {
    const whisper *m = d->run->m;
    TRY(begin(d));
    find_places(d);
    op_parallel(d->run->c, d->n_tokens, embed, d);
    for (d->layer = 0; d->layer < m->h.decoder.n_layers; d->layer++) {
        const whisper_layer *layer = &m->decoder[d->layer];
        TRY(whisper_check_cancelled(d->run));
        self_block(d, &layer->self);
        cross_block(d, &layer->cross);
        feed_forward_block(d, layer);
    }
    head(d);
    return HONE_OK;
}

hone_status whisper_decode(const whisper_run *run, const whisper_batch *b) {
    decoding d = {.run = run, .b = b};
    hone_status status = run_pass(&d);
    mem_free(d.segments);
    return status;
}
