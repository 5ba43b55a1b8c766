#include "media/resample.h"

#include <limits.h>

#include "base/mem.h"
#include "media/audio_int.h"
#include "media/ffmpeg.h"

hone_status resampler_init(resampler *r, int rate) {
    *r = (resampler){.rate = rate};
    if (rate < AUDIO_MIN_RATE || rate > AUDIO_MAX_RATE)
        return fail(HONE_ERR_FORMAT, "a rate of %d Hz; %d to %d were expected", rate,
                    AUDIO_MIN_RATE, AUDIO_MAX_RATE);
    if (rate == HONE_AUDIO_RATE) return HONE_OK;
    TRY(ffmpeg_load());
    SwrContext *context = NULL;
    AVChannelLayout mono = AV_CHANNEL_LAYOUT_MONO;
    if (ffmpeg.swr_alloc_set_opts2(&context, &mono, AV_SAMPLE_FMT_FLT, HONE_AUDIO_RATE, &mono,
                            AV_SAMPLE_FMT_FLT, rate, 0, NULL) < 0 ||
        ffmpeg.swr_init(context) < 0) {
        ffmpeg.swr_free(&context);
        return fail(HONE_ERR_MEMORY, "no memory to resample from %d Hz", rate);
    }
    r->context = context;
    return HONE_OK;
}

void resampler_release(resampler *r) {
    SwrContext *context = r->context;
    if (context) ffmpeg.swr_free(&context);
    mem_free(r->out);
    *r = (resampler){0};
}

hone_status resampler_run(resampler *r, const float *in, size_t n, const float **out,
                          size_t *n_out) {
    if (!r->context) {
        *out = in;
        *n_out = n;
        return HONE_OK;
    }
    int most = n > INT_MAX / 2 ? -1 : ffmpeg.swr_get_out_samples(r->context, (int)n);
    if (most < 0) return fail(HONE_ERR_MEMORY, "%zu samples at once are too many", n);
    TRY(mem_grow(&r->out, &r->out_room, (size_t)most, sizeof *r->out, "resampled audio"));
    uint8_t *to = (uint8_t *)r->out;
    const uint8_t *from = (const uint8_t *)in;
    int made = ffmpeg.swr_convert(r->context, &to, most, &from, (int)n);
    if (made < 0) return fail(HONE_ERR_MEMORY, "no memory to resample %zu samples", n);
    r->n_in += n;
    r->n_out += (size_t)made;
    *out = r->out;
    *n_out = (size_t)made;
    return HONE_OK;
}

/* libswresample's own flush gives nothing for sources shorter than its filter: silence behind the
 * end brings all of them out. */
hone_status resampler_finish(resampler *r, const float **out, size_t *n_out) {
    static const float silence[1024];
    *n_out = 0;
    if (!r->context) return HONE_OK;
    uint64_t owed = (r->n_in * HONE_AUDIO_RATE + (uint64_t)r->rate - 1) / (uint64_t)r->rate;
    owed = owed > r->n_out ? owed - r->n_out : 0;
    size_t room = (size_t)owed + 1024 * (size_t)(HONE_AUDIO_RATE / AUDIO_MIN_RATE + 1);
    TRY(mem_grow(&r->out, &r->out_room, room, sizeof *r->out, "resampled audio"));
    const uint8_t *from = (const uint8_t *)silence;
    while (*n_out < owed) {
        uint8_t *to = (uint8_t *)(r->out + *n_out);
        int made = ffmpeg.swr_convert(r->context, &to, (int)(room - *n_out), &from, 1024);
        if (made < 0) return fail(HONE_ERR_MEMORY, "no memory to resample the end");
        *n_out += (size_t)made;
    }
    *n_out = (size_t)owed;
    *out = r->out;
    return HONE_OK;
}
