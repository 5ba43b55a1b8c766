/* Bytes of a file → samples → log-mel: every sample and every value is finite. */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>

#include "hone/audio.h"
#include "media/mel.h"

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
    mel_stream_close(mel);
    hone_audio_close(audio);
    return 0;
}
