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
#include "tensor/tensor.h"

/* Hears how many bytes of weights were read so far; false cancels. */
typedef bool recode_observer(void *context, uint64_t done, uint64_t total);

/* Fields that are 0 have their usual meaning. */
typedef struct recode_options {
    int n_threads;            /* 0 = one for each core that this process may use */
    bool replace;             /* an output that exists is replaced; otherwise refused */
    recode_observer *observe; /* may be NULL */
    void *context;
} recode_options;

typedef struct recoder {
    pool *pool;
    float *rows; /* [threads, row_room] */
    size_t row_room;
    const recode_options *options;
    uint64_t done, total; /* bytes of weights, for the observer */
} recoder;

/* `total`: the bytes of all tensors that will come. */
hone_status recoder_init(recoder *r, const recode_options *options, uint64_t total);
void recoder_release(recoder *r);

/* out = `from` in type `to`; its size is that of from's shape. Weights that are NaN or infinite are
 * HONE_ERR_NUMERIC, also where the type stays. `pairs_of_head` 0: rows in their order. Otherwise the
 * rows of each head of that many, which lie in halves (Hugging Face), come out as neighbouring
 * pairs (GGUF's llama): out row 2i + j is row j · n / 2 + i. */
hone_status recode_tensor(recoder *r, const tensor *from, dtype to, size_t pairs_of_head,
                          void *out);

/* Looks at `path` before hours of work: HONE_ERR_ARGUMENT where it is the input, no plain file, or
 * there already and not to be replaced. */
hone_status recode_check_output(const char *path, const char *input, bool replace);

#endif
