/* Any bytes as a template, over one of two chats (the first byte chooses). Whatever ends well must
 * give spans in order, apart and inside the text, and no mark of the user's text inside of them. */
#include <jansson.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "text/template.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const chats[] = {
    "{\"messages\":[{\"role\":\"user\",\"content\":\"\\u0001 Hi \\u0001\"},"
    "{\"role\":\"assistant\",\"content\":\"A\\nb\\u0001\"}],"
    "\"bos_token\":\"<s>\",\"eos_token\":\"</s>\",\"add_generation_prompt\":true}",
    "{\"messages\":[{\"role\":\"system\",\"content\":\"\\u0001S\\u00e9\"},"
    "{\"role\":\"assistant\",\"tool_calls\":[{\"function\":{\"name\":\"f\","
    "\"arguments\":{\"x\":[1,2.5,null,true,\"\\u0001\"]}}}]},"
    "{\"role\":\"tool\",\"content\":\"\"}],"
    "\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\",\"parameters\":"
    "{\"type\":\"object\",\"properties\":{\"b\":{\"type\":\"string\"},"
    "\"a\":{\"type\":\"integer\"}}}}}],"
    "\"x\":7,\"items\":[3,1,2],\"s\":\"abc\",\"d\":{\"k\":1}}",
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static json_t *variables[2];
    static const struct tm now = {.tm_year = 126, .tm_mday = 2};
    for (int i = 0; i < 2; i++)
        if (!variables[i]) variables[i] = json_loads(chats[i], 0, NULL);
    if (size == 0) return 0;
    chat_template *t = NULL;
    template_output out = {0};
    if (chat_template_open(&t, (const char *)data + 1, size - 1) != HONE_OK) return 0;
    if (chat_template_render(t, variables[data[0] & 1], &now, &out) == HONE_OK) {
        size_t end = 0;
        bool own_mark = memchr(data, 1, size) || memmem(data, size, "\\", 1);
        for (size_t i = 0; i < out.n_control; i++) {
            text_span s = out.control[i];
            if (s.begin >= s.end || s.end > out.n || (i && s.begin <= end)) abort();
            if (!own_mark && memchr(out.text + s.begin, 1, s.end - s.begin)) abort();
            end = s.end;
        }
    }
    template_output_release(&out);
    chat_template_close(t);
    return 0;
}
