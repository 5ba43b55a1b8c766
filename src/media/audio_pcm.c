/* Raw 16-bit samples from a callback. */
#include <math.h>

#include "base/mem.h"
#include "media/audio_int.h"
#include "media/resample.h"

enum { PIECE_SAMPLES = 1600 }; /* of one channel: what is there soon, for live audio */

typedef struct pcm_source {
    hone_audio_reader *read;
    void *user;
    size_t n_channels;
    resampler resampler;
    bool ended;
    size_t n_left; /* bytes of a sample that is not whole yet, at the beginning of `bytes` */
    uint8_t bytes[PIECE_SAMPLES * AUDIO_MAX_CHANNELS * 2];
    float mono[PIECE_SAMPLES];
} pcm_source;

/* One piece of whole samples; what comes behind the last whole one waits. */
static hone_status read_piece(pcm_source *p, size_t *n) {
    size_t step = p->n_channels * 2;
    ptrdiff_t got = p->read(p->user, p->bytes + p->n_left, PIECE_SAMPLES * step - p->n_left);
    if (got < 0 || (size_t)got > PIECE_SAMPLES * step - p->n_left)
        return fail(HONE_ERR_IO, "reading raw audio failed");
    p->ended = got == 0; /* half a sample may be left: nothing */
    size_t bytes = p->n_left + (size_t)got;
    *n = bytes / step;
    for (size_t i = 0; i < *n; i++) {
        int32_t sum = 0;
        for (size_t c = 0; c < p->n_channels; c++) {
            const uint8_t *at = p->bytes + i * step + c * 2;
            sum += (int16_t)(at[0] | at[1] << 8);
        }
        p->mono[i] = (float)sum / ((float)p->n_channels * 32768);
    }
    p->n_left = bytes - *n * step;
    for (size_t i = 0; i < p->n_left; i++) p->bytes[i] = p->bytes[*n * step + i];
    return HONE_OK;
}

static hone_status next_of_pcm(void *self, const float **samples, size_t *n) {
    pcm_source *p = self;
    *n = 0;
    while (*n == 0 && !p->ended) {
        size_t n_mono = 0;
        TRY(read_piece(p, &n_mono));
        if (p->ended) return resampler_finish(&p->resampler, samples, n);
        if (n_mono > 0) TRY(resampler_run(&p->resampler, p->mono, n_mono, samples, n));
    }
    return HONE_OK;
}

static void close_pcm(void *self) {
    pcm_source *p = self;
    resampler_release(&p->resampler);
    mem_free(p);
}

hone_status hone_audio_open_pcm(hone_audio **audio, int rate, int n_channels,
                                hone_audio_reader *read, void *user) {
    if (n_channels < 1 || n_channels > AUDIO_MAX_CHANNELS)
        return fail(HONE_ERR_FORMAT, "%d channels; 1 to %d are read", n_channels,
                    AUDIO_MAX_CHANNELS);
    pcm_source *p = mem_calloc(1, sizeof *p);
    if (!p) return mem_fail("audio reader", sizeof *p);
    p->read = read;
    p->user = user;
    p->n_channels = (size_t)n_channels;
    hone_status status = resampler_init(&p->resampler, rate);
    if (status != HONE_OK) {
        close_pcm(p);
        return status;
    }
    return audio_wrap(audio, &(audio_source){p, next_of_pcm, close_pcm, NULL},
                      &(hone_audio_info){.container = "raw", .codec = "pcm_s16le", .rate = rate,
                                         .n_channels = n_channels});
}
