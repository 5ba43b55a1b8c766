/* Transcripts as files: every format to the letter. */
#include <stdbool.h>

#include "base/json.h"
#include "base/mem.h"
#include "hone/model.h"
#include "hone/transcript_format.h"
#include "test.h"

static const int32_t tokens[] = {50364, 400, 50389};
static hone_word words[] = {{0, 0.52, 0.9, " Salt"}, {0.52, 1.2, 0.8, " & \"pepper\""},
                            {1.2, 3.5, 0.5, " --> here."}};
static hone_segment segments[] = {
    {.id = 0, .start = 0, .end = 3.5, .text = " Salt & \"pepper\" --> here.", .tokens = tokens,
     .n_tokens = 3, .temperature = 0, .avg_logprob = -0.25f, .compression_ratio = 1.5f,
     .no_speech_prob = 0.125f},
    {.id = 1, .start = 3661.04, .end = 3662.999, .text = " <b>Two\nlines</b>\t ", .tokens = tokens,
     .n_tokens = 1, .seek = 30},
};
static hone_transcript transcript = {
    .text = "Salt", .language = "de", .seconds = 4000.25, .segments = segments, .n_segments = 2};

static void check(hone_transcript_format format, const char *want) {
    char *have = NULL;
    if (!CHECK_OK(hone_transcript_text(format, HONE_TRANSCRIBE, &transcript, &have))) return;
    CHECK_MSG(!strcmp(have, want), "\n%s\nexpected\n%s", have, want);
    hone_free(have);
}

static void with_words(bool on) {
    segments[0].words = on ? words : NULL;
    segments[0].n_words = on ? 3 : 0;
}

static void text_is_a_line_a_segment(void) {
    check(HONE_FORMAT_TEXT, "Salt & \"pepper\" --> here.\n<b>Two lines</b>\n");
}

static void subrip_has_no_arrow_in_its_text(void) {
    check(HONE_FORMAT_SRT, "1\n00:00:00,000 --> 00:00:03,500\nSalt & \"pepper\" -> here.\n\n"
                           "2\n01:01:01,040 --> 01:01:02,999\n<b>Two lines</b>\n\n");
}

static void webvtt_escapes_its_text(void) {
    check(HONE_FORMAT_VTT,
          "WEBVTT\n\n00:00.000 --> 00:03.500\nSalt &amp; \"pepper\" --&gt; here.\n\n"
          "01:01:01.040 --> 01:01:02.999\n&lt;b&gt;Two lines&lt;/b&gt;\n\n");
}

static void tables_part_and_quote(void) {
    check(HONE_FORMAT_TSV, "start\tend\ttext\n0\t3500\tSalt & \"pepper\" --> here.\n"
                           "3661040\t3662999\t<b>Two lines</b>\n");
    check(HONE_FORMAT_CSV, "start,end,text\n0,3500,\"Salt & \"\"pepper\"\" --> here.\"\n"
                           "3661040,3662999,\"<b>Two lines</b>\"\n");
}

static void lyrics_count_minutes(void) {
    check(HONE_FORMAT_LRC, "[00:00.00]Salt & \"pepper\" --> here.\n[61:01.04]<b>Two lines</b>\n");
}

static void words_have_times(void) {
    with_words(true);
    check(HONE_FORMAT_SRT, "1\n00:00:00,000 --> 00:00:00,520\nSalt\n\n"
                           "2\n00:00:00,520 --> 00:00:01,200\n& \"pepper\"\n\n"
                           "3\n00:00:01,200 --> 00:00:03,500\n-> here.\n\n"
                           "4\n01:01:01,040 --> 01:01:02,999\n<b>Two lines</b>\n\n");
    check(HONE_FORMAT_VTT, "WEBVTT\n\n00:00.000 --> 00:03.500\nSalt <00:00:00.520>&amp; \"pepper\" "
                           "<00:00:01.200>--&gt; here.\n\n"
                           "01:01:01.040 --> 01:01:02.999\n&lt;b&gt;Two lines&lt;/b&gt;\n\n");
    check(HONE_FORMAT_TSV, "start\tend\ttext\n0\t520\tSalt\n520\t1200\t& \"pepper\"\n"
                           "1200\t3500\t--> here.\n3661040\t3662999\t<b>Two lines</b>\n");
    check(HONE_FORMAT_LRC, "[00:00.00]<00:00.00>Salt <00:00.52>& \"pepper\" <00:01.20>--> here.\n"
                           "[61:01.04]<b>Two lines</b>\n");
    with_words(false);
}

static json_t *parsed(hone_transcript_format format, hone_speech_task task) {
    char *text = NULL;
    json_t *json = NULL;
    if (CHECK_OK(hone_transcript_text(format, task, &transcript, &text)))
        CHECK_OK(json_parse(&json, text, strlen(text), "transcript"));
    hone_free(text);
    return json;
}

/* The keys of an object in their order, parted by blanks. */
static const char *keys_of(const json_t *object, char out[256]) {
    const char *key;
    json_t *value;
    out[0] = 0;
    json_object_foreach((json_t *)object, key, value) {
        if (out[0]) strcat(out, " ");
        strcat(out, key);
    }
    return out;
}

static void verbose_json_has_openai_s_fields(void) {
    char keys[256];
    with_words(true);
    json_t *json = parsed(HONE_FORMAT_VERBOSE_JSON, HONE_TRANSLATE);
    const json_t *first = json_array_get(json_object_get(json, "segments"), 0);
    const json_t *second = json_array_get(json_object_get(json, "segments"), 1);
    CHECK(!strcmp(keys_of(json, keys), "task language duration text segments words"));
    CHECK(!strcmp(json_string_value(json_object_get(json, "task")), "translate"));
    CHECK(!strcmp(json_string_value(json_object_get(json, "language")), "german"));
    CHECK_NEAR(json_number_value(json_object_get(json, "duration")), 4000.25, 1e-9);
    CHECK(!strcmp(keys_of(first, keys), "id seek start end text tokens temperature avg_logprob "
                                        "compression_ratio no_speech_prob"));
    CHECK(json_array_size(json_object_get(first, "tokens")) == 3);
    CHECK(!strcmp(json_string_value(json_object_get(first, "text")), segments[0].text));
    CHECK(json_integer_value(json_object_get(second, "seek")) == 3000);
    CHECK_NEAR(json_number_value(json_object_get(second, "end")), 3662.999, 1e-9);
    const json_t *word = json_array_get(json_object_get(json, "words"), 1);
    CHECK(!strcmp(keys_of(word, keys), "word start end"));
    CHECK(!strcmp(json_string_value(json_object_get(word, "word")), "& \"pepper\""));
    json_decref(json);
    with_words(false);
}

static void json_has_text_and_segments(void) {
    char keys[256];
    json_t *json = parsed(HONE_FORMAT_JSON, HONE_TRANSCRIBE);
    const json_t *first = json_array_get(json_object_get(json, "segments"), 0);
    CHECK(!strcmp(keys_of(json, keys), "text language duration segments"));
    CHECK(!strcmp(keys_of(first, keys), "start end text"));
    json_decref(json);
    with_words(true);
    json = parsed(HONE_FORMAT_JSON, HONE_TRANSCRIBE);
    first = json_array_get(json_object_get(json, "segments"), 0);
    CHECK(!strcmp(keys_of(first, keys), "start end text words"));
    CHECK(json_array_size(json_object_get(first, "words")) == 3);
    json_decref(json);
    with_words(false);
}

static void pieces_make_the_whole(void) {
    for (int format = HONE_FORMAT_TEXT; format <= HONE_FORMAT_LRC; format++) {
        char *whole = NULL, *piece = NULL, pieces[4096];
        size_t n_cues = 0;
        hone_status expected =
            hone_transcript_streams((hone_transcript_format)format) ? HONE_OK : HONE_ERR_ARGUMENT;
        snprintf(pieces, sizeof pieces, "%s",
                 hone_transcript_head((hone_transcript_format)format));
        for (size_t i = 0; i < 2; i++) {
            CHECK(hone_transcript_segment((hone_transcript_format)format, &segments[i], &n_cues,
                                          &piece) == expected);
            if (expected != HONE_OK) continue;
            strcat(pieces, piece);
            hone_free(piece);
        }
        if (expected != HONE_OK) continue;
        CHECK_OK(hone_transcript_text((hone_transcript_format)format, HONE_TRANSCRIBE, &transcript,
                                      &whole));
        CHECK(!strcmp(whole, pieces));
        hone_free(whole);
    }
}

static void short_memory_is_an_error(void) {
    json_use_mem();
    with_words(true);
    for (int format = HONE_FORMAT_TEXT; format <= HONE_FORMAT_LRC; format++) {
        for (long nth = 1; nth < 300; nth++) {
            char *text = NULL;
            mem_fail_from(nth);
            hone_status status = hone_transcript_text((hone_transcript_format)format,
                                                      HONE_TRANSCRIBE, &transcript, &text);
            long used = mem_count();
            mem_fail_from(0);
            CHECK(used < nth ? status == HONE_OK : status == HONE_ERR_MEMORY);
            hone_free(text);
        }
    }
    with_words(false);
}

int main(void) {
    RUN(text_is_a_line_a_segment);
    RUN(subrip_has_no_arrow_in_its_text);
    RUN(webvtt_escapes_its_text);
    RUN(tables_part_and_quote);
    RUN(lyrics_count_minutes);
    RUN(words_have_times);
    RUN(verbose_json_has_openai_s_fields);
    RUN(json_has_text_and_segments);
    RUN(pieces_make_the_whole);
    RUN(short_memory_is_an_error);
    return test_summary();
}
