#include "base/http.h"

#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/fs.h"
#include "base/system.h"

enum {
    MAX_REDIRECTS = 8,
    MAX_RETRIES = 3,         /* in a row, without a new byte */
    MAX_RESTARTS = 2,        /* the remote file changed under us */
    MAX_HEADERS = 1000,      /* in all answers of one attempt */
    MAX_STATE_BYTES = 1024,
};

/* What tells one version of a remote file from another. "" = not known. */
typedef struct version {
    char etag[256], modified[64];
    uint64_t total; /* 0 = not known */
} version;

/* The headers of an answer that matter here; those of the last answer after redirects. */
typedef struct answer {
    long status;
    version version;
    uint64_t range_start, content_length;
    bool has_range, has_length, is_html, is_encoded;
} answer;

typedef enum outcome { DONE, FAILED, BROKEN /* resume */, CHANGED /* start over */ } outcome;

typedef struct transfer {
    http_download *job;
    CURL *curl;
    char url[512]; /* for words */
    fs_path state_path;
    int fd;
    uint64_t have;   /* bytes in the file */
    version version; /* what they are part of */
    answer answer;
    int n_headers;
    bool accepted; /* the answer's body goes into the file */
    bool refused;  /* we ended the attempt; the words are said: */
    hone_status refusal;
    bool changed;
    double last_news, last_tick;
    uint64_t tick_bytes;
    double rate;
} transfer;

static double now_s(void) { return clock_ms() / 1e3; }

/* Queries may hold keys: they stay out of messages. */
static void shown_url(char *out, size_t size, const char *url) {
    snprintf(out, size, "%.*s", (int)strcspn(url, "?#"), url);
}

/* --- the state file: three lines --- */

static hone_status write_state(const transfer *t) {
    char text[MAX_STATE_BYTES];
    int n = snprintf(text, sizeof text, "etag %s\nmodified %s\ntotal %llu\n", t->version.etag,
                     t->version.modified, (unsigned long long)t->version.total);
    return fs_write_file(t->state_path.text, text, (size_t)n);
}

static void copy_line(char *out, size_t size, const char *text, const char *key) {
    const char *line = strstr(text, key);
    if (!line) return;
    line += strlen(key);
    size_t n = strcspn(line, "\n");
    if (n < size) snprintf(out, size, "%.*s", (int)n, line);
}

static void read_state(transfer *t) {
    buf text;
    char total[32] = "";
    buf_init(&text, MAX_STATE_BYTES);
    t->version = (version){0};
    if (fs_read_file(&text, t->state_path.text) == HONE_OK && text.len > 0) {
        copy_line(t->version.etag, sizeof t->version.etag, text.data, "etag ");
        copy_line(t->version.modified, sizeof t->version.modified, text.data, "\nmodified ");
        copy_line(total, sizeof total, text.data, "\ntotal ");
        t->version.total = strtoull(total, NULL, 10);
    }
    buf_release(&text);
}

static bool is_weak(const char *etag) { return strncmp(etag, "W/", 2) == 0; }

/* Bytes of an unknown version may be continued only where a mixture would be noticed. */
static bool may_continue(const transfer *t) {
    return t->job->contents_are_checked || t->version.etag[0] || t->version.modified[0];
}

/* Whether two answers may be about the same bytes, as far as they tell. */
static bool same_version(const version *a, const version *b) {
    if (a->etag[0] && b->etag[0] && strcmp(a->etag, b->etag) != 0) return false;
    if (!a->etag[0] && a->modified[0] && b->modified[0] && strcmp(a->modified, b->modified) != 0)
        return false;
    return !a->total || !b->total || a->total == b->total;
}

static hone_status start_over(transfer *t) {
    t->have = 0;
    t->version = (version){0};
    if (ftruncate(t->fd, 0) != 0 || lseek(t->fd, 0, SEEK_SET) != 0)
        return fail(HONE_ERR_IO, "%s: cannot truncate: %s", t->job->path, strerror(errno));
    return HONE_OK;
}

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

static size_t on_header(char *line, size_t one, size_t n, void *user) {
    transfer *t = user;
    answer *a = &t->answer;
    char value[256];
    unsigned long long first, total;
    (void)one;
    t->last_news = now_s();
    if (++t->n_headers > MAX_HEADERS) return 0;
    if (n > 5 && memcmp(line, "HTTP/", 5) == 0) {
        *a = (answer){0};
        curl_easy_getinfo(t->curl, CURLINFO_RESPONSE_CODE, &a->status);
    } else if (header_value(line, n, "ETag", a->version.etag, sizeof a->version.etag)) {
    } else if (header_value(line, n, "Last-Modified", a->version.modified,
                            sizeof a->version.modified)) {
    } else if (header_value(line, n, "Content-Type", value, sizeof value)) {
        a->is_html = strncasecmp(value, "text/html", 9) == 0;
    } else if (header_value(line, n, "Content-Encoding", value, sizeof value)) {
        a->is_encoded = value[0] && strcasecmp(value, "identity") != 0;
    } else if (header_value(line, n, "Content-Length", value, sizeof value)) {
        a->has_length = sscanf(value, "%llu", &total) == 1;
        if (a->has_length) a->content_length = total;
    } else if (header_value(line, n, "Content-Range", value, sizeof value)) {
        a->has_range = sscanf(value, "bytes %llu-%*u/%llu", &first, &total) == 2;
        if (a->has_range) a->range_start = first, a->version.total = total;
    }
    return n;
}

static hone_status check_total(const transfer *t, uint64_t total) {
    const http_download *job = t->job;
    if (job->expected_bytes && total != job->expected_bytes)
        return fail(HONE_ERR_IO, "%s: the server offers %llu bytes, expected %llu", t->url,
                    (unsigned long long)total, (unsigned long long)job->expected_bytes);
    if (job->max_bytes && total > job->max_bytes)
        return fail(HONE_ERR_IO, "%s: the server offers %llu bytes, at most %llu are taken", t->url,
                    (unsigned long long)total, (unsigned long long)job->max_bytes);
    return HONE_OK;
}

/* Decides, before the first byte of a body, whether and where it goes into the file. What we have
 * is kept until the answer has proved to be better. */
static hone_status accept_answer(transfer *t) {
    answer *a = &t->answer;
    if (a->status != 200 && a->status != 206)
        return fail(HONE_ERR_IO, "%s: unexpected answer %ld", t->url, a->status);
    if (a->is_html && !t->job->wants_html)
        return fail(HONE_ERR_IO, "%s: the answer is a web page, not the file (a login page or a "
                                 "proxy's notice?)", t->url);
    if (a->is_encoded)
        return fail(HONE_ERR_IO, "%s: the server sends the file compressed, unasked", t->url);
    if (a->status == 200 && a->has_length) a->version.total = a->content_length;
    if (a->version.total) TRY(check_total(t, a->version.total));

    if (a->status == 206) {
        if (!a->has_range || a->range_start != t->have || !same_version(&a->version, &t->version)) {
            t->changed = true;
            return fail(HONE_ERR_IO, "%s: the file changed on the server", t->url);
        }
        /* A 206 may leave out what it said before. */
        if (!a->version.etag[0]) strcpy(a->version.etag, t->version.etag);
        if (!a->version.modified[0]) strcpy(a->version.modified, t->version.modified);
    } else {
        TRY(start_over(t));
    }
    if (a->version.total > t->have)
        TRY(fs_check_space(t->job->path, a->version.total - t->have));
    t->version = a->version;
    /* The state reaches the disk before the first byte that it speaks for. */
    TRY(write_state(t));
    t->accepted = true;
    return HONE_OK;
}

static bool refuse(transfer *t, hone_status status) {
    t->refused = true;
    t->refusal = status;
    return false;
}

static bool accept_once(transfer *t) {
    if (t->accepted) return true;
    hone_status status = accept_answer(t);
    return status == HONE_OK || refuse(t, status);
}

static size_t on_body(char *data, size_t one, size_t n, void *user) {
    transfer *t = user;
    (void)one;
    t->last_news = now_s();
    if (!accept_once(t)) return 0;
    if (n > UINT64_MAX - t->have) return 0;
    uint64_t after = t->have + n;
    const http_download *job = t->job;
    uint64_t limit = job->expected_bytes ? job->expected_bytes : job->max_bytes;
    if (limit && after > limit) {
        refuse(t, fail(HONE_ERR_IO, "%s: more than the %llu bytes %s", t->url,
                       (unsigned long long)limit, job->expected_bytes ? "expected" : "allowed"));
        return 0;
    }
    hone_status status = fs_write_all(t->fd, data, n, job->path);
    if (status != HONE_OK) {
        refuse(t, status);
        return 0;
    }
    t->have = after;
    return n;
}

static int answer_timeout_s(const http_download *job) {
    return job->answer_timeout_s > 0 ? job->answer_timeout_s : 8;
}

static int stall_timeout_s(const http_download *job) {
    return job->stall_timeout_s > 0 ? job->stall_timeout_s : 30;
}

/* libcurl calls this at least once a second: progress, cancellation and the two timeouts. */
static int on_tick(void *user, curl_off_t total, curl_off_t now, curl_off_t up_total,
                   curl_off_t up_now) {
    transfer *t = user;
    (void)total, (void)now, (void)up_total, (void)up_now;
    const http_download *job = t->job;
    double time = now_s(), passed = time - t->last_tick;
    if (passed >= 0.5 && t->have >= t->tick_bytes) {
        double rate = (double)(t->have - t->tick_bytes) / passed;
        t->rate = t->rate > 0 ? 0.7 * t->rate + 0.3 * rate : rate;
    }
    if (passed >= 0.5) t->last_tick = time, t->tick_bytes = t->have;
    http_progress progress = {t->have, t->version.total ? t->version.total : job->expected_bytes,
                              t->rate};
    if (job->observe && !job->observe(job->context, &progress)) {
        refuse(t, fail(HONE_ERR_CANCELLED, "cancelled"));
        return 1;
    }
    bool answered = t->answer.status == 200 || t->answer.status == 206;
    int patience = answered ? stall_timeout_s(job) : answer_timeout_s(job);
    if (time - t->last_news <= patience) return 0;
    fail(HONE_ERR_IO, "%s: %s for %d seconds", t->url, answered ? "no byte came" : "no answer",
         patience);
    return 1; /* not a refusal: the transfer counts as broken */
}

/* --- one request --- */

static hone_status fail_status(const transfer *t) {
    long code = t->answer.status;
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
                t->url, words, code);
}

static bool is_loopback(const char *host) {
    bool ipv4 = strncmp(host, "127.", 4) == 0 && strspn(host, "0123456789.") == strlen(host);
    return ipv4 || strcmp(host, "localhost") == 0 || strcmp(host, "[::1]") == 0;
}

/* https, or http on this machine. */
static bool may_carry_secrets(const char *url) {
    CURLU *parts = curl_url();
    char *scheme = NULL, *host = NULL;
    bool may = parts && curl_url_set(parts, CURLUPART_URL, url, 0) == CURLUE_OK &&
               curl_url_get(parts, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK &&
               curl_url_get(parts, CURLUPART_HOST, &host, 0) == CURLUE_OK &&
               (strcmp(scheme, "https") == 0 || is_loopback(host));
    curl_free(scheme);
    curl_free(host);
    curl_url_cleanup(parts);
    return may;
}

static bool add_header(struct curl_slist **headers, const char *name, const char *value) {
    char line[4096];
    int n = snprintf(line, sizeof line, "%s: %s", name, value);
    struct curl_slist *longer =
        n > 0 && (size_t)n < sizeof line ? curl_slist_append(*headers, line) : NULL;
    if (longer) *headers = longer;
    return longer != NULL;
}

static hone_status make_headers(const transfer *t, struct curl_slist **headers) {
    const http_download *job = t->job;
    bool fine = true;
    char range[48];
    if (t->have) {
        snprintf(range, sizeof range, "bytes=%llu-", (unsigned long long)t->have);
        fine = add_header(headers, "Range", range);
        const version *v = &t->version;
        const char *proof = v->etag[0] && !is_weak(v->etag) ? v->etag : v->modified;
        if (*proof) fine = fine && add_header(headers, "If-Range", proof);
    }
    if (job->bearer_token && *job->bearer_token && may_carry_secrets(job->url)) {
        for (const char *c = job->bearer_token; *c; c++)
            if (*c <= ' ' || *c == 0x7f)
                return fail(HONE_ERR_ARGUMENT, "the access token holds a space or a line break");
        char value[2048];
        int n = snprintf(value, sizeof value, "Bearer %s", job->bearer_token);
        /* libcurl leaves this header out where a redirect leads to another host or port. */
        fine = fine && (size_t)n < sizeof value && add_header(headers, "Authorization", value);
    }
    return fine ? HONE_OK : fail(HONE_ERR_MEMORY, "out of memory: HTTP headers");
}

static void set_options(transfer *t, struct curl_slist *headers) {
    CURL *curl = t->curl;
    const http_download *job = t->job;
    bool secure = strncasecmp(job->url, "https:", 6) == 0;
    curl_easy_setopt(curl, CURLOPT_URL, job->url);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(curl, CURLOPT_USERAGENT, "hone/" HONE_VERSION);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    /* What began encrypted does not go on in the open. */
    curl_easy_setopt(curl, CURLOPT_REDIR_PROTOCOLS_STR, secure ? "https" : "http,https");
    curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 1L);
    curl_easy_setopt(curl, CURLOPT_MAXREDIRS, (long)MAX_REDIRECTS);
    curl_easy_setopt(curl, CURLOPT_FAILONERROR, 1L);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, (long)answer_timeout_s(job));
    curl_easy_setopt(curl, CURLOPT_BUFFERSIZE, 256L * 1024);
    curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(curl, CURLOPT_HEADERDATA, t);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, t);
    curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, on_tick);
    curl_easy_setopt(curl, CURLOPT_XFERINFODATA, t);
    /* The library reads none of these by itself; the curl program and Python do. */
    const char *bundle = getenv("CURL_CA_BUNDLE"), *folder = getenv("SSL_CERT_DIR");
    if (!bundle || !*bundle) bundle = getenv("SSL_CERT_FILE");
    if (bundle && *bundle) curl_easy_setopt(curl, CURLOPT_CAINFO, bundle);
    if (folder && *folder) curl_easy_setopt(curl, CURLOPT_CAPATH, folder);
}

static outcome judge(transfer *t, CURLcode code, const char *words, hone_status *status) {
    if (t->changed) return CHANGED;
    if (t->refused) {
        *status = t->refusal;
        return FAILED;
    }
    if (code == CURLE_HTTP_RETURNED_ERROR) {
        *status = fail_status(t);
        return t->answer.status == 416 && t->have ? CHANGED : FAILED;
    }
    if (code == CURLE_OK || code == CURLE_PARTIAL_FILE) { /* perhaps without any body */
        if (!accept_once(t)) {
            *status = t->refusal;
            return t->changed ? CHANGED : FAILED;
        }
        uint64_t total = t->version.total ? t->version.total : t->job->expected_bytes;
        if (code == CURLE_OK && (!total || t->have == total)) return DONE;
        *status = fail(HONE_ERR_IO, "%s: the connection ended after %llu of %llu bytes", t->url,
                       (unsigned long long)t->have, (unsigned long long)total);
        return BROKEN;
    }
    if (code == CURLE_ABORTED_BY_CALLBACK)
        *status = HONE_ERR_IO; /* on_tick has said why */
    else if (code == CURLE_TOO_MANY_REDIRECTS)
        *status = fail(HONE_ERR_IO, "%s: more than %d redirects", t->url, MAX_REDIRECTS);
    else if (code == CURLE_UNSUPPORTED_PROTOCOL)
        *status = fail(HONE_ERR_IO, "%s: redirects to something that is not %s", t->url,
                       strncasecmp(t->job->url, "https:", 6) == 0 ? "https" : "http or https");
    else
        *status = fail(HONE_ERR_IO, "%s: %s", t->url, *words ? words : curl_easy_strerror(code));
    return BROKEN;
}

static outcome request(transfer *t, hone_status *status) {
    t->answer = (answer){0};
    t->n_headers = 0;
    t->accepted = t->refused = t->changed = false;
    t->last_news = t->last_tick = now_s();
    t->tick_bytes = t->have;
    *status = HONE_OK;

    char words[CURL_ERROR_SIZE] = "";
    struct curl_slist *headers = NULL;
    t->curl = curl_easy_init();
    *status = t->curl ? make_headers(t, &headers) : fail(HONE_ERR_MEMORY, "out of memory: libcurl");
    outcome end = FAILED;
    if (*status == HONE_OK) {
        set_options(t, headers);
        curl_easy_setopt(t->curl, CURLOPT_ERRORBUFFER, words);
        end = judge(t, curl_easy_perform(t->curl), words, status);
        t->job->http_status = t->answer.status;
    }
    curl_slist_free_all(headers);
    curl_easy_cleanup(t->curl);
    return end;
}

/* --- the download --- */

/* Waits before a retry. False when the observer ends it. */
static bool pause_s(transfer *t, int seconds) {
    http_progress progress = {t->have, t->version.total, 0};
    for (int i = 0; i < seconds * 10; i++) {
        if (t->job->observe && !t->job->observe(t->job->context, &progress)) return false;
        nanosleep(&(struct timespec){.tv_nsec = 100000000}, NULL);
    }
    return true;
}

static hone_status download(transfer *t) {
    int retries = 0, restarts = 0;
    uint64_t most = t->have;
    bool any_answer = false;
    for (;;) {
        hone_status status;
        outcome end = request(t, &status);
        any_answer = any_answer || t->accepted;
        if (end == DONE) return HONE_OK;
        if (end == FAILED) return status;
        if (end == CHANGED) {
            if (restarts++ == MAX_RESTARTS)
                return fail(HONE_ERR_IO, "%s: the file keeps changing on the server", t->url);
            TRY(start_over(t));
            continue;
        }
        /* Broken. Nobody there at all: leave it at once, another source may do better. */
        if (!any_answer) return status;
        if (t->have > most) most = t->have, retries = 0;
        if (retries++ == MAX_RETRIES) return status;
        if (!pause_s(t, retries)) return fail(HONE_ERR_CANCELLED, "cancelled");
        if (!may_continue(t)) TRY(start_over(t));
    }
}

/* What of an earlier try can be used. Sets t->have; true when it is everything. */
static hone_status look_at_file(transfer *t, bool *complete) {
    struct stat st;
    *complete = false;
    if (fstat(t->fd, &st) != 0 || !S_ISREG(st.st_mode))
        return fail(HONE_ERR_IO, "%s: not a regular file", t->job->path);
    t->have = (uint64_t)st.st_size;
    if (t->have == 0) return start_over(t);
    read_state(t);
    uint64_t total = t->job->expected_bytes ? t->job->expected_bytes : t->version.total;
    if (!may_continue(t) || (total && t->have > total)) return start_over(t);
    *complete = total && t->have == total;
    if (lseek(t->fd, 0, SEEK_END) < 0)
        return fail(HONE_ERR_IO, "%s: %s", t->job->path, strerror(errno));
    return HONE_OK;
}

static void start_curl(void) { curl_global_init(CURL_GLOBAL_DEFAULT); }

hone_status http_download_file(http_download *job) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, start_curl);
    job->http_status = 0;
    TRY(http_check_url(job->url));
    if (!job->expected_bytes && !job->max_bytes)
        return fail(HONE_ERR_ARGUMENT, "a download without a limit");
    transfer t = {.job = job};
    shown_url(t.url, sizeof t.url, job->url);
    TRY(fs_path_format(&t.state_path, "%s.state", job->path));
    t.fd = open(job->path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666);
    if (t.fd < 0) return fail(HONE_ERR_IO, "%s: %s", job->path, strerror(errno));

    bool complete;
    hone_status status = look_at_file(&t, &complete);
    if (status == HONE_OK && !complete) status = download(&t);
    if (status == HONE_OK && fsync(t.fd) != 0)
        status = fail(HONE_ERR_IO, "%s: %s", job->path, strerror(errno));
    close(t.fd);
    return status;
}

hone_status http_check_url(const char *url) {
    char words[512];
    shown_url(words, sizeof words, url);
    if (strncasecmp(url, "http://", 7) != 0 && strncasecmp(url, "https://", 8) != 0)
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
