#include "lab/score_ifeval.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>
#include <utf8proc.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "lab/score_language.h"
#include "text/unicode.h"

/* An answer under the eye of one checker. */
typedef struct seen {
    const char *text;
    char *lower; /* the same in lower case */
    const json_t *arguments;
} seen;

/* --- words for the checkers --- */

static hone_status text_argument(const seen *s, const char *name, const char **value) {
    *value = NULL;
    TRY(json_get_string(s->arguments, name, value));
    return *value && **value ? HONE_OK
                             : fail(HONE_ERR_FORMAT, "an instruction without its \"%s\"", name);
}

static hone_status number_argument(const seen *s, const char *name, size_t *value) {
    uint64_t number = UINT64_MAX;
    TRY(json_get_u64(s->arguments, name, &number));
    *value = (size_t)number;
    return number != UINT64_MAX
               ? HONE_OK : fail(HONE_ERR_FORMAT, "an instruction without its \"%s\"", name);
}

/* Whether n stands in the relation ("less than", "at least") to the number. */
static hone_status compare(const seen *s, size_t n, const char *relation, const char *number,
                           bool *follows) {
    const char *how;
    size_t bound;
    TRY(text_argument(s, relation, &how));
    TRY(number_argument(s, number, &bound));
    if (strcmp(how, "less than") != 0 && strcmp(how, "at least") != 0)
        return fail(HONE_ERR_FORMAT, "\"%s\" is neither \"less than\" nor \"at least\"", how);
    *follows = *how == 'l' ? n < bound : n >= bound;
    return HONE_OK;
}

static hone_status lower_case(char **out, const char *text) {
    buf lower;
    char bytes[4];
    hone_status status = HONE_OK;
    buf_init(&lower, 4 * strlen(text) + 16);
    for (size_t n = strlen(text), i = 0; i < n && status == HONE_OK;) {
        uint32_t code;
        i += unicode_decode_valid(text + i, &code);
        status = buf_add(&lower, bytes,
                         utf8_write(bytes, (uint32_t)utf8proc_tolower((int32_t)code)));
    }
    if (status == HONE_OK && !(*out = buf_take(&lower))) status = mem_fail("text", strlen(text));
    buf_release(&lower);
    return status;
}

static bool is_blank(char c) { return c && strchr(" \t\r\n\v\f", c); }

static bool all_blank(const char *text, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (!is_blank(text[i])) return false;
    return true;
}

static void trim(const char **text, size_t *n) {
    while (*n > 0 && is_blank(**text)) ++*text, --*n;
    while (*n > 0 && is_blank((*text)[*n - 1])) --*n;
}

static bool is_word_code(uint32_t code) {
    return code == '_' || (unicode_class(code) & (CHAR_LETTER | CHAR_NUMBER));
}

/* The character that ends before text[i], 0 at the beginning. */
static uint32_t code_before(const char *text, size_t i) {
    uint32_t code;
    if (i == 0) return 0;
    do i--;
    while (i > 0 && ((unsigned char)text[i] & 0xC0) == 0x80);
    unicode_decode_valid(text + i, &code);
    return code;
}

static uint32_t code_at(const char *text) {
    uint32_t code = 0;
    if (*text) unicode_decode_valid(text, &code);
    return code;
}

/* How often `word` occurs in `text`, both lower case; alone = only as a whole word. */
static size_t count_word(const char *text, const char *word, bool alone) {
    size_t n = 0, bytes = strlen(word);
    for (const char *at = text; (at = strstr(at, word));) {
        bool stands_alone = !is_word_code(code_before(text, (size_t)(at - text))) &&
                            !is_word_code(code_at(at + bytes));
        n += !alone || stands_alone;
        at += !alone || stands_alone ? bytes : 1;
    }
    return n;
}

/* The same for each of an array of words: with `want` all of them occur, else none does. */
static hone_status check_words(const seen *s, const char *name, bool alone, bool want,
                               bool *follows) {
    const json_t *words = json_object_get(s->arguments, name);
    size_t i;
    json_t *item;
    if (!json_is_array(words))
        return fail(HONE_ERR_FORMAT, "an instruction without its \"%s\"", name);
    *follows = true;
    json_array_foreach(words, i, item) {
        char *lower;
        if (!json_is_string(item) || json_string_length(item) == 0) continue;
        TRY(lower_case(&lower, json_string_value(item)));
        *follows = *follows && (count_word(s->lower, lower, alone) > 0) == want;
        mem_free(lower);
    }
    return HONE_OK;
}

/* --- keywords --- */

static hone_status keywords_existence(const seen *s, bool *follows) {
    return check_words(s, "keywords", false, true, follows);
}

static hone_status keywords_forbidden(const seen *s, bool *follows) {
    return check_words(s, "forbidden_words", true, false, follows);
}

static hone_status keywords_frequency(const seen *s, bool *follows) {
    const char *keyword;
    char *lower;
    TRY(text_argument(s, "keyword", &keyword));
    TRY(lower_case(&lower, keyword));
    size_t n = count_word(s->lower, lower, false);
    mem_free(lower);
    return compare(s, n, "relation", "frequency", follows);
}

static hone_status letter_frequency(const seen *s, bool *follows) {
    const char *letter;
    TRY(text_argument(s, "letter", &letter));
    char lower[2] = {(char)tolower((unsigned char)letter[0]), '\0'};
    return compare(s, count_word(s->lower, lower, false), "let_relation", "let_frequency", follows);
}

/* --- case and language --- */

typedef struct letters {
    bool upper, lower;
} letters;

static letters letters_of(const char *text, size_t n) {
    letters l = {false, false};
    for (size_t i = 0; i < n;) {
        uint32_t code;
        i += unicode_decode_valid(text + i, &code);
        utf8proc_category_t category = utf8proc_category((int32_t)code);
        l.upper |= category == UTF8PROC_CATEGORY_LU || category == UTF8PROC_CATEGORY_LT;
        l.lower |= category == UTF8PROC_CATEGORY_LL;
    }
    return l;
}

/* Of tokens as a tokenizer for English cuts them: at blanks and punctuation, not at hyphens, full
 * stops within, or apostrophes, but before a contraction's ('S, N'T). */
static size_t count_capital_words(const char *text) {
    size_t count = 0;
    while (*text) {
        size_t n = strcspn(text, " \t\r\n\v\f,;:()[]{}<>\"!?*&|`#");
        letters l = letters_of(text, n);
        count += l.upper && !l.lower;
        if (n > 2 && l.upper && !l.lower)
            for (size_t i = 1; i + 1 < n; i++) count += text[i] == '\'';
        text += n;
        text += *text != '\0';
    }
    return count;
}

static hone_status capital_words(const seen *s, bool *follows) {
    return compare(s, count_capital_words(s->text), "capital_relation", "capital_frequency",
                   follows);
}

/* A text that does not tell its language is not held against the answer. */
static bool is_language(const char *text, const char *language) {
    const char *found = score_language_of(text);
    return !found || strcmp(found, language) == 0;
}

static hone_status english_capital(const seen *s, bool *follows) {
    letters l = letters_of(s->text, strlen(s->text));
    *follows = l.upper && !l.lower && is_language(s->text, "en");
    return HONE_OK;
}

static hone_status english_lowercase(const seen *s, bool *follows) {
    letters l = letters_of(s->text, strlen(s->text));
    *follows = l.lower && !l.upper && is_language(s->text, "en");
    return HONE_OK;
}

static hone_status response_language(const seen *s, bool *follows) {
    const char *language;
    TRY(text_argument(s, "language", &language));
    *follows = is_language(s->text, language);
    return HONE_OK;
}

/* --- lengths --- */

static hone_status number_words(const seen *s, bool *follows) {
    size_t count = 0;
    bool inside = false;
    for (const char *at = s->text; *at;) {
        uint32_t code;
        at += unicode_decode_valid(at, &code);
        count += is_word_code(code) && !inside;
        inside = is_word_code(code);
    }
    return compare(s, count, "relation", "num_words", follows);
}

/* Whether the full stop at `dot` ends an abbreviation, an initial or a number of a list. */
static bool is_abbreviation(const char *text, const char *dot) {
    static const char *const known[] = {"mr", "mrs", "ms", "dr", "prof", "st", "vs", "etc", "e.g",
                                        "i.e", "jr", "sr", "no", "inc", "ltd", "u.s", "p.s", NULL};
    const char *begin = dot;
    while (begin > text && !is_blank(begin[-1])) begin--;
    size_t n = (size_t)(dot - begin);
    if (n == 1 && isupper((unsigned char)*begin)) return true;
    if (n > 0 && strspn(begin, "0123456789") >= n) return true;
    for (int i = 0; known[i]; i++)
        if (strlen(known[i]) == n && strncasecmp(begin, known[i], n) == 0) return true;
    return false;
}

/* Sentences end at . ! ? with closing quotes and brackets behind, where a blank follows and then no
 * lower-case letter. */
static hone_status number_sentences(const seen *s, bool *follows) {
    size_t count = 0;
    bool open = false; /* something stands behind the last end */
    for (const char *at = s->text; *at; at++) {
        if (!is_blank(*at)) open = true;
        if (!strchr(".!?", *at)) continue;
        const char *end = at + 1 + strspn(at + 1, ".!?\"')]*_");
        const char *next = end + strspn(end, " \t\r\n\v\f");
        bool ends = *next == '\0' || (next > end && !islower((unsigned char)*next));
        if (!ends || (*at == '.' && *next && is_abbreviation(s->text, at))) continue;
        count++;
        open = false;
        at = end - 1;
    }
    return compare(s, count + open, "relation", "num_sentences", follows);
}

/* Parts between separators; false for a blank part that stands neither first nor last. */
static bool count_parts(const char *text, const char *separator, size_t *n_parts) {
    *n_parts = 0;
    for (size_t index = 0;; index++) {
        const char *end = strstr(text, separator);
        size_t n = end ? (size_t)(end - text) : strlen(text);
        if (!all_blank(text, n)) ++*n_parts;
        else if (index > 0 && end) return false;
        if (!end) return true;
        text = end + strlen(separator);
    }
}

static hone_status number_paragraphs(const seen *s, bool *follows) {
    size_t wanted, n;
    TRY(number_argument(s, "num_paragraphs", &wanted));
    *follows = count_parts(s->text, "***", &n) && n == wanted;
    return HONE_OK;
}

/* The first word of a paragraph: without quotes before it, up to punctuation. */
static bool begins_with_word(const char *text, size_t n, const char *word) {
    trim(&text, &n);
    while (n > 0 && (*text == '\'' || *text == '"')) text++, n--;
    size_t bytes = 0;
    while (bytes < n && !is_blank(text[bytes]) && !strchr(".,?!'\"", text[bytes])) bytes++;
    return strlen(word) == bytes && strncasecmp(text, word, bytes) == 0;
}

static hone_status nth_paragraph(const seen *s, bool *follows) {
    const char *word, *text = s->text;
    size_t wanted, nth, n_parts = 0;
    bool begins = false;
    TRY(text_argument(s, "first_word", &word));
    TRY(number_argument(s, "num_paragraphs", &wanted));
    TRY(number_argument(s, "nth_paragraph", &nth));
    for (size_t index = 1;; index++) {
        const char *end = strstr(text, "\n\n");
        size_t n = end ? (size_t)(end - text) : strlen(text);
        n_parts += !all_blank(text, n);
        if (index == nth) begins = begins_with_word(text, n, word);
        if (!end) break;
        text = end + 2;
    }
    *follows = begins && n_parts == wanted;
    return HONE_OK;
}

/* --- formats --- */

static hone_status number_placeholders(const seen *s, bool *follows) {
    size_t wanted, n = 0;
    TRY(number_argument(s, "num_placeholders", &wanted));
    for (const char *at = s->text; (at = strchr(at, '['));) {
        size_t inside = strcspn(at + 1, "]\n");
        bool closed = at[1 + inside] == ']';
        n += closed;
        at += closed ? inside + 2 : 1;
    }
    *follows = n >= wanted;
    return HONE_OK;
}

static hone_status postscript(const seen *s, bool *follows) {
    const char *marker;
    TRY(text_argument(s, "postscript_marker", &marker));
    bool two = strncasecmp(marker, "P.P", 3) == 0;
    *follows = false;
    for (const char *at = s->lower; !*follows && (at = strstr(at, "p.")); at++) {
        const char *next = at + 2;
        next += is_blank(*next);
        if (two && strncmp(next, "p.", 2) != 0) continue;
        if (two) next += 2, next += is_blank(*next);
        *follows = next[0] == 's' && (two || next[1] == '.');
    }
    return HONE_OK;
}

static hone_status constrained_response(const seen *s, bool *follows) {
    *follows = strstr(s->text, "My answer is yes.") || strstr(s->text, "My answer is no.") ||
               strstr(s->text, "My answer is maybe.");
    return HONE_OK;
}

static hone_status json_format(const seen *s, bool *follows) {
    const char *text = s->text;
    size_t n = strlen(text);
    json_error_t error;
    trim(&text, &n);
    if (n >= 3 && strncmp(text, "```", 3) == 0) text += 3, n -= 3;
    if (n >= 4 && text > s->text && strncasecmp(text, "json", 4) == 0) text += 4, n -= 4;
    if (n >= 3 && strncmp(text + n - 3, "```", 3) == 0) n -= 3;
    trim(&text, &n);
    json_t *value = json_loadb(text, n, JSON_DECODE_ANY | JSON_ALLOW_NUL, &error);
    *follows = value != NULL;
    json_decref(value);
    return HONE_OK;
}

static hone_status multiple_sections(const seen *s, bool *follows) {
    const char *splitter;
    size_t wanted, n = 0;
    TRY(text_argument(s, "section_spliter", &splitter));
    TRY(number_argument(s, "num_sections", &wanted));
    for (const char *at = s->text; (at = strstr(at, splitter)); at++) {
        const char *next = at + strlen(splitter);
        next += is_blank(*next);
        n += isdigit((unsigned char)*next) != 0;
    }
    *follows = n >= wanted;
    return HONE_OK;
}

static hone_status number_bullets(const seen *s, bool *follows) {
    size_t wanted, n = 0;
    TRY(number_argument(s, "num_bullets", &wanted));
    for (const char *line = s->text; line; line = strchr(line, '\n')) {
        line += strspn(line, " \t\r\n\v\f");
        n += line[0] == '-' || (line[0] == '*' && line[1] != '*' && line[1] != '\0');
    }
    *follows = n == wanted;
    return HONE_OK;
}

/* Spans in one line between marks without "*" inside, non-blank; looked for without overlap. */
static size_t count_spans(const char *text, const char *mark) {
    size_t n = 0, bytes = strlen(mark);
    for (const char *at = text; (at = strstr(at, mark));) {
        const char *inside = at + bytes;
        size_t length = strcspn(inside, "*\n");
        bool closed = strncmp(inside + length, mark, bytes) == 0;
        n += closed && !all_blank(inside, length);
        at = closed ? inside + length + bytes : at + 1;
    }
    return n;
}

static hone_status highlighted_sections(const seen *s, bool *follows) {
    size_t wanted;
    TRY(number_argument(s, "num_highlights", &wanted));
    *follows = count_spans(s->text, "*") + count_spans(s->text, "**") >= wanted;
    return HONE_OK;
}

static hone_status title(const seen *s, bool *follows) {
    *follows = false;
    for (const char *at = s->text; !*follows && (at = strstr(at, "<<")); at++) {
        size_t line = strcspn(at, "\n");
        for (const char *end = at + 2; end + 1 < at + line; end++)
            if (end[0] == '>' && end[1] == '>' && !all_blank(at + 2, (size_t)(end - at - 2)))
                *follows = true;
    }
    return HONE_OK;
}

/* --- beginnings, ends, punctuation --- */

static hone_status no_comma(const seen *s, bool *follows) {
    *follows = !strchr(s->text, ',');
    return HONE_OK;
}

static hone_status repeat_prompt(const seen *s, bool *follows) {
    const char *prompt, *text = s->lower;
    char *lower;
    TRY(text_argument(s, "prompt_to_repeat", &prompt));
    TRY(lower_case(&lower, prompt));
    const char *begin = lower;
    size_t n = strlen(begin), n_text = strlen(text);
    trim(&begin, &n);
    trim(&text, &n_text);
    *follows = n_text >= n && strncmp(text, begin, n) == 0;
    mem_free(lower);
    return HONE_OK;
}

static hone_status two_responses(const seen *s, bool *follows) {
    static const char separator[] = "******";
    const char *parts[2], *text = s->text;
    size_t sizes[2], n_parts = 0;
    *follows = true;
    for (size_t index = 0; *follows; index++) {
        const char *end = strstr(text, separator), *part = text;
        size_t n = end ? (size_t)(end - text) : strlen(text);
        trim(&part, &n);
        if (n == 0) *follows = index == 0 || !end;
        else if (n_parts == 2) *follows = false;
        else parts[n_parts] = part, sizes[n_parts++] = n;
        if (!end) break;
        text = end + strlen(separator);
    }
    *follows = *follows && n_parts == 2 &&
               (sizes[0] != sizes[1] || memcmp(parts[0], parts[1], sizes[0]) != 0);
    return HONE_OK;
}

static hone_status end_checker(const seen *s, bool *follows) {
    const char *phrase, *text = s->lower;
    char *lower;
    TRY(text_argument(s, "end_phrase", &phrase));
    TRY(lower_case(&lower, phrase));
    const char *end = lower;
    size_t n = strlen(end), n_text = strlen(text);
    trim(&end, &n);
    trim(&text, &n_text);
    while (n_text > 0 && *text == '"') text++, n_text--;
    while (n_text > 0 && text[n_text - 1] == '"') n_text--;
    *follows = n_text >= n && strncmp(text + n_text - n, end, n) == 0;
    mem_free(lower);
    return HONE_OK;
}

static hone_status quotation(const seen *s, bool *follows) {
    const char *text = s->text;
    size_t n = strlen(text);
    trim(&text, &n);
    *follows = n > 1 && text[0] == '"' && text[n - 1] == '"';
    return HONE_OK;
}

/* --- all of them --- */

static const struct {
    const char *name;
    hone_status (*check)(const seen *s, bool *follows);
} checkers[] = {
    {"change_case:capital_word_frequency", capital_words},
    {"change_case:english_capital", english_capital},
    {"change_case:english_lowercase", english_lowercase},
    {"combination:repeat_prompt", repeat_prompt},
    {"combination:two_responses", two_responses},
    {"detectable_content:number_placeholders", number_placeholders},
    {"detectable_content:postscript", postscript},
    {"detectable_format:constrained_response", constrained_response},
    {"detectable_format:json_format", json_format},
    {"detectable_format:multiple_sections", multiple_sections},
    {"detectable_format:number_bullet_lists", number_bullets},
    {"detectable_format:number_highlighted_sections", highlighted_sections},
    {"detectable_format:title", title},
    {"keywords:existence", keywords_existence},
    {"keywords:forbidden_words", keywords_forbidden},
    {"keywords:frequency", keywords_frequency},
    {"keywords:letter_frequency", letter_frequency},
    {"language:response_language", response_language},
    {"length_constraints:nth_paragraph_first_word", nth_paragraph},
    {"length_constraints:number_paragraphs", number_paragraphs},
    {"length_constraints:number_sentences", number_sentences},
    {"length_constraints:number_words", number_words},
    {"punctuation:no_comma", no_comma},
    {"startend:end_checker", end_checker},
    {"startend:quotation", quotation},
};
enum { N_CHECKERS = sizeof checkers / sizeof *checkers };

hone_status score_ifeval_check(const char *answer, const char *instruction, const json_t *arguments,
                               bool *follows) {
    for (size_t i = 0; i < N_CHECKERS; i++) {
        if (strcmp(checkers[i].name, instruction) != 0) continue;
        seen s = {.text = answer, .arguments = arguments};
        bool found = false;
        TRY(lower_case(&s.lower, answer));
        hone_status status = checkers[i].check(&s, &found);
        mem_free(s.lower);
        if (status == HONE_OK) *follows = found && !all_blank(answer, strlen(answer));
        return status == HONE_OK ? status : fail_context(status, "%s", instruction);
    }
    return fail(HONE_ERR_FORMAT, "%s: an unknown instruction", instruction);
}

/* text[n] without the stars where `drop`. */
static hone_status check_form(const char *text, size_t n, bool drop, const char *instruction,
                              const json_t *arguments, bool *follows) {
    trim(&text, &n);
    char *form = mem_copy_string(text, n);
    if (!form) return mem_fail("answer", n);
    if (drop) {
        size_t kept = 0;
        for (size_t i = 0; i < n; i++)
            if (form[i] != '*') form[kept++] = form[i];
        form[kept] = '\0';
    }
    hone_status status = score_ifeval_check(form, instruction, arguments, follows);
    mem_free(form);
    return status;
}

hone_status score_ifeval_check_loosely(const char *answer, const char *instruction,
                                       const json_t *arguments, bool *follows) {
    size_t n = strlen(answer);
    const char *second = strchr(answer, '\n'), *last = strrchr(answer, '\n');
    second = second ? second + 1 : answer + n; /* behind the first line */
    if (!last) last = answer;                  /* where the last line begins */
    TRY(score_ifeval_check(answer, instruction, arguments, follows));
    for (int form = 0; form < 8 && !*follows; form++) {
        const char *from = form & 1 ? second : answer;
        const char *to = form & 2 ? last : answer + n;
        if (to > from)
            TRY(check_form(from, (size_t)(to - from), form & 4, instruction, arguments, follows));
    }
    return HONE_OK;
}
