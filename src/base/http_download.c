/* http_download_file: one file, over one or several connections, by libcurl's multi interface on
 * the calling thread.
 *
 * What is missing of the file is a list of spans in ascending order. Each connection fills one of
 * them from its beginning; when a connection is free and no span is, the longest one is cut in two.
 * The last span begins where the file ends, as nothing behind it was ever written: so a download
 * over one connection is continued at the byte, whatever happened. Where there are several spans,
 * the state file is renewed every few seconds, after the bytes that it speaks for are on disk. */
#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/http.h"
#include "base/http_int.h"
#include "base/system.h"

enum {
    MAX_CONNECTIONS = 4,
    MAX_SPANS = 16,
    MAX_RETRIES = 3,  /* in a row, without a new byte */
    MAX_RESTARTS = 2, /* the remote file changed under us */
    MAX_STATE_BYTES = 2048,
};
#define MIN_SPAN_BYTES ((uint64_t)4 << 20) /* less is not worth a connection */
#define STATE_INTERVAL_S 2
#define UNKNOWN_END UINT64_MAX

/* What tells one version of a remote file from another. "" = not known. */
typedef struct version {
    char etag[256], modified[64];
    uint64_t total; /* 0 = not known */
} version;

/* Missing bytes [at, end). */
typedef struct span {
    uint64_t at, end;
    struct connection *taken_by; /* NULL: nobody yet */
} span;

/* Why our own callbacks ended a request. */
typedef enum ending { GOING_ON, SPAN_IS_FULL, REFUSED, CHANGED, NO_RANGES, STALLED } ending;

typedef struct connection {
    struct transfer *transfer;
    CURL *curl; /* NULL: no request is under way */
    struct curl_slist *headers;
    span *span; /* NULL: free */
    http_answer answer;
    bool accepted; /* the answer's body goes into the file */
    uint64_t asked_at, asked_end; /* what the request asked for; UNKNOWN_END = to the end */
    ending ending;
    hone_status refusal; /* with REFUSED; the words are said */
    double last_news, begin_at; /* seconds */
    char words[CURL_ERROR_SIZE];
} connection;

typedef struct transfer {
    http_download *job;
    http_target target;
    char url[HTTP_URL_SHOWN];
    fs_path state_path;
    int fd;
    version version; /* of the bytes in the file */
    span spans[MAX_SPANS];
    size_t n_spans;
    CURLM *multi;
    connection connections[MAX_CONNECTIONS];
    size_t n_allowed; /* connections at a time; servers may refuse more */
    bool takes_ranges, any_answer;
    int retries, restarts;
    uint64_t most; /* bytes that were there at the last retry */
    double last_state, last_tick;
    uint64_t tick_bytes;
    double rate;
} transfer;

static double now_s(void) { return clock_ms() / 1e3; }

/* --- spans --- */

/* Bytes in the file. Of an unknown length, the one span is all that is missing. */
static uint64_t count_bytes(const transfer *t) {
    uint64_t missing = 0;
    if (t->n_spans && t->spans[t->n_spans - 1].end == UNKNOWN_END)
        return t->spans[t->n_spans - 1].at;
    for (size_t i = 0; i < t->n_spans; i++) missing += t->spans[i].end - t->spans[i].at;
    return t->version.total - missing;
}

static void set_spans(transfer *t, uint64_t at, uint64_t end) {
    t->spans[0] = (span){.at = at, .end = end};
    t->n_spans = 1;
}

static void remove_span(transfer *t, span *s) {
    size_t i = (size_t)(s - t->spans);
    if (s->taken_by) s->taken_by->span = NULL;
    memmove(s, s + 1, (--t->n_spans - i) * sizeof *s);
    for (; i < t->n_spans; i++)
        if (t->spans[i].taken_by) t->spans[i].taken_by->span = &t->spans[i];
}

/* The second half of the longest span becomes one of its own. NULL: not worth it. */
static span *split_longest(transfer *t) {
    size_t longest = 0;
    if (t->n_spans == 0 || t->n_spans == MAX_SPANS) return NULL;
    for (size_t i = 1; i < t->n_spans; i++)
        if (t->spans[i].end - t->spans[i].at > t->spans[longest].end - t->spans[longest].at)
            longest = i;
    span *s = &t->spans[longest];
    if (s->end == UNKNOWN_END || s->end - s->at < 2 * MIN_SPAN_BYTES) return NULL;
    uint64_t middle = s->at + (s->end - s->at) / 2;
    memmove(s + 2, s + 1, (t->n_spans - longest - 1) * sizeof *s);
    s[1] = (span){.at = middle, .end = s->end};
    s->end = middle;
    t->n_spans++;
    for (size_t i = longest + 2; i < t->n_spans; i++)
        if (t->spans[i].taken_by) t->spans[i].taken_by->span = &t->spans[i];
    return s + 1;
}

/* --- the state file: "etag …", "modified …", "total N", and "missing A B" for each span --- */

static hone_status write_state(transfer *t) {
    char text[MAX_STATE_BYTES];
    size_t n = (size_t)snprintf(text, sizeof text, "etag %s\nmodified %s\ntotal %llu\n",
                                t->version.etag, t->version.modified,
                                (unsigned long long)t->version.total);
    for (size_t i = 0; i < t->n_spans; i++)
        n += (size_t)snprintf(text + n, sizeof text - n, "missing %llu %llu\n",
                              (unsigned long long)t->spans[i].at,
                              (unsigned long long)t->spans[i].end);
    t->last_state = now_s();
    return fs_write_file(t->state_path.text, text, n);
}

static hone_status save_progress(transfer *t) {
    if (fdatasync(t->fd) != 0)
        return fail(HONE_ERR_IO, "%s: cannot flush: %s", t->job->path, strerror(errno));
    return write_state(t);
}

static void copy_value(char *out, size_t size, const char *line, size_t n, size_t key_bytes) {
    if (n - key_bytes < size) snprintf(out, size, "%.*s", (int)(n - key_bytes), line + key_bytes);
}

/* One line; false where it is none of ours. */
static bool read_line(transfer *t, const char *line, size_t n) {
    unsigned long long first, last;
    if (n >= 5 && memcmp(line, "etag ", 5) == 0) {
        copy_value(t->version.etag, sizeof t->version.etag, line, n, 5);
    } else if (n >= 9 && memcmp(line, "modified ", 9) == 0) {
        copy_value(t->version.modified, sizeof t->version.modified, line, n, 9);
    } else if (sscanf(line, "total %llu\n", &first) == 1) {
        t->version.total = first;
    } else if (sscanf(line, "missing %llu %llu\n", &first, &last) == 2) {
        if (t->n_spans == MAX_SPANS || first > last) return false;
        if (t->n_spans && first < t->spans[t->n_spans - 1].end) return false;
        t->spans[t->n_spans++] = (span){.at = first, .end = last};
    } else {
        return false;
    }
    return true;
}

/* False where nothing of the file can be used. */
static bool read_state(transfer *t, uint64_t file_bytes) {
    buf text;
    buf_init(&text, MAX_STATE_BYTES);
    t->version = (version){0};
    t->n_spans = 0;
    bool fine = fs_read_file(&text, t->state_path.text) == HONE_OK && text.len > 0;
    for (const char *line = text.data; fine && *line;) {
        size_t n = strcspn(line, "\n");
        fine = read_line(t, line, n);
        line += n + (line[n] == '\n');
    }
    buf_release(&text);
    uint64_t end = t->version.total ? t->version.total : UNKNOWN_END;
    if (!fine || (t->n_spans == 0 && end == UNKNOWN_END)) return false;
    uint64_t there = end; /* everything that is not missing lies below */
    for (size_t i = t->n_spans; i > 0 && t->spans[i - 1].end == there; i--)
        there = t->spans[i - 1].at;
    if (file_bytes < there || file_bytes > end) return false;
    span *last = t->n_spans ? &t->spans[t->n_spans - 1] : NULL;
    if (last && last->end == end && file_bytes > last->at) last->at = file_bytes;
    if (last && last->at == last->end) t->n_spans--;
    return true;
}

/* --- versions --- */

static bool is_weak(const char *etag) { return strncmp(etag, "W/", 2) == 0; }

/* Bytes of an unknown version may be continued only where a mixture would be noticed. */
static bool may_continue(const transfer *t) {
    return t->job->contents_are_checked || t->version.etag[0] || t->version.modified[0];
}

/* Whether the answer may be about the bytes that we have, as far as it tells. */
static bool same_version(const http_answer *a, const version *v) {
    if (a->etag[0] && v->etag[0] && strcmp(a->etag, v->etag) != 0) return false;
    if (!a->etag[0] && a->modified[0] && v->modified[0] && strcmp(a->modified, v->modified) != 0)
        return false;
    return !a->total || !v->total || a->total == v->total;
}

static hone_status empty_file(transfer *t) {
    t->version = (version){0};
    set_spans(t, 0, UNKNOWN_END);
    if (ftruncate(t->fd, 0) != 0)
        return fail(HONE_ERR_IO, "%s: cannot truncate: %s", t->job->path, strerror(errno));
    return HONE_OK;
}

/* --- answers --- */

static bool end_request(connection *c, ending why, hone_status refusal) {
    c->ending = why;
    c->refusal = refusal;
    return false;
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

static bool is_alone(const connection *c) {
    for (size_t i = 0; i < MAX_CONNECTIONS; i++) {
        const connection *other = &c->transfer->connections[i];
        if (other != c && other->span) return false;
    }
    return true;
}

/* The whole file from its start: what was there before is of no use. */
static hone_status begin_version(connection *c) {
    transfer *t = c->transfer;
    const http_answer *a = &c->answer;
    TRY(empty_file(t));
    t->version.total = a->total;
    strcpy(t->version.etag, a->etag);
    strcpy(t->version.modified, a->modified);
    set_spans(t, 0, a->total ? a->total : UNKNOWN_END);
    c->span = &t->spans[0];
    c->span->taken_by = c;
    t->takes_ranges = a->takes_ranges && a->total;
    return HONE_OK;
}

/* Judges an answer before the first byte of its body: what we have is kept until the answer has
 * proved to be better. */
static hone_status judge_answer(connection *c) {
    transfer *t = c->transfer;
    const http_answer *a = &c->answer;
    if (a->status != 200 && a->status != 206)
        return fail(HONE_ERR_IO, "%s: unexpected answer %ld", t->url, a->status);
    TRY(http_check_body(t->url, a, t->job->wants_html));
    return a->total ? check_total(t, a->total) : HONE_OK;
}

static bool accept_answer(connection *c) {
    transfer *t = c->transfer;
    const http_answer *a = &c->answer;
    hone_status status = judge_answer(c);
    if (status != HONE_OK) return end_request(c, REFUSED, status);
    if (a->status == 206) {
        if (!a->has_range || a->range_start != c->asked_at || !same_version(a, &t->version))
            return end_request(c, CHANGED, HONE_OK);
        t->takes_ranges = true;
        if (!t->version.total && a->total) { /* not known until now */
            t->version.total = a->total;
            t->spans[t->n_spans - 1].end = a->total;
        }
    } else if (!is_alone(c)) {
        return end_request(c, same_version(a, &t->version) ? NO_RANGES : CHANGED, HONE_OK);
    } else {
        status = begin_version(c);
    }
    uint64_t have = count_bytes(t), total = t->version.total;
    if (status == HONE_OK && !t->any_answer && total > have)
        status = fs_check_space(t->job->path, total - have);
    /* The state reaches the disk before the first byte that it speaks for. */
    if (status == HONE_OK) status = write_state(t);
    if (status != HONE_OK) return end_request(c, REFUSED, status);
    c->accepted = t->any_answer = true;
    return true;
}

static hone_status check_limit(const transfer *t, uint64_t after) {
    const http_download *job = t->job;
    uint64_t limit = job->expected_bytes ? job->expected_bytes : job->max_bytes;
    if (after <= limit) return HONE_OK;
    return fail(HONE_ERR_IO, "%s: more than the %llu bytes %s", t->url, (unsigned long long)limit,
                job->expected_bytes ? "expected" : "allowed");
}

static size_t on_body(char *data, size_t one, size_t n, void *user) {
    connection *c = user;
    transfer *t = c->transfer;
    (void)one;
    c->last_news = now_s();
    if (!c->accepted && !accept_answer(c)) return 0;
    span *s = c->span;
    uint64_t room = s->end - s->at;
    size_t wanted = n < room ? n : (size_t)room;
    hone_status status = s->end == UNKNOWN_END ? check_limit(t, s->at + wanted) : HONE_OK;
    if (status == HONE_OK) status = fs_write_all_at(t->fd, s->at, data, wanted, t->job->path);
    if (status != HONE_OK) return end_request(c, REFUSED, status);
    s->at += wanted;
    if (wanted < n) return end_request(c, SPAN_IS_FULL, HONE_OK); /* the rest is another's */
    return n;
}

static size_t on_header(char *line, size_t one, size_t n, void *user) {
    connection *c = user;
    (void)one;
    c->last_news = now_s();
    return http_read_header(&c->answer, c->curl, line, n) ? n : 0;
}

/* libcurl calls this at least once a second. */
static int on_tick(void *user, curl_off_t total, curl_off_t now, curl_off_t up_total,
                   curl_off_t up_now) {
    connection *c = user;
    const http_download *job = c->transfer->job;
    (void)total, (void)now, (void)up_total, (void)up_now;
    bool answered = c->answer.status == 200 || c->answer.status == 206;
    int patience = answered ? job->stall_timeout_s : job->answer_timeout_s;
    if (patience <= 0) patience = answered ? HTTP_STALL_TIMEOUT_S : HTTP_ANSWER_TIMEOUT_S;
    if (now_s() - c->last_news <= patience) return 0;
    end_request(c, STALLED,
                fail(HONE_ERR_IO, "%s: %s for %d seconds", c->transfer->url,
                     answered ? "no byte came" : "no answer", patience));
    return 1;
}

/* --- requests --- */

static bool is_last(const connection *c) {
    return c->span == &c->transfer->spans[c->transfer->n_spans - 1];
}

static hone_status add_range(connection *c) {
    const transfer *t = c->transfer;
    char range[64];
    if (c->asked_at == 0 && c->asked_end == UNKNOWN_END) return HONE_OK;
    int n = snprintf(range, sizeof range, "bytes=%llu-", (unsigned long long)c->asked_at);
    if (c->asked_end != UNKNOWN_END)
        snprintf(range + n, sizeof range - (size_t)n, "%llu",
                 (unsigned long long)c->asked_end - 1);
    const version *v = &t->version;
    const char *proof = v->etag[0] && !is_weak(v->etag) ? v->etag : v->modified;
    if (http_add_header(&c->headers, "Range", range) &&
        (!*proof || http_add_header(&c->headers, "If-Range", proof)))
        return HONE_OK;
    return fail(HONE_ERR_MEMORY, "out of memory: HTTP headers");
}

static void close_request(connection *c) {
    if (c->curl) {
        curl_multi_remove_handle(c->transfer->multi, c->curl);
        curl_easy_cleanup(c->curl);
        c->curl = NULL;
    }
    curl_slist_free_all(c->headers);
    c->headers = NULL;
}

static void let_go(connection *c) {
    close_request(c);
    if (c->span) c->span->taken_by = NULL;
    c->span = NULL;
}

/* Sends the request for the connection's span. */
static hone_status open_request(connection *c) {
    transfer *t = c->transfer;
    c->answer = (http_answer){0};
    c->accepted = false;
    c->ending = GOING_ON;
    c->last_news = now_s();
    c->asked_at = c->span->at;
    c->asked_end = is_last(c) ? UNKNOWN_END : c->span->end;
    c->words[0] = 0;
    TRY(add_range(c));
    c->curl = curl_easy_init();
    if (!c->curl) return fail(HONE_ERR_MEMORY, "out of memory: libcurl");
    TRY(http_prepare(c->curl, &t->target, &c->headers));
    curl_easy_setopt(c->curl, CURLOPT_PRIVATE, c);
    curl_easy_setopt(c->curl, CURLOPT_ERRORBUFFER, c->words);
    curl_easy_setopt(c->curl, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(c->curl, CURLOPT_HEADERDATA, c);
    curl_easy_setopt(c->curl, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(c->curl, CURLOPT_WRITEDATA, c);
    curl_easy_setopt(c->curl, CURLOPT_XFERINFOFUNCTION, on_tick);
    curl_easy_setopt(c->curl, CURLOPT_XFERINFODATA, c);
    return curl_multi_add_handle(t->multi, c->curl) == CURLM_OK
               ? HONE_OK
               : fail(HONE_ERR_MEMORY, "out of memory: libcurl");
}

/* --- ends of requests --- */

/* The file changed on the server: from the start. */
static hone_status restart(transfer *t) {
    for (size_t i = 0; i < MAX_CONNECTIONS; i++) let_go(&t->connections[i]);
    if (t->restarts++ == MAX_RESTARTS)
        return fail(HONE_ERR_IO, "%s: the file keeps changing on the server", t->url);
    return empty_file(t);
}

/* The connection broke; `status` and the words say how. It tries again after a while. */
static hone_status retry(connection *c, hone_status status) {
    transfer *t = c->transfer;
    close_request(c);
    /* Nobody there at all: leave it at once, another source may do better. */
    if (!t->any_answer) return status;
    uint64_t have = count_bytes(t);
    if (have > t->most) t->most = have, t->retries = 0;
    if (t->retries++ == MAX_RETRIES) return status;
    int most = t->job->stall_timeout_s > 0 ? t->job->stall_timeout_s : HTTP_STALL_TIMEOUT_S;
    c->begin_at = now_s() + (t->retries < most ? t->retries : most);
    if (may_continue(t)) return HONE_OK;
    for (size_t i = 0; i < MAX_CONNECTIONS; i++)
        if (&t->connections[i] != c) let_go(&t->connections[i]);
    let_go(c);
    return empty_file(t);
}

/* Spans that nobody fills go back to the one before, where its request asked for those bytes, too:
 * they come without another request. */
static void rejoin_spans(transfer *t) {
    for (size_t i = 1; i < t->n_spans;) {
        span *s = &t->spans[i], *before = s - 1;
        const connection *filler = before->taken_by;
        if (s->taken_by || before->end != s->at || !filler || !filler->curl ||
            filler->asked_end < s->end) {
            i++;
            continue;
        }
        before->end = s->end;
        remove_span(t, s);
    }
}

/* A connection too many, as it seems: the others go on. */
static void do_without(connection *c) {
    transfer *t = c->transfer;
    let_go(c);
    if (t->n_allowed > 1) t->n_allowed--;
    rejoin_spans(t);
}

/* The body of an accepted answer ended, cleanly or not. */
static hone_status end_body(connection *c, bool cleanly) {
    transfer *t = c->transfer;
    span *s = c->span;
    uint64_t total = t->version.total ? t->version.total : t->job->expected_bytes;
    if (s->end == UNKNOWN_END && cleanly && (!total || total == s->at))
        t->version.total = s->end = s->at;
    if (s->at < s->end)
        return retry(c, fail(HONE_ERR_IO, "%s: the connection ended after %llu of %llu bytes",
                             t->url, (unsigned long long)count_bytes(t),
                             (unsigned long long)total));
    close_request(c);
    remove_span(t, s);
    return HONE_OK;
}

static hone_status end_of_http_error(connection *c) {
    if (c->answer.status == 416 && c->asked_at > 0) return restart(c->transfer);
    if (is_alone(c)) return http_fail_status(c->transfer->url, c->answer.status);
    do_without(c);
    return HONE_OK;
}

/* HONE_OK: the download goes on. */
static hone_status end_of_request(connection *c, CURLcode code) {
    transfer *t = c->transfer;
    bool has_ended = code == CURLE_OK || code == CURLE_PARTIAL_FILE;
    t->job->http_status = c->answer.status;
    if (has_ended && !c->accepted) accept_answer(c); /* there was no body at all */
    switch (c->ending) {
    case SPAN_IS_FULL: return end_body(c, false);
    case CHANGED: return restart(t);
    case STALLED: return retry(c, c->refusal);
    case REFUSED:
        if (c->refusal == HONE_ERR_MEMORY || is_alone(c)) return c->refusal;
        do_without(c);
        return HONE_OK;
    case NO_RANGES:
        do_without(c);
        t->n_allowed = 1;
        return HONE_OK;
    case GOING_ON: break;
    }
    if (has_ended) return end_body(c, code == CURLE_OK);
    if (code == CURLE_HTTP_RETURNED_ERROR) return end_of_http_error(c);
    return retry(c, http_fail_curl(&t->target, t->url, code, c->words));
}

/* --- the download --- */

static span *free_span(transfer *t) {
    for (size_t i = 0; i < t->n_spans; i++)
        if (!t->spans[i].taken_by) return &t->spans[i];
    return NULL;
}

/* Gives a free connection something to do, if there is anything. */
static hone_status employ(connection *c, bool is_first) {
    transfer *t = c->transfer;
    bool may_be_more = t->any_answer && t->takes_ranges && may_continue(t);
    if (!is_first && !may_be_more) return HONE_OK;
    span *s = free_span(t);
    bool is_new = !s && !is_first;
    if (is_new) s = split_longest(t);
    if (!s) return HONE_OK;
    c->span = s;
    s->taken_by = c;
    c->begin_at = 0;
    return is_new ? save_progress(t) : HONE_OK;
}

/* Keeps as many connections busy as are worth it. */
static hone_status keep_busy(transfer *t) {
    size_t n_busy = 0;
    for (size_t i = 0; i < MAX_CONNECTIONS; i++) n_busy += t->connections[i].span != NULL;
    for (size_t i = 0; i < MAX_CONNECTIONS; i++) {
        connection *c = &t->connections[i];
        if (!c->span && n_busy < t->n_allowed) {
            TRY(employ(c, n_busy == 0));
            n_busy += c->span != NULL;
        }
        if (c->span && !c->curl && now_s() >= c->begin_at) TRY(open_request(c));
    }
    return HONE_OK;
}

static hone_status tell_progress(transfer *t) {
    const http_download *job = t->job;
    uint64_t have = count_bytes(t);
    double time = now_s(), passed = time - t->last_tick;
    if (passed >= 0.5) {
        double rate = have > t->tick_bytes ? (double)(have - t->tick_bytes) / passed : 0;
        t->rate = t->rate > 0 ? 0.7 * t->rate + 0.3 * rate : rate;
        t->last_tick = time, t->tick_bytes = have;
    }
    http_progress progress = {have, t->version.total ? t->version.total : job->expected_bytes,
                              t->rate};
    if (job->observe && !job->observe(job->context, &progress))
        return fail(HONE_ERR_CANCELLED, "cancelled");
    return HONE_OK;
}

static hone_status take_endings(transfer *t) {
    CURLMsg *message;
    int left;
    while ((message = curl_multi_info_read(t->multi, &left))) {
        connection *c = NULL;
        if (message->msg != CURLMSG_DONE) continue;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &c);
        TRY(end_of_request(c, message->data.result));
    }
    return HONE_OK;
}

static hone_status download(transfer *t) {
    t->last_tick = t->last_state = now_s();
    t->most = t->tick_bytes = count_bytes(t);
    while (t->n_spans > 0) {
        int running;
        TRY(keep_busy(t));
        if (curl_multi_perform(t->multi, &running) != CURLM_OK)
            return fail(HONE_ERR_MEMORY, "out of memory: libcurl");
        TRY(take_endings(t));
        TRY(tell_progress(t));
        if (t->n_spans > 1 && now_s() - t->last_state > STATE_INTERVAL_S) TRY(save_progress(t));
        if (t->n_spans > 0) curl_multi_poll(t->multi, NULL, 0, 100, NULL);
    }
    return write_state(t);
}

/* What of an earlier try can be used. */
static hone_status look_at_file(transfer *t) {
    struct stat st;
    if (fstat(t->fd, &st) != 0 || !S_ISREG(st.st_mode))
        return fail(HONE_ERR_IO, "%s: not a regular file", t->job->path);
    uint64_t expected = t->job->expected_bytes;
    if (st.st_size > 0 && read_state(t, (uint64_t)st.st_size) && may_continue(t) &&
        (!expected || !t->version.total || t->version.total == expected))
        return HONE_OK;
    return empty_file(t);
}

/* What came so far is of use to the next call. The words of the failure stay. */
static void keep_for_later(transfer *t, hone_status status) {
    char words[1024];
    snprintf(words, sizeof words, "%s", hone_error_message());
    if (save_progress(t) != HONE_OK) fail(status, "%s", words);
}

hone_status http_download_file(http_download *job) {
    http_start();
    job->http_status = 0;
    TRY(http_check_url(job->url));
    if (!job->expected_bytes && !job->max_bytes)
        return fail(HONE_ERR_ARGUMENT, "a download without a limit");
    transfer t = {.job = job,
                  .target = {job->url, job->bearer_token, job->user_password, NULL,
                             job->answer_timeout_s},
                  .n_allowed = MAX_CONNECTIONS};
    http_show_url(t.url, job->url);
    for (size_t i = 0; i < MAX_CONNECTIONS; i++) t.connections[i].transfer = &t;
    TRY(fs_path_format(&t.state_path, "%s.state", job->path));
    t.multi = curl_multi_init();
    if (!t.multi) return fail(HONE_ERR_MEMORY, "out of memory: libcurl");
    t.fd = open(job->path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666);
    hone_status status = t.fd < 0 ? fail(HONE_ERR_IO, "%s: %s", job->path, strerror(errno))
                                  : look_at_file(&t);
    if (status == HONE_OK) status = download(&t);
    for (size_t i = 0; i < MAX_CONNECTIONS; i++) let_go(&t.connections[i]);
    curl_multi_cleanup(t.multi);
    if (status == HONE_OK && fsync(t.fd) != 0)
        status = fail(HONE_ERR_IO, "%s: %s", job->path, strerror(errno));
    if (status != HONE_OK && t.n_spans > 1) keep_for_later(&t, status);
    if (t.fd >= 0) close(t.fd);
    return status;
}
