/* /openapi.json: the description of everything that is served (serve/description.h). */
#include <string.h>

#include "serve/description.h"
#include "serve/route.h"

static void route_openapi(const call *c) {
    const char *text = description_text(c->description);
    exchange_reply(c->x, 200, "application/json", text, strlen(text));
}

static const route routes[] = {
    {"GET", "/openapi.json", false, route_openapi},
};

const route_list openapi_routes = {routes, sizeof routes / sizeof *routes};
