/* A session: one timeline of tokens over a model, with its key/value cache. Mutable.
 *
 * Forks share their common prefix by reference. One step advances any number of sessions in a
 * single pass over the weights. A session is used by one thread at a time; hone_session_cancel is
 * the only call that may come from another.
 *
 * In the exact mode (float activations, F32 cache) a session's logits depend neither on how its
 * tokens were cut into steps, nor on the other sessions of a step, nor on the number of threads:
 * they agree bit for bit. Outside of it (8-bit activations) they agree bit for bit among steps of
 * up to 8 tokens in all; beyond, up to the rounding of the faster products (docs/architecture.md,
 * the order of summation). */
#ifndef HONE_SESSION_H
#define HONE_SESSION_H

#include "hone/model.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct hone_session hone_session;

typedef enum hone_kv_type { HONE_KV_F16 = 0, HONE_KV_F32 = 1, HONE_KV_Q8_0 = 2 } hone_kv_type;

/* Zero-initialise and set what you need. */
typedef struct hone_session_options {
    size_t n_context;  /* most tokens; 0 = the model's maximum. Memory is taken as it fills. */
    hone_kv_type kv;   /* element type of the cache; F32 in the exact mode */
    bool exact;        /* float activations and F32 cache */
    size_t prefill_chunk; /* tokens per pass over the weights in long prompts; 0 = 512 */
} hone_session_options;

/* `options` may be NULL. HONE_ERR_ARGUMENT when n_context exceeds the model's maximum. */
HONE_API hone_status hone_session_open(hone_session **session, hone_model *model,
                                       const hone_session_options *options);
HONE_API void hone_session_close(hone_session *session); /* NULL is allowed */

/* A second timeline that begins as a copy of `parent`: same tokens, same last logits. Pages of the
 * cache are shared until one of the two writes into them. */
HONE_API hone_status hone_session_fork(hone_session **child, const hone_session *parent);

/* Drops the tokens from position n_tokens on. HONE_ERR_ARGUMENT beyond the length. */
HONE_API hone_status hone_session_rewind(hone_session *session, size_t n_tokens);

/* The tokens so far. The pointer is valid until the session changes. */
HONE_API const int32_t *hone_session_tokens(const hone_session *session, size_t *n_tokens);
HONE_API size_t hone_session_context(const hone_session *session); /* most tokens it can hold */
HONE_API hone_model *hone_session_model(const hone_session *session);
/* Bytes of cache that this session refers to; pages shared with forks count in full. */
HONE_API uint64_t hone_session_kv_bytes(const hone_session *session);
/* Bytes of cache that it answers for: a page that k sessions share counts a k-th in each, so that
 * the sum over all sessions is the memory that they take. */
HONE_API uint64_t hone_session_kv_share(const hone_session *session);

/* --- advancing --- */

typedef enum hone_logits {
    HONE_LOGITS_LAST = 0, HONE_LOGITS_NONE = 1, HONE_LOGITS_ALL = 2, HONE_LOGITS_STATES = 3
} hone_logits;

/* One session's share of a step: appends tokens[n_tokens] and computes logits of the last position,
 * of none or of all of them; or, instead of logits, the hidden states of all of them
 * (hone_session_states). */
typedef struct hone_step_item {
    hone_session *session;
    const int32_t *tokens;
    size_t n_tokens;
    hone_logits logits;
} hone_step_item;

/* Advances all sessions together. They are distinct, of one model, and alike in `exact`. On failure
 * (HONE_ERR_CONTEXT_FULL, HONE_ERR_CANCELLED, HONE_ERR_MEMORY, HONE_ERR_NUMERIC, …) every session
 * is as it was before. */
HONE_API hone_status hone_step(const hone_step_item *items, size_t n_items);

/* logits[n_vocab] of the last step: of its last position (index 0), or with HONE_LOGITS_ALL of its
 * position `index`. NULL where none were computed. Valid until the session's next step or close. */
HONE_API const float *hone_session_logits(const hone_session *session, size_t index);

/* states[n_embedding] of the last step's position `index`: the outputs of the final norm, which the
 * output head would turn into logits. NULL unless the step had HONE_LOGITS_STATES. Valid as long as
 * logits are. */
HONE_API const float *hone_session_states(const hone_session *session, size_t index);

/* Makes the session hold exactly tokens[n_tokens] with logits at the last: keeps the longest common
 * prefix, drops the rest, computes what is new in chunks. *n_reused (may be NULL) is the number of
 * tokens that needed no work. On failure the session holds a beginning of the tokens. `progress`
 * (may be NULL) is called between chunks with tokens done and in all. */
HONE_API hone_status hone_prefill(hone_session *session, const int32_t *tokens, size_t n_tokens,
                                  size_t *n_reused,
                                  void (*progress)(void *user, size_t done, size_t total),
                                  void *user);

/* logprobs[i] = ln p(tokens[i] | everything before it), natural logarithm; the tokens are appended.
 * The session holds at least one token. On failure it holds a beginning of what it held and the
 * tokens. */
HONE_API hone_status hone_score(hone_session *session, const int32_t *tokens, size_t n_tokens,
                                double *logprobs);

/* The k most probable next tokens at the last position, most probable first (lower id on ties),
 * with natural-log probabilities of the unmodified logits. HONE_ERR_ARGUMENT without logits. */
HONE_API hone_status hone_top_logprobs(const hone_session *session, size_t k, int32_t *ids,
                                       double *logprobs);

/* From any thread: the step or generation under way ends within one layer with HONE_ERR_CANCELLED,
 * as does the next one if none is under way. hone_session_uncancel takes it back. All three are
 * async-signal-safe. */
HONE_API void hone_session_cancel(hone_session *session);
HONE_API void hone_session_uncancel(hone_session *session);
HONE_API bool hone_session_is_cancelled(const hone_session *session);

#ifdef __cplusplus
}
#endif
#endif
