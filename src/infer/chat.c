/* From messages to token ids, through the model's own template; and the model's own sampling. */
#include <math.h>
#include <string.h>
#include <time.h>

#include "base/mem.h"
#include "base/system.h"
#include "base/utf8.h"
#include "infer/engine.h"

#define MAX_GENERATION_CONFIG_BYTES (1u << 20)

/* --- messages as template variables --- */

static hone_status set(json_t *object, const char *key, json_t *value) {
    if (!value || json_object_set_new(object, key, value) != 0)
        return mem_fail("template data", 64);
    return HONE_OK;
}

/* Text parts joined; images and audio are refused by name. */
static hone_status message_text(const hone_message *message, buf *text) {
    for (size_t i = 0; i < message->n_parts; i++) {
        const hone_part *part = &message->parts[i];
        if (part->kind == HONE_PART_FIELDS) continue;
        if (part->kind != HONE_PART_TEXT)
            return fail(HONE_ERR_UNSUPPORTED, "this model takes text only, not %s",
                        part->kind == HONE_PART_IMAGE ? "images" : "audio");
        TRY(buf_add(text, part->data, part->n_bytes));
    }
    if (text->len && !utf8_is_valid(text->data, text->len))
        return fail(HONE_ERR_FORMAT, "the %s message is not valid UTF-8", message->role);
    return HONE_OK;
}

/* The members of a JSON object, beside those that are there and stay. */
static hone_status add_members(json_t *object, const char *text, size_t n, const char *what) {
    json_t *more;
    TRY(json_parse(&more, text, n, what));
    hone_status status = !json_is_object(more)
                             ? fail(HONE_ERR_FORMAT, "%s: an object was expected", what)
                         : json_object_update_missing(object, more) != 0 ? mem_fail(what, n)
                                                                         : HONE_OK;
    json_decref(more);
    return status;
}

static hone_status add_fields(json_t *entry, const hone_message *message) {
    for (size_t i = 0; i < message->n_parts; i++)
        if (message->parts[i].kind == HONE_PART_FIELDS)
            TRY(add_members(entry, message->parts[i].data, message->parts[i].n_bytes,
                            "a message's fields"));
    return HONE_OK;
}

static hone_status add_message(json_t *list, const hone_message *message) {
    if (!message->role || !utf8_is_valid(message->role, strlen(message->role)))
        return fail(HONE_ERR_ARGUMENT, "a message needs a role in UTF-8");
    buf text;
    buf_init(&text, 256u << 20);
    json_t *entry = json_object();
    hone_status status = entry ? message_text(message, &text) : mem_fail("message", 64);
    if (status == HONE_OK) status = set(entry, "role", json_string(message->role));
    if (status == HONE_OK)
        status = set(entry, "content", json_stringn(text.data ? text.data : "", text.len));
    if (status == HONE_OK) status = add_fields(entry, message);
    buf_release(&text);
    if (status == HONE_OK && json_array_append(list, entry) != 0) status = mem_fail("message", 64);
    json_decref(entry);
    return status;
}

static hone_status fill_variables(json_t *variables, const hone_model *m,
                                  const hone_message *messages, size_t n_messages,
                                  const char *tools_json, const char *variables_json) {
    json_t *list = json_array();
    TRY(set(variables, "messages", list));
    for (size_t i = 0; i < n_messages; i++) TRY(add_message(list, &messages[i]));
    if (tools_json) {
        json_t *tools;
        TRY(json_parse(&tools, tools_json, strlen(tools_json), "tools"));
        TRY(set(variables, "tools", tools));
        if (!json_is_array(tools)) return fail(HONE_ERR_FORMAT, "tools: an array was expected");
    }
    TRY(set(variables, "bos_token", json_string(m->bos_text)));
    TRY(set(variables, "eos_token", json_string(m->eos_text)));
    TRY(set(variables, "add_generation_prompt", json_true()));
    if (!variables_json) return HONE_OK;
    return add_members(variables, variables_json, strlen(variables_json), "template variables");
}

static hone_status render(const hone_model *m, const hone_message *messages, size_t n_messages,
                          const char *tools_json, const char *variables_json,
                          template_output *out) {
    if (!m->template_source)
        return fail(HONE_ERR_UNSUPPORTED, "%s has no chat template: give the model plain text",
                    m->source.path);
    if (!m->template) { /* the source could not be read when the model was opened: say why */
        chat_template *again;
        TRY(chat_template_open(&again, m->template_source, strlen(m->template_source)));
        chat_template_close(again);
        return fail(HONE_ERR_FORMAT, "%s: the chat template cannot be read", m->source.path);
    }
    json_use_mem();
    json_t *variables = json_object();
    if (!variables) return mem_fail("template data", 64);
    hone_status status = fill_variables(variables, m, messages, n_messages, tools_json,
                                        variables_json);
    time_t now = time(NULL);
    struct tm local;
    localtime_r(&now, &local);
    if (status == HONE_OK) status = chat_template_render(m->template, variables, &local, out);
    json_decref(variables);
    return status;
}

/* The ids of a rendered chat. Models that want a BOS get one even where the template wrote none. */
static hone_status encode_chat(const hone_model *m, const template_output *chat, token_list *ids) {
    int32_t bos = tokenizer_bos(m->tokenizer);
    TRY(tokenizer_encode(m->tokenizer, chat->text, chat->n, chat->control, chat->n_control, 0,
                         ids));
    if (!tokenizer_adds_bos(m->tokenizer) || (ids->n && ids->ids[0] == bos)) return HONE_OK;
    token_list_release(ids);
    return tokenizer_encode(m->tokenizer, chat->text, chat->n, chat->control, chat->n_control,
                            ENCODE_ADD_SPECIAL, ids);
}

hone_status hone_render_chat(const hone_model *model, const hone_message *messages,
                             size_t n_messages, const char *tools_json,
                             const char *variables_json, char **text, int32_t **ids,
                             size_t *n_ids) {
    template_output chat;
    TRY(render(model, messages, n_messages, tools_json, variables_json, &chat));
    token_list list = {0};
    hone_status status = ids ? encode_chat(model, &chat, &list) : HONE_OK;
    if (status == HONE_OK && ids) {
        *ids = list.ids;
        *n_ids = list.n;
    }
    if (status == HONE_OK && text) {
        *text = chat.text;
        chat.text = NULL;
    }
    if (status != HONE_OK) token_list_release(&list);
    template_output_release(&chat);
    return status;
}

/* --- the model's own sampling --- */

static void from_gguf(hone_sampling *s, const gguf *file) {
    double real;
    uint64_t whole;
    if (gguf_get_f64(file, "general.sampling.temp", &real)) s->temperature = (float)real;
    if (gguf_get_u64(file, "general.sampling.top_k", &whole))
        s->top_k = (int32_t)(whole & INT32_MAX);
    if (gguf_get_f64(file, "general.sampling.top_p", &real)) s->top_p = (float)real;
    if (gguf_get_f64(file, "general.sampling.min_p", &real)) s->min_p = (float)real;
    if (gguf_get_f64(file, "general.sampling.penalty_repeat", &real))
        s->repetition_penalty = (float)real;
}

/* generation_config.json counts only where it asks for sampling (docs/sampling.md). */
static hone_status from_folder(hone_sampling *s, const char *path) {
    buf name;
    json_t *config = NULL;
    bool sample = false;
    buf_init(&name, 65536);
    hone_status status = buf_add_format(&name, "%s/generation_config.json", path);
    if (status == HONE_OK)
        status = json_parse_file(&config, name.data, MAX_GENERATION_CONFIG_BYTES);
    if (status == HONE_OK && json_get_bool(config, "do_sample", &sample) == HONE_OK && sample) {
        double temperature = s->temperature, top_p = s->top_p, min_p = s->min_p, typical = 1,
               repetition = 1;
        uint64_t top_k = (uint64_t)s->top_k;
        if (json_get_f64(config, "temperature", &temperature) == HONE_OK &&
            json_get_f64(config, "top_p", &top_p) == HONE_OK &&
            json_get_f64(config, "min_p", &min_p) == HONE_OK &&
            json_get_f64(config, "typical_p", &typical) == HONE_OK &&
            json_get_f64(config, "repetition_penalty", &repetition) == HONE_OK &&
            json_get_u64(config, "top_k", &top_k) == HONE_OK) {
            s->temperature = (float)temperature;
            s->top_p = (float)top_p;
            s->min_p = (float)min_p;
            s->typical_p = (float)typical;
            s->repetition_penalty = (float)repetition;
            s->top_k = (int32_t)(top_k & INT32_MAX);
        }
    }
    json_decref(config);
    buf_release(&name);
    return status == HONE_ERR_MEMORY ? status : HONE_OK;
}

hone_status recommended_sampling(hone_sampling *out, const model_source *s) {
    const hone_sampling table = {.temperature = 0.8f, .top_k = 40, .top_p = 0.9f, .typical_p = 1,
                                 .repetition_penalty = 1, .repeat_last_n = 64};
    *out = table;
    if (s->gguf)
        from_gguf(out, s->gguf);
    else
        TRY(from_folder(out, s->path));
    bool sound = out->temperature >= 0 && out->temperature <= 100 && out->top_p >= 0 &&
                 out->top_p <= 1 && out->min_p >= 0 && out->min_p <= 1 && out->typical_p > 0 &&
                 out->typical_p <= 1 && out->repetition_penalty > 0 &&
                 isfinite(out->repetition_penalty);
    if (!sound) *out = table; /* a file's nonsense does not become the user's error */
    return HONE_OK;
}

hone_sampling hone_sampling_default(const hone_model *model) {
    hone_sampling s = model->recommended;
    s.seed = system_random() >> 11; /* 53 bits: exact in every JSON reader */
    return s;
}
