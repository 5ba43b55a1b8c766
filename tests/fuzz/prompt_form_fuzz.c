/* Any bytes up to the first NUL as a form, what follows as an item in JSON. */
#include <stdint.h>
#include <string.h>

#include "base/mem.h"
#include "lab/prompt_form.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const char usual[] = "{\"q\": \" a_b \", \"list\": [\"x\", 2, null], \"n\": 1.5, \"o\": {}}";
    const uint8_t *end = memchr(data, 0, size);
    size_t n = end ? (size_t)(end - data) : size;
    json_t *item = NULL;
    buf out;
    char *form = mem_copy_string((const char *)data, n);
    buf_init(&out, 1 << 16);
    if (!end || json_parse(&item, (const char *)end + 1, size - n - 1, "item") != HONE_OK)
        json_parse(&item, usual, sizeof usual - 1, "item");
    if (form && item) prompt_form_fill(&out, form, item, NULL);
    json_decref(item);
    mem_free(form);
    buf_release(&out);
    return 0;
}
