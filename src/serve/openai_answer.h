/* An exchange with OpenAI's API under way, and what its answers have in common: the request, the
 * model, the job, the road from the request to a whole answer or a stream, and the parts of JSON
 * that say what it cost. */
#ifndef SERVE_OPENAI_ANSWER_H
#define SERVE_OPENAI_ANSWER_H

#include <time.h>

#include "base/buf.h"
#include "route/files.h"
#include "serve/chat.h"
#include "serve/job.h"
#include "serve/openai_request.h"
#include "serve/route.h"
#include "serve/stream.h"

typedef struct openai_answer {
    models *models;
    route_files *files;
    const description *description;
    exchange *x;
    const char *client;
    bool runs_code; /* serve/route.h */
    openai_request r;
    served_model served; /* a name once it is borrowed */
    json_t *hone; /* what the first envelope tells under "hone", and then no more; NULL = nothing */
    hone_request *requests; /* [n_requests]: prompts, and the choices of each */
    size_t n_requests;
    job *job;
    json_t *messages; /* with what the model brings along; NULL: the request's own */
    char id[64];
    time_t created;
} openai_answer;

/* Reads the body. `prefix`: of the id. Where it fails there is nothing to release. */
hone_status openai_answer_init(openai_answer *a, const call *c, const char *prefix);
void openai_answer_release(openai_answer *a);

/* For the model "auto": chooses and borrows one, and puts what comes with it (settings, a system
 * text, a strategy) into the request where that leaves it open; so this comes before the
 * endpoint reads its fields. Errors of auto_borrow and auto_check. */
hone_status openai_answer_choose(openai_answer *a);

/* Once the request is read: what the description forbids all the same is refused. Then borrows the
 * model, where that is not done; what the request leaves open is set from the model's own
 * parameters. HONE_ERR_UNSUPPORTED where it takes no text. */
hone_status openai_answer_borrow(openai_answer *a);
/* Then: the model's own words before the conversation's. */
hone_status openai_answer_converse(openai_answer *a, chat_settings *chat);

/* n requests, each a copy of the request's own. */
hone_status openai_answer_plan(openai_answer *a, size_t n);
hone_status openai_answer_submit(openai_answer *a);

/* For an answer that failed: 499 where the client left. */
void openai_answer_refuse(const openai_answer *a, hone_status status);

/* --- the road that all text endpoints take --- */

/* What an endpoint adds. `answer` is its own structure, which begins with an openai_answer. */
typedef struct openai_endpoint {
    const char *id_prefix;
    size_t answer_bytes;
    /* Reads the rest of the request, borrows, plans and submits. */
    hone_status (*submit)(void *answer);
    /* For a whole answer: what the job tells, then the reply. */
    hone_status (*take)(void *answer, const job_event *e);
    hone_status (*whole)(void *answer, json_t **reply);
    /* For a stream; `close` ends either kind of answer. */
    stream_maker stream;
} openai_endpoint;

/* Memory for an answer with its body read; NULL: the refusal has been sent. */
void *openai_answer_open(const call *c, const openai_endpoint *endpoint);

/* From there to the reply or the stream, by which `answer` is closed. */
void openai_answer_give(void *answer, const openai_endpoint *endpoint);

/* --- parts of answers --- */

json_t *openai_envelope(const openai_answer *a, const char *object, json_t *choices);

/* Tokens of all requests; those of a prompt count once for the n_choices that share it. */
json_t *openai_usage(const openai_answer *a, size_t n_choices);

/* Adds "timings" (llama-server's names, of the first request) and "memory" to an answer. */
void openai_add_costs(const openai_answer *a, json_t *root);

/* "stop" or "length". */
const char *openai_finish_reason(const hone_result *r);

#endif
