/* Checks before any work is done for a request (serve/guard.h). */
#include "serve/guard.h"

#include <arpa/inet.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "base/sha256.h"

struct guard {
    bool loopback;
    size_t n_keys;
    sha256_hex *keys;
};

hone_status guard_open(guard **out, const char *const *keys, size_t n_keys, bool loopback) {
    guard *g = mem_calloc(1, sizeof *g);
    *out = g;
    if (!g) return mem_fail("keys", sizeof *g);
    g->loopback = loopback;
    g->n_keys = n_keys;
    g->keys = mem_calloc(n_keys, sizeof *g->keys);
    hone_status status = g->keys ? HONE_OK : mem_fail("keys", n_keys * sizeof *g->keys);
    for (size_t i = 0; i < n_keys && status == HONE_OK; i++)
        status = sha256_of_text(&g->keys[i], keys[i]);
    if (status != HONE_OK) {
        guard_close(g);
        *out = NULL;
    }
    return status;
}

void guard_close(guard *g) {
    if (!g) return;
    mem_free(g->keys);
    mem_free(g);
}

bool guard_is_loopback(const char *address) {
    struct in_addr four;
    struct in6_addr six;
    if (inet_pton(AF_INET, address, &four) == 1) return ntohl(four.s_addr) >> 24 == 127;
    return inet_pton(AF_INET6, address, &six) == 1 && IN6_IS_ADDR_LOOPBACK(&six);
}

/* "localhost:8080", "[::1]:80", "127.0.0.1" without the port. */
static bool names_this_machine(const char *host) {
    char name[64];
    const char *end = host[0] == '[' ? strchr(host, ']') : strchr(host, ':');
    if (host[0] == '[') host++;
    size_t n = end ? (size_t)(end - host) : strlen(host);
    if (n >= sizeof name) return false;
    memcpy(name, host, n);
    name[n] = '\0';
    return !strcasecmp(name, "localhost") || guard_is_loopback(name);
}

unsigned guard_check_host(const guard *g, const char *host, const char *origin, const char **why) {
    if (g->loopback && host && !names_this_machine(host)) {
        *why = "the Host header names another machine; this server answers to localhost only";
        return 403;
    }
    if (origin && strcmp(origin, "null") != 0) {
        const char *at = strstr(origin, "://");
        if (at && names_this_machine(at + 3)) return 0;
    }
    if (!origin) return 0;
    *why = "pages of other sites may not use this server";
    return 403;
}

/* The same work whatever differs. */
static bool equal(const sha256_hex *a, const sha256_hex *b) {
    unsigned difference = 0;
    for (size_t i = 0; i < sizeof a->text; i++) difference |= (unsigned)(a->text[i] ^ b->text[i]);
    return difference == 0;
}

unsigned guard_check_key(const guard *g, const char *authorization, const char **why) {
    static const char scheme[] = "Bearer ";
    if (g->n_keys == 0) return 0;
    sha256_hex given;
    bool known = false;
    if (authorization && !strncasecmp(authorization, scheme, sizeof scheme - 1) &&
        sha256_of_text(&given, authorization + sizeof scheme - 1) == HONE_OK)
        for (size_t i = 0; i < g->n_keys; i++) known |= equal(&given, &g->keys[i]);
    if (known) return 0;
    *why = authorization ? "this API key is not known here"
                         : "an API key is needed: Authorization: Bearer KEY";
    return 401;
}
