#include "weights/registry_login.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/json.h"

enum { MAX_ANSWER = 64 << 10 };

/* --- the challenge --- */

/* The value of `name="…"`, without escapes; "" where it is missing. False: too long. */
static bool take_parameter(const char *text, const char *name, char *out, size_t size) {
    size_t n = strlen(name);
    out[0] = '\0';
    for (const char *at = text; (at = strchr(at, '=')) != NULL; at++) {
        bool is_it = (size_t)(at - text) >= n && !strncasecmp(at - n, name, n) && at[1] == '"';
        if (!is_it || ((size_t)(at - text) > n && !strchr(" ,\t", at[-(long)n - 1]))) continue;
        size_t length = strcspn(at + 2, "\"");
        if (!at[2 + length] || length >= size) return false;
        memcpy(out, at + 2, length);
        out[length] = '\0';
        return true;
    }
    return true;
}

bool registry_challenge_parse(registry_challenge *c, const char *text) {
    *c = (registry_challenge){.is_bearer = !strncasecmp(text, "Bearer ", 7)};
    if (!c->is_bearer) return !strncasecmp(text, "Basic", 5) && (!text[5] || text[5] == ' ');
    return take_parameter(text + 7, "realm", c->realm, sizeof c->realm) && c->realm[0] &&
           take_parameter(text + 7, "service", c->service, sizeof c->service);
}

/* --- who may know what --- */

bool registry_find_user(char *user_password, size_t size, const char *list, const char *host) {
    for (const char *at = list; *(at += strspn(at, " ")); at += strcspn(at, " ")) {
        size_t n = strcspn(at, " "), n_user = n;
        while (n_user > 0 && at[n_user - 1] != '@') n_user--;
        bool is_it = n_user > 1 && n - n_user == strlen(host) &&
                     !strncasecmp(at + n_user, host, n - n_user);
        if (!is_it || n_user > size || !memchr(at, ':', n_user)) continue;
        memcpy(user_password, at, n_user - 1);
        user_password[n_user - 1] = '\0';
        return true;
    }
    return false;
}

/* The part of a host that belongs to one owner: its last two labels; all of an address. */
static size_t domain_of(const char *host, size_t n) {
    char text[256];
    struct in_addr address;
    size_t at = n, dots = 0;
    snprintf(text, sizeof text, "%.*s", (int)n, host);
    if (inet_pton(AF_INET, text, &address) == 1 || host[0] == '[') return n;
    while (at > 0 && (dots += host[at - 1] == '.') < 2) at--;
    return n - at;
}

bool registry_trusts(const char *host, const char *realm) {
    const char *other = strstr(realm, "://");
    if (!other) return false;
    other += 3;
    size_t n = strcspn(host, ":/"), n_other = strcspn(other, ":/?#");
    if (host[0] == '[' || other[0] == '[') n = strcspn(host, "/"), n_other = strcspn(other, "/?#");
    size_t own = domain_of(host, n), theirs = domain_of(other, n_other);
    return own > 0 && own == theirs &&
           !strncasecmp(host + n - own, other + n_other - own, own);
}

/* --- the token --- */

static bool append_escaped(char *out, size_t size, const char *text) {
    size_t n = strlen(out);
    for (; *text && n + 4 < size; text++) {
        bool plain = isalnum((unsigned char)*text) || strchr("-._~", *text);
        n += (size_t)snprintf(out + n, size - n, plain ? "%c" : "%%%02X", (unsigned char)*text);
    }
    return !*text;
}

static hone_status take_token(registry_access *access, const buf *body, const char *realm) {
    json_t *root;
    const char *token = "";
    TRY(json_parse(&root, body->data, body->len, realm));
    hone_status status = json_is_object(root) ? HONE_OK : HONE_ERR_FORMAT;
    if (status == HONE_OK && json_object_get(root, "token"))
        status = json_get_string(root, "token", &token);
    else if (status == HONE_OK)
        status = json_get_string(root, "access_token", &token);
    if (status == HONE_OK && strlen(token) >= sizeof access->token) status = HONE_ERR_FORMAT;
    if (status == HONE_OK) strcpy(access->token, token);
    json_decref(root);
    return status == HONE_OK ? HONE_OK
                             : fail(HONE_ERR_FORMAT, "%s: the answer has no token", realm);
}

static hone_status get_token(registry_access *access, const origin_job *job,
                             const registry_challenge *c, const char *user_password,
                             const char *repository) {
    char url[2048], scope[320];
    snprintf(scope, sizeof scope, "repository:%s:pull", repository);
    snprintf(url, sizeof url, "%s%cservice=", c->realm, strchr(c->realm, '?') ? '&' : '?');
    bool fits = append_escaped(url, sizeof url, c->service) && strlen(url) + 8 < sizeof url;
    if (fits) strcat(url, "&scope=");
    if (!fits || !append_escaped(url, sizeof url, scope))
        return fail(HONE_ERR_FORMAT, "%s: too long", c->realm);
    buf body;
    buf_init(&body, MAX_ANSWER);
    http_document document = {.url = url, .user_password = user_password};
    hone_status status = origin_get(job, &document, &body);
    if (status == HONE_OK) status = take_token(access, &body, c->realm);
    buf_release(&body);
    return status;
}

/* --- all of it --- */

static hone_status answer_challenge(registry_access *access, const origin_job *job,
                                    const char *host, const char *repository,
                                    const registry_challenge *c) {
    const char *list = getenv("HONE_REGISTRY_AUTH");
    char user[sizeof access->user_password] = "";
    bool known = list && registry_find_user(user, sizeof user, list, host);
    if (c->is_bearer) {
        if (!registry_trusts(host, c->realm)) user[0] = '\0';
        hone_status status = get_token(access, job, c, user, repository);
        if (status == HONE_OK || status == HONE_ERR_CANCELLED || status == HONE_ERR_MEMORY)
            return status;
    } else if (known) {
        strcpy(access->user_password, user);
        return HONE_OK;
    }
    return fail(HONE_ERR_IO, "%s lets nobody in without a name: %s", host,
                known ? "it did not accept that of HONE_REGISTRY_AUTH"
                      : "put USER:PASSWORD@HOST into HONE_REGISTRY_AUTH");
}

hone_status registry_log_in(registry_access *access, const origin_job *job, const char *base,
                            const char *repository) {
    char url[400], challenge[HTTP_MAX_CHALLENGE];
    registry_challenge c;
    buf body;
    *access = (registry_access){.token = ""};
    snprintf(url, sizeof url, "%s/v2/", base);
    buf_init(&body, MAX_ANSWER);
    http_document document = {.url = url, .challenge = challenge};
    hone_status status = origin_get(job, &document, &body);
    buf_release(&body);
    if (document.http_status != 401) return status;
    if (!registry_challenge_parse(&c, challenge))
        return fail(HONE_ERR_UNSUPPORTED,
                    "%s: it wants to be asked in a way that hone does not know", url);
    return answer_challenge(access, job, strstr(base, "://") + 3, repository, &c);
}
