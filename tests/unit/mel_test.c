/* The log-mel spectrogram against its definition, in pieces, over windows. */
#include <stdint.h>

#include "base/mem.h"
#include "media/mel_int.h"
#include "test.h"

static float noise_at(uint32_t *state) {
    *state = *state * 1664525 + 1013904223;
    return (float)((int32_t)*state >> 8) / (1 << 23) * 0.3f;
}

static float *noise(size_t n, uint32_t seed) {
    float *samples = malloc((n + 1) * sizeof *samples);
    for (size_t i = 0; i < n; i++) samples[i] = noise_at(&seed);
    return samples;
}

/* log10 energy of one band, straight from the definition in docs/models/whisper.md. */
static double defined_energy(const mel_plan *plan, const float *frame, size_t band) {
    double energy = 0;
    for (size_t j = 0; j < plan->bands[band].n; j++) {
        size_t bin = plan->bands[band].first + j;
        double re = 0, im = 0;
        for (size_t i = 0; i < MEL_FFT; i++) {
            double angle = 2 * M_PI * (double)(bin * i % MEL_FFT) / MEL_FFT;
            double x = (double)frame[i] * (0.5 - 0.5 * cos(2 * M_PI * (double)i / MEL_FFT));
            re += x * cos(angle);
            im -= x * sin(angle);
        }
        energy += (re * re + im * im) * plan->weights[plan->bands[band].weights + j];
    }
    return log10(energy > 1e-10 ? energy : 1e-10);
}

static void frames_follow_the_definition(void) {
    static mel_plan plan;
    mel_plan_init(&plan);
    float *samples = noise(MEL_FFT + 3 * MEL_HOP, 7);
    for (size_t n = 1; n <= MEL_GROUP; n++) { /* frames together, and a group that is not full */
        float values[MEL_GROUP][MEL_BANDS], *out[MEL_GROUP];
        for (size_t k = 0; k < n; k++) out[k] = values[k];
        mel_log_energies(&plan, samples, n, out);
        for (size_t k = 0; k < n; k++)
            for (size_t band = 0; band < MEL_BANDS; band++)
                CHECK_NEAR(values[k][band], defined_energy(&plan, samples + k * MEL_HOP, band),
                           1e-6);
    }
    free(samples);
}

/* A pure tone far above a whisper of noise: bands without the tone keep their digits. */
static void quiet_bands_beside_a_loud_one_keep_their_digits(void) {
    static mel_plan plan;
    mel_plan_init(&plan);
    float samples[MEL_FFT + MEL_HOP], values[2][MEL_BANDS], *out[2] = {values[0], values[1]};
    uint32_t seed = 3;
    for (size_t i = 0; i < MEL_FFT + MEL_HOP; i++)
        samples[i] = (float)sin(2 * M_PI * 1000 * (double)i / 16000) + noise_at(&seed) * 1e-6f;
    mel_log_energies(&plan, samples, 2, out);
    for (size_t k = 0; k < 2; k++)
        for (size_t band = 0; band < MEL_BANDS; band++)
            CHECK_NEAR(values[k][band], defined_energy(&plan, samples + k * MEL_HOP, band), 1e-5);
}

static mel_stream *stream_of(const float *samples, size_t n, size_t piece, size_t n_zeros,
                             pool *p) {
    mel_stream *s = NULL;
    if (!CHECK_OK(mel_stream_open(&s))) return NULL;
    for (size_t at = 0; at < n; at += piece)
        CHECK_OK(mel_stream_push(s, p, samples + at, n - at < piece ? n - at : piece));
    CHECK_OK(mel_stream_finish(s, p, n_zeros));
    return s;
}

static void pieces_and_threads_change_nothing(void) {
    const size_t n = 500000, pieces[] = {1, 159, 160, 161, 4096, 170001};
    float *samples = noise(n, 1);
    pool *p = NULL;
    CHECK_OK(pool_open(&p, 2));
    mel_stream *whole = stream_of(samples, n, n, 480000, NULL);
    CHECK(mel_stream_frames(whole) == (n + 480000) / MEL_HOP);
    for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++) {
        size_t used = pieces[i] == 1 ? 5000 : n; /* of single samples a few do */
        mel_stream *parts = stream_of(samples, used, pieces[i], 480000, p);
        mel_stream *want = used == n ? whole : stream_of(samples, used, used, 480000, NULL);
        size_t frames = mel_stream_frames(want);
        CHECK(mel_stream_frames(parts) == frames);
        CHECK(mel_stream_maximum(parts) == mel_stream_maximum(want));
        for (size_t t = 0; t < frames; t++)
            CHECK(!memcmp(mel_stream_frame(parts, t), mel_stream_frame(want, t),
                          MEL_BANDS * sizeof(float)));
        if (want != whole) mel_stream_close(want);
        mel_stream_close(parts);
    }
    mel_stream_close(whole);
    pool_close(p);
    free(samples);
}

/* Both ends go on as in a mirror. */
static void ends_are_mirrored(void) {
    static mel_plan plan;
    mel_plan_init(&plan);
    const size_t lengths[] = {160, 161, 200, 201, 319, 320, 1000, 1600};
    for (size_t l = 0; l < sizeof lengths / sizeof *lengths; l++) {
        size_t n = lengths[l];
        float *samples = noise(n, 5), frame[MEL_FFT];
        mel_stream *s = stream_of(samples, n, 77, 0, NULL);
        CHECK_MSG(mel_stream_frames(s) == n / MEL_HOP, "%zu samples", n);
        for (size_t t = 0; t < mel_stream_frames(s); t++) {
            for (size_t i = 0; i < MEL_FFT; i++) {
                long at = (long)(t * MEL_HOP + i) - 200, last = (long)n - 1;
                while (at < 0 || at > last) at = at < 0 ? -at : 2 * last - at;
                frame[i] = samples[at];
            }
            for (size_t band = 0; band < MEL_BANDS; band += 13)
                CHECK_NEAR(mel_stream_frame(s, t)[band], defined_energy(&plan, frame, band), 1e-6);
        }
        mel_stream_close(s);
        free(samples);
    }
}

static void less_than_a_frame_gives_none(void) {
    float samples[159] = {0};
    for (size_t n = 0; n < 160; n += 53) {
        mel_stream *s = stream_of(samples, n, 100, 0, NULL);
        CHECK(mel_stream_frames(s) == 0);
        mel_stream_close(s);
    }
}

static void silence_is_the_floor(void) {
    float *out = malloc(sizeof *out * MEL_BANDS * MEL_WINDOW_FRAMES);
    if (CHECK_OK(mel_window(NULL, 0, NULL, out)))
        for (size_t i = 0; i < MEL_BANDS * MEL_WINDOW_FRAMES; i++) CHECK(out[i] == -1.5f);
    free(out);
}

/* OpenAI's way: a loud burst raises the floor of all of the file. */
static void the_maximum_is_the_callers(void) {
    const size_t n = 16000;
    float *samples = noise(n, 9), out[MEL_BANDS * 4];
    mel_stream *s = stream_of(samples, n, n, 480000, NULL);
    mel_stream_normalised(s, 2000, 4, 2.0f, out, 4); /* zeros */
    for (size_t i = 0; i < MEL_BANDS * 4; i++) CHECK(out[i] == (2.0f - 8 + 4) / 4);
    mel_stream_normalised(s, 10, 4, mel_stream_maximum(s), out, 4);
    for (size_t band = 0; band < MEL_BANDS; band++)
        CHECK_NEAR(out[band * 4 + 1], (mel_stream_frame(s, 11)[band] + 4) / 4, 1e-6);
    mel_stream_close(s);
    free(samples);
}

static void dropped_windows_give_their_memory_back(void) {
    const size_t n = 16000 * 60;
    float *samples = noise(n, 2);
    mel_stream *s = stream_of(samples, n, 16000, 0, NULL), *all = stream_of(samples, n, n, 0, NULL);
    mel_stream_drop(s, 4500);
    mel_stream_drop(s, 100); /* backwards is nothing */
    for (size_t t = 4500; t < mel_stream_frames(s); t++)
        CHECK(!memcmp(mel_stream_frame(s, t), mel_stream_frame(all, t), MEL_BANDS * sizeof(float)));
    mel_stream_drop(s, 1 << 30);
    mel_stream_close(s);
    mel_stream_close(all);
    free(samples);
}

static void short_memory_is_an_error(void) {
    float *samples = noise(200000, 4);
    for (long nth = 1; nth < 30; nth++) {
        mel_stream *s = NULL;
        mem_fail_from(nth);
        hone_status status = mel_stream_open(&s);
        if (status == HONE_OK) status = mel_stream_push(s, NULL, samples, 200000);
        if (status == HONE_OK) status = mel_stream_finish(s, NULL, 0);
        long used = mem_count();
        mem_fail_from(0);
        CHECK(used < nth ? status == HONE_OK : status == HONE_ERR_MEMORY);
        mel_stream_close(s);
    }
    free(samples);
}

int main(void) {
    RUN(frames_follow_the_definition);
    RUN(quiet_bands_beside_a_loud_one_keep_their_digits);
    RUN(pieces_and_threads_change_nothing);
    RUN(ends_are_mirrored);
    RUN(less_than_a_frame_gives_none);
    RUN(silence_is_the_floor);
    RUN(the_maximum_is_the_callers);
    RUN(dropped_windows_give_their_memory_back);
    RUN(short_memory_is_an_error);
    return test_summary();
}
