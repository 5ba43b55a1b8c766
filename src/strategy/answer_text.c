/* From a text to the answer in it (strategy/answer_text.h). */
#include "strategy/answer_text.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <utf8proc.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "base/status.h"
#include "text/thoughts.h"

enum { SHORT_ANSWER_BYTES = 48 };

/* A stretch of text. */
typedef struct span {
    const char *at;
    size_t n;
} span;

static span trimmed(span s) {
    while (s.n && isspace((unsigned char)s.at[0])) s.at++, s.n--;
    while (s.n && isspace((unsigned char)s.at[s.n - 1])) s.n--;
    return s;
}

static bool begins(span s, const char *text) {
    size_t n = strlen(text);
    return s.n >= n && !strncasecmp(s.at, text, n);
}

/* --- canonical numbers --- */

/* A number as it stands: sign, digits without separators, fraction digits,
 * "/" and a denominator. */
typedef struct number {
    bool negative;
    span whole, fraction, denominator;
    size_t n_bytes; /* of the text, separators included */
} number;

static bool is_digit(span s, size_t i) { return i < s.n && isdigit((unsigned char)s.at[i]); }

/* "1,234,567": a comma parts groups of exactly three digits. */
static bool is_separator(span s, size_t i) {
    return i < s.n && s.at[i] == ',' && is_digit(s, i + 1) && is_digit(s, i + 2) &&
           is_digit(s, i + 3) && !is_digit(s, i + 4);
}

static bool read_number(span s, number *out) {
    number x = {0};
    size_t i = 0;
    if (i < s.n && (s.at[i] == '-' || s.at[i] == '+')) x.negative = s.at[i++] == '-';
    if (i < s.n && s.at[i] == '$') i++;
    size_t whole = i;
    while (is_digit(s, i) || (i > whole && is_separator(s, i))) i++;
    x.whole = (span){s.at + whole, i - whole};
    if (i < s.n && s.at[i] == '.' && is_digit(s, i + 1)) {
        size_t from = ++i;
        while (is_digit(s, i)) i++;
        x.fraction = (span){s.at + from, i - from};
    } else if (i < s.n && s.at[i] == '/' && is_digit(s, i + 1) && x.whole.n) {
        size_t from = ++i;
        while (is_digit(s, i)) i++;
        x.denominator = (span){s.at + from, i - from};
    }
    x.n_bytes = i;
    if (!x.whole.n && !x.fraction.n) return false;
    *out = x;
    return true;
}

/* Digits without separators and leading zeros; "0" for none. */
static hone_status add_digits(buf *b, span digits) {
    size_t i = 0;
    while (i < digits.n && (digits.at[i] == '0' || digits.at[i] == ',')) i++;
    if (i == digits.n) return buf_add_text(b, "0");
    for (; i < digits.n; i++)
        if (digits.at[i] != ',') TRY(buf_add(b, &digits.at[i], 1));
    return HONE_OK;
}

static uint64_t small_integer(span digits, bool *fits) {
    uint64_t v = 0;
    for (size_t i = 0; i < digits.n; i++) {
        if (digits.at[i] == ',') continue;
        if (v > (UINT64_MAX - 9) / 10) *fits = false;
        v = v * 10 + (uint64_t)(digits.at[i] - '0');
    }
    return v;
}

static hone_status add_ratio(buf *b, const number *x) {
    bool fits = true;
    uint64_t p = small_integer(x->whole, &fits), q = small_integer(x->denominator, &fits);
    if (!fits || q == 0)
        return buf_add_format(b, "%.*s/%.*s", (int)x->whole.n, x->whole.at, (int)x->denominator.n,
                              x->denominator.at);
    uint64_t a = p, c = q;
    while (c) {
        uint64_t rest = a % c;
        a = c;
        c = rest;
    }
    TRY(buf_add_format(b, "%llu", (unsigned long long)(p / a)));
    return q / a == 1 ? HONE_OK : buf_add_format(b, "/%llu", (unsigned long long)(q / a));
}

static hone_status add_number(buf *b, const number *x) {
    size_t from = b->len;
    if (x->negative) TRY(buf_add_text(b, "-"));
    if (x->denominator.n) return add_ratio(b, x);
    TRY(add_digits(b, x->whole));
    span f = x->fraction;
    while (f.n && f.at[f.n - 1] == '0') f.n--;
    if (f.n) TRY(buf_add_format(b, ".%.*s", (int)f.n, f.at));
    if (!strcmp(b->data + from, "-0")) { /* there is one zero */
        b->len = from;
        return buf_add_text(b, "0");
    }
    return HONE_OK;
}

/* The number and nothing but a unit or a sign of currency or percent behind it. */
static bool is_number_alone(span s, number *x) {
    if (!read_number(s, x)) return false;
    span rest = trimmed((span){s.at + x->n_bytes, s.n - x->n_bytes});
    for (size_t i = 0; i < rest.n; i++)
        if (isdigit((unsigned char)rest.at[i]) || strchr("+*/=^<>()", rest.at[i])) return false;
    return rest.n <= 24;
}

/* The last number of a text that is not part of a word. */
static bool last_number(span s, number *out, span *where) {
    bool found = false;
    for (size_t i = 0; i < s.n;) {
        number x;
        bool in_word = i > 0 && (isalnum((unsigned char)s.at[i - 1]) || s.at[i - 1] == '_');
        if (in_word || !read_number((span){s.at + i, s.n - i}, &x)) {
            i++;
            continue;
        }
        /* "5-3" holds 5 and 3, not −3 */
        if (x.negative && i > 0 && is_digit(s, i - 1)) x.negative = false;
        *out = x;
        *where = (span){s.at + i, x.n_bytes};
        found = true;
        i += x.n_bytes;
    }
    return found;
}

/* --- canonical choices and texts --- */

/* "(B)", "B.", "**B**", "b": one letter, whatever stands around it. */
static char choice_alone(span s) {
    char letter = 0;
    for (size_t i = 0; i < s.n; i++) {
        if (isalpha((unsigned char)s.at[i])) {
            if (letter) return 0;
            letter = (char)toupper((unsigned char)s.at[i]);
        } else if (!strchr("()[]{}*.:, \t\"'$", s.at[i])) {
            return 0;
        }
    }
    return letter;
}

/* "(B) a long text", "B: …", "B." at the beginning. */
static char choice_first(span s) {
    bool bracket = false;
    s = trimmed(s);
    for (; s.n && strchr("([*\"'", s.at[0]); s.at++, s.n--) bracket |= s.at[0] == '(';
    if (s.n == 0 || !(bracket ? isalpha((unsigned char)s.at[0]) : isupper((unsigned char)s.at[0])))
        return 0;
    bool ends = s.n == 1 || strchr(").]:*,\n\"'", s.at[1]);
    return ends ? (char)toupper((unsigned char)s.at[0]) : 0;
}

/* The last capital letter in brackets or asterisks, or alone at the very end. */
static char choice_last(span s) {
    for (size_t i = s.n; i-- > 0;) {
        if (!isupper((unsigned char)s.at[i])) continue;
        char before = i ? s.at[i - 1] : '\n', after = i + 1 < s.n ? s.at[i + 1] : '\n';
        if (before == '(' && after == ')') return s.at[i];
        if (before == '*' && after == '*') return s.at[i];
        if (isspace((unsigned char)before) && i + 2 >= s.n && strchr(".\n", after)) return s.at[i];
    }
    return 0;
}

static hone_status add_folded(buf *b, span s) {
    utf8proc_uint8_t *folded;
    utf8proc_option_t how = UTF8PROC_COMPOSE | UTF8PROC_CASEFOLD | UTF8PROC_STABLE;
    utf8proc_ssize_t n = utf8proc_map((const utf8proc_uint8_t *)s.at, (utf8proc_ssize_t)s.n,
                                      &folded, how);
    if (n == UTF8PROC_ERROR_NOMEM) return mem_fail("answer", s.n);
    if (n < 0) return fail(HONE_ERR_FORMAT, "an answer: %s", utf8proc_errmsg(n));
    hone_status status = HONE_OK;
    bool space = false;
    for (const char *p = (const char *)folded; *p && status == HONE_OK; p++) {
        if (isspace((unsigned char)*p)) {
            space = b->len > 0;
        } else {
            if (space) status = buf_add_text(b, " ");
            if (status == HONE_OK) status = buf_add(b, p, 1);
            space = false;
        }
    }
    free(folded);
    while (b->len && strchr(".!?,;:\"'`*", b->data[b->len - 1])) b->data[--b->len] = 0;
    return status;
}

static hone_status add_canonical(buf *b, span s, hone_answer_form form) {
    number x;
    char letter = choice_alone(s);
    if (form == HONE_ANSWER_CODE) return buf_add(b, s.at, s.n);
    if (form == HONE_ANSWER_CHOICE && !letter) letter = choice_first(s);
    if (letter && (form == HONE_ANSWER_CHOICE || form == HONE_ANSWER_AUTO))
        return buf_add(b, &letter, 1);
    if (form == HONE_ANSWER_CHOICE) return HONE_OK;
    if (form != HONE_ANSWER_TEXT && is_number_alone(s, &x)) return add_number(b, &x);
    if (form == HONE_ANSWER_NUMBER) {
        span where;
        return last_number(s, &x, &where) ? add_number(b, &x) : HONE_OK;
    }
    return add_folded(b, s);
}

hone_status answer_canonical(const char *text, size_t n, hone_answer_form form, char **answer) {
    buf b;
    buf_init(&b, SIZE_MAX / 2);
    /* bytes that are no text say nothing that could be compared */
    hone_status status = utf8_is_valid(text, n) ? add_canonical(&b, trimmed((span){text, n}), form)
                                                : HONE_OK;
    char *taken = NULL;
    if (status == HONE_OK && b.len && !(taken = buf_take(&b))) status = mem_fail("answer", b.len);
    buf_release(&b);
    if (status == HONE_OK) *answer = taken;
    return status;
}

/* --- where the answer stands --- */

/* What follows the thinking; nothing where it was not closed. */
static span after_thinking(span s) {
    const char *behind = thoughts_end_in(s.at, s.n);
    if (behind) return (span){behind, (size_t)(s.at + s.n - behind)};
    return thoughts_stand_in(s.at, s.n) ? (span){s.at, 0} : s;
}

const char *answer_behind_thoughts(const char *text) {
    size_t n = strlen(text);
    span rest = after_thinking((span){text, n});
    return rest.n ? rest.at : text + n;
}

bool answer_is_there(const char *text, bool thinks) {
    size_t n = strlen(text);
    if (thinks && !thoughts_end_in(text, n)) return false;
    return trimmed(after_thinking((span){text, n})).n > 0;
}

/* The inside of the last \boxed{…}, braces balanced. */
static bool find_boxed(span s, span *found) {
    static const char mark[] = "\\boxed{";
    const char *last = NULL;
    for (const char *p = s.at; (p = memmem(p, (size_t)(s.at + s.n - p), mark, sizeof mark - 1));
         p++)
        last = p + sizeof mark - 1;
    if (!last) return false;
    size_t depth = 1;
    for (const char *p = last; p < s.at + s.n; p++) {
        depth += *p == '{';
        depth -= *p == '}';
        if (depth == 0) {
            *found = (span){last, (size_t)(p - last)};
            return true;
        }
    }
    return false;
}

/* The end of a sentence: a line's end, or a full stop that no digit follows. */
static size_t sentence_bytes(span s) {
    for (size_t i = 0; i < s.n; i++) {
        if (s.at[i] == '\n') return i;
        if (s.at[i] == '.' && (i + 1 == s.n || isspace((unsigned char)s.at[i + 1]))) return i;
    }
    return s.n;
}

/* What stands behind the last of the phrases that announce an answer. */
static bool find_announced(span s, span *found) {
    static const char *const phrases[] = {"answer is", "answer:", "answer**:", "answer:**", "####"};
    bool any = false;
    for (size_t i = 0; i < s.n; i++) {
        span rest = {s.at + i, s.n - i};
        for (size_t k = 0; k < sizeof phrases / sizeof *phrases; k++) {
            if (!begins(rest, phrases[k])) continue;
            size_t n = strlen(phrases[k]);
            span after = trimmed((span){rest.at + n, rest.n - n});
            while (after.n && strchr(":*$ ", after.at[0])) after.at++, after.n--;
            after.n = sentence_bytes(after);
            after = trimmed(after);
            while (after.n && strchr("*$", after.at[after.n - 1])) after.n--;
            if (after.n) *found = after, any = true;
        }
    }
    return any;
}

/* From the fence that opens a block to the line of the one that closes it. */
static code_block read_block(const char *fence, const char *end) {
    const char *word = fence + 3, *code = strchr(fence, '\n');
    word += strspn(word, "` \t");
    code = code && code < end ? code + 1 : end;
    return (code_block){word, strcspn(word, " \t\r\n{"), code, (size_t)(end - code)};
}

bool answer_code_block(const char *text, code_block *block) {
    const char *open = NULL, *end = text + strlen(text);
    bool found = false;
    text = after_thinking((span){text, (size_t)(end - text)}).at;
    for (const char *line = text, *next; line; line = next) {
        next = strchr(line, '\n');
        if (next) next++;
        if (strncmp(line, "```", 3) != 0) continue;
        if (!open) {
            open = line;
            continue;
        }
        *block = read_block(open, line);
        found = true;
        open = NULL;
    }
    if (open) *block = read_block(open, end);
    return found || open;
}

/* In free text, without a phrase that announces the answer. */
static hone_status read_loose(span s, hone_answer_form form, char **answer) {
    number x;
    span where;
    char letter = form == HONE_ANSWER_NUMBER ? 0 : choice_alone(s);
    if (!letter && form != HONE_ANSWER_NUMBER) letter = choice_last(s);
    if (!letter && form == HONE_ANSWER_CHOICE) letter = choice_first(s);
    if (letter) return answer_canonical(&letter, 1, HONE_ANSWER_CHOICE, answer);
    if (form == HONE_ANSWER_CHOICE || !last_number(s, &x, &where)) {
        bool is_short = form == HONE_ANSWER_AUTO && s.n <= SHORT_ANSWER_BYTES &&
                        !memmem(s.at, s.n, "\\boxed", 6); /* one that was never closed */
        if (is_short) return answer_canonical(s.at, s.n, HONE_ANSWER_TEXT, answer);
        *answer = NULL;
        return HONE_OK;
    }
    buf b;
    buf_init(&b, SIZE_MAX / 2);
    hone_status status = add_number(&b, &x);
    if (status == HONE_OK && !(*answer = buf_take(&b))) status = mem_fail("answer", 1);
    buf_release(&b);
    return status;
}

hone_status answer_read(const char *text, hone_answer_form form, char **answer) {
    span s = trimmed(after_thinking((span){text, strlen(text)})), found;
    if (form == HONE_ANSWER_TEXT) return answer_canonical(s.at, s.n, form, answer);
    if (form == HONE_ANSWER_CODE) {
        code_block block;
        if (answer_code_block(text, &block)) s = (span){block.code, block.n};
        return answer_canonical(s.at, s.n, form, answer);
    }
    if (find_boxed(s, &found) || find_announced(s, &found)) {
        char *read;
        TRY(answer_canonical(found.at, found.n, form, &read));
        if (read) {
            *answer = read;
            return HONE_OK;
        }
    }
    return read_loose(s, form, answer);
}
