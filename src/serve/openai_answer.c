/* What OpenAI's text endpoints share (serve/openai_answer.h). */
#include "serve/openai_answer.h"

#include "base/mem.h"
#include "base/system.h"
#include "serve/reply.h"

/* --- life --- */

hone_status openai_answer_init(openai_answer *a, const call *c, const char *prefix) {
    size_t n;
    const char *body = exchange_body(c->x, &n);
    *a = (openai_answer){.models = c->models, .x = c->x, .client = c->client,
                         .created = time(NULL)};
    snprintf(a->id, sizeof a->id, "%s%s", prefix, exchange_id(c->x) + 4);
    return openai_request_read(&a->r, body, n);
}

void openai_answer_release(openai_answer *a) {
    job_close(a->job);
    mem_free(a->requests);
    openai_request_release(&a->r);
    if (a->served.name) models_return(a->models, &a->served);
}

hone_status openai_answer_borrow(openai_answer *a) {
    TRY(models_borrow(a->models, a->r.model, &a->served));
    if (a->served.scheduler) return HONE_OK;
    return fail(HONE_ERR_UNSUPPORTED, "%s takes no text", a->served.name);
}

hone_status openai_answer_plan(openai_answer *a, size_t n) {
    a->requests = mem_calloc(n, sizeof *a->requests);
    if (!a->requests) return mem_fail("request", n * sizeof *a->requests);
    for (size_t i = 0; i < n; i++) a->requests[i] = a->r.request;
    a->n_requests = n;
    return HONE_OK;
}

hone_status openai_answer_submit(openai_answer *a) {
    return job_open(&a->job, a->served.scheduler, a->x, a->client, a->requests, a->n_requests);
}

void openai_answer_refuse(const openai_answer *a, hone_status status) {
    if (status == HONE_ERR_CANCELLED && exchange_is_gone(a->x))
        reply_error(a->x, 499, "cancelled", NULL, "the client hung up");
    else reply_failure(a->x, status);
}

/* --- parts --- */

json_t *openai_envelope(const openai_answer *a, const char *object, json_t *choices) {
    return json_pack("{s:s, s:s, s:I, s:s, s:s, s:o}", "id", a->id, "object", object, "created",
                     (json_int_t)a->created, "model", a->served.name, "system_fingerprint",
                     "hone-" HONE_VERSION, "choices", choices);
}

json_t *openai_usage(const openai_answer *a, size_t n_choices) {
    json_int_t prompt = 0, cached = 0, made = 0, thoughts = 0;
    for (size_t i = 0; i < a->n_requests; i++) {
        const hone_result *r = job_result(a->job, i);
        if (i % n_choices == 0) {
            prompt += (json_int_t)r->n_prompt_tokens;
            cached += (json_int_t)r->n_cached_tokens;
        }
        made += (json_int_t)r->n_tokens;
        thoughts += (json_int_t)r->n_thought_tokens;
    }
    return json_pack("{s:I, s:I, s:I, s:{s:I}, s:{s:I}}", "prompt_tokens", prompt,
                     "completion_tokens", made, "total_tokens", prompt + made,
                     "prompt_tokens_details", "cached_tokens", cached, "completion_tokens_details",
                     "reasoning_tokens", thoughts);
}

static double per_second(size_t n, double ms) { return ms > 0 ? 1000.0 * (double)n / ms : 0; }

void openai_add_costs(const openai_answer *a, json_t *root) {
    const hone_result *r = job_result(a->job, 0);
    size_t computed = r->n_prompt_tokens - r->n_cached_tokens;
    size_t decoded = r->n_tokens > 1 ? r->n_tokens - 1 : 0;
    json_object_set_new(
        root, "timings",
        json_pack("{s:I, s:I, s:f, s:f, s:I, s:f, s:f, s:f, s:f}", "cache_n",
                  (json_int_t)r->n_cached_tokens, "prompt_n", (json_int_t)computed, "prompt_ms",
                  r->prefill_ms, "prompt_per_second", per_second(computed, r->prefill_ms),
                  "predicted_n", (json_int_t)r->n_tokens, "predicted_ms", r->decode_ms,
                  "predicted_per_second", per_second(decoded, r->decode_ms), "ttft_ms", r->ttft_ms,
                  "load_ms", a->served.load_ms));
    scheduler_state state = scheduler_look(a->served.scheduler);
    json_object_set_new(root, "memory",
                        json_pack("{s:I, s:I}", "resident_bytes",
                                  (json_int_t)system_resident_bytes(), "cache_bytes",
                                  (json_int_t)state.cache_bytes));
}

const char *openai_finish_reason(const hone_result *r) {
    return r->finish == HONE_FINISH_LENGTH ? "length" : "stop";
}
