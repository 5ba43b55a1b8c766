#include "lab/score_text.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <utf8proc.h>

#include "base/mem.h"
#include "base/utf8.h"
#include "text/unicode.h"

/* Behind the last occurrence of `mark` (lower case, ASCII), or NULL. */
static const char *behind_last(const char *text, const char *mark) {
    const char *found = NULL;
    size_t n = strlen(mark);
    for (const char *at = text; *at; at++)
        if (strncasecmp(at, mark, n) == 0) found = at + n;
    return found;
}

static const char *later(const char *a, const char *b) { return !a || (b && b > a) ? b : a; }

/* --- numbers --- */

static bool is_money_or_percent(uint32_t code) {
    return code == '$' || code == '%' || code == 0x20AC || code == 0xA3 || code == 0xA5 ||
           code == 0x20B9;
}

/* Digits of all scripts as ASCII, signs of money gone; everything beyond ASCII as a blank, which
 * parts numbers just as well. */
static hone_status plain_digits(buf *out, const char *text) {
    for (size_t n = strlen(text), i = 0; i < n;) {
        uint32_t code;
        i += unicode_decode_valid(text + i, &code);
        if (is_money_or_percent(code)) continue;
        char c = code < 128 ? (char)code : ' ';
        if (code >= 128 && utf8proc_category((utf8proc_int32_t)code) == UTF8PROC_CATEGORY_ND) {
            uint32_t zero = code; /* the ten digits of a script stand in a row,
                                   * at most nine before */
            while (zero > 0 && code - zero < 9 &&
                   utf8proc_category((utf8proc_int32_t)zero - 1) == UTF8PROC_CATEGORY_ND)
                zero--;
            c = (char)('0' + (code - zero) % 10);
        }
        TRY(buf_add(out, &c, 1));
    }
    return HONE_OK;
}

/* Reads the number at `at`, a digit; returns what follows. */
static const char *read_digits(const char *at, double *number) {
    char digits[64];
    size_t n = 0;
    bool fraction = false;
    for (;; at++) {
        if (*at == ',' && isdigit((unsigned char)at[1]) && !fraction) continue;
        bool point = *at == '.' && isdigit((unsigned char)at[1]) && !fraction;
        if (!point && !isdigit((unsigned char)*at)) break;
        fraction = fraction || point;
        if (n + 1 < sizeof digits) digits[n++] = *at;
    }
    digits[n] = '\0';
    *number = strtod(digits, NULL);
    return at;
}

hone_status score_read_number(const char *answer, double *number, bool *found) {
    buf plain;
    const char *from = later(behind_last(answer, "####"), behind_last(answer, "answer is"));
    *found = false;
    buf_init(&plain, strlen(answer) + 1);
    hone_status status = plain_digits(&plain, from ? from : answer);
    for (const char *at = plain.data; status == HONE_OK && at && *at;) {
        if (!isdigit((unsigned char)*at)) {
            at++;
            continue;
        }
        bool negative = at > plain.data && at[-1] == '-';
        at = read_digits(at, number);
        if (negative) *number = -*number;
        *found = true;
    }
    buf_release(&plain);
    return status;
}

bool score_same_number(double number, double right) {
    return fabs(number - right) <= 1e-6 * fmax(1, fabs(right));
}

/* --- texts --- */

void score_find_prediction(const char *answer, const char **prediction, size_t *n) {
    const char *marked = behind_last(answer, "answer is");
    if (marked) {
        *prediction = marked;
        *n = strlen(marked);
        return;
    }
    answer += strspn(answer, " \t\r\n");
    *prediction = answer;
    *n = strcspn(answer, "\r\n");
}

/* text[n] by utf8proc's options. HONE_ERR_MEMORY. */
static hone_status map_text(char **out, const char *text, size_t n, utf8proc_option_t options) {
    utf8proc_uint8_t *mapped;
    utf8proc_ssize_t size = utf8proc_map((const utf8proc_uint8_t *)text, (utf8proc_ssize_t)n,
                                         &mapped, options);
    if (size < 0) return fail(HONE_ERR_MEMORY, "text: %s", utf8proc_errmsg(size));
    *out = mem_copy_string((char *)mapped, (size_t)size);
    free(mapped); /* utf8proc's own */
    return *out ? HONE_OK : mem_fail("text", (size_t)size);
}

static hone_status add_lower(buf *out, uint32_t code) {
    char bytes[4];
    return buf_add(out, bytes, utf8_write(bytes, (uint32_t)utf8proc_tolower((int32_t)code)));
}

static bool ends_in_blank(const buf *out, size_t start) {
    return out->len == start || out->data[out->len - 1] == ' ';
}

static hone_status add_plain(buf *out, const char *text) {
    size_t start = out->len;
    for (size_t n = strlen(text), i = 0; i < n;) {
        uint32_t code;
        i += unicode_decode_valid(text + i, &code);
        bool quote = code == '"' || code == '\'' || (code >= 0x2018 && code <= 0x201F) ||
                     code == 0xAB || code == 0xBB;
        if (quote || code == '\\' || code == ',') continue;
        if (!(unicode_class(code) & CHAR_SPACE)) TRY(add_lower(out, code));
        else if (!ends_in_blank(out, start)) TRY(buf_add(out, " ", 1));
    }
    while (out->len > start && out->data[out->len - 1] == ' ') out->data[--out->len] = '\0';
    if (out->len > start && out->data[out->len - 1] == '.') out->data[--out->len] = '\0';
    while (out->len > start && out->data[out->len - 1] == ' ') out->data[--out->len] = '\0';
    return HONE_OK;
}

hone_status score_plain_text(buf *out, const char *text, size_t n) {
    char *composed;
    TRY(map_text(&composed, text, n, UTF8PROC_COMPOSE | UTF8PROC_COMPAT | UTF8PROC_STABLE));
    hone_status status = add_plain(out, composed);
    mem_free(composed);
    return status;
}

/* Whether `text` begins with the letter of "(x)": x alone, x) or (x. */
static bool begins_with_letter(const char *text, char letter) {
    bool bracket = *text == '(';
    text += bracket;
    return *text == letter && !isalnum((unsigned char)text[1]) &&
           (bracket || text[1] == '\0' || text[1] == ')' || text[1] == ' ' || text[1] == '.' ||
            text[1] == ':');
}

hone_status score_same_text(const char *answer, const char *expected, bool *same, buf *seen) {
    buf right;
    const char *prediction;
    size_t n, start = seen->len;
    score_find_prediction(answer, &prediction, &n);
    TRY(score_plain_text(seen, prediction, n));
    buf_init(&right, 4 * strlen(expected) + 64);
    hone_status status = score_plain_text(&right, expected, strlen(expected));
    if (status == HONE_OK) {
        const char *have = seen->data ? seen->data + start : "",
                   *want = right.data ? right.data : "";
        *same = strcmp(have, want) == 0;
        if (strlen(want) == 3 && want[0] == '(' && want[2] == ')')
            *same = *same || begins_with_letter(have, want[1]);
    }
    buf_release(&right);
    return status;
}

/* --- letters --- */

static bool is_word_byte(char c) { return isalnum((unsigned char)c) || (unsigned char)c >= 0x80; }

/* A capital that stands alone; a small one only in brackets, since "a" is a word. */
static int letter_at(const char *text, const char *at, size_t n) {
    bool alone = (at == text || !is_word_byte(at[-1])) && !is_word_byte(at[1]) && at[1] != '\'';
    bool in_brackets = at > text && at[-1] == '(' && at[1] == ')';
    int index = isupper((unsigned char)*at) ? *at - 'A'
              : islower((unsigned char)*at) && in_brackets ? *at - 'a' : -1;
    return alone && index >= 0 && (size_t)index < n ? index : -1;
}

int score_read_letter(const char *answer, size_t n) {
    const char *from = later(behind_last(answer, "answer is"), behind_last(answer, "answer:"));
    for (const char *at = from; at && *at; at++)
        if (letter_at(answer, at, n) >= 0) return letter_at(answer, at, n);
    for (const char *at = answer; *at; at++)
        if (letter_at(answer, at, n) >= 0) return letter_at(answer, at, n);
    return -1;
}

/* --- words --- */

hone_status score_plain_words(buf *out, const char *text, size_t n) {
    char *decomposed;
    size_t start = out->len;
    TRY(map_text(&decomposed, text, n, UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT | UTF8PROC_STABLE));
    hone_status status = HONE_OK;
    for (size_t size = strlen(decomposed), i = 0; i < size && status == HONE_OK;) {
        uint32_t code;
        i += unicode_decode_valid(decomposed + i, &code);
        if (code == '\'' || code == 0x2019 || (unicode_class(code) & CHAR_MARK)) continue;
        if (unicode_class(code) & (CHAR_LETTER | CHAR_NUMBER)) status = add_lower(out, code);
        else if (!ends_in_blank(out, start)) status = buf_add(out, " ", 1);
    }
    mem_free(decomposed);
    return status;
}
