/* Speech to text (include/hone/transcribe.h): windows one after the other, and the language. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/system.h"
#include "infer/transcribe_int.h"
#include "media/vad.h"

/* --- one window --- */

hone_status transcribe_encode(transcription *t, size_t i) {
    double begin = clock_ms();
    whisper_run run = speech_run(t->m, t->o.exact);
    speech_turn_begin(t->m);
    hone_status status = whisper_encode(&run, t->mel, &t->crosses[i], NULL);
    speech_turn_end(t->m);
    t->out->encode_ms += clock_ms() - begin;
    return status;
}

hone_status transcribe_decode(transcription *t, speech_window *windows, size_t n) {
    double begin = clock_ms();
    hone_status status = speech_decode(t->m, &t->settings, windows, n);
    t->out->decode_ms += clock_ms() - begin;
    t->out->n_windows += n;
    for (size_t i = 0; i < n; i++) {
        t->out->n_tokens += windows[i].n_steps;
        if (windows[i].n_together > t->out->n_together) t->out->n_together = windows[i].n_together;
    }
    return status;
}

void transcribe_prompt(const transcription *t, bool with_history, bool is_first,
                       speech_window *w) {
    const speech_tokens *ids = t->ids;
    size_t n = 0, most = speech_context(t->m) / 2 - 1, n_history = with_history ? t->history.n : 0;
    if (n_history > 0) {
        size_t n_kept = n_history < most ? n_history : most;
        w->prompt[n++] = ids->start_of_prev;
        memcpy(w->prompt + n, t->history.ids + n_history - n_kept, n_kept * sizeof *w->prompt);
        n += n_kept;
    }
    w->start = n;
    w->prompt[n++] = ids->start;
    if (ids->multilingual) {
        w->prompt[n++] = ids->first_language + t->language;
        w->prompt[n++] = t->o.task == HONE_TRANSLATE ? ids->translate : ids->transcribe;
    }
    if (!t->o.timestamps) w->prompt[n++] = ids->no_timestamps;
    w->n_prompt = n;
    if (is_first && t->prefix.n > 0) {
        size_t room = t->settings.max_tokens / 2, n_kept = t->prefix.n < room ? t->prefix.n : room;
        if (t->o.timestamps) w->prompt[n++] = ids->first_timestamp;
        memcpy(w->prompt + n, t->prefix.ids, n_kept * sizeof *w->prompt);
        n += n_kept;
    }
    w->n_forced = n - w->n_prompt;
}

void transcribe_report_progress(const transcription *t, size_t frames) {
    if (!t->o.on_progress) return;
    double done = (double)frames * SECONDS_PER_FRAME, total = speech_input_seconds(&t->in);
    t->o.on_progress(t->o.user, total > 0 && done > total ? total : done, total);
}

/* --- the language --- */

static hone_status detect(transcription *t) {
    float probabilities[SPEECH_MAX_LANGUAGES];
    size_t n_content;
    TRY(speech_input_beginning(&t->in, t->mel, &n_content));
    if (n_content == 0) { /* no audio, so nothing will be said in any language */
        t->language = 0;
        return HONE_OK;
    }
    TRY(transcribe_encode(t, 0));
    double begin = clock_ms();
    TRY(speech_languages(t->m, &t->crosses[0], t->o.exact, probabilities));
    t->out->decode_ms += clock_ms() - begin;
    t->language = 0;
    for (size_t i = 1; i < t->ids->n_languages; i++)
        if (probabilities[i] > probabilities[t->language]) t->language = (int)i;
    t->out->language_probability = probabilities[t->language];
    return HONE_OK;
}

/* --- all windows --- */

/* Whether the no-speech rule is on. */
static bool skips_silence(const transcription *t) { return t->o.no_speech_threshold <= 1; }

hone_status transcribe_windows(transcription *t) {
    speech_window *w = mem_calloc(1, sizeof *w);
    if (!w) return mem_fail("window", sizeof *w);
    hone_status status = HONE_OK;
    for (window_span span = {0, 0}; status == HONE_OK;) {
        status = speech_input_window(&t->in, span.seek, t->mel, &span.n_content);
        if (status != HONE_OK || span.n_content == 0) break;
        if (speech_input_is_silent(&t->in, span.seek, span.n_content)) {
            span.seek += span.n_content;
            continue;
        }
        if (skips_silence(t) && !vad_window_has_speech(t->mel, span.n_content)) {
            span.seek += span.n_content; /* the model would say "you" */
            continue;
        }
        status = transcribe_encode(t, 0);
        if (status != HONE_OK) break;
        bool is_first = span.seek == 0;
        transcribe_prompt(t, true, is_first, w);
        w->cross = &t->crosses[0];
        w->number++;
        size_t n_frames = span.n_content;
        status = transcribe_decode(t, w, 1);
        if (status == HONE_OK) status = transcribe_settle(t, &span, w, &n_frames);
        span.seek += n_frames;
        if (status == HONE_OK) transcribe_report_progress(t, span.seek);
    }
    mem_free(w);
    return status;
}

/* " " and the text without its outer spaces, as ids. */
static hone_status encode_text(const transcription *t, const char *text, token_list *ids) {
    buf spaced;
    buf_init(&spaced, 1 << 20);
    size_t begin = strspn(text, " \t\r\n"), n = strlen(text);
    while (n > begin && strchr(" \t\r\n", text[n - 1])) n--;
    hone_status status = HONE_OK;
    if (n > begin) {
        status = buf_add_text(&spaced, " ");
        if (status == HONE_OK) status = buf_add(&spaced, text + begin, n - begin);
        if (status == HONE_OK)
            status = tokenizer_encode(t->m->tokenizer, spaced.data, spaced.len, NULL, 0, 0, ids);
    }
    buf_release(&spaced);
    return status;
}

static hone_status prepare(transcription *t, hone_audio *audio) {
    t->n_crosses = !t->o.batched ? 1 : t->o.n_batch ? t->o.n_batch : 8;
    t->mel = mem_alloc_aligned(MEL_BANDS * MEL_WINDOW_FRAMES, sizeof *t->mel);
    t->crosses = mem_calloc(t->n_crosses, sizeof *t->crosses);
    if (!t->mel || !t->crosses) return mem_fail("window", MEL_BANDS * MEL_WINDOW_FRAMES * 4);
    if (t->o.prompt) TRY(encode_text(t, t->o.prompt, &t->history));
    if (t->o.prefix) TRY(encode_text(t, t->o.prefix, &t->prefix));
    /* Silences are looked for in the spectrum of the whole file. */
    TRY(speech_input_open(&t->in, t->m, audio, t->o.batched ? HONE_MEL_OPENAI : t->o.padding,
                          t->o.batched));
    return t->language < 0 ? detect(t) : HONE_OK;
}

/* All segments' text without outer spaces. */
static hone_status join_text(transcription *t) {
    hone_transcript *out = t->out;
    buf text;
    buf_init(&text, SIZE_MAX / 2);
    hone_status status = HONE_OK;
    for (size_t i = 0; i < out->n_segments && status == HONE_OK; i++) {
        const char *next = out->segments[i].text;
        if (text.len == 0) next += strspn(next, " ");
        status = buf_add_text(&text, next);
    }
    while (text.len > 0 && text.data[text.len - 1] == ' ') text.data[--text.len] = '\0';
    if (status == HONE_OK && !(out->text = buf_take(&text))) status = mem_fail("text", 1);
    buf_release(&text);
    return status;
}

static hone_status run(transcription *t, hone_audio *audio) {
    hone_status status = prepare(t, audio);
    if (status == HONE_OK) status = t->o.batched ? transcribe_batched(t) : transcribe_windows(t);
    t->out->cancelled = status == HONE_ERR_CANCELLED;
    if (t->out->cancelled) status = HONE_OK; /* what there is, is handed over */
    TRY(status);
    t->out->language = speech_language_code(t->language < 0 ? 0 : (size_t)t->language);
    t->out->seconds = speech_input_seconds(&t->in);
    t->out->mel_ms = t->in.mel_ms;
    t->out->truncated = hone_audio_truncated(audio);
    return join_text(t);
}

/* The model must be one for windows such as media/mel.h makes. */
static hone_status check_model(const hone_model *m) {
    enum { LEAST_CONTEXT = 16 };
    TRY(model_wants_family(m, FAMILY_WHISPER));
    const whisper_hparams *h = &m->speech.h;
    if (h->n_mels != MEL_BANDS || 2 * h->encoder.n_context != MEL_WINDOW_FRAMES ||
        h->decoder.n_context < LEAST_CONTEXT)
        return fail(HONE_ERR_UNSUPPORTED, "%s: %zu mel bands, %zu positions of audio and %zu of "
                    "text, expected %d, %d and at least %d", m->source.path, h->n_mels,
                    h->encoder.n_context, h->decoder.n_context, MEL_BANDS, MEL_WINDOW_FRAMES / 2,
                    LEAST_CONTEXT);
    return HONE_OK;
}

hone_status hone_transcribe(hone_model *model, hone_audio *audio,
                            const hone_transcribe_options *options, hone_transcript *transcript) {
    hone_transcript out = {0};
    transcription t = {.m = model, .ids = &model->speech_ids, .out = &out};
    if (options) t.o = *options;
    else hone_transcribe_defaults(&t.o);
    TRY(check_model(model));
    TRY(transcribe_check_options(&t.o, model, &t.settings));
    TRY(transcribe_check_language(&t.o, model, &t.language));
    if (t.o.background) pool_give_way(model->compute.pool);
    hone_status status = run(&t, audio);
    speech_input_close(&t.in);
    for (size_t i = 0; t.crosses && i < t.n_crosses; i++) whisper_cross_release(&t.crosses[i]);
    mem_free(t.crosses);
    mem_free(t.mel);
    token_list_release(&t.history);
    token_list_release(&t.prefix);
    if (status == HONE_OK) *transcript = out;
    else hone_transcript_release(&out);
    return status;
}

/* --- the language alone --- */

static int by_probability(const void *left, const void *right) {
    const hone_language_probability *a = left, *b = right;
    if (a->probability != b->probability) return a->probability > b->probability ? -1 : 1;
    return strcmp(a->code, b->code);
}

static hone_status list_languages(const speech_tokens *ids, const float *probabilities,
                                  hone_language_probability **list, size_t *n) {
    hone_language_probability *l = mem_calloc(ids->n_languages, sizeof *l);
    if (!l) return mem_fail("languages", ids->n_languages * sizeof *l);
    for (size_t i = 0; i < ids->n_languages; i++)
        l[i] = (hone_language_probability){speech_language_code(i), probabilities[i]};
    qsort(l, ids->n_languages, sizeof *l, by_probability);
    *list = l;
    *n = ids->n_languages;
    return HONE_OK;
}

hone_status hone_detect_language(hone_model *model, hone_audio *audio,
                                 hone_language_probability **list, size_t *n) {
    TRY(check_model(model));
    if (!model->speech_ids.multilingual)
        return fail(HONE_ERR_UNSUPPORTED, "%s hears English only", model->source.path);
    float probabilities[SPEECH_MAX_LANGUAGES] = {0};
    float *mel = mem_alloc_aligned(MEL_BANDS * MEL_WINDOW_FRAMES, sizeof *mel);
    if (!mel) return mem_fail("window", MEL_BANDS * MEL_WINDOW_FRAMES * sizeof *mel);
    whisper_cross cross = {0};
    speech_input in;
    size_t n_content;
    /* One window either way: Hugging Face's reads no more than that. */
    hone_status status = speech_input_open(&in, model, audio, HONE_MEL_HF, false);
    if (status == HONE_OK) status = speech_input_beginning(&in, mel, &n_content);
    if (status == HONE_OK && n_content > 0) {
        whisper_run run = speech_run(model, false);
        speech_turn_begin(model);
        status = whisper_encode(&run, mel, &cross, NULL);
        speech_turn_end(model);
        if (status == HONE_OK) status = speech_languages(model, &cross, false, probabilities);
    }
    if (status == HONE_OK) status = list_languages(&model->speech_ids, probabilities, list, n);
    speech_input_close(&in);
    whisper_cross_release(&cross);
    mem_free(mel);
    return status;
}

void hone_transcribe_cancel(hone_model *model) { atomic_store(&model->speech_cancelled, true); }
void hone_transcribe_uncancel(hone_model *model) { atomic_store(&model->speech_cancelled, false); }
