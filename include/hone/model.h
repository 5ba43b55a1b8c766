/* A model: weights, tokenizer and chat template of one file or folder. Immutable once opened.
 *
 * Opening maps the weights and copies none of them; several processes that open one file share its
 * pages. A model may be used by any number of threads and sessions at once; calls that compute
 * (hone_step, hone_generate) on one model take turns, since they share its compute threads. */
#ifndef HONE_MODEL_H
#define HONE_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hone/status.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct hone_model hone_model;

/* Zero-initialise and set what you need. */
typedef struct hone_model_options {
    int n_threads; /* compute threads; 0 = one for each fast core that may be used; never more than
                    * a container's quota pays for */
    bool copy_weights;  /* into memory of this process's own instead of mapping the file, in large
                         * pages also where the system's cache has the file in small ones: takes
                         * longer to open and shares nothing, and reading may be faster. Linux */
    bool describe_only; /* for looking at: opens also what this machine has no memory for */
    const char *chat_template; /* Jinja source in place of the model's own; NULL = its own */
} hone_model_options;

/* Opens a GGUF file (any part of a split one) or a Hugging Face folder. `options` may be NULL.
 * Errors: HONE_ERR_NOT_FOUND, HONE_ERR_IO, HONE_ERR_FORMAT (malformed), HONE_ERR_UNSUPPORTED (an
 * architecture or a type that hone cannot run, by name), HONE_ERR_MEMORY (with how much is needed
 * and how much there is). */
HONE_API hone_status hone_model_open(hone_model **model, const char *path,
                                     const hone_model_options *options);

/* All sessions of the model must be closed before. NULL is allowed. */
HONE_API void hone_model_close(hone_model *model);

/* What the model is and can do: capabilities are asked, not guessed. Strings belong to the
 * model. */
typedef struct hone_model_info {
    const char *architecture; /* "llama", "qwen2" */
    const char *name;         /* as the file says, or "" */
    const char *license;      /* as the file says, or "" */
    const char *weight_type;  /* the type that holds most bytes, "Q4_1" */
    uint64_t n_parameters;
    uint64_t file_bytes;
    uint64_t kv_bytes_per_token; /* of an F16 cache */
    /* The work of a text model, 0 for others: weights that a step reads whatever its number of
     * tokens; operations (a multiply-add counts two) of the layers' products for one token, and of
     * the output head for one row of logits. */
    uint64_t step_bytes, token_ops, logits_ops;
    size_t n_vocab, n_context /* trained maximum */, n_layers, n_embedding;
    size_t n_heads, n_kv_heads, head_dim, n_feed_forward;
    int n_threads;
    const char *instruction_set; /* the kernels in use: "avx2", "avx512-vnni", … */
    bool takes_text, takes_images, takes_audio, has_chat_template;
} hone_model_info;

HONE_API const hone_model_info *hone_model_describe(const hone_model *model);

/* The model's own chat template (Jinja source), or NULL. */
HONE_API const char *hone_model_chat_template(const hone_model *model);

/* How many weights of each type: calls `each` once for a type. */
HONE_API void hone_model_each_type(const hone_model *model,
                                   void (*each)(void *user, const char *type, size_t n_tensors,
                                                uint64_t n_bytes),
                                   void *user);

/* Every tensor of the model: its name in the file (valid during the call, cut at 255 bytes), its
 * type, how many numbers it holds and in how many bytes. */
HONE_API void hone_model_each_tensor(const hone_model *model,
                                     void (*each)(void *user, const char *name, const char *type,
                                                  uint64_t n_elements, uint64_t n_bytes),
                                     void *user);

/* Text to token ids. Nothing in `text` becomes a control token; `add_special` puts the model's BOS
 * in front where it wants one. *ids is freed with hone_free. HONE_ERR_FORMAT on invalid UTF-8. */
HONE_API hone_status hone_tokenize(const hone_model *model, const char *text, size_t n_bytes,
                                   bool add_special, int32_t **ids, size_t *n_ids);

/* Token ids to text; control tokens are left out unless `with_control`. *text is NUL-terminated and
 * freed with hone_free; invalid UTF-8 is shown as U+FFFD. */
HONE_API hone_status hone_detokenize(const hone_model *model, const int32_t *ids, size_t n_ids,
                                     bool with_control, char **text, size_t *n_bytes);

/* Whether generation ends at this token. */
HONE_API bool hone_is_stop_token(const hone_model *model, int32_t id);

/* Frees what hone handed over. NULL is allowed. */
HONE_API void hone_free(void *memory);

/* The library's version, "0.1.0". */
HONE_API const char *hone_version(void);

#ifdef __cplusplus
}
#endif
#endif
