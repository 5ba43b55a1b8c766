#include "media/vad.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

/* Energies are log10: 0.1 is 1 dB. */
#define LOW_BAND 4            /* about 150 Hz … */
#define HIGH_BAND 62          /* … to 4.5 kHz: where voices are, and mains hum is not */
#define SMOOTH 2              /* frames to both sides */
#define BLOCK 500             /* frames that share a threshold, made of … */
#define SURROUNDINGS 1500     /* … so many more on both sides */
#define QUIET_SHARE 10        /* percentiles of the surroundings */
#define LOUD_SHARE 95
#define THRESHOLD_SHARE 0.3f  /* of the way from quiet to loud */
#define LEAST_ABOVE 0.2f
#define MOST_ABOVE 0.7f
#define INAUDIBLE -8.0f       /* the rounding of 16-bit samples */

/* --- energies --- */

static float voice_energy(const float *frame) {
    double sum = 0;
    for (size_t band = LOW_BAND; band < HIGH_BAND; band++) sum += pow(10, (double)frame[band]);
    return (float)log10(sum / (HIGH_BAND - LOW_BAND));
}

static void smooth(float *to, const float *energies, size_t n) {
    for (size_t t = 0; t < n; t++) {
        size_t begin = t < SMOOTH ? 0 : t - SMOOTH;
        size_t end = t + SMOOTH + 1 < n ? t + SMOOTH + 1 : n;
        to[t] = 0;
        for (size_t i = begin; i < end; i++) to[t] += energies[i] / (float)(end - begin);
    }
}

/* [n_frames], smoothed; NULL when memory is short. */
static float *energies_of(const mel_stream *mel, size_t n_frames) {
    float *raw = mem_calloc(2 * n_frames, sizeof *raw);
    if (!raw) return NULL;
    for (size_t t = 0; t < n_frames; t++)
        raw[n_frames + t] = voice_energy(mel_stream_frame(mel, t));
    smooth(raw, raw + n_frames, n_frames);
    return raw;
}

/* --- thresholds --- */

static int ascending(const void *a, const void *b) {
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

/* What counts as speech around a block. */
static float threshold_of(const float *energies, size_t begin, size_t end, float *sorted) {
    size_t n = end - begin;
    memcpy(sorted, energies + begin, n * sizeof *sorted);
    qsort(sorted, n, sizeof *sorted, ascending);
    float quiet = fmaxf(sorted[n * QUIET_SHARE / 100], INAUDIBLE);
    float loud = fmaxf(sorted[n * LOUD_SHARE / 100], INAUDIBLE);
    return quiet + fminf(fmaxf(THRESHOLD_SHARE * (loud - quiet), LEAST_ABOVE), MOST_ABOVE);
}

/* --- spans --- */

static hone_status append(vad_spans *spans, size_t *room, vad_span span) {
    TRY(mem_grow(&spans->items, room, spans->n + 1, sizeof *spans->items, "spans of speech"));
    spans->items[spans->n++] = span;
    return HONE_OK;
}

/* A run of loud frames, with what it keeps around it; joins the one before across a short gap. */
static hone_status add_run(vad_spans *speech, size_t *room, vad_span run, size_t n_frames) {
    if (run.end - run.begin < VAD_SHORTEST) return HONE_OK;
    run.begin = run.begin > VAD_PAD ? run.begin - VAD_PAD : 0;
    run.end = run.end + VAD_PAD < n_frames ? run.end + VAD_PAD : n_frames;
    vad_span *last = speech->n ? &speech->items[speech->n - 1] : NULL;
    if (last && run.begin < last->end + VAD_SHORTEST_GAP - 2 * VAD_PAD) {
        last->end = run.end;
        return HONE_OK;
    }
    return append(speech, room, run);
}

hone_status vad_find(const mel_stream *mel, size_t n_frames, vad_spans *speech) {
    *speech = (vad_spans){0};
    size_t room = 0;
    float *energies = energies_of(mel, n_frames);
    float *sorted = mem_calloc(BLOCK + 2 * SURROUNDINGS, sizeof *sorted);
    hone_status status = energies && sorted ? HONE_OK : mem_fail("energies", n_frames);
    vad_span run = {0, 0};
    for (size_t block = 0; status == HONE_OK && block < n_frames; block += BLOCK) {
        size_t begin = block < SURROUNDINGS ? 0 : block - SURROUNDINGS;
        size_t end = block + BLOCK < n_frames ? block + BLOCK : n_frames;
        size_t far = end + SURROUNDINGS < n_frames ? end + SURROUNDINGS : n_frames;
        float threshold = threshold_of(energies, begin, far, sorted);
        for (size_t t = block; t < end && status == HONE_OK; t++) {
            if (energies[t] <= threshold) continue;
            if (run.end != t) {
                status = add_run(speech, &room, run, n_frames);
                run.begin = t;
            }
            run.end = t + 1;
        }
    }
    if (status == HONE_OK) status = add_run(speech, &room, run, n_frames);
    mem_free(energies);
    mem_free(sorted);
    if (status != HONE_OK) {
        mem_free(speech->items);
        *speech = (vad_spans){0};
    }
    return status;
}

bool vad_window_has_speech(const float *mel, size_t n) {
    float raw[MEL_WINDOW_FRAMES], energies[MEL_WINDOW_FRAMES], frame[MEL_BANDS];
    if (n > MEL_WINDOW_FRAMES) n = MEL_WINDOW_FRAMES;
    if (n == 0) return false;
    for (size_t t = 0; t < n; t++) {
        for (size_t band = LOW_BAND; band < HIGH_BAND; band++)
            frame[band] = mel[band * MEL_WINDOW_FRAMES + t] * 4 - 4; /* log10 again */
        raw[t] = voice_energy(frame);
    }
    smooth(energies, raw, n);
    float threshold = threshold_of(energies, 0, n, raw);
    for (size_t t = 0, run = 0; t < n; t++) {
        run = energies[t] > threshold ? run + 1 : 0;
        if (run == VAD_SHORTEST) return true;
    }
    return false;
}

/* --- windows --- */

/* Where to cut begin …: behind the quietest of the frames in the second half of the longest
 * window. */
static size_t quietest(const mel_stream *mel, size_t begin, size_t longest) {
    size_t best = begin + longest;
    float least = INFINITY;
    for (size_t t = begin + longest / 2; t < begin + longest; t++) {
        float sum = 0;
        for (size_t i = t - SMOOTH; i <= t + SMOOTH && i < begin + longest; i++)
            sum += voice_energy(mel_stream_frame(mel, i));
        if (sum <= least) {
            least = sum;
            best = t + 1;
        }
    }
    return best;
}

static hone_status make_windows(const mel_stream *mel, const vad_spans *speech, size_t longest,
                                vad_spans *windows) {
    size_t room = 0;
    for (size_t i = 0; i < speech->n; i++) {
        vad_span span = speech->items[i];
        vad_span *last = windows->n ? &windows->items[windows->n - 1] : NULL;
        if (last && span.end - last->begin <= longest) {
            last->end = span.end;
            continue;
        }
        while (span.end - span.begin > longest) {
            size_t cut = quietest(mel, span.begin, longest);
            TRY(append(windows, &room, (vad_span){span.begin, cut}));
            span.begin = cut;
        }
        TRY(append(windows, &room, span));
    }
    return HONE_OK;
}

hone_status vad_windows(const mel_stream *mel, const vad_spans *speech, size_t longest,
                        vad_spans *windows) {
    *windows = (vad_spans){0};
    hone_status status = make_windows(mel, speech, longest, windows);
    if (status != HONE_OK) {
        mem_free(windows->items);
        *windows = (vad_spans){0};
    }
    return status;
}
