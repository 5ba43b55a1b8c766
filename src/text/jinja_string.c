/* Strings that know who wrote each byte.
 *
 * Most strings have one writer and carry no marks at all; only where both meet are there marks, one
 * byte for each byte of text. Slices share bytes and marks with what they were cut from. */
#include <string.h>
#include <utf8proc.h>

#include "base/utf8.h"
#include "text/jinja_int.h"

static hone_status text_make(interp *in, text t, value *out) {
    text *made = arena_alloc(&in->arena, 1, sizeof *made);
    if (!made) return HONE_ERR_MEMORY;
    *made = t;
    *out = TEXT_VALUE(made);
    return HONE_OK;
}

hone_status text_new(interp *in, const char *bytes, size_t n, origin from, value *out) {
    return text_make(in, (text){.bytes = bytes, .n = n, .origin = from}, out);
}

hone_status text_copy(interp *in, const char *bytes, size_t n, origin from, value *out) {
    if (n > JINJA_MAX_TEXT)
        return fail(HONE_ERR_MEMORY, "a string of %zu bytes, at most %d", n, JINJA_MAX_TEXT);
    TRY(spend(in, n / 64));
    char *copy = arena_alloc(&in->arena, n, 1);
    if (!copy) return HONE_ERR_MEMORY;
    if (n) memcpy(copy, bytes, n);
    return text_new(in, copy, n, from, out);
}

hone_status text_slice(interp *in, const text *t, size_t begin, size_t end, value *out) {
    text part = *t;
    part.bytes += begin;
    part.n = end - begin;
    if (t->origin == FROM_BOTH) {
        part.marks += begin;
        const uint8_t *other = part.n ? memchr(part.marks, !part.marks[0], part.n) : NULL;
        if (!other) part.origin = part.n && part.marks[0] ? FROM_USER : FROM_TEMPLATE;
        TRY(spend(in, part.n / 64));
    }
    return text_make(in, part, out);
}

hone_status text_safe(interp *in, const text *t, value *out) {
    text same = *t;
    same.safe = true;
    return text_make(in, same, out);
}

origin text_origin_at(const text *t, size_t byte) {
    if (t->origin != FROM_BOTH) return t->origin;
    return t->marks[byte] ? FROM_USER : FROM_TEMPLATE;
}

bool text_equals(const text *t, const char *s) {
    return t->n == strlen(s) && memcmp(t->bytes, s, t->n) == 0;
}

bool text_starts(const text *t, size_t at, const text *prefix) {
    return at <= t->n && t->n - at >= prefix->n &&
           (prefix->n == 0 || memcmp(t->bytes + at, prefix->bytes, prefix->n) == 0);
}

size_t text_find(const text *t, size_t from, const text *needle) {
    if (from > t->n) return t->n + 1;
    if (needle->n == 0) return from;
    const char *found = memmem(t->bytes + from, t->n - from, needle->bytes, needle->n);
    return found ? (size_t)(found - t->bytes) : t->n + 1;
}

/* The last occurrence that ends at or before `end`. */
size_t text_rfind(const text *t, size_t end, const text *needle) {
    if (needle->n > end) return t->n + 1;
    for (size_t at = end - needle->n + 1; at-- > 0;)
        if (text_starts(t, at, needle)) return at;
    return t->n + 1;
}

/* ---- characters ---- */

uint32_t char_at(const text *t, size_t at, size_t *bytes) {
    uint32_t code;
    *bytes = utf8_decode(t->bytes + at, t->n - at, &code);
    return code;
}

size_t char_bytes(const text *t, size_t at) {
    size_t n;
    char_at(t, at, &n);
    return n;
}

size_t text_length(const text *t) {
    size_t n = 0;
    for (size_t at = 0; at < t->n; at += char_bytes(t, at)) n++;
    return n;
}

size_t text_offset(const text *t, size_t character) {
    size_t at = 0;
    while (character-- > 0 && at < t->n) at += char_bytes(t, at);
    return at;
}

bool is_space(uint32_t c) {
    return (c >= 9 && c <= 13) || (c >= 0x1c && c <= 0x20) || c == 0x85 || c == 0xa0 ||
           c == 0x1680 || (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 ||
           c == 0x202f || c == 0x205f || c == 0x3000;
}

/* Begin of the character that ends at `end`. */
static size_t char_before(const text *t, size_t end) {
    for (size_t back = 1; back <= 4 && back <= end; back++) {
        size_t n;
        text head = {.bytes = t->bytes, .n = end};
        char_at(&head, end - back, &n);
        if (n == back && (back > 1 || (t->bytes[end - 1] & 0xC0) != 0x80)) return end - back;
    }
    return end - 1;
}

static bool stripped(const text *t, size_t at, const text *chars) {
    size_t n;
    uint32_t code = char_at(t, at, &n);
    if (!chars) return is_space(code);
    text one = {.bytes = t->bytes + at, .n = n};
    return text_find(chars, 0, &one) < chars->n;
}

hone_status text_strip(interp *in, const text *t, const text *chars, unsigned sides, value *out) {
    size_t begin = 0, end = t->n;
    if (sides & STRIP_LEFT)
        while (begin < end && stripped(t, begin, chars)) begin += char_bytes(t, begin);
    while ((sides & STRIP_RIGHT) && end > begin) {
        size_t last = char_before(t, end);
        if (!stripped(t, last, chars)) break;
        end = last;
    }
    TRY(spend(in, (t->n - (end - begin)) * (chars ? chars->n / 16 + 1 : 1) / 16));
    return text_slice(in, t, begin, end, out);
}

/* ---- builder ---- */

void builder_init(text_builder *b, interp *in) { *b = (text_builder){.in = in}; }

static hone_status reserve(text_builder *b, size_t n) {
    if (n > JINJA_MAX_TEXT - b->n)
        return fail(HONE_ERR_MEMORY, "makes a text longer than %d bytes", JINJA_MAX_TEXT);
    TRY(spend(b->in, n / 64));
    if (b->n + n <= b->capacity) return HONE_OK;
    size_t capacity = b->capacity ? b->capacity * 2 : 64;
    while (capacity < b->n + n) capacity *= 2;
    char *bytes = arena_grow(&b->in->arena, b->bytes, b->n, capacity);
    if (!bytes) return HONE_ERR_MEMORY;
    b->bytes = bytes;
    if (b->marks) {
        uint8_t *marks = arena_grow(&b->in->arena, b->marks, b->n, capacity);
        if (!marks) return HONE_ERR_MEMORY;
        b->marks = marks;
    }
    b->capacity = capacity;
    return HONE_OK;
}

static hone_status begin_marks(text_builder *b) {
    if (b->marks) return HONE_OK;
    b->marks = arena_grow(&b->in->arena, NULL, 0, b->capacity);
    if (!b->marks) return HONE_ERR_MEMORY;
    memset(b->marks, b->origin == FROM_USER, b->n);
    b->origin = FROM_BOTH;
    return HONE_OK;
}

static hone_status append(text_builder *b, const char *bytes, const uint8_t *marks, size_t n,
                          origin from) {
    if (n == 0) return HONE_OK;
    TRY(reserve(b, n));
    if (b->n == 0 && from != FROM_BOTH && !b->marks) b->origin = from;
    if (from != b->origin || b->marks) {
        TRY(begin_marks(b));
        if (marks) memcpy(b->marks + b->n, marks, n);
        else memset(b->marks + b->n, from == FROM_USER, n);
    }
    memcpy(b->bytes + b->n, bytes, n);
    b->n += n;
    return HONE_OK;
}

hone_status builder_add(text_builder *b, const char *bytes, size_t n, origin from) {
    return append(b, bytes, NULL, n, from);
}

hone_status builder_add_slice(text_builder *b, const text *t, size_t begin, size_t end) {
    const uint8_t *marks = t->origin == FROM_BOTH ? t->marks + begin : NULL;
    return append(b, t->bytes + begin, marks, end - begin, t->origin);
}

hone_status builder_add_text(text_builder *b, const text *t) {
    return builder_add_slice(b, t, 0, t->n);
}

hone_status builder_add_string(text_builder *b, const char *s) {
    return append(b, s, NULL, strlen(s), FROM_TEMPLATE);
}

hone_status builder_pad(text_builder *b, size_t n, char c) {
    char run[64];
    memset(run, c, sizeof run);
    for (; n > sizeof run; n -= sizeof run) TRY(append(b, run, NULL, sizeof run, FROM_TEMPLATE));
    return append(b, run, NULL, n, FROM_TEMPLATE);
}

void builder_taint(text_builder *b, size_t from) {
    if (b->n == from || b->origin == FROM_TEMPLATE) return;
    if (!b->marks) return; /* all of it is a user's already */
    if (memchr(b->marks + from, 1, b->n - from)) memset(b->marks + from, 1, b->n - from);
}

hone_status builder_finish(text_builder *b, value *out) {
    text t = {.bytes = b->bytes, .marks = b->marks, .n = b->n, .origin = b->origin};
    if (!b->n) t.bytes = "";
    return text_make(b->in, t, out);
}

/* ---- operations ---- */

hone_status text_concat(interp *in, const text *a, const text *b, value *out) {
    text_builder made;
    builder_init(&made, in);
    TRY(builder_add_text(&made, a));
    TRY(builder_add_text(&made, b));
    return builder_finish(&made, out);
}

hone_status text_repeat(interp *in, const text *t, int64_t count, value *out) {
    text_builder made;
    builder_init(&made, in);
    if (count > 0 && t->n > 0) {
        if (t->n > JINJA_MAX_TEXT / (uint64_t)count)
            return fail(HONE_ERR_MEMORY, "repeats a string to more than %d bytes", JINJA_MAX_TEXT);
        TRY(spend(in, (size_t)count / 8));
        TRY(reserve(&made, t->n * (size_t)count));
        for (int64_t i = 0; i < count; i++) TRY(builder_add_text(&made, t));
    }
    return builder_finish(&made, out);
}

hone_status text_replace(interp *in, const text *t, const text *from, const text *to, int64_t count,
                         value *out) {
    text_builder made;
    builder_init(&made, in);
    size_t at = 0;
    TRY(spend(in, t->n / 16));
    for (; count != 0; count -= count > 0) {
        size_t found = text_find(t, at, from);
        if (found > t->n) break;
        TRY(spend(in, 1));
        TRY(builder_add_slice(&made, t, at, found));
        TRY(builder_add_text(&made, to));
        at = found + from->n;
        if (from->n > 0) continue;
        if (found == t->n) break; /* "" stands before each character and at the end */
        size_t n = char_bytes(t, found);
        TRY(builder_add_slice(&made, t, found, found + n));
        at = found + n;
    }
    if (at < t->n) TRY(builder_add_slice(&made, t, at, t->n));
    return builder_finish(&made, out);
}

hone_status text_escape(interp *in, const text *t, value *out) {
    text_builder made;
    builder_init(&made, in);
    for (size_t i = 0; i < t->n; i++) {
        const char *entity = NULL;
        switch (t->bytes[i]) {
        case '&': entity = "&amp;"; break;
        case '<': entity = "&lt;"; break;
        case '>': entity = "&gt;"; break;
        case '\'': entity = "&#39;"; break;
        case '"': entity = "&#34;"; break;
        default: break;
        }
        if (entity) TRY(builder_add(&made, entity, strlen(entity), text_origin_at(t, i)));
        else TRY(builder_add_slice(&made, t, i, i + 1));
    }
    TRY(builder_finish(&made, out));
    return text_safe(in, out->text, out);
}

/* Where a line ends: bytes of its end at `at`, 0 = no end here. */
static size_t line_end(const text *t, size_t at) {
    size_t n;
    uint32_t c = char_at(t, at, &n);
    if (c == '\r' && at + 1 < t->n && t->bytes[at + 1] == '\n') return 2;
    bool ends = (c >= 10 && c <= 13) || (c >= 0x1c && c <= 0x1e) || c == 0x85 || c == 0x2028 ||
                c == 0x2029;
    return ends ? n : 0;
}

hone_status text_splitlines(interp *in, const text *t, bool keep_ends, list **out) {
    value lines, line;
    size_t begin = 0;
    TRY(list_new(in, V_LIST, 0, &lines));
    TRY(spend(in, t->n / 16));
    for (size_t at = 0; at < t->n;) {
        size_t end = line_end(t, at);
        if (!end) {
            at += char_bytes(t, at);
            continue;
        }
        TRY(text_slice(in, t, begin, keep_ends ? at + end : at, &line));
        TRY(list_add(in, lines.list, line));
        begin = at += end;
    }
    if (begin < t->n) {
        TRY(text_slice(in, t, begin, t->n, &line));
        TRY(list_add(in, lines.list, line));
    }
    *out = lines.list;
    return HONE_OK;
}

static uint32_t change_case(uint32_t c, letter_case to, bool word_begins, bool text_begins) {
    switch (to) {
    case CASE_UPPER: return (uint32_t)utf8proc_toupper((utf8proc_int32_t)c);
    case CASE_LOWER: return (uint32_t)utf8proc_tolower((utf8proc_int32_t)c);
    case CASE_SWAP: {
        uint32_t upper = (uint32_t)utf8proc_toupper((utf8proc_int32_t)c);
        return upper != c ? upper : (uint32_t)utf8proc_tolower((utf8proc_int32_t)c);
    }
    case CASE_TITLE:
    case CASE_WORDS:
    case CASE_CAPITAL:
        if (to == CASE_CAPITAL ? text_begins : word_begins)
            return (uint32_t)utf8proc_totitle((utf8proc_int32_t)c);
        return (uint32_t)utf8proc_tolower((utf8proc_int32_t)c);
    }
    return c;
}

static bool has_case(uint32_t c) {
    utf8proc_int32_t code = (utf8proc_int32_t)c;
    return utf8proc_toupper(code) != code || utf8proc_tolower(code) != code;
}

static bool begins_words(uint32_t c) {
    return is_space(c) || c == '-' || c == '(' || c == '{' || c == '[' || c == '<';
}

/* One character at a time: "ß" in capitals is "SS", other characters that become several in
 * capitals (ligatures) stay as they are. */
hone_status text_to_case(interp *in, const text *t, letter_case to, value *out) {
    text_builder made;
    builder_init(&made, in);
    bool in_word = false;
    TRY(spend(in, t->n / 8));
    for (size_t at = 0, n; at < t->n; at += n) {
        uint32_t c = char_at(t, at, &n);
        origin from = text_origin_at(t, at);
        char bytes[4];
        if (c == UTF8_INVALID) {
            TRY(builder_add_slice(&made, t, at, at + n));
            continue;
        }
        if (c == 0xDF && (to == CASE_UPPER || to == CASE_SWAP)) {
            TRY(builder_add(&made, "SS", 2, from));
        } else {
            c = change_case(c, to, !in_word, at == 0);
            TRY(builder_add(&made, bytes, utf8_write(bytes, c), from));
        }
        in_word = to == CASE_WORDS ? !begins_words(c) : has_case(c);
    }
    TRY(builder_finish(&made, out));
    return t->safe ? text_safe(in, out->text, out) : HONE_OK;
}
