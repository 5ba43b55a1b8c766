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

typedef struct rope_work {
    float *x;
    size_t n_heads, head_dim;
    const rope_table *rope;
} rope_work;

static void rotate_token(void *user, size_t token, int thread) {
    (void)thread;
    const rope_work *w = user;
    float *x = w->x + token * w->n_heads * w->head_dim;
    for (size_t h = 0; h < w->n_heads; h++) rotate_head(x + h * w->head_dim, w->rope, token);
}

void op_rope(compute *c, float *x, size_t n_tokens, size_t n_heads, size_t head_dim,
             const rope_table *rope) {
    rope_work work = {x, n_heads, head_dim, rope};
    op_parallel(c, n_tokens, rotate_token, &work);
}

/* --- writing the cache --- */

typedef struct attention_work {
    compute *c;
    const kv_segment *segments;
    size_t n_segments, layer, n_heads;
    const float *q, *keys, *values;
    float *out;
} attention_work;

/* Turns a token's index in the step into its segment and position. */
static const kv_segment *find_segment(const attention_work *w, size_t token, size_t *position) {
    const kv_segment *s = w->segments;
    while (token >= s->first + s->n_tokens) s++;
    *position = s->position + (token - s->first);
    return s;
}

static void store_token(void *user, size_t token, int thread) {
    (void)thread;
    const attention_work *w = user;
    size_t position;
    const kv_segment *s = find_segment(w, token, &position);
    const kv_layout *l = &s->kv->layout;
    for (size_t head = 0; head < l->n_kv_heads; head++)
        for (int which = KV_KEYS; which <= KV_VALUES; which++) {
            char *rows = kv_rows(s->kv, position / KV_PAGE, w->layer, which, head);
            const float *x = which == KV_KEYS ? w->keys : w->values;
            w->c->k->store_row(l->type, rows + position % KV_PAGE * l->row_bytes,
                               x + (token * l->n_kv_heads + head) * l->head_dim, l->head_dim);
        }
}

static size_t n_tokens_of(const kv_segment *segments, size_t n_segments) {
    const kv_segment *last = &segments[n_segments - 1];
    return last->first + last->n_tokens;
}

void op_kv_store(compute *c, const kv_segment *segments, size_t n_segments, size_t layer,
                 const float *keys, const float *values) {
    attention_work work = {.c = c, .segments = segments, .n_segments = n_segments, .layer = layer,
                           .keys = keys, .values = values};
    op_parallel(c, n_tokens_of(segments, n_segments), store_token, &work);
}

/* --- reading it --- */

/* The softmax so far of one query head: out = Σ exp(score − max) · v, sum = Σ exp(score − max). */
typedef struct softmax_state {
    float max, sum;
} softmax_state;

/* Positions begin … end − 1 (inside one split) for one query head, into part[head_dim]. */
static softmax_state attend_split(const attention_work *w, const kv_cache *kv, size_t kv_head,
                                  const float *q, size_t begin, size_t end, float *scores,
                                  float *part) {
    const kernels *k = w->c->k;
    const kv_layout *l = &kv->layout;
    float scale = 1.0f / sqrtf((float)l->head_dim);
    size_t n = end - begin;
    for (size_t i = 0; i < n; i += KV_PAGE) {
        size_t rows = n - i < KV_PAGE ? n - i : KV_PAGE;
        k->attend_scores(scores + i, q, l->type,
                         kv_rows(kv, (begin + i) / KV_PAGE, w->layer, KV_KEYS, kv_head), rows,
                         l->head_dim, scale);
    }
    softmax_state state = {.max = scores[0]};
    for (size_t i = 1; i < n; i++)
        if (scores[i] > state.max) state.max = scores[i];
    state.sum = k->exp_sum(scores, n, state.max);
    memset(part, 0, l->head_dim * sizeof *part);
    for (size_t i = 0; i < n; i += KV_PAGE) {
        size_t rows = n - i < KV_PAGE ? n - i : KV_PAGE;
        k->attend_values(part, scores + i, l->type,
                         kv_rows(kv, (begin + i) / KV_PAGE, w->layer, KV_VALUES, kv_head), rows,
                         l->head_dim);
    }
    return state;
}

static void merge(softmax_state *all, float *out, const softmax_state *state, const float *part,
                  size_t n) {
    float max = all->max > state->max ? all->max : state->max;
    float keep = expf(all->max - max), add = expf(state->max - max);
    for (size_t i = 0; i < n; i++) out[i] = out[i] * keep + part[i] * add;
    *all = (softmax_state){.max = max, .sum = all->sum * keep + state->sum * add};
}

/* All query heads that share one key/value head, for one token. */
static void attend_group(const attention_work *w, size_t token, size_t kv_head, float *scratch) {
    size_t position;
    const kv_segment *s = find_segment(w, token, &position);
    const kv_layout *l = &s->kv->layout;
    size_t group = w->n_heads / l->n_kv_heads, n = position + 1, dim = l->head_dim;
    size_t offset = (token * w->n_heads + kv_head * group) * dim;
    float *scores = scratch, *part = scores + ATTENTION_SPLIT;
    softmax_state *states = (softmax_state *)(part + dim);
    for (size_t begin = 0; begin < n; begin += ATTENTION_SPLIT) {
        size_t end = n - begin < ATTENTION_SPLIT ? n : begin + ATTENTION_SPLIT;
        for (size_t h = 0; h < group; h++) {
            const float *q = w->q + offset + h * dim;
            float *out = w->out + offset + h * dim;
            if (begin == 0) {
                states[h] = attend_split(w, s->kv, kv_head, q, begin, end, scores, out);
            } else {
                softmax_state state = attend_split(w, s->kv, kv_head, q, begin, end, scores, part);
                merge(&states[h], out, &state, part, dim);
            }
        }
    }
    for (size_t h = 0; h < group; h++) {
        float *out = w->out + offset + h * dim, inverse = 1.0f / states[h].sum;
        for (size_t i = 0; i < dim; i++) out[i] *= inverse;
    }
}

static void attend_task(void *user, size_t index, int thread) {
    const attention_work *w = user;
    size_t n_kv_heads = w->segments[0].kv->layout.n_kv_heads;
    size_t n_tokens = n_tokens_of(w->segments, w->n_segments);
    /* Late tokens see the longest context: hand them out first, so that the end is even. */
    attend_group(w, n_tokens - 1 - index / n_kv_heads, index % n_kv_heads, w->c->scratch[thread]);
}

void op_attention(compute *c, const kv_segment *segments, size_t n_segments, size_t layer,
                  size_t n_heads, const float *q, float *out) {
    attention_work work = {.c = c, .segments = segments, .n_segments = n_segments, .layer = layer,
                           .n_heads = n_heads, .q = q, .out = out};
    size_t n_kv_heads = segments[0].kv->layout.n_kv_heads;
    op_parallel(c, n_tokens_of(segments, n_segments) * n_kv_heads, attend_task, &work);
}

size_t attention_scratch_bytes(size_t n_heads, const kv_layout *layout) {
    size_t group = n_heads / layout->n_kv_heads;
    return (ATTENTION_SPLIT + layout->head_dim) * sizeof(float) + group * sizeof(softmax_state);
}
