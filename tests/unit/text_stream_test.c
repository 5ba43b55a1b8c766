/* infer/text_stream.h: the same text for every way to cut it, and no part of a stop string. */
#include "test.h"

#include <stdint.h>

#include "base/mem.h"
#include "base/utf8.h"
#include "infer/text_stream.h"

typedef struct settings {
    const char *stops[4];
    size_t n_stops;
    bool drop_first_space;
} settings;

static text_stream *open_stream(const settings *with) {
    text_stream *s = NULL;
    CHECK_OK(text_stream_open(&s, with->stops, with->n_stops, with->drop_first_space));
    return s;
}

/* Pushes bytes[n] cut after each byte whose bit is set; *stopped after finish. */
static void stream_cut(const settings *with, const char *bytes, size_t n, unsigned cuts, buf *text,
                       bool *stopped) {
    text_stream *s = open_stream(with);
    size_t begin = 0;
    text->len = 0;
    for (size_t i = 1; i <= n; i++) {
        if (i < n && !(cuts >> (i - 1) & 1)) continue;
        CHECK_OK(text_stream_push(s, bytes + begin, i - begin, text, stopped));
        CHECK(utf8_is_valid(text->data, text->len));
        begin = i;
    }
    CHECK_OK(text_stream_finish(s, text, stopped));
    text_stream_close(s);
}

/* Every cut of the bytes gives exactly `expected`. */
static void check_all_cuts(const settings *with, const char *bytes, size_t n, const char *expected,
                           bool expect_stop) {
    buf text;
    buf_init(&text, 1000);
    for (unsigned cuts = 0; cuts < 1u << (n ? n - 1 : 0); cuts++) {
        bool stopped = !expect_stop;
        stream_cut(with, bytes, n, cuts, &text, &stopped);
        CHECK_MSG(strcmp(text.data ? text.data : "", expected) == 0, "cuts %x: \"%s\" not \"%s\"",
                  cuts, text.data, expected);
        CHECK_MSG(stopped == expect_stop, "cuts %x of \"%s\"", cuts, bytes);
    }
    buf_release(&text);
}

#define R "\xEF\xBF\xBD" /* U+FFFD */

/* The expected texts are Python's bytes.decode("utf-8", errors="replace"). */
static void invalid_bytes_become_replacement_characters(void) {
    static const struct {
        const char *bytes, *expected;
    } cases[] = {
        {"", ""},
        {"plain", "plain"},
        {"\xC3\xA4\xE2\x82\xAC\xF0\x9F\x98\x80", "\xC3\xA4\xE2\x82\xAC\xF0\x9F\x98\x80"},
        {"a\xF0\x9F\x98", "a" R},
        {"a\xE2\x82", "a" R},
        {"\xC3", R},
        {"\xE2\x82z", R "z"},
        {"\xF0\x9F\x98z\xF0\x9Fz\xF0z", R "z" R "z" R "z"},
        {"\xE2\x82\xE2\x82\xAC", R "\xE2\x82\xAC"},
        {"\xC0\x80", R R},
        {"\xE0\x80\x80", R R R},
        {"\xED\xA0\x80", R R R},
        {"\xF4\x90\x80\x80", R R R R},
        {"\xF5\x80\xFF\x80", R R R R},
        {"\x80\xBFz", R R "z"},
        {"\xF0\x80\x80\xF1\x80\x80\xC3", R R R R R},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        check_all_cuts(&(settings){0}, cases[i].bytes, strlen(cases[i].bytes), cases[i].expected,
                       false);
}

static void nul_bytes_are_text(void) {
    buf text;
    buf_init(&text, 100);
    bool stopped;
    stream_cut(&(settings){.stops = {"b"}, .n_stops = 1}, "a\0\0b", 4, 0, &text, &stopped);
    CHECK(text.len == 3 && memcmp(text.data, "a\0\0", 3) == 0 && stopped);
    buf_release(&text);
}

static void the_earliest_stop_string_wins(void) {
    static const struct {
        settings with;
        const char *text, *expected;
        bool stopped;
    } cases[] = {
        {{{"END"}, 1, false}, "so EN ENDless", "so EN ", true},
        {{{"END"}, 1, false}, "so EN", "so EN", false},
        {{{"END"}, 1, false}, "ENEND", "EN", true},
        {{{"aab"}, 1, false}, "aaaab", "aa", true},
        {{{"b", "abcx"}, 2, false}, "zabcx", "z", true},
        {{{"b", "abcx"}, 2, false}, "zabcy", "za", true},
        {{{"b", "abcx"}, 2, false}, "zab", "za", true},
        {{{"ab", "abc"}, 2, false}, "zabc", "z", true},
        {{{"cd", "bcde", "abcdef"}, 3, false}, "xabcde", "xa", true},
        {{{"\xE2\x82\xAC"}, 1, false}, "1\xE2\x82\xAC", "1", true},
        {{{"\xE2\x82\xAC"}, 1, false}, "1\xE2\x82\xAD", "1\xE2\x82\xAD", false},
        {{{R}, 1, false}, "1\xE2\x82", "1", true},
        {{{"\n\n"}, 1, false}, "a\nb\n\nc", "a\nb", true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        check_all_cuts(&cases[i].with, cases[i].text, strlen(cases[i].text), cases[i].expected,
                       cases[i].stopped);
}

static void the_first_space_goes_where_asked(void) {
    static const settings drop = {{"x", " y"}, 2, true}, keep = {{"x", " y"}, 2, false};
    check_all_cuts(&drop, "  a b", 5, " a b", false);
    check_all_cuts(&keep, "  a b", 5, "  a b", false);
    check_all_cuts(&drop, "a b", 3, "a b", false);
    check_all_cuts(&drop, " y", 2, "y", false); /* the space is no part of the text */
    check_all_cuts(&drop, " ", 1, "", false);
    check_all_cuts(&drop, " \xC3", 2, R, false);
}

/* The definition, on the whole text. */
static size_t plain_stop(const char *text, size_t n, const settings *with, bool *stopped) {
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < with->n_stops; j++)
            if (strncmp(text + i, with->stops[j], strlen(with->stops[j])) == 0) {
                *stopped = true;
                return i;
            }
    *stopped = false;
    return n;
}

/* All texts of up to 7 letters of a small alphabet, all cuts, several sets of stop strings. */
static void every_cut_of_every_short_text_gives_the_same(void) {
    static const settings sets[] = {
        {{"ab"}, 1, false},          {{"aa", "b"}, 2, false},     {{"aba", "bb"}, 2, false},
        {{"b", "aab"}, 2, false},    {{"bab", "abb", "c"}, 3, false}, {{"abcab"}, 1, false},
        {{"ca", "bcac", "a"}, 3, true},
    };
    for (size_t set = 0; set < sizeof sets / sizeof *sets; set++) {
        for (size_t n = 0; n <= 7; n++) {
            unsigned n_texts = 1;
            for (size_t i = 0; i < n; i++) n_texts *= 3;
            for (unsigned number = 0; number < n_texts; number++) {
                char text[8] = "", expected[8] = "";
                unsigned rest = number;
                for (size_t i = 0; i < n; i++, rest /= 3) text[i] = (char)('a' + rest % 3);
                bool stopped;
                memcpy(expected, text, plain_stop(text, n, &sets[set], &stopped));
                check_all_cuts(&sets[set], text, n, expected, stopped);
            }
        }
    }
}

static void text_comes_out_as_soon_as_it_is_certain(void) {
    text_stream *s = open_stream(&(settings){{"END"}, 1, false});
    buf text;
    buf_init(&text, 100);
    bool stopped = true;
    CHECK_OK(text_stream_push(s, "so E", 4, &text, &stopped));
    CHECK(strcmp(text.data, "so ") == 0 && !stopped);
    CHECK_OK(text_stream_push(s, "N", 1, &text, &stopped));
    CHECK(strcmp(text.data, "so ") == 0 && !stopped);
    CHECK_OK(text_stream_push(s, "e\xC3", 2, &text, &stopped));
    CHECK(strcmp(text.data, "so ENe") == 0 && !stopped);
    CHECK_OK(text_stream_push(s, "\xA4", 1, &text, &stopped));
    CHECK(strcmp(text.data, "so ENe\xC3\xA4") == 0 && !stopped);
    CHECK_OK(text_stream_push(s, "END", 3, &text, &stopped));
    CHECK(stopped);
    size_t n = text.len;
    CHECK_OK(text_stream_push(s, "more", 4, &text, &stopped));
    CHECK_OK(text_stream_finish(s, &text, &stopped));
    CHECK(stopped && text.len == n);
    text_stream_close(s);
    buf_release(&text);
}

static void nothing_comes_after_the_end(void) {
    text_stream *s = open_stream(&(settings){0});
    buf text;
    buf_init(&text, 100);
    bool stopped = true;
    CHECK_OK(text_stream_push(s, "a\xC3", 2, &text, &stopped));
    CHECK_OK(text_stream_finish(s, &text, &stopped));
    CHECK_OK(text_stream_finish(s, &text, &stopped));
    CHECK_OK(text_stream_push(s, "b", 1, &text, &stopped));
    CHECK(strcmp(text.data, "a" R) == 0 && !stopped);
    text_stream_close(s);
    buf_release(&text);
}

static void bad_stop_strings_are_refused(void) {
    static char long_stop[TEXT_STREAM_MAX_STOP_BYTES + 2];
    memset(long_stop, 'x', sizeof long_stop - 1);
    const char *bad[] = {"", "\xFF", "\xE2\x82", long_stop};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        const char *stops[2] = {"fine", bad[i]};
        text_stream *s = NULL;
        CHECK(text_stream_open(&s, stops, 2, false) == HONE_ERR_ARGUMENT);
        CHECK(s == NULL);
    }
    const char *many[TEXT_STREAM_MAX_STOPS + 1];
    for (size_t i = 0; i <= TEXT_STREAM_MAX_STOPS; i++) many[i] = long_stop + 1;
    text_stream *s = NULL;
    CHECK(text_stream_open(&s, many, TEXT_STREAM_MAX_STOPS + 1, false) == HONE_ERR_ARGUMENT);
    CHECK_OK(text_stream_open(&s, many, TEXT_STREAM_MAX_STOPS, false));
    text_stream_close(s);
}

/* One pass with the n-th allocation failing; a failed call is repeated once and must then work. */
static bool stream_with_failure(long nth, const settings *with, buf *text) {
    text_stream *s = NULL;
    bool stopped, failed = false;
    mem_fail_from(nth);
    if (text_stream_open(&s, with->stops, with->n_stops, false) != HONE_OK) {
        mem_fail_from(0);
        CHECK(s == NULL);
        return true;
    }
    static const char piece[] = "0123456789EN0123456789\xE2\x82\xAC 0123456789 0123456789 \xFF E";
    for (int i = 0; i < 8; i++) {
        if (text_stream_push(s, piece, sizeof piece - 1, text, &stopped) == HONE_OK) continue;
        failed = true;
        mem_fail_from(0);
        CHECK_OK(text_stream_push(s, piece, sizeof piece - 1, text, &stopped));
    }
    if (text_stream_finish(s, text, &stopped) != HONE_OK) {
        failed = true;
        mem_fail_from(0);
        CHECK_OK(text_stream_finish(s, text, &stopped));
    }
    mem_fail_from(0);
    text_stream_close(s);
    return failed;
}

static void failing_allocations_change_nothing(void) {
    static const settings with = {{"END", "FIN"}, 2, false};
    buf expected;
    buf_init(&expected, 10000);
    CHECK(!stream_with_failure(0, &with, &expected));
    long nth = 1;
    for (bool failed = true; failed; nth++) {
        buf text;
        buf_init(&text, 10000);
        failed = stream_with_failure(nth, &with, &text);
        CHECK(text.len == 0 || strcmp(text.data, expected.data) == 0);
        buf_release(&text);
    }
    CHECK(nth > 8);
    buf_release(&expected);
}

static void a_full_buffer_loses_nothing(void) {
    text_stream *s = open_stream(&(settings){0});
    buf small, large;
    buf_init(&small, 4);
    buf_init(&large, 100);
    bool stopped;
    CHECK(text_stream_push(s, "12345\xC3", 6, &small, &stopped) == HONE_ERR_MEMORY);
    CHECK(small.len == 0);
    CHECK_OK(text_stream_push(s, "12345\xC3", 6, &large, &stopped));
    CHECK(strcmp(large.data, "12345") == 0);
    buf_release(&small);
    buf_release(&large);
    text_stream_close(s);
}

int main(void) {
    RUN(invalid_bytes_become_replacement_characters);
    RUN(nul_bytes_are_text);
    RUN(the_earliest_stop_string_wins);
    RUN(the_first_space_goes_where_asked);
    RUN(every_cut_of_every_short_text_gives_the_same);
    RUN(text_comes_out_as_soon_as_it_is_certain);
    RUN(nothing_comes_after_the_end);
    RUN(bad_stop_strings_are_refused);
    RUN(failing_allocations_change_nothing);
    RUN(a_full_buffer_loses_nothing);
    return test_summary();
}
