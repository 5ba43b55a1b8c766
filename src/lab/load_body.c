/* A chat as either API wants it. */
#include "base/json.h"
#include "base/mem.h"
#include "lab/load_int.h"

static json_t *openai_body(const load *l, json_t *messages, size_t n_decode, uint64_t seed) {
    json_t *body = json_pack("{s:s, s:o, s:I, s:i, s:I, s:b, s:{s:b}}", "model",
                             l->server.model, "messages", messages, "max_tokens",
                             (json_int_t)n_decode, "temperature", 0, "seed",
                             (json_int_t)(seed & 0x7fffffff), "stream", 1, "stream_options",
                             "include_usage", 1);
    if (body && l->calibration.ignores_end) json_object_set_new(body, "ignore_eos", json_true());
    return body;
}

static json_t *ollama_body(const load *l, json_t *messages, size_t n_decode, uint64_t seed) {
    return json_pack("{s:s, s:o, s:b, s:{s:I, s:i, s:I}}", "model", l->server.model, "messages",
                     messages, "stream", 1, "options", "num_predict", (json_int_t)n_decode,
                     "temperature", 0, "seed", (json_int_t)(seed & 0x7fffffff));
}

hone_status load_make_body(buf *out, const load *l, const buf *prompt, size_t n_decode,
                           uint64_t seed) {
    json_build_begin();
    json_t *messages = json_pack("[{s:s, s:s%}]", "role", "user", "content", prompt->data,
                                 prompt->len);
    json_t *body = l->server.api == ENDPOINT_OPENAI ? openai_body(l, messages, n_decode, seed)
                                         : ollama_body(l, messages, n_decode, seed);
    char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;
    hone_status status = json_build_end("a request");
    if (status == HONE_OK && text) status = buf_add_text(out, text);
    else if (status == HONE_OK) status = fail(HONE_ERR_MEMORY, "out of memory: a request");
    mem_free(text);
    json_decref(body);
    return status;
}
