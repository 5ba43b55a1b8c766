#include "cli/bench_load.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/mem.h"
#include "cli/cli.h"
#include "cli/interrupt.h"
#include "cli/output.h"
#include "cli/record.h"

enum { DEFAULT_REQUESTS = 50, MAX_KEY_BYTES = 1 << 16 };

static bool on_progress(void *context, size_t n_done, size_t n) {
    (void)context;
    cli_progress("%zu of %zu requests", n_done, n);
    return !interrupt_seen();
}

/* --- JSON --- */

static json_t *times_to_json(const load_times *t) {
    const spread *s = &t->median;
    if (s->n == 0) return json_null();
    return json_pack("{s:I, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:{s:f, s:f, s:f}}", "n",
                     (json_int_t)s->n, "mean", t->mean, "min", s->min, "p50", t->p50, "p90", t->p90,
                     "p95", t->p95, "p99", t->p99, "max", s->max, "median_interval", "low", s->low,
                     "high", s->high, "confidence", s->confidence);
}

static json_t *failures_to_json(const load *l) {
    json_t *object = json_object();
    for (int i = LOAD_DONE + 1; i < LOAD_N_OUTCOMES; i++) {
        json_object_set_new(object, load_outcome_name((load_outcome)i),
                            json_integer((json_int_t)l->n_failed[i]));
    }
    return object;
}

/* A sentence of the first request that failed. */
static const load_request *first_failure(const load *l) {
    for (size_t i = 0; i < l->n_requests; i++) {
        if (l->requests[i].outcome != LOAD_DONE) return &l->requests[i];
    }
    return NULL;
}

static json_t *to_json(const load *l, const load_settings *s) {
    const load_request *failure = first_failure(l);
    json_t *root = json_pack(
        "{s:o, s:o, s:s, s:I, s:I, s:o, s:f, s:o, s:o, s:o, s:f, s:f, s:f, s:{s:f, s:f, s:f, s:f},"
        " s:I}",
        "url", cli_json_text(s->server.url), "model", cli_json_text(l->server.model), "api",
        endpoint_api_name(l->server.api),
        "requests", (json_int_t)l->n_requests, "done", (json_int_t)l->n_done, "errors",
        failures_to_json(l), "seconds", l->seconds, "ttft_ms", times_to_json(&l->ttft), "tpot_ms",
        times_to_json(&l->tpot), "e2e_ms", times_to_json(&l->e2e), "requests_per_s",
        l->requests_per_s, "output_tokens_per_s", l->output_tokens_per_s, "input_tokens_per_s",
        l->input_tokens_per_s, "goodput", "requests_per_s", l->goodput_per_s, "share",
        l->good_share.value, "low", l->good_share.low, "high", l->good_share.high, "most_open",
        (json_int_t)l->n_most_open);
    if (s->rate > 0) json_object_set_new(root, "rate", json_real(s->rate));
    if (s->concurrency)
        json_object_set_new(root, "concurrency", json_integer((json_int_t)s->concurrency));
    json_object_set_new(root, "first_error", failure ? cli_json_text(failure->words) : json_null());
    json_object_set_new(root, "ends_are_ignored", json_boolean(l->calibration.ignores_end));
    json_object_set_new(root, "valid", json_boolean(l->validity.n == 0));
    json_t *reasons = json_array();
    for (size_t i = 0; i < l->validity.n; i++)
        json_array_append_new(reasons, json_string(l->validity.reasons[i].words));
    json_object_set_new(root, "reasons", reasons);
    return root;
}

/* --- a page --- */

static void add_times(cli_table *t, const char *name, const load_times *times) {
    const double values[] = {times->mean, times->p50, times->p90, times->p95, times->p99};
    const spread *s = &times->median;
    cli_text low, high, text;
    cli_table_add(t, "%s", name);
    for (size_t i = 0; i < sizeof values / sizeof *values; i++)
        cli_table_add(t, "%s", s->n ? cli_format_ms(&text, values[i]) : "");
    if (s->n) cli_table_add(t, "%s–%s", cli_format_ms(&low, s->low), cli_format_ms(&high, s->high));
    else cli_table_add(t, "%s", "");
}

static int print_page(const load *l, const load_settings *s) {
    static const char *const headers[] = {"", "mean", "median", "90 %", "95 %", "99 %",
                                          "interval of the median"};
    const load_request *failure = first_failure(l);
    char *model = cli_printable(l->server.model),
         *words = cli_printable(failure ? failure->words : "");
    printf("%s at %s (%s), ", model ? model : "", s->server.url, endpoint_api_name(l->server.api));
    if (s->rate > 0) printf("%.3g arrivals in a second", s->rate);
    else printf("%zu at once", s->concurrency);
    printf(", prompts of about %zu tokens, answers of %zu\n\n", s->n_prompt, s->n_decode);
    cli_table t;
    cli_table_init(&t, "lrrrrrr", headers);
    add_times(&t, "time to first token", &l->ttft);
    add_times(&t, "time per output token", &l->tpot);
    add_times(&t, "end to end", &l->e2e);
    int code = cli_table_print(&t);
    printf("\nrequests        %zu done in %.1f s: %.2f/s; at most %zu at once\n", l->n_done,
           l->seconds, l->requests_per_s, l->n_most_open);
    printf("output tokens   %.1f/s (input %.1f/s), as the server counts them\n",
           l->output_tokens_per_s, l->input_tokens_per_s);
    printf("goodput         %.2f/s: %.1f %% of the requests (%.1f to %.1f) within the limits\n",
           l->goodput_per_s, 100 * l->good_share.value, 100 * l->good_share.low,
           100 * l->good_share.high);
    printf("errors          %zu", l->n_requests - l->n_done);
    for (int i = LOAD_DONE + 1; i < LOAD_N_OUTCOMES; i++) {
        if (l->n_failed[i]) printf(", %zu %s", l->n_failed[i], load_outcome_name((load_outcome)i));
    }
    if (failure) printf("; the first: %s", words ? words : "");
    putchar('\n');
    record_print_doubts(&l->validity);
    mem_free(model);
    mem_free(words);
    return code;
}

/* --- the run --- */

static json_t *describe_settings(const load_settings *s) {
    json_t *o = json_pack("{s:o, s:I, s:I, s:I, s:I, s:I}", "url", cli_json_text(s->server.url),
                          "requests", (json_int_t)s->n_requests, "concurrency",
                          (json_int_t)s->concurrency, "prompt", (json_int_t)s->n_prompt, "decode",
                          (json_int_t)s->n_decode, "seed", (json_int_t)s->seed);
    if (s->rate > 0) json_object_set_new(o, "rate", json_real(s->rate));
    if (s->server.model) json_object_set_new(o, "model", cli_json_text(s->server.model));
    return o;
}

/* The file's first word. */
static hone_status read_key(const char *path, buf *key) {
    TRY(fs_read_file(key, path));
    size_t n = strcspn(key->data ? key->data : "", " \t\r\n");
    if (n == 0) return fail(HONE_ERR_FORMAT, "%s holds no key", path);
    key->data[n] = '\0';
    return HONE_OK;
}

static double or_zero(double value) { return isnan(value) ? 0 : value; }

static int run(load *l, load_settings *s, bool as_json) {
    record kept = {.id = 0};
    record_add_server(&kept, s->server.model ? s->server.model : "", s->server.url);
    record_begin(&kept, RESULT_LOAD, describe_settings(s));
    interrupt_arm(NULL);
    hone_status status = load_run(l, s);
    interrupt_disarm();
    cli_progress_clear();
    if (status != HONE_OK) {
        record_release(&kept);
        return cli_fail(status);
    }
    json_t *json = to_json(l, s);
    RECORD(&kept, results_name_subject(kept.db, kept.id, 0, l->server.model));
    RECORD(&kept, load_store(l, kept.db, kept.id));
    record_finish(&kept, &l->validity, json);
    record_release(&kept);
    if (as_json) return cli_print_json(json, false);
    json_decref(json);
    return print_page(l, s);
}

int bench_load(const bench_load_choice *c, load_settings *s, bool json) {
    load l;
    buf key;
    buf_init(&key, MAX_KEY_BYTES);
    const char *given = getenv("HONE_API_KEY");
    hone_status status = c->key_file ? read_key(c->key_file, &key) : HONE_OK;
    if (status != HONE_OK) {
        buf_release(&key);
        return cli_fail(status);
    }
    s->server.url = c->url;
    s->server.api_key = c->key_file ? key.data : given && *given ? given : NULL;
    s->server.api_is_known = c->api >= 0;
    s->server.api = c->api > 0 ? ENDPOINT_OLLAMA : ENDPOINT_OPENAI;
    s->n_requests = c->requests == CLI_UNSET ? DEFAULT_REQUESTS : (size_t)c->requests;
    s->rate = or_zero(c->rate);
    s->concurrency = c->concurrency != CLI_UNSET ? (size_t)c->concurrency : s->rate > 0 ? 0 : 1;
    s->ttft_limit_ms = or_zero(c->ttft_limit);
    s->tpot_limit_ms = or_zero(c->tpot_limit);
    s->e2e_limit_ms = or_zero(c->e2e_limit);
    s->timeout_ms = 1000 * or_zero(c->timeout);
    s->observe = on_progress;
    load_init(&l);
    int code = run(&l, s, json);
    load_release(&l);
    buf_release(&key);
    return code;
}
