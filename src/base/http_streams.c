/* libcurl's multi interface. */
#include "base/http_streams.h"

#include <string.h>

#include "base/http.h"
#include "base/http_int.h"
#include "base/mem.h"

typedef struct stream {
    http_post post;
    CURL *curl;
    struct curl_slist *headers;
    http_target target;
    char url[HTTP_URL_SHOWN], words[CURL_ERROR_SIZE];
    struct stream *next, **link;
} stream;

struct http_streams {
    CURLM *multi;
    stream *first;
    size_t n_running;
};

hone_status http_streams_open(http_streams **out) {
    http_start();
    http_streams *s = mem_calloc(1, sizeof *s);
    if (!s) return mem_fail("HTTP requests", sizeof *s);
    s->multi = curl_multi_init();
    if (!s->multi) {
        mem_free(s);
        return fail(HONE_ERR_MEMORY, "out of memory: libcurl");
    }
    *out = s;
    return HONE_OK;
}

static void release(http_streams *s, stream *one) {
    if (one->link) {
        curl_multi_remove_handle(s->multi, one->curl);
        *one->link = one->next;
        if (one->next) one->next->link = one->link;
        s->n_running--;
    }
    curl_slist_free_all(one->headers);
    curl_easy_cleanup(one->curl);
    mem_free(one);
}

void http_streams_close(http_streams *s) {
    if (!s) return;
    while (s->first) release(s, s->first);
    curl_multi_cleanup(s->multi);
    mem_free(s);
}

size_t http_streams_running(const http_streams *s) { return s->n_running; }

static size_t on_body(char *data, size_t one, size_t n, void *user) {
    stream *s = user;
    long code = 0;
    (void)one;
    curl_easy_getinfo(s->curl, CURLINFO_RESPONSE_CODE, &code);
    return s->post.on_bytes(s->post.context, code, data, n) ? n : 0;
}

static hone_status set_up(stream *one) {
    const http_post *p = &one->post;
    one->target = (http_target){.url = p->url, .bearer_token = p->bearer_token};
    if (p->body && !http_add_header(&one->headers, "Content-Type", "application/json"))
        return fail(HONE_ERR_MEMORY, "out of memory: HTTP headers");
    TRY(http_prepare(one->curl, &one->target, &one->headers));
    curl_easy_setopt(one->curl, CURLOPT_FAILONERROR, 0L);
    curl_easy_setopt(one->curl, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(one->curl, CURLOPT_NOPROGRESS, 1L);
    curl_easy_setopt(one->curl, CURLOPT_TCP_NODELAY, 1L);
    curl_easy_setopt(one->curl, CURLOPT_ERRORBUFFER, one->words);
    curl_easy_setopt(one->curl, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(one->curl, CURLOPT_WRITEDATA, one);
    curl_easy_setopt(one->curl, CURLOPT_PRIVATE, one);
    if (p->timeout_ms > 0) curl_easy_setopt(one->curl, CURLOPT_TIMEOUT_MS, p->timeout_ms);
    if (p->body) {
        curl_easy_setopt(one->curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)strlen(p->body));
        curl_easy_setopt(one->curl, CURLOPT_POSTFIELDS, p->body);
    }
    return HONE_OK;
}

hone_status http_streams_start(http_streams *s, const http_post *post) {
    TRY(http_check_url(post->url));
    stream *one = mem_calloc(1, sizeof *one);
    if (!one) return mem_fail("an HTTP request", sizeof *one);
    one->post = *post;
    http_show_url(one->url, post->url);
    one->curl = curl_easy_init();
    hone_status status = one->curl ? set_up(one) : fail(HONE_ERR_MEMORY, "out of memory: libcurl");
    if (status == HONE_OK && curl_multi_add_handle(s->multi, one->curl) != CURLM_OK)
        status = fail(HONE_ERR_MEMORY, "out of memory: libcurl");
    if (status != HONE_OK) {
        release(s, one);
        return status;
    }
    one->next = s->first;
    one->link = &s->first;
    if (s->first) s->first->link = &one->next;
    s->first = one;
    s->n_running++;
    return HONE_OK;
}

static void finish(http_streams *s, stream *one, CURLcode code) {
    http_end end = {.status = HONE_OK, .words = "", .timed_out = code == CURLE_OPERATION_TIMEDOUT};
    curl_easy_getinfo(one->curl, CURLINFO_RESPONSE_CODE, &end.http_status);
    if (code != CURLE_OK) {
        end.status = http_fail_curl(&one->target, one->url, code, one->words);
        end.words = hone_error_message();
    }
    void (*on_end)(void *context, const http_end *end) = one->post.on_end;
    void *context = one->post.context;
    release(s, one);
    on_end(context, &end);
}

hone_status http_streams_wait(http_streams *s, int milliseconds) {
    int n_messages, n_running;
    CURLMsg *message;
    CURLMcode code = curl_multi_poll(s->multi, NULL, 0, milliseconds, NULL);
    if (code == CURLM_OK) code = curl_multi_perform(s->multi, &n_running);
    if (code != CURLM_OK) return fail(HONE_ERR_IO, "HTTP requests: %s", curl_multi_strerror(code));
    while ((message = curl_multi_info_read(s->multi, &n_messages))) {
        stream *one;
        CURLcode result = message->data.result;
        if (message->msg != CURLMSG_DONE) continue;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&one);
        finish(s, one, result);
    }
    return HONE_OK;
}
