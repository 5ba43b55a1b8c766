/* Whom we speak to, and how. */
#include <stdio.h>
#include <string.h>

#include "base/http_streams.h"
#include "base/json.h"
#include "base/mem.h"
#include "lab/load_int.h"

enum { MAX_LIST_BYTES = 8 << 20, LIST_TIMEOUT_MS = 10000 };

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

hone_status load_get(const load_server *server, const char *url, buf *out, long *http_status) {
    http_streams *s;
    reading r = {.out = out};
    const http_post get = {.url = url, .bearer_token = server->api_key, .timeout_ms = LIST_TIMEOUT_MS,
                           .on_bytes = on_bytes, .on_end = on_end, .context = &r};
    TRY(http_streams_open(&s));
    hone_status status = http_streams_start(s, &get);
    while (status == HONE_OK && http_streams_running(s) > 0) status = http_streams_wait(s, 1000);
    http_streams_close(s);
    if (status == HONE_OK && r.end.status != HONE_OK) status = fail(r.end.status, "%s", r.words);
    if (status == HONE_OK) *http_status = r.end.http_status;
    return status;
}

/* The URL as it was given, without a slash at its end and without the API's own path. */
static hone_status find_base(load_server *server, const char *url) {
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
    return fs_path_format(&server->base, "%.*s", (int)n, url);
}

/* The first model of {list: [{name_key: "…"}, …]}; false where the text is none such. */
static bool first_model(const buf *text, const char *list_key, const char *name_key, load *l) {
    json_t *root;
    if (text->len == 0 || json_parse(&root, text->data, text->len, "the list of models") != HONE_OK)
        return false;
    const json_t *list = json_object_get(root, list_key);
    const char *name = json_string_value(json_object_get(json_array_get(list, 0), name_key));
    bool is_list = json_is_array(list);
    if (is_list && name && !*l->model) snprintf(l->model, sizeof l->model, "%s", name);
    json_decref(root);
    return is_list;
}

static hone_status try_api(load *l, const load_server *server, load_api api, bool *speaks) {
    static const char *const paths[] = {"/v1/models", "/api/tags"};
    static const char *const lists[] = {"data", "models"}, *const names[] = {"id", "name"};
    fs_path url;
    buf answer;
    long http_status = 0;
    buf_init(&answer, MAX_LIST_BYTES);
    hone_status status = fs_path_format(&url, "%s%s", server->base.text, paths[api]);
    if (status == HONE_OK) status = load_get(server, url.text, &answer, &http_status);
    *speaks = status == HONE_OK && http_status == 200 &&
              first_model(&answer, lists[api], names[api], l);
    if (status == HONE_OK && (http_status == 401 || http_status == 403)) {
        status = fail(HONE_ERR_IO, "%s: the server wants an API key (HTTP %ld)", url.text, http_status);
    }
    if (*speaks) l->api = api;
    buf_release(&answer);
    return status;
}

hone_status load_find_server(load *l, load_server *server, const load_settings *s) {
    bool speaks = false;
    server->api_key = s->api_key;
    if (s->model) snprintf(l->model, sizeof l->model, "%s", s->model);
    TRY(find_base(server, s->url));
    for (int api = LOAD_OPENAI; api <= LOAD_OLLAMA && !speaks; api++) {
        if (s->api_is_known && (load_api)api != s->api) continue;
        TRY(try_api(l, server, (load_api)api, &speaks));
    }
    if (!speaks) {
        return fail(HONE_ERR_UNSUPPORTED, "%s: speaks neither OpenAI's API (/v1/models) nor Ollama's "
                                          "(/api/tags)", server->base.text);
    }
    if (!*l->model) return fail(HONE_ERR_NOT_FOUND, "%s: the server has no model", server->base.text);
    return fs_path_format(&server->chat, "%s%s", server->base.text,
                          l->api == LOAD_OPENAI ? "/v1/chat/completions" : "/api/chat");
}

static json_t *openai_body(const load *l, json_t *messages, size_t n_decode, uint64_t seed) {
    json_t *body = json_pack("{s:s, s:o, s:I, s:i, s:I, s:b, s:{s:b}}", "model", l->model, "messages",
                             messages, "max_tokens", (json_int_t)n_decode, "temperature", 0, "seed",
                             (json_int_t)(seed & 0x7fffffff), "stream", 1, "stream_options",
                             "include_usage", 1);
    if (body && l->calibration.ignores_end) json_object_set_new(body, "ignore_eos", json_true());
    return body;
}

static json_t *ollama_body(const load *l, json_t *messages, size_t n_decode, uint64_t seed) {
    return json_pack("{s:s, s:o, s:b, s:{s:I, s:i, s:I}}", "model", l->model, "messages", messages,
                     "stream", 1, "options", "num_predict", (json_int_t)n_decode, "temperature", 0,
                     "seed", (json_int_t)(seed & 0x7fffffff));
}

hone_status load_make_body(buf *out, const load *l, const buf *prompt, size_t n_decode, uint64_t seed) {
    json_build_begin();
    json_t *messages = json_pack("[{s:s, s:s%}]", "role", "user", "content", prompt->data, prompt->len);
    json_t *body = l->api == LOAD_OPENAI ? openai_body(l, messages, n_decode, seed)
                                         : ollama_body(l, messages, n_decode, seed);
    char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;
    hone_status status = json_build_end("a request");
    if (status == HONE_OK && text) status = buf_add_text(out, text);
    else if (status == HONE_OK) status = fail(HONE_ERR_MEMORY, "out of memory: a request");
    mem_free(text);
    json_decref(body);
    return status;
}
