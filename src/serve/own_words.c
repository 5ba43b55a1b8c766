#include "serve/own_words.h"

#include <string.h>

#include "base/mem.h"
#include "serve/ollama_request.h"

static bool begins_with_system(const json_t *list) {
    const char *role = json_string_value(json_object_get(json_array_get(list, 0), "role"));
    return role && (!strcmp(role, "system") || !strcmp(role, "developer"));
}

static hone_status join(json_t *list, const model_settings *own, const json_t *messages,
                        bool system) {
    bool brings_one = begins_with_system(own->messages) || begins_with_system(messages);
    if (own->system && system && !brings_one) {
        json_t *first = json_pack("{s:s, s:s}", "role", "system", "content", own->system);
        if (json_array_append_new(list, first) != 0) return mem_fail("messages", 1);
    }
    if (own->messages) TRY(ollama_translate_messages(list, own->messages));
    return json_array_extend(list, (json_t *)(uintptr_t)messages) == 0
               ? HONE_OK : mem_fail("messages", 1);
}

bool own_words_are_there(const model_settings *own) { return own->system || own->messages; }

hone_status own_words_join(json_t **out, const model_settings *own, const json_t *messages,
                           bool system) {
    json_t *list = json_array();
    hone_status status = list ? join(list, own, messages, system)
                              : mem_fail("messages", 1);
    if (status == HONE_OK) *out = list;
    else json_decref(list);
    return status;
}
