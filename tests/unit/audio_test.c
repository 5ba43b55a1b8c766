/* Reading audio: formats, rates, channels, and what is no audio. */
#include <sys/resource.h>
#include <unistd.h>

#include "audio_files.h"
#include "base/mem.h"
#include "hone/audio.h"
#include "wav.h"

/* All samples; free. *n = 0 and the status where something fails. */
static float *read_all(hone_audio *audio, size_t *n, hone_status *status) {
    size_t room = 1 << 16, got;
    float *samples = malloc(room * sizeof *samples);
    *n = 0;
    do {
        if (room - *n < 4096) samples = realloc(samples, (room *= 2) * sizeof *samples);
        *status = hone_audio_read(audio, samples + *n, 4093, &got);
        if (*status != HONE_OK) got = 0;
        *n += got;
    } while (got);
    return samples;
}

/* Energy share of 440 Hz in the middle half: 1 = a pure tone. And its amplitude. */
static double tone_share(const float *x, size_t n, double *amplitude) {
    double re = 0, im = 0, all = 0;
    size_t begin = n / 4, end = n * 3 / 4;
    for (size_t i = begin; i < end; i++) {
        double phase = 2 * M_PI * 440 * (double)i / HONE_AUDIO_RATE;
        re += (double)x[i] * cos(phase);
        im += (double)x[i] * sin(phase);
        all += (double)x[i] * (double)x[i];
    }
    double count = (double)(end - begin);
    *amplitude = 2 * sqrt(re * re + im * im) / count;
    return all > 0 ? (re * re + im * im) * 2 / count / all : 0;
}

static void check_tone(hone_audio *audio, size_t expected, size_t slack, double least_share) {
    size_t n;
    hone_status status;
    double amplitude = 0;
    float *samples = read_all(audio, &n, &status);
    CHECK_OK(status);
    CHECK_MSG(n + slack >= expected && n <= expected + slack, "%zu samples, expected %zu", n,
              expected);
    double share = tone_share(samples, n, &amplitude);
    CHECK_MSG(share > least_share, "only %g of the energy is the tone", share);
    CHECK_NEAR(amplitude, 0.5, 0.03);
    CHECK(!hone_audio_truncated(audio));
    free(samples);
}

static hone_status open_wav(hone_audio **audio, audio_bytes *file, uint32_t rate, uint32_t channels,
                            size_t n) {
    int16_t *tone = audio_tone(rate, channels, n);
    *file = audio_wav(rate, channels, 16, 0, tone, n * channels * 2, (uint32_t)(n * channels * 2));
    free(tone);
    return hone_audio_open_bytes(audio, file->data, file->n);
}

/* --- what is read --- */

static void wav_at_16_khz_is_exact(void) {
    size_t n, n_clip;
    hone_status status;
    float *clip = wav_read_clip("jfk-en.wav", &n_clip);
    if (!clip) SKIP("no reference clips");
    char path[4096];
    snprintf(path, sizeof path, "%s/data/speech/jfk-en.wav", test_shared());
    hone_audio *audio;
    if (!CHECK_OK(hone_audio_open(&audio, path))) return;
    const hone_audio_info *info = hone_audio_describe(audio);
    CHECK(!strcmp(info->container, "wav") && !strcmp(info->codec, "pcm_s16le"));
    CHECK(info->rate == 16000 && info->n_channels == 1);
    CHECK_NEAR(info->seconds, 11, 1e-3);
    float *samples = read_all(audio, &n, &status);
    CHECK_OK(status);
    CHECK(n == n_clip && !memcmp(samples, clip, n * sizeof *clip));
    free(samples);
    free(clip);
    hone_audio_close(audio);
}

static void any_rate_becomes_16_khz(void) {
    const uint32_t rates[] = {8000, 11025, 16000, 22050, 32000, 44100, 48000, 96000, 192000};
    for (size_t i = 0; i < sizeof rates / sizeof *rates; i++) {
        hone_audio *audio;
        audio_bytes file;
        if (CHECK_OK(open_wav(&audio, &file, rates[i], 1, rates[i]))) {
            check_tone(audio, HONE_AUDIO_RATE, 2, 0.9999);
            hone_audio_close(audio);
        }
        free(file.data);
    }
}

static void channels_become_their_mean(void) {
    int16_t frames[1600][3];
    for (size_t i = 0; i < 1600; i++) {
        frames[i][0] = 3000;
        frames[i][1] = -6000;
        frames[i][2] = (int16_t)(i * 3);
    }
    audio_bytes file = audio_wav(16000, 3, 16, 0, frames, sizeof frames, sizeof frames);
    hone_audio *audio;
    size_t n;
    hone_status status;
    if (CHECK_OK(hone_audio_open_bytes(&audio, file.data, file.n))) {
        float *samples = read_all(audio, &n, &status);
        CHECK_OK(status);
        CHECK(n == 1600);
        for (size_t i = 0; i < n; i++)
            CHECK_NEAR(samples[i], (-1000.0 + (double)i) / 32768, 1e-6);
        CHECK(hone_audio_describe(audio)->n_channels == 3);
        free(samples);
        hone_audio_close(audio);
    }
    free(file.data);
}

static void up_to_64_channels_are_read(void) {
    hone_audio *audio;
    audio_bytes file;
    if (CHECK_OK(open_wav(&audio, &file, 16000, 64, 8000))) {
        check_tone(audio, 8000, 0, 0.9999);
        hone_audio_close(audio);
    }
    free(file.data);
}

static void every_format_is_read(void) {
    const struct {
        const char *container, *codec;
        int rate, channels;
        double share; /* what a lossy codec leaves of a tone */
    } kinds[] = {
        {"wav", "pcm_s24le", 44100, 2, 0.9999}, {"wav", "pcm_f32le", 16000, 1, 0.9999},
        {"wav", "pcm_u8", 8000, 1, 0.99},       {"wav", "pcm_mulaw", 8000, 1, 0.99},
        {"wav", "pcm_alaw", 8000, 1, 0.99},     {"wav", "pcm_f64le", 16000, 1, 0.9999},
        {"w64", "pcm_s16le", 48000, 2, 0.9999}, {"flac", "flac", 44100, 2, 0.9999},
        {"mp3", "libmp3lame", 44100, 2, 0.99},  {"mp3", "libmp3lame", 22050, 1, 0.99},
        {"ogg", "libvorbis", 44100, 2, 0.99},   {"ogg", "libopus", 48000, 2, 0.99},
        {"ogg", "flac", 16000, 1, 0.9999},      {"mp4", "aac", 44100, 2, 0.99},
        {"ipod", "aac", 16000, 1, 0.99},        {"mov", "alac", 44100, 1, 0.9999},
        {"adts", "aac", 44100, 1, 0.99},        {"webm", "libopus", 48000, 1, 0.99},
        {"webm", "libvorbis", 44100, 2, 0.99},  {"matroska", "flac", 32000, 1, 0.9999},
    };
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        size_t rate = (size_t)kinds[i].rate;
        audio_bytes file = audio_encode(kinds[i].container, kinds[i].codec, kinds[i].rate,
                                        kinds[i].channels, rate);
        hone_audio *audio;
        if (!file.data) {
            printf("no encoder for %s in %s\n", kinds[i].codec, kinds[i].container);
            continue;
        }
        printf("%s in %s, %d Hz, %d channels\n", kinds[i].codec, kinds[i].container, kinds[i].rate,
               kinds[i].channels);
        if (CHECK_OK(hone_audio_open_bytes(&audio, file.data, file.n))) {
            const hone_audio_info *info = hone_audio_describe(audio);
            CHECK(info->rate == kinds[i].rate && info->n_channels == kinds[i].channels);
            /* encoders pad to whole frames and begin with silence */
            check_tone(audio, HONE_AUDIO_RATE, HONE_AUDIO_RATE / 4, kinds[i].share);
            CHECK_OK(hone_audio_rewind(audio));
            check_tone(audio, HONE_AUDIO_RATE, HONE_AUDIO_RATE / 4, kinds[i].share);
            hone_audio_close(audio);
        }
        av_free(file.data);
    }
}

typedef struct pipe_end {
    const uint8_t *data;
    size_t n, at, step;
} pipe_end;

static ptrdiff_t read_pipe(void *user, void *bytes, size_t n) {
    pipe_end *p = user;
    size_t take = p->n - p->at;
    if (take > p->step) take = p->step;
    if (take > n) take = n;
    memcpy(bytes, p->data + p->at, take);
    p->at += take;
    return (ptrdiff_t)take;
}

static void files_come_through_a_pipe(void) {
    const char *const kinds[][2] = {{"wav", "pcm_s16le"}, {"flac", "flac"}, {"mp3", "libmp3lame"},
                                    {"ogg", "libopus"}, {"webm", "libopus"}};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        audio_bytes file = audio_encode(kinds[i][0], kinds[i][1], 48000, 1, 48000);
        if (!file.data) continue;
        pipe_end in = {file.data, file.n, 0, 777};
        hone_audio *audio;
        if (CHECK_OK(hone_audio_open_stream(&audio, read_pipe, &in))) {
            check_tone(audio, HONE_AUDIO_RATE, HONE_AUDIO_RATE / 4, 0.99);
            hone_audio_close(audio);
        }
        av_free(file.data);
    }
}

static void raw_samples_are_read_at_any_rate(void) {
    const int rates[] = {8000, 16000, 44100};
    for (size_t i = 0; i < 3; i++) {
        size_t rate = (size_t)rates[i];
        int16_t *tone = audio_tone(rate, 2, rate);
        pipe_end in = {(const uint8_t *)tone, rate * 4 + 3, 0, 1001}; /* odd pieces, a torn end */
        tone = realloc(tone, rate * 4 + 4);
        in.data = (const uint8_t *)tone;
        hone_audio *audio;
        if (CHECK_OK(hone_audio_open_pcm(&audio, rates[i], 2, read_pipe, &in))) {
            check_tone(audio, HONE_AUDIO_RATE, 2, 0.9999);
            hone_audio_close(audio);
        }
        free(tone);
    }
}

static void samples_in_memory_are_handed_through(void) {
    const float in[5] = {0.25f, -0.5f, NAN, 7, -INFINITY}, want[5] = {0.25f, -0.5f, 0, 1, -1};
    float out[8];
    size_t n;
    hone_audio *audio;
    if (!CHECK_OK(hone_audio_open_samples(&audio, in, 5))) return;
    CHECK_OK(hone_audio_read(audio, out, 2, &n));
    CHECK(n == 2);
    CHECK_OK(hone_audio_read(audio, out + 2, 6, &n));
    CHECK(n == 3 && !memcmp(out, want, sizeof want));
    CHECK_OK(hone_audio_read(audio, out, 8, &n));
    CHECK(n == 0);
    hone_audio_close(audio);
}

static void one_millisecond_is_read(void) {
    hone_audio *audio;
    audio_bytes file;
    size_t n;
    hone_status status;
    if (CHECK_OK(open_wav(&audio, &file, 48000, 2, 48))) {
        free(read_all(audio, &n, &status));
        CHECK_OK(status);
        CHECK_MSG(n == 16, "%zu samples", n);
        hone_audio_close(audio);
    }
    free(file.data);
}

/* Six hours of raw samples that nobody holds. */
typedef struct endless {
    size_t left;
} endless;

static ptrdiff_t read_zeros(void *user, void *bytes, size_t n) {
    endless *e = user;
    size_t take = n < e->left ? n : e->left;
    memset(bytes, 0, take);
    e->left -= take;
    return (ptrdiff_t)take;
}

static void memory_does_not_grow_with_length(void) {
    endless in = {(size_t)6 * 3600 * 8000 * 2};
    static float samples[48000];
    hone_audio *audio;
    size_t n, total = 0;
    struct rusage before, after;
    if (!CHECK_OK(hone_audio_open_pcm(&audio, 8000, 1, read_zeros, &in))) return;
    getrusage(RUSAGE_SELF, &before);
    do {
        CHECK_OK(hone_audio_read(audio, samples, 48000, &n));
        total += n;
    } while (n);
    getrusage(RUSAGE_SELF, &after);
    CHECK_MSG(total + 2 >= (size_t)6 * 3600 * 16000, "%zu samples", total);
    CHECK_MSG(after.ru_maxrss - before.ru_maxrss < 8 << 10, "grew by %ld KiB",
              after.ru_maxrss - before.ru_maxrss);
    hone_audio_close(audio);
}

/* --- what is not --- */

static void check_refused(const void *bytes, size_t n, hone_status expected, const char *words) {
    hone_audio *audio = NULL;
    hone_status status = hone_audio_open_bytes(&audio, bytes, n);
    CHECK_MSG(status == expected && strstr(hone_error_message(), words), "%s: %s",
              hone_status_name(status), status ? hone_error_message() : "");
    CHECK(!audio);
    hone_audio_close(audio);
}

static void empty_and_foreign_bytes_are_refused(void) {
    check_refused("", 0, HONE_ERR_FORMAT, "empty");
    check_refused("x", 1, HONE_ERR_FORMAT, "not an audio file");
    const char *text = "This is a letter and no sound at all.\n";
    check_refused(text, strlen(text), HONE_ERR_FORMAT, "not an audio file");
    uint8_t noise[65536];
    uint32_t x = 1;
    for (size_t i = 0; i < sizeof noise; i++)
        noise[i] = (uint8_t)((x = x * 1664525 + 1013904223) >> 24);
    hone_audio *audio = NULL;
    CHECK(hone_audio_open_bytes(&audio, noise, sizeof noise) != HONE_OK);
    audio_bytes other = audio_encode("aiff", "pcm_s16be", 44100, 1, 4410);
    if (other.data) check_refused(other.data, other.n, HONE_ERR_UNSUPPORTED, "\"aiff\"");
    av_free(other.data);
    other = audio_encode("wav", "adpcm_ms", 44100, 1, 44100);
    if (other.data) check_refused(other.data, other.n, HONE_ERR_UNSUPPORTED, "\"adpcm_ms\"");
    av_free(other.data);
}

static void playlists_open_no_file(void) {
    const char *list = "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nfile:///etc/passwd\n";
    hone_audio *audio = NULL;
    CHECK(hone_audio_open_bytes(&audio, list, strlen(list)) != HONE_OK);
    const char *concat = "ffconcat version 1.0\nfile /etc/passwd\n";
    CHECK(hone_audio_open_bytes(&audio, concat, strlen(concat)) != HONE_OK);
}

static void impossible_headers_are_refused(void) {
    int16_t tone[500] = {1, 2, 3};
    audio_bytes file = audio_wav(0, 1, 16, 0, tone, sizeof tone, sizeof tone);
    check_refused(file.data, file.n, HONE_ERR_FORMAT, "0 Hz");
    free(file.data);
    file = audio_wav(16000, 96, 16, 0, tone, sizeof tone, sizeof tone);
    check_refused(file.data, file.n, HONE_ERR_FORMAT, "96 channels");
    free(file.data);
    file = audio_wav(16000, 1, 16, 0, tone, sizeof tone, 0xFFFFFFF0u);
    check_refused(file.data, file.n, HONE_ERR_FORMAT, "promises");
    free(file.data);
    file = audio_wav(100, 1, 16, 0, tone, sizeof tone, sizeof tone);
    check_refused(file.data, file.n, HONE_ERR_FORMAT, "100 Hz");
    free(file.data);
}

static void missing_files_are_not_found(void) {
    hone_audio *audio = NULL;
    CHECK(hone_audio_open(&audio, "/nowhere/at/all.wav") == HONE_ERR_NOT_FOUND);
    CHECK(strstr(hone_error_message(), "/nowhere/at/all.wav"));
    CHECK(hone_audio_open(&audio, "/") != HONE_OK);
}

static void a_file_that_breaks_off_says_so(void) {
    int16_t *tone = audio_tone(16000, 1, 8000);
    audio_bytes file = audio_wav(16000, 1, 16, 0, tone, 16000, 32000);
    hone_audio *audio;
    size_t n;
    hone_status status;
    if (CHECK_OK(hone_audio_open_bytes(&audio, file.data, file.n))) {
        free(read_all(audio, &n, &status));
        CHECK_OK(status);
        CHECK(n == 8000);
        CHECK(hone_audio_truncated(audio));
        hone_audio_close(audio);
    }
    free(file.data);
    free(tone);
}

static void a_header_of_unknown_length_is_a_stream(void) {
    int16_t *tone = audio_tone(16000, 1, 8000);
    audio_bytes file = audio_wav(16000, 1, 16, 0, tone, 16000, 0xFFFFFFFFu);
    hone_audio *audio;
    if (CHECK_OK(hone_audio_open_bytes(&audio, file.data, file.n))) {
        check_tone(audio, 8000, 0, 0.9999);
        hone_audio_close(audio);
    }
    free(file.data);
    free(tone);
}

static void files_cut_anywhere_end_or_fail(void) {
    const char *const kinds[][2] = {{"flac", "flac"},   {"mp3", "libmp3lame"}, {"ogg", "libvorbis"},
                                    {"ogg", "libopus"}, {"mp4", "aac"},        {"webm", "libopus"},
                                    {"adts", "aac"},    {"wav", "pcm_s24le"}};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        audio_bytes file = audio_encode(kinds[i][0], kinds[i][1], 48000, 2, 24000);
        for (size_t part = 0; file.data && part < 40; part++) {
            size_t cut = file.n * part / 40, n;
            hone_status status;
            hone_audio *audio;
            uint8_t *copy = malloc(cut + 1); /* so that reading beyond it shows */
            memcpy(copy, file.data, cut);
            if (hone_audio_open_bytes(&audio, copy, cut) == HONE_OK) {
                free(read_all(audio, &n, &status));
                CHECK_MSG(n <= 24000, "%s cut at %zu: %zu samples", kinds[i][0], cut, n);
                hone_audio_close(audio);
            }
            free(copy);
        }
        av_free(file.data);
    }
}

static void samples_that_are_no_numbers_are_silence(void) {
    float in[3200];
    for (size_t i = 0; i < 3200; i++) in[i] = i % 3 == 0 ? NAN : i % 3 == 1 ? INFINITY : 3.0f;
    const uint32_t rates[] = {16000, 44100};
    for (size_t r = 0; r < 2; r++) {
        audio_bytes file = audio_wav(rates[r], 1, 32, 1, in, sizeof in, sizeof in);
        hone_audio *audio;
        size_t n;
        hone_status status;
        if (CHECK_OK(hone_audio_open_bytes(&audio, file.data, file.n))) {
            float *samples = read_all(audio, &n, &status);
            CHECK_OK(status);
            CHECK(n > 1000);
            for (size_t i = 0; i < n; i++) CHECK(samples[i] >= -1 && samples[i] <= 1);
            free(samples);
            hone_audio_close(audio);
        }
        free(file.data);
    }
}

static void a_file_without_a_sample_is_empty_audio(void) {
    audio_bytes file = audio_wav(16000, 1, 16, 0, NULL, 0, 0);
    hone_audio *audio;
    size_t n;
    float sample;
    if (CHECK_OK(hone_audio_open_bytes(&audio, file.data, file.n))) {
        CHECK_OK(hone_audio_read(audio, &sample, 1, &n));
        CHECK(n == 0 && !hone_audio_truncated(audio));
        hone_audio_close(audio);
    }
    free(file.data);
}

static ptrdiff_t broken_reader(void *user, void *bytes, size_t n) {
    (void)user, (void)bytes, (void)n;
    return -1;
}

static void a_reader_that_fails_is_an_io_error(void) {
    hone_audio *audio = NULL;
    float sample;
    size_t n;
    CHECK(hone_audio_open_stream(&audio, broken_reader, NULL) == HONE_ERR_IO);
    if (CHECK_OK(hone_audio_open_pcm(&audio, 16000, 1, broken_reader, NULL))) {
        CHECK(hone_audio_read(audio, &sample, 1, &n) == HONE_ERR_IO);
        hone_audio_close(audio);
    }
    CHECK(hone_audio_open_pcm(&audio, 0, 1, broken_reader, NULL) == HONE_ERR_FORMAT);
    CHECK(hone_audio_open_pcm(&audio, 16000, 0, broken_reader, NULL) == HONE_ERR_FORMAT);
}

int main(void) {
    RUN(wav_at_16_khz_is_exact);
    RUN(any_rate_becomes_16_khz);
    RUN(channels_become_their_mean);
    RUN(up_to_64_channels_are_read);
    RUN(every_format_is_read);
    RUN(files_come_through_a_pipe);
    RUN(raw_samples_are_read_at_any_rate);
    RUN(samples_in_memory_are_handed_through);
    RUN(one_millisecond_is_read);
    RUN(memory_does_not_grow_with_length);
    RUN(empty_and_foreign_bytes_are_refused);
    RUN(playlists_open_no_file);
    RUN(impossible_headers_are_refused);
    RUN(missing_files_are_not_found);
    RUN(a_file_that_breaks_off_says_so);
    RUN(a_header_of_unknown_length_is_a_stream);
    RUN(files_cut_anywhere_end_or_fail);
    RUN(samples_that_are_no_numbers_are_silence);
    RUN(a_file_without_a_sample_is_empty_audio);
    RUN(a_reader_that_fails_is_an_io_error);
    return test_summary();
}
