/* Template source to tokens. White space rules as in jinja2 3.1 with trim_blocks and lstrip_blocks:
 *
 *   "-" beside a tag removes all white space on that side, "+" keeps it;
 *   a block tag or comment takes one line end behind it with it (trim_blocks),
 *   and the blanks before it when nothing else stands on its line (lstrip_blocks). */
#include <string.h>

#include "text/jinja_int.h"

typedef struct lexer {
    const char *s;
    size_t n, at;
    uint32_t line;
    mem_arena *arena;
    token *tokens;
    size_t n_tokens, capacity;
} lexer;

static hone_status add(lexer *l, token t) {
    if (l->n_tokens == l->capacity) {
        size_t capacity = l->capacity ? l->capacity * 2 : 256;
        token *grown = arena_grow(l->arena, l->tokens, l->n_tokens * sizeof *grown,
                                        capacity * sizeof *grown);
        if (!grown) return HONE_ERR_MEMORY;
        l->tokens = grown;
        l->capacity = capacity;
    }
    l->tokens[l->n_tokens++] = t;
    return HONE_OK;
}

static void advance(lexer *l, size_t to) {
    for (; l->at < to; l->at++) l->line += l->s[l->at] == '\n';
}

static bool space_at(const lexer *l, size_t at) {
    char c = at < l->n ? l->s[at] : 0;
    return c == ' ' || (c >= '\t' && c <= '\r') || (c >= 0x1c && c <= 0x1f);
}

static size_t skip_space(const lexer *l, size_t at) {
    while (space_at(l, at)) at++;
    return at;
}

static bool looking_at(const lexer *l, size_t at, const char *word) {
    size_t n = strlen(word);
    return at <= l->n && l->n - at >= n && memcmp(l->s + at, word, n) == 0;
}

/* Offset of "{{", "{%" or "{#" at or after `at`; n when there is none. */
static size_t find_tag(const lexer *l, size_t at) {
    while (at < l->n) {
        const char *brace = memchr(l->s + at, '{', l->n - at);
        if (!brace) return l->n;
        at = (size_t)(brace - l->s);
        char kind = at + 1 < l->n ? l->s[at + 1] : 0;
        if (kind == '{' || kind == '%' || kind == '#') return at;
        at++;
    }
    return l->n;
}

/* Plain text up to `end`, less what the tag there strips; `sign` stands behind its opening. */
static hone_status add_data(lexer *l, size_t end, char sign, bool is_block) {
    size_t begin = l->at, stop = end;
    if (sign == '-') {
        while (stop > begin && space_at(l, stop - 1)) stop--;
    } else if (sign != '+' && is_block) {
        size_t blank = end;
        while (blank > begin && l->s[blank - 1] != '\n' && space_at(l, blank - 1)) blank--;
        if (blank == 0 || l->s[blank - 1] == '\n') stop = blank;
    }
    token t = {.kind = T_DATA, .line = l->line, .at = l->s + begin, .n = stop - begin};
    advance(l, end);
    return t.n ? add(l, t) : HONE_OK;
}

/* Where the text goes on behind a block tag's or comment's "%}" at `close`. */
static size_t after_block(const lexer *l, size_t close, char sign) {
    size_t at = close + 2;
    if (sign == '-') return skip_space(l, at);
    return sign != '+' && at < l->n && l->s[at] == '\n' ? at + 1 : at;
}

static char sign_at(const lexer *l, size_t at) {
    char c = at < l->n ? l->s[at] : 0;
    return c == '-' || c == '+' ? c : 0;
}

static hone_status lex_comment(lexer *l) {
    size_t begin = l->at + 2, at = begin + (sign_at(l, begin) != 0);
    while (at + 1 < l->n && !looking_at(l, at, "#}")) at++;
    if (!looking_at(l, at, "#}"))
        return misuse("template line %u: comment without end", l->line);
    advance(l, after_block(l, at, at > begin ? sign_at(l, at - 1) : 0));
    return HONE_OK;
}

/* Whether "{% word %}" stands at `at`; its closing sign, and the offset of its "%}". */
static bool tag_is(const lexer *l, size_t at, const char *word, char *sign, size_t *close) {
    if (!looking_at(l, at, "{%")) return false;
    at += 2;
    at = skip_space(l, at + (sign_at(l, at) != 0));
    if (!looking_at(l, at, word)) return false;
    at = skip_space(l, at + strlen(word));
    *sign = sign_at(l, at);
    *close = at + (*sign != 0);
    return looking_at(l, *close, "%}");
}

/* Everything between {% raw %} and {% endraw %} is data. */
static hone_status lex_raw(lexer *l, char sign, size_t close) {
    uint32_t line = l->line;
    advance(l, sign == '-' ? skip_space(l, close + 2) : close + 2);
    for (size_t at = l->at; at < l->n; at++) {
        if (!tag_is(l, at, "endraw", &sign, &close)) continue;
        TRY(add_data(l, at, sign_at(l, at + 2), true));
        advance(l, after_block(l, close, sign));
        return HONE_OK;
    }
    return misuse("template line %u: raw without endraw", line);
}

static bool is_name_byte(char c, bool first) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (c & 0x80) ||
           (!first && c >= '0' && c <= '9');
}

static bool is_digit(char c) { return c >= '0' && c <= '9'; }

/* Digits with single underscores between them. */
static size_t skip_digits(const lexer *l, size_t at) {
    while (at < l->n && (is_digit(l->s[at]) ||
                         (l->s[at] == '_' && at + 1 < l->n && is_digit(l->s[at + 1]))))
        at++;
    return at;
}

static size_t exponent_end(const lexer *l, size_t at) {
    if (at >= l->n || (l->s[at] != 'e' && l->s[at] != 'E')) return at;
    size_t digits = at + 1 + (sign_at(l, at + 1) != 0);
    return digits < l->n && is_digit(l->s[digits]) ? skip_digits(l, digits) : at;
}

static hone_status lex_number(lexer *l, bool after_dot) {
    token t = {.kind = T_INTEGER, .line = l->line, .at = l->s + l->at};
    size_t end;
    int base = 0;
    char second = l->at + 1 < l->n ? (char)(l->s[l->at + 1] | 0x20) : 0;
    if (l->s[l->at] == '0' && (second == 'x' || second == 'o' || second == 'b')) {
        base = second == 'x' ? 16 : second == 'o' ? 8 : 2;
        for (end = l->at + 2; end < l->n && is_name_byte(l->s[end], false);) end++;
    } else {
        base = 10;
        end = skip_digits(l, l->at);
        size_t fraction = end;
        if (!after_dot && end + 1 < l->n && l->s[end] == '.' && is_digit(l->s[end + 1]))
            fraction = skip_digits(l, end + 1);
        size_t exponent = after_dot ? end : exponent_end(l, fraction);
        if (exponent > end) {
            t.kind = T_FLOAT;
            end = exponent;
        }
    }
    t.n = end - l->at;
    text digits = {.bytes = t.at, .n = t.n};
    bool good = t.kind == T_FLOAT ? text_to_real(&digits, &t.real)
                                  : text_to_integer(&digits, base, &t.integer);
    if (!good)
        return misuse("template line %u: number \"%.*s\" is malformed or too large", l->line,
                      (int)(t.n < 40 ? t.n : 40), t.at);
    advance(l, end);
    return add(l, t);
}

static hone_status lex_string(lexer *l) {
    char quote = l->s[l->at];
    size_t end = l->at + 1;
    while (end < l->n && l->s[end] != quote) end += l->s[end] == '\\' ? 2 : 1;
    if (end >= l->n) return misuse("template line %u: string without closing quote", l->line);
    token t = {.kind = T_STRING, .line = l->line, .at = l->s + l->at + 1, .n = end - l->at - 1};
    advance(l, end + 1);
    return add(l, t);
}

static const struct {
    char word[3];
    token_kind kind;
} operators[] = {
    /* longer ones first */
    {"**", T_POW},     {"//", T_FLOORDIV}, {"==", T_EQ},     {"!=", T_NE},       {"<=", T_LE},
    {">=", T_GE},      {"+", T_ADD},       {"-", T_SUB},     {"*", T_MUL},       {"/", T_DIV},
    {"%", T_MOD},      {"~", T_TILDE},     {"<", T_LT},      {">", T_GT},        {"=", T_ASSIGN},
    {".", T_DOT},      {",", T_COMMA},     {":", T_COLON},   {"|", T_PIPE},      {"(", T_LPAREN},
    {")", T_RPAREN},   {"[", T_LBRACKET},  {"]", T_RBRACKET}, {"{", T_LBRACE},   {"}", T_RBRACE},
};

static hone_status lex_operator(lexer *l, int *open) {
    for (size_t i = 0; i < sizeof operators / sizeof *operators; i++) {
        if (!looking_at(l, l->at, operators[i].word)) continue;
        token_kind kind = operators[i].kind;
        if (kind == T_LPAREN || kind == T_LBRACKET || kind == T_LBRACE) ++*open;
        if (kind == T_RPAREN || kind == T_RBRACKET || kind == T_RBRACE) --*open;
        token t = {.kind = kind, .line = l->line, .at = l->s + l->at};
        t.n = strlen(operators[i].word);
        if (*open < 0)
            return misuse("template line %u: \"%s\" closes nothing", l->line, operators[i].word);
        advance(l, l->at + t.n);
        return add(l, t);
    }
    unsigned char c = (unsigned char)l->s[l->at];
    return misuse("template line %u: unexpected character \"%c\" (0x%02x)", l->line,
                  c < 0x20 || c > 0x7e ? '?' : c, c);
}

/* The inside of {{ … }} or {% … %}, from behind the opening to behind the closing. */
static hone_status lex_inside(lexer *l, bool is_block) {
    const char *end = is_block ? "%}" : "}}";
    uint32_t line = l->line;
    int open = 0; /* brackets: "}}" may also close two dicts */
    for (;;) {
        advance(l, skip_space(l, l->at));
        if (l->at >= l->n)
            return misuse("template line %u: \"%s\" without \"%s\"", line, is_block ? "{%" : "{{",
                          end);
        char sign = sign_at(l, l->at);
        if (sign == '+' && !is_block) sign = 0;
        if (open == 0 && looking_at(l, l->at + (sign != 0), end)) {
            size_t close = l->at + (sign != 0);
            TRY(add(l, (token){.kind = is_block ? T_BLOCK_END : T_VARIABLE_END, .line = l->line,
                               .at = end, .n = 2}));
            if (is_block) advance(l, after_block(l, close, sign));
            else advance(l, sign == '-' ? skip_space(l, close + 2) : close + 2);
            return HONE_OK;
        }
        char c = l->s[l->at];
        if (is_digit(c)) {
            bool after_dot = l->n_tokens && l->tokens[l->n_tokens - 1].kind == T_DOT;
            TRY(lex_number(l, after_dot));
        } else if (is_name_byte(c, true)) {
            size_t stop = l->at;
            while (stop < l->n && is_name_byte(l->s[stop], false)) stop++;
            TRY(add(l, (token){.kind = T_NAME, .line = l->line, .at = l->s + l->at,
                               .n = stop - l->at}));
            advance(l, stop);
        } else if (c == '\'' || c == '"') {
            TRY(lex_string(l));
        } else {
            TRY(lex_operator(l, &open));
        }
    }
}

hone_status jinja_lex(const char *source, size_t n, mem_arena *arena, const token **tokens) {
    lexer l = {.s = source, .n = n, .line = 1, .arena = arena};
    while (l.at < n) {
        size_t tag = find_tag(&l, l.at), close;
        if (tag == n) {
            TRY(add_data(&l, n, '+', false));
            break;
        }
        char kind = source[tag + 1], sign = sign_at(&l, tag + 2), close_sign;
        TRY(add_data(&l, tag, sign, kind != '{'));
        if (kind == '#') {
            TRY(lex_comment(&l));
        } else if (kind == '%' && tag_is(&l, tag, "raw", &close_sign, &close)) {
            TRY(lex_raw(&l, close_sign, close));
        } else {
            TRY(add(&l, (token){.kind = kind == '%' ? T_BLOCK_BEGIN : T_VARIABLE_BEGIN,
                                .line = l.line, .at = source + tag, .n = 2}));
            advance(&l, tag + 2 + (sign != 0));
            TRY(lex_inside(&l, kind == '%'));
        }
    }
    TRY(add(&l, (token){.kind = T_END, .line = l.line, .at = "end of template", .n = 15}));
    *tokens = l.tokens;
    return HONE_OK;
}
