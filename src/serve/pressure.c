/* The thread that watches memory, and its rule (serve/pressure.h). */
#include "serve/pressure.h"

#include <pthread.h>
#include <time.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/status.h"

enum { USUAL_MS = 100, CLOSE_MS = 20 }; /* between looks */
enum { CALM_MS = 2000 };                  /* before the next step up */

/* What should always be left: a sixteenth, but no more than large buffers can want, and what two
 * steps may add. */
#define LEAST_RESERVE ((uint64_t)16 << 20)
#define MOST_RESERVE ((uint64_t)1 << 30)

/* Percent of the time in which tasks wait for memory. */
#define STALLED_MUCH 20.0
#define STALLED_LITTLE 5.0

struct pressure {
    pressure_options options;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t stop;
    bool stopping;
    pressure_state state;   /* under the lock */
    pressure_policy policy; /* the thread only */
};

/* --- the rule --- */

static uint64_t reserve(const system_memory *m, const pressure_load *load) {
    uint64_t bytes = m->limit / 16;
    if (bytes < LEAST_RESERVE) bytes = LEAST_RESERVE;
    if (bytes > MOST_RESERVE) bytes = MOST_RESERVE;
    return bytes > 2 * load->growth_bytes ? bytes : 2 * load->growth_bytes;
}

/* Caches first, unless there are none. */
static bool lower(pressure_policy *p, bool has_cache, bool urgent) {
    scheduler_limits *now = &p->now;
    bool last = now->n_slots == 1 && now->urgent >= urgent;
    if (!now->cache_bytes && last) return false;
    if (urgent || !has_cache) now->n_slots = now->n_slots > 1 ? now->n_slots / 2 : 1;
    now->cache_bytes = 0;
    now->urgent = urgent;
    return true;
}

static bool raise_limits(pressure_policy *p) {
    scheduler_limits *now = &p->now;
    const scheduler_limits *c = &p->configured;
    now->urgent = false;
    if (now->n_slots < c->n_slots)
        now->n_slots = 2 * now->n_slots < c->n_slots ? 2 * now->n_slots : c->n_slots;
    else if (now->cache_bytes < c->cache_bytes)
        now->cache_bytes = c->cache_bytes;
    else
        return false;
    return true;
}

pressure_change pressure_decide(pressure_policy *p, const system_memory *m,
                                const pressure_load *load, double now_ms) {
    uint64_t wanted = reserve(m, load);
    bool urgent = m->left < wanted / 4;
    bool tight = m->left < wanted || m->stalled > STALLED_MUCH;
    bool ample = m->left > 2 * wanted && m->stalled < STALLED_LITTLE;
    pressure_change change = PRESSURE_SAME;
    if (!ample) p->scarce_ms = now_ms;
    if (tight && load->obeyed) {
        if (lower(p, load->cache_bytes > 0, urgent)) change = PRESSURE_LOWERED;
    } else if (now_ms - p->scarce_ms >= CALM_MS && now_ms - p->changed_ms >= CALM_MS) {
        if (raise_limits(p)) change = PRESSURE_RAISED;
    }
    if (change != PRESSURE_SAME) p->changed_ms = now_ms;
    return change;
}

/* --- the thread --- */

typedef struct asking {
    const scheduler_limits *limits;
    pressure_load load;
} asking;

static void ask_one(void *user, const open_model *model) {
    asking *a = user;
    if (!model->served.scheduler) return;
    scheduler_state s = scheduler_look(model->served.scheduler);
    a->load.cache_bytes += s.cache_bytes;
    if (s.growth_bytes > a->load.growth_bytes) a->load.growth_bytes = s.growth_bytes;
    a->load.obeyed &= scheduler_limit(model->served.scheduler, a->limits);
}

static void tell(const pressure *p, const system_memory *m, pressure_change change) {
    const scheduler_limits *now = &p->policy.now;
    if (!p->options.log) return;
    json_t *line = json_pack(
        "{s:f, s:s, s:I, s:I, s:f, s:I, s:I, s:b}", "time", (double)time(NULL), "event",
        change == PRESSURE_LOWERED ? "memory is short" : "memory is back", "left_bytes",
        (json_int_t)m->left, "limit_bytes", (json_int_t)m->limit, "stalled_percent", m->stalled,
        "slots", (json_int_t)now->n_slots, "cache_bytes", (json_int_t)now->cache_bytes,
        "ends_answers", (int)now->urgent);
    char *text = line ? json_dumps(line, JSON_COMPACT) : NULL;
    if (text) p->options.log(p->options.user, text);
    mem_free(text);
    json_decref(line);
}

/* Looks once; the milliseconds until the next look. */
static int adapt(pressure *p) {
    system_memory memory = system_look_at_memory(p->options.root);
    /* also the limits of before, since a model may have been opened since then */
    asking a = {&p->policy.now, {.obeyed = true}};
    models_each(p->options.models, ask_one, &a);
    pressure_change change = pressure_decide(&p->policy, &memory, &a.load, clock_ms());
    if (change != PRESSURE_SAME) {
        models_each(p->options.models, ask_one, &a);
        tell(p, &memory, change);
    }
    pthread_mutex_lock(&p->lock);
    p->state.memory = memory;
    p->state.n_lowered += change == PRESSURE_LOWERED;
    p->state.n_raised += change == PRESSURE_RAISED;
    pthread_mutex_unlock(&p->lock);
    return memory.left < 4 * reserve(&memory, &a.load) ? CLOSE_MS : USUAL_MS;
}

/* False when it is over. */
static bool sleep_until_next(pressure *p, int milliseconds) {
    struct timespec at;
    clock_gettime(CLOCK_REALTIME, &at);
    at.tv_nsec += milliseconds * 1000000L;
    if (at.tv_nsec >= 1000000000) at.tv_sec++, at.tv_nsec -= 1000000000;
    pthread_mutex_lock(&p->lock);
    if (!p->stopping) pthread_cond_timedwait(&p->stop, &p->lock, &at);
    bool go_on = !p->stopping;
    pthread_mutex_unlock(&p->lock);
    return go_on;
}

static void *run(void *user) {
    json_use_mem();
    while (sleep_until_next(user, adapt(user))) {}
    return NULL;
}

hone_status pressure_open(pressure **out, const pressure_options *options) {
    *out = NULL;
    pressure *p = mem_calloc(1, sizeof *p);
    if (!p) return mem_fail("memory watch", sizeof *p);
    p->options = *options;
    p->policy = (pressure_policy){.configured = options->configured, .now = options->configured};
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->stop, NULL);
    if (pthread_create(&p->thread, NULL, run, p) != 0) {
        mem_free(p);
        return fail(HONE_ERR_IO, "no thread to watch memory can be started");
    }
    *out = p;
    return HONE_OK;
}

void pressure_close(pressure *p) {
    if (!p) return;
    pthread_mutex_lock(&p->lock);
    p->stopping = true;
    pthread_cond_signal(&p->stop);
    pthread_mutex_unlock(&p->lock);
    pthread_join(p->thread, NULL);
    pthread_cond_destroy(&p->stop);
    pthread_mutex_destroy(&p->lock);
    mem_free(p);
}

pressure_state pressure_look(pressure *p) {
    pthread_mutex_lock(&p->lock);
    pressure_state state = p->state;
    pthread_mutex_unlock(&p->lock);
    return state;
}
