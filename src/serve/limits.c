/* Buckets by client (serve/limits.h). */
#include "serve/limits.h"

#include <math.h>
#include <pthread.h>
#include <string.h>

#include "base/mem.h"

/* Where more ask in a minute, whoever asked longest ago is forgotten: a full bucket again. */
enum { MAX_CLIENTS = 1024 };

typedef struct bucket {
    double level, per_minute; /* 0 per minute: no limit */
} bucket;

typedef struct account {
    char client[KEY_NAME_BYTES];
    bucket requests, tokens;
    double filled_ms;
} account;

struct limits {
    pthread_mutex_t lock;
    account accounts[MAX_CLIENTS];
    size_t n;
};

hone_status limits_open(limits **out) {
    *out = mem_calloc(1, sizeof **out);
    if (!*out) return mem_fail("limits", sizeof **out);
    pthread_mutex_init(&(*out)->lock, NULL);
    return HONE_OK;
}

void limits_close(limits *l) {
    if (!l) return;
    pthread_mutex_destroy(&l->lock);
    mem_free(l);
}

static account *find(limits *l, const char *client) {
    for (size_t i = 0; i < l->n; i++)
        if (!strncmp(l->accounts[i].client, client, KEY_NAME_BYTES - 1)) return &l->accounts[i];
    return NULL;
}

static account *add(limits *l, const char *client, double now_ms) {
    account *a = &l->accounts[0];
    if (l->n < MAX_CLIENTS) a = &l->accounts[l->n++];
    else
        for (size_t i = 1; i < l->n; i++)
            if (l->accounts[i].filled_ms < a->filled_ms) a = &l->accounts[i];
    *a = (account){.filled_ms = now_ms};
    strncpy(a->client, client, sizeof a->client - 1);
    return a;
}

static void fill(bucket *b, double minutes) {
    b->level = fmin(b->per_minute, b->level + minutes * b->per_minute);
}

static void fill_account(account *a, double now_ms) {
    fill(&a->requests, (now_ms - a->filled_ms) / 60000);
    fill(&a->tokens, (now_ms - a->filled_ms) / 60000);
    a->filled_ms = now_ms;
}

/* A limit that is new or has changed begins with a full bucket. */
static void set_rate(bucket *b, unsigned per_minute) {
    if (b->per_minute != per_minute) *b = (bucket){per_minute, per_minute};
}

/* Seconds until the bucket holds `least`. */
static double seconds_until(const bucket *b, double least) {
    if (b->per_minute == 0 || b->level >= least) return 0;
    return (least - b->level) / b->per_minute * 60;
}

unsigned limits_take(limits *l, const char *client, allowance may, double now_ms) {
    if (!may.requests && !may.tokens) return 0;
    pthread_mutex_lock(&l->lock);
    account *a = find(l, client);
    if (!a) a = add(l, client, now_ms);
    fill_account(a, now_ms);
    set_rate(&a->requests, may.requests);
    set_rate(&a->tokens, may.tokens);
    double wait = fmax(seconds_until(&a->requests, 1), seconds_until(&a->tokens, 1));
    if (wait == 0) a->requests.level -= 1;
    pthread_mutex_unlock(&l->lock);
    return (unsigned)ceil(wait);
}

void limits_charge(limits *l, const char *client, size_t n_tokens, double now_ms) {
    pthread_mutex_lock(&l->lock);
    account *a = find(l, client);
    if (a && a->tokens.per_minute > 0) {
        fill_account(a, now_ms);
        a->tokens.level -= (double)n_tokens;
    }
    pthread_mutex_unlock(&l->lock);
}
