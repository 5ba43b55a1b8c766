/* Sending requests and hearing their answers. */
#include "lab/load.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/http_streams.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/philox.h"
#include "base/system.h"
#include "lab/load_int.h"
#include "lab/server_machine.h"

enum {
    DEFAULT_PROMPT = 128, DEFAULT_DECODE = 64, DEFAULT_TIMEOUT_MS = 600000,
    LEARNING_DECODE = 8, LEAST_WORDS = 2, REFUSAL_BYTES = 4096,
    WAIT_MS = 50,
};

void load_init(load *l) { *l = (load){.n_requests = 0}; }

void load_release(load *l) {
    mem_free(l->requests);
    load_init(l);
}

const char *load_outcome_name(load_outcome outcome) {
    static const char *const names[] = {"done", "refused", "broken", "timed_out", "malformed"};
    return names[outcome];
}

/* --- what is drawn --- */

/* Evenly in (0, 1]. */
static double draw(uint64_t seed, uint32_t stream, size_t index) {
    philox_block counter = {{(uint32_t)index, (uint32_t)(index >> 32), stream, 0}};
    return ((double)philox4x32(counter, seed).word[0] + 1) / 0x1p32;
}

double load_gap_ms(double rate, uint64_t seed, size_t index) {
    return -log(draw(seed, 1, index)) * 1000 / rate;
}

hone_status load_prompt(buf *out, size_t n_words, uint64_t salt, uint64_t seed, size_t index) {
    static const char *const words[] = {
        "river",  "stone", "green", "early", "house", "light", "paper", "north", "bread", "glass",
        "winter", "table", "small", "plain", "story", "ship",  "night", "field", "music", "seven",
        "letter", "quiet", "round", "storm", "apple", "train", "clear", "hand",  "water", "bridge",
        "market", "cloud"};
    TRY(buf_add_format(out, "%08x%08x: write a very long story, and use these words:",
                       (unsigned)(salt >> 32) ^ (unsigned)index, (unsigned)salt));
    for (size_t i = 0; i < n_words; i++) {
        size_t choice = (size_t)(draw(seed ^ index, 2, i) * 31.999);
        TRY(buf_add_format(out, " %s", words[choice]));
    }
    return HONE_OK;
}

/* --- one request --- */

typedef struct flight flight;

typedef struct runner {
    load *l;
    const load_settings *settings;
    fs_path chat; /* where chats go */
    http_streams *streams;
    flight *first; /* under way */
    uint64_t salt;
    double start_ms;
    size_t n_ended;
} runner;

struct flight {
    runner *r;
    flight *next, **link; /* among those under way */
    load_request *request;
    load_stream stream;
    buf body, refusal;
    bool malformed;
    char words[160];
};

static double now_ms(const runner *r) { return clock_ms() - r->start_ms; }

static bool on_bytes(void *context, long http_status, const char *bytes, size_t n) {
    flight *f = context;
    size_t n_chunks = f->stream.n_chunks;
    if (http_status != 200) {
        size_t room = REFUSAL_BYTES - f->refusal.len;
        return buf_add(&f->refusal, bytes, n < room ? n : room) == HONE_OK;
    }
    if (load_stream_add(&f->stream, bytes, n) != HONE_OK) {
        f->malformed = true;
        snprintf(f->words, sizeof f->words, "%s", hone_error_message());
        return false;
    }
    if (n_chunks == 0 && f->stream.n_chunks > 0) f->request->first_ms = now_ms(f->r);
    if (f->stream.ended && f->request->end_ms == 0) f->request->end_ms = now_ms(f->r);
    return true;
}

/* The server's own words in a refusal, or the beginning of it. */
static void quote_refusal(const flight *f, long http_status, char *words, size_t n) {
    load_stream event;
    load_stream_init(&event, ENDPOINT_OLLAMA); /* both APIs: an object with "error" */
    const char *text = f->refusal.len ? f->refusal.data : "no words";
    if (f->refusal.len && load_stream_add(&event, f->refusal.data, f->refusal.len) == HONE_OK)
        load_stream_end(&event);
    snprintf(words, n, "HTTP %ld: %.140s", http_status, *event.error ? event.error : text);
    load_stream_release(&event);
}

static void judge_end(flight *f, const http_end *end) {
    load_request *q = f->request;
    q->http_status = end->http_status;
    if (!f->malformed && end->status == HONE_OK && end->http_status == 200 &&
        load_stream_end(&f->stream) != HONE_OK) {
        f->malformed = true;
        snprintf(f->words, sizeof f->words, "%s", hone_error_message());
    }
    if (end->timed_out) {
        q->outcome = LOAD_TIMED_OUT;
        snprintf(q->words, sizeof q->words, "no end within the time allowed");
    } else if (f->malformed) {
        q->outcome = LOAD_MALFORMED;
        snprintf(q->words, sizeof q->words, "%s", f->words);
    } else if (end->status != HONE_OK) {
        q->outcome = LOAD_BROKEN;
        snprintf(q->words, sizeof q->words, "%s", end->words);
    } else if (end->http_status != 200) {
        q->outcome = LOAD_REFUSED;
        quote_refusal(f, end->http_status, q->words, sizeof q->words);
    } else if (*f->stream.error) {
        q->outcome = LOAD_REFUSED;
        snprintf(q->words, sizeof q->words, "%s", f->stream.error);
    } else if (!f->stream.ended) {
        q->outcome = LOAD_MALFORMED;
        snprintf(q->words, sizeof q->words, "the stream stopped without its end");
    } else {
        q->outcome = LOAD_DONE;
    }
}

static void release_flight(flight *f) {
    *f->link = f->next;
    if (f->next) f->next->link = f->link;
    load_stream_release(&f->stream);
    buf_release(&f->body);
    buf_release(&f->refusal);
    mem_free(f);
}

static void on_end(void *context, const http_end *end) {
    flight *f = context;
    load_request *q = f->request;
    const load_stream *s = &f->stream;
    judge_end(f, end);
    if (q->end_ms == 0) q->end_ms = now_ms(f->r);
    q->n_chunks = s->n_chunks;
    q->n_words = s->n_words;
    q->has_usage = s->has_usage;
    q->prompt_tokens = s->prompt_tokens;
    q->tokens = s->completion_tokens;
    q->cached_tokens = s->cached_tokens;
    q->finish = s->finish;
    f->r->n_ended++;
    release_flight(f);
}

static hone_status start_flight(runner *r, load_request *q, size_t index, size_t n_words,
                                size_t n_decode) {
    buf prompt;
    double timeout_ms = r->settings->timeout_ms > 0 ? r->settings->timeout_ms : DEFAULT_TIMEOUT_MS;
    flight *f = mem_calloc(1, sizeof *f);
    if (!f) return mem_fail("a request", sizeof *f);
    *f = (flight){.r = r, .request = q, .next = r->first, .link = &r->first};
    if (r->first) r->first->link = &f->next;
    r->first = f;
    load_stream_init(&f->stream, r->l->server.api);
    buf_init(&f->body, (size_t)LOAD_MAX_PROMPT * 16);
    buf_init(&f->refusal, REFUSAL_BYTES);
    buf_init(&prompt, (size_t)LOAD_MAX_PROMPT * 8);
    hone_status status = load_prompt(&prompt, n_words, r->salt, r->settings->seed, index);
    if (status == HONE_OK) {
        status = load_make_body(&f->body, r->l, &prompt, n_decode, r->settings->seed + index);
    }
    buf_release(&prompt);
    q->n_prompt_words = n_words;
    if (status == HONE_OK) {
        const http_post post = {.url = r->chat.text, .bearer_token = r->l->server.api_key,
                                .body = f->body.data, .timeout_ms = (long)timeout_ms,
                                .on_bytes = on_bytes, .on_end = on_end, .context = f};
        q->sent_ms = now_ms(r);
        status = http_streams_start(r->streams, &post);
    }
    if (status != HONE_OK) release_flight(f);
    return status;
}

static hone_status observe(const runner *r) {
    const load_settings *s = r->settings;
    bool go_on = !s->observe || s->observe(s->context, r->n_ended, s->n_requests);
    return go_on ? HONE_OK : HONE_ERR_CANCELLED;
}

/* --- learning --- */

static hone_status ask_once(runner *r, load_request *q, size_t n_words) {
    *q = (load_request){.outcome = LOAD_BROKEN};
    TRY(start_flight(r, q, LOAD_MAX_REQUESTS + n_words, n_words, LEARNING_DECODE));
    while (http_streams_running(r->streams) > 0) {
        TRY(observe(r));
        TRY(http_streams_wait(r->streams, WAIT_MS));
    }
    return HONE_OK;
}

/* A straight line through two prompts; the first one also warms the server up. */
static hone_status learn(runner *r) {
    enum { FEW = 8, MORE = 24 };
    load_calibration *c = &r->l->calibration;
    load_request few, more;
    c->ignores_end = r->l->server.api == ENDPOINT_OPENAI;
    TRY(ask_once(r, &few, FEW));
    if (few.outcome == LOAD_REFUSED && (few.http_status == 400 || few.http_status == 422)) {
        c->ignores_end = false; /* a field that it does not know, perhaps */
        TRY(ask_once(r, &few, FEW));
    }
    if (few.outcome == LOAD_DONE) TRY(ask_once(r, &more, MORE));
    const load_request *failed = few.outcome != LOAD_DONE    ? &few
                                 : more.outcome != LOAD_DONE ? &more : NULL;
    if (failed) return fail(HONE_ERR_IO, "%s: %s", r->chat.text, failed->words);
    c->tokens_per_word = more.prompt_tokens > few.prompt_tokens
                             ? (double)(more.prompt_tokens - few.prompt_tokens) / (MORE - FEW)
                             : 1.3;
    c->fixed_tokens = few.prompt_tokens ? (double)few.prompt_tokens - FEW * c->tokens_per_word : 0;
    return HONE_OK;
}

/* --- the run --- */

static size_t words_for(const load_calibration *c, size_t n_tokens) {
    double words = ((double)n_tokens - c->fixed_tokens) / c->tokens_per_word;
    return words < LEAST_WORDS ? LEAST_WORDS : (size_t)(words + 0.5);
}

static hone_status run(runner *r) {
    const load_settings *s = r->settings;
    load *l = r->l;
    size_t n_decode = s->n_decode ? s->n_decode : DEFAULT_DECODE, n_started = 0;
    size_t n_words = words_for(&l->calibration, s->n_prompt ? s->n_prompt : DEFAULT_PROMPT);
    size_t most = s->concurrency ? s->concurrency : s->rate > 0 ? LOAD_MAX_CONCURRENCY : 1;
    double due_ms = 0;
    r->start_ms = clock_ms();
    r->n_ended = 0;
    while (r->n_ended < s->n_requests) {
        TRY(observe(r));
        while (n_started < s->n_requests && http_streams_running(r->streams) < most &&
               now_ms(r) >= due_ms) {
            load_request *q = &l->requests[n_started];
            q->due_ms = s->rate > 0 ? due_ms : now_ms(r);
            TRY(start_flight(r, q, n_started, n_words, n_decode));
            n_started++;
            if (s->rate > 0) due_ms += load_gap_ms(s->rate, s->seed, n_started);
            size_t n_open = http_streams_running(r->streams);
            if (n_open > l->n_most_open) l->n_most_open = n_open;
        }
        double until_ms = n_started < s->n_requests ? due_ms - now_ms(r) : WAIT_MS;
        bool full = http_streams_running(r->streams) >= most;
        TRY(http_streams_wait(r->streams, full || until_ms > WAIT_MS ? WAIT_MS
                                          : until_ms > 0             ? (int)until_ms : 0));
    }
    return HONE_OK;
}

/* The run, and what a server on this machine had to share it with. */
static hone_status run_watched(runner *r) {
    validity *v = &r->l->validity;
    server_machine s;
    server_look before, after;
    server_machine_find(&s, r->l->server.base.text);
    if (!s.is_here) return run(r);
    server_machine_judge_rest(v, &s);
    double rate = machine_clock_rate();
    server_machine_look(&s, &before);
    TRY(run(r));
    server_machine_look(&s, &after);
    server_machine_judge_run(v, &s, &before, &after);
    validity_judge_limits(v, rate, machine_clock_rate());
    server_machine_judge_rest(v, &s);
    return HONE_OK;
}

static hone_status prepare_and_run(runner *r) {
    load *l = r->l;
    const load_settings *s = r->settings;
    if (s->n_requests == 0 || s->n_requests > LOAD_MAX_REQUESTS ||
        s->concurrency > LOAD_MAX_CONCURRENCY || s->n_prompt > LOAD_MAX_PROMPT) {
        return fail(HONE_ERR_ARGUMENT,
                    "1 to %d requests, at most %d at once, prompts of at most %d tokens",
                    LOAD_MAX_REQUESTS, LOAD_MAX_CONCURRENCY, LOAD_MAX_PROMPT);
    }
    TRY(endpoint_find(&l->server, &s->server));
    TRY(fs_path_format(&r->chat, "%s%s", l->server.base.text,
                       l->server.api == ENDPOINT_OPENAI ? "/v1/chat/completions" : "/api/chat"));
    TRY(learn(r));
    l->requests = mem_calloc(s->n_requests, sizeof *l->requests);
    if (!l->requests) return mem_fail("requests", s->n_requests * sizeof *l->requests);
    l->n_requests = s->n_requests;
    return run_watched(r);
}

hone_status load_run(load *l, const load_settings *settings) {
    runner r = {.l = l, .settings = settings, .salt = system_random(), .start_ms = clock_ms()};
    TRY(http_streams_open(&r.streams));
    hone_status status = prepare_and_run(&r);
    http_streams_close(r.streams);
    while (r.first) release_flight(r.first); /* of a run that was cancelled, or failed */
    if (status == HONE_OK) load_summarise(l, settings);
    return status;
}
