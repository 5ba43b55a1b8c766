#include "serve/example_list.h"

#include <string.h>

#include "base/fs.h"
#include "base/mem.h"

#define MAX_FILE_BYTES ((size_t)16 << 20)

static hone_status read_member(const json_t *object, const char *name, size_t i,
                               const char **text) {
    *text = json_string_value(json_object_get(object, name));
    if (*text) return HONE_OK;
    return fail(HONE_ERR_ARGUMENT, "example %zu: \"%s\" is missing, or no text", i + 1, name);
}

static hone_status fill(example_list *l) {
    const json_t *one;
    size_t i;
    json_array_foreach(l->root, i, one) {
        TRY(read_member(one, "question", i, &l->items[i].question));
        TRY(read_member(one, "answer", i, &l->items[i].answer));
        l->n++;
    }
    return HONE_OK;
}

hone_status example_list_init(example_list *l, json_t *array) {
    size_t n = json_array_size(array);
    *l = (example_list){.n = 0};
    if (!json_is_array(array)) return fail(HONE_ERR_ARGUMENT, "the examples are no list");
    if (n > HONE_MAX_EXAMPLES)
        return fail(HONE_ERR_ARGUMENT, "%zu examples, at most %d", n, HONE_MAX_EXAMPLES);
    l->items = mem_calloc(n + 1, sizeof *l->items);
    if (!l->items) return mem_fail("examples", n * sizeof *l->items);
    l->root = json_incref(array);
    hone_status status = fill(l);
    if (status != HONE_OK) example_list_release(l);
    return status;
}

static hone_status parse_lines(json_t *array, const char *text, const char *path) {
    for (size_t line = 1; *text; line++) {
        size_t n = strcspn(text, "\n");
        json_t *one;
        if (strspn(text, " \t\r") < n) {
            hone_status status = json_parse(&one, text, n, path);
            if (status != HONE_OK) return fail_context(status, "line %zu", line);
            if (json_array_append_new(array, one) != 0) return mem_fail("examples", n);
        }
        text += n + (text[n] == '\n');
    }
    return HONE_OK;
}

hone_status example_list_read(example_list *l, const char *path) {
    buf text;
    *l = (example_list){.n = 0};
    json_use_mem();
    json_t *array = json_array();
    buf_init(&text, MAX_FILE_BYTES);
    hone_status status = array ? fs_read_file(&text, path) : mem_fail("examples", 1);
    if (status == HONE_OK && text.len) status = parse_lines(array, text.data, path);
    if (status == HONE_OK) {
        status = example_list_init(l, array);
        if (status != HONE_OK) fail_context(status, "%s", path);
    }
    buf_release(&text);
    json_decref(array);
    return status;
}

void example_list_release(example_list *l) {
    json_decref(l->root);
    mem_free(l->items);
    *l = (example_list){.n = 0};
}
