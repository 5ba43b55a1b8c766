/* A byte of options, then any bytes as a JSON schema. What it compiles to can be printed and read
 * again, and its texts are JSON. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "random_text.h"
#include "text/schema.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_texts(const grammar *g, uint64_t seed) {
    grammar_machine *m;
    if (grammar_machine_open(&m, g, 4 << 20) != HONE_OK) return;
    for (int i = 0; i < 4; i++) {
        char text[300];
        int n = random_text(m, &seed, i % 2, text, sizeof text);
        if (n < 0) continue;
        json_t *value = json_loadb(text, (size_t)n, JSON_DECODE_ANY | JSON_ALLOW_NUL |
                                   JSON_DECODE_INT_AS_REAL, NULL);
        /* numbers beyond a double are JSON that jansson does not read */
        if (!value && !memchr(text, 'e', (size_t)n) && !memchr(text, 'E', (size_t)n)) abort();
        json_decref(value);
    }
    grammar_machine_close(m);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const hone_schema_document other = {"http://x/y", "{\"$id\":\"z\",\"type\":\"null\"}",
                                               25};
    static const int drafts[] = {0, 4, 6, 7, 2019, 2020};
    if (size == 0) return 0;
    hone_schema_options options = {.draft = drafts[data[0] / 2 % 6], .exact = data[0] & 1,
                                   .documents = &other, .n_documents = 1};
    grammar *g, *again;
    if (schema_compile(&g, (const char *)data + 1, size - 1, &options) != HONE_OK) return 0;
    check_texts(g, size);
    grammar_close(g);
    buf text;
    buf_init(&text, 1 << 20);
    if (schema_print(&text, (const char *)data + 1, size - 1, &options) == HONE_OK) {
        if (grammar_compile(&again, text.data, text.len) != HONE_OK && size < 2000) abort();
        grammar_close(again);
    }
    buf_release(&text);
    return 0;
}
