/* Bytes of a file → samples → log-mel → speech and windows: every sample and every value is finite,
 * spans are in order, and a second reading gives as many samples. */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/mem.h"
#include "hone/audio.h"
#include "media/mel.h"
#include "media/vad.h"

static const uint8_t *pipe_at;
static size_t pipe_left;

static ptrdiff_t read_pipe(void *user, void *bytes, size_t n) {
    (void)user;
    size_t take = n < pipe_left ? n : pipe_left;
    for (size_t i = 0; i < take; i++) ((uint8_t *)bytes)[i] = pipe_at[i];
    pipe_at += take;
    pipe_left -= take;
    return (ptrdiff_t)take;
}

static hone_status open_in_some_way(hone_audio **audio, const uint8_t *data, size_t size) {
    pipe_at = data + 1;
    pipe_left = size - 1;
    switch (data[0] & 3) {
    case 0: return hone_audio_open_stream(audio, read_pipe, NULL);
    case 1: return hone_audio_open_pcm(audio, 1000 + data[0] * 400, data[0] >> 2, read_pipe, NULL);
    default: return hone_audio_open_bytes(audio, data + 1, size - 1);
    }
}

static void check_spans(const vad_spans *spans, size_t longest, size_t n_frames) {
    for (size_t i = 0; i < spans->n; i++) {
        const vad_span *s = &spans->items[i];
        if (s->begin >= s->end || s->end > n_frames || s->end - s->begin > longest) abort();
        if (i > 0 && s->begin < spans->items[i - 1].end) abort();
    }
}

static void find_windows(const mel_stream *mel) {
    enum { LONGEST = 200 };
    vad_spans speech, windows;
    size_t n = mel_stream_frames(mel);
    if (vad_find(mel, n, &speech) != HONE_OK) abort();
    check_spans(&speech, n, n);
    if (vad_windows(mel, &speech, LONGEST, &windows) != HONE_OK) abort();
    check_spans(&windows, LONGEST, n);
    mem_free(speech.items);
    mem_free(windows.items);
}

static size_t count_samples(hone_audio *audio, size_t most) {
    static float samples[8000];
    size_t n, total = 0;
    while (total < most && hone_audio_read(audio, samples, 8000, &n) == HONE_OK && n) total += n;
    return total;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static float samples[8000], window[MEL_BANDS * 100];
    hone_audio *audio;
    mel_stream *mel;
    size_t n, total = 0;
    if (size == 0 || open_in_some_way(&audio, data, size) != HONE_OK) return 0;
    if (mel_stream_open(&mel) != HONE_OK) abort();
    while (hone_audio_read(audio, samples, 8000, &n) == HONE_OK && n && total < 16000 * 100) {
        for (size_t i = 0; i < n; i++)
            if (!(samples[i] >= -1 && samples[i] <= 1)) abort();
        if (mel_stream_push(mel, NULL, samples, n) != HONE_OK) abort();
        total += n;
    }
    if (mel_stream_finish(mel, NULL, 160) != HONE_OK) abort();
    size_t frames = mel_stream_frames(mel) < 100 ? mel_stream_frames(mel) : 100;
    mel_stream_normalised(mel, 0, frames, mel_stream_maximum(mel), window, 100);
    for (size_t band = 0; band < MEL_BANDS; band++)
        for (size_t i = 0; i < frames; i++)
            if (!isfinite(window[band * 100 + i])) abort();
    find_windows(mel);
    mel_stream_drop(mel, mel_stream_frames(mel));
    mel_stream_close(mel);
    if (hone_audio_rewind(audio) == HONE_OK && count_samples(audio, total) != total) abort();
    hone_audio_close(audio);
    return 0;
}
