/* Methods of strings, as Python's str has them. positional[0] is the string. */
#include <string.h>
#include <utf8proc.h>

#include "base/utf8.h"
#include "text/jinja_int.h"

static bool given(value v) { return v.type != V_MISSING && v.type != V_NONE; }

/* ---- case ---- */

#define CASE_METHOD(name, to)                                                          \
    static hone_status text_##name(interp *in, const call_args *args, value *out) {    \
        value v;                                                                       \
        TRY(ARGS_BIND(args, #name, 1, &v, "self"));                                    \
        return text_to_case(in, v.text, to, out);                                      \
    }

CASE_METHOD(upper, CASE_UPPER)
CASE_METHOD(lower, CASE_LOWER)
CASE_METHOD(capitalize, CASE_CAPITAL)
CASE_METHOD(title, CASE_TITLE)
CASE_METHOD(swapcase, CASE_SWAP)

/* ---- questions about all characters ---- */

static bool is_letter(uint32_t c) {
    utf8proc_category_t kind = utf8proc_category((utf8proc_int32_t)c);
    return kind >= UTF8PROC_CATEGORY_LU && kind <= UTF8PROC_CATEGORY_LO;
}

static bool is_decimal(uint32_t c) {
    return utf8proc_category((utf8proc_int32_t)c) == UTF8PROC_CATEGORY_ND;
}

static bool is_numeric(uint32_t c) {
    utf8proc_category_t kind = utf8proc_category((utf8proc_int32_t)c);
    return kind >= UTF8PROC_CATEGORY_ND && kind <= UTF8PROC_CATEGORY_NO;
}

static bool is_letter_or_digit(uint32_t c) { return is_letter(c) || is_numeric(c); }
static bool is_ascii(uint32_t c) { return c < 0x80; }

static hone_status ask_all(interp *in, const call_args *args, bool (*holds)(uint32_t), bool empty,
                           value *out) {
    const text *t = args->positional[0].text;
    bool all = empty || t->n;
    TRY(spend(in, t->n / 16));
    for (size_t at = 0, n; at < t->n && all; at += n) all = holds(char_at(t, at, &n));
    *out = BOOL_VALUE(all);
    return HONE_OK;
}

#define ALL_METHOD(name, holds, empty)                                              \
    static hone_status text_##name(interp *in, const call_args *args, value *out) { \
        return ask_all(in, args, holds, empty, out);                                \
    }

ALL_METHOD(isalpha, is_letter, false)
ALL_METHOD(isdigit, is_decimal, false)
ALL_METHOD(isnumeric, is_numeric, false)
ALL_METHOD(isalnum, is_letter_or_digit, false)
ALL_METHOD(isspace, is_space, false)
ALL_METHOD(isascii, is_ascii, true)

static hone_status text_isupper(interp *in, const call_args *args, value *out) {
    return test_find("upper")->call(in, args, out);
}

static hone_status text_islower(interp *in, const call_args *args, value *out) {
    return test_find("lower")->call(in, args, out);
}

/* ---- strip ---- */

static hone_status strip(interp *in, const call_args *args, const char *what, unsigned sides,
                         value *out) {
    value a[2];
    const text *chars = NULL;
    TRY(ARGS_BIND(args, what, 1, a, "self", "chars"));
    if (given(a[1])) TRY(expect_text(a[1], what, &chars));
    return text_strip(in, a[0].text, chars, sides, out);
}

static hone_status text_strip_both(interp *in, const call_args *args, value *out) {
    return strip(in, args, "strip", STRIP_LEFT | STRIP_RIGHT, out);
}

static hone_status text_lstrip(interp *in, const call_args *args, value *out) {
    return strip(in, args, "lstrip", STRIP_LEFT, out);
}

static hone_status text_rstrip(interp *in, const call_args *args, value *out) {
    return strip(in, args, "rstrip", STRIP_RIGHT, out);
}

/* ---- search ---- */

static bool ends_with(const text *t, const text *suffix) {
    return t->n >= suffix->n && text_starts(t, t->n - suffix->n, suffix);
}

/* The argument may be a tuple: any of its strings. */
static hone_status affix(const call_args *args, const char *what, bool at_end, value *out) {
    value a[2];
    const text *s;
    TRY(ARGS_BIND(args, what, 2, a, "self", "affix"));
    const list one = {.items = &a[1], .n = 1};
    const list *all = a[1].type == V_TUPLE ? a[1].list : &one;
    *out = BOOL_VALUE(false);
    for (size_t i = 0; i < all->n; i++) {
        TRY(expect_text(all->items[i], what, &s));
        if (at_end ? ends_with(a[0].text, s) : text_starts(a[0].text, 0, s))
            *out = BOOL_VALUE(true);
    }
    return HONE_OK;
}

static hone_status text_startswith(interp *in, const call_args *args, value *out) {
    (void)in;
    return affix(args, "startswith", false, out);
}

static hone_status text_endswith(interp *in, const call_args *args, value *out) {
    (void)in;
    return affix(args, "endswith", true, out);
}

static hone_status find(interp *in, const call_args *args, const char *what, bool last,
                        value *out) {
    value a[4];
    const text *t, *needle;
    int64_t n, begin = 0, end;
    TRY(ARGS_BIND(args, what, 2, a, "self", "sub", "start", "end"));
    TRY(expect_text(a[1], what, &needle));
    t = a[0].text;
    TRY(spend(in, t->n / 8 + (last ? t->n / 16 * (needle->n / 64) : 0)));
    end = n = (int64_t)text_length(t);
    if (given(a[2])) TRY(expect_integer(a[2], what, &begin));
    if (given(a[3])) TRY(expect_integer(a[3], what, &end));
    if (begin < 0) begin = begin < -n ? 0 : begin + n;
    if (end < 0) end = end < -n ? 0 : end + n;
    if (end > n) end = n;
    *out = INT_VALUE(-1);
    if (begin > end) return HONE_OK;
    size_t from = text_offset(t, (size_t)begin);
    text part = {.bytes = t->bytes + from, .n = text_offset(t, (size_t)end) - from};
    size_t found = last ? text_rfind(&part, part.n, needle) : text_find(&part, 0, needle);
    if (found > part.n) return HONE_OK;
    part.n = found;
    *out = INT_VALUE(begin + (int64_t)text_length(&part));
    return HONE_OK;
}

static hone_status text_find_first(interp *in, const call_args *args, value *out) {
    return find(in, args, "find", false, out);
}

static hone_status text_find_last(interp *in, const call_args *args, value *out) {
    return find(in, args, "rfind", true, out);
}

static hone_status text_index(interp *in, const call_args *args, value *out) {
    TRY(find(in, args, "index", false, out));
    return out->integer < 0 ? misuse("index: substring not found") : HONE_OK;
}

static hone_status text_count(interp *in, const call_args *args, value *out) {
    value a[2];
    const text *needle;
    int64_t n = 0;
    TRY(ARGS_BIND(args, "count", 2, a, "self", "sub"));
    TRY(expect_text(a[1], "count", &needle));
    const text *t = a[0].text;
    TRY(spend(in, t->n / 16));
    for (size_t at = 0; needle->n; n++) {
        size_t found = text_find(t, at, needle);
        if (found > t->n) break;
        at = found + needle->n;
    }
    *out = INT_VALUE(needle->n ? n : (int64_t)text_length(t) + 1);
    return HONE_OK;
}

/* ---- cutting and joining ---- */

static hone_status add_slice(interp *in, const text *t, size_t begin, size_t end, list *l) {
    value part;
    TRY(text_slice(in, t, begin, end, &part));
    return list_add(in, l, part);
}

static size_t skip_blanks(const text *t, size_t at, bool blanks) {
    size_t n;
    while (at < t->n && is_space(char_at(t, at, &n)) == blanks) at += n;
    return at;
}

/* Without a separator: words, blanks around them dropped. */
static hone_status split_words(interp *in, const text *t, int64_t most, list *l) {
    for (size_t at = skip_blanks(t, 0, true); at < t->n; most -= most > 0) {
        if (most == 0) {
            value rest;
            TRY(text_slice(in, t, at, t->n, &rest));
            TRY(text_strip(in, rest.text, NULL, STRIP_RIGHT, &rest));
            return list_add(in, l, rest);
        }
        size_t end = skip_blanks(t, at, false);
        TRY(add_slice(in, t, at, end, l));
        at = skip_blanks(t, end, true);
    }
    return HONE_OK;
}

static hone_status split_args(interp *in, const call_args *args, const char *what, value a[3],
                              const text **separator, int64_t *most, value *out) {
    TRY(ARGS_BIND(args, what, 1, a, "self", "sep", "maxsplit"));
    *separator = NULL;
    *most = -1;
    if (given(a[1])) TRY(expect_text(a[1], what, separator));
    if (given(a[2])) TRY(expect_integer(a[2], what, most));
    if (*separator && (*separator)->n == 0) return misuse("%s: empty separator", what);
    TRY(spend(in, a[0].text->n / 16));
    return list_new(in, V_LIST, 0, out);
}

static hone_status text_split(interp *in, const call_args *args, value *out) {
    value a[3];
    const text *separator;
    int64_t most;
    TRY(split_args(in, args, "split", a, &separator, &most, out));
    const text *t = a[0].text;
    if (!separator) return split_words(in, t, most, out->list);
    size_t begin = 0;
    for (; most != 0; most -= most > 0) {
        size_t found = text_find(t, begin, separator);
        if (found > t->n) break;
        TRY(add_slice(in, t, begin, found, out->list));
        begin = found + separator->n;
    }
    return add_slice(in, t, begin, t->n, out->list);
}

static void reverse_items(list *l) {
    for (size_t i = 0, j = l->n; i + 1 < j; i++) {
        value swapped = l->items[--j];
        l->items[j] = l->items[i];
        l->items[i] = swapped;
    }
}

static size_t blanks_before(const text *t, size_t end, bool blanks) {
    while (end > 0) {
        size_t n, at = end - 1;
        while (at > 0 && ((unsigned char)t->bytes[at] & 0xC0) == 0x80) at--;
        if (is_space(char_at(t, at, &n)) != blanks) break;
        end = at;
    }
    return end;
}

static hone_status rsplit_words(interp *in, const text *t, int64_t most, list *l) {
    for (size_t end = blanks_before(t, t->n, true); end > 0; most -= most > 0) {
        size_t begin = most == 0 ? skip_blanks(t, 0, true) : blanks_before(t, end, false);
        TRY(add_slice(in, t, begin, end, l));
        if (most == 0) break;
        end = blanks_before(t, begin, true);
    }
    reverse_items(l);
    return HONE_OK;
}

static hone_status text_rsplit(interp *in, const call_args *args, value *out) {
    value a[3];
    const text *separator;
    int64_t most;
    TRY(split_args(in, args, "rsplit", a, &separator, &most, out));
    const text *t = a[0].text;
    if (!separator) return rsplit_words(in, t, most, out->list);
    TRY(spend(in, t->n / 16 * (separator->n / 64)));
    size_t end = t->n;
    for (; most != 0; most -= most > 0) {
        size_t found = text_rfind(t, end, separator);
        if (found > t->n) break;
        TRY(add_slice(in, t, found + separator->n, end, out->list));
        end = found;
    }
    TRY(add_slice(in, t, 0, end, out->list));
    reverse_items(out->list);
    return HONE_OK;
}

static hone_status part(interp *in, const call_args *args, const char *what, bool last,
                        value *out) {
    value a[2];
    const text *separator;
    TRY(ARGS_BIND(args, what, 2, a, "self", "sep"));
    TRY(expect_text(a[1], what, &separator));
    if (separator->n == 0) return misuse("%s: empty separator", what);
    const text *t = a[0].text;
    TRY(spend(in, t->n / 8 + (last ? t->n / 16 * (separator->n / 64) : 0)));
    size_t found = last ? text_rfind(t, t->n, separator) : text_find(t, 0, separator);
    size_t behind = found + separator->n;
    if (found > t->n) found = behind = last ? 0 : t->n;
    TRY(list_new(in, V_TUPLE, 3, out));
    TRY(add_slice(in, t, 0, found, out->list));
    TRY(add_slice(in, t, found, behind, out->list));
    return add_slice(in, t, behind, t->n, out->list);
}

static hone_status text_partition(interp *in, const call_args *args, value *out) {
    return part(in, args, "partition", false, out);
}

static hone_status text_rpartition(interp *in, const call_args *args, value *out) {
    return part(in, args, "rpartition", true, out);
}

static hone_status text_splitlines_method(interp *in, const call_args *args, value *out) {
    value a[2];
    list *lines;
    TRY(ARGS_BIND(args, "splitlines", 1, a, "self", "keepends"));
    TRY(text_splitlines(in, a[0].text, truth(a[1]), &lines));
    *out = (value){.type = V_LIST, .list = lines};
    return HONE_OK;
}

static hone_status text_join(interp *in, const call_args *args, value *out) {
    value a[2];
    list *items;
    text_builder made;
    TRY(ARGS_BIND(args, "join", 2, a, "self", "iterable"));
    TRY(iterate(in, a[1], &items));
    builder_init(&made, in);
    for (size_t i = 0; i < items->n; i++) {
        const text *t;
        TRY(expect_text(items->items[i], "join", &t));
        if (i) TRY(builder_add_text(&made, a[0].text));
        TRY(builder_add_text(&made, t));
    }
    return builder_finish(&made, out);
}

static hone_status text_replace_method(interp *in, const call_args *args, value *out) {
    value a[4];
    const text *from, *to;
    int64_t count = -1;
    TRY(ARGS_BIND(args, "replace", 3, a, "self", "old", "new", "count"));
    TRY(expect_text(a[1], "replace", &from));
    TRY(expect_text(a[2], "replace", &to));
    if (given(a[3])) TRY(expect_integer(a[3], "replace", &count));
    return text_replace(in, a[0].text, from, to, count, out);
}

static hone_status remove_affix(interp *in, const call_args *args, const char *what, bool at_end,
                                value *out) {
    value a[2];
    const text *s;
    TRY(ARGS_BIND(args, what, 2, a, "self", "affix"));
    TRY(expect_text(a[1], what, &s));
    const text *t = a[0].text;
    bool there = at_end ? ends_with(t, s) : text_starts(t, 0, s);
    size_t cut = there ? s->n : 0;
    return text_slice(in, t, at_end ? 0 : cut, at_end ? t->n - cut : t->n, out);
}

static hone_status text_removeprefix(interp *in, const call_args *args, value *out) {
    return remove_affix(in, args, "removeprefix", false, out);
}

static hone_status text_removesuffix(interp *in, const call_args *args, value *out) {
    return remove_affix(in, args, "removesuffix", true, out);
}

/* ---- padding ---- */

/* `left` of 2 parts of the padding go before the text. */
static hone_status pad(interp *in, const call_args *args, const char *what, int left, value *out) {
    static const text blank = {.bytes = " ", .n = 1};
    value a[3];
    const text *fill = &blank;
    int64_t width;
    TRY(ARGS_BIND(args, what, 2, a, "self", "width", "fillchar"));
    TRY(expect_integer(a[1], what, &width));
    if (given(a[2])) TRY(expect_text(a[2], what, &fill));
    if (text_length(fill) != 1) return misuse("%s: fill is not one character", what);
    int64_t n = (int64_t)text_length(a[0].text), missing = width > n ? width - n : 0;
    int64_t before = left == 1 ? missing / 2 + (missing & width & 1) : left == 2 ? missing : 0;
    value sides[2];
    TRY(text_repeat(in, fill, before, &sides[0]));
    TRY(text_repeat(in, fill, missing - before, &sides[1]));
    TRY(text_concat(in, sides[0].text, a[0].text, out));
    return text_concat(in, out->text, sides[1].text, out);
}

static hone_status text_center(interp *in, const call_args *args, value *out) {
    return pad(in, args, "center", 1, out);
}

static hone_status text_ljust(interp *in, const call_args *args, value *out) {
    return pad(in, args, "ljust", 0, out);
}

static hone_status text_rjust(interp *in, const call_args *args, value *out) {
    return pad(in, args, "rjust", 2, out);
}

static hone_status text_zfill(interp *in, const call_args *args, value *out) {
    static const text zero = {.bytes = "0", .n = 1};
    value a[2], zeros;
    int64_t width;
    TRY(ARGS_BIND(args, "zfill", 2, a, "self", "width"));
    TRY(expect_integer(a[1], "zfill", &width));
    const text *t = a[0].text;
    int64_t n = (int64_t)text_length(t);
    size_t sign = t->n && (t->bytes[0] == '-' || t->bytes[0] == '+');
    TRY(text_repeat(in, &zero, width > n ? width - n : 0, &zeros));
    text_builder made;
    builder_init(&made, in);
    TRY(builder_add_slice(&made, t, 0, sign));
    TRY(builder_add_text(&made, zeros.text));
    TRY(builder_add_slice(&made, t, sign, t->n));
    return builder_finish(&made, out);
}

static hone_status text_format(interp *in, const call_args *args, value *out) {
    call_args rest = *args;
    rest.positional++;
    rest.n--;
    return format_braces(in, args->positional[0].text, &rest, out);
}

const builtin text_methods[] = {
    {"capitalize", text_capitalize}, {"casefold", text_lower},      {"center", text_center},
    {"count", text_count},           {"encode", NULL},              {"endswith", text_endswith},
    {"expandtabs", NULL},            {"find", text_find_first},     {"format", text_format},
    {"format_map", NULL},            {"index", text_index},         {"isalnum", text_isalnum},
    {"isalpha", text_isalpha},       {"isascii", text_isascii},     {"isdecimal", text_isdigit},
    {"isdigit", text_isdigit},       {"isidentifier", NULL},        {"islower", text_islower},
    {"isnumeric", text_isnumeric},   {"isprintable", NULL},         {"isspace", text_isspace},
    {"istitle", NULL},               {"isupper", text_isupper},     {"join", text_join},
    {"ljust", text_ljust},           {"lower", text_lower},         {"lstrip", text_lstrip},
    {"maketrans", NULL},             {"partition", text_partition},
    {"removeprefix", text_removeprefix}, {"removesuffix", text_removesuffix},
    {"replace", text_replace_method},
    {"rfind", text_find_last},       {"rindex", NULL},              {"rjust", text_rjust},
    {"rpartition", text_rpartition}, {"rsplit", text_rsplit},       {"rstrip", text_rstrip},
    {"split", text_split},           {"splitlines", text_splitlines_method},
    {"startswith", text_startswith}, {"strip", text_strip_both},    {"swapcase", text_swapcase},
    {"title", text_title},           {"translate", NULL},           {"upper", text_upper},
    {"zfill", text_zfill},           {NULL, NULL},
};
