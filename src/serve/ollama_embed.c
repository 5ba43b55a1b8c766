/* /api/embed and its older form /api/embeddings: the mean over the final norm's outputs, of length
 * 1. */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/system.h"
#include "serve/embeddings.h"
#include "serve/fields.h"
#include "serve/job.h"
#include "serve/ollama.h"
#include "serve/ollama_options.h"
#include "serve/reply.h"

enum { MAX_INPUTS = 2048 };

typedef struct embedding_call {
    json_t *body;
    const char *model;
    const json_t *inputs; /* a text or a list of them */
    size_t n, n_cut;      /* inputs; those that were cut to fit */
    bool truncate;
    uint64_t dimensions;  /* 0 = all */
    served_model served;
    hone_request *requests; /* [n]; their prompt_ids are our own */
    job *job;
} embedding_call;

static void release(embedding_call *e, models *m) {
    job_close(e->job);
    for (size_t i = 0; e->requests && i < e->n; i++)
        hone_free((void *)(uintptr_t)e->requests[i].prompt_ids);
    mem_free(e->requests);
    if (e->served.name) models_return(m, &e->served);
    json_decref(e->body);
}

static const json_t *input_at(const embedding_call *e, size_t i) {
    return json_is_array(e->inputs) ? json_array_get(e->inputs, i) : e->inputs;
}

static hone_status read_inputs(embedding_call *e, const char *key) {
    e->inputs = field_find(e->body, key);
    e->n = json_is_array(e->inputs) ? json_array_size(e->inputs)
                                    : json_string_length(e->inputs) > 0;
    if (e->n > MAX_INPUTS)
        return fail(HONE_ERR_ARGUMENT, "%s has %zu texts, at most %d", key, e->n, MAX_INPUTS);
    if (e->inputs && !json_is_array(e->inputs) && !json_is_string(e->inputs))
        return fail(HONE_ERR_FORMAT, "%s is neither a text nor a list of texts", key);
    for (size_t i = 0; i < e->n; i++)
        if (!json_string_length(input_at(e, i)))
            return fail(HONE_ERR_ARGUMENT, "%s[%zu] is no text, or an empty one", key, i);
    return HONE_OK;
}

static hone_status tokenize(embedding_call *e, size_t i) {
    const json_t *text = input_at(e, i);
    int32_t *ids;
    size_t n;
    TRY(hone_tokenize(e->served.model, json_string_value(text), json_string_length(text), true,
                      &ids, &n));
    e->requests[i].prompt_ids = ids;
    e->requests[i].n_prompt_ids = n;
    e->requests[i].sampling = hone_sampling_greedy();
    e->requests[i].embedding = true;
    if (n <= e->served.n_context) return HONE_OK;
    if (!e->truncate)
        return fail(HONE_ERR_CONTEXT_FULL, "input %zu has %zu tokens; the model takes %zu", i, n,
                    e->served.n_context);
    e->requests[i].n_prompt_ids = e->served.n_context;
    e->n_cut++;
    return HONE_OK;
}

static hone_status submit(embedding_call *e, const call *c) {
    const json_t *keep = field_find(e->body, "keep_alive");
    ollama_options options = {.n_context = 0};
    int64_t keep_ms = 0;
    TRY(field_whole(e->body, "dimensions", 1, 1 << 20, &e->dimensions));
    TRY(json_get_bool(e->body, "truncate", &e->truncate));
    hone_status status = ollama_options_apply(&options, field_find(e->body, "options"));
    ollama_options_release(&options);
    TRY(status);
    if (options.ignored[0]) exchange_add_header(c->x, "X-Hone-Ignored-Options", options.ignored);
    if (keep) TRY(ollama_read_duration(keep, "keep_alive", &keep_ms));
    TRY(models_borrow(c->models, e->model, &e->served));
    if (keep) models_keep(c->models, &e->served, keep_ms);
    if (!e->served.scheduler)
        return fail(HONE_ERR_UNSUPPORTED, "\"%s\" does not support embeddings", e->served.name);
    if (e->n == 0) return HONE_OK; /* the model is loaded, and that was all */
    e->requests = mem_calloc(e->n, sizeof *e->requests);
    if (!e->requests) return mem_fail("input", e->n * sizeof *e->requests);
    for (size_t i = 0; i < e->n; i++) TRY(tokenize(e, i));
    return job_open(&e->job, e->served.scheduler, c->x, c->client, e->requests, e->n);
}

static hone_status ignore_event(void *user, const job_event *event) {
    (void)user, (void)event;
    return HONE_OK;
}

/* The first `dimensions` numbers, again of length 1; NULL when memory is short. */
static json_t *vector_json(const embedding_call *e, size_t i) {
    const float *x = job_result(e->job, i)->embedding;
    size_t n_all = hone_model_describe(e->served.model)->n_embedding, n = n_all;
    if (e->dimensions && e->dimensions < n) n = (size_t)e->dimensions;
    float *shorter = mem_calloc(n, sizeof *shorter);
    if (!shorter) return NULL;
    embeddings_shorten(shorter, n, x, n_all);
    json_t *list = embeddings_numbers(shorter, n);
    mem_free(shorter);
    return list;
}

static json_t *answer_json(const embedding_call *e, bool single, double begin_ms) {
    if (single)
        return json_pack("{s:o}", "embedding", e->n ? vector_json(e, 0) : json_array());
    json_t *vectors = json_array();
    size_t n_tokens = 0;
    for (size_t i = 0; i < e->n; i++) {
        json_array_append_new(vectors, vector_json(e, i));
        n_tokens += e->requests[i].n_prompt_ids;
    }
    return json_pack("{s:s, s:o, s:I, s:I, s:I}", "model", e->model, "embeddings", vectors,
                     "total_duration", (json_int_t)((clock_ms() - begin_ms) * 1e6), "load_duration",
                     (json_int_t)(e->served.load_ms * 1e6), "prompt_eval_count",
                     (json_int_t)n_tokens);
}

static void serve_embedding(const call *c, bool single) {
    embedding_call e = {.truncate = true};
    double begin_ms = clock_ms();
    hone_status status = ollama_read_body(c, &e.body, &e.model);
    if (status != HONE_OK) {
        reply_failure(c->x, status);
        return;
    }
    status = read_inputs(&e, single ? "prompt" : "input");
    if (status == HONE_OK) status = submit(&e, c);
    if (status == HONE_OK && e.n_cut) {
        char n[24];
        snprintf(n, sizeof n, "%zu", e.n_cut);
        exchange_add_header(c->x, "X-Hone-Truncated-Inputs", n);
    }
    if (status == HONE_OK && e.job) status = job_wait(e.job, ignore_event, NULL);
    if (status == HONE_OK) reply_json(c->x, 200, answer_json(&e, single, begin_ms));
    else if (status == HONE_ERR_CANCELLED) reply_error(c->x, 499, NULL, NULL, "cancelled");
    else reply_failure(c->x, status);
    release(&e, c->models);
}

void ollama_embed(const call *c) { serve_embedding(c, false); }
void ollama_embeddings(const call *c) { serve_embedding(c, true); }
