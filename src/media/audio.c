/* Reading audio, whatever it comes from; and samples that are in memory already. */
#include "media/audio_int.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"

struct hone_audio {
    audio_source source;
    hone_audio_info info;
    const float *piece; /* [n_piece] left of what the source gave last */
    size_t n_piece;
    bool ended, truncated;
};

hone_status audio_wrap(hone_audio **audio, const audio_source *source,
                       const hone_audio_info *info) {
    hone_audio *a = mem_calloc(1, sizeof *a);
    if (!a) {
        if (source->close) source->close(source->self);
        return mem_fail("audio reader", sizeof *a);
    }
    a->source = *source;
    a->info = *info;
    *audio = a;
    return HONE_OK;
}

void audio_set_truncated(hone_audio *a) { a->truncated = true; }

const hone_audio_info *hone_audio_describe(const hone_audio *a) { return &a->info; }
bool hone_audio_truncated(const hone_audio *a) { return a->truncated; }

void hone_audio_close(hone_audio *a) {
    if (!a) return;
    if (a->source.close) a->source.close(a->source.self);
    mem_free(a);
}

/* What is no number is silence; what is too loud is clipped. */
static void copy_sane(float *to, const float *from, size_t n) {
    for (size_t i = 0; i < n; i++) {
        float x = from[i];
        to[i] = isnan(x) ? 0 : x < -1 ? -1 : x > 1 ? 1 : x;
    }
}

hone_status hone_audio_read(hone_audio *a, float *samples, size_t n, size_t *n_read) {
    size_t done = 0;
    while (done < n && !a->ended) {
        if (a->n_piece == 0) {
            TRY(a->source.next(a->source.self, &a->piece, &a->n_piece));
            a->ended = a->n_piece == 0;
            if (a->ended) break;
        }
        size_t take = a->n_piece < n - done ? a->n_piece : n - done;
        copy_sane(samples + done, a->piece, take);
        a->piece += take;
        a->n_piece -= take;
        done += take;
    }
    *n_read = done;
    return HONE_OK;
}

bool hone_audio_can_rewind(const hone_audio *a) { return a->source.rewind != NULL; }

hone_status hone_audio_rewind(hone_audio *a) {
    if (!a->source.rewind)
        return fail(HONE_ERR_UNSUPPORTED, "audio from a stream can be read only once");
    a->piece = NULL;
    a->n_piece = 0;
    a->ended = a->truncated = false;
    return a->source.rewind(a->source.self);
}

/* --- samples in memory --- */

typedef struct memory_source {
    const float *samples;
    size_t n;
    bool given;
} memory_source;

static hone_status next_in_memory(void *self, const float **samples, size_t *n) {
    memory_source *m = self;
    *samples = m->samples;
    *n = m->given ? 0 : m->n;
    m->given = true;
    return HONE_OK;
}

static hone_status rewind_memory(void *self) {
    ((memory_source *)self)->given = false;
    return HONE_OK;
}

hone_status hone_audio_open_samples(hone_audio **audio, const float *samples, size_t n) {
    memory_source *m = mem_alloc(sizeof *m);
    if (!m) return mem_fail("audio reader", sizeof *m);
    *m = (memory_source){samples, n, false};
    return audio_wrap(audio, &(audio_source){m, next_in_memory, mem_free, rewind_memory},
                      &(hone_audio_info){.container = "samples", .codec = "pcm_f32",
                                         .rate = HONE_AUDIO_RATE, .n_channels = 1,
                                         .seconds = (double)n / HONE_AUDIO_RATE});
}
