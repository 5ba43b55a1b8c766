/* Batched transcription: windows cut at silences, several of them decoded in one pass.
 *
 * A window knows nothing of the text before it, and what stands behind its last pair of time marks
 * is settled with the rest: nothing is heard twice. */
#include "base/mem.h"
#include "infer/transcribe_int.h"
#include "media/vad.h"

static hone_status find_windows(transcription *t, vad_spans *windows) {
    vad_spans speech = {0};
    const mel_stream *mel = t->in.stream;
    TRY(vad_find(mel, t->in.n_read / MEL_HOP, &speech));
    hone_status status = vad_windows(mel, &speech, MEL_WINDOW_FRAMES, windows);
    mem_free(speech.items);
    return status;
}

/* The windows of a pass, from the first on. */
static hone_status run_pass(transcription *t, const vad_span *spans, size_t n, size_t first,
                            speech_window *windows) {
    for (size_t i = 0; i < n; i++) {
        speech_window *w = &windows[i];
        speech_input_span(&t->in, spans[i].begin, spans[i].end - spans[i].begin, t->mel);
        TRY(transcribe_encode(t, i));
        transcribe_prompt(t, false, first + i == 0, w);
        w->cross = &t->crosses[i];
        w->number = (uint32_t)(first + i);
    }
    TRY(transcribe_decode(t, windows, n));
    for (size_t i = 0; i < n; i++) {
        size_t n_frames;
        window_span span = {spans[i].begin, spans[i].end - spans[i].begin};
        TRY(transcribe_settle(t, &span, &windows[i], &n_frames));
        t->history.n = 0;
        transcribe_report_progress(t, spans[i].end);
    }
    return HONE_OK;
}

hone_status transcribe_batched(transcription *t) {
    vad_spans spans = {0};
    speech_window *windows = mem_calloc(t->n_crosses, sizeof *windows);
    hone_status status = windows ? find_windows(t, &spans) : mem_fail("windows", sizeof *windows);
    for (size_t first = 0; first < spans.n && status == HONE_OK; first += t->n_crosses) {
        size_t n = spans.n - first < t->n_crosses ? spans.n - first : t->n_crosses;
        status = run_pass(t, spans.items + first, n, first, windows);
    }
    mem_free(spans.items);
    mem_free(windows);
    return status;
}
