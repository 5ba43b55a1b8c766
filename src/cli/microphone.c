/* The default microphone by way of ALSA (which PipeWire and PulseAudio stand behind, too). */
#include "base/mem.h"
#include "base/status.h"
#include "cli/audio_input.h"

#ifdef HONE_ALSA
#include <alsa/asoundlib.h>

enum { LATENCY_US = 200000 };

struct microphone {
    snd_pcm_t *pcm;
};

/* ALSA counts frames, hone bytes. What was lost because nobody listened is lost. */
static ptrdiff_t read_microphone(void *user, void *bytes, size_t n) {
    snd_pcm_t *pcm = ((microphone *)user)->pcm;
    for (int tries = 0; tries < 10; tries++) {
        snd_pcm_sframes_t frames = snd_pcm_readi(pcm, bytes, n / 2);
        if (frames > 0) return frames * 2;
        if (frames < 0 && snd_pcm_recover(pcm, (int)frames, 1) < 0) return -1;
    }
    return -1;
}

static void say_nothing(const char *file, int line, const char *function, int error,
                        const char *format, ...) {
    (void)file, (void)line, (void)function, (void)error, (void)format;
}

hone_status microphone_open(microphone **out, hone_audio **audio) {
    microphone *m = mem_calloc(1, sizeof *m);
    if (!m) return mem_fail("microphone", sizeof *m);
    snd_lib_error_set_handler(say_nothing); /* one sentence of ours is enough */
    int code = snd_pcm_open(&m->pcm, "default", SND_PCM_STREAM_CAPTURE, 0);
    if (code >= 0)
        code = snd_pcm_set_params(m->pcm, SND_PCM_FORMAT_S16_LE, SND_PCM_ACCESS_RW_INTERLEAVED, 1,
                                  HONE_AUDIO_RATE, 1, LATENCY_US);
    hone_status status =
        code < 0 ? fail(HONE_ERR_IO, "the microphone cannot be opened: %s", snd_strerror(code))
                 : hone_audio_open_pcm(audio, HONE_AUDIO_RATE, 1, read_microphone, m);
    if (status != HONE_OK) {
        microphone_close(m);
        return status;
    }
    *out = m;
    return HONE_OK;
}

void microphone_close(microphone *m) {
    if (m && m->pcm) snd_pcm_close(m->pcm);
    mem_free(m);
}

#else

hone_status microphone_open(microphone **m, hone_audio **audio) {
    (void)m, (void)audio;
    return fail(HONE_ERR_UNSUPPORTED, "this hone was built without ALSA and hears no microphone; "
                "pipe raw samples to `hone transcribe --live --pcm-rate 16000 -`");
}

void microphone_close(microphone *m) { mem_free(m); }

#endif
