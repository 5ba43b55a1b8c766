#include "cli/tensor_classes.h"

#include <stdio.h>
#include <string.h>

/* A tensor's name without numbers of layers, and without what all of them have. */
static void class_of(char *class, size_t size, const char *name) {
    static const char *const common[] = {"blk.", "model.layers.", "model."};
    size_t n = 0;
    for (const char *part = name; *part && n + 1 < size;) {
        size_t length = strcspn(part, ".");
        bool is_number = length > 0 && strspn(part, "0123456789") >= length;
        bool is_last = !part[length];
        bool says_nothing = is_last && n > 0 && length == 6 && memcmp(part, "weight", 6) == 0;
        if (!is_number && !says_nothing)
            n += (size_t)snprintf(class + n, size - n, "%s%.*s", n ? "." : "", (int)length, part);
        if (n >= size) n = size - 1;
        part += length + !is_last;
    }
    class[n] = 0;
    for (size_t i = 0; i < sizeof common / sizeof *common; i++) {
        size_t length = strlen(common[i]);
        if (strncmp(class, common[i], length) != 0) continue;
        memmove(class, class + length, n - length + 1);
        return;
    }
}

static void add_tensor(void *user, const char *name, const char *type, uint64_t n_elements,
                       uint64_t n_bytes) {
    tensor_classes *classes = user;
    char class[sizeof classes->rows->name];
    size_t i = 0;
    (void)n_elements;
    class_of(class, sizeof class, name);
    while (i < classes->n && (strcmp(classes->rows[i].name, class) != 0 ||
                              strcmp(classes->rows[i].type, type) != 0))
        i++;
    if (i == sizeof classes->rows / sizeof *classes->rows) return;
    tensor_class *row = &classes->rows[i];
    if (i == classes->n) {
        *row = (tensor_class){.n_tensors = 0};
        snprintf(row->name, sizeof row->name, "%s", class);
        snprintf(row->type, sizeof row->type, "%s", type);
        classes->n++;
    }
    row->n_tensors++;
    row->n_bytes += n_bytes;
}

void tensor_classes_count(tensor_classes *classes, const hone_model *model) {
    classes->n = 0;
    hone_model_each_tensor(model, add_tensor, classes);
}

void tensor_classes_print(const tensor_classes *classes, cli_table *table, const char *title) {
    cli_text size;
    for (size_t i = 0; i < classes->n; i++) {
        const tensor_class *row = &classes->rows[i];
        cli_table_add(table, "%s", i ? "" : title);
        cli_table_add(table, "%-26s %-6s %4zu  %s", row->name, row->type, row->n_tensors,
                      cli_format_bytes(&size, row->n_bytes));
    }
}

json_t *tensor_classes_json(const tensor_classes *classes) {
    json_t *list = json_array();
    for (size_t i = 0; list && i < classes->n; i++) {
        const tensor_class *row = &classes->rows[i];
        json_array_append_new(list, json_pack("{s:o, s:s, s:I, s:I}", "class",
                                              cli_json_text(row->name), "type", row->type,
                                              "tensors", (json_int_t)row->n_tensors, "bytes",
                                              (json_int_t)row->n_bytes));
    }
    return list;
}
