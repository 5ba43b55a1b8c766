/* Values to text (Python's str and repr, json.dumps), and JSON to values. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include <utf8proc.h>

#include "base/utf8.h"
#include "text/jinja_int.h"

/* ---- str and repr ---- */

/* Bytes of a character that repr writes as an escape; 0: as it is. */
static size_t repr_escape(uint32_t c, char quote, char out[12]) {
    if (c == (uint32_t)quote || c == '\\') return (size_t)snprintf(out, 12, "\\%c", (char)c);
    if (c == '\n' || c == '\r' || c == '\t')
        return (size_t)snprintf(out, 12, "\\%c", c == '\n' ? 'n' : c == '\r' ? 'r' : 't');
    if (c < 0x20 || (c >= 0x7f && c <= 0xa0) || c == 0xad)
        return (size_t)snprintf(out, 12, "\\x%02x", c);
    if (c < 0x100) return 0;
    utf8proc_category_t kind = utf8proc_category((utf8proc_int32_t)c);
    bool printable = kind != UTF8PROC_CATEGORY_CN && kind < UTF8PROC_CATEGORY_ZS;
    if (printable) return 0;
    return (size_t)snprintf(out, 12, c < 0x10000 ? "\\u%04x" : "\\U%08x", c);
}

static hone_status repr_text(text_builder *b, const text *t) {
    bool single = memchr(t->bytes, '\'', t->n), twice = memchr(t->bytes, '"', t->n);
    char quote = single && !twice ? '"' : '\'', escape[12];
    TRY(builder_add(b, &quote, 1, FROM_TEMPLATE));
    for (size_t at = 0, n; at < t->n; at += n) {
        uint32_t c = char_at(t, at, &n);
        size_t escaped = c == UTF8_INVALID ? 0 : repr_escape(c, quote, escape);
        if (escaped) TRY(builder_add(b, escape, escaped, text_origin_at(t, at)));
        else TRY(builder_add_slice(b, t, at, at + n));
    }
    return builder_add(b, &quote, 1, FROM_TEMPLATE);
}

static hone_status repr_items(text_builder *b, const list *l, bool is_tuple) {
    TRY(builder_add_string(b, is_tuple ? "(" : "["));
    for (size_t i = 0; i < l->n; i++) {
        if (i) TRY(builder_add_string(b, ", "));
        TRY(repr_value(b, l->items[i]));
    }
    return builder_add_string(b, !is_tuple ? "]" : l->n == 1 ? ",)" : ")");
}

static hone_status repr_dict(text_builder *b, const dict *d) {
    TRY(builder_add_string(b, "{"));
    for (size_t i = 0; i < d->n; i++) {
        if (i) TRY(builder_add_string(b, ", "));
        TRY(repr_value(b, d->entries[i].key));
        TRY(builder_add_string(b, ": "));
        TRY(repr_value(b, d->entries[i].item));
    }
    return builder_add_string(b, "}");
}

hone_status repr_value(text_builder *b, value v) {
    char number[40];
    size_t begin = b->n;
    TRY(spend(b->in, 1));
    switch (v.type) {
    case V_MISSING:
    case V_UNDEFINED: return builder_add_string(b, "Undefined");
    case V_NONE: return builder_add_string(b, "None");
    case V_BOOL: return builder_add_string(b, v.boolean ? "True" : "False");
    case V_INT:
        snprintf(number, sizeof number, "%lld", (long long)v.integer);
        return builder_add_string(b, number);
    case V_FLOAT: real_to_text(v.real, number); return builder_add_string(b, number);
    case V_TEXT: TRY(repr_text(b, v.text)); break;
    case V_LIST:
    case V_TUPLE:
    case V_DICT:
        TRY(enter(b->in));
        if (v.type == V_DICT) TRY(repr_dict(b, v.dict));
        else TRY(repr_items(b, v.list, v.type == V_TUPLE));
        leave(b->in);
        break;
    case V_NAMESPACE:
        TRY(enter(b->in));
        TRY(builder_add_string(b, "<Namespace "));
        TRY(repr_dict(b, v.dict));
        TRY(builder_add_string(b, ">"));
        leave(b->in);
        break;
    default:
        TRY(builder_add_string(b, "<"));
        TRY(builder_add_string(b, type_name(v)));
        return builder_add_string(b, ">");
    }
    builder_taint(b, begin);
    return HONE_OK;
}

hone_status print_value(text_builder *b, value v) {
    if (v.type == V_TEXT) return builder_add_text(b, v.text);
    return v.type == V_UNDEFINED ? HONE_OK : repr_value(b, v);
}

hone_status to_text(interp *in, value v, const text **out) {
    if (v.type != V_TEXT) {
        text_builder b;
        builder_init(&b, in);
        TRY(print_value(&b, v));
        TRY(builder_finish(&b, &v));
    }
    *out = v.text;
    return HONE_OK;
}

/* ---- JSON out ---- */

/* Bytes of the escape for c; 0: as it is. */
static size_t json_escape(uint32_t c, bool ensure_ascii, char out[16]) {
    static const char plain[] = "\"\"\\\\\nn\rr\tt\bb\ff";
    for (size_t i = 0; i + 1 < sizeof plain; i += 2)
        if ((uint32_t)plain[i] == c) return (size_t)snprintf(out, 16, "\\%c", plain[i + 1]);
    if (c >= 0x20 && (c < 0x7f || !ensure_ascii)) return 0;
    if (c < 0x10000) return (size_t)snprintf(out, 16, "\\u%04x", c);
    c -= 0x10000;
    return (size_t)snprintf(out, 16, "\\u%04x\\u%04x", 0xD800 + (c >> 10), 0xDC00 + (c & 0x3FF));
}

static hone_status json_text(text_builder *b, const text *t, const json_style *style) {
    size_t plain = 0; /* begin of the run that needs no escape */
    TRY(builder_add_string(b, "\""));
    for (size_t at = 0, n; at < t->n; at += n) {
        char escape[16];
        uint32_t c = char_at(t, at, &n);
        size_t escaped = json_escape(c == UTF8_INVALID ? 0xFFFD : c, style->ensure_ascii, escape);
        if (!escaped) continue;
        TRY(builder_add_slice(b, t, plain, at));
        TRY(builder_add(b, escape, escaped, text_origin_at(t, at)));
        plain = at + n;
    }
    TRY(builder_add_slice(b, t, plain, t->n));
    return builder_add_string(b, "\"");
}

static hone_status json_newline(text_builder *b, const json_style *style, size_t level) {
    if (!style->indent) return HONE_OK;
    TRY(builder_add_string(b, "\n"));
    while (level-- > 0) TRY(builder_add_text(b, style->indent));
    return HONE_OK;
}

static hone_status json_level(text_builder *b, value v, const json_style *style, size_t level);

static hone_status json_items(text_builder *b, const list *l, const json_style *style,
                              size_t level) {
    TRY(builder_add_string(b, "["));
    for (size_t i = 0; i < l->n; i++) {
        if (i) TRY(builder_add_text(b, style->item_separator));
        TRY(json_newline(b, style, level + 1));
        TRY(json_level(b, l->items[i], style, level + 1));
    }
    if (l->n) TRY(json_newline(b, style, level));
    return builder_add_string(b, "]");
}

static hone_status json_key(text_builder *b, value key, const json_style *style) {
    if (key.type == V_TEXT) return json_text(b, key.text, style);
    if (!is_number(key) && key.type != V_NONE)
        return misuse("tojson: a key is %s", type_name(key));
    TRY(builder_add_string(b, "\""));
    TRY(json_level(b, key, style, 0));
    return builder_add_string(b, "\"");
}

static hone_status json_dict(text_builder *b, const dict *d, const json_style *style,
                             size_t level) {
    value *keys = NULL, *at = NULL;
    if (style->sort_keys && d->n) {
        keys = arena_alloc(&b->in->arena, d->n, 2 * sizeof *keys);
        if (!keys) return HONE_ERR_MEMORY;
        at = keys + d->n;
        for (size_t i = 0; i < d->n; i++) {
            keys[i] = d->entries[i].key;
            at[i] = INT_VALUE((int64_t)i);
        }
        TRY(sort_by_keys(b->in, at, keys, d->n, false));
    }
    TRY(builder_add_string(b, "{"));
    for (size_t i = 0; i < d->n; i++) {
        const dict_entry *e = &d->entries[at ? (size_t)at[i].integer : i];
        if (i) TRY(builder_add_text(b, style->item_separator));
        TRY(json_newline(b, style, level + 1));
        TRY(json_key(b, e->key, style));
        TRY(builder_add_text(b, style->key_separator));
        TRY(json_level(b, e->item, style, level + 1));
    }
    if (d->n) TRY(json_newline(b, style, level));
    return builder_add_string(b, "}");
}

static hone_status json_level(text_builder *b, value v, const json_style *style, size_t level) {
    TRY(spend(b->in, 1));
    switch (v.type) {
    case V_NONE: return builder_add_string(b, "null");
    case V_BOOL: return builder_add_string(b, v.boolean ? "true" : "false");
    case V_INT: return repr_value(b, v);
    case V_FLOAT:
        if (isnan(v.real)) return builder_add_string(b, "NaN");
        if (isinf(v.real)) return builder_add_string(b, v.real < 0 ? "-Infinity" : "Infinity");
        return repr_value(b, v);
    case V_TEXT: return json_text(b, v.text, style);
    case V_LIST:
    case V_TUPLE:
    case V_DICT: break;
    case V_UNDEFINED:
        if (v.name) return misuse("tojson: '%s' is undefined", v.name);
        /* fall through */
    default: return misuse("tojson: %s has no JSON form", type_name(v));
    }
    TRY(enter(b->in));
    if (v.type == V_DICT) TRY(json_dict(b, v.dict, style, level));
    else TRY(json_items(b, v.list, style, level));
    leave(b->in);
    return HONE_OK;
}

hone_status json_print(text_builder *b, value v, const json_style *style) {
    size_t begin = b->n;
    TRY(json_level(b, v, style, 0));
    builder_taint(b, begin);
    return HONE_OK;
}

/* ---- JSON in: strings are borrowed, `json` outlives the render ---- */

static hone_status list_from_json(interp *in, const json_t *json, origin from, value *out) {
    size_t n = json_array_size(json);
    TRY(list_new(in, V_LIST, n, out));
    for (size_t i = 0; i < n; i++) {
        value item;
        TRY(value_from_json(in, json_array_get(json, i), from, &item));
        TRY(list_add(in, out->list, item));
    }
    return HONE_OK;
}

static hone_status dict_from_json(interp *in, const json_t *json, origin from, value *out) {
    TRY(dict_new(in, out));
    json_t *source = (json_t *)json; /* jansson iterates over non-const only; nothing is changed */
    for (void *at = json_object_iter(source); at; at = json_object_iter_next(source, at)) {
        value key, item;
        TRY(text_new(in, json_object_iter_key(at), json_object_iter_key_len(at), from, &key));
        TRY(value_from_json(in, json_object_iter_value(at), from, &item));
        TRY(dict_put(in, out->dict, key, item));
    }
    return HONE_OK;
}

hone_status value_from_json(interp *in, const json_t *json, origin from, value *out) {
    TRY(spend(in, 1));
    switch (json_typeof(json)) {
    case JSON_NULL: *out = NONE_VALUE; return HONE_OK;
    case JSON_TRUE: *out = BOOL_VALUE(true); return HONE_OK;
    case JSON_FALSE: *out = BOOL_VALUE(false); return HONE_OK;
    case JSON_INTEGER: *out = INT_VALUE(json_integer_value(json)); return HONE_OK;
    case JSON_REAL: *out = FLOAT_VALUE(json_real_value(json)); return HONE_OK;
    case JSON_STRING:
        return text_new(in, json_string_value(json), json_string_length(json), from, out);
    default: break;
    }
    TRY(enter(in));
    if (json_is_array(json)) TRY(list_from_json(in, json, from, out));
    else TRY(dict_from_json(in, json, from, out));
    leave(in);
    return HONE_OK;
}
