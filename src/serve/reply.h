/* JSON answers; errors in OpenAI's form, below /api/ in Ollama's. */
#ifndef SERVE_REPLY_H
#define SERVE_REPLY_H

#include "base/json.h"
#include "serve/listener.h"

/* Takes the value over; NULL stands for memory that was short. */
void reply_json(exchange *x, unsigned status, json_t *value);

/* {"error": {message, type, param, code}}, or {"error": message} below /api/; `code` and `param`
 * may be NULL. */
void reply_error(exchange *x, unsigned status, const char *code, const char *param,
                 const char *message);

/* The HTTP status for a failure, with its words from hone_error_message. */
void reply_failure(exchange *x, hone_status status);
unsigned reply_status_of(hone_status status);
json_t *reply_error_object(unsigned http_status, const char *code, const char *param,
                           const char *message);

#endif
