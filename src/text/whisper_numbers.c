/* English number words as digits, by the rules of Whisper's normaliser (text/whisper_normalizer.h).
 *
 * Words are read from left to right into one number under way: nothing, a whole number, or a string
 * of digits ("nineteen eighty" is 19 and 80, thus 1980, while "one hundred eighty" is 180). */
#include <string.h>

#include "text/whisper_normalizer.h"

enum { MAX_NUMBER_BYTES = 1 << 20 };

__extension__ typedef unsigned __int128 big;
static const big big_limit = (big)1 << 120;

/* --- words --- */

typedef struct word {
    const char *at; /* NULL = none */
    size_t n;
} word;

static bool is(word w, const char *text) {
    return w.at && strlen(text) == w.n && memcmp(w.at, text, w.n) == 0;
}

typedef enum kind {
    OTHER, ZERO, UNIT, TEN, POWER, SIGN, CURRENCY, PER, PERCENT, AND, REPEAT, POINT
} kind;

typedef struct meaning {
    kind kind;
    unsigned value;     /* of a unit or ten; a power's exponent; how often to repeat */
    const char *suffix; /* of plurals and ordinals, "" otherwise */
    const char *prefix; /* of signs and currencies */
} meaning;

static const char *const units[] = {
    "", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven",
    "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"};
static const char *const tens[] = {"", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy",
                                   "eighty", "ninety"};
static const struct {
    const char *word;
    unsigned exponent;
} powers[] = {
    {"hundred", 2},      {"thousand", 3},     {"million", 6},     {"billion", 9},
    {"trillion", 12},    {"quadrillion", 15}, {"quintillion", 18}, {"sextillion", 21},
    {"septillion", 24},  {"octillion", 27},   {"nonillion", 30},  {"decillion", 33},
};

static bool has_stem(word w, const char *stem, size_t n_stem, const char *rest) {
    return w.n == n_stem + strlen(rest) && memcmp(w.at, stem, n_stem) == 0 &&
           memcmp(w.at + n_stem, rest, strlen(rest)) == 0;
}

/* Irregular ones first; the published list forms "nineth", so that "ninth" is no number. */
static const char *unit_suffix(word w, unsigned value) {
    static const struct {
        const char *word, *suffix;
        unsigned value;
    } irregular[] = {{"first", "st", 1}, {"second", "nd", 2},   {"third", "rd", 3},
                     {"fifth", "th", 5}, {"twelfth", "th", 12}, {"sixes", "s", 6}};
    for (size_t i = 0; i < sizeof irregular / sizeof *irregular; i++)
        if (irregular[i].value == value && is(w, irregular[i].word)) return irregular[i].suffix;
    const char *name = units[value];
    size_t n = strlen(name);
    if (is(w, name)) return "";
    if (value != 6 && has_stem(w, name, n, "s")) return "s";
    bool regular = value > 3 && value != 5 && value != 12;
    return regular && has_stem(w, name, n, name[n - 1] == 't' ? "h" : "th") ? "th" : NULL;
}

static const char *ten_suffix(word w, const char *name) {
    size_t stem = strlen(name) - 1; /* without the y */
    if (is(w, name)) return "";
    if (has_stem(w, name, stem, "ies")) return "s";
    return has_stem(w, name, stem, "ieth") ? "th" : NULL;
}

static const char *power_suffix(word w, const char *name) {
    size_t n = strlen(name);
    if (is(w, name)) return "";
    if (has_stem(w, name, n, "s")) return "s";
    return has_stem(w, name, n, "th") ? "th" : NULL;
}

static meaning meaning_of(word w) {
    static const struct {
        const char *word, *prefix;
        kind kind;
        unsigned value;
    } others[] = {
        {"o", "", ZERO, 0},          {"oh", "", ZERO, 0},         {"zero", "", ZERO, 0},
        {"minus", "-", SIGN, 0},     {"negative", "-", SIGN, 0},  {"plus", "+", SIGN, 0},
        {"positive", "+", SIGN, 0},  {"pound", "£", CURRENCY, 0}, {"pounds", "£", CURRENCY, 0},
        {"euro", "€", CURRENCY, 0},  {"euros", "€", CURRENCY, 0}, {"dollar", "$", CURRENCY, 0},
        {"dollars", "$", CURRENCY, 0}, {"cent", "¢", CURRENCY, 0}, {"cents", "¢", CURRENCY, 0},
        {"per", "", PER, 0},         {"percent", "", PERCENT, 0}, {"and", "", AND, 0},
        {"double", "", REPEAT, 2},   {"triple", "", REPEAT, 3},   {"point", "", POINT, 0},
    };
    meaning m = {OTHER, 0, "", ""};
    if (!w.at) return m;
    if (is(w, "zeroth")) return (meaning){UNIT, 0, "th", ""};
    for (unsigned v = 1; v < 20; v++)
        if ((m.suffix = unit_suffix(w, v))) return (meaning){UNIT, v, m.suffix, ""};
    for (unsigned v = 2; v < 10; v++)
        if ((m.suffix = ten_suffix(w, tens[v]))) return (meaning){TEN, 10 * v, m.suffix, ""};
    for (size_t i = 0; i < sizeof powers / sizeof *powers; i++)
        if ((m.suffix = power_suffix(w, powers[i].word)))
            return (meaning){POWER, powers[i].exponent, m.suffix, ""};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (is(w, others[i].word))
            return (meaning){others[i].kind, others[i].value, "", others[i].prefix};
    return (meaning){OTHER, 0, "", ""};
}

static bool is_plain(word w, kind k) {
    meaning m = meaning_of(w);
    return m.kind == k && !m.suffix[0];
}

static bool is_ascii_digit(char c) { return c >= '0' && c <= '9'; }

/* 12 or 12.5 */
static bool is_numeric(word w) {
    size_t i = 0;
    while (i < w.n && is_ascii_digit(w.at[i])) i++;
    if (i == 0 || !w.at) return false;
    if (i == w.n) return true;
    size_t from = ++i;
    if (w.at[i - 1] != '.') return false;
    while (i < w.n && is_ascii_digit(w.at[i])) i++;
    return i == w.n && i > from;
}

/* --- the number under way --- */

typedef enum holds { NOTHING, WHOLE, DIGITS } holds;

typedef struct reader {
    buf *out;
    bool started;       /* something was written */
    holds holds;
    big whole;
    buf digits;
    const char *prefix; /* "" = none */
    word before, now, after;
} reader;

static hone_status write_piece(reader *r, const char *bytes, size_t n) {
    return buf_add(r->out, bytes, n);
}

static const char *big_text(big value, char text[48], size_t *n) {
    char *p = text + 47;
    *p = 0;
    do *--p = (char)('0' + (int)(value % 10)), value /= 10;
    while (value);
    *n = (size_t)(text + 47 - p);
    return p;
}

/* Begins a word of the result. */
static hone_status begin_word(reader *r) {
    if (r->started) TRY(buf_add(r->out, " ", 1));
    r->started = true;
    return buf_add_text(r->out, r->prefix);
}

/* The number with its prefix, and nothing is under way. */
static hone_status finish(reader *r, const char *suffix) {
    char text[48];
    size_t n;
    TRY(begin_word(r));
    if (r->holds == WHOLE) {
        const char *p = big_text(r->whole, text, &n);
        TRY(write_piece(r, p, n));
    } else {
        TRY(write_piece(r, r->digits.data ? r->digits.data : "", r->digits.len));
    }
    r->holds = NOTHING;
    r->prefix = "";
    return buf_add_text(r->out, suffix);
}

static hone_status finish_if_any(reader *r) {
    return r->holds == NOTHING ? HONE_OK : finish(r, "");
}

/* The word as it is; a sign that waits for a number goes with it. */
static hone_status copy_word(reader *r) {
    TRY(finish_if_any(r));
    TRY(begin_word(r));
    r->prefix = "";
    return write_piece(r, r->now.at, r->now.n);
}

static void set_whole(reader *r, big value) {
    r->holds = WHOLE;
    r->whole = value;
}

/* What is under way as a string of digits; a whole zero counts as nothing where `or_empty`. */
static hone_status to_digits(reader *r, bool or_empty) {
    char text[48];
    size_t n;
    if (r->holds == DIGITS) return HONE_OK;
    r->digits.len = 0;
    if (r->holds == WHOLE && !(or_empty && r->whole == 0)) {
        const char *p = big_text(r->whole, text, &n);
        TRY(buf_add(&r->digits, p, n));
    }
    r->holds = DIGITS;
    return HONE_OK;
}

static hone_status append_number(reader *r, unsigned value) {
    TRY(to_digits(r, false));
    return buf_add_format(&r->digits, "%u", value);
}

/* --- one word --- */

/* A literal number, with a sign or currency in front or not. */
static hone_status take_literal(reader *r, word bare, const char *prefix) {
    if (r->holds == DIGITS && r->digits.len && r->digits.data[r->digits.len - 1] == '.')
        return buf_add(&r->digits, r->now.at, r->now.n); /* decimals */
    TRY(finish_if_any(r));
    if (prefix[0]) r->prefix = prefix;
    size_t whole = 0, zeros;
    while (whole < bare.n && bare.at[whole] != '.') whole++;
    for (zeros = whole + 1; zeros < bare.n && bare.at[zeros] == '0';) zeros++;
    if (zeros < bare.n || whole > 36) { /* a fraction, or too long for arithmetic */
        r->holds = DIGITS;
        r->digits.len = 0;
        return buf_add(&r->digits, bare.at, bare.n);
    }
    big value = 0;
    for (size_t i = 0; i < whole; i++) value = value * 10 + (unsigned)(bare.at[i] - '0');
    set_whole(r, value);
    return HONE_OK;
}

/* One to nineteen: added where the number ends in enough zeros, else written behind it. */
static hone_status take_unit(reader *r, const meaning *m) {
    unsigned v = m->value;
    bool after_unit = is_plain(r->before, UNIT);
    if (r->holds == NOTHING) {
        set_whole(r, v);
    } else if (r->holds == DIGITS || after_unit) {
        bool fills_ten = is_plain(r->before, TEN) && v < 10;
        TRY(to_digits(r, false));
        if (fills_ten && r->digits.len) r->digits.len--; /* the ten's zero */
        TRY(append_number(r, v));
    } else if (r->whole % (v < 10 ? 10 : 100) == 0) {
        r->whole += v;
    } else {
        TRY(append_number(r, v));
    }
    return m->suffix[0] ? finish(r, m->suffix) : HONE_OK;
}

static hone_status take_ten(reader *r, const meaning *m) {
    if (r->holds == NOTHING) set_whole(r, m->value);
    else if (r->holds == WHOLE && r->whole % 100 == 0) r->whole += m->value;
    else TRY(append_number(r, m->value));
    return m->suffix[0] ? finish(r, m->suffix) : HONE_OK;
}

static big power_of_ten(unsigned exponent) {
    big value = 1;
    while (exponent--) value *= 10;
    return value;
}

/* digits · 10^exponent, where that is a whole number. */
static bool scale_digits(const buf *digits, unsigned exponent, big *value) {
    size_t n = digits->len, point = n;
    *value = 0;
    for (size_t i = 0; i < n; i++)
        if (digits->data[i] == '.') {
            if (point < n) return false; /* 1.2.3 */
            point = i;
        }
    if (n == 0 || (n == 1 && point == 0)) return false;
    for (size_t i = 0; i < n || i <= point + exponent; i++) {
        if (i == point) continue;
        char c = i < n ? digits->data[i] : '0';
        if (i > point + exponent) {
            if (c != '0') return false;
            continue;
        }
        if (*value > big_limit / 10) return false;
        *value = *value * 10 + (unsigned)(c - '0');
    }
    return true;
}

/* Hundred … decillion: the last three digits times it, or all of a string of digits. */
static hone_status take_power(reader *r, const meaning *m) {
    big power = power_of_ten(m->value), value = 0;
    if (r->holds == NOTHING) {
        set_whole(r, power);
    } else if (r->holds == DIGITS || r->whole == 0) {
        if (r->holds == WHOLE) {
            value = 0;
        } else if (!scale_digits(&r->digits, m->value, &value)) {
            TRY(finish(r, ""));
            value = power;
        }
        set_whole(r, value);
    } else {
        big before = r->whole / 1000 * 1000, rest = r->whole % 1000;
        if (rest && power > big_limit / rest) { /* nobody counts so far */
            TRY(finish(r, ""));
            set_whole(r, power);
        } else {
            r->whole = before + rest * power;
        }
    }
    return m->suffix[0] ? finish(r, m->suffix) : HONE_OK;
}

static bool number_follows(const reader *r) {
    return r->after.at && (meaning_of(r->after).kind != OTHER || is_numeric(r->after));
}

static hone_status take_sign(reader *r, const meaning *m) {
    TRY(finish_if_any(r));
    if (!number_follows(r)) return copy_word(r);
    r->prefix = m->prefix;
    return HONE_OK;
}

static hone_status take_currency(reader *r, const meaning *m) {
    if (r->holds == NOTHING) return copy_word(r);
    r->prefix = m->prefix;
    return finish(r, "");
}

/* "percent", "per cent"; *skip the second word. */
static hone_status take_percent(reader *r, const meaning *m, bool *skip) {
    *skip = r->holds != NOTHING && m->kind == PER && is(r->after, "cent");
    if (*skip || (r->holds != NOTHING && m->kind == PERCENT)) return finish(r, "%");
    return copy_word(r);
}

static hone_status take_special(reader *r, const meaning *m, bool *skip) {
    if (!number_follows(r)) return copy_word(r);
    meaning next = meaning_of(r->after);
    bool digit = (next.kind == UNIT && !next.suffix[0]) || next.kind == ZERO;
    bool decimal = digit || (next.kind == TEN && !next.suffix[0]) || is_numeric(r->after);
    switch (m->kind) {
    case AND: return is_plain(r->before, POWER) ? HONE_OK : copy_word(r);
    case REPEAT:
        if (!digit) return copy_word(r);
        TRY(to_digits(r, true));
        for (unsigned i = 0; i < m->value; i++) TRY(append_number(r, next.value));
        *skip = true;
        return HONE_OK;
    default: /* POINT: without digits behind it, it goes */
        if (!decimal) return HONE_OK;
        TRY(to_digits(r, true));
        return buf_add(&r->digits, ".", 1);
    }
}

static const char *literal_prefix(word w) {
    static const char *const prefixes[] = {"-", "+", "£", "€", "$", "¢"};
    for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++)
        if (w.n >= strlen(prefixes[i]) && !memcmp(w.at, prefixes[i], strlen(prefixes[i])))
            return prefixes[i];
    return "";
}

static hone_status take_word(reader *r, bool *skip) {
    const char *prefix = literal_prefix(r->now);
    word bare = {r->now.at + strlen(prefix), r->now.n - strlen(prefix)};
    if (is_numeric(bare)) return take_literal(r, bare, prefix);
    meaning m = meaning_of(r->now);
    switch (m.kind) {
    case ZERO:
        TRY(to_digits(r, true));
        return buf_add(&r->digits, "0", 1);
    case UNIT: return take_unit(r, &m);
    case TEN: return take_ten(r, &m);
    case POWER: return take_power(r, &m);
    case SIGN: return take_sign(r, &m);
    case CURRENCY: return take_currency(r, &m);
    case PER:
    case PERCENT: return take_percent(r, &m, skip);
    case AND:
    case REPEAT:
    case POINT: return take_special(r, &m, skip);
    default: return copy_word(r);
    }
}

/* --- before and after --- */

static word next_word(const char *text, size_t n, size_t *at) {
    while (*at < n && text[*at] == ' ') ++*at;
    size_t begin = *at;
    while (*at < n && text[*at] != ' ') ++*at;
    return *at > begin ? (word){text + begin, *at - begin} : (word){NULL, 0};
}

static hone_status add_word(buf *out, const char *text, size_t n) {
    if (out->len) TRY(buf_add(out, " ", 1));
    return buf_add(out, text, n);
}

/* "X and a half" → "X point five" behind a number word; at the beginning it goes. */
static hone_status write_halves(buf *out, const char *text, size_t n) {
    word last = {NULL, 0};
    for (size_t at = 0; at < n;) {
        word w = next_word(text, n, &at);
        size_t look = at;
        if (!w.at) break;
        if (is(w, "and") && is(next_word(text, n, &look), "a") &&
            is(next_word(text, n, &look), "half")) {
            meaning m = meaning_of(last);
            bool counts = (m.kind == UNIT || m.kind == TEN || m.kind == POWER || m.kind == ZERO) &&
                          !m.suffix[0];
            if (last.at) TRY(add_word(out, counts ? "point five" : "and a half", 10));
            at = look;
            last.at = NULL;
            continue;
        }
        TRY(add_word(out, w.at, w.n));
        last = w;
    }
    return HONE_OK;
}

static bool is_letter(char c) { return c >= 'a' && c <= 'z'; }

/* "10am" → "10 am", and "5 th" → "5th". */
static hone_status part_letters_and_digits(buf *out, const buf *in) {
    static const char *const ends[] = {"st", "nd", "rd", "th", "s"};
    buf parted;
    buf_init(&parted, 2 * in->max);
    hone_status status = HONE_OK;
    for (size_t i = 0; i < in->len && status == HONE_OK; i++) {
        char c = in->data[i], before = i ? in->data[i - 1] : ' ';
        if ((is_letter(before) && is_ascii_digit(c)) || (is_ascii_digit(before) && is_letter(c)))
            status = buf_add(&parted, " ", 1);
        if (status == HONE_OK) status = buf_add(&parted, &c, 1);
    }
    for (size_t at = 0; at < parted.len && status == HONE_OK;) {
        word w = next_word(parted.data, parted.len, &at);
        if (!w.at) break;
        bool joins = false;
        for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
            size_t k = strlen(ends[i]);
            joins |= w.n >= k && !memcmp(w.at, ends[i], k) &&
                     (w.n == k || w.at[k] == '.' || w.at[k] == '%' || w.at[k] == '$');
        }
        bool digit = out->len && is_ascii_digit(out->data[out->len - 1]);
        status = joins && digit ? buf_add(out, w.at, w.n) : add_word(out, w.at, w.n);
    }
    buf_release(&parted);
    return status;
}

/* One to `most` digits at `at`, not followed by a word's character; their number, or 0. */
static size_t count_digits(const buf *t, size_t at, size_t most) {
    size_t n = 0;
    while (at + n < t->len && is_ascii_digit(t->data[at + n])) n++;
    char next = at + n < t->len ? t->data[at + n] : ' ';
    return n <= most && !is_letter(next) && next != '_' ? n : 0;
}

static bool at_text(const buf *t, size_t at, const char *text) {
    return t->len - at >= strlen(text) && !memcmp(t->data + at, text, strlen(text));
}

static size_t currency_bytes(const buf *t, size_t at) {
    return at_text(t, at, "€") ? 3 : at_text(t, at, "£") ? 2 : at_text(t, at, "$") ? 1 : 0;
}

/* "$2 and ¢7" → "$2.07" */
static hone_status join_cents(buf *out, const buf *in) {
    for (size_t i = 0; i < in->len;) {
        size_t sign = currency_bytes(in, i), whole = 0, at = i + sign;
        while (sign && at + whole < in->len && is_ascii_digit(in->data[at + whole])) whole++;
        at += whole;
        if (whole && at < in->len && in->data[at] == ' ') at++;
        else whole = 0;
        if (whole && at_text(in, at, "and ")) at += 4;
        size_t cents = whole && at_text(in, at, "¢") ? count_digits(in, at + 2, 2) : 0;
        if (cents) {
            TRY(buf_add(out, in->data + i, sign + whole));
            TRY(buf_add_text(out, cents == 1 ? ".0" : "."));
            TRY(buf_add(out, in->data + at + 2, cents));
            i = at + 2 + cents;
        } else {
            TRY(buf_add(out, in->data + i++, 1));
        }
    }
    return HONE_OK;
}

/* "$0.45" → "¢45" */
static hone_status part_cents(buf *out, const buf *in) {
    for (size_t i = 0; i < in->len;) {
        size_t sign = currency_bytes(in, i), at = i + sign + 2;
        size_t cents = sign && at < in->len && in->data[i + sign] == '0' ? count_digits(in, at, 2)
                                                                         : 0;
        if (cents) {
            size_t zero = cents == 2 && in->data[at] == '0';
            TRY(buf_add_text(out, "¢"));
            TRY(buf_add(out, in->data + at + zero, cents - zero));
            i = at + cents;
        } else {
            TRY(buf_add(out, in->data + i++, 1));
        }
    }
    return HONE_OK;
}

static bool is_word_byte(const buf *t, size_t i) {
    if (i >= t->len) return false;
    char c = t->data[i];
    return is_letter(c) || is_ascii_digit(c) || c == '_';
}

/* A 1 alone is "one" again, "1s" is "ones". */
static hone_status write_lone_ones(buf *out, const buf *in) {
    for (size_t i = 0; i < in->len; i++) {
        bool one = in->data[i] == '1' && !(i > 0 && is_word_byte(in, i - 1));
        bool plural = one && i + 1 < in->len && in->data[i + 1] == 's';
        if (one && !is_word_byte(in, i + 1 + plural)) {
            TRY(buf_add_text(out, plural ? "ones" : "one"));
            i += plural;
        } else {
            TRY(buf_add(out, in->data + i, 1));
        }
    }
    return HONE_OK;
}

static hone_status read_words(buf *out, const buf *in) {
    reader r = {.out = out, .prefix = ""};
    hone_status status = HONE_OK;
    buf_init(&r.digits, MAX_NUMBER_BYTES);
    size_t at = 0;
    bool skip = false;
    r.after = next_word(in->data, in->len, &at);
    while (r.after.at && status == HONE_OK) {
        r.before = r.now;
        r.now = r.after;
        r.after = next_word(in->data, in->len, &at);
        if (skip) skip = false;
        else status = take_word(&r, &skip);
    }
    if (status == HONE_OK) status = finish_if_any(&r);
    buf_release(&r.digits);
    return status;
}

hone_status whisper_write_numbers(buf *out, const char *text, size_t n) {
    buf a, b;
    buf_init(&a, out->max);
    buf_init(&b, 2 * out->max);
    hone_status status = write_halves(&a, text, n);
    if (status == HONE_OK && a.len) status = part_letters_and_digits(&b, &a);
    a.len = 0;
    if (status == HONE_OK && b.len) status = read_words(&a, &b);
    b.len = 0;
    if (status == HONE_OK) status = join_cents(&b, &a);
    a.len = 0;
    if (status == HONE_OK) status = part_cents(&a, &b);
    if (status == HONE_OK) status = write_lone_ones(out, &a);
    buf_release(&a);
    buf_release(&b);
    return status;
}
