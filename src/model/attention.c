#include "model/attention.h"

#include <math.h>
#include <string.h>

/* --- rotation --- */

void rope_table_fill(float *cosines, float *sines, const float *frequencies, float amplitude,
                     size_t n_dims, const kv_segment *segments, size_t n_segments) {
    size_t half = n_dims / 2;
    for (size_t s = 0; s < n_segments; s++)
        for (size_t t = 0; t < segments[s].n_tokens; t++) {
            size_t row = (segments[s].first + t) * half;
            for (size_t i = 0; i < half; i++) {
                float angle = (float)(segments[s].position + t) * frequencies[i];
                cosines[row + i] = (float)cos((double)angle) * amplitude;
                sines[row + i] = (float)sin((double)angle) * amplitude;
            }
        }
}

static void rotate_head(float *x, const rope_table *rope, size_t token) {
    size_t half = rope->n_dims / 2;
    const float *cosines = rope->cos + token * half, *sines = rope->sin + token * half;
    size_t step = rope->interleaved ? 2 : 1, apart = rope->interleaved ? 1 : half;
    for (size_t i = 0; i < half; i++) {
        float u = x[i * step], v = x[i * step + apart];
        x[i * step] = u * cosines[i] - v * sines[i];
        x[i * step + apart] = v * cosines[i] + u * sines[i];
    }
}

static size_t n_tokens_of(const kv_segment *segments, size_t n_segments) {
    const kv_segment *last = &segments[n_segments - 1];
    return last->first + last->n_tokens;
}

/* --- rotating, and writing the cache --- */

/* Steps of up to so many tokens are done at once: handing them out would cost more. */
enum { FEW_TOKENS = 4 };

typedef struct store_work {
    compute *c;
    const kv_segment *segments;
    size_t layer, n_heads;
    const rope_table *rope;
    float *q, *keys;
    const float *values;
} store_work;

/* Everything that belongs to one key/value head of one token. */
static void rope_and_store_head(const store_work *w, const kv_segment *s, size_t t, size_t head,
                                void *row) {
    const kv_layout *l = &s->kv->layout;
    size_t token = s->first + t, group = w->n_heads / l->n_kv_heads, dim = l->head_dim;
    float *q = w->q + (token * w->n_heads + head * group) * dim;
    float *key = w->keys + (token * l->n_kv_heads + head) * dim;
    const float *value = w->values + (token * l->n_kv_heads + head) * dim;
    for (size_t h = 0; h < group; h++) rotate_head(q + h * dim, w->rope, token);
    rotate_head(key, w->rope, token);
    w->c->k->store_row(l->type, row, key, dim);
    kv_write(s->kv, s->position + t, w->layer, KV_KEYS, head, row);
    w->c->k->store_row(l->type, row, value, dim);
    kv_write(s->kv, s->position + t, w->layer, KV_VALUES, head, row);
}

/* A task is one head of a segment's tokens in one page: two threads that write one block of keys
 * would take its cache lines from each other. */
static size_t n_pages_written(const kv_segment *s) {
    return (s->position + s->n_tokens - 1) / KV_PAGE - s->position / KV_PAGE + 1;
}

static void rope_and_store_task(void *user, size_t index, int thread) {
    const store_work *w = user;
    const kv_segment *s = w->segments;
    size_t n_kv_heads = s->kv->layout.n_kv_heads, head = index % n_kv_heads;
    size_t page = index / n_kv_heads;
    for (; page >= n_pages_written(s); s++) page -= n_pages_written(s);
    size_t page_begin = (s->position / KV_PAGE + page) * KV_PAGE;
    size_t begin = page_begin > s->position ? page_begin - s->position : 0;
    size_t end = page_begin + KV_PAGE - s->position;
    for (size_t t = begin; t < end && t < s->n_tokens; t++)
        rope_and_store_head(w, s, t, head, w->c->scratch[thread]);
}

void op_rope_and_store(compute *c, const kv_segment *segments, size_t n_segments, size_t layer,
                       const rope_table *rope, size_t n_heads, float *q, float *keys,
                       const float *values) {
    store_work work = {c, segments, layer, n_heads, rope, q, keys, values};
    size_t n_tasks = 0;
    for (size_t i = 0; i < n_segments; i++) n_tasks += n_pages_written(&segments[i]);
    n_tasks *= segments[0].kv->layout.n_kv_heads;
    if (n_tokens_of(segments, n_segments) <= FEW_TOKENS)
        for (size_t i = 0; i < n_tasks; i++) rope_and_store_task(&work, i, 0);
    else
        op_parallel(c, n_tasks, rope_and_store_task, &work);
}

/* --- the plan --- */

enum {
    TILE_ROWS = 96,      /* rows of a tile, unless one token's group has more */
    TASKS_PER_THREAD = 4 /* so that a disturbed core does not hold up the others */
};

static size_t ceil_div(size_t a, size_t b) { return (a + b - 1) / b; }

static size_t scratch_floats(size_t n_rows, size_t dim) {
    return n_rows * (3 * dim + ATTENTION_SPLIT + 2 * 2) + KV_BLOCK * dim;
}

void attention_plan_init(attention_plan *plan, const compute *c, const kv_segment *segments,
                         size_t n_segments, size_t n_heads) {
    const kv_layout *l = &segments[0].kv->layout;
    size_t group = n_heads / l->n_kv_heads, longest = 0;
    for (size_t i = 0; i < n_segments; i++) {
        size_t n = segments[i].position + segments[i].n_tokens;
        if (n > longest) longest = n;
    }
    size_t n_tokens = n_tokens_of(segments, n_segments);
    size_t most_parts = ceil_div(longest, ATTENTION_SPLIT);
    size_t threads = (size_t)pool_threads(c->pool);
    size_t n_wanted = threads > 1 ? threads * TASKS_PER_THREAD : 1;
    /* What several answers share is read once for each tile: few tokens stay together as long as
     * every thread has something to do. */
    size_t n_least = n_tokens <= MATMUL_FEW_TOKENS ? threads : n_wanted;
    size_t tile = group < TILE_ROWS ? TILE_ROWS / group : 1;
    while (tile > 1 && ceil_div(n_tokens, tile) * l->n_kv_heads * most_parts < n_least)
        tile = (tile + 1) / 2;
    size_t n_tiles = ceil_div(n_tokens, tile);
    bool by_parts = n_tiles * l->n_kv_heads < n_wanted && most_parts > 1;
    *plan = (attention_plan){
        .segments = segments,
        .n_segments = n_segments,
        .n_heads = n_heads,
        .n_tokens = n_tokens,
        .tile_tokens = tile,
        .n_tiles = n_tiles,
        .n_parts = by_parts ? most_parts : 0,
        .n_part_floats = by_parts ? n_tokens * n_heads * most_parts * (l->head_dim + 2) : 0,
        .scratch_bytes = scratch_floats(tile * group, l->head_dim) * sizeof(float),
    };
}

/* --- one tile --- */

/* The softmax so far of one row: out = Σ exp(score − max) · v, sum = Σ exp(score − max). */
typedef struct softmax_state {
    float max, sum;
} softmax_state;

/* Everything that threads share. */
typedef struct attention_work {
    compute *c;
    const attention_plan *plan;
    const kv_layout *layout;
    size_t layer, group;
    const float *q;
    float *out, *parts;
} attention_work;

/* A tile's rows are its tokens' query heads for kv_head, `group` for each token. */
typedef struct tile {
    const attention_work *w;
    size_t kv_head, first, n_tokens;
    const kv_cache *kv[TILE_ROWS]; /* each token's cache, */
    size_t n_seen[TILE_ROWS];      /* and the positions that it sees: its own and those before */
    size_t longest;
    float *q, *scores, *part, *out, *widened; /* [rows, dim], [rows, ATTENTION_SPLIT], … */
    softmax_state *states;
} tile;

static void tile_init(tile *t, const attention_work *w, size_t index, size_t kv_head,
                      float *scratch) {
    const attention_plan *plan = w->plan;
    size_t dim = w->layout->head_dim, n_rows = plan->tile_tokens * w->group;
    t->w = w;
    t->kv_head = kv_head;
    t->first = index * plan->tile_tokens;
    t->n_tokens = plan->n_tokens - t->first < plan->tile_tokens ? plan->n_tokens - t->first
                                                                : plan->tile_tokens;
    t->q = scratch;
    t->scores = t->q + n_rows * dim;
    t->part = t->scores + n_rows * ATTENTION_SPLIT;
    t->out = t->part + n_rows * dim;
    t->widened = t->out + n_rows * dim;
    t->states = (softmax_state *)(t->widened + KV_BLOCK * dim);
    t->longest = 0;
    const kv_segment *s = plan->segments;
    for (size_t i = 0; i < t->n_tokens; i++) {
        size_t token = t->first + i;
        while (token >= s->first + s->n_tokens) s++;
        t->kv[i] = s->kv;
        t->n_seen[i] = s->position + (token - s->first) + 1;
        if (t->n_seen[i] > t->longest) t->longest = t->n_seen[i];
        memcpy(t->q + i * w->group * dim,
               w->q + (token * plan->n_heads + kv_head * w->group) * dim,
               w->group * dim * sizeof(float));
    }
}

static bool sees_page(const tile *t, size_t token, size_t page) {
    return t->n_seen[token] > page * KV_PAGE;
}

/* The end of the run of tokens from `token` on that see the same page. */
static size_t run_end(const tile *t, size_t token, size_t page) {
    const kv_page *seen = t->kv[token]->pages[page];
    size_t end = token + 1;
    while (end < t->n_tokens && sees_page(t, end, page) && t->kv[end]->pages[page] == seen) end++;
    return end;
}

static const void *block_of(const tile *t, size_t token, size_t page, int which) {
    return kv_block(t->kv[token], page, t->w->layer, which, t->kv_head);
}

/* The block that a token reads after this one: a part's keys, its values, then the next part. */
static const void *next_block(const tile *t, size_t token, size_t page, int which) {
    size_t pages = ATTENTION_SPLIT / KV_PAGE;
    bool more = sees_page(t, token, page + 1);
    if (more && (page + 1) % pages != 0) return block_of(t, token, page + 1, which);
    if (which == KV_KEYS) return block_of(t, token, page / pages * pages, KV_VALUES);
    return more ? block_of(t, token, page + 1, KV_KEYS) : NULL;
}

static void score_page(const tile *t, size_t page, size_t column) {
    const attention_work *w = t->w;
    size_t dim = w->layout->head_dim;
    for (size_t i = 0, end; i < t->n_tokens; i = end) {
        end = i + 1;
        if (!sees_page(t, i, page)) continue;
        end = run_end(t, i, page);
        w->c->k->block_scores(t->scores + i * w->group * ATTENTION_SPLIT + column, ATTENTION_SPLIT,
                              t->q + i * w->group * dim, (end - i) * w->group, w->layout->type,
                              block_of(t, i, page, KV_KEYS), next_block(t, i, page, KV_KEYS), dim,
                              t->widened);
    }
}

static void add_page(const tile *t, size_t page, size_t column, float *out) {
    const attention_work *w = t->w;
    size_t dim = w->layout->head_dim;
    for (size_t i = 0, end; i < t->n_tokens; i = end) {
        end = i + 1;
        if (!sees_page(t, i, page)) continue;
        end = run_end(t, i, page);
        size_t n_values = 0; /* that some row of the run sees; the others' weights are 0 */
        for (size_t j = i; j < end; j++) {
            size_t n = t->n_seen[j] - page * KV_PAGE;
            if (n > n_values) n_values = n < KV_PAGE ? n : KV_PAGE;
        }
        w->c->k->block_values(out + i * w->group * dim, dim,
                              t->scores + i * w->group * ATTENTION_SPLIT + column, ATTENTION_SPLIT,
                              (end - i) * w->group, w->layout->type,
                              block_of(t, i, page, KV_VALUES), next_block(t, i, page, KV_VALUES),
                              n_values, dim, column > 0, t->widened);
    }
}

/* Positions begin … begin + ATTENTION_SPLIT − 1 into out[rows, dim] and states[rows], for the
 * tokens that see any of them. */
static void attend_part(const tile *t, size_t begin, float *out, softmax_state *states) {
    const attention_work *w = t->w;
    size_t end = t->longest - begin < ATTENTION_SPLIT ? t->longest : begin + ATTENTION_SPLIT;
    float scale = 1.0f / sqrtf((float)w->layout->head_dim);
    for (size_t p = begin; p < end; p += KV_PAGE) score_page(t, p / KV_PAGE, p - begin);
    for (size_t row = 0; row < t->n_tokens * w->group; row++) {
        size_t n_seen = t->n_seen[row / w->group];
        if (n_seen <= begin) continue;
        size_t n = n_seen - begin < ATTENTION_SPLIT ? n_seen - begin : ATTENTION_SPLIT;
        float *scores = t->scores + row * ATTENTION_SPLIT;
        states[row].sum = w->c->k->softmax_row(scores, n, scale, &states[row].max);
        memset(scores + n, 0, (ceil_div(n, KV_PAGE) * KV_PAGE - n) * sizeof *scores);
    }
    for (size_t p = begin; p < end; p += KV_PAGE) add_page(t, p / KV_PAGE, p - begin, out);
}

static void merge(const kernels *k, softmax_state *all, float *out, const softmax_state *state,
                  const float *part, size_t n) {
    float max = all->max > state->max ? all->max : state->max;
    float keep = expf(all->max - max), add = expf(state->max - max);
    k->blend(out, keep, part, add, n);
    *all = (softmax_state){.max = max, .sum = all->sum * keep + state->sum * add};
}

static void write_answer(float *to, const float *out, float sum, size_t n) {
    float inverse = 1.0f / sum;
    for (size_t i = 0; i < n; i++) to[i] = out[i] * inverse;
}

/* All parts of a tile, one after the other. */
static void attend_tile(void *user, size_t index, int thread) {
    const attention_work *w = user;
    size_t n_kv_heads = w->layout->n_kv_heads, dim = w->layout->head_dim;
    tile t;
    /* Late tokens see the longest context: hand them out first, so that the end is even. */
    tile_init(&t, w, w->plan->n_tiles - 1 - index / n_kv_heads, index % n_kv_heads,
              w->c->scratch[thread]);
    size_t n_rows = t.n_tokens * w->group;
    attend_part(&t, 0, t.out, t.states);
    for (size_t begin = ATTENTION_SPLIT; begin < t.longest; begin += ATTENTION_SPLIT) {
        softmax_state *states = t.states + n_rows;
        attend_part(&t, begin, t.part, states);
        for (size_t row = 0; row < n_rows; row++)
            if (t.n_seen[row / w->group] > begin)
                merge(w->c->k, &t.states[row], t.out + row * dim, &states[row], t.part + row * dim,
                      dim);
    }
    for (size_t row = 0; row < n_rows; row++) {
        size_t token = t.first + row / w->group, head = t.kv_head * w->group + row % w->group;
        write_answer(w->out + (token * w->plan->n_heads + head) * dim, t.out + row * dim,
                     t.states[row].sum, dim);
    }
}

/* --- tiles in parts --- */

/* One row's result of one part: its state, then out[dim]. */
static float *part_result(const attention_work *w, size_t token, size_t head, size_t part) {
    size_t i = (token * w->plan->n_heads + head) * w->plan->n_parts + part;
    return w->parts + i * (w->layout->head_dim + 2);
}

static void attend_tile_part(void *user, size_t index, int thread) {
    const attention_work *w = user;
    size_t n_parts = w->plan->n_parts, dim = w->layout->head_dim;
    size_t part = index % n_parts, i = index / n_parts, n_kv_heads = w->layout->n_kv_heads;
    tile t;
    tile_init(&t, w, i / n_kv_heads, i % n_kv_heads, w->c->scratch[thread]);
    if (part * ATTENTION_SPLIT >= t.longest) return;
    attend_part(&t, part * ATTENTION_SPLIT, t.out, t.states);
    for (size_t row = 0; row < t.n_tokens * w->group; row++) {
        if (t.n_seen[row / w->group] <= part * ATTENTION_SPLIT) continue;
        float *to = part_result(w, t.first + row / w->group,
                                t.kv_head * w->group + row % w->group, part);
        memcpy(to, &t.states[row], sizeof t.states[row]);
        memcpy(to + 2, t.out + row * dim, dim * sizeof *to);
    }
}

/* All heads of one token whose parts are there. */
static void merge_token(void *user, size_t token, int thread) {
    (void)thread;
    const attention_work *w = user;
    const kv_segment *s = w->plan->segments;
    while (token >= s->first + s->n_tokens) s++;
    size_t n_seen = s->position + (token - s->first) + 1, dim = w->layout->head_dim;
    for (size_t head = 0; head < w->plan->n_heads; head++) {
        float *first = part_result(w, token, head, 0);
        softmax_state all;
        memcpy(&all, first, sizeof all);
        for (size_t part = 1; part * ATTENTION_SPLIT < n_seen; part++) {
            const float *result = part_result(w, token, head, part);
            softmax_state state;
            memcpy(&state, result, sizeof state);
            merge(w->c->k, &all, first + 2, &state, result + 2, dim);
        }
        write_answer(w->out + (token * w->plan->n_heads + head) * dim, first + 2, all.sum, dim);
    }
}

void op_attention(compute *c, const attention_plan *plan, size_t layer, const float *q, float *out,
                  float *parts) {
    const kv_layout *l = &plan->segments[0].kv->layout;
    attention_work work = {.c = c, .plan = plan, .layout = l, .layer = layer,
                           .group = plan->n_heads / l->n_kv_heads, .q = q, .out = out,
                           .parts = parts};
    size_t n_tasks = plan->n_tiles * l->n_kv_heads;
    if (plan->n_parts == 0) {
        op_parallel(c, n_tasks, attend_tile, &work);
        return;
    }
    op_parallel(c, n_tasks * plan->n_parts, attend_tile_part, &work);
    op_parallel(c, plan->n_tokens, merge_token, &work);
}
