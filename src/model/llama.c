#include "model/llama.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "tensor/quant.h"

/* --- loading --- */

/* Hands out pieces of m->vectors and fills them with a tensor's values. */
typedef struct vector_loader {
    const model_source *s;
    float *next;
} vector_loader;

static hone_status load_vector(vector_loader *v, const char *name, size_t n, const float **out) {
    tensor view;
    TRY(source_tensor(v->s, name, 0, n, &view));
    quant_decode_row(view.type, v->next, view.data, n);
    for (size_t i = 0; i < n; i++)
        if (!isfinite(v->next[i]))
            return fail(HONE_ERR_NUMERIC, "%s: tensor %s: value %zu is not a finite number",
                        v->s->path, name, i);
    *out = v->next;
    v->next += n;
    return HONE_OK;
}

static hone_status find_matrices(llama *m, const model_source *s, size_t i) {
    const hparams *h = &m->h;
    llama_layer *layer = &m->layers[i];
    size_t q_rows = h->n_heads * h->head_dim, kv_rows = h->n_kv_heads * h->head_dim;
    const struct {
        const char *name;
        size_t n_out, n_in;
        tensor *view;
    } matrices[] = {
        {"attn_q", q_rows, h->n_embd, &layer->q},     {"attn_k", kv_rows, h->n_embd, &layer->k},
        {"attn_v", kv_rows, h->n_embd, &layer->v},
        {"attn_output", h->n_embd, q_rows, &layer->attn_out},
        {"ffn_gate", h->n_ff, h->n_embd, &layer->gate}, {"ffn_up", h->n_ff, h->n_embd, &layer->up},
        {"ffn_down", h->n_embd, h->n_ff, &layer->down},
    };
    char name[64];
    for (size_t j = 0; j < sizeof matrices / sizeof *matrices; j++) {
        snprintf(name, sizeof name, "blk.%zu.%s.weight", i, matrices[j].name);
        TRY(source_tensor(s, name, matrices[j].n_out, matrices[j].n_in, matrices[j].view));
    }
    return HONE_OK;
}

static hone_status load_vectors(llama *m, vector_loader *v, size_t i) {
    const hparams *h = &m->h;
    llama_layer *layer = &m->layers[i];
    size_t q_rows = h->n_heads * h->head_dim, kv_rows = h->n_kv_heads * h->head_dim;
    const struct {
        const char *name;
        size_t n;
        const float **vector;
    } vectors[] = {
        {"attn_norm.weight", h->n_embd, &layer->attn_norm},
        {"ffn_norm.weight", h->n_embd, &layer->ffn_norm},
        {"attn_q.bias", q_rows, &layer->q_bias},
        {"attn_k.bias", kv_rows, &layer->k_bias},
        {"attn_v.bias", kv_rows, &layer->v_bias},
    };
    char name[64];
    size_t n_vectors = h->qkv_bias ? 5 : 2;
    for (size_t j = 0; j < n_vectors; j++) {
        snprintf(name, sizeof name, "blk.%zu.%s", i, vectors[j].name);
        TRY(load_vector(v, name, vectors[j].n, vectors[j].vector));
    }
    return HONE_OK;
}

/* A tied head is stored once, under either name. */
static hone_status load_head(llama *m, const model_source *s) {
    const hparams *h = &m->h;
    tensor found;
    bool has_embedding = source_find(s, "token_embd.weight", &found);
    bool has_output = source_find(s, "output.weight", &found);
    const char *embedding = has_embedding || !has_output ? "token_embd.weight" : "output.weight";
    TRY(source_tensor(s, embedding, h->n_vocab, h->n_embd, &m->embedding));
    return source_tensor(s, has_output ? "output.weight" : embedding, h->n_vocab, h->n_embd,
                         &m->output);
}

/* The matrices first: once they are there, the file is larger than what its vectors will take. */
static hone_status load(llama *m, const model_source *s) {
    const hparams *h = &m->h;
    TRY(load_head(m, s));
    m->layers = mem_calloc(h->n_layers, sizeof *m->layers);
    if (!m->layers) return mem_fail("layers", h->n_layers * sizeof *m->layers);
    for (size_t i = 0; i < h->n_layers; i++) TRY(find_matrices(m, s, i));
    size_t per_layer = 2 * h->n_embd +
                       (h->qkv_bias ? (h->n_heads + 2 * h->n_kv_heads) * h->head_dim : 0);
    size_t n_floats = h->n_layers * per_layer + h->n_embd;
    m->vectors = mem_calloc(n_floats, sizeof(float));
    m->rope_frequencies = mem_calloc(h->rope.n_dims / 2, sizeof(float));
    if (!m->vectors || !m->rope_frequencies)
        return mem_fail("norms and biases", n_floats * sizeof(float));
    vector_loader v = {s, m->vectors};
    for (size_t i = 0; i < h->n_layers; i++) TRY(load_vectors(m, &v, i));
    TRY(load_vector(&v, "output_norm.weight", h->n_embd, &m->output_norm));
    rope_frequencies(&h->rope, m->rope_frequencies, &m->rope_amplitude);
    return HONE_OK;
}

hone_status llama_open(llama *m, const model_source *s) {
    *m = (llama){0};
    TRY(hparams_read(&m->h, s));
    hone_status status = load(m, s);
    if (status != HONE_OK) llama_release(m);
    return status;
}

void llama_release(llama *m) {
    mem_free(m->layers);
    mem_free(m->vectors);
    mem_free(m->rope_frequencies);
    *m = (llama){0};
}

tensor *llama_matrix(llama *m, size_t i) {
    if (i < 2) return i == 0 ? &m->embedding : &m->output;
    size_t layer = (i - 2) / 7;
    if (layer >= m->h.n_layers) return NULL;
    llama_layer *l = &m->layers[layer];
    tensor *const matrices[] = {&l->q, &l->k, &l->v, &l->attn_out, &l->gate, &l->up, &l->down};
    return matrices[(i - 2) % 7];
}

/* --- the forward pass --- */

/* Everything a pass writes, for T tokens. */
typedef struct pass {
    const llama *m;
    compute *c;
    const llama_batch *b;
    rope_table rope;
    attention_plan plan;
    float *x;               /* [T, embd] the residual stream */
    float *h;               /* [T, embd] after a norm */
    float *q, *k, *v;       /* [T, heads · head_dim], [T, kv_heads · head_dim] twice */
    float *att, *att_parts; /* [T, heads · head_dim], and op_attention's memory */
    float *gate, *up;       /* [T, ff], one behind the other */
    void *quantised;        /* activations_bytes for [T, widest input], */
    void *gated;            /* and for [T, ff] */
    lora_batch adapters;
} pass;

void llama_scratch_release(llama_scratch *s) {
    mem_free(s->memory);
    *s = (llama_scratch){0};
}

static size_t widest_input(const hparams *h) {
    size_t n = h->n_heads * h->head_dim;
    if (n < h->n_embd) n = h->n_embd;
    return n < h->n_ff ? h->n_ff : n;
}

/* Cuts the memory into the pass's arrays, each on a cache line of its own; with NULL it only
 * counts. Returns the number of floats. */
static size_t cut_memory(pass *p, float *memory, float **cosines, float **sines) {
    const hparams *h = &p->m->h;
    size_t n = p->b->n_tokens, heads = h->n_heads * h->head_dim, kv = h->n_kv_heads * h->head_dim;
    size_t half = h->rope.n_dims / 2, widest = (widest_input(h) + 31) / 32 * 32;
    struct {
        void *where;
        size_t n_floats;
    } arrays[] = {
        {&p->x, n * h->n_embd},   {&p->h, n * h->n_embd},     {&p->q, n * heads},
        {&p->k, n * kv},          {&p->v, n * kv},            {&p->att, n * heads},
        {&p->gate, n * h->n_ff},  {&p->up, n * h->n_ff},      {cosines, n * half},
        {sines, n * half},        {&p->att_parts, p->plan.n_part_floats},
        {&p->quantised, activations_bytes(n, widest) / sizeof(float)},
        {&p->gated, activations_bytes(n, (h->n_ff + 31) / 32 * 32) / sizeof(float)},
        {&p->adapters.low, lora_low_floats(p->b->adapters, p->b->n_adapters, n)},
    };
    size_t total = 0;
    for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++) {
        float *place = memory + total;
        if (memory) memcpy(arrays[i].where, &place, sizeof place);
        total += (arrays[i].n_floats + 15) / 16 * 16;
    }
    return total;
}

static hone_status lay_out(pass *p, llama_scratch *scratch, float **cosines, float **sines) {
    size_t total = cut_memory(p, NULL, cosines, sines);
    if (total > scratch->n_floats) {
        llama_scratch_release(scratch);
        scratch->memory = mem_alloc_aligned(total, sizeof(float));
        if (!scratch->memory) return mem_fail("activations", total * sizeof(float));
        scratch->n_floats = total;
    }
    cut_memory(p, scratch->memory, cosines, sines);
    return HONE_OK;
}

/* Activations in a short form unless the batch is exact. */
static void products(pass *p, const float *x, size_t n_tokens, size_t n_in, const linear *jobs,
                     size_t n_jobs) {
    op_products(p->c, x, n_tokens, n_in, jobs, n_jobs, p->b->exact ? NULL : p->quantised);
}

/* Adds what adapters change to parts `first` … of a layer, which are products of x. */
static void adapt(pass *p, size_t layer, lora_part first, size_t n_parts, const float *x,
                  float *const *y) {
    op_lora(p->c, &p->adapters, layer, first, n_parts, p->b->n_tokens, x, y);
}

static void attention_block(pass *p, size_t index) {
    const hparams *h = &p->m->h;
    const llama_layer *layer = &p->m->layers[index];
    const llama_batch *b = p->b;
    size_t n = b->n_tokens, heads = h->n_heads * h->head_dim, kv = h->n_kv_heads * h->head_dim;
    op_rms_norm(p->c, p->h, p->x, layer->attn_norm, n, h->n_embd, h->norm_eps);
    products(p, p->h, n, h->n_embd,
             (linear[]){{&layer->q, layer->q_bias, p->q, heads},
                        {&layer->k, layer->k_bias, p->k, kv},
                        {&layer->v, layer->v_bias, p->v, kv}}, 3);
    adapt(p, index, LORA_Q, 3, p->h, (float *[]){p->q, p->k, p->v});
    op_rope_and_store(p->c, b->segments, b->n_segments, index, &p->rope, h->n_heads, p->q, p->k,
                      p->v);
    op_attention(p->c, &p->plan, index, p->q, p->att, p->att_parts);
    products(p, p->att, n, heads, &(linear){&layer->attn_out, NULL, p->h, h->n_embd}, 1);
    adapt(p, index, LORA_OUT, 1, p->att, &p->h);
    op_add(p->c, p->x, p->h, n, h->n_embd);
}

static bool works_in_slices(const compute *c, const llama_layer *layer, size_t n_tokens) {
    return matmul_form(c->k, &layer->down, n_tokens) != FORM_FLOAT &&
           op_can_gate(c, &layer->gate, &layer->up, n_tokens);
}

/* Gate, up and down in short forms without the floats between them ever being in memory. */
static bool feed_forward_in_slices(pass *p, const llama_layer *layer) {
    const hparams *h = &p->m->h;
    size_t n = p->b->n_tokens;
    if (p->b->exact || p->b->n_adapters > 0 || !works_in_slices(p->c, layer, n)) return false;
    activations x, gated;
    activations_init(&x, matmul_form(p->c->k, &layer->gate, n), p->h, n, h->n_embd, p->quantised);
    activations_init(&gated, matmul_form(p->c->k, &layer->down, n), NULL, n, h->n_ff, p->gated);
    op_quantise(p->c, &x);
    op_gate(p->c, &x, &layer->gate, &layer->up, &gated, p->gate);
    op_linear(p->c, &gated, &(linear){&layer->down, NULL, p->h, h->n_embd}, 1);
    return true;
}

static void feed_forward_block(pass *p, size_t index) {
    const hparams *h = &p->m->h;
    const llama_layer *layer = &p->m->layers[index];
    size_t n = p->b->n_tokens;
    op_rms_norm(p->c, p->h, p->x, layer->ffn_norm, n, h->n_embd, h->norm_eps);
    if (!feed_forward_in_slices(p, layer)) {
        products(p, p->h, n, h->n_embd,
                 (linear[]){{&layer->gate, NULL, p->gate, h->n_ff},
                            {&layer->up, NULL, p->up, h->n_ff}}, 2);
        adapt(p, index, LORA_GATE, 2, p->h, (float *[]){p->gate, p->up});
        op_silu_mul(p->c, p->gate, p->up, n, h->n_ff);
        products(p, p->gate, n, h->n_ff, &(linear){&layer->down, NULL, p->h, h->n_embd}, 1);
        adapt(p, index, LORA_DOWN, 1, p->gate, &p->h);
    }
    op_add(p->c, p->x, p->h, n, h->n_embd);
}

/* Before the head, which moves rows about. */
static void copy_states(pass *p) {
    const hparams *h = &p->m->h;
    const llama_batch *b = p->b;
    for (size_t i = 0; b->states && i < b->n_segments; i++)
        if (b->states[i])
            op_rms_norm(p->c, b->states[i], p->x + b->segments[i].first * h->n_embd,
                        p->m->output_norm, b->segments[i].n_tokens, h->n_embd, h->norm_eps);
}

/* A head beyond this goes in slices, so that who lets go of pages as they were read
 * (compute.observe) never has all of it in memory. */
#define HEAD_SLICE_BYTES ((size_t)256 << 20)

static void head(pass *p) {
    const hparams *h = &p->m->h;
    const llama_batch *b = p->b;
    if (b->n_logit_rows == 0) return;
    for (size_t i = 0; i < b->n_logit_rows; i++) /* ascending, so nothing is overwritten early */
        memmove(p->x + i * h->n_embd, p->x + b->logit_rows[i] * h->n_embd,
                h->n_embd * sizeof *p->x);
    op_rms_norm(p->c, p->h, p->x, p->m->output_norm, b->n_logit_rows, h->n_embd, h->norm_eps);
    const tensor *w = &p->m->output;
    size_t step = HEAD_SLICE_BYTES / w->row_bytes / MATMUL_ROW_STEP * MATMUL_ROW_STEP;
    if (step == 0) step = MATMUL_ROW_STEP;
    for (size_t begin = 0; begin < w->ne[1]; begin += step) {
        tensor rows = *w;
        rows.data = tensor_row(w, begin);
        rows.ne[1] = w->ne[1] - begin < step ? w->ne[1] - begin : step;
        products(p, p->h, b->n_logit_rows, h->n_embd,
                 &(linear){&rows, NULL, b->logits + begin, h->n_vocab}, 1);
    }
}

/* What a thread needs for every product and, in bytes, for attention. */
static size_t thread_scratch(const llama *m, size_t n_tokens, size_t attention) {
    size_t most = attention;
    for (size_t i = 0; i <= m->h.n_layers; i++) {
        const llama_layer *l = i < m->h.n_layers ? &m->layers[i] : NULL;
        const tensor *matrices[] = {l ? &l->q : &m->output, l ? &l->k : NULL, l ? &l->v : NULL,
                                    l ? &l->attn_out : NULL, l ? &l->gate : NULL,
                                    l ? &l->up : NULL, l ? &l->down : NULL};
        for (size_t j = 0; j < sizeof matrices / sizeof *matrices; j++) {
            size_t bytes = matrices[j] ? matmul_scratch_bytes(matrices[j], n_tokens) : 0;
            if (bytes > most) most = bytes;
        }
    }
    return most;
}

size_t llama_vector_bytes(const llama *m) {
    const hparams *h = &m->h;
    size_t biases = h->qkv_bias ? (h->n_heads + 2 * h->n_kv_heads) * h->head_dim : 0;
    size_t n_floats = h->n_layers * (2 * h->n_embd + biases) + h->n_embd + h->rope.n_dims / 2;
    return n_floats * sizeof(float) + h->n_layers * sizeof *m->layers;
}

/* Of gate and up, what a pass of many tokens never touches because it works in slices. */
static size_t untouched_floats(const llama *m, const compute *c, size_t n_tokens) {
    for (size_t i = 0; i < m->h.n_layers; i++)
        if (!works_in_slices(c, &m->layers[i], n_tokens)) return 0;
    size_t slices = (size_t)pool_threads(c->pool) * MATMUL_ROW_STEP;
    return n_tokens > MATMUL_FEW_TOKENS ? 2 * n_tokens * (m->h.n_ff - slices) : 0;
}

void llama_forward_bytes(const llama *m, const compute *c, const kv_segment *segment,
                         bool in_floats, size_t *scratch, size_t *per_thread) {
    const llama_batch b = {.n_tokens = segment->n_tokens, .segments = segment, .n_segments = 1};
    pass p = {.m = m, .b = &b};
    float *cosines, *sines;
    attention_plan_init(&p.plan, c, segment, 1, m->h.n_heads);
    size_t n_floats = cut_memory(&p, NULL, &cosines, &sines);
    if (!in_floats) n_floats -= untouched_floats(m, c, segment->n_tokens);
    *scratch = n_floats * sizeof(float);
    *per_thread = thread_scratch(m, segment->n_tokens, p.plan.scratch_bytes);
}

hone_status llama_forward(const llama *m, compute *c, llama_scratch *scratch,
                          const llama_batch *b) {
    const hparams *h = &m->h;
    pass p = {.m = m, .c = c, .b = b,
              .adapters = {.groups = b->adapters, .n_groups = b->n_adapters}};
    float *cosines, *sines;
    attention_plan_init(&p.plan, c, b->segments, b->n_segments, h->n_heads);
    TRY(compute_reserve(c, thread_scratch(m, b->n_tokens, p.plan.scratch_bytes)));
    TRY(lay_out(&p, scratch, &cosines, &sines));
    rope_table_fill(cosines, sines, m->rope_frequencies, m->rope_amplitude, h->rope.n_dims,
                    b->segments, b->n_segments);
    p.rope = (rope_table){h->rope.n_dims, h->rope.interleaved, cosines, sines};
    for (size_t t = 0; t < b->n_tokens; t++)
        c->k->decode_row(m->embedding.type, p.x + t * h->n_embd,
                         tensor_row(&m->embedding, (size_t)b->tokens[t]), h->n_embd);
    for (size_t i = 0; i < h->n_layers; i++) {
        if (b->cancelled(b->user)) return fail(HONE_ERR_CANCELLED, "cancelled");
        attention_block(&p, i);
        feed_forward_block(&p, i);
    }
    copy_states(&p);
    head(&p);
    return HONE_OK;
}
