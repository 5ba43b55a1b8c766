#include "serve/work.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <time.h>

#include "base/mem.h"
#include "base/system.h"
#include "serve/ollama.h"
#include "serve/reply.h"
#include "serve/stream.h"

enum { LOOK_MS = 50, PASSING_MS = 100 };
#define MAX_WAITING_BYTES ((size_t)16 << 20)

struct work {
    work_task task;
    models *models;
    exchange *x;
    bool streams;
    double told_ms; /* the last passing line */
    pthread_t thread;
    /* Under the lock. */
    pthread_mutex_t lock;
    pthread_cond_t news;
    buf lines;
    bool ended, cancelled;
    hone_status status;
    char *words;
};

static bool is_cancelled(work *w) {
    pthread_mutex_lock(&w->lock);
    bool cancelled = w->cancelled;
    pthread_mutex_unlock(&w->lock);
    return cancelled;
}

bool work_goes_on(work *w) {
    if (models_are_stopping(w->models)) return false;
    return w->streams ? !is_cancelled(w) : !exchange_is_gone(w->x);
}

bool work_tell(work *w, json_t *line, bool passing) {
    double now = clock_ms();
    bool skip = !w->streams || (passing && now - w->told_ms < PASSING_MS);
    if (!skip && passing) w->told_ms = now;
    if (skip) {
        json_decref(line);
        return work_goes_on(w);
    }
    pthread_mutex_lock(&w->lock);
    if (stream_add_line(&w->lines, line) != HONE_OK) w->cancelled = true;
    pthread_cond_signal(&w->news);
    pthread_mutex_unlock(&w->lock);
    return work_goes_on(w);
}

static json_t *success_json(void) { return json_pack("{s:s}", "status", "success"); }

/* --- streamed --- */

static void *run(void *user) {
    work *w = user;
    hone_status status = w->task.run(w, w->task.state);
    const char *words = status == HONE_OK ? "" : hone_error_message();
    char *copy = mem_copy_string(words, strlen(words));
    pthread_mutex_lock(&w->lock);
    w->status = status;
    w->words = copy;
    w->ended = true;
    pthread_cond_signal(&w->news);
    pthread_mutex_unlock(&w->lock);
    return NULL;
}

static hone_status make_lines(void *state, buf *out, bool *ended) {
    work *w = state;
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += LOOK_MS * 1000000L;
    if (until.tv_nsec >= 1000000000L) until.tv_sec++, until.tv_nsec -= 1000000000L;
    pthread_mutex_lock(&w->lock);
    while (!w->lines.len && !w->ended)
        if (pthread_cond_timedwait(&w->news, &w->lock, &until) == ETIMEDOUT) break;
    hone_status status = w->lines.len ? buf_add(out, w->lines.data, w->lines.len) : HONE_OK;
    w->lines.len = 0;
    *ended = w->ended;
    hone_status outcome = w->status;
    pthread_mutex_unlock(&w->lock);
    if (status != HONE_OK) return status;
    if (exchange_is_gone(w->x)) return HONE_ERR_CANCELLED;
    if (!*ended) return HONE_OK;
    if (outcome == HONE_OK) return stream_add_line(out, success_json());
    return stream_add_line(out, json_pack("{s:s}", "error", w->words ? w->words : "out of memory"));
}

static void work_close(void *state) {
    work *w = state;
    pthread_mutex_lock(&w->lock);
    w->cancelled = true;
    pthread_mutex_unlock(&w->lock);
    if (w->streams) pthread_join(w->thread, NULL);
    w->task.close(w->task.state);
    buf_release(&w->lines);
    mem_free(w->words);
    pthread_cond_destroy(&w->news);
    pthread_mutex_destroy(&w->lock);
    mem_free(w);
}

/* --- */

static void reply_inline(work *w) {
    hone_status status = w->task.run(w, w->task.state);
    if (status == HONE_OK) reply_json(w->x, 200, success_json());
    else if (status == HONE_ERR_CANCELLED) reply_error(w->x, 499, NULL, NULL, "cancelled");
    else reply_failure(w->x, status);
    work_close(w);
}

void work_reply(const call *c, bool stream, const work_task *task) {
    work *w = mem_calloc(1, sizeof *w);
    if (!w) {
        task->close(task->state);
        reply_failure(c->x, mem_fail("request", sizeof *w));
        return;
    }
    w->task = *task;
    w->models = c->models;
    w->x = c->x;
    buf_init(&w->lines, MAX_WAITING_BYTES);
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->news, NULL);
    if (!stream) {
        reply_inline(w);
        return;
    }
    w->streams = true;
    if (pthread_create(&w->thread, NULL, run, w) != 0) {
        w->streams = false;
        work_close(w);
        reply_error(c->x, 503, NULL, NULL, "no thread can be started; try again later");
        return;
    }
    static const stream_maker maker = {make_lines, ollama_tell_failure, work_close};
    reply_stream(c->x, "application/x-ndjson", &maker, w);
}
