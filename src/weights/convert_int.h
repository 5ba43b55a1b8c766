/* What the convert*.c files share: one folder on its way to GGUF, and how a family takes part.
 *
 * convert.c walks the road that all folders take; a family (convert_llama.c, …) is one file that
 * knows which tensors a folder holds, how GGUF calls them, and which keys describe them. A new
 * family is that file and a line in convert.c's table. */
#ifndef WEIGHTS_CONVERT_INT_H
#define WEIGHTS_CONVERT_INT_H

#include "format/gguf.h"
#include "format/tokenizer_spec.h"
#include "model/source.h"
#include "weights/merge.h"
#include "weights/quant_mix.h"

typedef struct convert_tensor {
    char name[64]; /* in GGUF */
    tensor view;
    dtype type;           /* in the file; vectors F32, all else as in the folder unless a mix is
                             asked for */
    size_t pairs_of_head; /* recode_change */
} convert_tensor;

typedef struct convert_family convert_family;

typedef struct convert_job {
    const char *folder, *out_path;
    const quant_mix *mix; /* NULL: types as in the folder */
    const recode_options *options;
    const convert_family *family;
    const char *architecture; /* a constant, GGUF's word; the family's `open` says it */
    model_source source;
    quant_mix_model shape;    /* for the mix; the family's `open` fills it */
    void *own;                /* the family's */
    gguf_writer *writer;
    recoder recoder;
    merge adapters;
    convert_tensor *tensors; /* [n_tensors], in the order of the file */
    size_t n_tensors, room;
} convert_job;

/* One family of architectures. The calls come in this order; any may fail, `release` comes in any
 * case (own may be NULL then). */
struct convert_family {
    const char *const *model_types; /* config.json's words, NULL ends */
    /* Reads and checks config.json; sets architecture, shape and own. */
    hone_status (*open)(convert_job *j);
    /* Adds every tensor that the file shall hold, in the file's order. */
    hone_status (*plan)(convert_job *j);
    /* Everything about the architecture, `general.` apart. */
    hone_status (*put_keys)(convert_job *j);
    hone_status (*put_tokenizer)(convert_job *j);
    void (*release)(convert_job *j);
    /* Whether a tensor of the folder that no planned one is made of may stay behind, because it
     * follows from the rest. */
    bool (*is_redundant)(const char *name);
};

extern const convert_family convert_llama, convert_whisper;

/* --- for the families --- */

/* A view of the folder's, or of numbers that outlive the job. */
hone_status convert_add(convert_job *j, const char *name, const tensor *view,
                        size_t pairs_of_head);
/* A matrix [n_out, n_in], or with n_out = 0 a vector, that model/source.h finds under its GGUF
 * name. */
hone_status convert_add_named(convert_job *j, const char *name, size_t n_out, size_t n_in,
                              size_t pairs_of_head);

/* Keys below the architecture: "block_count" becomes "llama.block_count". */
hone_status convert_put_count(convert_job *j, const char *key, size_t value);
hone_status convert_put_real(convert_job *j, const char *key, double value);
hone_status convert_put_text(convert_job *j, const char *key, const char *value);

#endif
