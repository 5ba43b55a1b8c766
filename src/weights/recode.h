/* Weights from one element type to another, rows spread over threads, a slice at a time.
 *
 * What convert.h and quantise.h share: the loop over a tensor's rows, and how to hear of it. */
#ifndef WEIGHTS_RECODE_H
#define WEIGHTS_RECODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/pool.h"
#include "base/status.h"
#include "model/source.h"
#include "tensor/kernels.h"

/* Hears how many bytes of weights were read so far; false cancels. */
typedef bool recode_observer(void *context, uint64_t done, uint64_t total);

/* An adapter (docs/adapters.md) to be added to the weights, times `scale`. */
typedef struct merge_adapter {
    const char *path;
    float scale;
} merge_adapter;

/* Fields that are 0 have their usual meaning. */
typedef struct recode_options {
    int n_threads;            /* 0 = one for each core that this process may use */
    bool replace;             /* an output that exists is replaced; otherwise refused */
    recode_observer *observe; /* may be NULL */
    void *context;
    const merge_adapter *adapters; /* added on the way (merge.h) */
    size_t n_adapters;
} recode_options;

typedef struct recoder {
    pool *pool;
    const kernels *kernels;
    float *rows; /* [threads, row_room] */
    size_t row_room;
    const recode_options *options;
    const model_source *source; /* whose pages are let go of after use */
    uint64_t done, total;       /* bytes of weights, for the observer */
    uint64_t forgotten;         /* `done` at the last time */
} recoder;

/* `total`: the bytes of all tensors that will come, which lie in `source`. */
hone_status recoder_init(recoder *r, const recode_options *options, const model_source *source,
                         uint64_t total);
void recoder_release(recoder *r);

/* What becomes of a tensor on its way. */
typedef struct recode_change {
    dtype to;
    /* 0: rows in their order. Otherwise the rows of each head of that many, which lie in halves
     * (Hugging Face), come out as neighbouring pairs (GGUF's llama). */
    size_t pairs_of_head;
    size_t halves_of_head; /* the way back: they lie in pairs and come out in halves */
    /* Changes the weights x[ne[0]] of a row of `from` before they are encoded; NULL: none does. */
    void (*add)(const void *user, size_t row, float *x);
    const void *user;
    const float *importance; /* [ne[2], ne[0]] for the encoder, rows in their order; NULL: none */
} recode_change;

/* out = rows of the result, a gguf_tensor_source's share: `offset` and `bytes` are whole rows of
 * the type wanted. Weights that are NaN or infinite are HONE_ERR_NUMERIC, also where the type
 * stays. */
hone_status recode_rows(recoder *r, const tensor *from, const recode_change *change, size_t offset,
                        void *out, size_t bytes);

/* Looks at `path` before hours of work: HONE_ERR_ARGUMENT where it is the input, no plain file, or
 * there already and not to be replaced. */
hone_status recode_check_output(const char *path, const char *input, bool replace);

#endif
