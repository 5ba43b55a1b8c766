/* Sets of numbers as automata over plain decimals: -?(0|[1-9][0-9]*)(\.[0-9]+)?, never "-0".
 *
 * A set holds each of its values in all its ways ("2", "2.0", "2.00"), so that sets can be
 * intersected and subtracted; how a value is written is a set of its own (number_syntax). All are
 * made by walking a description of states from its start. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "text/schema_int.h"

enum { MAX_DIGITS = 700, FRACTION_DIGITS = 16, MAX_MULTIPLE = 1 << 14 };

/* A state is four small numbers; `step` moves it by one of "-.0123456789", false: not allowed. */
typedef struct place {
    uint32_t phase, n, side, rest;
} place;
enum { START, MINUS, ZERO, WHOLE, POINT, FRACTION };

typedef struct description {
    bool (*step)(const struct description *d, place *p, char symbol);
    bool (*accepts)(const struct description *d, const place *p);
    const char *whole, *fraction; /* comparing: the digits of |v| */
    size_t n_whole, n_fraction;
    bool negative;
    unsigned sides;
    uint32_t of;     /* multiples: of / 10^scale */
    unsigned scale;
    unsigned digits; /* syntax */
    bool integer, shortest;
} description;

/* What all descriptions share: the phases. */
static bool step_phase(place *p, char symbol) {
    switch (p->phase) {
    case START:
        if (symbol == '-') return p->phase = MINUS, true;
        /* fall through */
    case MINUS:
        if (symbol < '0') return false;
        return p->phase = symbol == '0' ? ZERO : WHOLE, true;
    case ZERO:
    case WHOLE:
        if (symbol == '.') return p->phase = POINT, true;
        return p->phase == WHOLE && symbol >= '0';
    default:
        if (symbol < '0') return false;
        return p->phase = FRACTION, true;
    }
}

static bool is_complete(const place *p) {
    return p->phase == ZERO || p->phase == WHOLE || p->phase == FRACTION;
}

static hone_status walk(schema_compiler *c, const automaton **out, const description *d) {
    static const char symbols[] = "-.0123456789"; /* ascending */
    automaton_builder b = {0};
    automaton_names names = {0};
    const uint32_t start[4] = {START, 0, 0, 0};
    uint32_t number;
    hone_status status = automaton_name(&names, start, 4, &number);
    for (uint32_t s = 0; s < names.n && status == HONE_OK; s++) {
        size_t n;
        const uint32_t *key = automaton_key(&names, s, &n);
        place from = {key[0], key[1], key[2], key[3]};
        status = automaton_add_state(&b, d->accepts(d, &from));
        for (size_t i = 0; symbols[i] && status == HONE_OK; i++) {
            place to = from;
            if (!d->step(d, &to, symbols[i])) continue;
            uint32_t next[4] = {to.phase, to.n, to.side, to.rest}, code = (unsigned char)symbols[i];
            status = automaton_name(&names, next, 4, &number);
            if (status == HONE_OK) status = automaton_add_arc(&b, code, code, number);
        }
    }
    automaton_names_release(&names);
    return automaton_finish(out, &c->arena, &b, status);
}

/* --- text of a number --- */

static bool shortest_real(char *text, size_t size, double v) {
    if (!isfinite(v)) return false;
    for (int digits = 1; digits <= 17; digits++) {
        snprintf(text, size, "%.*e", digits - 1, v);
        if (strtod(text, NULL) == v) break;
    }
    return true;
}

/* "-1.25e+3" to "-1250"; no trailing zeros behind a point, no "-0". */
static size_t expand(char *out, const char *scientific) {
    char digits[32];
    size_t n = 0, at = 0;
    const char *p = scientific + (*scientific == '-');
    for (; *p && *p != 'e'; p++)
        if (*p != '.') digits[n++] = *p;
    long point = 1 + (*p ? strtol(p + 1, NULL, 10) : 0);
    while (n > 1 && digits[n - 1] == '0') n--;
    if (n == 1 && digits[0] == '0') {
        out[0] = '0';
        return 1;
    }
    if (*scientific == '-') out[at++] = '-';
    if (point <= 0) {
        out[at++] = '0';
        out[at++] = '.';
        for (; point < 0; point++) out[at++] = '0';
        memcpy(out + at, digits, n);
        return at + n;
    }
    for (long i = 0; i < point || (size_t)i < n; i++) {
        if (i == point) out[at++] = '.';
        out[at++] = (size_t)i < n ? digits[i] : '0';
    }
    return at;
}

hone_status number_text(schema_compiler *c, const json_t *v, automaton_word *out) {
    char *text, scientific[64];
    TRY(schema_alloc(c, &text, MAX_DIGITS, 1));
    out->text = text;
    if (json_is_integer(v)) {
        out->n = (size_t)snprintf(text, MAX_DIGITS, "%lld", (long long)json_integer_value(v));
        return HONE_OK;
    }
    if (!shortest_real(scientific, sizeof scientific, json_real_value(v)))
        return fail(HONE_ERR_FORMAT, "a number is not finite");
    out->n = expand(text, scientific);
    return HONE_OK;
}

/* --- comparing --- */

/* side: of the digits so far against those of |v|, in place.side; n: digits of this part. */
static bool step_compared(const description *d, place *p, char symbol) {
    uint32_t before = p->phase;
    if (!step_phase(p, symbol)) return false;
    if (symbol == '-') return p->rest = 1, p->side = NUMBER_EQUAL, true;
    if (before == START) p->side = NUMBER_EQUAL;
    if (symbol == '.') {
        if (p->n < d->n_whole) p->side = NUMBER_BELOW;
        p->n = 0;
        return true;
    }
    bool whole = p->phase != FRACTION;
    size_t n = whole ? d->n_whole : d->n_fraction;
    char digit = p->n < n ? (whole ? d->whole : d->fraction)[p->n] : '0';
    if (whole && p->n >= n) {
        p->side = NUMBER_ABOVE;
    } else {
        if (p->side == NUMBER_EQUAL && symbol != digit)
            p->side = symbol < digit ? NUMBER_BELOW : NUMBER_ABOVE;
        /* Once the fraction has decided, its length does not matter. */
        if (whole || p->side == NUMBER_EQUAL) p->n += p->n < n;
        else p->n = 0;
    }
    return true;
}

static bool accepts_compared(const description *d, const place *p) {
    if (!is_complete(p)) return false;
    unsigned side = p->side;
    if (p->phase != FRACTION) {
        if (p->n < d->n_whole) side = NUMBER_BELOW;
        else if (side == NUMBER_EQUAL && d->n_fraction) side = NUMBER_BELOW;
    } else if (side == NUMBER_EQUAL && p->n < d->n_fraction) {
        side = NUMBER_BELOW;
    }
    if (p->rest != d->negative) side = p->rest ? NUMBER_BELOW : NUMBER_ABOVE;
    else if (d->negative && side != NUMBER_EQUAL)
        side = side == NUMBER_BELOW ? NUMBER_ABOVE : NUMBER_BELOW;
    return (d->sides & side) != 0;
}

hone_status number_compared(schema_compiler *c, const automaton **out, const json_t *v,
                            unsigned sides) {
    automaton_word w;
    TRY(number_text(c, v, &w));
    description d = {.step = step_compared, .accepts = accepts_compared, .sides = sides,
                     .negative = w.text[0] == '-'};
    d.whole = w.text + d.negative;
    const char *point = memchr(w.text, '.', w.n);
    size_t end = point ? (size_t)(point - w.text) : w.n;
    d.n_whole = end - d.negative;
    d.fraction = point ? point + 1 : "";
    d.n_fraction = point ? w.n - end - 1 : 0;
    return walk(c, out, &d);
}

/* --- integers and multiples --- */

static bool step_integer(const description *d, place *p, char symbol) {
    (void)d;
    return step_phase(p, symbol) && (p->phase != FRACTION || symbol == '0');
}

static bool accepts_complete(const description *d, const place *p) {
    (void)d;
    return is_complete(p);
}

hone_status number_integers(schema_compiler *c, const automaton **out) {
    return walk(c, out, &(description){.step = step_integer, .accepts = accepts_complete});
}

/* rest: of the digits so far, as one whole number; n: those of the fraction, up to the scale. */
static bool step_multiple(const description *d, place *p, char symbol) {
    if (!step_phase(p, symbol)) return false;
    if (symbol < '0') return true;
    if (p->phase == FRACTION && p->n == d->scale) return symbol == '0';
    p->n += p->phase == FRACTION;
    p->rest = (uint32_t)(((uint64_t)p->rest * 10 + (unsigned)(symbol - '0')) % d->of);
    return true;
}

static bool accepts_multiple(const description *d, const place *p) {
    uint64_t rest = p->rest;
    for (uint32_t i = p->n; i < d->scale; i++) rest = rest * 10 % d->of;
    return is_complete(p) && rest == 0;
}

hone_status number_multiples(schema_compiler *c, const automaton **out, const json_t *of) {
    automaton_word w;
    TRY(number_text(c, of, &w));
    description d = {.step = step_multiple, .accepts = accepts_multiple};
    uint64_t value = 0;
    bool point = false;
    for (size_t i = 0; i < w.n && value <= MAX_MULTIPLE; i++) {
        if (w.text[i] == '.') point = true;
        else value = value * 10 + (unsigned)(w.text[i] - '0');
        d.scale += point && w.text[i] != '.';
    }
    if (value > MAX_MULTIPLE || d.scale > FRACTION_DIGITS)
        return fail(HONE_ERR_UNSUPPORTED, "a multiple of %.*s takes too large an automaton",
                    (int)w.n, w.text);
    d.of = (uint32_t)value;
    const automaton *large;
    TRY(walk(c, &large, &d));
    return automaton_minimise(out, &c->arena, large);
}

/* --- how numbers are written --- */

/* n: digits of this part; side: 1 behind a minus, until another digit than 0; rest: in shortest
 * form, whether the last digit of the fraction is another than 0. */
static bool step_syntax(const description *d, place *p, char symbol) {
    if (!step_phase(p, symbol)) return false;
    if (symbol == '-') return p->side = 1, true;
    if (symbol == '.') {
        p->n = 0;
        return !d->integer;
    }
    p->rest = d->shortest && p->phase == FRACTION && symbol != '0';
    p->side &= symbol == '0';
    return ++p->n <= (p->phase == FRACTION ? FRACTION_DIGITS : d->digits);
}

static bool accepts_syntax(const description *d, const place *p) {
    if (!is_complete(p) || p->side) return false;
    return p->phase != FRACTION || !d->shortest || p->rest;
}

hone_status number_syntax(schema_compiler *c, const automaton **out, unsigned digits, bool integer,
                          bool shortest) {
    return walk(c, out, &(description){.step = step_syntax, .accepts = accepts_syntax,
                                       .digits = digits, .integer = integer, .shortest = shortest});
}

static bool step_any(const description *d, place *p, char symbol) {
    (void)d;
    return step_phase(p, symbol);
}

/* The sets that are asked for again and again. */
hone_status number_common(schema_compiler *c) {
    TRY(number_integers(c, &c->integers));
    return walk(c, &c->numbers, &(description){.step = step_any, .accepts = accepts_complete});
}
