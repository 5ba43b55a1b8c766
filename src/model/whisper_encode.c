/* The encoder: log-mel → two convolutions → layers → keys and values for the decoder. */
#include <string.h>

#include "base/mem.h"
#include "model/dense_attention.h"
#include "model/whisper_int.h"
#include "tensor/quant.h"

/* --- shared with the decoder --- */

hone_status whisper_lay_out(whisper_scratch *s, const whisper_array *arrays, size_t n) {
    size_t total = 0;
    for (size_t i = 0; i < n; i++) total += (arrays[i].n_floats + 15) / 16 * 16;
    if (total > s->n_floats) {
        whisper_scratch_release(s);
        s->memory = mem_alloc_aligned(total, sizeof(float));
        if (!s->memory) return mem_fail("activations", total * sizeof(float));
        s->n_floats = total;
    }
    float *next = s->memory;
    for (size_t i = 0; i < n; i++) {
        memcpy(arrays[i].where, &next, sizeof next);
        next += (arrays[i].n_floats + 15) / 16 * 16;
    }
    return HONE_OK;
}

size_t whisper_quantised_floats(const whisper_stack *stack, size_t n_tokens) {
    size_t widest = stack->n_ff > stack->n_embd ? stack->n_ff : stack->n_embd;
    return activations_bytes(n_tokens, (widest + 31) / 32 * 32) / sizeof(float);
}

size_t whisper_product_scratch(const whisper_layer *layers, size_t n_layers, size_t n_tokens) {
    size_t most = 0;
    for (size_t i = 0; i < n_layers; i++) {
        const whisper_layer *l = &layers[i];
        const tensor *matrices[] = {&l->self.q.w,  &l->self.k.w,  &l->self.v.w,  &l->self.out.w,
                                    &l->cross.q.w, &l->cross.k.w, &l->cross.v.w, &l->cross.out.w,
                                    &l->up.w,      &l->down.w};
        for (size_t j = 0; j < sizeof matrices / sizeof *matrices; j++) {
            if (!matrices[j]->data) continue; /* an encoder has no cross-attention */
            size_t bytes = matmul_scratch_bytes(matrices[j], n_tokens);
            if (bytes > most) most = bytes;
        }
    }
    return most;
}

hone_status whisper_check_cancelled(const whisper_run *run) {
    if (!run->cancelled || !run->cancelled(run->user)) return HONE_OK;
    return fail(HONE_ERR_CANCELLED, "cancelled");
}

/* --- the pass --- */

/* Everything a pass writes, for T positions. The convolutions come and go before the layers. */
typedef struct encoding {
    const whisper_run *run;
    float *x;             /* [T, embd] the residual stream */
    float *h;             /* [T, embd] after a norm, or a block's output */
    float *q, *k, *v;     /* [T, embd] each */
    float *att;           /* [T, embd] */
    float *ff;            /* [T, ff] */
    float *packed;        /* dense_attention_floats */
    float *columns;       /* a convolution's inputs, three neighbours for each output */
    float *first;         /* [2 T, embd] after the first convolution */
    void *quantised;
} encoding;

static size_t largest(size_t a, size_t b) { return a > b ? a : b; }

static hone_status lay_out_layers(encoding *e) {
    const whisper_hparams *h = &e->run->m->h;
    const whisper_stack *s = &h->encoder;
    size_t n = s->n_context, wide = n * s->n_embd;
    const whisper_array arrays[] = {
        {&e->x, wide}, {&e->h, wide}, {&e->q, wide}, {&e->k, wide}, {&e->v, wide},
        {&e->att, wide}, {&e->ff, n * s->n_ff},
        {&e->packed, dense_attention_floats(n, s->n_heads, s->n_embd / s->n_heads)},
        {&e->quantised, whisper_quantised_floats(s, n)},
    };
    return whisper_lay_out(e->run->scratch, arrays, sizeof arrays / sizeof *arrays);
}

static hone_status lay_out_convolutions(encoding *e) {
    const whisper_hparams *h = &e->run->m->h;
    const whisper_stack *s = &h->encoder;
    size_t n = s->n_context, wide = n * s->n_embd;
    size_t columns = largest(2 * n * 3 * h->n_mels, n * 3 * s->n_embd);
    size_t quantised = largest(activations_bytes(2 * n, (3 * h->n_mels + 31) / 32 * 32),
                               activations_bytes(n, (3 * s->n_embd + 31) / 32 * 32));
    const whisper_array arrays[] = {
        {&e->x, wide}, {&e->columns, columns}, {&e->first, 2 * wide},
        {&e->quantised, quantised / sizeof(float)},
    };
    return whisper_lay_out(e->run->scratch, arrays, sizeof arrays / sizeof *arrays);
}

static hone_status reserve_thread_scratch(const encoding *e) {
    const whisper *m = e->run->m;
    const whisper_stack *s = &m->h.encoder;
    size_t n = s->n_context;
    size_t most = dense_attention_scratch_bytes(n, s->n_embd / s->n_heads);
    most = largest(most, whisper_product_scratch(m->encoder, s->n_layers, n));
    most = largest(most, whisper_product_scratch(m->decoder, m->h.decoder.n_layers, n));
    most = largest(most, matmul_scratch_bytes(&m->conv1.w, 2 * n));
    most = largest(most, matmul_scratch_bytes(&m->conv2.w, n));
    return compute_reserve(e->run->c, most);
}

static void products(const encoding *e, const float *x, size_t n, size_t n_in, const linear *jobs,
                     size_t n_jobs) {
    op_products(e->run->c, x, n, n_in, jobs, n_jobs, e->run->exact ? NULL : e->quantised);
}

/* --- convolutions, as products with the three neighbours of each output --- */

typedef struct gather {
    const float *from;
    size_t n_from, n_in, stride;      /* positions, inputs of each, positions between outputs */
    size_t position_step, input_step; /* floats between positions, between inputs */
    float *columns;
} gather;

static void gather_column(void *user, size_t t, int thread) {
    (void)thread;
    const gather *g = user;
    float *out = g->columns + t * 3 * g->n_in;
    for (size_t tap = 0; tap < 3; tap++) {
        size_t position = t * g->stride + tap; /* one further than it is: may be 0 or the end */
        bool inside = position >= 1 && position <= g->n_from;
        const float *from = inside ? g->from + (position - 1) * g->position_step : NULL;
        for (size_t i = 0; i < g->n_in; i++)
            out[3 * i + tap] = inside ? from[i * g->input_step] : 0;
    }
}

static void convolve(encoding *e, const float *mel) {
    const whisper *m = e->run->m;
    compute *c = e->run->c;
    size_t n = m->h.encoder.n_context, embd = m->h.encoder.n_embd, n_mels = m->h.n_mels;
    gather g = {.from = mel, .n_from = 2 * n, .n_in = n_mels, .stride = 1, .position_step = 1,
                .input_step = 2 * n, .columns = e->columns};
    op_parallel(c, 2 * n, gather_column, &g);
    products(e, e->columns, 2 * n, 3 * n_mels,
             &(linear){&m->conv1.w, m->conv1.bias, e->first, embd}, 1);
    op_gelu(c, e->first, 2 * n, embd);
    g = (gather){.from = e->first, .n_from = 2 * n, .n_in = embd, .stride = 2,
                 .position_step = embd, .input_step = 1, .columns = e->columns};
    op_parallel(c, n, gather_column, &g);
    products(e, e->columns, n, 3 * embd, &(linear){&m->conv2.w, m->conv2.bias, e->x, embd}, 1);
    op_gelu(c, e->x, n, embd);
}

static void add_positions(void *user, size_t t, int thread) {
    const encoding *e = user;
    const tensor *table = &e->run->m->audio_positions;
    size_t embd = table->ne[0];
    float *row = e->run->c->scratch[thread];
    e->run->c->k->decode_row(table->type, row, tensor_row(table, t), embd);
    for (size_t i = 0; i < embd; i++) e->x[t * embd + i] += row[i];
}

/* --- layers --- */

static void attention_block(encoding *e, const whisper_layer *layer) {
    const whisper_stack *s = &e->run->m->h.encoder;
    compute *c = e->run->c;
    const whisper_attention *a = &layer->self;
    size_t n = s->n_context, embd = s->n_embd;
    op_layer_norm(c, e->h, e->x, a->norm.weight, a->norm.bias, n, embd, WHISPER_NORM_EPS);
    products(e, e->h, n, embd,
             (linear[]){{&a->q.w, a->q.bias, e->q, embd},
                        {&a->k.w, a->k.bias, e->k, embd},
                        {&a->v.w, a->v.bias, e->v, embd}}, 3);
    op_dense_attention(c, e->att, e->q, e->k, e->v, n, s->n_heads, embd / s->n_heads, e->packed,
                       e->run->exact);
    products(e, e->att, n, embd, &(linear){&a->out.w, a->out.bias, e->h, embd}, 1);
    op_add(c, e->x, e->h, n, embd);
}

static void feed_forward_block(encoding *e, const whisper_layer *layer) {
    const whisper_stack *s = &e->run->m->h.encoder;
    compute *c = e->run->c;
    size_t n = s->n_context, embd = s->n_embd;
    op_layer_norm(c, e->h, e->x, layer->ffn_norm.weight, layer->ffn_norm.bias, n, embd,
                  WHISPER_NORM_EPS);
    products(e, e->h, n, embd, &(linear){&layer->up.w, layer->up.bias, e->ff, s->n_ff}, 1);
    op_gelu(c, e->ff, n, s->n_ff);
    products(e, e->ff, n, s->n_ff, &(linear){&layer->down.w, layer->down.bias, e->h, embd}, 1);
    op_add(c, e->x, e->h, n, embd);
}

/* --- what the decoder looks at --- */

void whisper_cross_release(whisper_cross *cross) {
    mem_free(cross->memory);
    *cross = (whisper_cross){0};
}

static hone_status reserve_cross(const whisper_run *run, whisper_cross *cross) {
    const whisper_hparams *h = &run->m->h;
    cross->type = run->exact ? DTYPE_F32 : DTYPE_F16;
    cross->n_blocks = (h->encoder.n_context + KV_BLOCK - 1) / KV_BLOCK;
    size_t element = dtype_get(cross->type)->block_bytes;
    size_t bytes = 2 * h->decoder.n_layers * h->decoder.n_embd * element *
                   cross->n_blocks * KV_BLOCK;
    if (bytes <= cross->n_bytes) return HONE_OK;
    mem_free(cross->memory);
    cross->n_bytes = 0;
    cross->memory = mem_alloc_aligned(bytes, 1);
    if (!cross->memory) return mem_fail("keys and values of the audio", bytes);
    cross->n_bytes = bytes;
    return HONE_OK;
}

typedef struct cross_store {
    const encoding *e;
    const whisper_cross *cross;
    size_t layer;
} cross_store;

/* Positions begin … of one head: keys turned, values as they are,
 * zeros behind the last position. */
static void store_cross_block(const cross_store *s, size_t head, size_t block) {
    const whisper_run *run = s->e->run;
    const kernels *k = run->c->k;
    const size_t embd = run->m->h.decoder.n_embd, dim = embd / run->m->h.decoder.n_heads;
    const size_t element = dtype_get(s->cross->type)->block_bytes, begin = block * KV_BLOCK;
    const size_t rest = run->m->h.encoder.n_context - begin, n = rest < KV_BLOCK ? rest : KV_BLOCK;
    const float *from_keys = s->e->k + begin * embd + head * dim;
    const float *from_values = s->e->v + begin * embd + head * dim;
    char *keys = whisper_cross_block(s->cross, run->m, s->layer, head, KV_KEYS, block);
    char *values = whisper_cross_block(s->cross, run->m, s->layer, head, KV_VALUES, block);
    float turned[KV_BLOCK] = {0};
    for (size_t i = 0; i < dim; i++) {
        for (size_t t = 0; t < n; t++) turned[t] = from_keys[t * embd + i];
        k->store_row(s->cross->type, keys + i * KV_BLOCK * element, turned, KV_BLOCK);
    }
    for (size_t t = 0; t < n; t++)
        k->store_row(s->cross->type, values + t * dim * element, from_values + t * embd, dim);
    memset(values + n * dim * element, 0, (KV_BLOCK - n) * dim * element);
}

static void store_cross_head(void *user, size_t head, int thread) {
    (void)thread;
    const cross_store *s = user;
    for (size_t block = 0; block < s->cross->n_blocks; block++) store_cross_block(s, head, block);
}

static hone_status fill_cross(encoding *e, whisper_cross *cross) {
    const whisper *m = e->run->m;
    size_t n = m->h.encoder.n_context, embd = m->h.decoder.n_embd;
    TRY(reserve_cross(e->run, cross));
    for (size_t i = 0; i < m->h.decoder.n_layers; i++) {
        const whisper_attention *a = &m->decoder[i].cross;
        products(e, e->h, n, embd,
                 (linear[]){{&a->k.w, a->k.bias, e->k, embd}, {&a->v.w, a->v.bias, e->v, embd}}, 2);
        cross_store store = {e, cross, i};
        op_parallel(e->run->c, m->h.decoder.n_heads, store_cross_head, &store);
    }
    return HONE_OK;
}

hone_status whisper_encode(const whisper_run *run, const float *mel, whisper_cross *cross,
                           const float **audio) {
    encoding e = {.run = run};
    const whisper *m = run->m;
    const whisper_stack *s = &m->h.encoder;
    TRY(reserve_thread_scratch(&e));
    TRY(lay_out_layers(&e)); /* so that the memory does not grow between the two */
    TRY(lay_out_convolutions(&e));
    convolve(&e, mel);
    op_parallel(run->c, s->n_context, add_positions, &e);
    TRY(lay_out_layers(&e));
    for (size_t i = 0; i < s->n_layers; i++) {
        TRY(whisper_check_cancelled(run));
        attention_block(&e, &m->encoder[i]);
        feed_forward_block(&e, &m->encoder[i]);
    }
    op_layer_norm(run->c, e.h, e.x, m->audio_norm.weight, m->audio_norm.bias, s->n_context,
                  s->n_embd, WHISPER_NORM_EPS);
    TRY(whisper_check_cancelled(run));
    TRY(fill_cross(&e, cross));
    if (audio) *audio = e.h;
    return HONE_OK;
}
