#include "serve/openai_strategy.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/status.h"
#include "lab/code_run.h"
#include "serve/chat_messages.h"
#include "serve/example_list.h"
#include "serve/fields.h"
#include "serve/openai.h"
#include "serve/openai_chat_request.h"
#include "serve/reply.h"
#include "serve/scheduler_draws.h"
#include "serve/stream.h"

enum { MAX_SLUG = 64 };

/* The stream's thread waits; another one runs the strategy and leaves events in `pending`. */
typedef struct strategy_answer {
    openai_answer base;
    openai_chat_request q;
    chat_prompt prompt;     /* for its grammar */
    chat_messages messages;
    hone_strategy *strategy;
    served_model served[1 + HONE_MAX_OTHERS]; /* the exchange's own, and those behind "with" */
    size_t n_served;
    example_list examples;
    hone_strategy_options options;
    hone_strategy_result result;
    buf text, thought; /* of the result */
    hone_status status;
    char words[512]; /* of a failure */

    pthread_t thread;
    bool running; /* there is a thread to be joined */
    pthread_mutex_t lock;
    pthread_cond_t news;
    buf pending;
    bool ended;
} strategy_answer;

/* --- the name --- */

/* "sc8" of "sc8-smollm2:135m"; false where what stands before the dash is no strategy. */
static bool read_slug(const char *model, char slug[MAX_SLUG]) {
    const char *dash = model ? strchr(model, '-') : NULL;
    hone_strategy *s;
    if (!dash || dash == model || dash - model >= MAX_SLUG) return false;
    memcpy(slug, model, (size_t)(dash - model));
    slug[dash - model] = 0;
    if (hone_strategy_parse(&s, slug) != HONE_OK) return false;
    hone_strategy_close(s);
    return true;
}

bool openai_strategy_is_wanted(const openai_request *r) {
    char slug[MAX_SLUG];
    return field_find(r->body, "strategy") || field_find(r->body, "optillm_approach") ||
           read_slug(r->model, slug);
}

static hone_status read_strategy(strategy_answer *a) {
    openai_request *r = &a->base.r;
    const char *name = NULL;
    char slug[MAX_SLUG];
    TRY(json_get_string(r->body, "strategy", &name));
    if (!name) TRY(json_get_string(r->body, "optillm_approach", &name));
    if (read_slug(r->model, slug)) {
        r->model = strchr(r->model, '-') + 1;
        if (!name) name = slug;
    }
    return hone_strategy_parse(&a->strategy, name ? name : "none");
}

static hone_status read_budget(hone_strategy_options *o, const json_t *body) {
    const json_t *budget = field_find(body, "strategy_budget");
    uint64_t draws = 0, tokens = 0;
    if (!budget) return HONE_OK;
    if (!json_is_object(budget)) return fail(HONE_ERR_ARGUMENT, "strategy_budget is no object");
    TRY(field_whole(budget, "draws", 0, 1 << 20, &draws));
    TRY(field_whole(budget, "tokens", 0, 1 << 30, &tokens));
    TRY(field_number(budget, "seconds", 0, 86400, &o->max_seconds));
    o->max_draws = (size_t)draws;
    o->max_tokens = (size_t)tokens;
    return HONE_OK;
}

/* The field itself is only read: the list of its items is another's. */
static hone_status read_examples(strategy_answer *a) {
    json_t *list = json_object_get(a->base.r.body, "strategy_examples");
    if (!list || json_is_null(list)) return HONE_OK;
    TRY(example_list_init(&a->examples, list));
    a->options.examples = a->examples.items;
    a->options.n_examples = a->examples.n;
    return HONE_OK;
}

/* The models behind "with", by their names in the store. */
static hone_status borrow_others(strategy_answer *a) {
    const char *name;
    a->served[0] = a->base.served;
    a->n_served = 1;
    while ((name = hone_strategy_model(a->strategy, a->n_served - 1))) {
        served_model *served = &a->served[a->n_served];
        TRY(models_borrow(a->base.models, name, served));
        a->n_served++;
        if (!served->scheduler) return fail(HONE_ERR_UNSUPPORTED, "%s takes no text", served->name);
    }
    return HONE_OK;
}

/* --- running --- */

/* One program at a time in the whole server, whoever asks: each may take a core and 1 GiB. */
static pthread_mutex_t program_lock = PTHREAD_MUTEX_INITIALIZER;

static hone_status run_program(void *user, const char *language, const char *code, char **output) {
    const strategy_answer *a = user;
    pthread_mutex_lock(&program_lock);
    bool over = models_are_stopping(a->base.models) || exchange_is_gone(a->base.x);
    hone_status status = over ? fail(HONE_ERR_CANCELLED, "nobody waits for the answer")
                              : code_run(NULL, language, code, output);
    pthread_mutex_unlock(&program_lock);
    return status;
}

static void offer_code(strategy_answer *a) {
    a->options.user = a;
    if (a->base.runs_code) a->options.run_code = run_program;
    else a->options.no_code = "this server runs no code that models write (hone serve --run-code)";
}

static hone_status prepare(strategy_answer *a) {
    openai_answer *base = &a->base;
    TRY(openai_chat_request_read(&a->q, &base->r));
    TRY(read_strategy(a));
    TRY(read_budget(&a->options, base->r.body));
    TRY(read_examples(a));
    offer_code(a);
    if (base->r.n_choices > 1)
        return fail(HONE_ERR_ARGUMENT, "a strategy gives one answer: n must be 1");
    if (json_array_size(a->q.chat.tools))
        return fail(HONE_ERR_UNSUPPORTED, "strategies do not call tools");
    TRY(openai_answer_borrow(base));
    TRY(borrow_others(a));
    TRY(openai_answer_converse(base, &a->q.chat));
    TRY(chat_prepare(&a->prompt, &a->q.chat, base->served.model));
    TRY(chat_messages_make(&a->messages, a->q.chat.messages, NULL));
    hone_request *request = &base->r.request;
    chat_fill_request(&a->prompt, &a->q.chat, request);
    request->prompt_ids = NULL;
    request->n_prompt_ids = 0;
    request->messages = a->messages.messages;
    request->n_messages = a->messages.n;
    return HONE_OK;
}

static hone_status take_span(void *user, answer_span_kind kind, const char *text, size_t n) {
    strategy_answer *a = user;
    return buf_add(kind == ANSWER_THOUGHT ? &a->thought : &a->text, text, n);
}

/* Tells the answer's thoughts from its text. A thought that the prompt has opened is one where it
 * was closed, or where the answer never came: some strategies return a part of what a draw says. */
static hone_status part_thoughts(strategy_answer *a) {
    const hone_strategy_result *t = &a->result;
    chat_prompt prompt = a->prompt;
    answer_parser *parser;
    bool thinks = t->chosen < t->n_draws && t->draws[t->chosen].n_thought_tokens > 0;
    bool cut = t->finish != HONE_FINISH_STOP && thinks;
    if (prompt.opened && !cut && !strstr(t->text, prompt.opened->close)) prompt.opened = NULL;
    TRY(chat_open_parser(&parser, &prompt, take_span, a));
    hone_status status = answer_parser_push(parser, t->text, strlen(t->text));
    if (status == HONE_OK) status = answer_parser_finish(parser);
    answer_parser_close(parser);
    return status;
}

static void run(strategy_answer *a) {
    scheduler_draws draws = {a->served, a->n_served, a->base.x, a->base.client};
    draw_service service = scheduler_draws_service(&draws);
    a->status = strategy_run_on(a->strategy, &service, &a->base.r.request, &a->options, &a->result);
    if (a->status == HONE_OK) a->status = part_thoughts(a);
    if (a->status != HONE_OK) snprintf(a->words, sizeof a->words, "%s", hone_error_message());
}

static void answer_close(void *state) {
    strategy_answer *a = state;
    if (a->running) pthread_join(a->thread, NULL); /* it notices that the client left */
    hone_strategy_result_release(&a->result);
    hone_strategy_close(a->strategy);
    chat_messages_release(&a->messages);
    example_list_release(&a->examples);
    while (a->n_served > 1) models_return(a->base.models, &a->served[--a->n_served]);
    openai_answer_release(&a->base);
    chat_prompt_release(&a->prompt);
    buf_release(&a->pending);
    buf_release(&a->text);
    buf_release(&a->thought);
    pthread_cond_destroy(&a->news);
    pthread_mutex_destroy(&a->lock);
    mem_free(a);
}

/* --- what is told --- */

/* A message, or the delta that holds all of it. */
static json_t *message_of(const strategy_answer *a) {
    json_t *message = json_pack("{s:s, s:s%}", "role", "assistant", "content",
                                a->text.data ? a->text.data : "", a->text.len);
    if (a->thought.len)
        json_object_set_new(message, "reasoning_content",
                            json_stringn(a->thought.data, a->thought.len));
    return message;
}

static json_t *usage_of(const hone_strategy_result *t) {
    json_int_t prompt = 0, cached = 0, thoughts = 0, made = (json_int_t)t->n_decode_tokens;
    for (size_t i = 0; i < t->n_draws; i++) {
        prompt += (json_int_t)t->draws[i].n_prompt_tokens;
        cached += (json_int_t)t->draws[i].n_cached_tokens;
        thoughts += (json_int_t)t->draws[i].n_thought_tokens;
    }
    return json_pack("{s:I, s:I, s:I, s:{s:I}, s:{s:I}}", "prompt_tokens", prompt,
                     "completion_tokens", made, "total_tokens", prompt + made,
                     "prompt_tokens_details", "cached_tokens", cached, "completion_tokens_details",
                     "reasoning_tokens", thoughts);
}

static const char *finish_of(const hone_strategy_result *t) {
    return t->finish == HONE_FINISH_STOP ? "stop" : "length";
}

/* {"strategy": …, "models": …, "trace": …} */
static json_t *told(const strategy_answer *a) {
    char *text;
    if (hone_strategy_trace(&a->result, &text) != HONE_OK) return NULL;
    json_t *names = json_array(), *trace = json_loads(text, 0, NULL);
    hone_free(text);
    for (size_t i = 0; i < a->n_served; i++)
        json_array_append_new(names, json_string(a->served[i].name));
    return json_pack("{s:s, s:o, s:o}", "strategy", hone_strategy_text(a->strategy), "models",
                     names, "trace", trace);
}

/* Beside what stands under "hone" already; NULL adds nothing. */
static void add_hone(json_t *root, json_t *more) {
    if (!json_object_get(root, "hone")) json_object_set_new(root, "hone", json_object());
    json_object_update(json_object_get(root, "hone"), more);
    json_decref(more);
}

static void reply_whole(strategy_answer *a) {
    const hone_strategy_result *t = &a->result;
    json_t *message = message_of(a);
    json_object_set_new(message, "refusal", json_null());
    json_t *choice = json_pack("{s:i, s:o, s:n, s:s}", "index", 0, "message", message, "logprobs",
                               "finish_reason", finish_of(t));
    json_t *root = openai_envelope(&a->base, "chat.completion", json_pack("[o]", choice));
    json_object_set_new(root, "usage", usage_of(t));
    add_hone(root, told(a));
    reply_json(a->base.x, 200, root);
}

/* --- streams --- */

static hone_status add_chunk(strategy_answer *a, json_t *delta, const char *finish, json_t *hone) {
    json_t *one = json_pack("{s:i, s:o, s:n, s:s?}", "index", 0, "delta", delta, "logprobs",
                            "finish_reason", finish);
    json_t *root = openai_envelope(&a->base, "chat.completion.chunk", json_pack("[o]", one));
    if (hone) add_hone(root, hone);
    if (a->base.r.include_usage)
        json_object_set_new(root, "usage", finish ? usage_of(&a->result) : json_null());
    return stream_add_sse(&a->pending, NULL, root);
}

static void on_draw(void *user, const hone_draw *d, size_t n_ended) {
    strategy_answer *a = user;
    pthread_mutex_lock(&a->lock);
    json_t *draw = json_pack("{s:{s:I, s:s, s:I, s:s, s:s?, s:f}}", "draw", "n",
                             (json_int_t)n_ended, "stage", d->stage, "tokens",
                             (json_int_t)d->n_tokens, "finish", hone_draw_end_name(d->end),
                             "answer", d->answer, "ms", d->ms);
    /* one that is lost for want of memory stands in the trace all the same */
    if (add_chunk(a, json_object(), NULL, draw) == HONE_OK) pthread_cond_signal(&a->news);
    pthread_mutex_unlock(&a->lock);
}

static hone_status add_answer(strategy_answer *a) {
    TRY(add_chunk(a, message_of(a), NULL, NULL));
    TRY(add_chunk(a, json_object(), finish_of(&a->result), told(a)));
    return buf_add_text(&a->pending, "data: [DONE]\n\n");
}

static void *run_apart(void *user) {
    strategy_answer *a = user;
    run(a);
    pthread_mutex_lock(&a->lock);
    if (a->status == HONE_OK) {
        a->status = add_answer(a);
        if (a->status != HONE_OK) snprintf(a->words, sizeof a->words, "%s", hone_error_message());
    }
    a->ended = true;
    pthread_cond_signal(&a->news);
    pthread_mutex_unlock(&a->lock);
    return NULL;
}

static hone_status make_events(void *state, buf *out, bool *ended) {
    strategy_answer *a = state;
    pthread_mutex_lock(&a->lock);
    while (!a->pending.len && !a->ended) pthread_cond_wait(&a->news, &a->lock);
    hone_status status = a->pending.len ? buf_add(out, a->pending.data, a->pending.len) : HONE_OK;
    a->pending.len = 0;
    *ended = a->ended;
    if (status == HONE_OK && a->ended && a->status != HONE_OK)
        status = fail(a->status, "%s", a->words);
    pthread_mutex_unlock(&a->lock);
    return status;
}

static void stream(strategy_answer *a) {
    static const stream_maker maker = {make_events, openai_tell_failure, answer_close};
    a->options.on_draw = on_draw;
    a->running = pthread_create(&a->thread, NULL, run_apart, a) == 0;
    if (a->running) {
        reply_stream(a->base.x, "text/event-stream", &maker, a);
        return;
    }
    openai_answer_refuse(&a->base, fail(HONE_ERR_BUSY, "the server has no thread to spare"));
    answer_close(a);
}

void openai_strategy_answer(const openai_answer *base) {
    strategy_answer *a = mem_calloc(1, sizeof *a);
    if (!a) {
        openai_answer rest = *base;
        openai_answer_refuse(base, mem_fail("request", sizeof *a));
        openai_answer_release(&rest);
        return;
    }
    a->base = *base;
    pthread_mutex_init(&a->lock, NULL);
    pthread_cond_init(&a->news, NULL);
    buf_init(&a->pending, SIZE_MAX / 2);
    buf_init(&a->text, SIZE_MAX / 2);
    buf_init(&a->thought, SIZE_MAX / 2);
    a->status = prepare(a);
    if (a->status == HONE_OK && a->base.r.stream) {
        stream(a);
        return;
    }
    if (a->status == HONE_OK) run(a);
    if (a->status == HONE_OK) reply_whole(a);
    else openai_answer_refuse(&a->base, a->status);
    answer_close(a);
}
