#include "media/mel.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "media/mel_int.h"

#define BLOCK_FRAMES 1000 /* what is allocated and dropped at once: 10 s */
#define TASK_FRAMES 40
#define PUSH_FRAMES 1000  /* the most that is computed at once; bounds the buffer */
#define MIRRORED (MEL_FFT / 2)

struct mel_stream {
    mel_plan plan;
    float *samples; /* [n_samples] that frames to come need, MIRRORED at the beginning included */
    size_t n_samples;
    size_t n_pushed;    /* of the audio, zeros at its end included */
    float **blocks;     /* [n_blocks][BLOCK_FRAMES, MEL_BANDS]; NULL = dropped */
    size_t n_blocks, block_room, n_dropped /* blocks */;
    size_t n_frames;
    float maximum;
};

enum { SAMPLES_ROOM = MIRRORED + MEL_FFT + MEL_HOP + PUSH_FRAMES * MEL_HOP + MIRRORED };

/* --- life --- */

hone_status mel_stream_open(mel_stream **stream) {
    mel_stream *s = mem_calloc(1, sizeof *s);
    if (!s) return mem_fail("log-mel stream", sizeof *s);
    s->samples = mem_calloc(SAMPLES_ROOM, sizeof *s->samples);
    if (!s->samples) {
        mem_free(s);
        return mem_fail("log-mel samples", SAMPLES_ROOM * sizeof *s->samples);
    }
    mel_plan_init(&s->plan);
    s->n_samples = MIRRORED; /* known when the samples that they mirror are there */
    s->maximum = MEL_LOWEST;
    *stream = s;
    return HONE_OK;
}

void mel_stream_close(mel_stream *s) {
    if (!s) return;
    for (size_t i = 0; i < s->n_blocks; i++) mem_free(s->blocks[i]);
    mem_free(s->blocks);
    mem_free(s->samples);
    mem_free(s);
}

/* --- frames --- */

static float *frame_at(const mel_stream *s, size_t frame) {
    return s->blocks[frame / BLOCK_FRAMES] + frame % BLOCK_FRAMES * MEL_BANDS;
}

static hone_status reserve_frames(mel_stream *s, size_t n) {
    size_t wanted = (n + BLOCK_FRAMES - 1) / BLOCK_FRAMES;
    TRY(mem_grow(&s->blocks, &s->block_room, wanted, sizeof *s->blocks, "log-mel blocks"));
    while (s->n_blocks < wanted) {
        float *block = mem_alloc_aligned(BLOCK_FRAMES * MEL_BANDS, sizeof *block);
        if (!block) return mem_fail("log-mel frames", BLOCK_FRAMES * MEL_BANDS * sizeof *block);
        s->blocks[s->n_blocks++] = block;
    }
    return HONE_OK;
}

/* Frame n_frames + i begins at samples[i · MEL_HOP]. */
typedef struct frames_job {
    mel_stream *s;
    size_t n;
} frames_job;

static void compute_frames(void *user, size_t index, int thread) {
    const frames_job *job = user;
    mel_stream *s = job->s;
    (void)thread;
    size_t end = (index + 1) * TASK_FRAMES < job->n ? (index + 1) * TASK_FRAMES : job->n;
    for (size_t i = index * TASK_FRAMES; i < end; i += MEL_GROUP) {
        size_t n = end - i < MEL_GROUP ? end - i : MEL_GROUP;
        float *out[MEL_GROUP];
        for (size_t k = 0; k < n; k++) out[k] = frame_at(s, s->n_frames + i + k);
        mel_log_energies(&s->plan, s->samples + i * MEL_HOP, n, out);
    }
}

/* Computes the n frames that come next and forgets the samples that no later one needs. */
static hone_status advance(mel_stream *s, pool *p, size_t n) {
    if (n == 0) return HONE_OK;
    TRY(reserve_frames(s, s->n_frames + n));
    frames_job job = {.s = s, .n = n};
    size_t n_tasks = (n + TASK_FRAMES - 1) / TASK_FRAMES;
    if (p) pool_run(p, n_tasks, compute_frames, &job);
    else
        for (size_t i = 0; i < n_tasks; i++) compute_frames(&job, i, 0);
    for (size_t i = 0; i < n; i++) {
        const float *frame = frame_at(s, s->n_frames + i);
        for (size_t band = 0; band < MEL_BANDS; band++)
            if (frame[band] > s->maximum) s->maximum = frame[band];
    }
    s->n_frames += n;
    s->n_samples -= n * MEL_HOP;
    memmove(s->samples, s->samples + n * MEL_HOP, s->n_samples * sizeof *s->samples);
    return HONE_OK;
}

/* Where sample i of an audio of n lies when it goes on as in a mirror at both ends, of which the
 * outermost sample is not repeated. */
static size_t mirror(ptrdiff_t i, size_t n) {
    size_t period = n > 1 ? 2 * (n - 1) : 1;
    size_t at = (size_t)(i < 0 ? -i : i) % period;
    return at < n ? at : period - at;
}

static void mirror_beginning(mel_stream *s) {
    for (ptrdiff_t i = 1; i <= MIRRORED; i++)
        s->samples[MIRRORED - i] = s->samples[MIRRORED + mirror(-i, s->n_pushed)];
}

/* `samples` NULL = zeros. */
static hone_status push(mel_stream *s, pool *p, const float *samples, size_t n) {
    while (n > 0) {
        size_t take = n < PUSH_FRAMES * MEL_HOP ? n : PUSH_FRAMES * MEL_HOP;
        float *to = s->samples + s->n_samples;
        if (samples) memcpy(to, samples, take * sizeof *to), samples += take;
        else memset(to, 0, take * sizeof *to);
        s->n_samples += take;
        s->n_pushed += take;
        n -= take;
        if (s->n_pushed <= MIRRORED) continue; /* the beginning is not complete */
        if (s->n_frames == 0) mirror_beginning(s);
        size_t n_complete =
            s->n_samples < MEL_FFT ? 0 : (s->n_samples - MEL_FFT) / MEL_HOP + 1;
        TRY(advance(s, p, n_complete));
    }
    return HONE_OK;
}

hone_status mel_stream_push(mel_stream *s, pool *p, const float *samples, size_t n) {
    return n ? push(s, p, samples, n) : HONE_OK;
}

hone_status mel_stream_finish(mel_stream *s, pool *p, size_t n_zeros) {
    TRY(push(s, p, NULL, n_zeros));
    if (s->n_pushed < MEL_HOP) return HONE_OK; /* not one frame */
    if (s->n_frames == 0) mirror_beginning(s);
    /* samples[0] is sample n_frames · MEL_HOP − MIRRORED of the audio */
    size_t before = s->n_frames * MEL_HOP, n = s->n_pushed;
    for (size_t i = 0; i < MIRRORED; i++)
        s->samples[s->n_samples + i] =
            s->samples[mirror((ptrdiff_t)(n + i), n) + MIRRORED - before];
    s->n_samples += MIRRORED;
    return advance(s, p, n / MEL_HOP - s->n_frames); /* the frame centred on the end is left out */
}

/* --- results --- */

size_t mel_stream_frames(const mel_stream *s) { return s->n_frames; }
float mel_stream_maximum(const mel_stream *s) { return s->maximum; }

const float *mel_stream_frame(const mel_stream *s, size_t frame) { return frame_at(s, frame); }

/* Eight decades below the maximum is as good as silence; −1.5 … 1.5 or so comes out. */
void mel_stream_normalised(const mel_stream *s, size_t begin, size_t n, float maximum, float *out,
                           size_t stride) {
    float lowest = maximum - 8;
    for (size_t i = 0; i < n; i++) {
        const float *frame = frame_at(s, begin + i);
        for (size_t band = 0; band < MEL_BANDS; band++) {
            float value = frame[band] > lowest ? frame[band] : lowest;
            out[band * stride + i] = (value + 4) / 4;
        }
    }
}

void mel_stream_drop(mel_stream *s, size_t begin) {
    size_t end = begin / BLOCK_FRAMES < s->n_blocks ? begin / BLOCK_FRAMES : s->n_blocks;
    for (; s->n_dropped < end; s->n_dropped++) {
        mem_free(s->blocks[s->n_dropped]);
        s->blocks[s->n_dropped] = NULL;
    }
}

hone_status mel_window(const float *samples, size_t n, pool *p, float *out) {
    const size_t window = MEL_WINDOW_FRAMES * MEL_HOP;
    mel_stream *s;
    if (n > window) n = window;
    TRY(mel_stream_open(&s));
    hone_status status = mel_stream_push(s, p, samples, n);
    if (status == HONE_OK) status = mel_stream_finish(s, p, window - n);
    if (status == HONE_OK)
        mel_stream_normalised(s, 0, MEL_WINDOW_FRAMES, s->maximum, out, MEL_WINDOW_FRAMES);
    mel_stream_close(s);
    return status;
}
