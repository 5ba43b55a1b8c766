/* Expressions of strategies: any bytes are read or refused, and what was read reads the same again. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "hone/strategy.h"
#include "serve/example_list.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_expression(const char *text) {
    hone_strategy *s, *again;
    if (hone_strategy_parse(&s, text) != HONE_OK) return;
    if (strlen(hone_strategy_text(s)) <= 1024) { /* numbers and spaces may have made it longer */
        if (hone_strategy_parse(&again, hone_strategy_text(s)) != HONE_OK) abort();
        if (strcmp(hone_strategy_text(s), hone_strategy_text(again))) abort();
        hone_strategy_close(again);
    }
    for (size_t i = 0; hone_strategy_model(s, i); i++)
        if (i >= HONE_MAX_OTHERS || !*hone_strategy_model(s, i)) abort();
    hone_strategy_close(s);
}

static void read_examples(const char *text, size_t size) {
    json_t *value;
    example_list l;
    if (json_parse(&value, text, size, "fuzz") != HONE_OK) return;
    if (example_list_init(&l, value) == HONE_OK) {
        for (size_t i = 0; i < l.n; i++)
            if (!l.items[i].question || !l.items[i].answer) abort();
        example_list_release(&l);
    }
    json_decref(value);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char *text = mem_copy_string((const char *)data, size);
    if (!text) return 0;
    read_expression(text);
    read_examples(text, size);
    mem_free(text);
    return 0;
}
