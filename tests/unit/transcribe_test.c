/* Transcription's parts by themselves, and hone_transcribe over a model of random weights: what is
 * promised whatever the weights say. */
#include <pthread.h>

#include "base/mem.h"
#include "hone/audio.h"
#include "hone/transcribe.h"
#include "infer/speech_align.h"
#include "infer/speech_input.h"
#include "test.h"

/* --- rules --- */

enum { N_VOCAB = 32, END = 10, NO_TIMESTAMPS = 17, FIRST = 18 };

static const speech_tokens ids = {.end = END, .no_timestamps = NO_TIMESTAMPS,
                                  .first_timestamp = FIRST, .n_vocab = N_VOCAB,
                                  .blanks = (int32_t[]){3, END}, .n_blanks = 2};

/* '1' for each token that may follow, by rules over flat logits (text a little better than all time
 * marks together, so that the last rule decides nothing). */
static const char *allowed(const speech_rules *r, const int32_t *sampled, size_t n) {
    static char shown[N_VOCAB + 1];
    const kernels *k;
    float logits[N_VOCAB];
    CHECK_OK(kernels_get(&k));
    for (int i = 0; i < N_VOCAB; i++) logits[i] = i < FIRST ? 5 : 0;
    speech_rules_apply(r, k, logits, sampled, n);
    for (int i = 0; i < N_VOCAB; i++) shown[i] = logits[i] == -INFINITY ? '0' : '1';
    return shown;
}

static void check_allowed(const char *want, const speech_rules *r, const int32_t *sampled,
                          size_t n) {
    const char *have = allowed(r, sampled, n);
    CHECK_MSG(strcmp(have, want) == 0, "%s, expected %s", have, want);
}

static void time_marks_come_in_pairs_and_never_go_back(void) {
    speech_rules r = {.ids = &ids, .timestamps = true, .suppress_blank = true, .last_initial = 3};
    /*             text      end specials time marks */
    check_allowed("0000000000" "0" "0000000" "11110000000000", &r, NULL, 0);
    check_allowed("1111111111" "1" "1111110" "00000000000000", &r, (int32_t[]){19}, 1);
    check_allowed("1111111111" "1" "1111110" "00111111111111", &r, (int32_t[]){19, 4}, 2);
    check_allowed("0000000000" "1" "1111110" "00001111111111", &r, (int32_t[]){19, 4, 22}, 3);
    check_allowed("1111111111" "1" "1111110" "00000000000000", &r, (int32_t[]){19, 4, 22, 23}, 4);
    check_allowed("1111111111" "1" "1111110" "00000011111111", &r, (int32_t[]){19, 4, 22, 23, 5}, 5);
}

static void without_time_marks_only_lists_are_forbidden(void) {
    const int32_t list[] = {7, 12};
    speech_rules r = {.ids = &ids, .suppress_blank = true, .suppress = list, .n_suppress = 2,
                      .last_initial = 3};
    check_allowed("1110111011" "0" "10111111" "1111111111111", &r, NULL, 0);
    check_allowed("1111111011" "1" "10111111" "1111111111111", &r, (int32_t[]){1}, 1);
}

static void time_marks_together_beat_the_best_text(void) {
    const kernels *k;
    CHECK_OK(kernels_get(&k));
    speech_rules r = {.ids = &ids, .timestamps = true, .last_initial = -1};
    float logits[N_VOCAB] = {0}, other[N_VOCAB] = {0};
    logits[4] = 2; /* e² = 7.4 against 12 marks of 1 */
    other[4] = 3;  /* e³ = 20 */
    const int32_t sampled[] = {19, 4};
    speech_rules_apply(&r, k, logits, sampled, 2);
    speech_rules_apply(&r, k, other, sampled, 2);
    CHECK(logits[4] == -INFINITY && logits[25] == 0);
    CHECK(other[4] == 3);
}

/* --- alignment --- */

static void the_cheapest_path_is_found(void) {
    static const float cost[4][6] = {{0, 1, 9, 9, 9, 9},
                                     {9, 9, 0, 0, 9, 9},
                                     {9, 9, 9, 9, 0, 9},
                                     {9, 9, 9, 9, 9, 0}};
    size_t first[4];
    CHECK_OK(speech_warp(&cost[0][0], 4, 6, first));
    CHECK(first[0] == 0 && first[1] == 2 && first[2] == 4 && first[3] == 5);
    CHECK_OK(speech_warp(&cost[0][0], 1, 6, first));
    CHECK(first[0] == 0);
    CHECK_OK(speech_warp(&cost[0][0], 4, 1, first));
    CHECK(first[0] == 0 && first[3] == 0);
}

static void medians_mirror_at_the_ends(void) {
    const float x[8] = {9, 1, 8, 2, 7, 3, 6, 4};
    const float want[8] = {2, 7, 3, 6, 4, 6, 4, 6};
    float out[8];
    speech_median(x, 8, out);
    for (int i = 0; i < 8; i++) CHECK_MSG(out[i] == want[i], "%d: %g", i, (double)out[i]);
    speech_median(x, 3, out);
    CHECK(memcmp(out, x, 3 * sizeof *x) == 0);
}

static void the_compression_ratio_is_that_of_zlib(void) {
    char text[400];
    for (int i = 0; i < 400; i++) text[i] = "again and "[i % 10];
    CHECK_NEAR(speech_compression_ratio(text, 400), 400.0 / 23, 1e-4); /* Python: 23 bytes */
    CHECK(speech_compression_ratio("", 0) == 0);
}

/* --- a model --- */

static hone_model *model;

static void open_model(void) {
    char path[4096];
    if (!test_shared()) return;
    snprintf(path, sizeof path, "%s/golden/whisper-multilingual", test_shared());
    if (hone_model_open(&model, path, NULL) != HONE_OK) model = NULL;
}

#define NEEDS_MODEL \
    if (!model) SKIP("no ../shared/golden/whisper-multilingual")

enum { SECOND = HONE_AUDIO_RATE };

static float *noise(size_t n, float loudness) {
    uint32_t bits = 7;
    float *x = malloc((n + 1) * sizeof *x);
    for (size_t i = 0; i < n; i++) {
        bits = bits * 1664525 + 1013904223;
        x[i] = (float)((int32_t)bits * 0x1p-31) * loudness;
    }
    return x;
}

static hone_status transcribe(const float *samples, size_t n, const hone_transcribe_options *o,
                              hone_transcript *out) {
    hone_audio *audio = NULL;
    *out = (hone_transcript){0};
    CHECK_OK(hone_audio_open_samples(&audio, samples, n));
    hone_status status = hone_transcribe(model, audio, o, out);
    hone_audio_close(audio);
    return status;
}

static void short_options(hone_transcribe_options *o) {
    static const float cold[] = {0};
    hone_transcribe_defaults(o);
    o->beam_size = 2;
    o->max_tokens = 12;
    o->temperatures = cold;
    o->n_temperatures = 1;
    o->no_speech_threshold = NAN;
    o->language = "en";
}

static void windows_of_a_long_file_are_padded_as_openai_does(void) {
    NEEDS_MODEL;
    size_t n = 45 * SECOND, n_content;
    float *x = noise(n, 0.001f), *mel = malloc(MEL_BANDS * MEL_WINDOW_FRAMES * sizeof *mel);
    for (size_t i = SECOND; i < 2 * SECOND; i++)
        x[i] *= 900; /* a loud second in the first window */
    for (int padding = HONE_MEL_OPENAI; padding <= HONE_MEL_HF; padding++) {
        hone_audio *audio;
        speech_input in;
        CHECK_OK(hone_audio_open_samples(&audio, x, n));
        CHECK_OK(speech_input_open(&in, model, audio, (hone_mel_padding)padding,
                                   false));
        CHECK_OK(speech_input_window(&in, 0, mel, &n_content));
        CHECK(n_content == 3000);
        CHECK_OK(speech_input_window(&in, 3000, mel, &n_content));
        CHECK(n_content == 1500);
        float least = mel[0], most = mel[0], behind_least = mel[1600], behind_most = mel[1600];
        for (size_t b = 0; b < MEL_BANDS; b++)
            for (size_t t = 0; t < MEL_WINDOW_FRAMES; t++) {
                float value = mel[b * MEL_WINDOW_FRAMES + t];
                if (t < 1490 && value < least) least = value;
                if (t < 1490 && value > most) most = value;
                if (t > 1510 && value < behind_least) behind_least = value;
                if (t > 1510 && value > behind_most) behind_most = value;
            }
        CHECK(behind_least == behind_most);
        if (padding == HONE_MEL_OPENAI) {
            CHECK(behind_most == 0);
            CHECK_MSG(most < 1.0f, "%g", (double)most); /* against the burst, noise is quiet */
        } else {
            CHECK(behind_most < least);
        }
        CHECK_OK(speech_input_window(&in, 4500, mel, &n_content));
        CHECK(n_content == 0);
        CHECK_NEAR(speech_input_seconds(&in), 45, 1e-9);
        speech_input_close(&in);
        hone_audio_close(audio);
    }
    free(mel);
    free(x);
}

typedef struct raw_samples {
    const int16_t *next;
    size_t n_bytes;
} raw_samples;

static ptrdiff_t read_raw(void *user, void *bytes, size_t n) {
    raw_samples *r = user;
    if (n > r->n_bytes) n = r->n_bytes;
    memcpy(bytes, r->next, n);
    r->next += n / 2;
    r->n_bytes -= n;
    return (ptrdiff_t)n;
}

/* Eleven minutes, the loudest second near the end: its maximum must be known to the first window. */
static void audio_that_is_read_twice_has_the_windows_of_one_that_is_kept(void) {
    NEEDS_MODEL;
    enum { WINDOW = MEL_BANDS * MEL_WINDOW_FRAMES };
    size_t n = 660 * SECOND, n_content, n_content_2;
    float *x = noise(n, 0.01f), *mels = malloc(2 * WINDOW * sizeof *mels);
    int16_t *raw = malloc(n * sizeof *raw);
    for (size_t i = 0; i < n; i++) {
        raw[i] = (int16_t)(x[i] * 32768 * (i / SECOND == 640 ? 50 : 1));
        x[i] = (float)raw[i] / 32768;
    }
    raw_samples source = {raw, n * sizeof *raw};
    hone_audio *twice, *kept;
    speech_input in_twice, in_kept;
    CHECK_OK(hone_audio_open_samples(&twice, x, n));
    CHECK_OK(hone_audio_open_pcm(&kept, SECOND, 1, read_raw, &source));
    CHECK(hone_audio_can_rewind(twice) && !hone_audio_can_rewind(kept));
    CHECK_OK(speech_input_open(&in_twice, model, twice, HONE_MEL_OPENAI, false));
    CHECK_OK(speech_input_open(&in_kept, model, kept, HONE_MEL_OPENAI, false));
    CHECK(in_twice.reads_again && !in_kept.reads_again);
    for (size_t seek = 0; seek < n / MEL_HOP; seek += 2777) {
        CHECK_OK(speech_input_window(&in_twice, seek, mels, &n_content));
        CHECK_OK(speech_input_window(&in_kept, seek, mels + WINDOW, &n_content_2));
        CHECK(n_content == n_content_2);
        CHECK_MSG(!memcmp(mels, mels + WINDOW, WINDOW * sizeof *mels), "the window at %zu", seek);
    }
    speech_input_close(&in_twice);
    speech_input_close(&in_kept);
    hone_audio_close(twice);
    hone_audio_close(kept);
    free(raw);
    free(mels);
    free(x);
}

static void no_audio_gives_no_text(void) {
    NEEDS_MODEL;
    static const float few[16];
    hone_transcript t;
    for (size_t n = 0; n <= 16; n += 16) /* nothing, and 1 ms */
        if (CHECK_OK(transcribe(few, n, NULL, &t))) {
            CHECK(t.n_segments == 0 && t.text && !*t.text && !t.cancelled && t.n_windows == 0);
            hone_transcript_release(&t);
        }
}

static void digital_silence_gives_no_text(void) {
    NEEDS_MODEL;
    float *x = calloc(35 * SECOND, sizeof *x);
    for (int padding = HONE_MEL_OPENAI; padding <= HONE_MEL_HF; padding++) {
        hone_transcribe_options o;
        hone_transcript t;
        short_options(&o);
        o.padding = (hone_mel_padding)padding;
        if (CHECK_OK(transcribe(x, 35 * SECOND, &o, &t))) {
            CHECK(t.n_segments == 0 && t.n_windows == 0 && t.seconds == 35);
            hone_transcript_release(&t);
        }
    }
    free(x);
}

/* Nothing rises above its own noise: no window is given to the model, which would say "you". */
static void steady_noise_gives_no_text(void) {
    NEEDS_MODEL;
    for (float loudness = 1e-4f; loudness <= 1; loudness *= 10) {
        float *x = noise(40 * SECOND, loudness);
        hone_transcript t;
        if (CHECK_OK(transcribe(x, 40 * SECOND, NULL, &t))) {
            CHECK_MSG(t.n_windows == 0 && !t.text[0], "%g: %zu windows, \"%s\"", (double)loudness,
                      t.n_windows, t.text);
            CHECK_NEAR(t.seconds, 40, 1e-9);
            hone_transcript_release(&t);
        }
        free(x);
    }
}

static void segments_are_in_order_and_inside_the_audio(void) {
    NEEDS_MODEL;
    size_t n = 40 * SECOND;
    float *x = noise(n, 0.3f);
    hone_transcribe_options o;
    for (int words = 0; words < 2; words++) {
        hone_transcript t;
        short_options(&o);
        o.words = words;
        if (!CHECK_OK(transcribe(x, n, &o, &t))) continue;
        CHECK(t.n_windows > 0 && t.seconds == 40 && strcmp(t.language, "en") == 0);
        for (size_t i = 0; i < t.n_segments; i++) {
            const hone_segment *s = &t.segments[i];
            CHECK(s->id == i && s->start >= 0 && s->start <= s->end && s->end <= 60);
            CHECK(i == 0 || s->seek >= t.segments[i - 1].seek);
            CHECK(words ? s->n_words > 0 : s->words == NULL);
            for (size_t w = 0; w < s->n_words; w++) CHECK(s->words[w].start <= s->words[w].end);
        }
        hone_transcript_release(&t);
    }
    free(x);
}

static void several_windows_at_once_give_what_each_gives_alone(void) {
    NEEDS_MODEL;
    size_t n = 70 * SECOND;
    float *x = noise(n, 0.3f);
    for (size_t i = 0; i < n; i++) /* loud and quiet by turns, so that there are places to cut */
        if (i / SECOND % 10 >= 7) x[i] *= 0.0001f;
    hone_transcribe_options o;
    hone_transcript one, many;
    short_options(&o);
    o.batched = o.exact = true;
    o.n_batch = 1;
    bool fine = CHECK_OK(transcribe(x, n, &o, &one));
    o.n_batch = 5;
    if (fine && CHECK_OK(transcribe(x, n, &o, &many))) {
        CHECK(one.n_windows > 1 && one.n_windows == many.n_windows);
        CHECK_MSG(strcmp(one.text, many.text) == 0, "\"%s\" and \"%s\"", one.text, many.text);
        hone_transcript_release(&many);
    }
    hone_transcript_release(&one);
    free(x);
}

/* A call among others, each with settings of its own. */
typedef struct caller {
    pthread_t thread;
    float *x;
    hone_transcribe_options o;
    float temperatures[2];
    hone_transcript alone, among;
    hone_status status;
} caller;

enum { CALLERS = 10 };

static void *call(void *user) {
    caller *c = user;
    c->status = transcribe(c->x, SECOND, &c->o, &c->among);
    return NULL;
}

static void calls_at_the_same_time_share_passes_and_keep_their_text(void) {
    NEEDS_MODEL;
    caller callers[CALLERS] = {0};
    for (int i = 0; i < CALLERS; i++) {
        caller *c = &callers[i];
        c->x = noise(SECOND, 0.1f + 0.05f * (float)i);
        short_options(&c->o);
        c->o.exact = true;
        c->o.seed = (uint64_t)i;
        c->o.max_tokens = 100;
        c->o.beam_size = 1 + i % 4;
        c->o.best_of = 1 + i % 3;
        c->temperatures[0] = i % 2 ? 0.7f : 0;
        c->temperatures[1] = 0.9f;
        c->o.temperatures = c->temperatures;
        c->o.n_temperatures = 1 + (size_t)i % 2;
        c->o.words = i == 4;
        CHECK_OK(transcribe(c->x, SECOND, &c->o, &c->alone));
        CHECK(c->alone.n_together <= 1);
    }
    for (int i = 0; i < CALLERS; i++)
        CHECK(!pthread_create(&callers[i].thread, NULL, call, &callers[i]));
    size_t most = 0;
    for (int i = 0; i < CALLERS; i++) {
        caller *c = &callers[i];
        pthread_join(c->thread, NULL);
        CHECK(c->status == HONE_OK);
        CHECK_MSG(!strcmp(c->alone.text, c->among.text),
                  "caller %d: \"%s\" alone, \"%s\" among others", i, c->alone.text, c->among.text);
        if (c->among.n_together > most) most = c->among.n_together;
        hone_transcript_release(&c->alone);
        hone_transcript_release(&c->among);
        free(c->x);
    }
    CHECK_MSG(most > 1, "%zu windows in a pass", most);
}

static void a_prefix_begins_the_text(void) {
    NEEDS_MODEL;
    float *x = noise(SECOND, 0.3f);
    hone_transcribe_options o;
    hone_transcript t;
    short_options(&o);
    o.prefix = "in the";
    o.timestamps = false;
    if (CHECK_OK(transcribe(x, SECOND, &o, &t))) {
        CHECK_MSG(strncmp(t.text, "in the", 6) == 0, "\"%s\"", t.text);
        hone_transcript_release(&t);
    }
    free(x);
}

static int stop(void *user, const hone_segment *segment) {
    (void)segment;
    return ++*(int *)user;
}

static void who_takes_segments_can_end_the_work(void) {
    NEEDS_MODEL;
    float *x = noise(65 * SECOND, 0.3f);
    hone_transcribe_options o;
    hone_transcript t;
    int calls = 0;
    short_options(&o);
    o.on_segment = stop;
    o.user = &calls;
    if (CHECK_OK(transcribe(x, 65 * SECOND, &o, &t))) {
        CHECK(calls == 1 && t.cancelled && t.n_segments == 1);
        hone_transcript_release(&t);
    }
    hone_transcribe_cancel(model);
    if (CHECK_OK(transcribe(x, 65 * SECOND, &o, &t))) {
        CHECK(t.cancelled && t.n_segments == 0);
        hone_transcript_release(&t);
    }
    hone_transcribe_uncancel(model);
    free(x);
}

static void what_cannot_be_done_is_refused_by_name(void) {
    NEEDS_MODEL;
    static const float none[1];
    hone_transcript t;
    hone_session *session = NULL;
    hone_transcribe_options o;
    CHECK(hone_session_open(&session, model, NULL) == HONE_ERR_UNSUPPORTED);
    CHECK(strstr(hone_error_message(), "speech"));
    const hone_model_info *info = hone_model_describe(model);
    CHECK(info->takes_audio && !info->takes_text && strcmp(info->architecture, "whisper") == 0);
    short_options(&o);
    o.language = "klingon";
    CHECK(transcribe(none, 0, &o, &t) == HONE_ERR_UNSUPPORTED);
    CHECK(strstr(hone_error_message(), "klingon"));
    short_options(&o);
    o.beam_size = 0;
    CHECK(transcribe(none, 0, &o, &t) == HONE_ERR_ARGUMENT);
    CHECK(strstr(hone_error_message(), "beam size"));
    short_options(&o);
    o.suppress = (int32_t[]){-1};
    o.n_suppress = 1;
    CHECK(transcribe(none, 0, &o, &t) == HONE_ERR_ARGUMENT);
}

static void languages_add_up_to_one(void) {
    NEEDS_MODEL;
    float *x = noise(SECOND, 0.3f);
    hone_audio *audio;
    hone_language_probability *list = NULL;
    size_t n = 0;
    CHECK_OK(hone_audio_open_samples(&audio, x, SECOND));
    if (CHECK_OK(hone_detect_language(model, audio, &list, &n))) {
        double sum = 0;
        for (size_t i = 0; i < n; i++) {
            sum += (double)list[i].probability;
            CHECK(i == 0 || list[i].probability <= list[i - 1].probability);
        }
        CHECK(n == 99);
        CHECK_NEAR(sum, 1, 1e-5);
        hone_free(list);
    }
    hone_audio_close(audio);
    free(x);
}

/* The 1st, 7th, 13th … allocation fails: every failure is told, nothing is lost. */
static void failing_allocations_are_told(void) {
    NEEDS_MODEL;
    float *x = noise(SECOND, 0.3f);
    hone_transcribe_options o;
    short_options(&o);
    o.words = true;
    hone_status status = HONE_ERR_MEMORY;
    for (long n = 1; status != HONE_OK && n < 20000; n += 1 + n / 8) {
        hone_transcript t;
        hone_audio *audio = NULL;
        CHECK_OK(hone_audio_open_samples(&audio, x, SECOND));
        mem_fail_from(n);
        status = hone_transcribe(model, audio, &o, &t);
        mem_fail_from(0);
        CHECK_MSG(status == HONE_OK || status == HONE_ERR_MEMORY, "allocation %ld: %s", n,
                  hone_error_message());
        if (status == HONE_OK) hone_transcript_release(&t);
        hone_audio_close(audio);
    }
    CHECK(status == HONE_OK);
    free(x);
}

int main(void) {
    open_model();
    RUN(time_marks_come_in_pairs_and_never_go_back);
    RUN(without_time_marks_only_lists_are_forbidden);
    RUN(time_marks_together_beat_the_best_text);
    RUN(the_cheapest_path_is_found);
    RUN(medians_mirror_at_the_ends);
    RUN(the_compression_ratio_is_that_of_zlib);
    RUN(windows_of_a_long_file_are_padded_as_openai_does);
    RUN(audio_that_is_read_twice_has_the_windows_of_one_that_is_kept);
    RUN(no_audio_gives_no_text);
    RUN(digital_silence_gives_no_text);
    RUN(steady_noise_gives_no_text);
    RUN(segments_are_in_order_and_inside_the_audio);
    RUN(several_windows_at_once_give_what_each_gives_alone);
    RUN(calls_at_the_same_time_share_passes_and_keep_their_text);
    RUN(a_prefix_begins_the_text);
    RUN(who_takes_segments_can_end_the_work);
    RUN(what_cannot_be_done_is_refused_by_name);
    RUN(languages_add_up_to_one);
    RUN(failing_allocations_are_told);
    hone_model_close(model);
    return test_summary();
}
