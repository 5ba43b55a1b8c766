/* What http.c and http_download.c share: one request to one server, and what its answer says. */
#ifndef BASE_HTTP_INT_H
#define BASE_HTTP_INT_H

#include <curl/curl.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"

/* The headers of an answer that matter here; those of the last answer after redirects. "" and false
 * where the server does not say. Zero-initialise before a request. */
typedef struct http_answer {
    long status;
    char etag[256], modified[64];
    uint64_t total; /* of the whole file: Content-Range, or the Content-Length of a 200; 0 = ? */
    uint64_t range_start;
    bool has_range, is_html, is_encoded, takes_ranges;
    int n_headers; /* in all answers of the request */
} http_answer;

/* Where to and how: common to all requests of a job. */
typedef struct http_target {
    const char *url;
    const char *bearer_token;  /* may be NULL */
    const char *user_password; /* may be NULL */
    const char *accept;        /* may be NULL */
    int answer_timeout_s;
} http_target;

enum { HTTP_URL_SHOWN = 512, HTTP_ANSWER_TIMEOUT_S = 8, HTTP_STALL_TIMEOUT_S = 30 };

/* Starts libcurl, once. */
void http_start(void);

/* The URL as it may be shown and kept: a query may hold keys and stays out. */
void http_show_url(char out[HTTP_URL_SHOWN], const char *url);

/* Takes in one header line; false when there are too many. */
bool http_read_header(http_answer *answer, CURL *curl, const char *line, size_t n);

/* Sets everything but the callbacks. *headers, to which lines may have been added before, is the
 * caller's to free, after a failure as well. */
hone_status http_prepare(CURL *curl, const http_target *target, struct curl_slist **headers);
bool http_add_header(struct curl_slist **headers, const char *name, const char *value);

/* Failures in words: an HTTP status; a body that is not what was asked for (a web page, packed); an
 * error of libcurl, where `words` are its own, if any. */
hone_status http_fail_status(const char *shown_url, long code);
hone_status http_check_body(const char *shown_url, const http_answer *answer, bool wants_html);
hone_status http_fail_curl(const http_target *target, const char *shown_url, CURLcode code,
                           const char *words);

#endif
