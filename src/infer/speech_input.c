#include "infer/speech_input.h"

#include <string.h>

#include "base/system.h"
#include "base/mem.h"
#include "infer/speech_decode.h"

enum { WINDOW_SAMPLES = MEL_WINDOW_FRAMES * MEL_HOP };

static hone_status read_samples(speech_input *in, float *samples, size_t n, size_t *n_read) {
    TRY(hone_audio_read(in->audio, samples, n, n_read));
    in->n_read += *n_read;
    in->ended = *n_read < n;
    return HONE_OK;
}

/* --- as OpenAI's program --- */

/* What is kept of the spectrum before a second reading is worth its time: ten minutes, 19 MB. */
enum { KEPT_FRAMES = 60000 };

static hone_status push(speech_input *in, size_t n, bool ended) {
    double begin = clock_ms();
    speech_turn_begin(in->m);
    pool *p = in->m->compute.pool;
    hone_status status = n > 0 ? mel_stream_push(in->stream, p, in->samples, n) : HONE_OK;
    if (status == HONE_OK && ended) status = mel_stream_finish(in->stream, p, WINDOW_SAMPLES);
    speech_turn_end(in->m);
    in->mel_ms += clock_ms() - begin;
    return status;
}

/* From the first sample again, with nothing kept. */
static hone_status begin_again(speech_input *in) {
    mel_stream_close(in->stream);
    in->stream = NULL;
    TRY(hone_audio_rewind(in->audio));
    in->reads_again = true;
    return mel_stream_open(&in->stream);
}

static hone_status read_all(speech_input *in) {
    bool drops = false, once = in->keeps_all || !hone_audio_can_rewind(in->audio);
    TRY(mel_stream_open(&in->stream));
    while (!in->ended) {
        size_t n;
        if (atomic_load(&in->m->speech_cancelled)) return fail(HONE_ERR_CANCELLED, "cancelled");
        TRY(read_samples(in, in->samples, WINDOW_SAMPLES, &n));
        TRY(push(in, n, in->ended));
        drops |= !once && mel_stream_frames(in->stream) > KEPT_FRAMES;
        if (drops) mel_stream_drop(in->stream, mel_stream_frames(in->stream));
    }
    in->maximum = mel_stream_maximum(in->stream);
    return drops ? begin_again(in) : HONE_OK;
}

/* Frames begin … begin + n − 1 are known, those before them may go. */
static hone_status move_to(speech_input *in, size_t begin, size_t n) {
    while (in->reads_again && !in->ended_again && mel_stream_frames(in->stream) < begin + n) {
        size_t n_read;
        TRY(hone_audio_read(in->audio, in->samples, WINDOW_SAMPLES, &n_read));
        in->ended_again = n_read < WINDOW_SAMPLES;
        TRY(push(in, n_read, in->ended_again));
    }
    if (mel_stream_frames(in->stream) < begin + n)
        return fail(HONE_ERR_IO, "the audio became shorter while it was read");
    if (!in->keeps_all) mel_stream_drop(in->stream, begin);
    return HONE_OK;
}

static size_t content_frames(const speech_input *in) { return in->n_read / MEL_HOP; }

void speech_input_span(const speech_input *in, size_t begin, size_t n, float *mel) {
    mel_stream_normalised(in->stream, begin, n, in->maximum, mel, MEL_WINDOW_FRAMES);
    for (size_t b = 0; b < MEL_BANDS; b++)
        memset(mel + b * MEL_WINDOW_FRAMES + n, 0, (MEL_WINDOW_FRAMES - n) * sizeof *mel);
}

/* --- as Hugging Face's extractor --- */

/* Drops the samples before `seek` and reads until a window is full. */
static hone_status fill_window(speech_input *in, size_t seek) {
    size_t first = seek * MEL_HOP, n = first - in->first_sample;
    if (n > in->n_samples) n = in->n_samples;
    in->n_samples -= n;
    in->first_sample += n;
    memmove(in->samples, in->samples + n, in->n_samples * sizeof *in->samples);
    while (in->first_sample < first && !in->ended) { /* samples that no window has */
        size_t skip = first - in->first_sample;
        TRY(read_samples(in, in->samples, skip < WINDOW_SAMPLES ? skip : WINDOW_SAMPLES, &n));
        in->first_sample += n;
    }
    if (in->ended) return HONE_OK;
    TRY(read_samples(in, in->samples + in->n_samples, WINDOW_SAMPLES - in->n_samples, &n));
    in->n_samples += n;
    return HONE_OK;
}

static hone_status hf_window(speech_input *in, float *mel) {
    double begin = clock_ms();
    speech_turn_begin(in->m);
    hone_status status = mel_window(in->samples, in->n_samples, in->m->compute.pool, mel);
    speech_turn_end(in->m);
    in->mel_ms += clock_ms() - begin;
    return status;
}

/* --- both --- */

hone_status speech_input_open(speech_input *in, hone_model *m, hone_audio *audio,
                              hone_mel_padding padding, bool keeps_all) {
    *in = (speech_input){.m = m, .audio = audio, .padding = padding, .keeps_all = keeps_all};
    in->samples = mem_alloc(WINDOW_SAMPLES * sizeof *in->samples);
    hone_status status = in->samples ? HONE_OK
                                     : mem_fail("samples", WINDOW_SAMPLES * sizeof(float));
    if (status == HONE_OK && padding == HONE_MEL_OPENAI) status = read_all(in);
    if (status != HONE_OK) speech_input_close(in);
    return status;
}

void speech_input_close(speech_input *in) {
    mel_stream_close(in->stream);
    mem_free(in->samples);
    in->stream = NULL;
    in->samples = NULL;
}

hone_status speech_input_window(speech_input *in, size_t seek, float *mel, size_t *n_content) {
    if (in->padding == HONE_MEL_HF) TRY(fill_window(in, seek));
    size_t end = content_frames(in), n = end > seek ? end - seek : 0;
    *n_content = n < MEL_WINDOW_FRAMES ? n : MEL_WINDOW_FRAMES;
    if (n == 0) return HONE_OK;
    if (in->padding == HONE_MEL_HF) return hf_window(in, mel);
    TRY(move_to(in, seek, *n_content));
    speech_input_span(in, seek, *n_content, mel);
    return HONE_OK;
}

hone_status speech_input_beginning(speech_input *in, float *mel, size_t *n_content) {
    if (in->padding == HONE_MEL_HF) return speech_input_window(in, 0, mel, n_content);
    size_t n = content_frames(in);
    *n_content = n < MEL_WINDOW_FRAMES ? n : MEL_WINDOW_FRAMES;
    TRY(move_to(in, 0, MEL_WINDOW_FRAMES));
    speech_input_span(in, 0, MEL_WINDOW_FRAMES, mel); /* there are 30 s of silence behind the end */
    return HONE_OK;
}

bool speech_input_is_silent(const speech_input *in, size_t begin, size_t n) {
    static const float silence = -9.5f; /* log10; the lowest that a frame can have is −10 */
    for (size_t i = 0; in->stream && i < n; i++)
        for (size_t b = 0; b < MEL_BANDS; b++)
            if (mel_stream_frame(in->stream, begin + i)[b] > silence) return false;
    for (size_t i = 0; !in->stream && i < in->n_samples; i++)
        if (in->samples[i] != 0) return false;
    return true;
}

double speech_input_seconds(const speech_input *in) {
    if (in->ended) return (double)in->n_read / HONE_AUDIO_RATE;
    return hone_audio_describe(in->audio)->seconds;
}
