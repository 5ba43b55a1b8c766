/* /v1/embeddings: texts or token ids in, a vector for each out. */
#include <string.h>

#include "base/mem.h"
#include "serve/embeddings.h"
#include "serve/fields.h"
#include "serve/openai.h"
#include "serve/openai_answer.h"
#include "serve/prompts.h"

typedef struct embedding_answer {
    openai_answer base;
    prompts prompts;
    const char *format;
    uint64_t n_dimensions; /* 0: all */
} embedding_answer;

static hone_status read_fields(embedding_answer *a) {
    const json_t *b = a->base.r.body;
    a->format = "float";
    TRY(json_get_string(b, "encoding_format", &a->format));
    if (strcmp(a->format, "float") != 0 && strcmp(a->format, "base64") != 0)
        return fail(HONE_ERR_ARGUMENT, "encoding_format %s is neither float nor base64", a->format);
    return field_whole(b, "dimensions", 1, 1 << 20, &a->n_dimensions);
}

static hone_status submit(void *state) {
    embedding_answer *a = state;
    TRY(read_fields(a));
    TRY(openai_answer_borrow(&a->base));
    size_t n_embedding = hone_model_describe(a->base.served.model)->n_embedding;
    if (a->n_dimensions > n_embedding)
        return fail(HONE_ERR_ARGUMENT, "dimensions is %llu; this model's embeddings have %zu",
                    (unsigned long long)a->n_dimensions, n_embedding);
    if (a->n_dimensions == 0) a->n_dimensions = n_embedding;
    TRY(prompts_read(&a->prompts, field_find(a->base.r.body, "input"), "input",
                     a->base.served.model));
    TRY(embeddings_plan(&a->base.requests, &a->prompts));
    a->base.n_requests = a->prompts.n;
    return openai_answer_submit(&a->base);
}

static hone_status take_event(void *user, const job_event *event) {
    (void)user, (void)event;
    return HONE_OK;
}

static json_t *embedding_json(const embedding_answer *a, size_t i, float *cut) {
    size_t n = (size_t)a->n_dimensions;
    size_t n_all = hone_model_describe(a->base.served.model)->n_embedding;
    embeddings_shorten(cut, n, job_result(a->base.job, i)->embedding, n_all);
    json_t *value = !strcmp(a->format, "base64") ? embeddings_base64(cut, n)
                                                 : embeddings_numbers(cut, n);
    return json_pack("{s:s, s:I, s:o}", "object", "embedding", "index", (json_int_t)i, "embedding",
                     value);
}

static hone_status make_whole(void *state, json_t **reply) {
    const embedding_answer *a = state;
    json_int_t n_tokens = 0;
    float *cut = mem_calloc(a->n_dimensions, sizeof *cut);
    if (!cut) return mem_fail("embedding", a->n_dimensions * sizeof *cut);
    json_t *list = json_array();
    for (size_t i = 0; i < a->prompts.n; i++) {
        const hone_result *r = job_result(a->base.job, i);
        n_tokens += (json_int_t)r->n_prompt_tokens;
        if (r->embedding) json_array_append_new(list, embedding_json(a, i, cut));
    }
    mem_free(cut);
    if (json_array_size(list) < a->prompts.n) {
        json_decref(list);
        return fail(HONE_ERR_CANCELLED, "the server is going down");
    }
    json_t *root = json_pack("{s:s, s:o, s:s, s:{s:I, s:I}}", "object", "list", "data", list,
                             "model", a->base.served.name, "usage", "prompt_tokens", n_tokens,
                             "total_tokens", n_tokens);
    openai_add_costs(&a->base, root);
    *reply = root;
    return HONE_OK;
}

static void answer_close(void *state) {
    embedding_answer *a = state;
    openai_answer_release(&a->base);
    prompts_release(&a->prompts);
    mem_free(a);
}

void openai_embeddings(const call *c) {
    static const openai_endpoint endpoint = {
        "embd-", sizeof(embedding_answer), submit, take_event, make_whole,
        {NULL, NULL, answer_close}, /* there are no streams of vectors */
    };
    embedding_answer *a = openai_answer_open(c, &endpoint);
    if (a) openai_answer_give(a, &endpoint);
}
