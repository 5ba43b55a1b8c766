/* Words of a window: tokens joined to words, times by alignment, and the corrections that OpenAI's
 * program makes where attention wanders off at pauses. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/utf8.h"
#include "infer/speech_align.h"
#include "infer/transcribe_int.h"

/* A word in the making. What was merged into a neighbour has no tokens. */
typedef struct word {
    size_t first, n_tokens; /* among the window's text tokens */
    size_t begin, end;      /* bytes of the window's text; begin == end: merged away */
    double start, stop, probability;
} word;

typedef struct window_words {
    const transcription *t;
    int32_t text[SPEECH_MAX_TOKENS];        /* the window's text tokens */
    size_t offsets[SPEECH_MAX_TOKENS + 1];  /* bytes at which each begins */
    size_t n_text;
    buf bytes;
    double times[SPEECH_MAX_TOKENS + 1];
    float probabilities[SPEECH_MAX_TOKENS];
    word words[SPEECH_MAX_TOKENS];
    size_t n_words;
} window_words;

/* --- words --- */

static hone_status gather_text(window_words *ww, const speech_window *w) {
    const transcription *t = ww->t;
    for (size_t i = 0; i < w->n_tokens; i++) {
        const char *piece = "";
        size_t n = 0;
        if (w->tokens[i] >= t->ids->end) continue;
        if ((size_t)w->tokens[i] < tokenizer_size(t->m->tokenizer))
            TRY(tokenizer_piece(t->m->tokenizer, w->tokens[i], false, &piece, &n));
        ww->offsets[ww->n_text] = ww->bytes.len;
        ww->text[ww->n_text++] = w->tokens[i];
        TRY(buf_add(&ww->bytes, piece, n));
    }
    ww->offsets[ww->n_text] = ww->bytes.len;
    return HONE_OK;
}

/* Whether a character of the text goes over byte `at`. */
static bool splits_character(const window_words *ww, size_t at) {
    const char *text = ww->bytes.data;
    if (at == 0 || at >= ww->bytes.len || ((unsigned char)text[at] & 0xC0) != 0x80) return false;
    size_t begin = at;
    while (begin > 0 && at - begin < 3 && ((unsigned char)text[begin] & 0xC0) == 0x80) begin--;
    for (size_t n = at - begin + 1; n <= 4 && begin + n <= ww->bytes.len; n++)
        if (utf8_is_valid(text + begin, n)) return true;
    return false;
}

/* Bytes of a word without the space in front and behind. */
static size_t trimmed(const window_words *ww, size_t begin, size_t end, const char **text) {
    while (begin < end && ww->bytes.data[begin] == ' ') begin++;
    while (end > begin && ww->bytes.data[end - 1] == ' ') end--;
    *text = ww->bytes.data + begin;
    return end - begin;
}

static bool is_one_of(const window_words *ww, const word *w, bool trim, const char *marks) {
    const char *text = ww->bytes.data + w->begin;
    size_t n = w->end - w->begin;
    if (trim) n = trimmed(ww, w->begin, w->end, &text);
    return memmem(marks, strlen(marks), text, n) != NULL; /* also for no text at all */
}

/* Units are the least runs of tokens that are whole characters. A word begins at a space, at
 * punctuation, or, in languages without spaces, at every unit. */
static void join_words(window_words *ww) {
    static const char punctuation[] = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~";
    bool by_unit = speech_language_lacks_spaces(speech_language_code((size_t)ww->t->language));
    for (size_t i = 0; i < ww->n_text;) {
        size_t end = i + 1;
        while (end < ww->n_text && splits_character(ww, ww->offsets[end])) end++;
        word unit = {.first = i, .n_tokens = end - i, .begin = ww->offsets[i],
                     .end = ww->offsets[end]};
        bool spaced = unit.begin < unit.end && ww->bytes.data[unit.begin] == ' ';
        if (by_unit || spaced || ww->n_words == 0 || is_one_of(ww, &unit, true, punctuation)) {
            ww->words[ww->n_words++] = unit;
        } else {
            word *last = &ww->words[ww->n_words - 1];
            last->n_tokens += unit.n_tokens;
            last->end = unit.end;
        }
        i = end;
    }
}

static void time_words(window_words *ww) {
    for (size_t i = 0; i < ww->n_words; i++) {
        word *w = &ww->words[i];
        double sum = 0;
        for (size_t j = 0; j < w->n_tokens; j++) sum += (double)ww->probabilities[w->first + j];
        w->start = ww->times[w->first];
        w->stop = ww->times[w->first + w->n_tokens];
        w->probability = sum / (double)w->n_tokens;
    }
}

/* --- corrections --- */

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

/* The median of the words' lengths, those of no length left out; at most 0.7 s. */
static double median_length(const window_words *ww) {
    double lengths[SPEECH_MAX_TOKENS];
    size_t n = 0;
    for (size_t i = 0; i < ww->n_words; i++) {
        double length = ww->words[i].stop - ww->words[i].start;
        if (length != 0) lengths[n++] = length;
    }
    if (n == 0) return 0;
    qsort(lengths, n, sizeof *lengths, by_value);
    double median = (lengths[(n - 1) / 2] + lengths[n / 2]) / 2;
    return median < 0.7 ? median : 0.7;
}

/* A word beside the end of a sentence that takes too long has swallowed the pause. */
static void shorten_at_sentence_ends(window_words *ww, double longest) {
    static const char ends[] = ".。!！?？";
    for (size_t i = 1; i < ww->n_words; i++) {
        word *w = &ww->words[i];
        if (w->stop - w->start <= longest) continue;
        if (is_one_of(ww, w, false, ends)) w->stop = w->start + longest;
        else if (is_one_of(ww, w - 1, false, ends)) w->start = w->stop - longest;
    }
}

/* Opening marks go to the word behind them, closing ones to the word before. */
static void merge_punctuation(window_words *ww) {
    static const char opening[] = "\"'“¿([{-", closing[] = "\"'.。,，!！?？:：”)]}、";
    word *words = ww->words;
    size_t n = ww->n_words;
    for (size_t i = n, following = n; i-- > 0;) {
        bool spaced = words[i].begin < words[i].end && ww->bytes.data[words[i].begin] == ' ';
        if (following < n && spaced && is_one_of(ww, &words[i], true, opening)) {
            words[following].begin = words[i].begin;
            words[following].first = words[i].first;
            words[following].n_tokens += words[i].n_tokens;
            words[i].end = words[i].begin;
            words[i].n_tokens = 0;
        } else {
            following = i;
        }
    }
    for (size_t i = 1, previous = 0; i < n; i++) {
        word *p = &words[previous];
        bool open_end = p->begin == p->end || ww->bytes.data[p->end - 1] != ' ';
        if (open_end && words[i].begin < words[i].end && is_one_of(ww, &words[i], false, closing)) {
            if (p->begin == p->end) p->begin = words[i].begin;
            p->end = words[i].end;
            p->n_tokens += words[i].n_tokens;
            words[i].begin = words[i].end;
            words[i].n_tokens = 0;
        } else {
            previous = i;
        }
    }
}

/* The first words behind a pause, and words that reach far over their segment. */
static void fit_to_segment(hone_segment *s, hone_word *words, size_t n, double median,
                           double last_speech) {
    double longest = 2 * median;
    hone_word *first = &words[0], *last = &words[n - 1];
    bool long_first = first->end - first->start > longest ||
                      (n > 1 && words[1].end - first->start > 2 * longest);
    if (first->end - last_speech > 4 * median && long_first) {
        if (n > 1 && words[1].end - words[1].start > longest)
            first->end = words[1].start = fmax(words[1].end / 2, words[1].end - longest);
        first->start = fmax(0, first->end - longest);
    }
    if (s->start < first->end && s->start - 0.5 > first->start)
        first->start = fmax(0, fmin(first->end - median, s->start));
    else
        s->start = first->start;
    if (s->end > last->start && s->end + 0.5 < last->end)
        last->end = fmax(last->start + median, s->end);
    else
        s->end = last->end;
}

/* --- handing them out --- */

static double to_hundredths(double seconds) { return round(seconds * 100) / 100; }

static hone_status give_word(const window_words *ww, const word *w, double offset, hone_word *out) {
    buf text;
    buf_init(&text, SIZE_MAX / 2);
    hone_status status = utf8_add_replaced(&text, ww->bytes.data + w->begin, w->end - w->begin);
    *out = (hone_word){.start = to_hundredths(offset + w->start),
                       .end = to_hundredths(offset + w->stop), .probability = w->probability};
    if (status == HONE_OK && !(out->text = buf_take(&text))) status = mem_fail("text", 1);
    buf_release(&text);
    return status;
}

static size_t count_text(const transcription *t, const hone_segment *s) {
    size_t n = 0;
    for (size_t i = 0; i < s->n_tokens; i++) n += s->tokens[i] < t->ids->end;
    return n;
}

/* Words go to the segment in which their tokens lie; *next is the first that is not given yet. */
static hone_status give_words(const window_words *ww, hone_segment *s, double offset,
                              size_t *next) {
    size_t n_text = count_text(ww->t, s), n_seen = 0;
    hone_word *words = mem_calloc(ww->n_words, sizeof *words);
    if (!words) return mem_fail("words", ww->n_words * sizeof *words);
    s->words = words;
    for (; *next < ww->n_words && n_seen < n_text; ++*next) {
        const word *w = &ww->words[*next];
        n_seen += w->n_tokens;
        if (w->begin == w->end) continue;
        TRY(give_word(ww, w, offset, &words[s->n_words]));
        s->n_words++;
    }
    return HONE_OK;
}

static hone_status align_window(window_words *ww, const speech_window *w, size_t n_content) {
    const transcription *t = ww->t;
    /* The start sequence: what stands before <|notimestamps|>. */
    size_t n_start = t->ids->multilingual ? 3 : 1;
    TRY(speech_align(t->m, w->cross, t->o.exact, w->prompt + w->start, n_start, ww->text,
                     ww->n_text, n_content, ww->times, ww->probabilities));
    join_words(ww);
    time_words(ww);
    return HONE_OK;
}

/* The window goes on behind its last word, unless the model has said that all of it is settled. */
static void move_on(const transcription *t, const window_span *span, const speech_window *w,
                    double last_end, size_t *n_frames) {
    size_t n = w->n_tokens;
    bool last_is_mark = n > 0 && w->tokens[n - 1] >= t->ids->first_timestamp;
    bool single_end = last_is_mark && n > 1 && w->tokens[n - 2] < t->ids->first_timestamp;
    double frames = round(last_end / SECONDS_PER_FRAME) - (double)span->seek;
    if (!single_end && frames >= 1 && frames <= (double)span->n_content)
        *n_frames = (size_t)frames;
}

static hone_status word_times(transcription *t, window_words *ww, const window_span *span,
                              const speech_window *w, hone_segment *segments, size_t n,
                              size_t *n_frames) {
    double offset = (double)span->seek * SECONDS_PER_FRAME, last_end = 0;
    TRY(gather_text(ww, w));
    if (ww->n_text == 0) return HONE_OK;
    TRY(align_window(ww, w, span->n_content));
    double median = median_length(ww);
    if (median > 0) shorten_at_sentence_ends(ww, 2 * median);
    merge_punctuation(ww);
    for (size_t i = 0, next = 0; i < n; i++) {
        hone_segment *s = &segments[i];
        TRY(give_words(ww, s, offset, &next));
        if (s->n_words == 0) continue;
        fit_to_segment(s, (hone_word *)s->words, s->n_words, median, t->last_speech);
        t->last_speech = s->end;
        last_end = s->words[s->n_words - 1].end;
    }
    if (last_end > offset) move_on(t, span, w, last_end, n_frames);
    return HONE_OK;
}

hone_status transcribe_word_times(transcription *t, const window_span *span, const speech_window *w,
                                  hone_segment *segments, size_t n, size_t *n_frames) {
    window_words *ww = mem_calloc(1, sizeof *ww);
    if (!ww) return mem_fail("words", sizeof *ww);
    ww->t = t;
    buf_init(&ww->bytes, SIZE_MAX / 2);
    hone_status status = word_times(t, ww, span, w, segments, n, n_frames);
    buf_release(&ww->bytes);
    mem_free(ww);
    return status;
}
