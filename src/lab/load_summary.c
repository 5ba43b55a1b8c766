/* What the requests say together, and whether to believe it. */
#include <math.h>
#include <stdio.h>

#include "base/mem.h"
#include "lab/load.h"

/* --- times --- */

/* TPOT of one token is unknown: NAN. */
static double tpot_of(const load_request *q) {
    if (q->tokens < 2 || q->first_ms == 0) return NAN;
    return (q->end_ms - q->first_ms) / (double)(q->tokens - 1);
}

static double ttft_of(const load_request *q) {
    return q->first_ms > 0 ? q->first_ms - q->due_ms : NAN;
}

static double e2e_of(const load_request *q) { return q->end_ms - q->due_ms; }

static load_times summarise_times(const load *l, double *values,
                                  double (*time_of)(const load_request *)) {
    load_times t = {.mean = 0};
    size_t n = 0;
    for (size_t i = 0; i < l->n_requests; i++) {
        double value = l->requests[i].outcome == LOAD_DONE ? time_of(&l->requests[i]) : NAN;
        if (!isnan(value)) values[n++] = value;
    }
    if (n == 0) return t;
    t.median = spread_of(values, n);
    for (size_t i = 0; i < n; i++) t.mean += values[i] / (double)n;
    t.p50 = stats_quantile(values, n, 0.50);
    t.p90 = stats_quantile(values, n, 0.90);
    t.p95 = stats_quantile(values, n, 0.95);
    t.p99 = stats_quantile(values, n, 0.99);
    return t;
}

static bool within(double limit_ms, double value) {
    return limit_ms <= 0 || isnan(value) || value <= limit_ms;
}

static bool is_good(const load_request *q, const load_settings *s) {
    return q->outcome == LOAD_DONE && q->first_ms > 0 && within(s->ttft_limit_ms, ttft_of(q)) &&
           within(s->tpot_limit_ms, tpot_of(q)) && within(s->e2e_limit_ms, e2e_of(q));
}

void load_summarise(load *l, const load_settings *s) {
    double first_ms = INFINITY, last_ms = 0, tokens = 0, prompt_tokens = 0;
    size_t n_good = 0;
    for (int i = 0; i < LOAD_N_OUTCOMES; i++) l->n_failed[i] = 0;
    for (size_t i = 0; i < l->n_requests; i++) {
        const load_request *q = &l->requests[i];
        l->n_failed[q->outcome]++;
        first_ms = fmin(first_ms, q->due_ms);
        last_ms = fmax(last_ms, q->end_ms);
        if (q->outcome != LOAD_DONE) continue;
        tokens += (double)q->tokens;
        prompt_tokens += (double)q->prompt_tokens;
        n_good += is_good(q, s);
    }
    l->n_done = l->n_failed[LOAD_DONE];
    l->n_failed[LOAD_DONE] = 0;
    l->seconds = last_ms > first_ms ? (last_ms - first_ms) / 1000 : 0;
    if (l->seconds > 0) {
        l->requests_per_s = (double)l->n_done / l->seconds;
        l->output_tokens_per_s = tokens / l->seconds;
        l->input_tokens_per_s = prompt_tokens / l->seconds;
        l->goodput_per_s = (double)n_good / l->seconds;
    }
    if (l->n_requests) l->good_share = stats_wilson(n_good, l->n_requests);
    double *values = mem_calloc(l->n_requests + 1, sizeof *values);
    if (values) {
        l->ttft = summarise_times(l, values, ttft_of);
        l->tpot = summarise_times(l, values, tpot_of);
        l->e2e = summarise_times(l, values, e2e_of);
    }
    mem_free(values);
    load_judge(&l->validity, l->requests, l->n_requests, s->n_decode ? s->n_decode : 64,
               &l->calibration);
}

/* --- judging --- */

enum { LEAST_ANSWERS = 10 };
#define CUT_BELOW 0.8        /* of the prompt's expected tokens */
#define CACHED_TOLERATED 8   /* beyond the template, which every prompt shares */
#define FAILED_TOLERATED 0.05
#define LATE_TOLERATED_MS 100

/* Text of a language with blanks has at least one token in a word; some slack for the odd
 * tokenizer. */
static bool more_words_than_tokens(const load_request *q) {
    return (double)q->n_words > 1.1 * (double)q->tokens + 2;
}

typedef struct counts {
    size_t n_done, n_early, n_empty, n_cached, n_cut, n_miscounted, n_silent, n_too_many, n_late;
} counts;

static void count_request(counts *c, const load_request *q, size_t n_decode,
                          const load_calibration *calibration) {
    if (q->sent_ms - q->due_ms > LATE_TOLERATED_MS) c->n_late++;
    if (q->outcome != LOAD_DONE) return;
    c->n_done++;
    if (q->n_chunks == 0) c->n_empty++;
    if (!q->has_usage) {
        c->n_silent++;
        return;
    }
    double expected = calibration->fixed_tokens +
                      calibration->tokens_per_word * (double)q->n_prompt_words;
    bool ended_by_limit = q->finish == LOAD_FINISH_LENGTH;
    if ((ended_by_limit && q->tokens < n_decode) || more_words_than_tokens(q)) c->n_miscounted++;
    else if (q->tokens < n_decode) c->n_early++;
    if (q->tokens > n_decode) c->n_too_many++;
    if ((double)q->cached_tokens > calibration->fixed_tokens + CACHED_TOLERATED) c->n_cached++;
    if ((double)q->prompt_tokens < CUT_BELOW * expected) c->n_cut++;
}

void load_judge(validity *v, const load_request *requests, size_t n, size_t n_decode,
                const load_calibration *calibration) {
    counts c = {.n_done = 0};
    for (size_t i = 0; i < n; i++) count_request(&c, &requests[i], n_decode, calibration);
    if (c.n_miscounted)
        validity_doubt(v, VALIDITY_TOKEN_COUNT,
                       "the server's token count is wrong in %zu of %zu answers: it seems to count "
                       "events of the stream", c.n_miscounted, c.n_done);
    if (c.n_too_many)
        validity_doubt(v, VALIDITY_TOKEN_COUNT,
                       "%zu of %zu answers are counted as longer than the %zu tokens allowed",
                       c.n_too_many, c.n_done, n_decode);
    if (c.n_silent)
        validity_doubt(v, VALIDITY_TOKEN_COUNT,
                       "the server tells no usage for %zu of %zu answers: their tokens are unknown",
                       c.n_silent, c.n_done);
    if (c.n_empty)
        validity_doubt(v, VALIDITY_EMPTY_ANSWER, "%zu of %zu answers are empty", c.n_empty,
                       c.n_done);
    if (c.n_early)
        validity_doubt(v, VALIDITY_EARLY_END,
                       "%zu of %zu answers ended before their %zu tokens: the work is not fixed",
                       c.n_early, c.n_done, n_decode);
    if (c.n_cached)
        validity_doubt(v, VALIDITY_CACHE_HIT, "%zu of %zu prompts were found in the server's cache",
                       c.n_cached, c.n_done);
    if (c.n_cut)
        validity_doubt(v, VALIDITY_TRUNCATED,
                       "the server left out a part of %zu of %zu prompts: its context is too short",
                       c.n_cut, c.n_done);
    if ((double)(n - c.n_done) > FAILED_TOLERATED * (double)n)
        validity_doubt(v, VALIDITY_ERRORS,
                       "%zu of %zu requests failed; the times are those of the others",
                       n - c.n_done, n);
    if (c.n_done < LEAST_ANSWERS)
        validity_doubt(v, VALIDITY_FEW_REPETITIONS,
                       "fewer than %d answers say little about percentiles", LEAST_ANSWERS);
    if (c.n_late)
        validity_doubt(v, VALIDITY_DISTURBED, "%zu requests were sent later than they were due",
                       c.n_late);
}

/* --- keeping --- */

static hone_status store_times(const char *name, const load_times *t, results *r, int64_t id) {
    char names[4][32];
    static const char *const endings[] = {"p90", "p95", "p99"};
    const double quantiles[] = {t->p90, t->p95, t->p99};
    const spread *s = &t->median;
    if (s->n == 0) return HONE_OK;
    const result_metric median = {.name = name, .condition = "quantile=p50", .unit = "ms",
                                  .value = s->median, .low = s->low, .high = s->high, .n = s->n,
                                  .better = -1};
    TRY(results_add_metrics(r, id, &median, 1));
    for (size_t i = 0; i < 3; i++) {
        snprintf(names[i], sizeof names[i], "quantile=%s", endings[i]);
        const result_metric m = {.name = name, .condition = names[i], .unit = "ms",
                                 .value = quantiles[i], .low = NAN, .high = NAN, .n = s->n,
                                 .better = -1};
        TRY(results_add_metrics(r, id, &m, 1));
    }
    return HONE_OK;
}

enum { STORED_AT_ONCE = 256 }; /* in one transaction */

static json_t *times_to_json(const load_request *q) {
    return json_pack("{s:f, s:f, s:f, s:f, s:I, s:I, s:I, s:I}", "due_ms", q->due_ms, "sent_ms",
                     q->sent_ms, "first_ms", q->first_ms, "end_ms", q->end_ms, "prompt_tokens",
                     (json_int_t)q->prompt_tokens, "tokens", (json_int_t)q->tokens,
                     "cached_tokens", (json_int_t)q->cached_tokens, "events",
                     (json_int_t)q->n_chunks);
}

static hone_status store_requests(const load *l, size_t first, results *r, int64_t id) {
    result_item items[STORED_AT_ONCE];
    char names[STORED_AT_ONCE][24];
    size_t n = l->n_requests - first < STORED_AT_ONCE ? l->n_requests - first : STORED_AT_ONCE;
    json_build_begin();
    for (size_t i = 0; i < n; i++) {
        const load_request *q = &l->requests[first + i];
        bool done = q->outcome == LOAD_DONE;
        snprintf(names[i], sizeof names[i], "%06zu", first + i);
        items[i] = (result_item){.task = "load", .id = names[i],
                                 .verdict = done ? NULL : "invalid",
                                 .reason = done ? NULL : q->words,
                                 .score = done ? e2e_of(q) : NAN, .scores = times_to_json(q)};
    }
    hone_status status = json_build_end("the requests' times");
    if (status == HONE_OK) status = results_add_items(r, id, items, n);
    for (size_t i = 0; i < n; i++) json_decref(items[i].scores);
    return status;
}

hone_status load_store(const load *l, results *r, int64_t id) {
    const result_metric rates[] = {
        {.name = "requests", .unit = "1/s", .value = l->requests_per_s, .better = 1},
        {.name = "output_tokens", .unit = "tokens/s", .value = l->output_tokens_per_s, .better = 1},
        {.name = "input_tokens", .unit = "tokens/s", .value = l->input_tokens_per_s, .better = 1},
        {.name = "goodput", .unit = "1/s", .value = l->goodput_per_s, .better = 1},
    };
    TRY(store_times("ttft", &l->ttft, r, id));
    TRY(store_times("tpot", &l->tpot, r, id));
    TRY(store_times("e2e", &l->e2e, r, id));
    for (size_t i = 0; i < sizeof rates / sizeof *rates; i++) {
        result_metric m = rates[i];
        m.low = m.high = NAN;
        m.n = l->n_done;
        TRY(results_add_metrics(r, id, &m, 1));
    }
    const result_metric good = {.name = "good_share", .unit = "share", .value = l->good_share.value,
                                .low = l->good_share.low, .high = l->good_share.high,
                                .n = l->n_requests, .better = 1};
    TRY(results_add_metrics(r, id, &good, 1));
    for (size_t i = 0; i < l->n_requests; i += STORED_AT_ONCE) TRY(store_requests(l, i, r, id));
    return HONE_OK;
}
