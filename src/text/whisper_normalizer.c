#include "text/whisper_normalizer.h"

#include <string.h>
#include <utf8proc.h>

#include "base/mem.h"
#include "base/utf8.h"

enum { MAX_BYTES = 4 << 20 };

/* --- text as code points --- */

typedef struct codes {
    uint32_t *at;
    size_t n, room;
    bool failed; /* memory was short: told at the end */
} codes;

static void put(codes *t, uint32_t code) {
    t->failed =
        t->failed || mem_grow(&t->at, &t->room, t->n + 1, sizeof *t->at, "text") != HONE_OK;
    if (!t->failed) t->at[t->n++] = code;
}

static void put_text(codes *t, const char *ascii) {
    while (*ascii) put(t, (uint8_t)*ascii++);
}

/* Ends a step: what was written becomes the text. */
static void take(codes *text, codes *written) {
    bool failed = text->failed || written->failed;
    mem_free(text->at);
    *text = *written;
    text->failed = failed;
}

static hone_status read_codes(codes *t, const char *text, size_t n) {
    for (size_t i = 0; i < n;) {
        uint32_t code;
        size_t length = utf8_decode(text + i, n - i, &code);
        if (code == UTF8_INVALID) return fail(HONE_ERR_FORMAT, "byte %zu is no UTF-8", i);
        put(t, code);
        i += length;
    }
    return HONE_OK;
}

static hone_status add_codes(buf *out, const codes *t) {
    if (t->failed) return mem_fail("normalised text", t->n);
    for (size_t i = 0; i < t->n; i++) {
        char bytes[4];
        TRY(buf_add(out, bytes, utf8_write(bytes, t->at[i])));
    }
    return HONE_OK;
}

/* --- classes, as Python's regular expressions see them --- */

static bool is_space(uint32_t c) {
    return (c >= 9 && c <= 13) || (c >= 28 && c <= 32) || c == 0x85 || c == 0xA0 || c == 0x1680 ||
           (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F ||
           c == 0x205F || c == 0x3000;
}

static bool is_digit(uint32_t c) { return utf8proc_category((int32_t)c) == UTF8PROC_CATEGORY_ND; }

static bool is_ascii_digit(uint32_t c) { return c >= '0' && c <= '9'; }

static bool is_word(uint32_t c) {
    switch (utf8proc_category((int32_t)c)) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_NO: return true;
    default: return c == '_';
    }
}

/* Whether a word begins or ends in front of character i. */
static bool is_boundary(const codes *t, size_t i) {
    bool before = i > 0 && is_word(t->at[i - 1]), after = i < t->n && is_word(t->at[i]);
    return before != after;
}

/* Categories M, S and P. */
static bool is_sign(uint32_t c) {
    utf8proc_category_t k = utf8proc_category((int32_t)c);
    return (k >= UTF8PROC_CATEGORY_MN && k <= UTF8PROC_CATEGORY_ME) ||
           (k >= UTF8PROC_CATEGORY_PC && k <= UTF8PROC_CATEGORY_SO);
}

/* --- steps --- */

static bool is_cased(uint32_t c) {
    return utf8proc_tolower((int32_t)c) != (int32_t)c || utf8proc_toupper((int32_t)c) != (int32_t)c;
}

/* Lower case with its two special letters: İ, and Σ at the end of a word. */
static void lower(codes *t) {
    codes out = {0};
    for (size_t i = 0; i < t->n; i++) {
        uint32_t c = t->at[i];
        bool last = i > 0 && is_cased(t->at[i - 1]) && (i + 1 == t->n || !is_cased(t->at[i + 1]));
        if (c == 0x130) put(&out, 'i'), put(&out, 0x307);
        else if (c == 0x3A3 && last) put(&out, 0x3C2);
        else put(&out, (uint32_t)utf8proc_tolower((int32_t)c));
    }
    take(t, &out);
}

/* The index behind a bracket's end when one begins at i, or 0. */
static size_t bracket_end(const codes *t, size_t i) {
    bool round = t->at[i] == '(';
    if (!round && t->at[i] != '[' && t->at[i] != '<') return 0;
    for (size_t k = i + 1; k < t->n; k++) {
        if (round ? t->at[k] == ')' : t->at[k] == ']' || t->at[k] == '>')
            return round && k == i + 1 ? 0 : k + 1; /* "()" is no remark */
    }
    return 0;
}

static void drop_brackets(codes *t, bool round) {
    codes out = {0};
    for (size_t i = 0; i < t->n;) {
        size_t end = (t->at[i] == '(') == round ? bracket_end(t, i) : 0;
        if (end) i = end;
        else put(&out, t->at[i++]);
    }
    take(t, &out);
}

static bool begins_with(const codes *t, size_t i, const char *ascii) {
    for (; *ascii; i++, ascii++)
        if (i >= t->n || t->at[i] != (uint8_t)*ascii) return false;
    return true;
}

/* Replaces `what` everywhere; `whole`: only where it is not the end of a longer word. It is never
 * the beginning of one. */
static void replace(codes *t, const char *what, const char *with, bool whole) {
    codes out = {0};
    size_t n = strlen(what);
    for (size_t i = 0; i < t->n;) {
        if (begins_with(t, i, what) && is_boundary(t, i + n) && (!whole || is_boundary(t, i))) {
            put_text(&out, with);
            i += n;
        } else {
            put(&out, t->at[i++]);
        }
    }
    take(t, &out);
}

static void join_apostrophes(codes *t) {
    codes out = {0};
    for (size_t i = 0; i < t->n; i++) {
        size_t end = i;
        while (end < t->n && is_space(t->at[end])) end++;
        if (end > i && end < t->n && t->at[end] == '\'') i = end;
        put(&out, t->at[i]);
    }
    take(t, &out);
}

static const struct {
    const char *from, *to;
} whole_words[] = {
    {"hmm", ""}, {"mm", ""}, {"mhm", ""}, {"mmm", ""}, {"uh", ""}, {"um", ""},
}, spoken[] = {
    {"won't", "will not"}, {"can't", "can not"}, {"let's", "let us"}, {"ain't", "aint"},
    {"y'all", "you all"}, {"wanna", "want to"}, {"gotta", "got to"}, {"gonna", "going to"},
    {"i'ma", "i am going to"}, {"imma", "i am going to"}, {"woulda", "would have"},
    {"coulda", "could have"}, {"shoulda", "should have"}, {"ma'am", "madam"},
    {"mr", "mister "}, {"mrs", "missus "}, {"st", "saint "}, {"dr", "doctor "},
    {"prof", "professor "}, {"capt", "captain "}, {"gov", "governor "}, {"ald", "alderman "},
    {"gen", "general "}, {"sen", "senator "}, {"rep", "representative "}, {"pres", "president "},
    {"rev", "reverend "}, {"hon", "honorable "}, {"asst", "assistant "}, {"assoc", "associate "},
    {"lt", "lieutenant "}, {"col", "colonel "}, {"jr", "junior "}, {"sr", "senior "},
    {"esq", "esquire "},
}, endings[] = {
    {"'d been", " had been"}, {"'s been", " has been"}, {"'d gone", " had gone"},
    {"'s gone", " has gone"}, {"'d done", " had done"}, {"'s got", " has got"}, {"n't", " not"},
    {"'re", " are"}, {"'s", " is"}, {"'d", " would"}, {"'ll", " will"}, {"'t", " not"},
    {"'ve", " have"}, {"'m", " am"},
};

/* Commas between digits go; a period that no digit follows is a space. */
static void clean_numbers(codes *t) {
    codes out = {0};
    for (size_t i = 0; i < t->n; i++) {
        bool inside = i > 0 && i + 1 < t->n && t->at[i] == ',' && is_digit(t->at[i - 1]) &&
                      is_digit(t->at[i + 1]);
        if (!inside) put(&out, t->at[i]);
    }
    take(t, &out);
    out = (codes){0};
    for (size_t i = 0; i < t->n; i++) {
        bool ends = t->at[i] == '.' && (i + 1 == t->n || !is_ascii_digit(t->at[i + 1]));
        put(&out, ends ? ' ' : t->at[i]);
        if (ends && i + 1 < t->n) put(&out, t->at[++i]); /* as one match of the published rule */
    }
    take(t, &out);
}

static void compose(codes *t, int options) {
    /* in one piece, since marks are put in order; at most 18 characters come of one */
    size_t room = t->n * 18 + 18;
    int32_t *to = mem_calloc(room, sizeof *to);
    buf bytes;
    buf_init(&bytes, MAX_BYTES);
    codes made = {.failed = !to || add_codes(&bytes, t) != HONE_OK};
    if (!made.failed) {
        utf8proc_ssize_t n = utf8proc_decompose((const uint8_t *)bytes.data, (ptrdiff_t)bytes.len,
                                                to, (ptrdiff_t)room, (utf8proc_option_t)options);
        if (n > (ptrdiff_t)room) n = -1;
        if (n > 0) n = utf8proc_normalize_utf32(to, n, (utf8proc_option_t)options);
        made.failed = n < 0;
        for (utf8proc_ssize_t i = 0; i < n; i++) put(&made, (uint32_t)to[i]);
    }
    mem_free(to);
    buf_release(&bytes);
    take(t, &made);
}

/* Letters that are no base letter with a mark. */
static const char *plain_letters(uint32_t c) {
    switch (c) {
    case 0x153: return "oe";
    case 0x152: return "OE";
    case 0xF8: return "o";
    case 0xD8: return "O";
    case 0xE6: return "ae";
    case 0xC6: return "AE";
    case 0xDF: return "ss";
    case 0x1E9E: return "SS";
    case 0x111: case 0xF0: return "d";
    case 0x110: case 0xD0: return "D";
    case 0xFE: return "th";
    case 0xDE: return "Th";
    case 0x142: return "l";
    case 0x141: return "L";
    default: return NULL;
    }
}

/* NFKD; marks go, signs but those of `kept` are spaces. */
static void drop_diacritics(codes *t, const uint32_t *kept, size_t n_kept) {
    compose(t, UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT);
    codes out = {0};
    for (size_t i = 0; i < t->n; i++) {
        uint32_t c = t->at[i];
        bool keep = false;
        for (size_t k = 0; k < n_kept; k++) keep |= c == kept[k];
        if (keep) put(&out, c);
        else if (plain_letters(c)) put_text(&out, plain_letters(c));
        else if (utf8proc_category((int32_t)c) == UTF8PROC_CATEGORY_MN) continue;
        else put(&out, is_sign(c) ? ' ' : c);
    }
    take(t, &out);
}

static void signs_to_spaces(codes *t) {
    compose(t, UTF8PROC_COMPOSE | UTF8PROC_COMPAT);
    for (size_t i = 0; i < t->n; i++)
        if (is_sign(t->at[i])) t->at[i] = ' ';
}

static void collapse_spaces(codes *t) {
    codes out = {0};
    for (size_t i = 0; i < t->n; i++) {
        if (!is_space(t->at[i])) put(&out, t->at[i]);
        else if (out.n == 0 || out.at[out.n - 1] != ' ') put(&out, ' ');
    }
    take(t, &out);
}

static void part_letters(codes *t) {
    codes out = {0};
    utf8proc_int32_t state = 0;
    for (size_t i = 0; i < t->n; i++) {
        if (i > 0 &&
            utf8proc_grapheme_break_stateful((int32_t)t->at[i - 1], (int32_t)t->at[i], &state))
            put(&out, ' ');
        put(&out, t->at[i]);
    }
    take(t, &out);
}

/* --- all other languages --- */

hone_status whisper_normalise_basic(buf *out, const char *text, size_t n, bool remove_diacritics,
                                    bool split_letters) {
    codes t = {0};
    hone_status status = n > MAX_BYTES ? fail(HONE_ERR_MEMORY, "a text of %zu bytes", n)
                                       : read_codes(&t, text, n);
    if (status == HONE_OK) {
        lower(&t);
        drop_brackets(&t, false);
        drop_brackets(&t, true);
        if (remove_diacritics) drop_diacritics(&t, NULL, 0);
        else signs_to_spaces(&t);
        lower(&t);
        if (split_letters) part_letters(&t);
        collapse_spaces(&t);
        status = add_codes(out, &t);
    }
    mem_free(t.at);
    return status;
}

/* --- English --- */

static void spell_out(codes *t) {
    for (size_t i = 0; i < sizeof whole_words / sizeof *whole_words; i++)
        replace(t, whole_words[i].from, whole_words[i].to, true);
    join_apostrophes(t);
    for (size_t i = 0; i < sizeof spoken / sizeof *spoken; i++)
        replace(t, spoken[i].from, spoken[i].to, true);
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++)
        replace(t, endings[i].from, endings[i].to, false);
}

/* The words of the text, apart by single spaces, each in its American spelling. */
static hone_status add_words(buf *out, const char *text, size_t n, const json_t *spelling) {
    bool first = true;
    for (size_t i = 0; i < n;) {
        size_t end = i;
        while (end < n && text[end] != ' ') end++;
        if (end > i) {
            const json_t *other = spelling ? json_object_getn(spelling, text + i, end - i) : NULL;
            if (!first) TRY(buf_add(out, " ", 1));
            TRY(json_is_string(other) ? buf_add_text(out, json_string_value(other))
                                      : buf_add(out, text + i, end - i));
            first = false;
        }
        i = end + 1;
    }
    return HONE_OK;
}

/* Signs that no digit stands beside go. */
static void drop_lone_signs(codes *t) {
    codes out = {0};
    for (size_t i = 0; i < t->n; i++) {
        uint32_t c = t->at[i];
        bool sign = c == '.' || c == '$' || c == 0xA2 || c == 0x20AC || c == 0xA3;
        bool lone = sign && i + 1 < t->n && !is_ascii_digit(t->at[i + 1]);
        put(&out, lone ? ' ' : c);
        if (lone) put(&out, t->at[++i]); /* as one match of the published rule */
    }
    take(t, &out);
    out = (codes){0};
    for (size_t i = 0; i < t->n; i++) {
        put(&out, t->at[i]);
        if (i + 1 < t->n && t->at[i + 1] == '%' && !is_ascii_digit(t->at[i])) {
            put(&out, ' ');
            i++;
        }
    }
    take(t, &out);
    collapse_spaces(t);
}

/* Numbers and spelling work on words in UTF-8. */
static hone_status rewrite_words(codes *t, const json_t *spelling) {
    buf plain, numbers, spelled;
    buf_init(&plain, MAX_BYTES);
    buf_init(&numbers, MAX_BYTES);
    buf_init(&spelled, MAX_BYTES);
    collapse_spaces(t);
    hone_status status = add_codes(&plain, t);
    if (status == HONE_OK)
        status = whisper_write_numbers(&numbers, plain.data ? plain.data : "", plain.len);
    if (status == HONE_OK)
        status = add_words(&spelled, numbers.data ? numbers.data : "", numbers.len, spelling);
    t->n = 0;
    if (status == HONE_OK)
        status = read_codes(t, spelled.data ? spelled.data : "", spelled.len);
    buf_release(&plain);
    buf_release(&numbers);
    buf_release(&spelled);
    return status;
}

hone_status whisper_normalise_english(buf *out, const char *text, size_t n,
                                      const json_t *spelling) {
    static const uint32_t kept[] = {'.', '%', '$', 0xA2, 0x20AC, 0xA3};
    codes t = {0};
    hone_status status = n > MAX_BYTES ? fail(HONE_ERR_MEMORY, "a text of %zu bytes", n)
                                       : read_codes(&t, text, n);
    if (status == HONE_OK) {
        lower(&t);
        drop_brackets(&t, false);
        drop_brackets(&t, true);
        spell_out(&t);
        clean_numbers(&t);
        drop_diacritics(&t, kept, sizeof kept / sizeof *kept);
        status = rewrite_words(&t, spelling);
    }
    if (status == HONE_OK) {
        drop_lone_signs(&t);
        status = add_codes(out, &t);
    }
    mem_free(t.at);
    return status;
}
