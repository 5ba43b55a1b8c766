/* Routes, and what holds for all of them: who may ask, the log, the way down. */
#include "serve/server.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/mem.h"
#include "base/system.h"
#include "serve/guard.h"
#include "serve/metrics.h"
#include "serve/openai.h"
#include "serve/reply.h"

#define MAX_BODY ((size_t)256 << 20)
#define IDLE_SECONDS 120

struct server {
    server_options options;
    guard *guard;
    listener *listener;
    models *models;
    atomic_bool draining;
    metrics *metrics;
};

/* --- routes --- */

typedef struct call {
    server *s;
    exchange *x;
    const char *client; /* whose turn it is: the API key's hash would tell too much, so the address */
    const char *rest;   /* what follows the route's path */
} call;

static void route_chat(const call *c) { openai_chat(c->s->models, c->x, c->client); }
static void route_completions(const call *c) { openai_completions(c->s->models, c->x, c->client); }
static void route_models(const call *c) { openai_models(c->s->models, c->x, NULL); }
static void route_model(const call *c) { openai_models(c->s->models, c->x, c->rest); }
static void route_transcriptions(const call *c) {
    openai_transcriptions(c->s->models, c->x, false);
}
static void route_translations(const call *c) { openai_transcriptions(c->s->models, c->x, true); }

static void route_health(const call *c) { reply_json(c->x, 200, json_pack("{s:s}", "status", "ok")); }

static void route_ready(const call *c) {
    bool draining = atomic_load(&c->s->draining);
    reply_json(c->x, draining ? 503 : 200,
               json_pack("{s:s}", "status", draining ? "draining" : "ready"));
}

static void route_metrics(const call *c) { metrics_reply(c->s->metrics, c->s->models, c->x); }

typedef struct route {
    const char *method, *path; /* a path that ends in '/' takes whatever follows */
    bool open;                 /* also without a key, and while draining */
    void (*handle)(const call *c);
} route;

static const route routes[] = {
    {"GET", "/health", true, route_health},
    {"GET", "/ready", true, route_ready},
    {"GET", "/metrics", false, route_metrics},
    {"POST", "/v1/chat/completions", false, route_chat},
    {"POST", "/v1/completions", false, route_completions},
    {"POST", "/v1/audio/transcriptions", false, route_transcriptions},
    {"POST", "/v1/audio/translations", false, route_translations},
    {"GET", "/v1/models", false, route_models},
    {"GET", "/v1/models/", false, route_model},
};

/* The route of that path and method; *path_known where only the method is another. */
static const route *find_route(const char *method, const char *path, const char **rest,
                               bool *path_known) {
    *path_known = false;
    for (size_t i = 0; i < sizeof routes / sizeof *routes; i++) {
        const route *r = &routes[i];
        size_t n = strlen(r->path);
        bool tail = r->path[n - 1] == '/';
        if (tail ? strncmp(path, r->path, n) != 0 || !path[n] : strcmp(path, r->path) != 0) continue;
        *path_known = true;
        *rest = path + n;
        if (!strcmp(method, r->method)) return r;
    }
    return NULL;
}

/* --- one exchange --- */

static void dispatch(server *s, exchange *x) {
    const char *why = "", *rest = "", *path = exchange_path(x);
    bool path_known;
    unsigned refused = guard_check_host(s->guard, exchange_header(x, "Host"),
                                        exchange_header(x, "Origin"), &why);
    const route *r = find_route(exchange_method(x), path, &rest, &path_known);
    if (!refused && !(r && r->open))
        refused = guard_check_key(s->guard, exchange_header(x, "Authorization"), &why);
    if (refused) {
        if (refused == 401) exchange_add_header(x, "WWW-Authenticate", "Bearer");
        reply_error(x, refused, refused == 401 ? "invalid_api_key" : "forbidden", NULL, why);
    } else if (!r) {
        reply_error(x, path_known ? 405 : 404, NULL, NULL,
                    path_known ? "this path takes another method" : "there is nothing at this path");
    } else if (!r->open && atomic_load(&s->draining)) {
        exchange_add_header(x, "Retry-After", "5");
        reply_error(x, 503, "draining", NULL, "the server is going down");
    } else {
        r->handle(&(call){s, x, exchange_client(x), rest});
    }
}

static void log_exchange(const server *s, const exchange *x, double milliseconds) {
    if (!s->options.log) return;
    json_t *line = json_pack("{s:f, s:s, s:s, s:s, s:s, s:i, s:f}", "time", (double)time(NULL), "id",
                             exchange_id(x), "client", exchange_client(x), "method",
                             exchange_method(x), "path", exchange_path(x), "status",
                             (int)exchange_status(x), "ms", milliseconds);
    char *text = line ? json_dumps(line, JSON_COMPACT) : NULL;
    if (text) s->options.log(s->options.user, text);
    mem_free(text);
    json_decref(line);
}

static void handle(void *user, exchange *x) {
    server *s = user;
    double begin = clock_ms();
    json_use_mem();
    dispatch(s, x);
    metrics_count(s->metrics, exchange_status(x));
    log_exchange(s, x, clock_ms() - begin);
}

/* --- up and down --- */

static hone_status start(server *s) {
    const server_options *o = &s->options;
    bool loopback = guard_is_loopback(o->host);
    if (!loopback && o->n_keys == 0 && !o->open_to_all)
        return fail(HONE_ERR_ARGUMENT, "%s can be reached from other machines: give --api-key-file, "
                    "or --open-to-all if everybody may use it", o->host);
    TRY(guard_open(&s->guard, o->keys, o->n_keys, loopback));
    TRY(metrics_open(&s->metrics));
    TRY(models_open(&s->models, &o->models));
    const listener_options listening = {
        .host = o->host, .port = o->port, .certificate = o->certificate, .key = o->key,
        .max_body = MAX_BODY, .max_connections = (unsigned)o->max_connections,
        .idle_seconds = IDLE_SECONDS, .handle = handle, .user = s};
    return listener_open(&s->listener, &listening);
}

hone_status server_open(server **out, const server_options *options) {
    server *s = mem_calloc(1, sizeof *s);
    *out = NULL;
    if (!s) return mem_fail("server", sizeof *s);
    s->options = *options;
    hone_status status = start(s);
    if (status != HONE_OK) {
        server_close(s);
        return status;
    }
    *out = s;
    return HONE_OK;
}

uint16_t server_port(const server *s) { return listener_port(s->listener); }
models *server_models(const server *s) { return s->models; }

static void sleep_ms(int milliseconds) {
    nanosleep(&(struct timespec){milliseconds / 1000, (long)(milliseconds % 1000) * 1000000}, NULL);
}

static void count_users(void *user, const open_model *model) {
    *(size_t *)user += model->n_users;
}

void server_drain(server *s, int milliseconds) {
    atomic_store(&s->draining, true);
    for (double end = clock_ms() + milliseconds; clock_ms() < end; sleep_ms(20)) {
        size_t n_users = 0;
        models_each(s->models, count_users, &n_users);
        if (n_users == 0) break;
    }
    models_stop(s->models);
}

void server_close(server *s) {
    if (!s) return;
    atomic_store(&s->draining, true);
    if (s->models) models_stop(s->models);
    listener_close(s->listener);
    models_close(s->models);
    metrics_close(s->metrics);
    guard_close(s->guard);
    mem_free(s);
}
