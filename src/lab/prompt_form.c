#include "lab/prompt_form.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_NAME = 64 };

/* What stands between the braces. */
typedef struct field {
    char name[MAX_NAME], filter[MAX_NAME];
    long index; /* −1 = none */
} field;

static hone_status copy_part(char *out, const char *from, size_t n) {
    if (n == 0 || n >= MAX_NAME)
        return fail(HONE_ERR_FORMAT, "a field's name is empty or too long");
    memcpy(out, from, n);
    out[n] = '\0';
    return HONE_OK;
}

/* text[n], without the braces. */
static hone_status read_field(field *f, const char *text, size_t n) {
    size_t n_name = strcspn(text, "[|}"), at = n_name;
    *f = (field){.index = -1};
    TRY(copy_part(f->name, text, n_name < n ? n_name : n));
    if (at < n && text[at] == '[') {
        char *end;
        f->index = strtol(text + at + 1, &end, 10);
        if (end == text + at + 1 || *end != ']' || f->index < 0)
            return fail(HONE_ERR_FORMAT, "{%.*s}: an index is a number in brackets", (int)n, text);
        at = (size_t)(end + 1 - text);
    }
    if (at < n && text[at] == '|') TRY(copy_part(f->filter, text + at + 1, n - at - 1));
    else if (at < n) return fail(HONE_ERR_FORMAT, "{%.*s}: not a field", (int)n, text);
    return HONE_OK;
}

static hone_status add_value(buf *out, const json_t *value, const char *name) {
    switch (json_typeof(value)) {
    case JSON_STRING: return buf_add(out, json_string_value(value), json_string_length(value));
    case JSON_INTEGER:
        return buf_add_format(out, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
    case JSON_REAL: return buf_add_format(out, "%.17g", json_real_value(value));
    case JSON_TRUE: return buf_add_text(out, "true");
    case JSON_FALSE: return buf_add_text(out, "false");
    case JSON_NULL: return HONE_OK;
    default:
        return fail(HONE_ERR_FORMAT, "\"%s\" is %s: name one of its members", name,
                    json_type_name(value));
    }
}

static hone_status add_lines(buf *out, const json_t *value, const char *name) {
    size_t i;
    json_t *line;
    if (!json_is_array(value)) return fail(HONE_ERR_FORMAT, "\"%s\" has no lines", name);
    json_array_foreach(value, i, line) {
        if (i > 0) TRY(buf_add(out, "\n", 1));
        TRY(add_value(out, line, name));
    }
    return HONE_OK;
}

/* Takes blanks off both ends of what was added from `start` on. */
static void strip(buf *out, size_t start) {
    static const char blanks[] = " \t\r\n\v\f";
    if (out->len == start) return;
    while (out->len > start && strchr(blanks, out->data[out->len - 1])) out->len--;
    out->data[out->len] = '\0';
    size_t leading = strspn(out->data + start, blanks);
    memmove(out->data + start, out->data + start + leading, out->len - start - leading + 1);
    out->len -= leading;
}

static hone_status add_filtered(buf *out, const json_t *value, const field *f) {
    size_t start = out->len;
    if (strcmp(f->filter, "lines") == 0) return add_lines(out, value, f->name);
    TRY(add_value(out, value, f->name));
    if (strcmp(f->filter, "strip") == 0) strip(out, start);
    else if (strcmp(f->filter, "spaces") == 0)
        for (size_t i = start; i < out->len; i++)
            out->data[i] = out->data[i] == '_' ? ' ' : out->data[i];
    else if (*f->filter)
        return fail(HONE_ERR_FORMAT, "{%s|%s}: no such filter", f->name, f->filter);
    return HONE_OK;
}

static hone_status add_field(buf *out, const char *text, size_t n, const json_t *item,
                             const json_t *first) {
    field f;
    TRY(read_field(&f, text, n));
    const json_t *value = json_object_get(first, f.name);
    if (!value) value = json_object_get(item, f.name);
    if (value && f.index >= 0) value = json_array_get(value, (size_t)f.index);
    if (!value) return fail(HONE_ERR_FORMAT, "the item has no \"%.*s\"", (int)n, text);
    return add_filtered(out, value, &f);
}

hone_status prompt_form_fill(buf *out, const char *form, const json_t *item, const json_t *first) {
    while (*form) {
        size_t plain = strcspn(form, "{}");
        TRY(buf_add(out, form, plain));
        form += plain;
        if (!*form) break;
        if (form[0] == form[1]) {
            TRY(buf_add(out, form, 1));
            form += 2;
            continue;
        }
        size_t inside = strcspn(form + 1, "{}");
        if (form[0] == '}' || form[1 + inside] != '}')
            return fail(HONE_ERR_FORMAT, "a brace stands alone at \"%.20s\"", form);
        TRY(add_field(out, form + 1, inside, item, first));
        form += inside + 2;
    }
    return HONE_OK;
}
