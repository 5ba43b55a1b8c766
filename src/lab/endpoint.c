#include "lab/endpoint.h"

#include <stdio.h>
#include <string.h>

#include "base/http_streams.h"
#include "base/json.h"

enum { MAX_LIST_BYTES = 8 << 20, LIST_TIMEOUT_MS = 10000 };

const char *endpoint_api_name(endpoint_api api) {
    return api == ENDPOINT_OPENAI ? "openai" : "ollama";
}

typedef struct reading {
    buf *out;
    http_end end;
    char words[256];
} reading;

static bool on_bytes(void *context, long http_status, const char *bytes, size_t n) {
    reading *r = context;
    (void)http_status;
    return buf_add(r->out, bytes, n) == HONE_OK;
}

static void on_end(void *context, const http_end *end) {
    reading *r = context;
    r->end = *end;
    snprintf(r->words, sizeof r->words, "%s", end->words);
}

/* GET, the whole answer into `out`. */
static hone_status get(const endpoint *e, const char *url, buf *out, long *http_status) {
    http_streams *s;
    reading r = {.out = out};
    const http_post request = {.url = url, .bearer_token = e->api_key,
                               .timeout_ms = LIST_TIMEOUT_MS, .on_bytes = on_bytes,
                               .on_end = on_end, .context = &r};
    TRY(http_streams_open(&s));
    hone_status status = http_streams_start(s, &request);
    while (status == HONE_OK && http_streams_running(s) > 0) status = http_streams_wait(s, 1000);
    http_streams_close(s);
    if (status == HONE_OK && r.end.status != HONE_OK) status = fail(r.end.status, "%s", r.words);
    if (status == HONE_OK) *http_status = r.end.http_status;
    return status;
}

/* The URL as it was given, without a slash at its end and without the API's own path. */
static hone_status find_base(endpoint *e, const char *url) {
    static const char *const endings[] = {"/v1/chat/completions", "/v1", "/api/chat", "/api"};
    size_t n = strlen(url);
    while (n > 0 && url[n - 1] == '/') n--;
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) {
        size_t ending = strlen(endings[i]);
        if (n > ending && !strncmp(url + n - ending, endings[i], ending)) {
            n -= ending;
            break;
        }
    }
    return fs_path_format(&e->base, "%.*s", (int)n, url);
}

/* The first model of {list: [{name_key: "…"}, …]}; false where the text is none such. */
static bool first_model(const buf *text, const char *list_key, const char *name_key, endpoint *e) {
    json_t *root;
    if (text->len == 0 || json_parse(&root, text->data, text->len, "the list of models") != HONE_OK)
        return false;
    const json_t *list = json_object_get(root, list_key);
    const char *name = json_string_value(json_object_get(json_array_get(list, 0), name_key));
    bool is_list = json_is_array(list);
    if (is_list && name && !*e->model) snprintf(e->model, sizeof e->model, "%s", name);
    json_decref(root);
    return is_list;
}

static hone_status try_api(endpoint *e, endpoint_api api, bool *speaks) {
    static const char *const paths[] = {"/v1/models", "/api/tags"};
    static const char *const lists[] = {"data", "models"}, *const names[] = {"id", "name"};
    fs_path url;
    buf answer;
    long http_status = 0;
    buf_init(&answer, MAX_LIST_BYTES);
    hone_status status = fs_path_format(&url, "%s%s", e->base.text, paths[api]);
    if (status == HONE_OK) status = get(e, url.text, &answer, &http_status);
    *speaks = status == HONE_OK && http_status == 200 &&
              first_model(&answer, lists[api], names[api], e);
    if (status == HONE_OK && (http_status == 401 || http_status == 403)) {
        status = fail(HONE_ERR_IO, "%s: the server wants an API key (HTTP %ld)", url.text,
                      http_status);
    }
    if (*speaks) e->api = api;
    buf_release(&answer);
    return status;
}

hone_status endpoint_find(endpoint *e, const endpoint_wish *w) {
    bool speaks = false;
    *e = (endpoint){.api_key = w->api_key};
    if (w->model) snprintf(e->model, sizeof e->model, "%s", w->model);
    TRY(find_base(e, w->url));
    for (int api = ENDPOINT_OPENAI; api <= ENDPOINT_OLLAMA && !speaks; api++) {
        if (w->api_is_known && (endpoint_api)api != w->api) continue;
        TRY(try_api(e, (endpoint_api)api, &speaks));
    }
    if (!speaks) {
        return fail(HONE_ERR_UNSUPPORTED, "%s: speaks neither OpenAI's API (/v1/models) nor "
                                          "Ollama's (/api/tags)", e->base.text);
    }
    return *e->model ? HONE_OK
                     : fail(HONE_ERR_NOT_FOUND, "%s: the server has no model", e->base.text);
}
