/* Audio as windows of log-mel: two ways to pad, one face (docs/models/whisper.md).
 *
 * OpenAI's way needs the maximum of the whole file before the first window. Ten minutes are kept as
 * a spectrum; what is longer is read twice, and only the frames from the window on are kept the
 * second time. What cannot be read twice (a pipe) is kept, 115 MB an hour, and dropped window by
 * window. Hugging Face's way reads as it goes and holds 30 s. */
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
    float maximum;      /* of the whole file */
    bool keeps_all;     /* of the spectrum */
    bool reads_again, ended_again; /* the second reading is on; … it has come to the end */
    float *samples;     /* HONE_MEL_HF: [n_samples] from sample `first_sample` on */
    size_t n_samples, first_sample;
    size_t n_read;      /* samples so far */
    bool ended;         /* n_read is all there is */
    double mel_ms;
} speech_input;

/* The audio is the caller's. `keeps_all`: the whole spectrum can be looked at until the end (only
 * as OpenAI). Computes in turns of its own (speech_turn_begin), here and in the calls below. */
hone_status speech_input_open(speech_input *in, hone_model *m, hone_audio *audio,
                              hone_mel_padding padding, bool keeps_all);
void speech_input_close(speech_input *in);

/* mel[MEL_BANDS, MEL_WINDOW_FRAMES] from frame `seek` on, and how many of the frames are content: 0
 * behind the end. `seek` never goes back. */
hone_status speech_input_window(speech_input *in, size_t seek, float *mel, size_t *n_content);

/* Whether n frames from `begin` on of the window just made are digital silence: there is nothing to
 * hear, and the model would make something up. */
bool speech_input_is_silent(const speech_input *in, size_t begin, size_t n);

/* As the window's frames, for n ≤ MEL_WINDOW_FRAMES frames from `begin` on, all of them content and
 * kept. Only as OpenAI. */
void speech_input_span(const speech_input *in, size_t begin, size_t n, float *mel);

/* The first 30 s as the language is told by: with silence behind a shorter audio. */
hone_status speech_input_beginning(speech_input *in, float *mel, size_t *n_content);

double speech_input_seconds(const speech_input *in); /* in all; 0 = not known yet */

#endif
