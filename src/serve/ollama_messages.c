/* Messages in Ollama's form: arguments of calls are objects, a result names its tool, thoughts
 * stand in "thinking". */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "serve/fields.h"
#include "serve/ollama_request.h"

static hone_status translate_call(json_t *list, const json_t *call, size_t i) {
    const json_t *function = json_object_get(call, "function");
    const json_t *arguments = field_find(function, "arguments");
    const char *name = NULL, *id = NULL;
    char made[32];
    if (!json_is_object(function))
        return fail(HONE_ERR_ARGUMENT, "tool_calls[%zu] has no function", i);
    TRY(json_get_string(function, "name", &name));
    TRY(json_get_string(call, "id", &id));
    if (!name) return fail(HONE_ERR_ARGUMENT, "tool_calls[%zu] has no function with a name", i);
    if (arguments && !json_is_object(arguments))
        return fail(HONE_ERR_ARGUMENT, "tool_calls[%zu]: arguments is no object", i);
    snprintf(made, sizeof made, "call_%zu", i);
    char *text = arguments ? json_dumps(arguments, JSON_COMPACT) : mem_copy_string("{}", 2);
    if (!text) return mem_fail("tool_calls", 2);
    json_t *one = json_pack("{s:s, s:s, s:{s:s, s:s}}", "id", id ? id : made, "type", "function",
                            "function", "name", name, "arguments", text);
    mem_free(text);
    return one && json_array_append_new(list, one) == 0 ? HONE_OK : mem_fail("tool_calls", 1);
}

static hone_status translate_calls(json_t *message, const json_t *calls) {
    size_t i;
    const json_t *call;
    if (!json_is_array(calls)) return fail(HONE_ERR_ARGUMENT, "tool_calls must be a list");
    if (json_array_size(calls) == 0) return HONE_OK;
    json_t *list = json_array();
    if (!list || json_object_set_new(message, "tool_calls", list) != 0)
        return mem_fail("tool_calls", 1);
    json_array_foreach(calls, i, call) TRY(translate_call(list, call, i));
    return HONE_OK;
}

static hone_status copy_text(json_t *message, const char *as, const json_t *from, const char *key) {
    const char *text = NULL;
    TRY(json_get_string(from, key, &text));
    if (!text || !*text) return HONE_OK;
    return json_object_set(message, as, json_object_get(from, key)) == 0 ? HONE_OK
                                                                         : mem_fail("message", 1);
}

static hone_status translate(json_t *list, const json_t *from) {
    const char *role = NULL, *content = "";
    if (!json_is_object(from)) return fail(HONE_ERR_ARGUMENT, "a message is no object");
    TRY(json_get_string(from, "role", &role));
    TRY(json_get_string(from, "content", &content));
    if (!role) return fail(HONE_ERR_ARGUMENT, "a message has no role");
    const json_t *images = field_find(from, "images"), *calls = field_find(from, "tool_calls");
    if (images && !(json_is_array(images) && json_array_size(images) == 0))
        return fail(HONE_ERR_UNSUPPORTED, "images: this model takes no images");
    json_t *message = json_pack("{s:s, s:s}", "role", role, "content", content);
    if (!message || json_array_append_new(list, message) != 0) return mem_fail("message", 1);
    TRY(copy_text(message, "reasoning_content", from, "thinking"));
    TRY(copy_text(message, "name", from, "tool_name"));
    TRY(copy_text(message, "tool_call_id", from, "tool_call_id"));
    return calls ? translate_calls(message, calls) : HONE_OK;
}

hone_status ollama_translate_messages(json_t *list, const json_t *messages) {
    size_t i;
    const json_t *message;
    if (!json_is_array(messages)) return fail(HONE_ERR_ARGUMENT, "messages must be a list");
    if (json_array_size(messages) > CHAT_MAX_MESSAGES)
        return fail(HONE_ERR_ARGUMENT, "%zu messages, at most %d", json_array_size(messages),
                    CHAT_MAX_MESSAGES);
    json_array_foreach(messages, i, message) TRY(translate(list, message));
    return HONE_OK;
}
