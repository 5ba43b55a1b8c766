#include "hone/transcript_format.h"

#include <math.h>
#include <string.h>

#include "base/buf.h"
#include "base/json.h"
#include "base/mem.h"
#include "format/speech_languages.h"

enum { MAX_TEXT = 1 << 30 };

/* --- pieces of text --- */

/* The text without outer spaces, line ends as spaces,
 * and each byte of `from` as its word in `to`. */
static hone_status add_clean(buf *out, const char *text, const char *from, const char *const *to) {
    size_t begin = strspn(text, " \t\r\n"), n = strlen(text);
    while (n > begin && strchr(" \t\r\n", text[n - 1])) n--;
    for (size_t i = begin; i < n; i++) {
        const char *special = from ? strchr(from, text[i]) : NULL;
        char c = text[i] == '\n' || text[i] == '\r' ? ' ' : text[i];
        TRY(special ? buf_add_text(out, to[special - from]) : buf_add(out, &c, 1));
    }
    return HONE_OK;
}

static hone_status add_plain(buf *out, const char *text) {
    return add_clean(out, text, NULL, NULL);
}

/* An arrow would look like the line of times. */
static hone_status add_without_arrows(buf *out, const char *text) {
    size_t from = out->len;
    TRY(add_plain(out, text));
    for (char *arrow = out->len > from ? strstr(out->data + from, "-->") : NULL; arrow;
         arrow = strstr(arrow, "-->")) {
        memmove(arrow + 1, arrow + 2, strlen(arrow + 2) + 1);
        out->len--;
    }
    return HONE_OK;
}

static hone_status add_escaped(buf *out, const char *text) {
    static const char *const words[] = {"&amp;", "&lt;", "&gt;"};
    return add_clean(out, text, "&<>", words);
}

/* --- times --- */

static uint64_t to_ms(double seconds) {
    return seconds > 0 ? (uint64_t)llround(seconds * 1000) : 0;
}

/* hh:mm:ss,mmm; with hours only where there are some, unless they are always wanted. */
static hone_status add_time(buf *out, double seconds, bool hours, char point) {
    unsigned long long ms = to_ms(seconds);
    if (hours || ms >= 3600000) TRY(buf_add_format(out, "%02llu:", ms / 3600000));
    return buf_add_format(out, "%02llu:%02llu%c%03llu", ms / 60000 % 60, ms / 1000 % 60, point,
                          ms % 1000);
}

/* mm:ss.xx, minutes beyond 59 included. */
static hone_status add_lrc_time(buf *out, double seconds, char open, char close) {
    unsigned long long hundredths = (to_ms(seconds) + 5) / 10;
    return buf_add_format(out, "%c%02llu:%02llu.%02llu%c", open, hundredths / 6000,
                          hundredths / 100 % 60, hundredths % 100, close);
}

/* --- one cue or line --- */

static hone_status add_srt(buf *out, size_t number, double start, double end, const char *text) {
    TRY(buf_add_format(out, "%zu\n", number));
    TRY(add_time(out, start, true, ','));
    TRY(buf_add_text(out, " --> "));
    TRY(add_time(out, end, true, ','));
    TRY(buf_add_text(out, "\n"));
    TRY(add_without_arrows(out, text));
    return buf_add_text(out, "\n\n");
}

static hone_status add_vtt(buf *out, const hone_segment *s) {
    TRY(add_time(out, s->start, false, '.'));
    TRY(buf_add_text(out, " --> "));
    TRY(add_time(out, s->end, false, '.'));
    TRY(buf_add_text(out, "\n"));
    if (s->n_words == 0) TRY(add_escaped(out, s->text));
    for (size_t i = 0; i < s->n_words; i++) {
        if (i > 0) {
            TRY(buf_add_text(out, s->words[i].text[0] == ' ' ? " <" : "<"));
            TRY(add_time(out, s->words[i].start, true, '.'));
            TRY(buf_add_text(out, ">"));
        }
        TRY(add_escaped(out, s->words[i].text));
    }
    return buf_add_text(out, "\n\n");
}

static hone_status add_row(buf *out, hone_transcript_format format, double start, double end,
                           const char *text) {
    static const char *const tab[] = {" "}, *const quote[] = {"\"\""};
    bool csv = format == HONE_FORMAT_CSV;
    TRY(buf_add_format(out, csv ? "%llu,%llu,\"" : "%llu\t%llu\t", (unsigned long long)to_ms(start),
                       (unsigned long long)to_ms(end)));
    TRY(csv ? add_clean(out, text, "\"", quote) : add_clean(out, text, "\t", tab));
    return buf_add_text(out, csv ? "\"\n" : "\n");
}

static hone_status add_lrc(buf *out, const hone_segment *s) {
    TRY(add_lrc_time(out, s->start, '[', ']'));
    if (s->n_words == 0) TRY(add_plain(out, s->text));
    for (size_t i = 0; i < s->n_words; i++) {
        if (i > 0 && s->words[i].text[0] == ' ') TRY(buf_add_text(out, " "));
        TRY(add_lrc_time(out, s->words[i].start, '<', '>'));
        TRY(add_plain(out, s->words[i].text));
    }
    return buf_add_text(out, "\n");
}

/* Formats in which a word is a line of its own. */
static hone_status add_words(buf *out, hone_transcript_format format, const hone_segment *s,
                             size_t *n_cues) {
    for (size_t i = 0; i < s->n_words; i++) {
        const hone_word *w = &s->words[i];
        TRY(format == HONE_FORMAT_SRT ? add_srt(out, ++*n_cues, w->start, w->end, w->text)
                                      : add_row(out, format, w->start, w->end, w->text));
    }
    return HONE_OK;
}

static hone_status add_segment(buf *out, hone_transcript_format format, const hone_segment *s,
                               size_t *n_cues) {
    bool rows = format == HONE_FORMAT_SRT || format == HONE_FORMAT_TSV || format == HONE_FORMAT_CSV;
    if (rows && s->n_words) return add_words(out, format, s, n_cues);
    switch (format) {
    case HONE_FORMAT_TEXT:
        TRY(add_plain(out, s->text));
        return buf_add_text(out, "\n");
    case HONE_FORMAT_SRT: return add_srt(out, ++*n_cues, s->start, s->end, s->text);
    case HONE_FORMAT_VTT: return add_vtt(out, s);
    case HONE_FORMAT_TSV:
    case HONE_FORMAT_CSV: return add_row(out, format, s->start, s->end, s->text);
    case HONE_FORMAT_LRC: return add_lrc(out, s);
    default: return fail(HONE_ERR_ARGUMENT, "JSON is written at the end, not by segments");
    }
}

/* --- JSON --- */

/* To a millisecond, so that times look like times. */
static json_t *json_seconds(double seconds) { return json_real(round(seconds * 1000) / 1000); }

static json_t *json_clean(const char *text) {
    buf clean;
    buf_init(&clean, MAX_TEXT);
    json_t *json = add_plain(&clean, text) == HONE_OK ? json_string(clean.data ? clean.data : "")
                                                      : NULL;
    buf_release(&clean);
    return json;
}

/* Puts a value that may be NULL into an object that may be NULL, and gives the object; NULL when
 * memory was short anywhere. Takes both over. */
static json_t *with_member(json_t *object, const char *key, json_t *value, bool fine) {
    if (object && value && fine && json_object_set(object, key, value) == 0) {
        json_decref(value);
        return object;
    }
    json_decref(value);
    json_decref(object);
    return NULL;
}

static json_t *json_word(const hone_word *w, bool with_probability) {
    json_t *word = json_pack("{s:o, s:o, s:o}", "word", json_clean(w->text), "start",
                             json_seconds(w->start), "end", json_seconds(w->end));
    return with_probability ? with_member(word, "probability", json_real(w->probability), true)
                            : word;
}

/* False when memory is short. */
static bool append_words(json_t *list, const hone_segment *s, bool with_probability) {
    bool fine = list != NULL;
    for (size_t i = 0; i < s->n_words && fine; i++)
        fine = json_array_append_new(list, json_word(&s->words[i], with_probability)) == 0;
    return fine;
}

static json_t *json_segment(const hone_segment *s) {
    json_t *segment = json_pack("{s:o, s:o, s:o}", "start", json_seconds(s->start), "end",
                                json_seconds(s->end), "text", json_clean(s->text));
    if (!s->words) return segment;
    json_t *words = json_array();
    return with_member(segment, "words", words, append_words(words, s, true));
}

/* OpenAI's fields in OpenAI's order; `seek` counts frames of 10 ms. */
static json_t *json_verbose_segment(const hone_segment *s) {
    json_t *tokens = json_array();
    bool fine = tokens != NULL;
    for (size_t i = 0; i < s->n_tokens && fine; i++)
        fine = json_array_append_new(tokens, json_integer(s->tokens[i])) == 0;
    json_t *segment = json_pack(
        "{s:I, s:I, s:o, s:o, s:s, s:o, s:f, s:f, s:f, s:f}", "id", (json_int_t)s->id, "seek",
        (json_int_t)llround(s->seek * 100), "start", json_seconds(s->start), "end",
        json_seconds(s->end), "text", s->text, "tokens", tokens, "temperature",
        (double)s->temperature, "avg_logprob", (double)s->avg_logprob, "compression_ratio",
        (double)s->compression_ratio, "no_speech_prob", (double)s->no_speech_prob);
    if (fine) return segment;
    json_decref(segment);
    return NULL;
}

/* [n_segments], each by `make`. */
static json_t *json_segments(const hone_transcript *t, json_t *(*make)(const hone_segment *s)) {
    json_t *segments = json_array();
    bool fine = segments != NULL;
    for (size_t i = 0; i < t->n_segments && fine; i++)
        fine = json_array_append_new(segments, make(&t->segments[i])) == 0;
    if (fine) return segments;
    json_decref(segments);
    return NULL;
}

static json_t *json_plain(const hone_transcript *t) {
    return json_pack("{s:s, s:s, s:o, s:o}", "text", t->text, "language", t->language, "duration",
                     json_seconds(t->seconds), "segments", json_segments(t, json_segment));
}

static json_t *json_verbose(const hone_transcript *t, hone_speech_task task) {
    int index = speech_language_find(t->language);
    json_t *all = json_pack("{s:s, s:s, s:o, s:s, s:o}", "task",
                            task == HONE_TRANSLATE ? "translate" : "transcribe", "language",
                            index < 0 ? t->language : speech_language_name((size_t)index),
                            "duration", json_seconds(t->seconds), "text", t->text, "segments",
                            json_segments(t, json_verbose_segment));
    if (t->n_segments == 0 || !t->segments[0].words) return all;
    json_t *words = json_array();
    bool fine = true;
    for (size_t i = 0; i < t->n_segments && fine; i++)
        fine = append_words(words, &t->segments[i], false);
    return with_member(all, "words", words, fine);
}

static hone_status add_json(buf *out, json_t *json) {
    char *text = json ? json_dumps(json, JSON_INDENT(2) | JSON_REAL_PRECISION(8)) : NULL;
    json_decref(json);
    if (!text) return mem_fail("JSON", 0);
    hone_status status = buf_add_text(out, text);
    mem_free(text);
    return status == HONE_OK ? buf_add_text(out, "\n") : status;
}

/* --- all of it --- */

const char *hone_transcript_extension(hone_transcript_format format) {
    static const char *const names[] = {"txt", "srt", "vtt", "json", "json", "tsv", "csv", "lrc"};
    return names[format];
}

bool hone_transcript_streams(hone_transcript_format format) {
    return format != HONE_FORMAT_JSON && format != HONE_FORMAT_VERBOSE_JSON;
}

const char *hone_transcript_head(hone_transcript_format format) {
    switch (format) {
    case HONE_FORMAT_VTT: return "WEBVTT\n\n";
    case HONE_FORMAT_TSV: return "start\tend\ttext\n";
    case HONE_FORMAT_CSV: return "start,end,text\n";
    default: return "";
    }
}

static hone_status hand_over(buf *b, hone_status status, char **text) {
    if (status == HONE_OK) {
        char *taken = buf_take(b);
        if (!taken) return mem_fail("transcript", 1);
        *text = taken;
    }
    buf_release(b);
    return status;
}

hone_status hone_transcript_segment(hone_transcript_format format, const hone_segment *segment,
                                    size_t *n_cues, char **text) {
    buf out;
    buf_init(&out, MAX_TEXT);
    return hand_over(&out, add_segment(&out, format, segment, n_cues), text);
}

hone_status hone_transcript_text(hone_transcript_format format, hone_speech_task task,
                                 const hone_transcript *t, char **text) {
    buf out;
    buf_init(&out, MAX_TEXT);
    json_use_mem();
    size_t n_cues = 0;
    hone_status status = buf_add_text(&out, hone_transcript_head(format));
    if (format == HONE_FORMAT_JSON) status = add_json(&out, json_plain(t));
    else if (format == HONE_FORMAT_VERBOSE_JSON) status = add_json(&out, json_verbose(t, task));
    else
        for (size_t i = 0; i < t->n_segments && status == HONE_OK; i++)
            status = add_segment(&out, format, &t->segments[i], &n_cues);
    return hand_over(&out, status, text);
}
