/* The list of connections and the thread that looks through it (serve/deadlines.h). */
#include "serve/deadlines.h"

#include <pthread.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <time.h>

#include "base/mem.h"
#include "base/system.h"

#define BYTES_PER_MS 16 /* 16 kB/s: what the slowest link that is worth waiting for carries */

struct deadline {
    deadline *next, *before;
    int socket;
    bool running;    /* the client's turn, since … */
    double since_ms;
    double spent_ms; /* of earlier turns of this request */
    size_t n_bytes;
};

struct deadlines {
    pthread_mutex_t lock;
    pthread_cond_t wake;
    pthread_t thread;
    bool stopping;
    int patience_ms;
    deadline *first;
};

/* Under the lock. */
static void hang_up_on_the_late(deadlines *d) {
    double now = clock_ms();
    for (deadline *c = d->first; c; c = c->next) {
        double spent = c->spent_ms + (c->running ? now - c->since_ms : 0);
        if (c->running && spent > d->patience_ms + (double)c->n_bytes / BYTES_PER_MS)
            shutdown(c->socket, SHUT_RDWR); /* its thread sees the end and tidies up */
    }
}

static void *watch(void *user) {
    deadlines *d = user;
    pthread_mutex_lock(&d->lock);
    while (!d->stopping) {
        struct timespec at;
        clock_gettime(CLOCK_MONOTONIC, &at);
        long pause_ms = d->patience_ms / 4 + 1;
        at.tv_sec += pause_ms / 1000;
        at.tv_nsec += pause_ms % 1000 * 1000000;
        if (at.tv_nsec >= 1000000000) at.tv_sec++, at.tv_nsec -= 1000000000;
        pthread_cond_timedwait(&d->wake, &d->lock, &at);
        hang_up_on_the_late(d);
    }
    pthread_mutex_unlock(&d->lock);
    return NULL;
}

hone_status deadlines_open(deadlines **out, int patience_ms) {
    deadlines *d = mem_calloc(1, sizeof *d);
    *out = NULL;
    if (!d) return mem_fail("deadlines", sizeof *d);
    d->patience_ms = patience_ms;
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&d->wake, &monotonic);
    pthread_condattr_destroy(&monotonic);
    pthread_mutex_init(&d->lock, NULL);
    if (pthread_create(&d->thread, NULL, watch, d) != 0) {
        mem_free(d);
        return fail(HONE_ERR_IO, "no thread for deadlines can be started");
    }
    *out = d;
    return HONE_OK;
}

void deadlines_close(deadlines *d) {
    if (!d) return;
    pthread_mutex_lock(&d->lock);
    d->stopping = true;
    pthread_cond_signal(&d->wake);
    pthread_mutex_unlock(&d->lock);
    pthread_join(d->thread, NULL);
    pthread_cond_destroy(&d->wake);
    pthread_mutex_destroy(&d->lock);
    mem_free(d);
}

deadline *deadlines_enter(deadlines *d, int socket) {
    deadline *c = mem_calloc(1, sizeof *c);
    if (!c) return NULL;
    c->socket = socket;
    pthread_mutex_lock(&d->lock);
    c->next = d->first;
    if (c->next) c->next->before = c;
    d->first = c;
    c->running = true;
    c->since_ms = clock_ms();
    pthread_mutex_unlock(&d->lock);
    return c;
}

void deadlines_leave(deadlines *d, deadline *c) {
    if (!c) return;
    pthread_mutex_lock(&d->lock);
    if (c->before) c->before->next = c->next;
    else d->first = c->next;
    if (c->next) c->next->before = c->before;
    pthread_mutex_unlock(&d->lock);
    mem_free(c);
}

void deadline_expect_head(deadlines *d, deadline *c) {
    if (!c) return;
    pthread_mutex_lock(&d->lock);
    c->running = true;
    c->since_ms = clock_ms();
    c->spent_ms = 0;
    c->n_bytes = 0;
    pthread_mutex_unlock(&d->lock);
}

void deadline_expect_more(deadlines *d, deadline *c) {
    if (!c) return;
    pthread_mutex_lock(&d->lock);
    if (!c->running) c->since_ms = clock_ms();
    c->running = true;
    pthread_mutex_unlock(&d->lock);
}

void deadline_pause(deadlines *d, deadline *c) {
    if (!c) return;
    pthread_mutex_lock(&d->lock);
    if (c->running) c->spent_ms += clock_ms() - c->since_ms;
    c->running = false;
    pthread_mutex_unlock(&d->lock);
}

void deadline_add_bytes(deadlines *d, deadline *c, size_t n) {
    if (!c) return;
    pthread_mutex_lock(&d->lock);
    c->n_bytes += n;
    pthread_mutex_unlock(&d->lock);
}
