/* A model behind a server that speaks OpenAI's API or Ollama's: requests side by side. */
#include <stdio.h>
#include <string.h>

#include "base/http_streams.h"
#include "base/json.h"
#include "base/mem.h"
#include "lab/endpoint.h"
#include "lab/subject_int.h"

enum {
    DEFAULT_PARALLEL = 8, MOST_PARALLEL = 256, WAIT_MS = 100, TIMEOUT_MS = 30 * 60 * 1000,
    MAX_STOPS = 4, /* that OpenAI's API takes; all are looked for here as well */
    MAX_BODY_BYTES = 64 << 20, MAX_ANSWER_BYTES = 64 << 20
};

typedef struct subject_url {
    subject base;
    endpoint server;
    char *api_key;
} subject_url;

/* --- many requests --- */

typedef struct exchange exchange;

/* One request under way. */
typedef struct call {
    exchange *x;
    size_t index;
    buf body, answer;
    bool busy;
} call;

/* What is asked and what becomes of the answers. */
struct exchange {
    const subject_url *s;
    http_streams *streams;
    call *calls; /* [n_calls] */
    size_t n_calls, n, next, n_done;
    hone_status status; /* the first failure that ends it all */
    const char *path;   /* behind the server's base */
    hone_status (*make)(void *context, size_t index, buf *body);
    /* `json` NULL: the request failed, `words` say why. */
    hone_status (*take)(void *context, size_t index, const json_t *json, const char *words);
    void *context;
};

static bool on_bytes(void *context, long http_status, const char *bytes, size_t n) {
    call *c = context;
    (void)http_status;
    return buf_add(&c->answer, bytes, n) == HONE_OK;
}

static const char *error_words(const json_t *json) {
    const json_t *error = json_object_get(json, "error");
    const char *words = json_string_value(json_is_object(error) ? json_object_get(error, "message")
                                                                : error);
    return words ? words : "no reason is given";
}

static hone_status take_answer(call *c, const http_end *end) {
    exchange *x = c->x;
    json_t *json = NULL;
    char words[400];
    bool parsed = end->status == HONE_OK && c->answer.len > 0 &&
                  json_parse_words(&json, c->answer.data, c->answer.len, "the server's answer") ==
                      HONE_OK;
    if (end->status != HONE_OK) snprintf(words, sizeof words, "%s", end->words);
    else if (!parsed) snprintf(words, sizeof words, "HTTP %ld without JSON", end->http_status);
    else snprintf(words, sizeof words, "HTTP %ld: %s", end->http_status, error_words(json));
    bool fine = parsed && end->http_status == 200;
    hone_status status = x->take(x->context, c->index, fine ? json : NULL, words);
    json_decref(json);
    return status;
}

static void start_next(call *c);

static void on_end(void *context, const http_end *end) {
    call *c = context;
    exchange *x = c->x;
    c->busy = false;
    x->n_done++;
    hone_status status = take_answer(c, end);
    if (status != HONE_OK && x->status == HONE_OK) x->status = status;
    start_next(c);
}

static hone_status start(call *c) {
    exchange *x = c->x;
    fs_path url;
    c->index = x->next++;
    c->body.len = c->answer.len = 0;
    TRY(fs_path_format(&url, "%s%s", x->s->server.base.text, x->path));
    TRY(x->make(x->context, c->index, &c->body));
    const http_post post = {.url = url.text, .bearer_token = x->s->server.api_key,
                            .body = c->body.data, .timeout_ms = TIMEOUT_MS, .on_bytes = on_bytes,
                            .on_end = on_end, .context = c};
    c->busy = true;
    return http_streams_start(x->streams, &post);
}

static void start_next(call *c) {
    exchange *x = c->x;
    if (x->next >= x->n || x->status != HONE_OK) return;
    x->status = start(c);
}

static hone_status open_exchange(exchange *x) {
    size_t most = x->s->base.info.n_parallel;
    x->n_calls = x->n < most ? x->n : most;
    x->calls = mem_calloc(x->n_calls, sizeof *x->calls);
    if (!x->calls) return mem_fail("requests", x->n_calls * sizeof *x->calls);
    for (size_t i = 0; i < x->n_calls; i++) {
        x->calls[i].x = x;
        buf_init(&x->calls[i].body, MAX_BODY_BYTES);
        buf_init(&x->calls[i].answer, MAX_ANSWER_BYTES);
    }
    return http_streams_open(&x->streams);
}

static hone_status run_exchange(exchange *x, const subject_progress *progress, size_t n_items) {
    hone_status status = open_exchange(x);
    for (size_t i = 0; i < x->n_calls && status == HONE_OK && x->status == HONE_OK; i++)
        start_next(&x->calls[i]);
    while (status == HONE_OK && x->status == HONE_OK && http_streams_running(x->streams) > 0) {
        status = http_streams_wait(x->streams, WAIT_MS);
        if (status == HONE_OK && !subject_goes_on(progress, x->n_done * n_items / x->n, n_items))
            status = fail(HONE_ERR_CANCELLED, "stopped");
    }
    http_streams_close(x->streams);
    for (size_t i = 0; x->calls && i < x->n_calls; i++) {
        buf_release(&x->calls[i].body);
        buf_release(&x->calls[i].answer);
    }
    mem_free(x->calls);
    return status == HONE_OK ? x->status : status;
}

static hone_status add_body(buf *out, json_t *body) {
    char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;
    hone_status status = text ? buf_add_text(out, text) : mem_fail("a request", 0);
    mem_free(text);
    json_decref(body);
    return status;
}

/* --- answers --- */

typedef struct asking {
    const subject_url *s;
    const subject_request *requests;
    subject_answer *answers;
} asking;

static json_t *stops_of(const subject_request *r, size_t most) {
    json_t *list = json_array();
    for (size_t i = 0; i < r->n_stop && i < most; i++)
        json_array_append_new(list, json_string(r->stop[i]));
    return list;
}

static json_t *messages_of(const subject_request *r) {
    json_t *list = json_array();
    if (r->system)
        json_array_append_new(list,
                              json_pack("{s:s, s:s}", "role", "system", "content", r->system));
    json_array_append_new(list, json_pack("{s:s, s:s}", "role", "user", "content", r->prompt));
    return list;
}

static json_t *openai_body(const subject_url *s, const subject_request *r) {
    json_t *body = json_pack("{s:s, s:I, s:f, s:f, s:I}", "model", s->server.model, "max_tokens",
                             (json_int_t)r->max_tokens, "temperature",
                             (double)r->sampling.temperature, "top_p", (double)r->sampling.top_p,
                             "seed", (json_int_t)(r->sampling.seed & 0x7fffffff));
    if (r->chat) json_object_set_new(body, "messages", messages_of(r));
    else json_object_set_new(body, "prompt", json_string(r->prompt));
    if (r->n_stop) json_object_set_new(body, "stop", stops_of(r, MAX_STOPS));
    return body;
}

static json_t *ollama_body(const subject_url *s, const subject_request *r) {
    json_t *body = json_pack(
        "{s:s, s:b, s:{s:I, s:f, s:f, s:I, s:o}}", "model", s->server.model, "stream", 0, "options",
        "num_predict", (json_int_t)r->max_tokens, "temperature", (double)r->sampling.temperature,
        "top_p", (double)r->sampling.top_p, "seed", (json_int_t)(r->sampling.seed & 0x7fffffff),
        "stop", stops_of(r, r->n_stop));
    if (r->chat) {
        json_object_set_new(body, "messages", messages_of(r));
    } else {
        json_object_set_new(body, "prompt", json_string(r->prompt));
        json_object_set_new(body, "raw", json_true());
    }
    return body;
}

static hone_status make_request(void *context, size_t index, buf *out) {
    const asking *a = context;
    const subject_request *r = &a->requests[index];
    return add_body(out, a->s->server.api == ENDPOINT_OPENAI ? openai_body(a->s, r)
                                                        : ollama_body(a->s, r));
}

/* Where the first of the stop strings begins; the end of the text without one. */
static size_t stopped_at(const char *text, const subject_request *r) {
    size_t n = strlen(text);
    for (size_t i = 0; i < r->n_stop; i++) {
        const char *at = strstr(text, r->stop[i]);
        if (at && (size_t)(at - text) < n) n = (size_t)(at - text);
    }
    return n;
}

static size_t count_of(const json_t *object, const char *key) {
    uint64_t n = 0;
    return json_to_u64(json_object_get(object, key), &n) ? (size_t)n : 0;
}

static hone_status take_text(void *context, size_t index, const json_t *json, const char *words) {
    const asking *a = context;
    const subject_request *r = &a->requests[index];
    subject_answer *out = &a->answers[index];
    bool openai = a->s->server.api == ENDPOINT_OPENAI;
    const json_t *choice = openai ? json_array_get(json_object_get(json, "choices"), 0) : json;
    const json_t *usage = openai ? json_object_get(json, "usage") : json;
    const char *text = json_string_value(
        r->chat ? json_object_get(json_object_get(choice, "message"), "content")
                : json_object_get(choice, openai ? "text" : "response"));
    const char *finish =
        json_string_value(json_object_get(choice, openai ? "finish_reason" : "done_reason"));
    if (!text)
        return subject_note_failure(out, HONE_ERR_IO, json ? "an answer without text" : words);
    size_t n = stopped_at(text, r);
    out->text = mem_copy_string(text, n);
    if (!out->text) return mem_fail("answer", n);
    bool cut = finish && strcmp(finish, "length") == 0 && text[n] == '\0';
    out->end = cut ? SUBJECT_CUT : SUBJECT_STOPPED;
    out->n_prompt_tokens = count_of(usage, openai ? "prompt_tokens" : "prompt_eval_count");
    out->n_tokens = count_of(usage, openai ? "completion_tokens" : "eval_count");
    return HONE_OK;
}

static hone_status generate(subject *base, const subject_request *requests, size_t n,
                            subject_answer *answers, const subject_progress *progress) {
    const subject_url *s = (const subject_url *)base;
    bool openai = s->server.api == ENDPOINT_OPENAI, chat = requests[0].chat;
    asking a = {s, requests, answers};
    exchange x = {.s = s, .n = n, .make = make_request, .take = take_text, .context = &a};
    x.path = openai ? chat ? "/v1/chat/completions" : "/v1/completions"
                    : chat ? "/api/chat" : "/api/generate";
    return run_exchange(&x, progress, n);
}

/* --- log-likelihoods: the prompt comes back with the probabilities of its tokens --- */

/* The context alone, which tells how many tokens it has, or the context with a continuation. */
typedef struct echo {
    subject_scoring *scoring;
    size_t continuation; /* from 0; n = none */
    double *logprobs;    /* [n_tokens] of the text's tokens */
    size_t n_tokens;
} echo;

typedef struct echoing {
    const subject_url *s;
    echo *echoes;
} echoing;

static hone_status make_echo(void *context, size_t index, buf *out) {
    const echoing *e = context;
    const echo *one = &e->echoes[index];
    const subject_scoring *scoring = one->scoring;
    buf text;
    buf_init(&text, MAX_BODY_BYTES);
    hone_status status = buf_add_text(&text, scoring->context);
    if (status == HONE_OK && one->continuation < scoring->n)
        status = buf_add_text(&text, scoring->continuations[one->continuation]);
    if (status == HONE_OK)
        status = add_body(out,
                          json_pack("{s:s, s:s, s:i, s:i, s:b, s:i}", "model", e->s->server.model,
                                    "prompt", text.data ? text.data : "", "max_tokens", 1,
                                    "logprobs", 1, "echo", 1, "temperature", 0));
    buf_release(&text);
    return status;
}

static hone_status take_echo(void *context, size_t index, const json_t *json, const char *words) {
    const echoing *e = context;
    echo *one = &e->echoes[index];
    if (!json) return fail(HONE_ERR_UNSUPPORTED, "%s: %s", e->s->server.base.text, words);
    const json_t *choice = json_array_get(json_object_get(json, "choices"), 0);
    const json_t *list = json_object_get(json_object_get(choice, "logprobs"), "token_logprobs");
    size_t n = count_of(json_object_get(json, "usage"), "prompt_tokens");
    if (!json_is_array(list) || n == 0 || json_array_size(list) < n)
        return fail(HONE_ERR_UNSUPPORTED,
                    "%s gives no log-probabilities of a prompt (echo with logprobs in "
                    "/v1/completions)", e->s->server.base.text);
    one->logprobs = mem_calloc(n, sizeof *one->logprobs);
    if (!one->logprobs) return mem_fail("log-probabilities", n * sizeof *one->logprobs);
    for (size_t i = 0; i < n; i++) one->logprobs[i] = json_number_value(json_array_get(list, i));
    one->n_tokens = n;
    return HONE_OK;
}

/* echoes[0] is the context's, the others the continuations'. */
static void settle(subject_scoring *scoring, const echo *echoes) {
    scoring->n_context_tokens = echoes[0].n_tokens;
    scoring->done = true;
    for (size_t i = 0; i <= scoring->n; i++) scoring->done &= echoes[i].n_tokens > 0;
    if (!scoring->done) return;
    for (size_t i = 0; i < scoring->n; i++) {
        const echo *one = &echoes[i + 1];
        size_t first = echoes[0].n_tokens < one->n_tokens ? echoes[0].n_tokens : one->n_tokens - 1;
        scoring->logprobs[i] = 0;
        scoring->n_tokens[i] = one->n_tokens - first;
        for (size_t t = first; t < one->n_tokens; t++) scoring->logprobs[i] += one->logprobs[t];
    }
}

static hone_status score(subject *base, subject_scoring *scorings, size_t n,
                         const subject_progress *progress) {
    echoing e = {.s = (const subject_url *)base};
    size_t n_echoes = 0, at = 0;
    for (size_t i = 0; i < n; i++) n_echoes += 1 + scorings[i].n;
    e.echoes = mem_calloc(n_echoes, sizeof *e.echoes);
    if (!e.echoes) return mem_fail("requests", n_echoes * sizeof *e.echoes);
    for (size_t i = 0; i < n; i++) {
        e.echoes[at++] = (echo){.scoring = &scorings[i], .continuation = scorings[i].n};
        for (size_t k = 0; k < scorings[i].n; k++)
            e.echoes[at++] = (echo){.scoring = &scorings[i], .continuation = k};
    }
    exchange x = {.s = e.s, .n = n_echoes, .path = "/v1/completions", .make = make_echo,
                  .take = take_echo, .context = &e};
    hone_status status = run_exchange(&x, progress, n);
    at = 0;
    for (size_t i = 0; i < n; i++) {
        settle(&scorings[i], e.echoes + at);
        at += 1 + scorings[i].n;
    }
    for (size_t i = 0; i < n_echoes; i++) mem_free(e.echoes[i].logprobs);
    mem_free(e.echoes);
    return status;
}

/* --- opening --- */

static void close_url(subject *base) {
    subject_url *s = (subject_url *)base;
    mem_free(s->api_key);
    mem_free(s);
}

static const subject_ops openai_ops = {close_url, generate, score, NULL};
static const subject_ops ollama_ops = {close_url, generate, NULL, NULL};

static hone_status find_server(subject_url *s, const subject_settings *settings) {
    if (settings->api_key) {
        s->api_key = mem_copy_string(settings->api_key, strlen(settings->api_key));
        if (!s->api_key) return mem_fail("key", strlen(settings->api_key));
    }
    const endpoint_wish wanted = {.url = settings->url, .api_key = s->api_key,
                                  .model = settings->model};
    return endpoint_find(&s->server, &wanted);
}

hone_status subject_url_open(subject **out, const subject_settings *settings) {
    if (settings->exact || settings->n_adapters || settings->n_context)
        return fail(HONE_ERR_ARGUMENT, "a server has its own context, adapters and arithmetic");
    if (settings->n_parallel > MOST_PARALLEL)
        return fail(HONE_ERR_ARGUMENT, "%zu requests at once, at most %d", settings->n_parallel,
                    MOST_PARALLEL);
    subject_url *s = mem_calloc(1, sizeof *s);
    if (!s) return mem_fail("server", sizeof *s);
    hone_status status = find_server(s, settings);
    if (status != HONE_OK) {
        close_url(&s->base);
        return status;
    }
    bool openai = s->server.api == ENDPOINT_OPENAI;
    s->base.ops = openai ? &openai_ops : &ollama_ops;
    s->base.info = (subject_info){
        .name = s->server.model, .kind = openai ? "openai" : "ollama", .has_chat = true,
        .n_parallel = settings->n_parallel ? settings->n_parallel : DEFAULT_PARALLEL};
    *out = &s->base;
    return HONE_OK;
}
