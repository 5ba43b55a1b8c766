/* Any bytes as tokenizer.json: read, opened, and used on a few texts without a fault. */
#include <stddef.h>
#include <stdint.h>

#include "base/mem.h"
#include "format/tokenizer_spec.h"
#include "text/tokenizer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const char text[] = " Hello <s>, \xE2\x96\x81world 123\n\xC3\xA9";
    tokenizer_spec spec = {0};
    tokenizer *t = NULL;
    if (tokenizer_spec_from_json(&spec, (const char *)data, size, "fuzz") != HONE_OK) return 0;
    if (tokenizer_open(&t, &spec) == HONE_OK) {
        token_list ids = {0};
        text_span all = {0, sizeof text - 1};
        char *back = NULL;
        size_t n;
        hone_status status =
            tokenizer_encode(t, text, sizeof text - 1, &all, 1, ENCODE_ADD_SPECIAL, &ids);
        if (status == HONE_OK) status = tokenizer_decode(t, ids.ids, ids.n, true, &back, &n);
        if (status == HONE_OK) mem_free(back);
        token_list_release(&ids);
    }
    tokenizer_close(t);
    tokenizer_spec_release(&spec);
    return 0;
}
