#include "weights/origin_ollama.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/json.h"
#include "weights/origin_int.h"
#include "weights/registry_login.h"

/* Ollama's registry, and what people call it: the address of the models' pages. */
const char ollama_registry_host[] = "registry.ollama.ai";
#define OLLAMA_PAGES "ollama.com/"
#define OTHER_REGISTRY "ollama:"

#define MANIFEST_TYPES                                                                            \
    "application/vnd.docker.distribution.manifest.v2+json, "                                      \
    "application/vnd.oci.image.manifest.v1+json"
#define LAYER_TYPE "application/vnd.ollama.image."

/* --- the text --- */

static hone_status fail_form(const origin *s) {
    return fail(HONE_ERR_ARGUMENT, "%.300s: expected " OLLAMA_PAGES "library/NAME[:TAG], or "
                                   OTHER_REGISTRY "HOST[:PORT]/PATH/NAME[:TAG]", s->text);
}

/* REPOSITORY[:TAG | @sha256:HEX] */
static hone_status parse_repository(origin *s, const char *text) {
    size_t n = strcspn(text, ":@");
    const char *behind = text + n;
    if (!origin_copy_path(s->registry.repository, sizeof s->registry.repository, text, n) ||
        strpbrk(s->registry.repository, " ()@=+"))
        return fail_form(s);
    bool fine = true;
    if (strncmp(behind, "@sha256:", 8) == 0) {
        fine = sha256_is_hex(behind + 8);
        if (fine) strcpy(s->registry.digest, behind + 8);
    } else if (*behind == ':') {
        fine = origin_copy_word(s->registry.tag, sizeof s->registry.tag, behind + 1,
                                strlen(behind + 1), "._-");
    } else {
        fine = !*behind;
    }
    if (!s->registry.tag[0]) strcpy(s->registry.tag, "latest");
    return fine ? HONE_OK : fail_form(s);
}

static hone_status parse_ollama(origin *s, const char *rest) {
    if (strncasecmp(s->text, OTHER_REGISTRY, strlen(OTHER_REGISTRY)) == 0) {
        size_t n = strcspn(rest, "/");
        if (!rest[n] || rest[0] == '-' ||
            !origin_copy_word(s->registry.host, sizeof s->registry.host, rest, n, ".-:[]"))
            return fail_form(s);
        return parse_repository(s, rest + n + 1);
    }
    strcpy(s->registry.host, ollama_registry_host);
    TRY(parse_repository(s, rest));
    if (strchr(s->registry.repository, '/')) return HONE_OK;
    char name[sizeof s->registry.repository];
    strcpy(name, s->registry.repository);
    int n = snprintf(s->registry.repository, sizeof s->registry.repository, "library/%.200s", name);
    return n > 0 ? HONE_OK : fail_form(s);
}

hone_status ollama_model_name(const char *host, const char *repository, const char *tag,
                              model_name *name) {
    char text[768], place[256];
    snprintf(place, sizeof place, "%s", host);
    for (char *c = place; *c; c++)
        if (strchr(":[]", *c)) *c = '-';
    bool is_own = strcasecmp(host, ollama_registry_host) == 0;
    snprintf(text, sizeof text, "%s%s%s:%s", is_own ? OLLAMA_PAGES : place, is_own ? "" : "/",
             repository, tag);
    return model_name_parse(name, text);
}

static hone_status name_of_ollama(const origin *s, model_name *name) {
    return ollama_model_name(s->registry.host, s->registry.repository, s->registry.tag, name);
}

/* --- manifests --- */

static hone_status parse_layer(ollama_manifest *m, const json_t *object) {
    static const char *const roles[] = {"model",  "template", "params",  "license",
                                        "system", "messages", "adapter", "projector"};
    const char *type = "", *digest = "";
    ollama_layer layer = {.bytes = 0};
    if (!json_is_object(object)) return fail(HONE_ERR_FORMAT, "layers: expected objects");
    TRY(json_get_string(object, "mediaType", &type));
    TRY(json_get_string(object, "digest", &digest));
    TRY(json_get_u64(object, "size", &layer.bytes));
    if (strncmp(digest, "sha256:", 7) != 0 || !sha256_is_hex(digest + 7))
        return fail(HONE_ERR_FORMAT, "digest: expected sha256: and 64 hexadecimal digits");
    strcpy(layer.sha256, digest + 7);
    if (strncmp(type, LAYER_TYPE, strlen(LAYER_TYPE)) != 0) return HONE_OK;
    for (size_t i = 0; i < sizeof roles / sizeof *roles; i++) {
        if (strcmp(type + strlen(LAYER_TYPE), roles[i]) != 0) continue;
        if (m->n == sizeof m->layers / sizeof *m->layers)
            return fail(HONE_ERR_FORMAT, "more than %zu layers", m->n);
        strcpy(layer.role, roles[i]);
        m->layers[m->n++] = layer;
    }
    return HONE_OK;
}

static hone_status parse_layers(ollama_manifest *m, const json_t *root) {
    const json_t *layers = json_object_get(root, "layers");
    if (!json_is_array(layers)) return fail(HONE_ERR_FORMAT, "layers: expected a list");
    if (json_array_size(layers) > 4096)
        return fail(HONE_ERR_UNSUPPORTED, "%zu layers: not a model that hone reads",
                    json_array_size(layers));
    for (size_t i = 0; i < json_array_size(layers); i++)
        TRY(parse_layer(m, json_array_get(layers, i)));
    for (size_t i = 0; i < m->n; i++) {
        if (strcmp(m->layers[i].role, "model") != 0) continue;
        ollama_layer model = m->layers[i];
        memmove(&m->layers[1], &m->layers[0], i * sizeof model);
        m->layers[0] = model;
        return HONE_OK;
    }
    return fail(HONE_ERR_UNSUPPORTED, "no model in GGUF form among its %zu layers",
                json_array_size(layers));
}

hone_status ollama_manifest_parse(ollama_manifest *out, const char *text, size_t n,
                                  const char *name) {
    json_t *root = NULL;
    ollama_manifest m = {.n = 0};
    TRY(json_parse(&root, text, n, name));
    hone_status status = json_is_object(root) ? parse_layers(&m, root)
                                              : fail(HONE_ERR_FORMAT, "expected an object");
    json_decref(root);
    if (status != HONE_OK)
        return status == HONE_ERR_MEMORY ? status : fail_context(status, "%s", name);
    *out = m;
    return HONE_OK;
}

/* --- requests --- */

typedef struct registry_url {
    char text[300];
} registry_url;

/* In the open only on this machine, as with other registries. */
static registry_url base_of(const origin *s) {
    registry_url base;
    snprintf(base.text, sizeof base.text, "http://%s", s->registry.host);
    if (!http_is_loopback(base.text))
        snprintf(base.text, sizeof base.text, "https://%s", s->registry.host);
    return base;
}

static hone_status make_url(char *url, size_t size, const origin *s, const char *what,
                            const char *which) {
    int n = snprintf(url, size, "%s/v2/%s/%s/%s", base_of(s).text, s->registry.repository, what,
                     which);
    if (n < 0 || (size_t)n >= size) return fail(HONE_ERR_ARGUMENT, "%s: too long", s->text);
    return HONE_OK;
}

static hone_status add_layer(const origin *s, const ollama_layer *layer, wanted_list *list) {
    wanted_file *file = wanted_list_add(list);
    if (!file) return HONE_ERR_MEMORY;
    const char *slash = strrchr(s->registry.repository, '/');
    const char *name = slash ? slash + 1 : s->registry.repository;
    bool is_model = strcmp(layer->role, "model") == 0;
    bool is_weights = is_model || strcmp(layer->role, "projector") == 0 ||
                      strcmp(layer->role, "adapter") == 0;
    strcpy(file->role, layer->role);
    snprintf(file->name, sizeof file->name, "%.100s-%.100s%s%s", name, s->registry.tag,
             is_model ? "" : "-", is_model ? "" : layer->role);
    if (is_weights) strcat(file->name, ".gguf");
    strcpy(file->sha256, layer->sha256);
    file->bytes = layer->bytes;
    int n = (int)(strchr(s->text, '/') + 1 - s->text);
    /* The prefix as it was written, so that an own registry stays what it is. */
    snprintf(file->source, sizeof file->source, "%.*s%.255s@sha256:%s", n, s->text,
             s->registry.repository, layer->sha256);
    return HONE_OK;
}

/* The manifest; where the registry wants to know who asks, once more with what it wants. */
static hone_status get_manifest(const origin_job *job, const char *url, buf *body) {
    const origin *s = job->origin;
    registry_access access;
    http_document document = {.url = url, .accept = MANIFEST_TYPES};
    hone_status status = origin_get(job, &document, body);
    if (document.http_status == 401) {
        TRY(registry_log_in(&access, job, base_of(s).text, s->registry.repository));
        document.bearer_token = access.token;
        document.user_password = access.user_password;
        status = origin_get(job, &document, body);
    }
    return status;
}

static hone_status list_ollama(const origin_job *job, wanted_list *list) {
    const origin *s = job->origin;
    char url[1024];
    ollama_manifest m;
    buf body;
    if (s->registry.digest[0]) return fail(HONE_ERR_ARGUMENT, "%s: a part of a model", s->text);
    TRY(make_url(url, sizeof url, s, "manifests", s->registry.tag));
    buf_init(&body, OLLAMA_MAX_MANIFEST_BYTES);
    hone_status status = get_manifest(job, url, &body);
    if (status == HONE_ERR_NOT_FOUND)
        status = fail(status, "%s: no such model or tag in the registry", s->text);
    if (status == HONE_OK) status = ollama_manifest_parse(&m, body.data, body.len, s->text);
    buf_release(&body);
    for (size_t i = 0; status == HONE_OK && i < m.n; i++)
        status = add_layer(s, &m.layers[i], list);
    return status;
}

static hone_status fetch_ollama(const origin_job *job, const char *path, sha256_hex *sha256) {
    const origin *s = job->origin;
    char url[1024], digest[80];
    snprintf(digest, sizeof digest, "sha256:%s", s->registry.digest);
    TRY(make_url(url, sizeof url, s, "blobs", digest));
    http_download download = {.url = url, .path = path};
    hone_status status = origin_download(job, &download, sha256);
    if (download.http_status != 401) return status;
    registry_access access;
    TRY(registry_log_in(&access, job, base_of(s).text, s->registry.repository));
    download.bearer_token = access.token;
    download.user_password = access.user_password;
    return origin_download(job, &download, sha256);
}

const origin_type origin_ollama = {
    .prefixes = {OLLAMA_PAGES, "registry.ollama.ai/", OTHER_REGISTRY},
    .parse = parse_ollama,
    .list = list_ollama,
    .fetch = fetch_ollama,
    .name = name_of_ollama};
