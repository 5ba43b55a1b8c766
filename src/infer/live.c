/* Live transcription: a window that begins where the settled text ends, transcribed over and over
 * until a pause settles it. */
#include "hone/live.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "base/system.h"
#include "media/vad.h"

enum {
    RATE = HONE_AUDIO_RATE,
    ROOM = 28 * RATE,          /* samples of the window: one of the model's,
                                * and the pauses' padding */
    PAUSE_FRAMES = 45,         /* of 10 ms, behind what is kept around speech: settles a sentence */
    KEPT_SILENCE = RATE / 2,   /* before speech begins */
    MAX_LANGUAGE = 16,
    PROMPT_BYTES = 400         /* of settled text that the next window is told */
};

struct hone_live {
    hone_model *model;
    hone_transcribe_options transcribe;
    hone_live_options o;
    float *samples; /* [n] of ROOM */
    size_t n;
    size_t n_new;       /* since the last look */
    uint64_t n_dropped; /* samples before samples[0] */
    size_t n_segments;
    size_t step;        /* samples between two looks */
    bool has_partial;
    char language[MAX_LANGUAGE];
    char prompt[PROMPT_BYTES + 1];
};

/* --- life --- */

hone_status hone_live_open(hone_live **live, hone_model *model, const hone_live_options *options) {
    if (!hone_model_describe(model)->takes_audio)
        return fail(HONE_ERR_UNSUPPORTED, "the model takes no audio: a Whisper model is needed");
    hone_live *l = mem_calloc(1, sizeof *l);
    float *samples = mem_calloc(ROOM, sizeof *samples);
    if (!l || !samples) {
        mem_free(l);
        mem_free(samples);
        return mem_fail("live audio", ROOM * sizeof *samples);
    }
    l->model = model;
    l->samples = samples;
    l->o = *options;
    if (options->transcribe) l->transcribe = *options->transcribe;
    else hone_transcribe_defaults(&l->transcribe);
    double step = options->step > 0 ? options->step : 1;
    l->step = (size_t)((step < 20 ? step : 20) * RATE);
    *live = l;
    return HONE_OK;
}

void hone_live_close(hone_live *l) {
    if (!l) return;
    mem_free(l->samples);
    mem_free(l);
}

/* --- the window --- */

static void drop(hone_live *l, size_t n) {
    l->n -= n;
    l->n_dropped += n;
    memmove(l->samples, l->samples + n, l->n * sizeof *l->samples);
}

/* Where speech begins and ends in the window, in samples; *end = 0 where there is none. `*paused`:
 * a pause follows it. */
static hone_status find_speech(const hone_live *l, size_t *begin, size_t *end, bool *paused) {
    mel_stream *mel;
    vad_spans spans = {0};
    TRY(mel_stream_open(&mel));
    hone_status status = mel_stream_push(mel, NULL, l->samples, l->n);
    if (status == HONE_OK) status = mel_stream_finish(mel, NULL, 0);
    if (status == HONE_OK) status = vad_find(mel, mel_stream_frames(mel), &spans);
    if (status == HONE_OK) {
        *begin = spans.n ? spans.items[0].begin * MEL_HOP : 0;
        *end = spans.n ? spans.items[spans.n - 1].end * MEL_HOP : 0;
        *paused = spans.n && *end + PAUSE_FRAMES * MEL_HOP <= l->n;
    }
    mem_free(spans.items);
    mel_stream_close(mel);
    return status;
}

/* --- text --- */

static void tell_partial(hone_live *l, const char *text) {
    if (l->o.on_partial && (*text || l->has_partial)) l->o.on_partial(l->o.user, text);
    l->has_partial = *text != 0;
}

/* The end of what was said, from a word's beginning on, is the next window's prompt. */
static void remember(hone_live *l, const char *text) {
    char all[2 * PROMPT_BYTES + 1];
    size_t n_old = strlen(l->prompt), n = strlen(text);
    if (n > PROMPT_BYTES) text += n - PROMPT_BYTES, n = PROMPT_BYTES;
    memcpy(all, l->prompt, n_old);
    memcpy(all + n_old, text, n + 1);
    char *from = all;
    if (n_old + n > PROMPT_BYTES) {
        from += n_old + n - PROMPT_BYTES;
        char *space = strchr(from, ' ');
        from = space ? space : from + strlen(from);
    }
    memcpy(l->prompt, from, strlen(from) + 1);
}

/* Hands over the first n segments, at their place in all of the audio. */
static hone_status settle(hone_live *l, hone_transcript *t, size_t n) {
    double offset = (double)l->n_dropped / RATE, end = offset + (double)l->n / RATE;
    tell_partial(l, "");
    for (size_t i = 0; i < n; i++) {
        hone_segment s = t->segments[i];
        s.id = l->n_segments++;
        s.start = fmin(s.start + offset, end); /* a time mark may lie behind the audio */
        s.end = fmin(s.end + offset, end);
        s.seek += offset;
        hone_word *words = (hone_word *)s.words; /* the transcript's, which nobody else sees */
        for (size_t w = 0; w < s.n_words; w++) {
            words[w].start += offset;
            words[w].end += offset;
        }
        remember(l, s.text);
        if (l->transcribe.on_segment && l->transcribe.on_segment(l->transcribe.user, &s) != 0)
            return fail(HONE_ERR_CANCELLED, "stopped");
    }
    return HONE_OK;
}

static hone_status transcribe(hone_live *l, size_t n, hone_transcript *t) {
    hone_transcribe_options o = l->transcribe;
    hone_audio *audio;
    o.on_segment = NULL;
    o.on_progress = NULL;
    o.batched = false;
    if (l->language[0]) o.language = l->language;
    if (o.condition_on_previous_text && l->prompt[0]) o.prompt = l->prompt;
    TRY(hone_audio_open_samples(&audio, l->samples, n));
    hone_status status = hone_transcribe(l->model, audio, &o, t);
    hone_audio_close(audio);
    if (status == HONE_OK && t->cancelled) {
        hone_transcript_release(t);
        return fail(HONE_ERR_CANCELLED, "stopped");
    }
    /* what was heard first holds on: a guess from one word would change its mind */
    if (status == HONE_OK && t->n_segments && t->language && !l->language[0] && n > 3 * RATE)
        strncat(l->language, t->language, MAX_LANGUAGE - 1);
    return status;
}

/* Looks at the window as it is now. `last`: nothing will follow. */
static hone_status look(hone_live *l, bool last) {
    size_t begin = 0, end = 0;
    bool paused = false, full = l->n == ROOM;
    l->n_new = 0;
    TRY(find_speech(l, &begin, &end, &paused));
    if (end == 0) { /* silence: all but what may be the beginning of a word */
        if (l->n > KEPT_SILENCE) drop(l, l->n - KEPT_SILENCE);
        return HONE_OK;
    }
    if (begin > KEPT_SILENCE) {
        size_t silence = begin - KEPT_SILENCE;
        drop(l, silence);
        end -= silence;
        full = false;
    }
    hone_transcript t;
    double clock = clock_ms();
    TRY(transcribe(l, paused ? end : l->n, &t));
    /* a slow machine looks less often, and keeps up */
    size_t spent = (size_t)((clock_ms() - clock) * RATE / 1000);
    size_t step = (size_t)((l->o.step > 0 ? l->o.step : 1) * RATE);
    l->step = spent > step ? spent : step;
    hone_status status = HONE_OK;
    if (paused || last) {
        status = settle(l, &t, t.n_segments);
        drop(l, paused ? end : l->n);
    } else if (full) { /* all but the last segment, which may still be on its way */
        size_t n = t.n_segments > 1 ? t.n_segments - 1 : t.n_segments;
        size_t cut = n < t.n_segments ? (size_t)(t.segments[n].start * RATE) : l->n;
        status = settle(l, &t, n);
        drop(l, cut > 0 && cut < l->n ? cut : l->n);
    } else {
        tell_partial(l, t.text);
    }
    hone_transcript_release(&t);
    return status;
}

hone_status hone_live_push(hone_live *l, const float *samples, size_t n) {
    while (n > 0) {
        size_t take = n < ROOM - l->n ? n : ROOM - l->n;
        memcpy(l->samples + l->n, samples, take * sizeof *samples);
        samples += take;
        n -= take;
        l->n += take;
        l->n_new += take;
        if (l->n == ROOM || (n == 0 && l->n_new >= l->step)) TRY(look(l, false));
    }
    return HONE_OK;
}

hone_status hone_live_finish(hone_live *l) { return l->n ? look(l, true) : HONE_OK; }
