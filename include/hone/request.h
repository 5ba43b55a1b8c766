/* A request: messages made of parts, how to sample, when to stop. A result: text and what it cost.
 *
 * The simple way to use hone: open a model, open a session, hone_generate, print. A session that is
 * handed the growing conversation again and again computes only what is new. */
#ifndef HONE_REQUEST_H
#define HONE_REQUEST_H

#include "hone/grammar.h"
#include "hone/session.h"

#ifdef __cplusplus
extern "C" {
#endif

/* --- what goes in --- */

typedef enum hone_part_kind {
    HONE_PART_TEXT = 0, HONE_PART_IMAGE = 1, HONE_PART_AUDIO = 2, HONE_PART_FIELDS = 3
} hone_part_kind;

/* A piece of a message: UTF-8 text, or the bytes of an image or audio file; or a JSON object whose
 * members the template finds in the message beside role and content (tool_calls, tool_call_id,
 * name, reasoning_content). Borrowed. */
typedef struct hone_part {
    hone_part_kind kind;
    const void *data;
    size_t n_bytes;
} hone_part;

typedef struct hone_message {
    const char *role; /* "system", "user", "assistant", "tool" */
    const hone_part *parts;
    size_t n_parts;
} hone_message;

typedef struct hone_logit_bias {
    int32_t token;
    float bias; /* added to the token's logit; −100 … 100 */
} hone_logit_bias;

/* How the next token is chosen. Order: mask, penalties, bias, top-k, typical, top-p, min-p,
 * temperature, draw (docs/sampling.md). hone_sampling_greedy and hone_sampling_default fill one. */
typedef struct hone_sampling {
    float temperature;       /* ≥ 0; 0 = the most probable token, lowest id on ties */
    int32_t top_k;           /* ≤ 0 = off */
    float top_p;             /* 0 … 1; 1 = off */
    float min_p;             /* 0 … 1; 0 = off */
    float typical_p;         /* 0 … 1; 1 = off */
    float repetition_penalty;/* > 0; 1 = off */
    int32_t repeat_last_n;   /* window of the repetition penalty; 0 = off, −1 = whole context */
    float frequency_penalty; /* −2 … 2; 0 = off; counts generated tokens */
    float presence_penalty;  /* −2 … 2; 0 = off */
    bool temperature_first;  /* transformers' order: temperature before the filters */
    const hone_logit_bias *biases;
    size_t n_biases;
    uint64_t seed; /* same seed, same logits: same tokens */
} hone_sampling;

/* Greedy: temperature 0, everything else off, seed 0. */
HONE_API hone_sampling hone_sampling_greedy(void);

/* The model's own recommendation where its files hold one, else temperature 0.8, top_p 0.9,
 * top_k 40. The seed is drawn from the system. */
HONE_API hone_sampling hone_sampling_default(const hone_model *model);

/* A piece of the answer as it is made: whole UTF-8 characters, possibly none (a token may complete
 * nothing yet). token is −1 for text that was held back and is released at the end. */
typedef struct hone_piece {
    const char *text; /* NUL-terminated, borrowed */
    size_t n_bytes;
    int32_t token;
    bool in_prompt;         /* prompt_logprobs: a token of the prompt, without text */
    double logprob;         /* of the token, from the unmodified logits; 0 unless asked for; NaN for
                             * the prompt's first, which follows nothing */
    double certainty;       /* KL divergence of the uniform distribution from the model's, likewise
                               (self-certainty: Kang et al. 2025), in nats */
    size_t n_top;           /* request->n_top_logprobs alternatives */
    const int32_t *top_ids;
    const double *top_logprobs;
} hone_piece;

typedef enum hone_draft_kind {
    HONE_DRAFT_NONE = 0, HONE_DRAFT_NGRAM = 1, HONE_DRAFT_MODEL = 2
} hone_draft_kind;

enum { HONE_MAX_TOP_LOGPROBS = 64, HONE_MAX_DRAFT = 7 };

/* Zero-initialise and set what you need: `messages` or `prompt`, and `sampling`. */
typedef struct hone_request {
    /* Either a chat, through the model's own template … */
    const hone_message *messages;
    size_t n_messages;
    const char *tools_json;        /* JSON array for the template's `tools`, or NULL */
    const char *variables_json;    /* JSON object: more variables for the template, or NULL */
    /* … or plain text, with the model's BOS where it wants one … */
    const char *prompt;
    size_t prompt_bytes;
    /* … or token ids as they are. */
    const int32_t *prompt_ids;
    size_t n_prompt_ids;

    hone_sampling sampling;
    uint32_t sequence;             /* which of several choices of one seed this is */
    size_t max_tokens;             /* 0 = until a stop or the context is full */
    const char *const *stop;       /* stop strings; empty ones are refused */
    size_t n_stop;
    bool ignore_eos;               /* stop tokens do not end the answer (benchmarks) */
    const int32_t *forced;         /* tokens that the answer begins with, drawn or not */
    size_t n_forced;
    const int32_t *begun;          /* the answer's beginning, which is there already: tokens behind the
                                    * prompt, counted with it. The answer goes on from there, a
                                    * thought that it holds, too; a grammar begins there */
    size_t n_begun;
    bool logprobs;                 /* fill each piece's logprob and certainty … */
    size_t n_top_logprobs;         /* … and this many alternatives, at most HONE_MAX_TOP_LOGPROBS */
    /* Fills mask[(n_vocab + 63) / 64]: bit t set = token t may come next; called before each draw
     * with the tokens generated so far. NULL = everything may. */
    hone_status (*token_mask)(void *user, const int32_t *generated, size_t n, uint64_t *mask);
    hone_grammar *grammar;         /* what the answer must match, behind a thought (below) that the
                                    * prompt opens or that a lazy grammar leaves room for; NULL =
                                    * anything */

    /* Thoughts are what a model writes between <think> and </think>, or [THINK] and [/THINK],
     * before its answer; the prompt may already hold the opening tag. With limit_thinking the
     * closing tag is written for the model after thinking_budget tokens of them. */
    bool limit_thinking;
    size_t thinking_budget;

    /* What is wanted of the prompt itself; for all of these but the first it is computed anew. */
    bool prompt_only;              /* nothing is generated: the answer ends when the prompt is in */
    bool prompt_logprobs;          /* on_piece is called for the prompt's tokens first */
    bool embedding;                /* fill result->embedding; nothing is generated */

    /* Speculation (Leviathan et al. 2023; n-gram look-up: Saxena 2023): the drafted tokens are
     * checked in one step, and each stands if it is the one that is drawn in its place. So the
     * answer is what it would be without, whatever the sampling. `draft` is another session, of a
     * smaller model with the same vocabulary (HONE_ERR_ARGUMENT otherwise). */
    hone_draft_kind draft_kind;
    hone_session *draft;
    size_t n_draft;                /* tokens drafted at a time, at most HONE_MAX_DRAFT; 0 = 5 */

    /* Called for each piece; another return value than 0 ends the answer ("cancelled"). May be
     * NULL. */
    int (*on_piece)(void *user, const hone_piece *piece);
    /* Called between the chunks of the prompt. May be NULL. */
    void (*on_prefill)(void *user, size_t done, size_t total);
    void *user;
} hone_request;

/* --- what comes out --- */

typedef enum hone_finish {
    HONE_FINISH_STOP = 0, HONE_FINISH_LENGTH = 1, HONE_FINISH_CANCELLED = 2
} hone_finish;

HONE_API const char *hone_finish_name(hone_finish finish); /* "stop", "length", "cancelled" */

typedef struct hone_result {
    char *text; /* the whole answer, NUL-terminated, valid UTF-8 */
    size_t n_bytes;
    int32_t *tokens; /* all generated ids, a closing stop token included */
    size_t n_tokens;
    hone_finish finish;
    size_t n_thought_tokens;                 /* of n_tokens */
    size_t n_prompt_tokens, n_cached_tokens; /* of the prompt, those that needed no work */
    double prefill_ms, ttft_ms, decode_ms;   /* ttft: from the call to the first token */
    size_t n_drafted, n_accepted;            /* speculation */
    uint64_t seed;                           /* the one that was used */
    float *embedding; /* [n_embedding] mean of the final norm's outputs over the prompt, of length 1
                       * (L2); NULL unless asked for */
} hone_result;

/* Frees what the result holds and zeroes it. */
HONE_API void hone_result_release(hone_result *result);

/* Runs a request on a session: renders, tokenises, reuses the common prefix, prefills, generates.
 * Afterwards the session holds the prompt and the answer but for its last token. *result is filled
 * on success and when cancelled (finish reason "cancelled", status HONE_OK, the text so far).
 * Errors before any work: HONE_ERR_CONTEXT_FULL when the prompt does not fit (the message says by
 * how much), HONE_ERR_UNSUPPORTED for parts that the model cannot take, HONE_ERR_FORMAT for invalid
 * UTF-8 or a template that raises, HONE_ERR_ARGUMENT for an empty prompt, settings out of range
 * or a grammar of another model. */
HONE_API hone_status hone_generate(hone_session *session, const hone_request *request,
                                   hone_result *result);

/* The text that the template makes of the messages (with the generation prompt), freed with
 * hone_free; and its token ids, freed with hone_free. Either may be NULL. `tools_json` and
 * `variables_json` as in a request. */
HONE_API hone_status hone_render_chat(const hone_model *model, const hone_message *messages,
                                      size_t n_messages, const char *tools_json,
                                      const char *variables_json, char **text, int32_t **ids,
                                      size_t *n_ids);

#ifdef __cplusplus
}
#endif
#endif
