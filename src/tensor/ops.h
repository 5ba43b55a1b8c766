/* Operations that models call: they split work over threads and call kernels.
 *
 * A `compute` holds the threads, the kernel table and each thread's scratch. One operation runs at
 * a time; whoever calls holds the model's lock. Results do not depend on the number of threads. */
#ifndef TENSOR_OPS_H
#define TENSOR_OPS_H

#include "base/pool.h"
#include "tensor/matmul.h"

/* Hears of a product before it is computed, on the thread that asked for it. */
typedef void product_observer(void *user, const tensor *w, const activations *x);

typedef struct compute {
    const kernels *k;
    pool *pool;
    void **scratch; /* one for each thread, scratch_bytes each, 64-byte aligned */
    size_t scratch_bytes;
    product_observer *observe; /* of op_linear; NULL: nobody listens */
    void *observe_user;
} compute;

hone_status compute_init(compute *c, int n_threads);
void compute_release(compute *c);

/* Makes sure that each thread has that much scratch. Not while an operation runs. */
hone_status compute_reserve(compute *c, size_t scratch_bytes);

/* task(user, i, thread) for i < n, spread over the threads. */
void op_parallel(compute *c, size_t n, pool_task task, void *user);

/* Fills the short form of all tokens; does nothing where there is none. */
void op_quantise(compute *c, activations *a);

/* y[t, r] = Σ_k w[r, k] · x[t, k] (+ bias[r]); y rows are y_stride floats apart. */
typedef struct linear {
    const tensor *w;
    const float *bias; /* NULL = none */
    float *y;
    size_t y_stride;
} linear;

/* Several products of the same activations in one go. */
void op_linear(compute *c, const activations *x, const linear *jobs, size_t n_jobs);

/* Several products of x[n_tokens, n_in]. With `memory` (activations_bytes) in the short form that
 * suits them, in 8 bits where one has a block type and another has not; with NULL in floats. */
void op_products(compute *c, const float *x, size_t n_tokens, size_t n_in, const linear *jobs,
                 size_t n_jobs, void *memory);

/* out = the short form of silu(gate · x) ⊙ (up · x), in slices of rows that stay in the caches;
 * bit-equal to op_linear, op_silu_mul and op_quantise one after the other. `out` has buffers of its
 * own, its floats stay as they are. `memory` takes two slices for each thread, 2 · n_tokens · n_ff
 * floats are always enough. op_can_gate says whether it can be done: a short form that suits both
 * matrices, n_ff a multiple of 32 and at least 32 for each thread, nobody observing. */
bool op_can_gate(const compute *c, const tensor *gate, const tensor *up, size_t n_tokens);
void op_gate(compute *c, const activations *x, const tensor *gate, const tensor *up,
             activations *out, float *memory);

/* y[t] = rms_norm(x[t]) · w, rows of n floats. */
void op_rms_norm(compute *c, float *y, const float *x, const float *w, size_t n_tokens, size_t n,
                 float eps);

/* gate[t] = silu(gate[t]) ⊙ up[t] */
void op_silu_mul(compute *c, float *gate, const float *up, size_t n_tokens, size_t n);

/* y[t] = layer_norm(x[t]) ⊙ w + b */
void op_layer_norm(compute *c, float *y, const float *x, const float *w, const float *b,
                   size_t n_tokens, size_t n, float eps);

/* x[t] = gelu(x[t]) */
void op_gelu(compute *c, float *x, size_t n_tokens, size_t n);

/* x[t] += y[t] */
void op_add(compute *c, float *x, const float *y, size_t n_tokens, size_t n);

#endif
