/* Fields of /api/generate and /api/chat (serve/ollama_request.h). */
#include "serve/ollama_request.h"

#include <string.h>

#include "base/mem.h"
#include "serve/fields.h"
#include "serve/ollama_suffix.h"
#include "serve/own_words.h"
#include "text/thoughts.h"

#define MAX_PROMPT_BYTES ((size_t)256 << 20)

/* --- what needs no model --- */

static hone_status check_images(const json_t *body) {
    const json_t *images = field_find(body, "images");
    if (!images || (json_is_array(images) && json_array_size(images) == 0)) return HONE_OK;
    return fail(HONE_ERR_UNSUPPORTED, "images: this model takes no images");
}

static hone_status check_format(const json_t *format) {
    const char *word = json_string_value(format);
    if (!format || json_is_object(format) || (word && (!*word || !strcmp(word, "json"))))
        return HONE_OK;
    return fail(HONE_ERR_ARGUMENT, "format is \"json\" or a JSON schema");
}

static hone_status check_think(const json_t *think) {
    static const char *const levels[] = {"low", "medium", "high", "max"};
    const char *word = json_string_value(think);
    if (!think || json_is_boolean(think)) return HONE_OK;
    for (size_t i = 0; word && i < sizeof levels / sizeof *levels; i++)
        if (!strcmp(word, levels[i])) return HONE_OK;
    return fail(HONE_ERR_ARGUMENT,
                "think is true, false, \"low\", \"medium\", \"high\" or \"max\"");
}

static hone_status check_context(const json_t *context) {
    if (!context || json_is_array(context)) return HONE_OK;
    return fail(HONE_ERR_FORMAT, "context is no list of tokens");
}

static hone_status read_logprobs(ollama_request *r) {
    uint64_t top = 0;
    TRY(json_get_bool(r->body, "logprobs", &r->logprobs));
    TRY(field_whole(r->body, "top_logprobs", 0, 20, &top));
    if (top && !r->logprobs)
        return fail(HONE_ERR_ARGUMENT, "top_logprobs needs logprobs to be true");
    r->request.logprobs = r->logprobs;
    r->request.n_top_logprobs = (size_t)top;
    return HONE_OK;
}

static bool is_empty(const json_t *text) { return !text || json_string_length(text) == 0; }

/* What only one of the two has. */
static hone_status read_own(ollama_request *r) {
    const json_t *b = r->body;
    const char *text = NULL;
    if (r->chat) {
        const json_t *messages = field_find(b, "messages");
        r->only_load = !messages || (json_is_array(messages) && json_array_size(messages) == 0);
        if (field_find(b, "tools")) r->settings.tools = field_find(b, "tools");
        return HONE_OK;
    }
    TRY(json_get_string(b, "prompt", &text));
    TRY(json_get_string(b, "suffix", &text));
    TRY(json_get_string(b, "system", &text));
    TRY(json_get_string(b, "template", &text));
    TRY(json_get_bool(b, "raw", &r->raw));
    TRY(check_context(field_find(b, "context")));
    r->only_load = is_empty(field_find(b, "prompt")) && is_empty(field_find(b, "suffix"));
    if (r->raw && (field_find(b, "context") || !is_empty(field_find(b, "template")) ||
                   !is_empty(field_find(b, "system"))))
        return fail(HONE_ERR_ARGUMENT, "raw takes neither template, system nor context");
    if (!is_empty(field_find(b, "template")))
        return fail(HONE_ERR_UNSUPPORTED, "template: requests use the model's own template; raw "
                    "takes a prompt as it is");
    return HONE_OK;
}

static hone_status read_fields(ollama_request *r) {
    const json_t *b = r->body, *keep = field_find(b, "keep_alive");
    const json_t *options = field_find(b, "options");
    TRY(json_get_string(b, "model", &r->model));
    if (!r->model || !*r->model) return fail(HONE_ERR_ARGUMENT, "model is required");
    TRY(json_get_bool(b, "stream", &r->stream));
    TRY(json_get_bool(b, "truncate", &r->truncate));
    if (keep) {
        r->has_keep = true;
        TRY(ollama_read_duration(keep, "keep_alive", &r->keep_ms));
    }
    if (options && !json_is_object(options))
        return fail(HONE_ERR_FORMAT, "options is no object");
    TRY(check_format(field_find(b, "format")));
    TRY(check_think(field_find(b, "think")));
    TRY(check_images(b));
    TRY(read_logprobs(r));
    return read_own(r);
}

hone_status ollama_request_read(ollama_request *r, bool chat, const char *body, size_t n) {
    *r = (ollama_request){.chat = chat, .stream = true, .truncate = true};
    hone_status status = json_parse(&r->body, body, n, "the request");
    if (status == HONE_OK && !json_is_object(r->body))
        status = fail(HONE_ERR_FORMAT, "the request is no JSON object");
    if (status == HONE_OK) status = read_fields(r);
    if (status != HONE_OK) ollama_request_release(r);
    return status;
}

void ollama_request_release(ollama_request *r) {
    if (r->templated) chat_prompt_release(&r->prompt);
    hone_grammar_close(r->grammar);
    hone_free(r->ids);
    ollama_options_release(&r->options);
    json_decref(r->messages);
    json_decref(r->variables);
    json_decref(r->body);
    *r = (ollama_request){0};
}

/* --- with the model: options --- */

static hone_status read_options(ollama_request *r, const served_model *served) {
    const hone_sampling own = hone_sampling_default(served->model);
    hone_request *q = &r->request;
    ollama_options_init(&r->options, &own);
    hone_status status = ollama_options_apply(&r->options, served->settings->parameters);
    if (status != HONE_OK) return fail_context(status, "%s: its parameters", served->name);
    TRY(ollama_options_apply(&r->options, field_find(r->body, "options")));
    q->sampling = r->options.sampling;
    q->max_tokens = r->options.max_tokens;
    q->stop = r->options.stops;
    q->n_stop = r->options.n_stops;
    return HONE_OK;
}

static size_t n_context_of(const ollama_request *r, const served_model *served) {
    size_t wanted = r->options.n_context;
    return wanted && wanted < served->n_context ? wanted : served->n_context;
}

/* --- the conversation --- */

static hone_status append(json_t *list, const char *role, const char *content) {
    json_t *message = json_pack("{s:s, s:s}", "role", role, "content", content);
    return message && json_array_append_new(list, message) == 0 ? HONE_OK : mem_fail("message", 1);
}

/* The system prompt, the model's own beginning, and what the request says. */
static hone_status make_messages(ollama_request *r, const model_settings *own) {
    const char *prompt = "", *said = NULL;
    bool continues = field_find(r->body, "context") != NULL;
    json_t *asked = json_array();
    TRY(json_get_string(r->body, "system", &said));
    TRY(json_get_string(r->body, "prompt", &prompt));
    hone_status status = asked ? HONE_OK : mem_fail("messages", 1);
    if (status == HONE_OK && said && *said) status = append(asked, "system", said);
    if (status == HONE_OK)
        status = r->chat ? ollama_translate_messages(asked, field_find(r->body, "messages"))
                         : append(asked, "user", prompt);
    const model_settings none = {.n_adapters = 0};
    /* An empty system prompt, or an answer that is continued, wants none. */
    if (status == HONE_OK)
        status = own_words_join(&r->messages, continues ? &none : own, asked, !said);
    json_decref(asked);
    return status;
}

static hone_status read_think(ollama_request *r, const served_model *served) {
    const json_t *think = field_find(r->body, "think");
    const char *level = json_string_value(think);
    const char *source = hone_model_chat_template(served->model);
    if (!think) return HONE_OK;
    if (json_is_false(think)) {
        r->settings.effort = "none";
        return HONE_OK;
    }
    if (!source || !thoughts_of_template(source))
        return fail(HONE_ERR_ARGUMENT, "\"%s\" does not support thinking", served->name);
    if (level) r->settings.effort = !strcmp(level, "max") ? "xhigh" : level;
    r->variables = json_pack("{s:b}", "enable_thinking", 1);
    r->settings.variables = r->variables;
    return r->variables ? HONE_OK : mem_fail("request", 1);
}

static void read_form(ollama_request *r) {
    const json_t *format = field_find(r->body, "format");
    if (json_is_object(format)) {
        r->settings.form = CHAT_FORM_SCHEMA;
        r->settings.schema = format;
    } else if (json_string_length(format)) {
        r->settings.form = CHAT_FORM_JSON;
    }
}

/* Drops the oldest message that is no system prompt; false when only the last one is left. */
static bool drop_oldest(ollama_request *r) {
    size_t first = 0, n = json_array_size(r->messages);
    while (first < n) {
        const char *role = json_string_value(
            json_object_get(json_array_get(r->messages, first), "role"));
        if (strcmp(role, "system") != 0) break;
        first++;
    }
    if (first + 1 >= n) return false;
    json_array_remove(r->messages, first);
    r->n_dropped++;
    return true;
}

static hone_status render(ollama_request *r, const served_model *served) {
    if (r->templated) chat_prompt_release(&r->prompt);
    r->templated = false;
    TRY(chat_prepare(&r->prompt, &r->settings, served->model));
    r->templated = true;
    chat_fill_request(&r->prompt, &r->settings, &r->request);
    return HONE_OK;
}

/* What is left out is said in the answer's header; a half of what is there goes at a time while
 * much is too much, so that a long history costs few renderings. */
static hone_status render_to_fit(ollama_request *r, const served_model *served) {
    size_t room = n_context_of(r, served);
    TRY(render(r, served));
    while (r->chat && r->truncate && r->request.n_prompt_ids >= room) {
        size_t n = json_array_size(r->messages), excess = r->request.n_prompt_ids - room;
        size_t share = n * excess / (2 * r->request.n_prompt_ids);
        bool dropped = drop_oldest(r);
        while (dropped && share-- > 0) dropped = drop_oldest(r);
        if (!dropped) break;
        TRY(render(r, served));
    }
    return HONE_OK;
}

/* --- prompts that are not the template's alone --- */

static hone_status open_grammar(ollama_request *r, const served_model *served) {
    const json_t *schema = r->settings.schema;
    if (r->settings.form == CHAT_FORM_TEXT) return HONE_OK;
    char *text = schema ? json_dumps(schema, JSON_COMPACT) : mem_copy_string("{}", 2);
    if (!text) return mem_fail("format", 1);
    hone_status status = hone_grammar_open_schema(&r->grammar, served->model, text, strlen(text),
                                                  NULL);
    mem_free(text);
    r->request.grammar = r->grammar;
    return status == HONE_OK ? HONE_OK : fail_context(status, "format");
}

/* What an earlier answer ended with, and the new turn behind it, without a second BOS. */
static hone_status put_context_first(ollama_request *r, const served_model *served) {
    const json_t *context = field_find(r->body, "context");
    const hone_request *q = &r->request;
    size_t n = json_array_size(context), n_vocab = hone_model_describe(served->model)->n_vocab;
    if (n == 0) return HONE_OK;
    if (n > served->n_context)
        return fail(HONE_ERR_CONTEXT_FULL, "context has %zu tokens; the model takes %zu", n,
                    served->n_context);
    int32_t *joined = mem_calloc(n + q->n_prompt_ids, sizeof *joined);
    if (!joined) return mem_fail("context", n);
    for (size_t i = 0; i < n; i++) {
        uint64_t id;
        if (!json_to_u64(json_array_get(context, i), &id) || id >= n_vocab) {
            mem_free(joined);
            return fail(HONE_ERR_ARGUMENT,
                        "context holds something that is no token of this model");
        }
        joined[i] = (int32_t)id;
    }
    bool again = q->n_prompt_ids && q->prompt_ids[0] == joined[0];
    memcpy(joined + n, q->prompt_ids + again, (q->n_prompt_ids - again) * sizeof *joined);
    hone_free(r->ids);
    r->ids = joined;
    r->request.n_prompt_ids = n + q->n_prompt_ids - again;
    r->request.prompt_ids = r->ids;
    return HONE_OK;
}

/* Without a template the system prompt stands before the prompt, as Ollama's plain one does. */
static hone_status tokenize_plain(ollama_request *r, const served_model *served) {
    const char *prompt = "", *system = r->raw ? NULL : served->settings->system;
    buf text;
    TRY(json_get_string(r->body, "prompt", &prompt));
    if (!r->raw) TRY(json_get_string(r->body, "system", &system));
    buf_init(&text, MAX_PROMPT_BYTES);
    hone_status status = system && *system ? buf_add_format(&text, "%s ", system) : HONE_OK;
    if (status == HONE_OK) status = buf_add_text(&text, prompt);
    if (status == HONE_OK)
        status = hone_tokenize(served->model, text.data ? text.data : "", text.len, true, &r->ids,
                               &r->request.n_prompt_ids);
    buf_release(&text);
    r->request.prompt_ids = r->ids;
    return status;
}

static hone_status prepare_plain(ollama_request *r, const served_model *served) {
    const json_t *suffix = field_find(r->body, "suffix");
    if (is_empty(suffix)) {
        TRY(tokenize_plain(r, served));
    } else {
        const char *prompt = "";
        TRY(json_get_string(r->body, "prompt", &prompt));
        TRY(ollama_tokenize_suffix(served->model, prompt, json_string_value(suffix), &r->ids,
                                   &r->request.n_prompt_ids));
        r->request.prompt_ids = r->ids;
    }
    return open_grammar(r, served);
}

static hone_status prepare_prompt(ollama_request *r, const served_model *served) {
    read_form(r);
    bool has_template = hone_model_chat_template(served->model) != NULL;
    bool plain = r->raw || !is_empty(field_find(r->body, "suffix")) || (!r->chat && !has_template);
    if (plain) {
        TRY(prepare_plain(r, served));
        return field_find(r->body, "context") ? put_context_first(r, served) : HONE_OK;
    }
    TRY(make_messages(r, served->settings));
    TRY(read_think(r, served));
    r->settings.messages = r->messages;
    TRY(chat_check(&r->settings));
    TRY(render_to_fit(r, served));
    return field_find(r->body, "context") ? put_context_first(r, served) : HONE_OK;
}

hone_status ollama_request_prepare(ollama_request *r, const served_model *served) {
    TRY(read_options(r, served));
    TRY(prepare_prompt(r, served));
    size_t room = n_context_of(r, served), n = r->request.n_prompt_ids;
    if (n == 0) return fail(HONE_ERR_ARGUMENT, "the prompt is empty");
    if (n >= room)
        return fail(HONE_ERR_CONTEXT_FULL, "the prompt has %zu tokens; with num_ctx, the server's "
                    "limit and the model's there are %zu for prompt and answer", n, room);
    size_t *max = &r->request.max_tokens;
    if (r->options.n_context && (*max == 0 || *max > room - n)) *max = room - n;
    return HONE_OK;
}
