/* whisper_bench MODEL AUDIO THREADS: one round of a Whisper model's parts, as one JSON object.
 *
 * load, encoding of one window, a decoder step of one and of five rows, and whole files: greedy
 * parts by the inside of the library, files as hone_transcribe does them. */
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/system.h"
#include "hone/audio.h"
#include "hone/transcribe.h"
#include "infer/speech_decode.h"
#include "infer/speech_input.h"

enum { STEPS = 60, MOST_ROWS = 5 };

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

static double encode_ms(hone_model *m, const char *path, whisper_cross *cross) {
    size_t n_content;
    speech_input in;
    whisper_run run = speech_run(m, false);
    float *mel = malloc(MEL_BANDS * MEL_WINDOW_FRAMES * sizeof *mel);
    hone_audio *audio = open_audio(path);
    stop(speech_input_open(&in, m, audio, HONE_MEL_HF));
    stop(speech_input_window(&in, 0, mel, &n_content));
    stop(whisper_encode(&run, mel, cross, NULL)); /* warm-up */
    double begin = clock_ms();
    stop(whisper_encode(&run, mel, cross, NULL));
    double took = clock_ms() - begin;
    speech_input_close(&in);
    hone_audio_close(audio);
    free(mel);
    return took;
}

/* Mean of a step that appends one token to each row, behind a prompt of four. */
static double step_ms(hone_model *m, const whisper_cross *cross, size_t n_rows) {
    const speech_tokens *ids = &m->speech_ids;
    int32_t prompt[] = {ids->start, ids->first_language, ids->transcribe, ids->no_timestamps};
    int32_t tokens[MOST_ROWS] = {400, 401, 402, 403, 404};
    uint32_t rows[MOST_ROWS] = {0, 1, 2, 3, 4};
    whisper_item items[MOST_ROWS];
    whisper_cache cache;
    whisper_run run = speech_run(m, false);
    float *logits = malloc(n_rows * m->speech.h.n_vocab * sizeof *logits);
    stop(whisper_cache_init(&cache, &m->speech, false, n_rows));
    whisper_batch b = {.cache = &cache, .items = items, .n_items = n_rows, .logit_rows = rows,
                       .n_logit_rows = n_rows, .logits = logits};
    for (size_t i = 0; i < n_rows; i++) items[i] = (whisper_item){i, 0, prompt, 4, cross};
    stop(whisper_decode(&run, &b));
    double begin = clock_ms();
    for (size_t s = 0; s < STEPS; s++) {
        for (size_t i = 0; i < n_rows; i++)
            items[i] = (whisper_item){i, 4 + s, &tokens[i], 1, cross};
        stop(whisper_decode(&run, &b));
    }
    double took = (clock_ms() - begin) / STEPS;
    whisper_cache_release(&cache);
    free(logits);
    return took;
}

static double file_ms(hone_model *m, const char *path, bool batched, double *seconds) {
    hone_transcribe_options o;
    hone_transcript t;
    hone_audio *audio = open_audio(path);
    hone_transcribe_defaults(&o);
    o.language = "en";
    o.batched = batched;
    double begin = clock_ms();
    stop(hone_transcribe(m, audio, &o, &t));
    double took = clock_ms() - begin;
    *seconds = t.seconds;
    hone_transcript_release(&t);
    hone_audio_close(audio);
    return took;
}

int main(int argc, char **argv) {
    if (argc != 4) {
        fprintf(stderr, "usage: whisper_bench MODEL AUDIO THREADS\n");
        return 2;
    }
    hone_model *m = NULL;
    whisper_cross cross = {0};
    double seconds = 0, begin = clock_ms();
    stop(hone_model_open(&m, argv[1], &(hone_model_options){.n_threads = atoi(argv[3])}));
    double load = clock_ms() - begin, encode = encode_ms(m, argv[2], &cross);
    double one = step_ms(m, &cross, 1), five = step_ms(m, &cross, MOST_ROWS);
    double file = file_ms(m, argv[2], false, &seconds);
    double batched = file_ms(m, argv[2], true, &seconds);
    printf("{\"load ms\": %.1f, \"encode ms\": %.1f, \"token ms\": %.3f, \"five beams ms\": %.3f, "
           "\"file ms\": %.1f, \"batched ms\": %.1f, \"peak memory MB\": %.0f, \"seconds\": %.1f}\n",
           load, encode, one, five, file, batched, (double)system_peak_resident_bytes() / 1e6,
           seconds);
    whisper_cross_release(&cross);
    hone_model_close(m);
    return 0;
}
