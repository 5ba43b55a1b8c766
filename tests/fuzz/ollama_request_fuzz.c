/* Bodies of /api/generate and /api/chat, options and parameters, durations: whatever a stranger
 * sends is refused with words or turned into a request within the bounds that the engine states. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "serve/ollama_request.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds, const char *what) {
    if (holds) return;
    fprintf(stderr, "%s\n", what);
    abort();
}

static void check_options(const json_t *options) {
    const hone_sampling none = hone_sampling_greedy();
    ollama_options o;
    ollama_options_init(&o, &none);
    if (ollama_options_apply(&o, options) == HONE_OK) {
        const hone_sampling *s = &o.sampling;
        must(s->temperature >= 0 && s->top_p >= 0 && s->top_p <= 1, "sampling within its range");
        must(s->min_p >= 0 && s->min_p <= 1, "sampling within its range");
        must(s->repetition_penalty > 0 && s->repeat_last_n >= -1, "penalties within their range");
        for (size_t i = 0; i < o.n_stops; i++) must(*o.stops[i] != 0, "no empty stop");
        for (const char *at = o.ignored; *at; at++)
            must((unsigned char)*at > 0x1f && (unsigned char)*at < 0x7f, "a header's letters");
    }
    ollama_options_release(&o);
}

static void check_body(const char *text, size_t n, bool chat) {
    ollama_request r;
    if (ollama_request_read(&r, chat, text, n) != HONE_OK) return;
    must(r.model && *r.model, "a model");
    must(r.request.n_top_logprobs <= HONE_MAX_TOP_LOGPROBS, "logprobs within their range");
    must(!r.has_keep || r.keep_ms >= 0, "a time to stay");
    check_options(json_object_get(r.body, "options"));
    json_t *list = json_array();
    const json_t *messages = json_object_get(r.body, "messages");
    if (ollama_translate_messages(list, messages) == HONE_OK && json_array_size(list)) {
        chat_settings settings = {.messages = list, .tools = r.settings.tools};
        chat_check(&settings);
    }
    json_decref(list);
    ollama_request_release(&r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const char *text = (const char *)data;
    int64_t milliseconds = 0;
    if (size == 0) return 0;
    if (*text != '{') {
        char *copy = mem_copy_string(text, size);
        if (copy && ollama_parse_duration(copy, "keep_alive", &milliseconds) == HONE_OK)
            must(milliseconds >= 0, "a duration");
        mem_free(copy);
        return 0;
    }
    check_body(text, size, false);
    check_body(text, size, true);
    return 0;
}
