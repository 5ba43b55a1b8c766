#include "lab/task_members.h"

#include <string.h>

#include "base/buf.h"

#define MAX_TEXT_BYTES ((size_t)1 << 20)

static bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

/* Appends the text of a member; *there false where the item has none. */
static hone_status add_text(buf *out, const json_t *item, const json_t *name, bool *there) {
    const json_t *value = json_object_get(item, json_string_value(name));
    *there = json_is_string(value);
    if (!*there) return HONE_OK;
    while (out->len && is_blank(out->data[out->len - 1])) out->len--;
    if (out->len) TRY(buf_add_text(out, strchr(".?!,:;", out->data[out->len - 1]) ? " " : ". "));
    return buf_add(out, json_string_value(value), json_string_length(value));
}

static hone_status add_all(buf *out, const json_t *item, const json_t *of, bool *there) {
    const json_t *name;
    size_t i;
    if (json_is_string(of)) return add_text(out, item, of, there);
    *there = json_array_size(of) > 0;
    json_array_foreach(of, i, name) {
        bool has;
        TRY(add_text(out, item, name, &has));
        *there &= has;
    }
    return HONE_OK;
}

/* Sets the member to the part of the text behind these words (NULL = all), without outer blanks;
 * where the words are not in it, nothing is set. */
static void set_part(json_t *item, const char *member, const buf *text, const char *behind) {
    const char *start = text->data, *end = text->data + text->len;
    if (behind) {
        start = strstr(start, behind);
        if (!start) return;
        start += strlen(behind);
    }
    while (start < end && is_blank(*start)) start++;
    while (end > start && is_blank(end[-1])) end--;
    json_object_set_new(item, member, json_stringn(start, (size_t)(end - start)));
}

static hone_status take_made(json_t *item, const char *member, const json_t *rule) {
    const json_t *always = json_object_get(rule, "always"), *of = json_object_get(rule, "of");
    const char *behind = NULL;
    bool there;
    buf text;
    TRY(json_get_string(rule, "behind", &behind));
    if (always) {
        if (!json_object_get(item, member)) json_object_set(item, member, (json_t *)always);
        return HONE_OK;
    }
    if (!of) return fail(HONE_ERR_FORMAT, "\"members\": \"%s\" is made of nothing", member);
    buf_init(&text, MAX_TEXT_BYTES);
    hone_status status = add_all(&text, item, of, &there);
    if (status == HONE_OK && there && text.len) set_part(item, member, &text, behind);
    buf_release(&text);
    return status;
}

hone_status task_members_take(json_t *item, const json_t *members) {
    const char *member;
    json_t *rule;
    json_object_foreach((json_t *)members, member, rule) {
        if (json_is_string(rule)) {
            json_t *value = json_object_get(item, json_string_value(rule));
            if (value && !json_object_get(item, member)) json_object_set(item, member, value);
        } else {
            TRY(take_made(item, member, rule));
        }
    }
    return HONE_OK;
}
