/* /openapi.json: the description of everything that is served, put together from each API's part
 * (the folder api, whose files the Makefile turns into string literals). */
#include <string.h>

#include "base/json.h"
#include "serve/reply.h"
#include "serve/route.h"

static const char *const parts[] = {
#include "api/parts.inc"
};

/* Adds the members of part[key], or of part.components[key], to root's. */
static hone_status merge(json_t *root, const json_t *part, const char *key) {
    json_t *from = json_object_get(part, key), *to = json_object_get(root, key);
    if (!from) return HONE_OK;
    bool done = json_is_array(from) ? json_array_extend(to, from) == 0
                                    : json_object_update_missing(to, from) == 0;
    return done ? HONE_OK : fail(HONE_ERR_MEMORY, "openapi: memory is short");
}

static hone_status add_part(json_t *root, const char *text) {
    json_t *part;
    TRY(json_parse(&part, text, strlen(text), "openapi"));
    json_t *components = json_object_get(root, "components");
    const json_t *own = json_object_get(part, "components");
    hone_status status = merge(root, part, "tags");
    if (status == HONE_OK) status = merge(root, part, "paths");
    if (status == HONE_OK) status = merge(components, own, "schemas");
    if (status == HONE_OK) status = merge(components, own, "responses");
    json_decref(part);
    return status;
}

static void route_openapi(const call *c) {
    json_t *root = json_pack(
        "{s:s, s:{s:s, s:s, s:s}, s:[{s:s}], s:[{s:[]}, {}], s:[], s:{}, s:{s:{}, s:{}, s:{s:{s:s, s:s}}}}",
        "openapi", "3.1.0", "info", "title", "hone", "version", HONE_VERSION, "description",
        "Models on a person's own machine, by OpenAI's, Ollama's and hone's own API", "servers", "url", "/",
        "security", "key", "tags", "paths", "components", "schemas", "responses", "securitySchemes",
        "key", "type", "http", "scheme", "bearer");
    hone_status status = root ? HONE_OK : fail(HONE_ERR_MEMORY, "openapi: memory is short");
    for (size_t i = 0; i < sizeof parts / sizeof *parts && status == HONE_OK; i++)
        status = add_part(root, parts[i]);
    if (status == HONE_OK) reply_json(c->x, 200, json_incref(root));
    else reply_failure(c->x, status);
    json_decref(root);
}

static const route routes[] = {
    {"GET", "/openapi.json", false, route_openapi},
};

const route_list openapi_routes = {routes, sizeof routes / sizeof *routes};
