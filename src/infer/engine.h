/* The inside of a model and of a session: what infer/ shares between its files. */
#ifndef INFER_ENGINE_H
#define INFER_ENGINE_H

#include <pthread.h>
#include <stdatomic.h>

#include "hone/hone.h"
#include "hone/memory.h"
#include "infer/speech_tokens.h"
#include "infer/token_trees.h"
#include "model/llama.h"
#include "model/whisper.h"
#include "text/template.h"
#include "text/tokenizer.h"

/* How far an item of a step has come. */
typedef struct step_progress {
    size_t n_tokens; /* computed */
    size_t n_rows;   /* of logits, in the session's next_logits */
} step_progress;

typedef enum model_family { FAMILY_LLAMA, FAMILY_WHISPER } model_family;

struct hone_model {
    model_source source;
    model_family family;
    llama net;       /* FAMILY_LLAMA */
    whisper speech;  /* FAMILY_WHISPER, and the tokens that it knows */
    speech_tokens speech_ids;
    tokenizer *tokenizer;
    chat_template *template; /* NULL: none */
    char *template_source;
    char *bos_text, *eos_text; /* what the template's bos_token and eos_token stand for */
    token_trees *trees; /* for grammars */
    char *name, *license;
    hone_sampling recommended; /* hone_sampling_default without its seed */
    hone_model_info info;

    /* Computing takes turns: everything below belongs to whoever holds the lock. */
    pthread_mutex_t lock;
    compute compute;
    llama_scratch scratch;
    whisper_scratch speech_scratch;
    atomic_bool speech_cancelled;  /* anybody's */
    atomic_size_t n_speech_turns;  /* that are under way or wait (infer/speech_decode.h),
                                    * anybody's */
    pthread_cond_t speech_turn;    /* there are none */
    struct speech_decoder *speech_decoders[2]; /* NULL until needed; [1] computes exactly */
    float *logits; /* [n_logit_floats], of one pass */
    size_t n_logit_floats;
    int32_t *pass_tokens; /* [n_pass_tokens] */
    size_t n_pass_tokens;
    kv_segment *segments;    /* [n_step_items] */
    float **states;          /* [n_step_items] where hidden states of a segment go; NULL: nowhere */
    lora_group *adapters;    /* [n_step_items] */
    step_progress *progress; /* [n_step_items] */
    size_t *order;           /* [n_step_items] items in the order of a pass */
    size_t n_step_items;
};

struct hone_adapter {
    lora *weights;
    const hone_model *model; /* only to compare */
    char *path;
    hone_adapter_info info;
};

struct hone_session {
    hone_model *model;
    lora_set *adapters; /* NULL: none */
    kv_cache kv;
    int32_t *tokens;
    size_t n_tokens, tokens_capacity;
    size_t n_context, prefill_chunk;
    bool exact;
    /* Logits of the last step, and the buffer that the next one fills before the two swap. */
    float *logits, *next_logits;
    size_t n_rows, capacity, next_capacity; /* rows of n_vocab */
    size_t n_states; /* rows of n_embedding in `logits`, where it holds states instead */
    atomic_bool cancelled;
};

/* HONE_ERR_UNSUPPORTED, in words, for a model of another family. */
hone_status model_wants_family(const hone_model *m, model_family family);

#define DEFAULT_CHUNK 512
/* A pass computes at most this many rows of logits: 64 rows of 150,000 are 38 MB. */
#define LOGIT_ROWS_PER_PASS 64

/* The layout of a session's cache. */
hone_status session_kv_layout(kv_layout *layout, const hone_model *m, hone_kv_type kv, bool exact);

/* The logits after the last token, or NULL. */
const float *session_last_logits(const hone_session *s);

/* Drops what the session holds beyond its common prefix with tokens[n_tokens], of which *n_reused
 * stay; where all stay, so do the logits of the last one. */
hone_status session_reuse_prefix(hone_session *s, const int32_t *tokens, size_t n_tokens,
                                 size_t *n_reused);

/* What the model's files recommend for sampling (docs/sampling.md, defaults). */
hone_status recommended_sampling(hone_sampling *out, const model_source *s);

#endif
