/* hone's own endpoints that look into a model: /tokenize, /detokenize, /apply-template (with the
 * fields of llama-server's). */
#include "serve/route.h"

#include <string.h>

#include "base/mem.h"
#include "serve/chat.h"
#include "serve/fields.h"
#include "serve/openai_answer.h"
#include "serve/openai_chat_request.h"
#include "serve/prompts.h"
#include "serve/reply.h"

/* Parses a body and borrows its model; runs `answer`, which makes the reply. */
static void inspect(const call *c,
                    hone_status (*answer)(const json_t *body, const hone_model *model,
                                          json_t **reply)) {
    size_t n;
    const char *text = exchange_body(c->x, &n), *name = NULL;
    json_t *body = NULL, *reply = NULL;
    served_model served = {0};
    hone_status status = json_parse(&body, text, n, "the request");
    if (status == HONE_OK && !json_is_object(body))
        status = fail(HONE_ERR_FORMAT, "the request is no JSON object");
    if (status == HONE_OK) status = json_get_string(body, "model", &name);
    if (status == HONE_OK) status = call_check_body(c, body);
    if (status == HONE_OK) status = models_borrow(c->models, name, &served);
    if (status == HONE_OK && !hone_model_describe(served.model)->takes_text)
        status = fail(HONE_ERR_UNSUPPORTED, "%s takes no text", served.name);
    if (status == HONE_OK) status = answer(body, served.model, &reply);
    if (status == HONE_OK) reply_json(c->x, 200, reply);
    else reply_failure(c->x, status);
    if (served.name) models_return(c->models, &served);
    json_decref(body);
}

/* --- /tokenize --- */

/* {"id": …, "piece": …}: the token's text, half characters show as U+FFFD. */
static hone_status add_piece(json_t *list, const hone_model *model, int32_t id) {
    char *text;
    size_t n;
    TRY(hone_detokenize(model, &id, 1, true, &text, &n));
    json_t *piece = json_pack("{s:i, s:s%}", "id", (int)id, "piece", text, n);
    hone_free(text);
    return json_array_append_new(list, piece) == 0 ? HONE_OK : mem_fail("tokens", n);
}

static hone_status tokenize(const json_t *body, const hone_model *model, json_t **reply) {
    const json_t *content = field_find(body, "content");
    bool special = false, pieces = false;
    int32_t *ids;
    size_t n;
    TRY(json_get_bool(body, "add_special", &special));
    TRY(json_get_bool(body, "with_pieces", &pieces));
    if (!json_is_string(content)) return fail(HONE_ERR_ARGUMENT, "content must be a text");
    TRY(hone_tokenize(model, json_string_value(content), json_string_length(content), special, &ids,
                      &n));
    json_t *list = json_array();
    hone_status status = list ? HONE_OK : mem_fail("tokens", n);
    for (size_t i = 0; i < n && status == HONE_OK; i++)
        if (pieces) status = add_piece(list, model, ids[i]);
        else if (json_array_append_new(list, json_integer(ids[i]))) status = mem_fail("tokens", n);
    hone_free(ids);
    if (status == HONE_OK) *reply = json_pack("{s:O}", "tokens", list);
    json_decref(list);
    return status;
}

/* --- /detokenize --- */

static hone_status detokenize(const json_t *body, const hone_model *model, json_t **reply) {
    const json_t *tokens = field_find(body, "tokens");
    prompts list;
    char *text;
    size_t n;
    if (!json_is_array(tokens))
        return fail(HONE_ERR_ARGUMENT, "tokens must be a list of token ids");
    if (json_array_size(tokens) == 0) {
        *reply = json_pack("{s:s}", "content", "");
        return HONE_OK;
    }
    if (!json_is_integer(json_array_get(tokens, 0)))
        return fail(HONE_ERR_ARGUMENT, "tokens must be a list of token ids");
    TRY(prompts_read(&list, tokens, "tokens", model));
    hone_status status =
        hone_detokenize(model, list.items[0].ids, list.items[0].n, true, &text, &n);
    prompts_release(&list);
    TRY(status);
    *reply = json_pack("{s:s%}", "content", text, n);
    hone_free(text);
    return HONE_OK;
}

/* --- /apply-template --- */

/* The body of a chat: what it would be rendered to. */
static hone_status render_chat(openai_answer *a, char **text) {
    openai_chat_request q;
    TRY(openai_chat_request_read(&q, &a->r));
    TRY(openai_answer_borrow(a));
    TRY(openai_answer_converse(a, &q.chat));
    return chat_render_text(&q.chat, a->served.model, text);
}

static void route_template(const call *c) {
    openai_answer a;
    char *text;
    hone_status status = openai_answer_init(&a, c, "");
    if (status != HONE_OK) {
        reply_failure(c->x, status);
        return;
    }
    status = render_chat(&a, &text);
    if (status == HONE_OK) {
        reply_json(c->x, 200, json_pack("{s:s}", "prompt", text));
        hone_free(text);
    } else {
        reply_failure(c->x, status);
    }
    openai_answer_release(&a);
}

/* --- routes --- */

static void route_tokenize(const call *c) { inspect(c, tokenize); }
static void route_detokenize(const call *c) { inspect(c, detokenize); }

static const route routes[] = {
    {"POST", "/tokenize", false, route_tokenize},
    {"POST", "/detokenize", false, route_detokenize},
    {"POST", "/apply-template", false, route_template},
};

const route_list inspect_routes = {routes, sizeof routes / sizeof *routes};
