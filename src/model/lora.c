#include "model/lora.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "tensor/quant.h"

static const char *const part_names[LORA_PARTS] = {
    [LORA_Q] = "attn_q",        [LORA_K] = "attn_k",      [LORA_V] = "attn_v",
    [LORA_OUT] = "attn_output", [LORA_GATE] = "ffn_gate", [LORA_UP] = "ffn_up",
    [LORA_DOWN] = "ffn_down",
};

/* "blk.3.attn_q.weight" → its place among the modules of n_layers layers. */
static bool find_place(const char *name, size_t n_layers, size_t *place) {
    unsigned layer;
    char part[32];
    int end = 0;
    if (sscanf(name, "blk.%6u.%31[^.].weight%n", &layer, part, &end) != 2 || end == 0 ||
        name[end] || layer >= n_layers)
        return false;
    for (size_t i = 0; i < LORA_PARTS; i++)
        if (strcmp(part, part_names[i]) == 0) {
            *place = layer * LORA_PARTS + i;
            return true;
        }
    return false;
}

/* --- opening --- */

typedef struct binding {
    const lora_file *file;
    const model_source *base;
    const hparams *h;
    lora *l;
    float *next; /* in l->weights */
} binding;

static hone_status check_architecture(const binding *b) {
    const char *made_for = b->file->architecture;
    if (!made_for[0] || strcmp(made_for, b->h->architecture) == 0) return HONE_OK;
    return fail(HONE_ERR_UNSUPPORTED, "%s was made for another base: its architecture is %s, that "
                "of %s is %s", b->file->path, made_for, b->base->path, b->h->architecture);
}

/* Finds the pair's place and compares shapes with the base's weight. */
static hone_status check_pair(const binding *b, const lora_pair *p, size_t *place) {
    const char *path = b->file->path, *name = b->file->base_name;
    char said[300] = "";
    tensor base;
    if (name[0]) snprintf(said, sizeof said, " (%s)", name);
    bool there = source_find(b->base, p->name, &base) && base.n_dims == 2;
    if (!there)
        return fail(HONE_ERR_UNSUPPORTED, "%s was made for another base%s: it changes %s, which "
                    "%s (%zu layers) does not have", path, said, p->name, b->base->path,
                    b->h->n_layers);
    if (!find_place(p->name, b->h->n_layers, place))
        return fail(HONE_ERR_UNSUPPORTED, "%s changes %s; hone takes adapters of the seven "
                    "projections of a layer", path, p->name);
    if (p->a.ne[0] != base.ne[0] || p->b.ne[1] != base.ne[1])
        return fail(HONE_ERR_UNSUPPORTED, "%s was made for another base%s: it changes a %s of "
                    "[%zu, %zu], that of %s is [%zu, %zu]", path, said, p->name, p->b.ne[1],
                    p->a.ne[0], b->base->path, base.ne[1], base.ne[0]);
    return HONE_OK;
}

static hone_status decode(const binding *b, const lora_pair *p, const tensor *from, size_t row,
                          float *out) {
    quant_decode_row(from->type, out, tensor_row(from, row), from->ne[0]);
    for (size_t i = 0; i < from->ne[0]; i++)
        if (!isfinite(out[i]))
            return fail(HONE_ERR_NUMERIC, "%s: %s: row %zu, column %zu is %g", b->file->path,
                        p->name, row, i, (double)out[i]);
    return HONE_OK;
}

/* The row of B, as the adapter orders them, that belongs to the base's row. */
static size_t row_of_adapter(const binding *b, size_t place, size_t row) {
    bool turned = place % LORA_PARTS == LORA_Q || place % LORA_PARTS == LORA_K;
    bool adapter_pairs = b->file->is_gguf && hparams_gguf_interleaves(b->h->architecture);
    if (!turned || adapter_pairs == b->h->rope.interleaved) return row;
    return adapter_pairs ? rope_row_among_pairs(row, b->h->head_dim)
                         : rope_row_among_halves(row, b->h->head_dim);
}

static hone_status copy_pair(binding *b, const lora_pair *p) {
    size_t place = 0;
    TRY(check_pair(b, p, &place));
    lora_module *m = &b->l->modules[place];
    *m = (lora_module){.rank = p->a.ne[1], .n_in = p->a.ne[0], .n_out = p->b.ne[1],
                       .scale = p->scale};
    m->a = b->next;
    for (size_t i = 0; i < m->rank; i++, b->next += m->n_in)
        TRY(decode(b, p, &p->a, i, b->next));
    float row[LORA_MAX_RANK], *columns = b->next;
    m->b = columns;
    b->next += m->rank * m->n_out;
    for (size_t i = 0; i < m->n_out; i++) {
        TRY(decode(b, p, &p->b, row_of_adapter(b, place, i), row));
        for (size_t j = 0; j < m->rank; j++) columns[j * m->n_out + i] = row[j];
    }
    b->l->n_modules++;
    if (m->rank > b->l->widest_rank) b->l->widest_rank = m->rank;
    return HONE_OK;
}

static hone_status bind(binding *b) {
    lora *l = b->l;
    size_t n_floats = 0, place;
    TRY(check_architecture(b));
    for (size_t i = 0; i < b->file->n_pairs; i++) {
        const lora_pair *p = &b->file->pairs[i];
        TRY(check_pair(b, p, &place));
        n_floats += (p->a.ne[0] + p->b.ne[1]) * p->a.ne[1];
    }
    l->n_layers = b->h->n_layers;
    l->bytes = n_floats * sizeof *l->weights;
    l->modules = mem_calloc(l->n_layers * LORA_PARTS, sizeof *l->modules);
    l->weights = mem_alloc_aligned(n_floats, sizeof *l->weights);
    if (!l->modules || !l->weights) return mem_fail("adapter", l->bytes);
    b->next = l->weights;
    for (size_t i = 0; i < b->file->n_pairs; i++) TRY(copy_pair(b, &b->file->pairs[i]));
    return HONE_OK;
}

hone_status lora_open(lora **out, const lora_file *file, const model_source *base,
                      const hparams *h) {
    lora *l = mem_calloc(1, sizeof *l);
    if (!l) return mem_fail("adapter", sizeof *l);
    atomic_init(&l->n_owners, 1);
    hone_status status = bind(&(binding){.file = file, .base = base, .h = h, .l = l});
    if (status != HONE_OK) {
        lora_release(l);
        return status;
    }
    *out = l;
    return HONE_OK;
}

void lora_release(lora *l) {
    if (!l || atomic_fetch_sub(&l->n_owners, 1) != 1) return;
    mem_free(l->modules);
    mem_free(l->weights);
    mem_free(l);
}

const lora_module *lora_find(const lora *l, const char *name) {
    size_t place;
    if (!find_place(name, l->n_layers, &place)) return NULL;
    return l->modules[place].rank ? &l->modules[place] : NULL;
}

void lora_add_to_row(const lora_module *m, float factor, size_t out, float *row) {
    for (size_t j = 0; j < m->rank; j++) {
        float weight = factor * m->scale * m->b[j * m->n_out + out];
        for (size_t i = 0; i < m->n_in; i++) row[i] += weight * m->a[j * m->n_in + i];
    }
}

/* --- sets --- */

hone_status lora_set_open(lora_set **out, const lora_use *uses, size_t n) {
    lora_set *s = mem_calloc(1, sizeof *s);
    if (!s) return mem_fail("adapters", sizeof *s);
    atomic_init(&s->n_owners, 1);
    s->n = n;
    for (size_t i = 0; i < n; i++) {
        s->uses[i] = uses[i];
        atomic_fetch_add(&uses[i].adapter->n_owners, 1);
    }
    *out = s;
    return HONE_OK;
}

lora_set *lora_set_share(lora_set *s) {
    if (s) atomic_fetch_add(&s->n_owners, 1);
    return s;
}

void lora_set_release(lora_set *s) {
    if (!s || atomic_fetch_sub(&s->n_owners, 1) != 1) return;
    for (size_t i = 0; i < s->n; i++) lora_release(s->uses[i].adapter);
    mem_free(s);
}

bool lora_set_equal(const lora_set *a, const lora_set *b) {
    size_t n_a = a ? a->n : 0, n_b = b ? b->n : 0;
    if (n_a != n_b) return false;
    for (size_t i = 0; i < n_a; i++)
        if (a->uses[i].adapter != b->uses[i].adapter || a->uses[i].factor != b->uses[i].factor)
            return false;
    return true;
}

/* --- computing --- */

/* Tokens that a task takes, and pieces that its rows are cut into where tokens are too few to keep
 * the threads busy. */
enum { TOKENS_PER_TASK = 16, PIECES = 8 };

typedef struct lora_work {
    compute *c;
    const lora_batch *batch;
    size_t layer, first, n_parts, n_pieces;
    const float *x;
    float *const *y;
    size_t low_stride; /* floats of a token between the products */
} lora_work;

static size_t low_stride_of(const lora_group *groups, size_t n_groups) {
    size_t widest = 0;
    for (size_t i = 0; i < n_groups; i++) {
        size_t sum = 0;
        for (size_t u = 0; u < groups[i].set->n; u++)
            sum += groups[i].set->uses[u].adapter->widest_rank;
        if (sum > widest) widest = sum;
    }
    return 3 * widest; /* q, k and v share one input */
}

size_t lora_low_floats(const lora_group *groups, size_t n_groups, size_t n_tokens) {
    return n_tokens * low_stride_of(groups, n_groups);
}

/* A run of tokens of one group inside a task, and the share of rows that the task takes. */
typedef struct lora_share {
    const lora_work *w;
    const lora_set *set;
    size_t token, n_tokens, piece;
} lora_share;

/* This piece's part of n rows. */
static size_t cut(const lora_share *s, size_t n, size_t piece) {
    return n * piece / s->w->n_pieces;
}

/* low = scale · A · x */
static void shrink(const lora_share *s, const lora_module *m, float factor, float *low) {
    const lora_work *w = s->w;
    size_t begin = cut(s, m->rank, s->piece), end = cut(s, m->rank, s->piece + 1);
    if (begin == end) return;
    w->c->k->gemm_float(low + begin, w->low_stride, DTYPE_F32, m->a + begin * m->n_in,
                        m->n_in * sizeof(float), end - begin, w->x + s->token * m->n_in, m->n_in,
                        s->n_tokens, m->n_in, false);
    for (size_t t = 0; t < s->n_tokens; t++)
        for (size_t r = begin; r < end; r++) low[t * w->low_stride + r] *= factor * m->scale;
}

/* Pieces of outputs begin at multiples of 64: vectors round otherwise than single numbers at an end
 * do, and where a number stands must not depend on the pieces. */
static size_t cut_outputs(const lora_share *s, size_t n, size_t piece) {
    return piece == s->w->n_pieces ? n : cut(s, n, piece) / 64 * 64;
}

/* y += B · low, column by column: vectors lie along the outputs, which are many, and not along the
 * rank, which is small. */
static void expand(const lora_share *s, const lora_module *m, const float *low, float *y) {
    const lora_work *w = s->w;
    size_t begin = cut_outputs(s, m->n_out, s->piece);
    size_t end = cut_outputs(s, m->n_out, s->piece + 1);
    for (size_t t = 0; t < s->n_tokens; t++)
        for (size_t j = 0; j < m->rank; j++)
            w->c->k->blend(y + (s->token + t) * m->n_out + begin, 1, m->b + j * m->n_out + begin,
                           low[t * w->low_stride + j], end - begin);
}

static void run_share(const lora_share *s, bool expanding) {
    const lora_work *w = s->w;
    float *low = w->batch->low + s->token * w->low_stride;
    for (size_t part = 0; part < w->n_parts; part++)
        for (size_t u = 0; u < s->set->n; u++) {
            const lora *l = s->set->uses[u].adapter;
            const lora_module *m = &l->modules[w->layer * LORA_PARTS + w->first + part];
            if (m->rank == 0) continue;
            if (expanding) expand(s, m, low, w->y[part]);
            else shrink(s, m, s->set->uses[u].factor, low);
            low += m->rank;
        }
}

static void run_task(const lora_work *w, size_t index, bool expanding) {
    size_t begin = index / w->n_pieces * TOKENS_PER_TASK, end = begin + TOKENS_PER_TASK;
    for (size_t i = 0; i < w->batch->n_groups; i++) {
        const lora_group *g = &w->batch->groups[i];
        size_t from = g->first > begin ? g->first : begin, to = g->first + g->n_tokens;
        if (to > end) to = end;
        if (from >= to) continue;
        run_share(&(lora_share){.w = w, .set = g->set, .token = from, .n_tokens = to - from,
                                .piece = index % w->n_pieces}, expanding);
    }
}

static void shrink_task(void *user, size_t index, int thread) {
    (void)thread;
    run_task(user, index, false);
}

static void expand_task(void *user, size_t index, int thread) {
    (void)thread;
    run_task(user, index, true);
}

void op_lora(compute *c, const lora_batch *batch, size_t layer, lora_part first, size_t n_parts,
             size_t n_tokens, const float *x, float *const *y) {
    if (batch->n_groups == 0) return;
    size_t n_blocks = (n_tokens + TOKENS_PER_TASK - 1) / TOKENS_PER_TASK;
    lora_work work = {.c = c, .batch = batch, .layer = layer, .first = first, .n_parts = n_parts,
                      .x = x, .y = y, .n_pieces = n_blocks < PIECES ? PIECES : 1,
                      .low_stride = low_stride_of(batch->groups, batch->n_groups)};
    op_parallel(c, n_blocks * work.n_pieces, shrink_task, &work);
    op_parallel(c, n_blocks * work.n_pieces, expand_task, &work);
}
