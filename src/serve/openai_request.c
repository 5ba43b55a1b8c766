/* Fields of OpenAI's text endpoints (serve/openai_request.h). */
#include "serve/openai_request.h"

#include <string.h>

#include "base/mem.h"
#include "serve/fields.h"

static hone_status read_sampling(openai_request *r) {
    const json_t *b = r->body;
    hone_sampling *s = &r->request.sampling;
    uint64_t top_k = 0;
    *s = hone_sampling_greedy();
    s->temperature = 1;
    TRY(field_float(b, "temperature", 0, 2, &s->temperature));
    TRY(field_float(b, "top_p", 0, 1, &s->top_p));
    TRY(field_float(b, "min_p", 0, 1, &s->min_p));
    TRY(field_float(b, "repetition_penalty", 0.01, 100, &s->repetition_penalty));
    TRY(field_float(b, "presence_penalty", -2, 2, &s->presence_penalty));
    TRY(field_float(b, "frequency_penalty", -2, 2, &s->frequency_penalty));
    TRY(field_whole(b, "top_k", 0, INT32_MAX, &top_k));
    s->top_k = (int32_t)top_k;
    s->repeat_last_n = s->repetition_penalty != 1 ? 64 : 0;
    TRY(field_biases(b, "logit_bias", &r->biases, &s->n_biases));
    s->biases = r->biases;
    return field_seed(b, &s->seed);
}

static hone_status read_streaming(openai_request *r) {
    TRY(json_get_bool(r->body, "stream", &r->stream));
    const json_t *options = field_find(r->body, "stream_options");
    if (!options) return HONE_OK;
    if (!json_is_object(options) || !r->stream)
        return fail(HONE_ERR_ARGUMENT, "stream_options needs stream to be true");
    bool padding = false;
    TRY(json_get_bool(options, "include_obfuscation", &padding)); /* taken; TLS has its own */
    return json_get_bool(options, "include_usage", &r->include_usage);
}

static hone_status read_fields(openai_request *r) {
    uint64_t choices = 1;
    TRY(json_get_string(r->body, "model", &r->model));
    TRY(field_whole(r->body, "n", 1, OPENAI_MAX_CHOICES, &choices));
    TRY(json_get_bool(r->body, "ignore_eos", &r->request.ignore_eos));
    r->n_choices = (size_t)choices;
    TRY(read_streaming(r));
    TRY(read_sampling(r));
    TRY(field_stops(r->body, "stop", &r->stops, &r->request.n_stop));
    r->request.stop = r->stops;
    return HONE_OK;
}

hone_status openai_request_read(openai_request *r, const char *body, size_t n) {
    *r = (openai_request){0};
    hone_status status = json_parse(&r->body, body, n, "the request");
    if (status == HONE_OK && !json_is_object(r->body))
        status = fail(HONE_ERR_FORMAT, "the request is no JSON object");
    if (status == HONE_OK) status = read_fields(r);
    if (status != HONE_OK) openai_request_release(r);
    return status;
}

void openai_request_release(openai_request *r) {
    mem_free((void *)(uintptr_t)r->stops);
    mem_free(r->biases);
    json_decref(r->body);
    *r = (openai_request){0};
}
