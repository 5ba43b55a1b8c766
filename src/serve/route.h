/* Which path is answered by whom. Each API lists its routes in a file of its own; server.c goes
 * through the lists. */
#ifndef SERVE_ROUTE_H
#define SERVE_ROUTE_H

#include "route/files.h"
#include "serve/description.h"
#include "serve/listener.h"
#include "serve/models.h"

/* One exchange on its way to a handler. */
typedef struct call {
    struct server *server;
    models *models;
    route_files *files; /* what "auto" chooses by */
    const description *description;
    exchange *x;
    const char *client; /* whose turn it is: the key's name, or the address */
    const char *rest;   /* what follows the route's path */
    bool runs_code;     /* programs that models write may be run (lab/code_run.h) */
} call;

/* Whether the body is what the description says: before anything is done with it. */
hone_status call_check_body(const call *c, const json_t *body);

typedef struct route {
    const char *method, *path; /* a path that ends in '/' takes whatever follows */
    bool open;                 /* also without a key, and while draining */
    void (*handle)(const call *c);
} route;

typedef struct route_list {
    const route *items;
    size_t n;
} route_list;

extern const route_list openai_routes, inspect_routes, openapi_routes, ollama_routes;

/* Routes whose body goes elsewhere: called when the head of a welcome request has come, they divert
 * it (exchange_divert); where they do not, it is not wanted, and the route of the same path says
 * why. */
extern const route_list upload_routes;

#endif
