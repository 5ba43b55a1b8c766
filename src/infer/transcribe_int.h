/* The inside of hone_transcribe: one call's state, shared by its files.
 *
 *     transcribe.c          the call, the windows one after the other, the language
 *     transcribe_batched.c  windows cut at silences, several at once
 *     transcribe_segments.c from tokens to segments, and the transcript
 *     transcribe_words.c    when each word was said
 *     transcribe_options.c  defaults and checks */
#ifndef INFER_TRANSCRIBE_INT_H
#define INFER_TRANSCRIBE_INT_H

#include "infer/speech_decode.h"
#include "infer/speech_input.h"

#define SECONDS_PER_FRAME 0.01
#define SECONDS_PER_TIMESTAMP 0.02
enum { FRAMES_PER_TIMESTAMP = 2 };

typedef struct transcription {
    hone_model *m;
    const speech_tokens *ids;
    hone_transcribe_options o;
    speech_settings settings;
    speech_input in;
    float *mel;            /* [MEL_BANDS, MEL_WINDOW_FRAMES] */
    whisper_cross *crosses; /* [n_crosses], one for each window of a pass */
    size_t n_crosses;
    int language;          /* index */
    /* What the next window is told: the initial prompt and all tokens since the last reset. */
    token_list history;
    token_list prefix;     /* of the first window */
    double last_speech;    /* seconds: the end of the last word */
    hone_transcript *out;
} transcription;

/* Where a window lies: frames. */
typedef struct window_span {
    size_t seek, n_content;
} window_span;

/* --- options --- */

/* HONE_ERR_ARGUMENT names the option and its range. */
hone_status transcribe_check_options(const hone_transcribe_options *o, const hone_model *m,
                                     speech_settings *s);

/* Whether model and task go together; *language = the index, or −1 to be detected. */
hone_status transcribe_check_language(const hone_transcribe_options *o, const hone_model *m,
                                      int *language);

/* --- windows --- */

/* Encodes t->mel into crosses[i]. */
hone_status transcribe_encode(transcription *t, size_t i);

/* Fills w's prompt: history (where `with_history`), start sequence, and what is forced. */
void transcribe_prompt(const transcription *t, bool with_history, bool is_first, speech_window *w);

hone_status transcribe_decode(transcription *t, speech_window *windows, size_t n);

/* Segments of a decoded window, appended to the transcript and handed to on_segment, and how many
 * frames were settled. HONE_ERR_CANCELLED when on_segment wants to end. */
hone_status transcribe_settle(transcription *t, const window_span *span, const speech_window *w,
                              size_t *n_frames);

/* The windows one after the other; or cut at silences, several at once. */
hone_status transcribe_windows(transcription *t);
hone_status transcribe_batched(transcription *t);

/* Words of the n segments of one window, whose start and end they may move, and with them what is
 * settled. */
hone_status transcribe_word_times(transcription *t, const window_span *span, const speech_window *w,
                                  hone_segment *segments, size_t n, size_t *n_frames);

void transcribe_report_progress(const transcription *t, size_t frames);

/* --- segments --- */

/* Copies the tokens; text is made of them. */
hone_status segment_init(hone_segment *s, const hone_model *m, const int32_t *tokens, size_t n);
void segment_release(hone_segment *s);

#endif
