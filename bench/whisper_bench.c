/* whisper_bench MODEL AUDIO THREADS: hone's part of bench/compare_whisper.py.
 *
 * Answers each line on stdin with one on stdout:
 *
 *     load, encode, token, beams, file, batched     milliseconds
 *     memory                                        MB
 *     clip <tab> LANGUAGE <tab> PATH                the text of a recording
 *     errors <tab> LANGUAGE <tab> REFERENCE <tab> TEXT     word errors and words */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/system.h"
#include "hone/audio.h"
#include "hone/transcribe.h"
#include "infer/speech_decode.h"
#include "infer/speech_input.h"
#include "text/whisper_normalizer.h"
#include "text/word_errors.h"

enum { STEPS = 60, BEAMS = 5 };

static hone_model *model;
static whisper_cross cross;
static const char *audio_path;

static void stop(hone_status status) {
    if (status == HONE_OK) return;
    fprintf(stderr, "%s\n", hone_error_message());
    exit(1);
}

static hone_audio *open_audio(const char *path) {
    hone_audio *audio = NULL;
    stop(hone_audio_open(&audio, path));
    return audio;
}

static double encode_ms(void) {
    size_t n_content;
    speech_input in;
    whisper_run run = speech_run(model, false);
    float *mel = malloc(MEL_BANDS * MEL_WINDOW_FRAMES * sizeof *mel);
    hone_audio *audio = open_audio(audio_path);
    stop(speech_input_open(&in, model, audio, HONE_MEL_HF, false));
    stop(speech_input_window(&in, 0, mel, &n_content));
    double begin = clock_ms();
    stop(whisper_encode(&run, mel, &cross, NULL));
    double took = clock_ms() - begin;
    speech_input_close(&in);
    hone_audio_close(audio);
    free(mel);
    return took;
}

/* Mean of a step that appends one token to each row, behind a prompt of four. */
static double step_ms(size_t n_rows) {
    const speech_tokens *ids = &model->speech_ids;
    int32_t prompt[] = {ids->start, ids->first_language, ids->transcribe, ids->no_timestamps};
    int32_t tokens[BEAMS] = {400, 401, 402, 403, 404};
    uint32_t rows[BEAMS] = {0, 1, 2, 3, 4};
    whisper_item items[BEAMS];
    whisper_cache cache;
    whisper_run run = speech_run(model, false);
    float *logits = malloc(n_rows * model->speech.h.n_vocab * sizeof *logits);
    if (!cross.memory) encode_ms();
    stop(whisper_cache_init(&cache, &model->speech, false, n_rows));
    whisper_batch b = {.cache = &cache, .items = items, .n_items = n_rows, .logit_rows = rows,
                       .n_logit_rows = n_rows, .logits = logits};
    for (size_t i = 0; i < n_rows; i++) items[i] = (whisper_item){i, 0, prompt, 4, &cross};
    stop(whisper_decode(&run, &b));
    double begin = clock_ms();
    for (size_t s = 0; s < STEPS; s++) {
        for (size_t i = 0; i < n_rows; i++)
            items[i] = (whisper_item){i, 4 + s, &tokens[i], 1, &cross};
        stop(whisper_decode(&run, &b));
    }
    double took = (clock_ms() - begin) / STEPS;
    whisper_cache_release(&cache);
    free(logits);
    return took;
}

/* Milliseconds; the text goes to `text` where that is given. */
static double transcribe(const char *path, const char *language, bool batched, char **text) {
    hone_transcribe_options o;
    hone_transcript t;
    hone_audio *audio = open_audio(path);
    hone_transcribe_defaults(&o);
    o.language = language;
    o.batched = batched;
    double begin = clock_ms();
    stop(hone_transcribe(model, audio, &o, &t));
    double took = clock_ms() - begin;
    if (text) *text = t.text, t.text = NULL;
    hone_transcript_release(&t);
    hone_audio_close(audio);
    return took;
}

static void print_clip(const char *language, const char *path) {
    char *text = NULL;
    transcribe(path, language, false, &text);
    for (char *c = text; *c; c++)
        if (*c == '\n' || *c == '\t') *c = ' ';
    puts(text);
    mem_free(text);
}

static void add_normalised(buf *out, const char *text, const char *language) {
    buf_init(out, 1 << 20);
    stop(strcmp(language, "en") == 0
             ? whisper_normalise_english(out, text, strlen(text), NULL)
             : whisper_normalise_basic(out, text, strlen(text), false, false));
    stop(buf_add(out, "", 1));
}

static void print_errors(const char *language, const char *reference, const char *text) {
    word_errors e = {0};
    buf want, have;
    add_normalised(&want, reference, language);
    add_normalised(&have, text, language);
    stop(word_errors_count(&e, want.data, have.data));
    printf("%zu %zu\n", e.n_errors, e.n_words);
    buf_release(&want);
    buf_release(&have);
}

static void answer(char *line, double load_ms) {
    const char *words[4] = {"", "", "", ""};
    for (int i = 0; i < 4 && line; i++) {
        words[i] = line;
        line = strchr(line, '\t');
        if (line) *line++ = '\0';
    }
    const char *what = words[0];
    if (!strcmp(what, "load")) printf("%.1f\n", load_ms);
    else if (!strcmp(what, "encode")) printf("%.1f\n", encode_ms());
    else if (!strcmp(what, "token")) printf("%.3f\n", step_ms(1));
    else if (!strcmp(what, "beams")) printf("%.3f\n", step_ms(BEAMS));
    else if (!strcmp(what, "file")) printf("%.1f\n", transcribe(audio_path, "en", false, NULL));
    else if (!strcmp(what, "batched")) printf("%.1f\n", transcribe(audio_path, "en", true, NULL));
    else if (!strcmp(what, "memory")) printf("%.0f\n", (double)system_peak_resident_bytes() / 1e6);
    else if (!strcmp(what, "clip")) print_clip(words[1], words[2]);
    else if (!strcmp(what, "errors")) print_errors(words[1], words[2], words[3]);
    else printf("?\n");
    fflush(stdout);
}

int main(int argc, char **argv) {
    if (argc != 4) {
        fprintf(stderr, "usage: whisper_bench MODEL AUDIO THREADS\n");
        return 2;
    }
    audio_path = argv[2];
    double begin = clock_ms();
    stop(hone_model_open(&model, argv[1], &(hone_model_options){.n_threads = atoi(argv[3])}));
    double load = clock_ms() - begin;
    static char line[1 << 16];
    while (fgets(line, sizeof line, stdin)) {
        line[strcspn(line, "\n")] = '\0';
        answer(line, load);
    }
    whisper_cross_release(&cross);
    hone_model_close(model);
    return 0;
}
