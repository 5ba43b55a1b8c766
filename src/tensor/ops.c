#include "tensor/ops.h"

#include <string.h>

#include "base/mem.h"

hone_status compute_init(compute *c, int n_threads) {
    *c = (compute){0};
    hone_status status = kernels_get(&c->k);
    if (status == HONE_OK) status = pool_open(&c->pool, n_threads);
    if (status == HONE_OK) {
        c->scratch = mem_calloc((size_t)n_threads, sizeof *c->scratch);
        if (!c->scratch) status = mem_fail("scratch", (size_t)n_threads * sizeof *c->scratch);
    }
    if (status != HONE_OK) compute_release(c);
    return status;
}

static void free_scratch(compute *c) {
    for (int i = 0; c->scratch && i < pool_threads(c->pool); i++) {
        mem_free(c->scratch[i]);
        c->scratch[i] = NULL;
    }
    c->scratch_bytes = 0;
}

void compute_release(compute *c) {
    free_scratch(c);
    mem_free(c->scratch);
    pool_close(c->pool);
    *c = (compute){0};
}

hone_status compute_reserve(compute *c, size_t scratch_bytes) {
    if (scratch_bytes <= c->scratch_bytes) return HONE_OK;
    free_scratch(c);
    for (int i = 0; i < pool_threads(c->pool); i++) {
        c->scratch[i] = mem_alloc_aligned(scratch_bytes, 1);
        if (!c->scratch[i]) {
            free_scratch(c);
            return mem_fail("scratch", scratch_bytes);
        }
    }
    c->scratch_bytes = scratch_bytes;
    return HONE_OK;
}

void op_parallel(compute *c, size_t n, pool_task task, void *user) {
    pool_run(c->pool, n, task, user);
}

/* --- row-wise work --- */

/* Tasks of several rows each, so that a task is worth its hand-over; few rows run at once. */
#define ROWS_PER_TASK 4

typedef struct row_work {
    compute *c;
    size_t n_rows, n;
    void (*one)(const struct row_work *w, size_t row);
    float *y;
    const float *x, *w, *b;
    float eps;
    activations *a;
} row_work;

static void run_some_rows(void *user, size_t index, int thread) {
    (void)thread;
    const row_work *w = user;
    size_t end = (index + 1) * ROWS_PER_TASK;
    for (size_t row = index * ROWS_PER_TASK; row < end && row < w->n_rows; row++) w->one(w, row);
}

static void run_rows(row_work w) {
    op_parallel(w.c, (w.n_rows + ROWS_PER_TASK - 1) / ROWS_PER_TASK, run_some_rows, &w);
}

static void quantise_one(const row_work *w, size_t row) {
    activations_quantise(w->c->k, w->a, row, row + 1);
}

void op_quantise(compute *c, activations *a) {
    if (a->form == FORM_FLOAT) return;
    run_rows((row_work){.c = c, .n_rows = a->n_tokens, .one = quantise_one, .a = a});
}

static void norm_one(const row_work *w, size_t row) {
    w->c->k->rms_norm(w->y + row * w->n, w->x + row * w->n, w->w, w->n, w->eps);
}

void op_rms_norm(compute *c, float *y, const float *x, const float *w, size_t n_tokens, size_t n,
                 float eps) {
    run_rows((row_work){
        .c = c, .n_rows = n_tokens, .n = n, .one = norm_one, .y = y, .x = x, .w = w, .eps = eps});
}

static void silu_one(const row_work *w, size_t row) {
    w->c->k->silu_mul(w->y + row * w->n, w->x + row * w->n, w->n);
}

void op_silu_mul(compute *c, float *gate, const float *up, size_t n_tokens, size_t n) {
    run_rows((row_work){.c = c, .n_rows = n_tokens, .n = n, .one = silu_one, .y = gate, .x = up});
}

static void layer_norm_one(const row_work *w, size_t row) {
    w->c->k->layer_norm(w->y + row * w->n, w->x + row * w->n, w->w, w->b, w->n, w->eps);
}

void op_layer_norm(compute *c, float *y, const float *x, const float *w, const float *b,
                   size_t n_tokens, size_t n, float eps) {
    run_rows((row_work){.c = c, .n_rows = n_tokens, .n = n, .one = layer_norm_one, .y = y, .x = x,
                        .w = w, .b = b, .eps = eps});
}

static void gelu_one(const row_work *w, size_t row) { w->c->k->gelu(w->y + row * w->n, w->n); }

void op_gelu(compute *c, float *x, size_t n_tokens, size_t n) {
    run_rows((row_work){.c = c, .n_rows = n_tokens, .n = n, .one = gelu_one, .y = x});
}

static void add_one(const row_work *w, size_t row) {
    w->c->k->add(w->y + row * w->n, w->x + row * w->n, w->n);
}

void op_add(compute *c, float *x, const float *y, size_t n_tokens, size_t n) {
    run_rows((row_work){.c = c, .n_rows = n_tokens, .n = n, .one = add_one, .y = x, .x = y});
}

/* --- products --- */

/* Rows are handed out in units of MATMUL_ROW_STEP. */
static size_t units_of(const tensor *w) {
    return (w->ne[1] + MATMUL_ROW_STEP - 1) / MATMUL_ROW_STEP;
}

/* Some eight tasks for each thread even out a disturbed core. */
static size_t n_slices(const compute *c, size_t n_units) {
    size_t n = (size_t)pool_threads(c->pool) * 8;
    return n < n_units ? n : n_units;
}

/* The unit with which slice `index` of n begins: at x of the slices, 1.6 x − 0.6 x² of the units.
 * So they become smaller, from 1.6 of an even one down to 0.4, and threads that drifted apart wait
 * for each other only shortly at the end. */
static size_t slice_begin(size_t n_units, size_t index, size_t n) {
    return n == n_units ? index : n_units * index * (16 * n - 6 * index) / (10 * n * n);
}

typedef struct linear_work {
    compute *c;
    const activations *x;
    const linear *jobs; /* a task's units may belong to several */
    size_t n_units, n_tasks;
} linear_work;

static void add_bias(const kernels *k, const linear *job, size_t begin, size_t end,
                     size_t n_tokens) {
    for (size_t t = 0; t < n_tokens; t++)
        k->add(job->y + t * job->y_stride + begin, job->bias + begin, end - begin);
}

static void run_units(const linear_work *work, const linear *job, size_t unit, size_t n,
                      void *scratch) {
    const kernels *k = work->c->k;
    size_t begin = unit * MATMUL_ROW_STEP, end = (unit + n) * MATMUL_ROW_STEP;
    if (end > job->w->ne[1]) end = job->w->ne[1];
    matmul_rows(k, job->y, job->y_stride, job->w, begin, end, work->x, scratch);
    if (job->bias) add_bias(k, job, begin, end, work->x->n_tokens);
}

static void run_slice(void *user, size_t index, int thread) {
    const linear_work *work = user;
    const linear *job = work->jobs;
    size_t unit = slice_begin(work->n_units, index, work->n_tasks);
    size_t left = slice_begin(work->n_units, index + 1, work->n_tasks) - unit;
    for (; left > 0; job++) {
        size_t units = units_of(job->w), n = 0;
        if (unit < units) {
            n = units - unit < left ? units - unit : left;
            run_units(work, job, unit, n, work->c->scratch[thread]);
        }
        unit = unit < units ? 0 : unit - units;
        left -= n;
    }
}

void op_linear(compute *c, const activations *x, const linear *jobs, size_t n_jobs) {
    linear_work work = {.c = c, .x = x, .jobs = jobs};
    for (size_t i = 0; i < n_jobs && c->observe; i++) c->observe(c->observe_user, jobs[i].w, x);
    for (size_t i = 0; i < n_jobs; i++) work.n_units += units_of(jobs[i].w);
    work.n_tasks = n_slices(c, work.n_units);
    op_parallel(c, work.n_tasks, run_slice, &work);
}

/* --- gate, up and what is between them and down --- */

typedef struct gate_work {
    compute *c;
    const activations *x;
    const tensor *gate, *up;
    activations *out;
    float *memory;
    size_t n_tasks, most_rows; /* of a task */
} gate_work;

static void gate_slice(void *user, size_t index, int thread) {
    const gate_work *w = user;
    const kernels *k = w->c->k;
    size_t n_units = units_of(w->gate), n_tokens = w->x->n_tokens;
    size_t begin = slice_begin(n_units, index, w->n_tasks) * MATMUL_ROW_STEP;
    size_t n = slice_begin(n_units, index + 1, w->n_tasks) * MATMUL_ROW_STEP - begin;
    const tensor *matrices[] = {w->gate, w->up};
    float *slices[] = {w->memory + (size_t)thread * 2 * n_tokens * w->most_rows, NULL};
    slices[1] = slices[0] + n_tokens * w->most_rows;
    for (int i = 0; i < 2; i++) { /* rows begin … of a view count from 0 */
        tensor rows = *matrices[i];
        rows.data = tensor_row(matrices[i], begin);
        rows.ne[1] = n;
        matmul_rows(k, slices[i], n, &rows, 0, n, w->x, w->c->scratch[thread]);
    }
    k->silu_mul(slices[0], slices[1], n_tokens * n);
    for (size_t t = 0; t < n_tokens; t++)
        activations_quantise_columns(k, w->out, t, begin, n, slices[0] + t * n);
}

bool op_can_gate(const compute *c, const tensor *gate, const tensor *up, size_t n_tokens) {
    activation_form form = matmul_form(c->k, gate, n_tokens);
    return !c->observe && form != FORM_FLOAT && form == matmul_form(c->k, up, n_tokens) &&
           gate->ne[1] % MATMUL_ROW_STEP == 0 &&
           units_of(gate) >= (size_t)pool_threads(c->pool);
}

void op_gate(compute *c, const activations *x, const tensor *gate, const tensor *up,
             activations *out, float *memory) {
    /* For many tokens as little as a product takes at once, so that both slices stay cached. */
    size_t n_units = units_of(gate), n_tasks = n_units;
    if (x->n_tokens <= MATMUL_FEW_TOKENS) n_tasks = n_slices(c, n_units);
    /* The first is the largest, but that later ones may be rounded up. */
    size_t most_units = n_tasks == n_units ? 1 : slice_begin(n_units, 1, n_tasks) + 1;
    size_t most_rows = most_units * MATMUL_ROW_STEP;
    gate_work work = {c, x, gate, up, out, memory, n_tasks, most_rows};
    op_parallel(c, n_tasks, gate_slice, &work);
}

void op_products(compute *c, const float *x, size_t n_tokens, size_t n_in, const linear *jobs,
                 size_t n_jobs, void *memory) {
    activation_form form = FORM_FLOAT;
    for (size_t i = 0; i < n_jobs && memory && form != FORM_INT8; i++) {
        activation_form best = matmul_form(c->k, jobs[i].w, n_tokens);
        if (best != FORM_FLOAT) form = best;
    }
    activations a;
    activations_init(&a, form, x, n_tokens, n_in, memory);
    op_quantise(c, &a);
    op_linear(c, &a, jobs, n_jobs);
}
