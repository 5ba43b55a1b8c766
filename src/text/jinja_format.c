/* "…" % values and "…".format(…), with Python's format specs. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "text/jinja_int.h"

enum { MAX_WIDTH = 100000, MAX_PRECISION = 300 };

typedef struct spec {
    const text *fill; /* one character; NULL: a blank */
    char align;       /* < > ^ =, 0: by type */
    char sign;        /* + or blank or 0 */
    bool alternate, zero, grouped;
    int64_t width, precision; /* −1: none */
    char type;                /* 0: by value */
} spec;

/* ---- one value under a spec ---- */

static hone_status padded(text_builder *b, const text *t, const spec *s, char align) {
    static const text blank = {.bytes = " ", .n = 1};
    int64_t n = (int64_t)text_length(t), missing = s->width > n ? s->width - n : 0;
    int64_t before = align == '>' ? missing : align == '^' ? missing / 2 : 0;
    value side;
    TRY(text_repeat(b->in, s->fill ? s->fill : &blank, before, &side));
    TRY(builder_add_text(b, side.text));
    TRY(builder_add_text(b, t));
    TRY(text_repeat(b->in, s->fill ? s->fill : &blank, missing - before, &side));
    return builder_add_text(b, side.text);
}

static hone_status format_text(text_builder *b, const text *t, const spec *s) {
    text cut = *t;
    if (s->precision >= 0) cut.n = text_offset(t, (size_t)s->precision);
    return padded(b, &cut, s, s->align ? s->align : '<');
}

/* Digits with "," after each three before the point. */
static void group_digits(const char *digits, char *out) {
    size_t whole = strspn(digits, "0123456789"), n = 0;
    for (size_t i = 0; i < whole; i++) {
        if (i && (whole - i) % 3 == 0) out[n++] = ',';
        out[n++] = digits[i];
    }
    strcpy(out + n, digits + whole);
}

/* Sign, zeros or fill, digits. */
static hone_status place_number(text_builder *b, bool negative, const char *prefix,
                                const char *digits, const spec *s) {
    char grouped[2 * NUMBER_TEXT_MAX], head[8];
    if (s->grouped) {
        group_digits(digits, grouped);
        digits = grouped;
    }
    const char *sign = negative ? "-" : s->sign == '+' ? "+" : s->sign == ' ' ? " " : "";
    snprintf(head, sizeof head, "%s%s", sign, prefix);
    int64_t n = (int64_t)(strlen(head) + strlen(digits));
    bool inside = s->align == '=' || (!s->align && s->zero);
    text_builder made;
    value v;
    builder_init(&made, b->in);
    TRY(builder_add_string(&made, head));
    if (inside && s->width > n) TRY(builder_pad(&made, (size_t)(s->width - n), s->zero ? '0' : ' '));
    TRY(builder_add_string(&made, digits));
    TRY(builder_finish(&made, &v));
    return padded(b, v.text, s, s->align && s->align != '=' ? s->align : '>');
}

static hone_status format_integer(text_builder *b, int64_t i, const spec *s) {
    char digits[72], *d = digits + sizeof digits;
    const char *prefix = "";
    uint64_t magnitude = i < 0 ? 0 - (uint64_t)i : (uint64_t)i;
    unsigned base = 10;
    switch (s->type) {
    case 'x': base = 16; prefix = "0x"; break;
    case 'X': base = 16; prefix = "0X"; break;
    case 'o': base = 8; prefix = "0o"; break;
    case 'b': base = 2; prefix = "0b"; break;
    default: break;
    }
    *--d = 0;
    const char *letters = s->type == 'X' ? "0123456789ABCDEF" : "0123456789abcdef";
    do *--d = letters[magnitude % base];
    while (magnitude /= base);
    return place_number(b, i < 0, s->alternate ? prefix : "", d, s);
}

static hone_status format_real(text_builder *b, double d, const spec *s) {
    char digits[NUMBER_TEXT_MAX + MAX_PRECISION], form[8] = "%.*f";
    double size = fabs(d);
    bool percent = s->type == '%', named = !isfinite(d);
    int precision = s->precision < 0 ? 6 : (int)s->precision;
    if (!s->type && s->precision < 0) {
        real_to_text(size, digits);
    } else {
        form[3] = percent ? 'f' : s->type ? s->type : 'g';
        if (form[3] == 'g' && precision == 0) precision = 1;
        snprintf(digits, sizeof digits, form, precision, percent ? size * 100 : size);
    }
    if (percent) strcat(digits, "%");
    spec plain = *s;
    if (named) plain.zero = plain.grouped = false;
    return place_number(b, signbit(d) != 0 && !isnan(d), "", digits, &plain);
}

static hone_status format_value(text_builder *b, value v, const spec *s) {
    int64_t i;
    bool integer_type = s->type && strchr("dxXobni", s->type);
    bool real_type = s->type && strchr("eEfFgG%", s->type);
    if (s->type == 's' || !is_number(v) || (v.type == V_BOOL && !s->type)) {
        const text *t;
        if (s->type && s->type != 's')
            return misuse("format \"%c\" of %s", s->type, type_name(v));
        TRY(to_text(b->in, v, &t));
        return format_text(b, t, s);
    }
    if (real_type || v.type == V_FLOAT) {
        if (integer_type) return misuse("format \"%c\" of a float", s->type);
        return format_real(b, as_real(v), s);
    }
    as_integer(v, &i);
    return format_integer(b, i, s);
}

/* ---- reading specs ---- */

static bool read_number(const text *t, size_t *at, int64_t *out) {
    int64_t n = 0;
    size_t begin = *at;
    while (*at < t->n && t->bytes[*at] >= '0' && t->bytes[*at] <= '9' && n <= MAX_WIDTH)
        n = n * 10 + (t->bytes[(*at)++] - '0');
    if (*at > begin) *out = n;
    return n <= MAX_WIDTH;
}

static bool skip_char(const text *t, size_t *at, char c) {
    bool there = *at < t->n && t->bytes[*at] == c;
    *at += there;
    return there;
}

static hone_status check_spec(const spec *s) {
    if (s->width > MAX_WIDTH || s->precision > MAX_PRECISION)
        return fail(HONE_ERR_MEMORY, "format wider than %d or more precise than %d", MAX_WIDTH,
                    MAX_PRECISION);
    return HONE_OK;
}

/* [[fill]align][sign][#][0][width][,][.precision][type] */
hone_status format_spec(text_builder *b, value v, const text *t) {
    spec s = {.width = -1, .precision = -1};
    text fill;
    size_t at = 0, n = t->n ? char_bytes(t, 0) : 0;
    if (n && n < t->n && strchr("<>^=", t->bytes[n])) {
        fill = (text){.bytes = t->bytes, .n = n, .origin = text_origin_at(t, 0)};
        s.fill = &fill;
        s.align = t->bytes[n];
        at = n + 1;
    } else if (n && t->bytes[0] && strchr("<>^=", t->bytes[0])) {
        s.align = t->bytes[0];
        at = 1;
    }
    if (skip_char(t, &at, '+')) s.sign = '+';
    else if (skip_char(t, &at, ' ')) s.sign = ' ';
    else skip_char(t, &at, '-');
    s.alternate = skip_char(t, &at, '#');
    s.zero = skip_char(t, &at, '0');
    bool good = read_number(t, &at, &s.width);
    s.grouped = skip_char(t, &at, ',');
    if (skip_char(t, &at, '.')) good = good && read_number(t, &at, &s.precision) && s.precision >= 0;
    if (at < t->n) s.type = t->bytes[at++];
    if (s.type && !strchr("sdxXobneEfFgG%", s.type)) good = false;
    TRY(check_spec(&s));
    if (!good || at < t->n) return misuse("format spec \"%.*s\"", (int)(t->n < 40 ? t->n : 40), t->bytes);
    return format_value(b, v, &s);
}

/* ---- % ---- */

typedef struct percent {
    const text *format;
    const call_args *args;
    size_t at, used;
    bool by_name;
} percent;

static hone_status next_argument(percent *p, value *out) {
    if (p->used >= p->args->n) return misuse("%%: too few values for the format");
    *out = p->args->positional[p->used++];
    return HONE_OK;
}

static hone_status named_value_of(interp *in, percent *p, value *out) {
    static const text close = {.bytes = ")", .n = 1};
    size_t begin = ++p->at, end = text_find(p->format, begin, &close);
    if (end > p->format->n) return misuse("%%: \"(\" without \")\"");
    if (p->args->n != 1 || p->args->positional[0].type != V_DICT)
        return misuse("%%: names need a dict");
    text name = {.bytes = p->format->bytes + begin, .n = end - begin};
    dict_entry *entry;
    TRY(dict_find(in, p->args->positional[0].dict, TEXT_VALUE(&name), &entry));
    if (!entry) return misuse("%%: no value \"%.*s\"", (int)(name.n < 40 ? name.n : 40), name.bytes);
    *out = entry->item;
    p->by_name = true;
    p->at = end + 1;
    return HONE_OK;
}

static void read_flags(percent *p, spec *s) {
    const text *t = p->format;
    for (;; p->at++) {
        char c = p->at < t->n ? t->bytes[p->at] : 0;
        if (c == '-') s->align = '<';
        else if (c == '+' || (c == ' ' && !s->sign)) s->sign = c;
        else if (c == '0') s->zero = true;
        else if (c == '#') s->alternate = true;
        else return;
    }
}

static hone_status read_amount(percent *p, int64_t *out) {
    if (!skip_char(p->format, &p->at, '*')) {
        read_number(p->format, &p->at, out);
        return HONE_OK;
    }
    value v;
    TRY(next_argument(p, &v));
    return expect_integer(v, "%", out);
}

static hone_status percent_value(text_builder *b, value v, spec *s) {
    if (s->type == 'r') {
        text_builder made;
        builder_init(&made, b->in);
        TRY(repr_value(&made, v));
        TRY(builder_finish(&made, &v));
        s->type = 's';
    }
    if (s->type == 's') {
        const text *t;
        TRY(to_text(b->in, v, &t));
        if (!s->align) s->align = '>';
        return format_text(b, t, s);
    }
    if (!is_number(v)) return misuse("%%%c of %s", s->type, type_name(v));
    if (strchr("dixXo", s->type)) {
        int64_t i;
        if (!as_integer(v, &i)) {
            if (!(fabs(v.real) < 9e18)) return misuse("%%%c of a number that large", s->type);
            v = INT_VALUE((int64_t)v.real);
        }
    } else if (!strchr("eEfFgG", s->type)) {
        return misuse("%%: unknown format \"%c\"", s->type ? s->type : '?');
    }
    if (s->align) s->zero = false;
    return format_value(b, v, s);
}

static hone_status percent_field(text_builder *b, percent *p) {
    spec s = {.width = -1, .precision = -1};
    value v = {.type = V_MISSING};
    const text *t = p->format;
    if (skip_char(t, &p->at, '%')) return builder_add_string(b, "%");
    if (p->at < t->n && t->bytes[p->at] == '(') TRY(named_value_of(b->in, p, &v));
    read_flags(p, &s);
    TRY(read_amount(p, &s.width));
    if (skip_char(t, &p->at, '.')) {
        s.precision = 0;
        TRY(read_amount(p, &s.precision));
    }
    if (s.width < -1 || s.precision < -1) return misuse("%%: negative width");
    TRY(check_spec(&s));
    if (p->at >= t->n) return misuse("%%: format ends early");
    s.type = t->bytes[p->at++];
    if (v.type == V_MISSING) TRY(next_argument(p, &v));
    return percent_value(b, v, &s);
}

hone_status format_percent(interp *in, const text *format, const call_args *args, value *out) {
    static const text sign = {.bytes = "%", .n = 1};
    percent p = {.format = format, .args = args};
    text_builder made;
    builder_init(&made, in);
    while (p.at < format->n) {
        size_t next = text_find(format, p.at, &sign);
        if (next > format->n) next = format->n;
        TRY(builder_add_slice(&made, format, p.at, next));
        p.at = next + 1;
        TRY(spend(in, 1));
        if (next < format->n) TRY(percent_field(&made, &p));
    }
    bool whole_dict = args->n == 1 && args->positional[0].type == V_DICT;
    if (!p.by_name && p.used < args->n && !whole_dict)
        return misuse("%%: %zu values, the format has %zu", args->n, p.used);
    return builder_finish(&made, out);
}

/* ---- .format ---- */

typedef struct braces {
    const text *format;
    const call_args *args;
    size_t automatic; /* next number for "{}" */
} braces;

static hone_status find_field(const braces *f, const text *name, value *out) {
    int64_t number;
    if (text_to_integer(name, 10, &number)) {
        if (number < 0 || (uint64_t)number >= f->args->n)
            return misuse("format: no argument %lld", (long long)number);
        *out = f->args->positional[number];
        return HONE_OK;
    }
    for (size_t i = 0; i < f->args->n_named; i++)
        if (text_equals(name, f->args->named[i].name)) {
            *out = f->args->named[i].value;
            return HONE_OK;
        }
    return misuse("format: no argument \"%.*s\"", (int)(name->n < 40 ? name->n : 40), name->bytes);
}

/* name.attribute[item]… */
static hone_status find_path(interp *in, braces *f, const text *path, value *out) {
    size_t at = 0;
    while (at < path->n && path->bytes[at] != '.' && path->bytes[at] != '[') at++;
    text name = {.bytes = path->bytes, .n = at};
    if (name.n) {
        TRY(find_field(f, &name, out));
    } else {
        if (f->automatic >= f->args->n) return misuse("format: too few arguments");
        *out = f->args->positional[f->automatic++];
    }
    while (at < path->n) {
        bool item = path->bytes[at] == '[';
        size_t begin = ++at;
        while (at < path->n && path->bytes[at] != (item ? ']' : '.') &&
               (item || path->bytes[at] != '['))
            at++;
        text key = {.bytes = path->bytes + begin, .n = at - begin};
        int64_t number;
        value k = item && text_to_integer(&key, 10, &number) ? INT_VALUE(number) : TEXT_VALUE(&key);
        TRY(get_item(in, *out, k, out));
        at += item;
    }
    return HONE_OK;
}

/* Behind "{": up to and with its "}". A spec may hold fields of its own, one level deep. */
static hone_status brace_field(text_builder *b, braces *f, size_t *at) {
    const text *t = f->format;
    size_t begin = *at, colon = 0, end = begin, open = 1;
    bool in_spec = false;
    for (; end < t->n; end++) {
        char c = t->bytes[end];
        if (c == '{') open++;
        if (c == '}' && --open == 0) break;
        if (c == ':' && !in_spec) {
            in_spec = true;
            colon = end;
        }
    }
    if (end >= t->n) return misuse("format: \"{\" without \"}\"");
    if (memchr(t->bytes + begin, '{', end - begin))
        return fail(HONE_ERR_UNSUPPORTED, "format: fields inside a format spec");
    *at = end + 1;
    size_t path_end = in_spec ? colon : end;
    char conversion = 0;
    if (path_end - begin >= 2 && t->bytes[path_end - 2] == '!') {
        conversion = t->bytes[path_end - 1];
        path_end -= 2;
    }
    text path = {.bytes = t->bytes + begin, .n = path_end - begin};
    text spec_text = {.bytes = t->bytes + colon + 1, .n = in_spec ? end - colon - 1 : 0};
    value v;
    TRY(find_path(b->in, f, &path, &v));
    if (conversion) {
        text_builder made;
        builder_init(&made, b->in);
        TRY(conversion == 's' ? print_value(&made, v) : repr_value(&made, v));
        TRY(builder_finish(&made, &v));
    }
    return spec_text.n ? format_spec(b, v, &spec_text) : print_value(b, v);
}

hone_status format_braces(interp *in, const text *format, const call_args *args, value *out) {
    braces f = {.format = format, .args = args};
    text_builder made;
    builder_init(&made, in);
    for (size_t at = 0; at < format->n;) {
        char c = format->bytes[at];
        bool doubled = at + 1 < format->n && format->bytes[at + 1] == c;
        if (c != '{' && c != '}') {
            size_t plain = at;
            while (at < format->n && format->bytes[at] != '{' && format->bytes[at] != '}') at++;
            TRY(builder_add_slice(&made, format, plain, at));
        } else if (doubled) {
            TRY(builder_add_slice(&made, format, at, at + 1));
            at += 2;
        } else if (c == '}') {
            return misuse("format: \"}\" without \"{\"");
        } else {
            at++;
            TRY(spend(in, 1));
            TRY(brace_field(&made, &f, &at));
        }
    }
    return builder_finish(&made, out);
}
