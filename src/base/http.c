/* One request: its options, its headers, its failures in words; and small documents. */
#include "base/http.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/http_int.h"
#include "base/system.h"

enum { MAX_REDIRECTS = 8, MAX_HEADERS = 1000, MAX_HEADER_BYTES = 8448 };

static void start_curl(void) { curl_global_init(CURL_GLOBAL_DEFAULT); }

void http_start(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, start_curl);
}

void http_show_url(char out[HTTP_URL_SHOWN], const char *url) {
    snprintf(out, HTTP_URL_SHOWN, "%.*s", (int)strcspn(url, "?#"), url);
}

static bool is_https(const char *url) { return strncasecmp(url, "https:", 6) == 0; }

/* --- answers --- */

/* The value when `line` ("Name: value\r\n") is the header `name`, cut to size. */
static bool header_value(const char *line, size_t n, const char *name, char *value, size_t size) {
    size_t name_bytes = strlen(name);
    if (n <= name_bytes || line[name_bytes] != ':' || strncasecmp(line, name, name_bytes) != 0)
        return false;
    line += name_bytes + 1;
    n -= name_bytes + 1;
    while (n > 0 && (*line == ' ' || *line == '\t')) line++, n--;
    while (n > 0 && (unsigned char)line[n - 1] <= ' ') n--;
    if (n >= size) n = 0; /* too long to be compared safely: as if it were not there */
    memcpy(value, line, n);
    value[n] = 0;
    return true;
}

bool http_read_header(http_answer *a, CURL *curl, const char *line, size_t n) {
    char value[256];
    unsigned long long first, total;
    if (++a->n_headers > MAX_HEADERS) return false;
    if (n > 5 && memcmp(line, "HTTP/", 5) == 0) {
        *a = (http_answer){.n_headers = a->n_headers};
        curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &a->status);
    } else if (header_value(line, n, "ETag", a->etag, sizeof a->etag)) {
    } else if (header_value(line, n, "Last-Modified", a->modified, sizeof a->modified)) {
    } else if (header_value(line, n, "Content-Type", value, sizeof value)) {
        a->is_html = strncasecmp(value, "text/html", 9) == 0;
    } else if (header_value(line, n, "Content-Encoding", value, sizeof value)) {
        a->is_encoded = value[0] && strcasecmp(value, "identity") != 0;
    } else if (header_value(line, n, "Accept-Ranges", value, sizeof value)) {
        a->takes_ranges = strcasecmp(value, "bytes") == 0;
    } else if (header_value(line, n, "Content-Length", value, sizeof value)) {
        if (a->status == 200 && sscanf(value, "%llu", &total) == 1) a->total = total;
    } else if (header_value(line, n, "Content-Range", value, sizeof value)) {
        a->has_range = sscanf(value, "bytes %llu-%*u/%llu", &first, &total) == 2;
        if (a->has_range) a->range_start = first, a->total = total;
    }
    return true;
}

hone_status http_check_body(const char *shown_url, const http_answer *answer, bool wants_html) {
    if (answer->is_html && !wants_html)
        return fail(HONE_ERR_IO, "%s: the answer is a web page, not the file (a login page or a "
                                 "proxy's notice?)", shown_url);
    if (answer->is_encoded)
        return fail(HONE_ERR_IO, "%s: the server sends the file compressed, unasked", shown_url);
    return HONE_OK;
}

hone_status http_fail_status(const char *shown_url, long code) {
    const char *words = code == 401   ? "the server asks for a login"
                        : code == 403 ? "the server refuses access"
                        : code == 404 ? "no such file on the server"
                        : code == 407 ? "the proxy asks for a login"
                        : code == 408 ? "the server grew tired of waiting"
                        : code == 410 ? "the file is gone from the server"
                        : code == 429 ? "too many requests: try again later"
                        : code == 451 ? "withheld for legal reasons"
                        : code >= 500 ? "the server is in trouble"
                                      : "the server refuses";
    return fail(code == 404 || code == 410 ? HONE_ERR_NOT_FOUND : HONE_ERR_IO, "%s: %s (HTTP %ld)",
                shown_url, words, code);
}

hone_status http_fail_curl(const http_target *target, const char *shown_url, CURLcode code,
                           const char *words) {
    if (code == CURLE_TOO_MANY_REDIRECTS)
        return fail(HONE_ERR_IO, "%s: more than %d redirects", shown_url, MAX_REDIRECTS);
    if (code == CURLE_UNSUPPORTED_PROTOCOL)
        return fail(HONE_ERR_IO, "%s: redirects to something that is not %s", shown_url,
                    is_https(target->url) ? "https" : "http or https");
    return fail(HONE_ERR_IO, "%s: %s", shown_url, *words ? words : curl_easy_strerror(code));
}

/* --- requests --- */

static bool is_loopback_host(const char *host) {
    bool ipv4 = strncmp(host, "127.", 4) == 0 && strspn(host, "0123456789.") == strlen(host);
    return ipv4 || strcmp(host, "localhost") == 0 || strcmp(host, "[::1]") == 0;
}

bool http_is_loopback(const char *url) {
    CURLU *parts = curl_url();
    char *host = NULL;
    bool is = parts && curl_url_set(parts, CURLUPART_URL, url, 0) == CURLUE_OK &&
              curl_url_get(parts, CURLUPART_HOST, &host, 0) == CURLUE_OK && is_loopback_host(host);
    curl_free(host);
    curl_url_cleanup(parts);
    return is;
}

bool http_add_header(struct curl_slist **headers, const char *name, const char *value) {
    char line[MAX_HEADER_BYTES];
    int n = snprintf(line, sizeof line, "%s: %s", name, value);
    struct curl_slist *longer =
        n > 0 && (size_t)n < sizeof line ? curl_slist_append(*headers, line) : NULL;
    if (longer) *headers = longer;
    return longer != NULL;
}

/* In the open only to this machine. */
static bool may_tell_secrets(const http_target *target) {
    return is_https(target->url) || http_is_loopback(target->url);
}

/* libcurl sends it to this host and port only. */
static void set_user(CURL *curl, const http_target *target) {
    const char *user = target->user_password;
    if (!user || !*user || !may_tell_secrets(target)) return;
    curl_easy_setopt(curl, CURLOPT_HTTPAUTH, (long)CURLAUTH_BASIC);
    curl_easy_setopt(curl, CURLOPT_USERPWD, user);
}

static hone_status add_token(const http_target *target, struct curl_slist **headers) {
    const char *token = target->bearer_token;
    if (!token || !*token || !may_tell_secrets(target)) return HONE_OK;
    for (const char *c = token; *c; c++)
        if (*c <= ' ' || *c == 0x7f)
            return fail(HONE_ERR_ARGUMENT, "the access token holds a space or a line break");
    char value[MAX_HEADER_BYTES - 32];
    int n = snprintf(value, sizeof value, "Bearer %s", token);
    if (n < 0 || (size_t)n >= sizeof value)
        return fail(HONE_ERR_ARGUMENT, "the access token is too long");
    /* libcurl leaves this header out where a redirect leads to another host or port. */
    return http_add_header(headers, "Authorization", value)
               ? HONE_OK
               : fail(HONE_ERR_MEMORY, "out of memory: HTTP headers");
}

hone_status http_prepare(CURL *curl, const http_target *target, struct curl_slist **headers) {
    TRY(add_token(target, headers));
    set_user(curl, target);
    if (target->accept && !http_add_header(headers, "Accept", target->accept))
        return fail(HONE_ERR_MEMORY, "out of memory: HTTP headers");
    int patience = target->answer_timeout_s > 0 ? target->answer_timeout_s : HTTP_ANSWER_TIMEOUT_S;
    curl_easy_setopt(curl, CURLOPT_URL, target->url);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, *headers);
    curl_easy_setopt(curl, CURLOPT_USERAGENT, "hone/" HONE_VERSION);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    /* What began encrypted does not go on in the open. */
    curl_easy_setopt(curl, CURLOPT_REDIR_PROTOCOLS_STR,
                     is_https(target->url) ? "https" : "http,https");
    curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 1L);
    curl_easy_setopt(curl, CURLOPT_MAXREDIRS, (long)MAX_REDIRECTS);
    curl_easy_setopt(curl, CURLOPT_FAILONERROR, 1L);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, (long)patience);
    curl_easy_setopt(curl, CURLOPT_BUFFERSIZE, 256L * 1024);
    curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
    /* The library reads none of these by itself; the curl program and Python do. */
    const char *bundle = getenv("CURL_CA_BUNDLE"), *folder = getenv("SSL_CERT_DIR");
    if (!bundle || !*bundle) bundle = getenv("SSL_CERT_FILE");
    if (bundle && *bundle) curl_easy_setopt(curl, CURLOPT_CAINFO, bundle);
    if (folder && *folder) curl_easy_setopt(curl, CURLOPT_CAPATH, folder);
    return HONE_OK;
}

hone_status http_check_url(const char *url) {
    char words[HTTP_URL_SHOWN];
    http_show_url(words, url);
    if (strncasecmp(url, "http://", 7) != 0 && !is_https(url))
        return fail(HONE_ERR_ARGUMENT, "%s: not an http or https URL", words);
    for (const char *c = url; *c; c++)
        if ((unsigned char)*c <= ' ' || *c == 0x7f)
            return fail(HONE_ERR_ARGUMENT, "%s: a space or control character in the URL", words);
    CURLU *parts = curl_url();
    char *user = NULL;
    if (!parts) return fail(HONE_ERR_MEMORY, "out of memory: URL");
    hone_status status = HONE_OK;
    if (curl_url_set(parts, CURLUPART_URL, url, 0) != CURLUE_OK)
        status = fail(HONE_ERR_ARGUMENT, "%s: not a URL", words);
    else if (curl_url_get(parts, CURLUPART_USER, &user, 0) == CURLUE_OK)
        status = fail(HONE_ERR_ARGUMENT, "a URL with a user or password in it is not taken");
    curl_free(user);
    curl_url_cleanup(parts);
    return status;
}

/* --- small documents --- */

typedef struct reading {
    http_document *job;
    CURL *curl;
    buf *body;
    size_t body_start;
    char url[HTTP_URL_SHOWN];
    http_answer answer;
    double last_news; /* clock_ms */
    hone_status refusal; /* we ended it; the words are said */
} reading;

static size_t on_header(char *line, size_t one, size_t n, void *user) {
    reading *r = user;
    (void)one;
    r->last_news = clock_ms();
    if (r->job->challenge && r->answer.status == 401)
        header_value(line, n, "WWW-Authenticate", r->job->challenge, HTTP_MAX_CHALLENGE);
    return http_read_header(&r->answer, r->curl, line, n) ? n : 0;
}

static size_t on_body(char *data, size_t one, size_t n, void *user) {
    reading *r = user;
    (void)one;
    r->last_news = clock_ms();
    r->refusal = http_check_body(r->url, &r->answer, false);
    if (r->refusal == HONE_OK && n > r->body->max - r->body->len)
        r->refusal = fail(HONE_ERR_IO, "%s: longer than the %zu bytes that such an answer may have",
                          r->url, r->body->max);
    if (r->refusal == HONE_OK) r->refusal = buf_add(r->body, data, n);
    return r->refusal == HONE_OK ? n : 0;
}

static int on_tick(void *user, curl_off_t total, curl_off_t now, curl_off_t up_total,
                   curl_off_t up_now) {
    reading *r = user;
    (void)total, (void)now, (void)up_total, (void)up_now;
    http_progress progress = {.bytes = 0};
    int patience = r->job->answer_timeout_s > 0 ? r->job->answer_timeout_s : HTTP_ANSWER_TIMEOUT_S;
    if (r->job->observe && !r->job->observe(r->job->context, &progress))
        r->refusal = fail(HONE_ERR_CANCELLED, "cancelled");
    else if (clock_ms() - r->last_news > patience * 1e3)
        r->refusal = fail(HONE_ERR_IO, "%s: no answer for %d seconds", r->url, patience);
    return r->refusal != HONE_OK;
}

static hone_status read_document(reading *r, const http_target *target) {
    char words[CURL_ERROR_SIZE] = "";
    curl_easy_setopt(r->curl, CURLOPT_ERRORBUFFER, words);
    curl_easy_setopt(r->curl, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(r->curl, CURLOPT_HEADERDATA, r);
    curl_easy_setopt(r->curl, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(r->curl, CURLOPT_WRITEDATA, r);
    curl_easy_setopt(r->curl, CURLOPT_XFERINFOFUNCTION, on_tick);
    curl_easy_setopt(r->curl, CURLOPT_XFERINFODATA, r);
    CURLcode code = curl_easy_perform(r->curl);
    r->job->http_status = r->answer.status;
    if (r->refusal != HONE_OK) return r->refusal;
    if (code == CURLE_HTTP_RETURNED_ERROR) return http_fail_status(r->url, r->answer.status);
    if (code != CURLE_OK) return http_fail_curl(target, r->url, code, words);
    if (r->answer.status != 200)
        return fail(HONE_ERR_IO, "%s: unexpected answer %ld", r->url, r->answer.status);
    if (r->body->len == r->body_start) return fail(HONE_ERR_IO, "%s: an empty answer", r->url);
    return HONE_OK;
}

hone_status http_get(http_document *job, buf *body) {
    http_start();
    job->http_status = 0;
    if (job->challenge) job->challenge[0] = '\0';
    TRY(http_check_url(job->url));
    reading r = {.job = job, .body = body, .body_start = body->len, .last_news = clock_ms()};
    http_target target = {job->url, job->bearer_token, job->user_password, job->accept,
                          job->answer_timeout_s};
    struct curl_slist *headers = NULL;
    http_show_url(r.url, job->url);
    r.curl = curl_easy_init();
    hone_status status = r.curl ? http_prepare(r.curl, &target, &headers)
                                : fail(HONE_ERR_MEMORY, "out of memory: libcurl");
    if (status == HONE_OK && job->post) {
        curl_easy_setopt(r.curl, CURLOPT_POSTFIELDS, job->post);
        struct curl_slist *more = curl_slist_append(headers, "Content-Type: application/json");
        if (more) curl_easy_setopt(r.curl, CURLOPT_HTTPHEADER, headers = more);
    }
    if (status == HONE_OK) status = read_document(&r, &target);
    curl_slist_free_all(headers);
    curl_easy_cleanup(r.curl);
    return status;
}
