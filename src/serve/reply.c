/* Answers that are the same for every route (serve/reply.h). */
#include "serve/reply.h"

#include <string.h>

#include "base/mem.h"

static bool speaks_ollama(const exchange *x) { return !strncmp(exchange_path(x), "/api/", 5); }

void reply_json(exchange *x, unsigned status, json_t *value) {
    char *text = value ? json_dumps(value, JSON_COMPACT) : NULL;
    json_decref(value);
    static const char *const short_of_memory[] = {
        "{\"error\":{\"message\":\"the server is short of memory\",\"type\":\"server_error\","
        "\"param\":null,\"code\":null}}",
        "{\"error\":\"the server is short of memory\"}"};
    const char *otherwise = short_of_memory[speaks_ollama(x)];
    if (text) exchange_reply(x, status, "application/json", text, strlen(text));
    else exchange_reply(x, 500, "application/json", otherwise, strlen(otherwise));
    mem_free(text);
}

static const char *error_type(unsigned status) {
    switch (status) {
    case 401: return "authentication_error";
    case 403: return "permission_error";
    case 404: return "not_found_error";
    case 429: return "rate_limit_error";
    default: return status < 500 ? "invalid_request_error" : "server_error";
    }
}

json_t *reply_error_object(unsigned http_status, const char *code, const char *param,
                           const char *message) {
    return json_pack("{s:{s:s, s:s, s:s?, s:s?}}", "error", "message", message, "type",
                     error_type(http_status), "param", param, "code", code);
}

void reply_error(exchange *x, unsigned status, const char *code, const char *param,
                 const char *message) {
    reply_json(x, status, speaks_ollama(x) ? json_pack("{s:s}", "error", message)
                                           : reply_error_object(status, code, param, message));
}

unsigned reply_status_of(hone_status status) {
    switch (status) {
    case HONE_ERR_ARGUMENT: case HONE_ERR_FORMAT: case HONE_ERR_CONTEXT_FULL:
    case HONE_ERR_UNSUPPORTED: return 400;
    case HONE_ERR_NOT_FOUND: return 404;
    case HONE_ERR_BUSY: return 503;
    default: return 500;
    }
}

void reply_failure(exchange *x, hone_status status) {
    static const char *const codes[] = {
        [-HONE_ERR_NOT_FOUND] = "model_not_found",
        [-HONE_ERR_CONTEXT_FULL] = "context_length_exceeded",
        [-HONE_ERR_BUSY] = "server_busy",
    };
    if (status == HONE_ERR_BUSY) exchange_add_header(x, "Retry-After", "2");
    reply_error(x, reply_status_of(status), codes[-status], NULL, hone_error_message());
}
