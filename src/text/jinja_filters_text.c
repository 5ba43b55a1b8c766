/* Filters on strings. Other values are printed first, as jinja2 does. */
#include <string.h>
#include <utf8proc.h>

#include "text/jinja_int.h"

static bool given(value v) { return v.type != V_MISSING; }

static hone_status change(interp *in, const call_args *args, letter_case to, value *out) {
    const text *t;
    TRY(to_text(in, args->positional[0], &t));
    return text_to_case(in, t, to, out);
}

static hone_status filter_upper(interp *in, const call_args *args, value *out) {
    return change(in, args, CASE_UPPER, out);
}

static hone_status filter_lower(interp *in, const call_args *args, value *out) {
    return change(in, args, CASE_LOWER, out);
}

static hone_status filter_capitalize(interp *in, const call_args *args, value *out) {
    return change(in, args, CASE_CAPITAL, out);
}

static hone_status filter_title(interp *in, const call_args *args, value *out) {
    return change(in, args, CASE_WORDS, out);
}

static hone_status filter_string(interp *in, const call_args *args, value *out) {
    const text *t;
    TRY(to_text(in, args->positional[0], &t));
    *out = TEXT_VALUE(t);
    return HONE_OK;
}

static hone_status filter_safe(interp *in, const call_args *args, value *out) {
    const text *t;
    TRY(to_text(in, args->positional[0], &t));
    return text_safe(in, t, out);
}

static hone_status filter_escape(interp *in, const call_args *args, value *out) {
    const text *t;
    TRY(to_text(in, args->positional[0], &t));
    *out = TEXT_VALUE(t);
    return t->safe ? HONE_OK : text_escape(in, t, out);
}

static hone_status filter_trim(interp *in, const call_args *args, value *out) {
    value a[2];
    const text *t, *chars = NULL;
    TRY(ARGS_BIND(args, "trim", 1, a, "value", "chars"));
    TRY(to_text(in, a[0], &t));
    if (given(a[1]) && a[1].type != V_NONE) TRY(expect_text(a[1], "trim", &chars));
    return text_strip(in, t, chars, STRIP_LEFT | STRIP_RIGHT, out);
}

static hone_status filter_replace(interp *in, const call_args *args, value *out) {
    value a[4];
    const text *t, *from, *to;
    int64_t count = -1;
    TRY(ARGS_BIND(args, "replace", 3, a, "s", "old", "new", "count"));
    TRY(to_text(in, a[0], &t));
    TRY(to_text(in, a[1], &from));
    TRY(to_text(in, a[2], &to));
    if (given(a[3]) && a[3].type != V_NONE) TRY(expect_integer(a[3], "replace", &count));
    return text_replace(in, t, from, to, count, out);
}

static hone_status filter_indent(interp *in, const call_args *args, value *out) {
    static const text blank = {.bytes = " ", .n = 1};
    value a[4], pad;
    const text *t;
    list *lines;
    int64_t width = 4;
    TRY(ARGS_BIND(args, "indent", 1, a, "s", "width", "first", "blank"));
    TRY(to_text(in, a[0], &t));
    if (a[1].type == V_TEXT) {
        pad = a[1];
    } else {
        if (given(a[1])) TRY(expect_integer(a[1], "indent", &width));
        TRY(text_repeat(in, &blank, width, &pad));
    }
    text_builder made;
    builder_init(&made, in);
    TRY(builder_add_text(&made, t));
    TRY(builder_add_string(&made, "\n")); /* so that a last line end counts as an empty line */
    TRY(builder_finish(&made, out));
    TRY(text_splitlines(in, out->text, false, &lines));
    builder_init(&made, in);
    for (size_t i = 0; i < lines->n; i++) {
        const text *line = lines->items[i].text;
        bool indented = i ? line->n || truth(a[3]) : truth(a[2]);
        if (i) TRY(builder_add_string(&made, "\n"));
        if (indented) TRY(builder_add_text(&made, pad.text));
        TRY(builder_add_text(&made, line));
    }
    return builder_finish(&made, out);
}

static hone_status filter_truncate(interp *in, const call_args *args, value *out) {
    static const text dots = {.bytes = "...", .n = 3}, blank = {.bytes = " ", .n = 1};
    value a[5];
    const text *t, *end = &dots;
    int64_t length = 255, leeway = 5;
    TRY(ARGS_BIND(args, "truncate", 1, a, "s", "length", "killwords", "end", "leeway"));
    TRY(to_text(in, a[0], &t));
    if (given(a[1])) TRY(expect_integer(a[1], "truncate", &length));
    if (given(a[3])) TRY(expect_text(a[3], "truncate", &end));
    if (given(a[4]) && a[4].type != V_NONE) TRY(expect_integer(a[4], "truncate", &leeway));
    TRY(spend(in, (t->n + end->n) / 8));
    int64_t n = (int64_t)text_length(t), n_end = (int64_t)text_length(end);
    if (length < n_end || leeway < 0 || length > INT32_MAX || leeway > INT32_MAX)
        return misuse("truncate to %lld characters, leeway %lld", (long long)length,
                      (long long)leeway);
    *out = TEXT_VALUE(t);
    if (n <= length + leeway) return HONE_OK;
    size_t cut = text_offset(t, (size_t)(length - n_end));
    if (!truth(a[2])) {
        size_t word = text_rfind(t, cut, &blank);
        if (word < cut) cut = word;
    }
    text_builder made;
    builder_init(&made, in);
    TRY(builder_add_slice(&made, t, 0, cut));
    TRY(builder_add_text(&made, end));
    return builder_finish(&made, out);
}

static bool is_word(uint32_t c) {
    if (c == '_') return true;
    utf8proc_category_t kind = utf8proc_category((utf8proc_int32_t)c);
    return kind >= UTF8PROC_CATEGORY_LU && kind <= UTF8PROC_CATEGORY_NO &&
           !(kind >= UTF8PROC_CATEGORY_MN && kind <= UTF8PROC_CATEGORY_ME);
}

static hone_status filter_wordcount(interp *in, const call_args *args, value *out) {
    const text *t;
    int64_t words = 0;
    bool inside = false;
    TRY(to_text(in, args->positional[0], &t));
    TRY(spend(in, t->n / 16));
    for (size_t at = 0, n; at < t->n; at += n) {
        bool word = is_word(char_at(t, at, &n));
        words += word && !inside;
        inside = word;
    }
    *out = INT_VALUE(words);
    return HONE_OK;
}

static hone_status filter_center(interp *in, const call_args *args, value *out) {
    value a[2];
    const text *t;
    int64_t width = 80;
    TRY(ARGS_BIND(args, "center", 1, a, "value", "width"));
    TRY(to_text(in, a[0], &t));
    if (given(a[1])) TRY(expect_integer(a[1], "center", &width));
    value call[2] = {TEXT_VALUE(t), INT_VALUE(width)};
    return builtin_find(text_methods, "center")->call(in, &(call_args){.positional = call, .n = 2},
                                                      out);
}

static hone_status filter_format(interp *in, const call_args *args, value *out) {
    const text *format;
    TRY(to_text(in, args->positional[0], &format));
    if (args->n_named) {
        value named;
        TRY(dict_new(in, &named));
        for (size_t i = 0; i < args->n_named; i++)
            TRY(dict_put_name(in, named.dict, args->named[i].name, args->named[i].value));
        return format_percent(in, format, &(call_args){.positional = &named, .n = 1}, out);
    }
    call_args rest = {.positional = args->positional + 1, .n = args->n - 1};
    return format_percent(in, format, &rest, out);
}

const builtin text_filters[] = {
    {"capitalize", filter_capitalize}, {"center", filter_center},   {"e", filter_escape},
    {"escape", filter_escape},         {"format", filter_format},   {"indent", filter_indent},
    {"lower", filter_lower},           {"replace", filter_replace}, {"safe", filter_safe},
    {"string", filter_string},         {"title", filter_title},     {"trim", filter_trim},
    {"truncate", filter_truncate},     {"upper", filter_upper},     {"wordcount", filter_wordcount},
    {NULL, NULL},
};
