/* A server under load, as its users see it: hone's own or any other that speaks OpenAI's or
 * Ollama's API.
 *
 * Requests are chats whose answers stream. They arrive at random at a rate (a Poisson process:
 * users do not wait for each other; delays count from the arrival that was planned, so that a
 * server which falls behind cannot hide it) or a fixed number of them is always under way. Each
 * prompt begins with words that were never sent before, so that no cache can hold it. Tokens are
 * those of the server's `usage`; events of the stream are never taken for tokens. Errors are
 * counted apart and have no part in any time.
 *
 *   TTFT    from the request to the first event with text (events without text do not count)
 *   TPOT    (end − first text) / (tokens − 1)
 *   E2E     from the request to the end of the stream
 *   goodput requests per second that met all limits that were set (DistServe, Zhong et al. 2024) */
#ifndef LAB_LOAD_H
#define LAB_LOAD_H

#include "base/stats.h"
#include "lab/endpoint.h"
#include "lab/load_stream.h"
#include "lab/results.h"
#include "lab/validity.h"

enum { LOAD_MAX_REQUESTS = 100000, LOAD_MAX_CONCURRENCY = 1024, LOAD_MAX_PROMPT = 1 << 17 };

/* Zero-initialise and set what you need. Borrowed. */
typedef struct load_settings {
    endpoint_wish server;
    size_t n_requests;
    double rate;         /* arrivals in a second; 0 = `concurrency` */
    size_t concurrency;  /* requests always under way; with a rate the most there may be, 0 = all */
    size_t n_prompt;     /* tokens of a prompt, about; 0 = 128 */
    size_t n_decode;     /* tokens of an answer; 0 = 64 */
    uint64_t seed;       /* of arrivals and words */
    double timeout_ms;   /* of a request; 0 = ten minutes */
    double ttft_limit_ms, tpot_limit_ms, e2e_limit_ms; /* of the goodput; 0 = none */
    /* Hears several times a second; false ends the work with HONE_ERR_CANCELLED. May be NULL. */
    bool (*observe)(void *context, size_t n_done, size_t n_requests);
    void *context;
} load_settings;

typedef enum load_outcome {
    LOAD_DONE,
    LOAD_REFUSED,   /* an HTTP status, or an error in the stream */
    LOAD_BROKEN,    /* no connection, or it broke */
    LOAD_TIMED_OUT,
    LOAD_MALFORMED, /* no such stream, or no end of it */
} load_outcome;

enum { LOAD_N_OUTCOMES = 5 };
const char *load_outcome_name(load_outcome outcome); /* "done", "refused", … */

/* One request. Times in milliseconds from the beginning of the run. */
typedef struct load_request {
    load_outcome outcome;
    char words[160]; /* why it failed */
    long http_status;
    double due_ms, sent_ms, first_ms, end_ms; /* first 0 = no text came */
    size_t n_prompt_words;
    size_t n_chunks, n_words;
    bool has_usage;
    uint64_t prompt_tokens, tokens, cached_tokens;
    load_finish finish;
} load_request;

/* Times in milliseconds. `median` has the interval; quantiles are of the nearest rank. */
typedef struct load_times {
    spread median;
    double mean, p50, p90, p95, p99;
} load_times;

/* What a prompt of so many words becomes at this server: learned from two requests before the
 * run. */
typedef struct load_calibration {
    double fixed_tokens;    /* of the template */
    double tokens_per_word;
    bool ignores_end;       /* the server takes "ignore_eos" */
} load_calibration;

typedef struct load {
    endpoint server;
    load_calibration calibration;
    load_request *requests;
    size_t n_requests, n_done, n_failed[LOAD_N_OUTCOMES];
    double seconds;  /* from the first arrival to the last end */
    load_times ttft, tpot, e2e; /* median.n 0 = nothing to tell */
    double requests_per_s, output_tokens_per_s, input_tokens_per_s;
    double goodput_per_s;
    estimate good_share;  /* of all requests, the failed ones included; Wilson */
    size_t n_most_open;   /* requests under way at once */
    validity validity;
} load;

void load_init(load *l);
void load_release(load *l);

/* Finds out whom it speaks to, learns the length of words, runs, summarises and judges. Errors: a
 * server that is not there, or speaks neither API, or refuses the first request (with its words);
 * HONE_ERR_CANCELLED. That later requests fail is a finding, no error. */
hone_status load_run(load *l, const load_settings *settings);

/* The summary as the metrics of a result, the requests as its items. */
hone_status load_store(const load *l, results *r, int64_t id);

/* --- parts, tried by themselves --- */

/* Fills all but server, requests and calibration from the requests, and judges them. */
void load_summarise(load *l, const load_settings *settings);

/* What a server may not do (lab/validity.h): leave out a part of the prompt, take it from a cache,
 * end early, say nothing, count events of the stream instead of tokens, fail often. */
void load_judge(validity *v, const load_request *requests, size_t n, size_t n_decode,
                const load_calibration *calibration);

/* Milliseconds between two arrivals: exponential with the mean 1000 / rate. */
double load_gap_ms(double rate, uint64_t seed, size_t index);

/* The words of a prompt: `salt` makes them new. HONE_ERR_MEMORY. */
hone_status load_prompt(buf *out, size_t n_words, uint64_t salt, uint64_t seed, size_t index);

#endif
