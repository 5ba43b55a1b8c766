/* Voice activity: real clips with silence and noise between them. */
#include <dirent.h>

#include "base/mem.h"
#include "media/vad.h"
#include "wav.h"

enum { RATE = 16000, MAX_SECONDS = 240 };

typedef struct scene {
    float *samples;
    size_t n;
    vad_span spoken[16]; /* clips, in frames */
    size_t n_spoken;
    uint32_t seed;
} scene;

static void scene_init(scene *s) {
    *s = (scene){.samples = calloc(RATE * MAX_SECONDS, sizeof(float)), .seed = 1};
}

static int add_clip(scene *s, const char *clip, float gain) {
    size_t n;
    float *samples = wav_read_clip(clip, &n);
    if (!samples) return 0;
    for (size_t i = 0; i < n; i++) s->samples[s->n + i] += gain * samples[i];
    s->spoken[s->n_spoken++] = (vad_span){s->n / MEL_HOP, (s->n + n) / MEL_HOP};
    s->n += n;
    free(samples);
    return 1;
}

static void add_pause(scene *s, double seconds) { s->n += (size_t)(seconds * RATE); }

static void add_noise(scene *s, float amplitude) {
    for (size_t i = 0; i < s->n; i++) {
        s->seed = s->seed * 1664525 + 1013904223;
        s->samples[i] += amplitude * ((float)(s->seed >> 8) / (1 << 23) - 1);
    }
}

static mel_stream *mel_of(const scene *s) {
    mel_stream *mel = NULL;
    CHECK_OK(mel_stream_open(&mel));
    CHECK_OK(mel_stream_push(mel, NULL, s->samples, s->n));
    CHECK_OK(mel_stream_finish(mel, NULL, 0));
    return mel;
}

static size_t overlap(const vad_spans *found, size_t begin, size_t end) {
    size_t total = 0;
    for (size_t i = 0; i < found->n; i++) {
        size_t b = found->items[i].begin > begin ? found->items[i].begin : begin;
        size_t e = found->items[i].end < end ? found->items[i].end : end;
        if (e > b) total += e - b;
    }
    return total;
}

static const char *const clips[] = {"speechbrain-spk1_snt1.wav", "librivox-sense-0880.wav",
                                    "asterisk-it-demo-enterkeywords.wav",
                                    "speechbrain-spk2_snt3.wav"};

/* Of each clip at least 85 % (they have silence of their own), of each long pause at most what is
 * kept around speech. */
static void check_scene(scene *s, const char *what) {
    mel_stream *mel = mel_of(s);
    vad_spans found;
    if (CHECK_OK(vad_find(mel, s->n / MEL_HOP, &found))) {
        for (size_t i = 0; i < s->n_spoken; i++) {
            size_t n = s->spoken[i].end - s->spoken[i].begin;
            size_t hit = overlap(&found, s->spoken[i].begin, s->spoken[i].end);
            CHECK_MSG(hit * 100 >= n * 70, "%s: clip %zu: %zu of %zu frames", what, i, hit, n);
            if (i == 0) continue;
            size_t begin = s->spoken[i - 1].end, end = s->spoken[i].begin;
            size_t wrong = overlap(&found, begin, end);
            CHECK_MSG(wrong <= 2 * VAD_PAD + 30, "%s: pause %zu: %zu of %zu frames are speech",
                      what, i, wrong, end - begin);
        }
        for (size_t i = 0; i < found.n; i++)
            CHECK(found.items[i].begin < found.items[i].end &&
                  (i == 0 || found.items[i - 1].end < found.items[i].begin));
        mem_free(found.items);
    }
    mel_stream_close(mel);
}

static void pauses_between_clips_are_found(void) {
    const float noises[] = {0, 0.0005f, 0.003f, 0.01f};
    for (size_t k = 0; k < sizeof noises / sizeof *noises; k++) {
        scene s;
        scene_init(&s);
        add_pause(&s, 2);
        for (size_t i = 0; i < 4; i++) {
            if (!add_clip(&s, clips[i], 1)) SKIP("no reference clips");
            add_pause(&s, 1.5 + (double)i);
        }
        add_noise(&s, noises[k]);
        char what[32];
        snprintf(what, sizeof what, "noise %g", (double)noises[k]);
        check_scene(&s, what);
        free(s.samples);
    }
}

static void quiet_speech_is_found(void) {
    scene s;
    scene_init(&s);
    for (size_t i = 0; i < 4; i++) {
        if (!add_clip(&s, clips[i], 0.02f)) SKIP("no reference clips");
        add_pause(&s, 2);
    }
    check_scene(&s, "quiet");
    free(s.samples);
}

static size_t found_in(scene *s) {
    mel_stream *mel = mel_of(s);
    vad_spans found = {0};
    CHECK_OK(vad_find(mel, s->n / MEL_HOP, &found));
    size_t total = overlap(&found, 0, SIZE_MAX);
    mem_free(found.items);
    mel_stream_close(mel);
    return total;
}

static void silence_and_steady_noise_are_no_speech(void) {
    const float noises[] = {0, 0.001f, 0.03f, 0.5f};
    for (size_t k = 0; k < 4; k++) {
        scene s;
        scene_init(&s);
        add_pause(&s, 40);
        add_noise(&s, noises[k]);
        size_t frames = found_in(&s);
        CHECK_MSG(frames == 0, "noise %g: %zu frames are speech", (double)noises[k], frames);
        free(s.samples);
    }
    scene hum;
    scene_init(&hum);
    hum.n = 20 * RATE;
    for (size_t i = 0; i < hum.n; i++)
        hum.samples[i] = 0.2f * (float)sin(2 * M_PI * 50 * (double)i / RATE);
    CHECK(found_in(&hum) == 0);
    free(hum.samples);
}

static void every_clip_has_speech(void) {
    char path[4096];
    if (!test_shared()) SKIP("no reference clips");
    snprintf(path, sizeof path, "%s/data/speech", test_shared());
    DIR *folder = opendir(path);
    if (!folder) SKIP("no reference clips");
    float *mel = malloc(sizeof *mel * MEL_BANDS * MEL_WINDOW_FRAMES);
    int n_clips = 0;
    for (struct dirent *e; (e = readdir(folder));) {
        size_t n;
        float *samples = strstr(e->d_name, ".wav") ? wav_read_clip(e->d_name, &n) : NULL;
        if (!samples) continue;
        CHECK_OK(mel_window(samples, n, NULL, mel));
        CHECK_MSG(vad_window_has_speech(mel, n / MEL_HOP), "%s", e->d_name);
        n_clips++;
        free(samples);
    }
    CHECK(n_clips > 50);
    closedir(folder);
    free(mel);
}

static void windows_of_silence_and_noise_have_none(void) {
    const float noises[] = {0, 0.001f, 0.03f, 0.5f};
    float *mel = malloc(sizeof *mel * MEL_BANDS * MEL_WINDOW_FRAMES);
    for (size_t k = 0; k < 4; k++) {
        scene s;
        scene_init(&s);
        add_pause(&s, 5 + (double)k * 8);
        add_noise(&s, noises[k]);
        CHECK_OK(mel_window(s.samples, s.n, NULL, mel));
        CHECK(!vad_window_has_speech(mel, s.n / MEL_HOP));
        free(s.samples);
    }
    CHECK(!vad_window_has_speech(mel, 0));
    free(mel);
}

static void nothing_has_no_spans(void) {
    scene s;
    scene_init(&s);
    CHECK(found_in(&s) == 0);
    free(s.samples);
}

static void windows_hold_all_speech(void) {
    scene s;
    scene_init(&s);
    for (size_t round = 0; round < 2; round++) {
        for (size_t i = 0; i < 4; i++) {
            if (!add_clip(&s, clips[i], 1)) SKIP("no reference clips");
            add_pause(&s, 1.2);
        }
        for (size_t i = 0; i < 3; i++) CHECK(add_clip(&s, "jfk-en.wav", 1));
    }
    mel_stream *mel = mel_of(&s);
    vad_spans speech, windows;
    if (CHECK_OK(vad_find(mel, s.n / MEL_HOP, &speech))) {
        const size_t longest[] = {3000, 1000, 400};
        for (size_t k = 0; k < 3; k++) {
            if (!CHECK_OK(vad_windows(mel, &speech, longest[k], &windows))) continue;
            for (size_t i = 0; i < windows.n; i++) {
                const vad_span *w = &windows.items[i];
                CHECK(w->begin < w->end && w->end - w->begin <= longest[k]);
                CHECK(i == 0 || windows.items[i - 1].end <= w->begin);
            }
            for (size_t i = 0; i < speech.n; i++)
                CHECK(overlap(&windows, speech.items[i].begin, speech.items[i].end) ==
                      speech.items[i].end - speech.items[i].begin);
            /* no more windows than twice the least */
            CHECK(windows.n <= 2 * (s.n / MEL_HOP) / longest[k] + 2);
            mem_free(windows.items);
        }
        mem_free(speech.items);
    }
    mel_stream_close(mel);
    free(s.samples);
}

static void short_memory_is_an_error(void) {
    scene s;
    scene_init(&s);
    if (!add_clip(&s, clips[0], 1)) SKIP("no reference clips");
    mel_stream *mel = mel_of(&s);
    for (long nth = 1; nth < 8; nth++) {
        vad_spans found, windows = {0};
        mem_fail_from(nth);
        hone_status status = vad_find(mel, s.n / MEL_HOP, &found);
        if (status == HONE_OK) status = vad_windows(mel, &found, 3000, &windows);
        long used = mem_count();
        mem_fail_from(0);
        CHECK(used < nth ? status == HONE_OK : status == HONE_ERR_MEMORY);
        mem_free(found.items);
        mem_free(windows.items);
    }
    mel_stream_close(mel);
    free(s.samples);
}

int main(void) {
    RUN(pauses_between_clips_are_found);
    RUN(quiet_speech_is_found);
    RUN(silence_and_steady_noise_are_no_speech);
    RUN(every_clip_has_speech);
    RUN(windows_of_silence_and_noise_have_none);
    RUN(nothing_has_no_spans);
    RUN(windows_hold_all_speech);
    RUN(short_memory_is_an_error);
    return test_summary();
}
