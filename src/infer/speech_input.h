/* Audio as windows of log-mel: two ways to pad, one face (docs/models/whisper.md).
 *
 * OpenAI's way needs the maximum of the whole file before the first window, so everything is read
 * at once and kept as a spectrum; Hugging Face's way reads as it goes and holds 30 s. */
#ifndef INFER_SPEECH_INPUT_H
#define INFER_SPEECH_INPUT_H

#include "hone/transcribe.h"
#include "infer/engine.h"
#include "media/mel.h"

typedef struct speech_input {
    hone_model *m;
    hone_audio *audio;
    hone_mel_padding padding;
    mel_stream *stream; /* HONE_MEL_OPENAI */
    float *samples;     /* HONE_MEL_HF: [n_samples] from sample `first_sample` on */
    size_t n_samples, first_sample;
    size_t n_read;      /* samples so far */
    bool ended;         /* n_read is all there is */
    double mel_ms;
} speech_input;

/* The audio is the caller's. Takes the model's lock while it computes, so it must not be held. */
hone_status speech_input_open(speech_input *in, hone_model *m, hone_audio *audio,
                              hone_mel_padding padding);
void speech_input_close(speech_input *in);

/* mel[MEL_BANDS, MEL_WINDOW_FRAMES] from frame `seek` on, and how many of the frames are content: 0
 * behind the end. `seek` never goes back. */
hone_status speech_input_window(speech_input *in, size_t seek, float *mel, size_t *n_content);

/* Whether n frames from `begin` on of the window just made are digital silence: there is nothing to
 * hear, and the model would make something up. */
bool speech_input_is_silent(const speech_input *in, size_t begin, size_t n);

/* The same for n ≤ MEL_WINDOW_FRAMES frames from `begin` on, all of them content. Only as OpenAI. */
void speech_input_span(const speech_input *in, size_t begin, size_t n, float *mel);

/* The first 30 s as the language is told by: with silence behind a shorter audio. */
hone_status speech_input_beginning(speech_input *in, float *mel, size_t *n_content);

double speech_input_seconds(const speech_input *in); /* in all; 0 = not known yet */

#endif
