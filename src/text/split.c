#include "text/split.h"

#include "text/unicode.h"

/* Class of the character at i; *next is the place behind it. */
static inline unsigned class_at(const char *s, size_t i, size_t *next) {
    unsigned char byte = (unsigned char)s[i];
    if (byte < 128) {
        *next = i + 1;
        return unicode_ascii_class[byte];
    }
    uint32_t code;
    *next = i + unicode_decode_valid(s + i, &code);
    return unicode_class_beyond_ascii(code);
}

/* End of the run of characters from i that have a class in `mask`, or (`want` false) have none. */
static inline size_t run_end(const char *s, size_t i, size_t n, unsigned mask, bool want) {
    while (i < n) {
        size_t next;
        if (((class_at(s, i, &next) & mask) != 0) != want) break;
        i = next;
    }
    return i;
}

static bool is_newline(char c) { return c == '\n' || c == '\r'; }

static char lower(char c) { return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c; }

/* 's 't 'm 'd 're 've 'll at an apostrophe: the end of it, or i where there is none. */
static size_t contraction_end(const char *s, size_t i, size_t n, bool any_case) {
    if (i + 1 >= n) return i;
    char a = any_case ? lower(s[i + 1]) : s[i + 1];
    if (a == 's' || a == 't' || a == 'm' || a == 'd') return i + 2;
    if (i + 2 >= n) return i;
    char b = any_case ? lower(s[i + 2]) : s[i + 2];
    bool two = (a == 'r' && b == 'e') || (a == 'v' && b == 'e') || (a == 'l' && b == 'l');
    return two ? i + 3 : i;
}

/* \s+(?!\S)|\s+ over the whitespace run i … end: the last character is left to what follows,
 * unless it is the only one or nothing follows. */
static size_t space_piece_end(const char *s, size_t i, size_t end, bool text_ends_here) {
    if (text_ends_here) return end;
    size_t last = end - 1;
    while (((unsigned char)s[last] & 0xC0) == 0x80) last--;
    return last > i ? last : end;
}

/* 's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
 * With `single_numbers` every number stands alone, and the text ends before it as far as the
 * pattern can see. */
static inline size_t gpt2_piece(const char *s, size_t i, size_t n, bool single_numbers) {
    if (s[i] == '\'') {
        size_t end = contraction_end(s, i, n, false);
        if (end > i) return end;
    }
    size_t word = i + (s[i] == ' '), next = 0;
    unsigned class = word < n ? class_at(s, word, &next) : CHAR_SPACE;
    if (class & CHAR_LETTER) return run_end(s, next, n, CHAR_LETTER, true);
    if (class & CHAR_NUMBER) {
        if (!single_numbers) return run_end(s, next, n, CHAR_NUMBER, true);
        return word == i ? next : word; /* the space before a number is a piece of its own */
    }
    if (!(class & CHAR_SPACE))
        return run_end(s, next, n, CHAR_SPACE | CHAR_LETTER | CHAR_NUMBER, false);
    size_t end = run_end(s, i, n, CHAR_SPACE, true);
    bool text_ends = end == n || (single_numbers && (class_at(s, end, &next) & CHAR_NUMBER));
    return space_piece_end(s, i, end, text_ends);
}

size_t split_gpt2_piece(const char *text, size_t i, size_t n) {
    return gpt2_piece(text, i, n, false);
}

/* (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?W+|\p{N}{1,max}| ?[^\sW\p{N}]+[\r\n]*|
 * \s*[\r\n]+|\s+(?!\S)|\s+   where W is the class `word`. */
static inline size_t qwen_piece(const char *s, size_t i, size_t n, unsigned word, int max_numbers) {
    if (s[i] == '\'') {
        size_t end = contraction_end(s, i, n, true);
        if (end > i) return end;
    }
    size_t next, after;
    unsigned class = class_at(s, i, &next);
    if (class & word) return run_end(s, next, n, word, true);
    if (class & CHAR_NUMBER) {
        for (int k = 1; k < max_numbers && next < n; k++, next = after)
            if (!(class_at(s, next, &after) & CHAR_NUMBER)) break;
        return next;
    }
    if (!is_newline(s[i]) && next < n && (class_at(s, next, &after) & word))
        return run_end(s, after, n, word, true);

    unsigned no_symbol = CHAR_SPACE | CHAR_NUMBER | CHAR_LETTER | word;
    size_t symbols = i + (s[i] == ' ');
    if (symbols < n && !(class_at(s, symbols, &next) & no_symbol)) {
        size_t end = run_end(s, next, n, no_symbol, false);
        while (end < n && is_newline(s[end])) end++;
        return end;
    }
    size_t end = run_end(s, i, n, CHAR_SPACE, true);
    for (size_t k = end; k > i; k--)
        if (is_newline(s[k - 1])) return k;
    return space_piece_end(s, i, end, end == n);
}

/* [^\n]+|[\n]+ */
static size_t newline_piece(const char *s, size_t i, size_t n) {
    bool newlines = s[i] == '\n';
    while (i < n && (s[i] == '\n') == newlines) i++;
    return i;
}

static size_t piece_end(tokenizer_split rule, const char *s, size_t i, size_t n) {
    switch (rule) {
    case SPLIT_GPT2: return gpt2_piece(s, i, n, false);
    case SPLIT_SMOLLM: return gpt2_piece(s, i, n, true);
    case SPLIT_QWEN2: return qwen_piece(s, i, n, CHAR_LETTER, 1);
    case SPLIT_LLAMA3: return qwen_piece(s, i, n, CHAR_LETTER, 3);
    case SPLIT_QWEN35: return qwen_piece(s, i, n, CHAR_LETTER | CHAR_MARK, 1);
    case SPLIT_NEWLINES: return newline_piece(s, i, n);
    default: return n;
    }
}

void split_init(splitter *s, tokenizer_split rule, const char *text, size_t n) {
    s->rule = rule;
    s->text = text;
    s->n = n;
    s->at = 0;
    if (split_is_sequence(rule)) split_sequence_init(s);
}

bool split_next(splitter *s, size_t *begin, size_t *end) {
    if (split_is_sequence(s->rule)) return split_sequence_next(s, begin, end);
    if (s->at >= s->n) return false;
    *begin = s->at;
    *end = s->at = piece_end(s->rule, s->text, s->at, s->n);
    return true;
}
