/* A GGUF file with its weights in other types (docs/quantise.md). */
#ifndef WEIGHTS_QUANTISE_H
#define WEIGHTS_QUANTISE_H

#include "base/status.h"
#include "weights/fidelity_record.h"
#include "weights/imatrix.h"
#include "weights/quant_mix.h"
#include "weights/recode.h"

typedef struct quantise_result {
    uint64_t in_bytes, out_bytes;
    /* The first quantised type whose weights were quantised again, so that what they lost is lost
     * twice; NULL: none. A constant. */
    const char *lossy_type;
    bool has_fidelity; /* `fidelity` was measured and stands in the file */
    fidelity fidelity;
    char no_fidelity[256]; /* why not, where it was asked for; "" otherwise */
    bool rejected; /* it lost more than the text's max_kl: `out` is as it was */
} quantise_result;

/* Writes the GGUF file `in` (any architecture; of a split file, any part) to `out`, the tensors in
 * the types that `mix` names. Keys are copied but for those that this makes untrue: file type and
 * quantisation version are set, the split is undone. `mix` NULL: types stay, which makes sense
 * where the options' adapters are added to the weights. Peak memory is some tens of megabytes,
 * whatever the model's size; `out` gets its name when it is complete. *result (may be NULL) is
 * filled on success. Errors: those of gguf_open, recode_check_output and gguf_write;
 * HONE_ERR_NUMERIC names the tensor that is not finite; HONE_ERR_CANCELLED. */
hone_status quantise_gguf(const char *in, const char *out, const quant_mix *mix,
                          const recode_options *options, quantise_result *result);

/* --- with more to say --- */

/* Tensors whose names fit get the type; rows that it cannot hold fall back as in a mix. A pattern
 * with
 * *, ? or [ is a shell's and fits whole names, another one fits where it occurs in a name. */
typedef struct quantise_rule {
    const char *pattern;
    dtype type;
} quantise_rule;

/* A type of weights by its name (any case); false where there is none. */
bool quantise_type_by_name(const char *name, dtype *type);

/* The text for a fidelity record: the file is measured against `in` before it gets its name. */
typedef struct quantise_text {
    const char *text, *name;
    size_t n_bytes;
    size_t n_tokens; /* at most; 0 = all */
    double max_kl;   /* a file whose mean KL is above this is not kept; 0 = any is */
    bool must_work;  /* otherwise models that hone cannot run are written without a record */
    bool (*observe)(void *context, size_t done, size_t total); /* may be NULL */
    void *context;
} quantise_text;

/* Fields that are 0 or NULL are left out. The first rule that fits a matrix decides; then `types`;
 * then the mix. */
typedef struct quantise_plan {
    const quant_mix *mix;
    const quantise_rule *rules;
    size_t n_rules;
    const dtype *types; /* [tensors of `in`], in the file's order; -1 cast to dtype: the mix's */
    const imatrix *importance;  /* HONE_ERR_ARGUMENT where it is another model's */
    const char *importance_file;
    const quantise_text *text;
    const char *goal;           /* what chose `types`, for the file's metadata */
    const char *const *table;   /* [n_table] and what it chose */
    size_t n_table;
} quantise_plan;

hone_status quantise_gguf_by(const char *in, const char *out, const quantise_plan *plan,
                             const recode_options *options, quantise_result *result);

/* What mixes need to know of the model in a file. */
quant_mix_model quantise_model_of(const gguf *file, bool has_importance);

/* The class of a tensor: its name without the layer ("attn_q" for "blk.3.attn_q.weight"). Calls
 * `each` for every class of the matrices in the file at `path` and every type in it. */
hone_status quantise_each_class(const char *path,
                                void (*each)(void *user, const char *class_name, const char *type,
                                             size_t n_tensors, uint64_t n_bytes),
                                void *user);

#endif
