/* The description, put together and applied (serve/description.h). */
#include "serve/description.h"

#include <ctype.h>
#include <string.h>

#include "base/mem.h"
#include "serve/json_check.h"

struct description {
    json_t *root;
    char *text;
};

/* The files of the folder api, which the Makefile turns into string literals. */
static const char *const parts[] = {
#include "api/parts.inc"
};

/* --- putting it together --- */

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

static hone_status build(description *d) {
    json_use_mem();
    d->root = json_pack(
        "{s:s, s:{s:s, s:s, s:s}, s:[{s:s}], s:[{s:[]}, {}], s:[], s:{}, "
        "s:{s:{}, s:{}, s:{s:{s:s, s:s}}}}",
        "openapi", "3.1.0", "info", "title", "hone", "version", HONE_VERSION, "description",
        "Models on a person's own machine, by OpenAI's, Ollama's and hone's own API", "servers",
        "url", "/", "security", "key", "tags", "paths", "components", "schemas", "responses",
        "securitySchemes", "key", "type", "http", "scheme", "bearer");
    if (!d->root) return fail(HONE_ERR_MEMORY, "openapi: memory is short");
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) TRY(add_part(d->root, parts[i]));
    d->text = json_dumps(d->root, JSON_COMPACT);
    return d->text ? HONE_OK : fail(HONE_ERR_MEMORY, "openapi: memory is short");
}

hone_status description_open(description **out) {
    description *d = mem_calloc(1, sizeof *d);
    if (!d) return mem_fail("openapi", sizeof *d);
    hone_status status = build(d);
    if (status == HONE_OK) *out = d;
    else description_close(d);
    return status;
}

void description_close(description *d) {
    if (!d) return;
    json_decref(d->root);
    mem_free(d->text);
    mem_free(d);
}

const char *description_text(const description *d) { return d->text; }

/* --- applying it --- */

static const json_t *body_schema(const description *d, const char *method, const char *path) {
    static const char *const way[] = {"requestBody", "content", "application/json", "schema"};
    char key[16] = "";
    for (size_t i = 0; method[i] && i + 1 < sizeof key; i++)
        key[i] = (char)tolower((unsigned char)method[i]);
    const json_t *at = json_object_get(json_object_get(d->root, "paths"), path);
    at = json_object_get(at, key);
    for (size_t i = 0; i < sizeof way / sizeof *way; i++) at = json_object_get(at, way[i]);
    return at;
}

hone_status description_check(const description *d, const char *method, const char *path,
                              const json_t *body) {
    const json_t *components = json_object_get(d->root, "components");
    const json_t *schema = body_schema(d, method, path);
    if (!schema) return HONE_OK;
    return json_check(body, schema, json_object_get(components, "schemas"));
}
