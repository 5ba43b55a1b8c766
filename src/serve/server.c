/* Routes, and what holds for all of them: who may ask, the log, the way down. */
#include "serve/server.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "base/mem.h"
#include "base/system.h"
#include "lab/sandbox.h"
#include "serve/access_log.h"
#include "serve/guard.h"
#include "serve/metrics.h"
#include "serve/pressure.h"
#include "serve/reply.h"
#include "serve/route.h"

#define BODIES_AT_ONCE 4 /* of the largest size */
#define SEND_MS 1000     /* for the ends of answers, when the server closes */

struct server {
    server_options options;
    guard *guard;
    listener *listener;
    models *models;
    route_files *files;
    description *description;
    pressure *pressure; /* NULL without `adapt` */
    atomic_bool draining;
    metrics *metrics;
};

/* --- routes --- */

static void route_health(const call *c) {
    reply_json(c->x, 200, json_pack("{s:s}", "status", "ok"));
}

static void route_ready(const call *c) {
    bool draining = atomic_load(&c->server->draining);
    reply_json(c->x, draining ? 503 : 200,
               json_pack("{s:s}", "status", draining ? "draining" : "ready"));
}

static void route_metrics(const call *c) {
    metrics_reply(c->server->metrics, c->models, c->server->pressure, c->x);
}

static const route own_routes[] = {
    {"GET", "/health", true, route_health},
    {"GET", "/ready", true, route_ready},
    {"GET", "/metrics", false, route_metrics},
};

static const route_list server_routes = {own_routes, sizeof own_routes / sizeof *own_routes};
static const route_list *const route_lists[] = {&server_routes, &openai_routes, &inspect_routes,
                                               &openapi_routes, &ollama_routes};

static bool fits(const route *r, const char *path) {
    size_t n = strlen(r->path);
    bool takes_rest = n > 1 && r->path[n - 1] == '/';
    return takes_rest ? !strncmp(path, r->path, n) && path[n] : !strcmp(path, r->path);
}

/* The route of that path and method; *path_known is set where there is one of that path. */
static const route *find_in(const route_list *list, const char *method, const char *path,
                            bool *path_known) {
    for (size_t i = 0; i < list->n; i++) {
        const route *r = &list->items[i];
        if (!fits(r, path)) continue;
        *path_known = true;
        if (!strcmp(method, r->method)) return r;
    }
    return NULL;
}

static const route *find_route(const char *method, const char *path, bool *path_known) {
    const route *found = NULL;
    *path_known = false;
    for (size_t k = 0; !found && k < sizeof route_lists / sizeof *route_lists; k++)
        found = find_in(route_lists[k], method, path, path_known);
    return found;
}

/* No route takes this method: which ones the path takes, if it is one of ours. */
static void refuse_route(exchange *x, bool path_known) {
    char methods[64] = "";
    for (size_t k = 0; k < sizeof route_lists / sizeof *route_lists; k++)
        for (size_t i = 0; i < route_lists[k]->n; i++) {
            const route *r = &route_lists[k]->items[i];
            size_t used = strlen(methods);
            if (fits(r, exchange_path(x)))
                snprintf(methods + used, sizeof methods - used, "%s%s", used ? ", " : "",
                         r->method);
        }
    if (path_known) exchange_add_header(x, "Allow", methods);
    reply_error(x, path_known ? 405 : 404, NULL, NULL,
                path_known ? "this path takes another method" : "there is nothing at this path");
}

/* --- one exchange --- */

/* What has been found out about an exchange when its head came. */
typedef struct finding {
    verdict verdict;
    const route *route; /* NULL: none */
    const route *begin; /* where its body goes; NULL: to be held */
    bool path_known, preflight;
} finding;

/* A browser asks whether a page of another origin may send what it wants to send. */
static bool is_preflight(const exchange *x) {
    return !strcmp(exchange_method(x), "OPTIONS") &&
           exchange_header(x, "Access-Control-Request-Method");
}

static bool is_encoded(const exchange *x) {
    const char *encoding = exchange_header(x, "Content-Encoding");
    return encoding && strcasecmp(encoding, "identity") != 0;
}

static call make_call(server *s, exchange *x, const finding *f) {
    return (call){s, s->models, s->files, s->description, x, f->verdict.client,
                  exchange_path(x) + strlen(f->route->path), s->options.run_code};
}

hone_status call_check_body(const call *c, const json_t *body) {
    return description_check(c->description, exchange_method(c->x), exchange_path(c->x), body);
}

static bool admit(void *user, exchange *x) {
    server *s = user;
    finding *f = exchange_state(x);
    f->route = find_route(exchange_method(x), exchange_path(x), &f->path_known);
    bool known;
    f->begin = find_in(&upload_routes, exchange_method(x), exchange_path(x), &known);
    f->preflight = is_preflight(x);
    guard_check(s->guard,
                &(visit){.host = exchange_header(x, "Host"), .origin = exchange_header(x, "Origin"),
                         .authorization = exchange_header(x, "Authorization"),
                         .address = exchange_client(x),
                         .open = f->preflight || (f->route && f->route->open)},
                &f->verdict);
    bool welcome = !f->verdict.status && f->route && !is_encoded(x);
    if (welcome && f->begin) {
        call c = make_call(s, x, f);
        f->begin->handle(&c);
        return exchange_diverted(x) != NULL;
    }
    return welcome;
}

static void refuse(exchange *x, const verdict *v) {
    char seconds[16];
    if (v->status == 401) exchange_add_header(x, "WWW-Authenticate", "Bearer");
    if (v->status == 429) {
        snprintf(seconds, sizeof seconds, "%u", v->retry_seconds);
        exchange_add_header(x, "Retry-After", seconds);
    }
    reply_error(x, v->status, v->code, NULL, v->why);
}

static void add_cors_headers(exchange *x, bool preflight) {
    exchange_add_header(x, "Access-Control-Allow-Origin", exchange_header(x, "Origin"));
    exchange_add_header(x, "Vary", "Origin");
    if (!preflight) {
        exchange_add_header(x, "Access-Control-Expose-Headers", "X-Request-Id, Retry-After");
        return;
    }
    const char *wanted = exchange_header(x, "Access-Control-Request-Headers");
    exchange_add_header(x, "Access-Control-Allow-Methods", "GET, POST, HEAD, DELETE");
    if (wanted) exchange_add_header(x, "Access-Control-Allow-Headers", wanted);
    if (exchange_header(x, "Access-Control-Request-Private-Network"))
        exchange_add_header(x, "Access-Control-Allow-Private-Network", "true");
    exchange_add_header(x, "Access-Control-Max-Age", "600");
}

static void dispatch(server *s, exchange *x) {
    const finding *f = exchange_state(x);
    bool preflight = f->preflight && f->verdict.listed_origin;
    if (f->verdict.listed_origin) add_cors_headers(x, preflight);
    if (f->verdict.status) {
        refuse(x, &f->verdict);
    } else if (preflight) {
        exchange_reply(x, 204, "text/plain", "", 0);
    } else if (!f->route) {
        refuse_route(x, f->path_known);
    } else if (is_encoded(x)) {
        reply_error(x, 415, NULL, NULL, "bodies are taken as they are, without Content-Encoding");
    } else if (!f->route->open && atomic_load(&s->draining)) {
        exchange_add_header(x, "Retry-After", "5");
        reply_error(x, 503, "draining", NULL, "the server is going down");
    } else {
        call c = make_call(s, x, f);
        f->route->handle(&c);
    }
}

static void log_exchange(const server *s, exchange *x, double milliseconds) {
    if (!s->options.log) return;
    const finding *f = exchange_state(x);
    char *text = access_log_line(x, f->verdict.client, milliseconds, s->options.log_text);
    if (text) s->options.log(s->options.user, text);
    mem_free(text);
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
    server_options *o = &s->options;
    bool loopback = guard_is_loopback(o->host);
    bool keyless = !o->guard.keys.path && !o->guard.keys.single;
    if (!loopback && keyless && !o->open_to_all)
        return fail(HONE_ERR_ARGUMENT, "%s can be reached from other machines: give "
                    "--api-key-file, or --open-to-all if everybody may use it", o->host);
    if (o->run_code) TRY(sandbox_check());
    o->guard.loopback = loopback;
    TRY(guard_open(&s->guard, &o->guard));
    o->models.scheduler.policy = (client_policy){guard_priority, guard_charge, s->guard};
    TRY(description_open(&s->description));
    TRY(metrics_open(&s->metrics));
    TRY(route_files_open(&s->files));
    o->models.scheduler.observer = (answer_observer){metrics_observe, s->metrics};
    TRY(models_open(&s->models, &o->models));
    if (o->adapt) {
        const scheduler_options *c = &o->models.scheduler;
        TRY(pressure_open(&s->pressure, &(pressure_options){
            .models = s->models, .configured = {c->n_slots, c->cache_bytes, .urgent = false},
            .root = "", .log = o->log, .user = o->user}));
    }
    const listener_options listening = {
        .host = o->host, .port = o->port, .certificate = o->certificate, .key = o->key,
        .max_body = o->max_body, .max_bodies = BODIES_AT_ONCE * o->max_body,
        .max_connections = (unsigned)o->max_connections,
        .max_connections_each = loopback ? 0 : (unsigned)o->max_connections / 4,
        .patience_ms = o->patience_ms, .state_bytes = sizeof(finding),
        .admit = admit, .handle = handle, .user = s};
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
guard *server_guard(const server *s) { return s->guard; }

static void sleep_ms(int milliseconds) {
    nanosleep(&(struct timespec){milliseconds / 1000, (long)(milliseconds % 1000) * 1000000}, NULL);
}

static void count_users(void *user, const open_model *model) {
    *(size_t *)user += model->n_users;
}

bool server_drain(server *s, int milliseconds) {
    atomic_store(&s->draining, true);
    for (double end = clock_ms() + milliseconds;; sleep_ms(20)) {
        size_t n_users = 0;
        models_each(s->models, count_users, &n_users);
        if (n_users == 0) return true;
        if (clock_ms() >= end) return false;
    }
}

void server_close(server *s) {
    if (!s) return;
    if (s->models) {
        models_stop(s->models);
        server_drain(s, SEND_MS);
    }
    listener_close(s->listener);
    pressure_close(s->pressure);
    models_close(s->models);
    route_files_close(s->files);
    metrics_close(s->metrics);
    description_close(s->description);
    guard_close(s->guard);
    mem_free(s);
}
