/* What is measured: a model in this process, or one behind a server's URL,
 * with the same operations.
 *
 *     subject_open(&s, &(subject_settings){.model = "smollm2:135m"});
 *     subject_generate(s, requests, n, answers, NULL);
 *     subject_close(s);
 *
 * Operations take many items at once, because that is where speed lies: in process they share
 * passes over the weights, to a server they go side by side. In the exact mode the results do not
 * depend on what is computed together. One thread at a time. */
#ifndef LAB_SUBJECT_H
#define LAB_SUBJECT_H

#include "hone/hone.h"

typedef struct subject subject;

/* Zero-initialise and set what you need. Borrowed during subject_open only. */
typedef struct subject_settings {
    const char *model; /* name, file or folder; at a server its name there, NULL = the first */
    const char *url;   /* of a server: "http://127.0.0.1:11435"; NULL = in process */
    const char *api_key; /* for the server; NULL = none */
    int n_threads;     /* 0 = one for each usable core */
    size_t n_context;  /* 0 = the model's own */
    hone_kv_type kv;   /* F32 in the exact mode */
    bool exact;
    const char *const *adapters; /* files or folders */
    const float *adapter_scales; /* [n_adapters]; NULL = 1 each */
    size_t n_adapters;
    size_t n_parallel; /* answers at once; 0 = 8 */
    const char *strategy; /* how answers are made (hone/strategy.h);
                           * NULL = one draw each. In process */
} subject_settings;

/* HONE_ERR_ARGUMENT for settings that do not go together (a server has its own threads, context,
 * and so on); errors of opening models and of asking servers. */
hone_status subject_open(subject **out, const subject_settings *settings);
void subject_close(subject *s); /* NULL is allowed */

typedef struct subject_info {
    const char *name;  /* as asked for; of a server's model, as the server calls it */
    const char *where; /* "in process", or the URL */
    const char *kind;  /* "local", "openai", "ollama" */
    hone_model *model; /* NULL behind a server */
    bool exact;
    hone_kv_type kv;
    size_t n_context;  /* 0 = unknown */
    size_t n_parallel;
    const char *strategy; /* in its canonical form; NULL = none */
    bool has_chat;     /* takes messages through the model's own template */
    double load_ms;
} subject_info;

const subject_info *subject_describe(const subject *s);

/* Hears how many items of a call are done; false ends the call with HONE_ERR_CANCELLED, and the
 * items that are done keep their results. */
typedef struct subject_progress {
    bool (*observe)(void *context, size_t n_done, size_t n_items);
    void *context;
} subject_progress;

/* --- answers --- */

/* Borrowed. */
typedef struct subject_request {
    const char *prompt; /* UTF-8 */
    const char *system; /* of a chat; NULL = none */
    bool chat;          /* the prompt is a user's turn for the model's template, else plain text */
    const char *const *stop;
    size_t n_stop;
    size_t max_tokens;
    hone_sampling sampling;
    uint32_t sequence;  /* which of several draws of one seed */
    /* For strategies: how the part that counts is read from an answer, and what can be known of one
     * before it is handed in (hone/strategy.h); check may be NULL. */
    hone_answer_form form;
    hone_answer_check check;
    void *check_user;
} subject_request;

typedef enum subject_end {
    SUBJECT_NOT_DONE = 0,
    SUBJECT_STOPPED,   /* by itself: end of text, a stop string */
    SUBJECT_CUT,       /* by the limit of tokens */
    SUBJECT_NO_ROOM,   /* the prompt did not fit into the context: no answer */
    SUBJECT_FAILED     /* `text` says why */
} subject_end;

const char *subject_end_name(subject_end end); /* "stop", "length", … */

typedef struct subject_answer {
    subject_end end;
    char *text; /* NUL-terminated; NULL only before it is done */
    size_t n_prompt_tokens, n_tokens; /* as counted, or as the server says; 0 = it does not. With a
                                       * strategy: of all draws, and prompts as far as computed */
    char **draws; /* with a strategy: the texts that it could have chosen */
    size_t n_draws;
    size_t n_drawn; /* with a strategy: draws that were to be an answer, those that were cut too */
} subject_answer;

/* Answers requests[n]; answers[n] are zeroed before, release each afterwards in any case. The
 * failure of one is noted in it, those of all come back. */
hone_status subject_generate(subject *s, const subject_request *requests, size_t n,
                             subject_answer *answers, const subject_progress *progress);
void subject_answer_release(subject_answer *answer);

/* --- log-likelihoods --- */

/* How probable each continuation is behind the context; texts as they stand, without template, with
 * the model's BOS where it wants one. The ids of a continuation are those of context + continuation
 * behind the context's own number of ids, as in lm-evaluation-harness. */
typedef struct subject_scoring {
    const char *context;              /* borrowed */
    const char *const *continuations; /* [n], borrowed */
    size_t n;
    /* Results. */
    double *logprobs;  /* [n] caller's: sums of natural logarithms */
    size_t *n_tokens;  /* [n] caller's: of the continuations */
    size_t n_context_tokens;
    bool done;
    bool truncated;    /* too long for the model's context: the beginning was left out */
} subject_scoring;

/* HONE_ERR_UNSUPPORTED where a server gives no log-probabilities of a prompt (/v1/completions with
 * echo and logprobs), HONE_ERR_ARGUMENT for an empty continuation and for an empty context in a
 * model without BOS. */
hone_status subject_score(subject *s, subject_scoring *scorings, size_t n,
                          const subject_progress *progress);

/* --- speech --- */

/* `text` is freed with mem_free; `seconds` of audio. `language` NULL = detect. */
hone_status subject_transcribe(subject *s, const char *path, const char *language, char **text,
                               double *seconds);

#endif
