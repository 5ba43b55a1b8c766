/* Low-rank adapters beside a base model: y = W · x + Σ scale · B · (A · x).
 *
 * `lora_open` joins an adapter's files with a base: shapes are checked, the rows of B are put into
 * the order of the base's rows (docs/models/llama.md: q and k), everything becomes floats. A lora
 * is immutable, shared by sessions and counted; so is a lora_set, what one session uses. */
#ifndef MODEL_LORA_H
#define MODEL_LORA_H

#include <stdatomic.h>

#include "model/hparams.h"
#include "model/lora_file.h"
#include "tensor/ops.h"

/* The projections of a layer that an adapter may change; those that share their input side by
 * side. */
typedef enum lora_part {
    LORA_Q, LORA_K, LORA_V, LORA_OUT, LORA_GATE, LORA_UP, LORA_DOWN, LORA_PARTS
} lora_part;

typedef struct lora_module {
    size_t rank, n_in, n_out; /* rank 0: this part stays as it is */
    float scale;
    const float *a; /* [rank, n_in] */
    const float *b; /* [rank, n_out]: columns of B, whose rows are in the base's order */
} lora_module;

typedef struct lora {
    atomic_int n_owners;
    lora_module *modules; /* [n_layers, LORA_PARTS] */
    size_t n_layers, n_modules /* that change something */, widest_rank, bytes;
    float *weights; /* owns all matrices */
} lora;

/* `h` are base's numbers. HONE_ERR_UNSUPPORTED, with the reason, when the adapter was made for
 * another base: another architecture, a layer or a part that is not there, other shapes.
 * HONE_ERR_NUMERIC for weights that are not finite. The files may be released afterwards. */
hone_status lora_open(lora **out, const lora_file *file, const model_source *base,
                      const hparams *h);
void lora_release(lora *l); /* gives one ownership back; NULL is allowed */

/* The module for the weight of that GGUF name, or NULL. */
const lora_module *lora_find(const lora *l, const char *name);

/* row[n_in] += factor · scale · B[out, :] · A, for merging. */
void lora_add_to_row(const lora_module *m, float factor, size_t out, float *row);

/* --- sets --- */

#define LORA_MAX_SET 16

typedef struct lora_use {
    lora *adapter;
    float factor;
} lora_use;

typedef struct lora_set {
    atomic_int n_owners;
    size_t n;
    lora_use uses[LORA_MAX_SET]; /* each owns a share of its adapter */
} lora_set;

/* Takes shares of the adapters; n ≤ LORA_MAX_SET. */
hone_status lora_set_open(lora_set **out, const lora_use *uses, size_t n);
lora_set *lora_set_share(lora_set *s); /* NULL gives NULL */
void lora_set_release(lora_set *s);    /* NULL is allowed */
bool lora_set_equal(const lora_set *a, const lora_set *b); /* NULL is the empty set */

/* --- computing --- */

/* Tokens first … first + n_tokens − 1 of a step, which all use `set`. */
typedef struct lora_group {
    size_t first, n_tokens;
    const lora_set *set;
} lora_group;

typedef struct lora_batch {
    const lora_group *groups; /* ascending and apart; tokens between them use none */
    size_t n_groups;
    float *low;               /* lora_low_floats for the batch */
} lora_batch;

/* Floats that op_lora needs between its two products. */
size_t lora_low_floats(const lora_group *groups, size_t n_groups, size_t n_tokens);

/* y[i] += what the adapters add to part `first` + i of the layer, for i < n_parts; x[n_tokens,
 * n_in], y[i][n_tokens, n_out], rows back to back. Each token's sum has one order: neither the
 * other tokens nor the number of threads changes it. */
void op_lora(compute *c, const lora_batch *batch, size_t layer, lora_part first, size_t n_parts,
             size_t n_tokens, const float *x, float *const *y);

#endif
