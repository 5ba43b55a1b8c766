/* Splits that are a sequence of expressions: each isolates its matches inside every piece that the
 * ones before it left. */
#include "text/split.h"

#include "format/split_ranges.h"
#include "text/unicode.h"

static bool is_deepseek_letter(uint32_t code) { return code_ranges_have(&deepseek_letters, code); }
static bool is_deepseek_punct(uint32_t code) { return code_ranges_have(&deepseek_punct, code); }
static bool is_deepseek_cjk(uint32_t code) { return code_ranges_have(&deepseek_cjk, code); }
static bool is_letter(uint32_t code) { return unicode_class(code) & CHAR_LETTER; }
static bool is_number(uint32_t code) { return unicode_class(code) & CHAR_NUMBER; }
static bool is_punct(uint32_t code) { return unicode_class(code) & CHAR_PUNCT; }
static bool is_newline(uint32_t code) { return code == '\n' || code == '\r'; }

static bool is_punct_or_symbol(uint32_t code) {
    switch (code) {
    case '$': case '+': case '<': case '=': case '>': case '^': case '~': case '|': case '`':
        return true;
    default:
        return is_punct(code);
    }
}

static bool is_punct_or_symbol_but_backquote(uint32_t code) {
    return code != '`' && is_punct_or_symbol(code);
}

typedef enum step_kind {
    STEP_ONE,          /* X */
    STEP_RUN,          /* X+ */
    STEP_SPACE_RUN,    /* \s?X+ */
    STEP_END_SPACE,    /* \s+$ */
    STEP_THREE_DIGITS, /* [0-9][0-9][0-9] */
    STEP_GPT2
} step_kind;

typedef struct step {
    step_kind kind;
    bool (*is_x)(uint32_t code);
} step;

typedef struct sequence {
    tokenizer_split rule;
    size_t n;
    step steps[SPLIT_MAX_STEPS];
} sequence;

static const sequence sequences[] = {
    {SPLIT_DEEPSEEK_LLM, 6,
     {{STEP_ONE, is_newline}, {STEP_SPACE_RUN, is_deepseek_letter},
      {STEP_SPACE_RUN, is_deepseek_punct}, {STEP_END_SPACE, NULL}, {STEP_RUN, is_deepseek_cjk},
      {STEP_ONE, is_number}}},
    {SPLIT_DEEPSEEK_CODER, 5,
     {{STEP_ONE, is_newline}, {STEP_SPACE_RUN, is_letter}, {STEP_SPACE_RUN, is_punct},
      {STEP_RUN, is_deepseek_cjk}, {STEP_ONE, is_number}}},
    {SPLIT_FALCON, 3,
     {{STEP_RUN, is_punct_or_symbol}, {STEP_GPT2, NULL}, {STEP_THREE_DIGITS, NULL}}},
    {SPLIT_DEFAULT, 4,
     {{STEP_RUN, is_punct_or_symbol_but_backquote}, {STEP_GPT2, NULL}, {STEP_RUN, is_number},
      {STEP_THREE_DIGITS, NULL}}},
};

static const sequence *sequence_of(tokenizer_split rule) {
    for (size_t i = 0; i < sizeof sequences / sizeof *sequences; i++)
        if (sequences[i].rule == rule) return &sequences[i];
    return NULL;
}

bool split_is_sequence(tokenizer_split rule) {
    return rule == SPLIT_DEEPSEEK_LLM || rule == SPLIT_DEEPSEEK_CODER || rule == SPLIT_FALCON ||
           rule == SPLIT_DEFAULT;
}

static size_t x_run_end(const step *x, const char *s, size_t i, size_t n) {
    while (i < n) {
        uint32_t code;
        size_t bytes = unicode_decode_valid(s + i, &code);
        if (!x->is_x(code)) break;
        i += bytes;
    }
    return i;
}

/* The first match of X, X+ or \s?X+ from `at`; begin = end = n where there is none. */
static void find_x(const step *x, const char *s, size_t at, size_t n, size_t *begin, size_t *end) {
    bool space_before = false;
    size_t space_at = 0;
    for (size_t i = at; i < n;) {
        uint32_t code;
        size_t bytes = unicode_decode_valid(s + i, &code);
        if (x->is_x(code)) {
            *begin = space_before ? space_at : i;
            *end = x->kind == STEP_ONE ? i + bytes : x_run_end(x, s, i + bytes, n);
            return;
        }
        space_before = x->kind == STEP_SPACE_RUN && (unicode_class(code) & CHAR_SPACE);
        space_at = i;
        i += bytes;
    }
    *begin = *end = n;
}

static void find_end_space(const char *s, size_t at, size_t n, size_t *begin, size_t *end) {
    size_t i = n;
    while (i > at) {
        size_t last = i - 1;
        while (((unsigned char)s[last] & 0xC0) == 0x80) last--;
        uint32_t code;
        unicode_decode_valid(s + last, &code);
        if (!(unicode_class(code) & CHAR_SPACE)) break;
        i = last;
    }
    *begin = i;
    *end = n;
}

static void find_three_digits(const char *s, size_t at, size_t n, size_t *begin, size_t *end) {
    size_t digits = 0;
    for (size_t i = at; i < n; i++) {
        digits = s[i] >= '0' && s[i] <= '9' ? digits + 1 : 0;
        if (digits == 3) {
            *begin = i - 2;
            *end = i + 1;
            return;
        }
    }
    *begin = *end = n;
}

static void find_match(const step *x, const char *s, split_level *l) {
    switch (x->kind) {
    case STEP_ONE: case STEP_RUN: case STEP_SPACE_RUN:
        find_x(x, s, l->at, l->end, &l->match_begin, &l->match_end);
        break;
    case STEP_END_SPACE:
        find_end_space(s, l->at, l->end, &l->match_begin, &l->match_end);
        break;
    case STEP_THREE_DIGITS:
        find_three_digits(s, l->at, l->end, &l->match_begin, &l->match_end);
        break;
    case STEP_GPT2: /* matches everywhere */
        l->match_begin = l->at;
        l->match_end = split_gpt2_piece(s, l->at, l->end);
        break;
    }
    l->searched = true;
}

void split_sequence_init(splitter *s) {
    s->deepest = 0;
    s->levels[0] = (split_level){.end = s->n};
}

bool split_sequence_next(splitter *s, size_t *begin, size_t *end) {
    const sequence *all = sequence_of(s->rule);
    size_t k = s->deepest;
    for (;;) {
        split_level *l = &s->levels[k];
        if (l->at >= l->end) {
            if (k == 0) return false;
            k--;
            continue;
        }
        if (!l->searched) find_match(&all->steps[k], s->text, l);
        *begin = l->at;
        *end = l->at < l->match_begin ? l->match_begin : l->match_end;
        l->searched = *end == l->match_begin;
        l->at = *end;
        if (k + 1 == all->n) break;
        s->levels[++k] = (split_level){.at = *begin, .end = *end};
    }
    s->deepest = k;
    return true;
}
