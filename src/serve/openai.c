/* The routes of OpenAI's API. */
#include "serve/openai.h"

#include "serve/reply.h"
#include "serve/stream.h"

static const route routes[] = {
    {"POST", "/v1/chat/completions", false, openai_chat},
    {"POST", "/v1/completions", false, openai_completions},
    {"POST", "/v1/embeddings", false, openai_embeddings},
    {"POST", "/v1/responses", false, openai_responses},
    {"POST", "/v1/audio/transcriptions", false, openai_transcriptions},
    {"POST", "/v1/audio/translations", false, openai_translations},
    {"GET", "/v1/models", false, openai_models},
    {"GET", "/v1/models/", false, openai_model},
};

const route_list openai_routes = {routes, sizeof routes / sizeof *routes};

hone_status openai_tell_failure(buf *out, hone_status status) {
    return stream_add_sse(out, NULL, reply_error_object(reply_status_of(status), NULL, NULL,
                                                        hone_error_message()));
}
