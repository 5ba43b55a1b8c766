/* Checks before any work is done for a request (serve/guard.h). */
#include "serve/guard.h"

#include <arpa/inet.h>
#include <fnmatch.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/system.h"
#include "serve/limits.h"

enum { MAX_HOST_BYTES = 256 };

struct guard {
    guard_options options;
    keys *keys;
    limits *limits;
    char own_name[MAX_HOST_BYTES]; /* as the system calls this machine */
};

hone_status guard_open(guard **out, const guard_options *options) {
    guard *g = mem_calloc(1, sizeof *g);
    *out = NULL;
    if (!g) return mem_fail("guard", sizeof *g);
    g->options = *options;
    g->options.keys.single = NULL; /* not for us to keep */
    if (gethostname(g->own_name, sizeof g->own_name - 1) != 0) g->own_name[0] = '\0';
    hone_status status = keys_open(&g->keys, &options->keys);
    if (status == HONE_OK) status = limits_open(&g->limits);
    if (status != HONE_OK) guard_close(g);
    else *out = g;
    return status;
}

void guard_close(guard *g) {
    if (!g) return;
    keys_close(g->keys);
    limits_close(g->limits);
    mem_free(g);
}

size_t guard_keys(guard *g) { return keys_count(g->keys); }

bool guard_is_loopback(const char *address) {
    struct in_addr four;
    struct in6_addr six;
    if (inet_pton(AF_INET, address, &four) == 1) return ntohl(four.s_addr) >> 24 == 127;
    return inet_pton(AF_INET6, address, &six) == 1 && IN6_IS_ADDR_LOOPBACK(&six);
}

/* --- names --- */

typedef struct host_name {
    char text[MAX_HOST_BYTES];
} host_name;

/* "localhost:8080", "[::1]:80", "127.0.0.1." without port, brackets and the root's dot. */
static bool take_name(host_name *name, const char *host) {
    const char *end = host[0] == '[' ? strchr(host, ']') : strchr(host, ':');
    if (host[0] == '[') host++;
    size_t n = end ? (size_t)(end - host) : strlen(host);
    if (n > 0 && host[n - 1] == '.') n--;
    if (n == 0 || n >= sizeof name->text) return false;
    memcpy(name->text, host, n);
    name->text[n] = '\0';
    return true;
}

static bool is_address(const char *name) {
    struct in6_addr any;
    return inet_pton(AF_INET, name, &any) == 1 || inet_pton(AF_INET6, name, &any) == 1;
}

static bool names_loopback(const char *host) {
    host_name name;
    return take_name(&name, host) &&
           (!strcasecmp(name.text, "localhost") || guard_is_loopback(name.text));
}

static bool is_listed(const char *const *list, size_t n, const char *text) {
    for (size_t i = 0; i < n; i++)
        if (fnmatch(list[i], text, FNM_CASEFOLD | FNM_NOESCAPE) == 0) return true;
    return false;
}

/* A page that rebinds its own name to this machine's address comes with that name. Beyond loopback,
 * without keys, it must therefore be an address or a name that we know; with keys the page has
 * none, and any name may lead here. */
static bool host_is_fine(const guard *g, const char *host) {
    host_name name;
    if (!host || names_loopback(host)) return true;
    if (!take_name(&name, host)) return false;
    if (is_listed(g->options.hosts, g->options.n_hosts, name.text)) return true;
    if (g->options.loopback) return false;
    return keys_are_needed(g->keys) || is_address(name.text) ||
           !strcasecmp(name.text, g->own_name);
}

/* This machine's own pages, and those of the list. Only the list's may read the answers. */
static bool origin_is_fine(const guard *g, const visit *v, bool *listed) {
    *listed = v->origin && is_listed(g->options.origins, g->options.n_origins, v->origin);
    if (!v->origin || *listed) return true;
    const char *at = strstr(v->origin, "://");
    return at && (names_loopback(at + 3) || (v->host && !strcasecmp(at + 3, v->host)));
}

/* --- keys and limits --- */

static void refuse(verdict *out, unsigned status, const char *code, const char *why) {
    out->status = status;
    out->code = code;
    out->why = why;
}

static void check_key(guard *g, const visit *v, verdict *out, allowance *may) {
    static const char scheme[] = "Bearer ";
    key_owner owner;
    if (!keys_are_needed(g->keys)) return;
    if (!v->authorization || strncasecmp(v->authorization, scheme, sizeof scheme - 1) != 0) {
        refuse(out, 401, "invalid_api_key", "an API key is needed: Authorization: Bearer KEY");
        return;
    }
    if (!keys_find(g->keys, v->authorization + sizeof scheme - 1, &owner)) {
        refuse(out, 401, "invalid_api_key", "this API key is not known here");
        return;
    }
    memcpy(out->client, owner.name, sizeof owner.name);
    if (owner.allowance.requests) may->requests = owner.allowance.requests;
    if (owner.allowance.tokens) may->tokens = owner.allowance.tokens;
}

void guard_check(guard *g, const visit *v, verdict *out) {
    allowance may = g->options.allowance;
    *out = (verdict){.code = "forbidden"};
    strncpy(out->client, v->address, sizeof out->client - 1);
    if (!host_is_fine(g, v->host))
        refuse(out, 403, "forbidden", g->options.loopback
                   ? "the Host header names another machine; this server answers to localhost, and "
                     "to names given with --allow-host"
                   : "the Host header names another machine; this server answers to its addresses, "
                     "and to names given with --allow-host");
    else if (!origin_is_fine(g, v, &out->listed_origin))
        refuse(out, 403, "forbidden", "pages of other sites may not use this server, but for those "
                                      "given with --allow-origin");
    if (out->status || v->open) return;
    check_key(g, v, out, &may);
    if (out->status) return;
    out->retry_seconds = limits_take(g->limits, out->client, may, clock_ms());
    if (out->retry_seconds)
        refuse(out, 429, "rate_limit_exceeded",
               "this client has had its requests or tokens of this minute");
}

int guard_priority(void *user, const char *client) {
    guard *g = user;
    return keys_priority(g->keys, client);
}

void guard_charge(void *user, const char *client, size_t n_tokens) {
    guard *g = user;
    limits_charge(g->limits, client, n_tokens, clock_ms());
}
