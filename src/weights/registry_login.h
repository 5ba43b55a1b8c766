/* Access to registries that ask for it: what a 401 answer demands, and what is in the environment.
 *
 *     HONE_REGISTRY_AUTH="USER:PASSWORD@HOST[:PORT] …"
 *
 * names one user for each registry. A registry that answers "Basic" gets them itself; one that
 * answers "Bearer" names a place where a token for its repository can be had (the token
 * authentication of the distribution project), with them or, where there are none, without.
 * Passwords go nowhere but to the registry's own host and, for a token, to a host of the same
 * domain; over plain http only to this machine. */
#ifndef WEIGHTS_REGISTRY_LOGIN_H
#define WEIGHTS_REGISTRY_LOGIN_H

#include "weights/origin_int.h"

/* For http_document and http_download; "" = none. */
typedef struct registry_access {
    char token[8192];
    char user_password[512];
} registry_access;

/* Asks registry `base` ("https://host") how it wants to be asked for `repository`, and gets what
 * that takes; what the registry says no to is HONE_ERR_IO with the way out in its words. */
hone_status registry_log_in(registry_access *access, const origin_job *job, const char *base,
                            const char *repository);

/* --- the parts, pure --- */

typedef struct registry_challenge {
    bool is_bearer; /* else Basic */
    char realm[512], service[256];
} registry_challenge;

/* From a WWW-Authenticate header's value; false where it is neither, or malformed. */
bool registry_challenge_parse(registry_challenge *c, const char *text);

/* The "USER:PASSWORD" for a host ("registry.example:5000") from a list as above; false: none. */
bool registry_find_user(char *user_password, size_t size, const char *list, const char *host);

/* Whether a password for `host` may go to the host of `realm`:
 * the same host, or the same domain. */
bool registry_trusts(const char *host, const char *realm);

#endif
