/* HTTP and HTTPS, by libcurl: small documents into memory, large files onto the disk.
 *
 * A download goes into a file, over several connections where the server takes ranges, and is
 * continued where it stopped (in this call after a broken connection, in a later call after
 * anything, power cut included). It is never mixed from two versions of the remote file:
 * "<path>.state" keeps the validators (ETag, Last-Modified) of the bytes in `path` and which bytes
 * are missing, and the server is asked to go on only if the validators still hold (If-Range).
 *
 * Certificates: the system's, or CURL_CA_BUNDLE, SSL_CERT_FILE, SSL_CERT_DIR. Proxies: http_proxy,
 * HTTPS_PROXY, NO_PROXY. Thread-safe; every call is on its own. */
#ifndef BASE_HTTP_H
#define BASE_HTTP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/status.h"

typedef struct http_progress {
    uint64_t bytes, total; /* of the whole file; total 0 = the server has not said */
    double bytes_per_s;    /* over the last seconds; 0 = not known yet */
} http_progress;

/* --- small documents --- */

enum { HTTP_MAX_CHALLENGE = 1024 };

typedef struct http_document {
    const char *url;           /* http or https, without user or password */
    const char *bearer_token;  /* as below */
    const char *user_password; /* as below */
    const char *accept;       /* media types for the Accept header, or NULL */
    const char *post;         /* JSON that is sent (POST); NULL = nothing is (GET) */
    int answer_timeout_s;     /* to connect, to answer, and between two bytes; 0 = 8 */
    bool (*observe)(void *context, const http_progress *progress); /* as below */
    void *context;
    long http_status; /* result, also of failures: the last status code, 0 = no answer */
    /* NULL, or [HTTP_MAX_CHALLENGE] for the WWW-Authenticate header of a 401; "" without one. */
    char *challenge;
} http_document;

/* Appends the body of the answer to `body`, whose maximum bounds it. A web page, an empty body and
 * an answer other than 200 are errors; they are those of http_download_file. */
hone_status http_get(http_document *document, buf *body);

/* --- files --- */

typedef struct http_download {
    const char *url;  /* http or https, without user or password */
    const char *path; /* what lies there is continued; created where missing */
    /* NULL, or sent as "Authorization: Bearer …": to the host of `url` only, never to where it
     * redirects, and over plain http only to this machine. */
    const char *bearer_token;
    const char *user_password; /* NULL, "", or "user:password", sent under the same rules */
    uint64_t expected_bytes; /* 0 = not known; a server that says otherwise is refused at once */
    uint64_t max_bytes;      /* never more than this; 0 only where expected_bytes is given */
    bool contents_are_checked; /* the caller knows a hash: continue even without validators */
    bool wants_html;           /* else a web page as the answer is an error */
    int answer_timeout_s; /* to connect and to answer; 0 = 8 */
    int stall_timeout_s;  /* between two bytes, and the most before a retry; 0 = 30 */
    /* Called several times a second, with or without news; false ends the download with
     * HONE_ERR_CANCELLED. May be NULL. */
    bool (*observe)(void *context, const http_progress *progress);
    void *context;
    long http_status; /* result, also of failures: the last status code, 0 = no answer */
} http_download;

/* HONE_OK: `path` holds the whole answer, on disk; a repeated call finds that at once, as long as
 * the state file is there, too. After an error both stay for the next try; the file's size says
 * nothing about how much of it is there.
 *
 * Errors, with the URL (without its query) and the reason in words: HONE_ERR_NOT_FOUND (404, 410),
 * HONE_ERR_IO (no connection, no answer, refused, too long, changing, a web page), HONE_ERR_MEMORY
 * (the disk is full, seen before the first byte where the server tells the length),
 * HONE_ERR_CANCELLED, HONE_ERR_ARGUMENT (the URL or the token). */
hone_status http_download_file(http_download *download);

/* Whether `url` is one that the calls above take. */
hone_status http_check_url(const char *url);

/* Whether `url` leads to this machine, as far as its text tells (localhost, 127.…, [::1]). */
bool http_is_loopback(const char *url);

#endif
