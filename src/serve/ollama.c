/* Routes of Ollama's API, and what its answers have in common (serve/ollama.h). */
#include "serve/ollama.h"

#include <stdio.h>

#include "serve/reply.h"
#include "serve/stream.h"

/* Clients compare it with the versions of Ollama that brought something; this one has all of it. */
#define OLLAMA_VERSION "0.33.0"

static void route_version(const call *c) {
    reply_json(c->x, 200, json_pack("{s:s, s:s}", "version", OLLAMA_VERSION, "hone", HONE_VERSION));
}

static void route_root(const call *c) {
    static const char words[] = "Ollama is running"; /* what clients look for */
    exchange_reply(c->x, 200, "text/plain; charset=utf-8", words, sizeof words - 1);
}

static void route_push(const call *c) {
    reply_error(c->x, 403, NULL, NULL, "hone gives models to nobody: there is no push");
}

static const route items[] = {
    {"GET", "/", false, route_root},
    {"HEAD", "/", false, route_root},
    {"GET", "/api/version", false, route_version},
    {"HEAD", "/api/version", false, route_version},
    {"POST", "/api/generate", false, ollama_generate},
    {"POST", "/api/chat", false, ollama_chat},
    {"POST", "/api/embed", false, ollama_embed},
    {"POST", "/api/embeddings", false, ollama_embeddings},
    {"GET", "/api/tags", false, ollama_tags},
    {"HEAD", "/api/tags", false, ollama_tags},
    {"POST", "/api/show", false, ollama_show},
    {"GET", "/api/ps", false, ollama_ps},
    {"POST", "/api/pull", false, ollama_pull},
    {"POST", "/api/push", false, route_push},
    {"POST", "/api/create", false, ollama_create},
    {"POST", "/api/copy", false, ollama_copy},
    {"DELETE", "/api/delete", false, ollama_delete},
    {"HEAD", "/api/blobs/", false, ollama_blob_look},
    {"POST", "/api/blobs/", false, ollama_blob_end},
};

const route_list ollama_routes = {items, sizeof items / sizeof *items};

static const route uploads[] = {{"POST", "/api/blobs/", false, ollama_blob_begin}};
const route_list upload_routes = {uploads, sizeof uploads / sizeof *uploads};

/* --- in common --- */

ollama_time ollama_time_of(struct timespec when) {
    ollama_time out;
    struct tm utc;
    size_t n = gmtime_r(&when.tv_sec, &utc)
                   ? strftime(out.text, sizeof out.text, "%Y-%m-%dT%H:%M:%S", &utc) : 0;
    snprintf(out.text + n, sizeof out.text - n, ".%09ldZ", when.tv_nsec);
    return out;
}

ollama_time ollama_now(void) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return ollama_time_of(now);
}

hone_status ollama_tell_failure(buf *out, hone_status status) {
    (void)status;
    return stream_add_line(out, json_pack("{s:s}", "error", hone_error_message()));
}

static hone_status read_model(const json_t *body, const char **model) {
    *model = NULL;
    if (!json_is_object(body)) return fail(HONE_ERR_FORMAT, "the request is no JSON object");
    TRY(json_get_string(body, "model", model));
    if (!*model) TRY(json_get_string(body, "name", model));
    return *model && **model ? HONE_OK : fail(HONE_ERR_ARGUMENT, "model is required");
}

hone_status ollama_read_body(const call *c, json_t **body, const char **model) {
    size_t n;
    const char *text = exchange_body(c->x, &n);
    TRY(json_parse(body, text, n, "the request"));
    hone_status status = read_model(*body, model);
    if (status == HONE_OK) status = call_check_body(c, *body);
    if (status != HONE_OK) json_decref(*body);
    return status;
}
