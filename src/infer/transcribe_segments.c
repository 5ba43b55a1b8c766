/* From a window's tokens to segments (Radford et al. 2022, §4.5), and what a transcript owns. */
#include <string.h>

#include "base/mem.h"
#include "infer/transcribe_int.h"

/* --- a segment --- */

hone_status segment_init(hone_segment *s, const hone_model *m, const int32_t *tokens, size_t n) {
    *s = (hone_segment){.n_tokens = n};
    int32_t *copy = mem_calloc(n, sizeof *copy);
    if (!copy) return mem_fail("tokens", n * sizeof *copy);
    if (n) memcpy(copy, tokens, n * sizeof *copy);
    s->tokens = copy;
    buf text;
    buf_init(&text, SIZE_MAX / 2);
    hone_status status = speech_add_text(m, tokens, n, &text);
    if (status == HONE_OK && !(s->text = buf_take(&text))) status = mem_fail("text", 1);
    buf_release(&text);
    if (status != HONE_OK) segment_release(s);
    return status;
}

void segment_release(hone_segment *s) {
    for (size_t i = 0; i < s->n_words; i++) mem_free((char *)s->words[i].text);
    mem_free((hone_word *)s->words);
    mem_free((int32_t *)s->tokens);
    mem_free((char *)s->text);
    *s = (hone_segment){0};
}

void hone_transcript_release(hone_transcript *t) {
    for (size_t i = 0; i < t->n_segments; i++) segment_release(&t->segments[i]);
    mem_free(t->segments);
    mem_free(t->text);
    *t = (hone_transcript){0};
}

/* --- cutting --- */

/* Tokens begin … end − 1 of a window, said between two times (indices of time marks). */
typedef struct slice {
    size_t begin, end;
    double start, stop; /* seconds from the window's beginning */
} slice;

enum { MAX_SLICES = SPEECH_MAX_TOKENS / 2 + 1 };

static bool is_mark(const transcription *t, const speech_window *w, size_t i) {
    return w->tokens[i] >= t->ids->first_timestamp;
}

static double mark_seconds(const transcription *t, const speech_window *w, size_t i) {
    return is_mark(t, w, i) ? (w->tokens[i] - t->ids->first_timestamp) * SECONDS_PER_TIMESTAMP : 0;
}

/* Each pair of time marks ends one segment and begins the next; what follows the last pair is heard
 * again in the next window, or, where windows do not overlap, is the last segment. *n_frames = what
 * is settled. */
static size_t cut_at_pairs(const transcription *t, const speech_window *w, size_t n_content,
                           slice slices[MAX_SLICES], size_t *n_frames) {
    size_t n = 0, last = 0, n_tokens = w->n_tokens;
    for (size_t i = 1; i < n_tokens; i++) {
        if (!is_mark(t, w, i - 1) || !is_mark(t, w, i)) continue;
        slices[n++] = (slice){last, i, mark_seconds(t, w, last), mark_seconds(t, w, i - 1)};
        last = i;
    }
    if (n == 0) return 0;
    *n_frames = n_content;
    if (is_mark(t, w, n_tokens - 1) && !is_mark(t, w, n_tokens - 2)) {
        slices[n++] = (slice){last, n_tokens, mark_seconds(t, w, last),
                              mark_seconds(t, w, n_tokens - 1)};
    } else if (t->o.batched) {
        if (last + 1 < n_tokens)
            slices[n++] = (slice){last, n_tokens, mark_seconds(t, w, last),
                                  (double)n_content * SECONDS_PER_FRAME};
    } else {
        size_t frames = (size_t)(w->tokens[last - 1] - t->ids->first_timestamp) *
                        FRAMES_PER_TIMESTAMP;
        if (frames > 0 && frames < n_content) *n_frames = frames;
    }
    return n;
}

static slice whole_window(const transcription *t, const speech_window *w, size_t n_content) {
    slice s = {0, w->n_tokens, 0, (double)n_content * SECONDS_PER_FRAME};
    for (size_t i = w->n_tokens; i > 0; i--) {
        if (!is_mark(t, w, i - 1)) continue;
        if (w->tokens[i - 1] > t->ids->first_timestamp) s.stop = mark_seconds(t, w, i - 1);
        break;
    }
    return s;
}

/* --- settling --- */

static bool is_blank(const char *text) {
    return text[strspn(text, " \t\r\n")] == '\0';
}

static hone_status remember(transcription *t, const int32_t *tokens, size_t n) {
    token_list *h = &t->history;
    if (h->n + n > h->capacity) {
        size_t capacity = 2 * (h->n + n);
        int32_t *ids = mem_realloc(h->ids, capacity, sizeof *ids);
        if (!ids) return mem_fail("tokens", capacity * sizeof *ids);
        h->ids = ids;
        h->capacity = capacity;
    }
    memcpy(h->ids + h->n, tokens, n * sizeof *tokens);
    h->n += n;
    return HONE_OK;
}

static hone_status append(transcription *t, hone_segment *s) {
    hone_transcript *out = t->out;
    hone_segment *grown = mem_realloc(out->segments, out->n_segments + 1, sizeof *grown);
    if (!grown) return mem_fail("segments", (out->n_segments + 1) * sizeof *grown);
    out->segments = grown;
    s->id = out->n_segments;
    grown[out->n_segments++] = *s;
    *s = (hone_segment){0}; /* the transcript's now */
    const hone_segment *given = &grown[out->n_segments - 1];
    if (t->o.on_segment && t->o.on_segment(t->o.user, given) != 0)
        return fail(HONE_ERR_CANCELLED, "the receiver of segments wants no more");
    return HONE_OK;
}

static hone_status settle_slices(transcription *t, const window_span *span, const speech_window *w,
                                 const slice *slices, size_t n, size_t *n_frames) {
    hone_segment segments[MAX_SLICES] = {0};
    double offset = (double)span->seek * SECONDS_PER_FRAME;
    hone_status status = HONE_OK;
    for (size_t i = 0; i < n && status == HONE_OK; i++) {
        hone_segment *s = &segments[i];
        status = segment_init(s, t->m, w->tokens + slices[i].begin,
                              slices[i].end - slices[i].begin);
        s->start = offset + slices[i].start;
        s->end = offset + slices[i].stop;
        s->temperature = w->temperature;
        s->avg_logprob = w->avg_logprob;
        s->compression_ratio = w->compression_ratio;
        s->no_speech_prob = w->no_speech_prob;
        s->seek = offset;
    }
    if (status == HONE_OK && t->o.words)
        status = transcribe_word_times(t, span, w, segments, n, n_frames);
    for (size_t i = 0; i < n && status == HONE_OK; i++) {
        hone_segment *s = &segments[i];
        if (s->start == s->end || is_blank(s->text)) continue;
        status = remember(t, s->tokens, s->n_tokens);
        if (status == HONE_OK) status = append(t, s);
    }
    for (size_t i = 0; i < n; i++) segment_release(&segments[i]);
    return status;
}

/* A window without speech: the model says so, and it is not sure of any text. */
static bool is_silent(const transcription *t, const speech_window *w) {
    const speech_settings *s = &t->settings;
    return w->no_speech_prob > s->no_speech_threshold && !(w->avg_logprob > s->logprob_threshold);
}

hone_status transcribe_settle(transcription *t, const window_span *span, const speech_window *w,
                              size_t *n_frames) {
    slice slices[MAX_SLICES];
    *n_frames = span->n_content;
    if (is_silent(t, w) || w->n_tokens == 0) return HONE_OK;
    size_t n = cut_at_pairs(t, w, span->n_content, slices, n_frames);
    if (n == 0) {
        slices[0] = whole_window(t, w, span->n_content);
        n = 1;
    }
    TRY(settle_slices(t, span, w, slices, n, n_frames));
    /* Draws at a high temperature are no example to go on from. */
    if (!t->o.condition_on_previous_text || w->temperature > 0.5f) t->history.n = 0;
    return HONE_OK;
}
