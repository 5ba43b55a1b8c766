/* mel: log-mel windows of real clips, and the mel matrix behind them. */
#define TEST_SHARED_STATE
#include "golden.h"
#include "media/mel_int.h"
#include "test.h"
#include "wav.h"

static void window_is_near(const golden *g, size_t index, const json_t *item, double bound) {
    const char *clip = json_string_value(json_object_get(item, "clip"));
    size_t n, stored = (size_t)json_integer_value(json_object_get(item, "stored_frames"));
    double floor = json_number_value(json_object_get(item, "floor")), largest = 0;
    const float *want = golden_floats(g, "mel", index);
    float *samples = wav_read_clip(clip, &n);
    float *have = malloc(sizeof *have * MEL_BANDS * MEL_WINDOW_FRAMES);
    CHECK_MSG(samples, "%s cannot be read", clip);
    CHECK(n == (size_t)json_integer_value(json_object_get(item, "samples")));
    if (samples && want && CHECK_OK(mel_window(samples, n, NULL, have))) {
        for (size_t band = 0; band < MEL_BANDS; band++) {
            const float *row = have + band * MEL_WINDOW_FRAMES;
            double difference = largest_difference(row, want + band * stored, stored);
            if (!(difference <= largest)) largest = difference;
            for (size_t i = stored; i < MEL_WINDOW_FRAMES; i++)
                CHECK_NEAR(row[i], floor, bound);
        }
        printf("%s: largest difference %.2g, allowed %.2g\n", clip, largest, bound);
        CHECK(largest <= bound);
    }
    free(have);
    free(samples);
}

static void matrix_is_near(const golden *g) {
    const safetensors_entry *filters = safetensors_find(g->tensors, "filters");
    CHECK(filters && filters->bytes == sizeof(float) * MEL_BANDS * MEL_BINS);
    if (!filters) return;
    static mel_plan plan;
    mel_plan_init(&plan);
    for (size_t band = 0; band < MEL_BANDS; band++) {
        const float *want = (const float *)filters->view.data + band * MEL_BINS;
        float have[MEL_BINS] = {0};
        for (size_t i = 0; i < plan.bands[band].n; i++)
            have[plan.bands[band].first + i] = (float)plan.weights[plan.bands[band].weights + i];
        CHECK_NEAR(largest_difference(have, want, MEL_BINS), 0, 1e-8);
    }
}

void check_mel(const golden *g) {
    const json_t *tolerance = json_object_get(json_object_get(g->json, "tolerances"), "mel");
    double bound = json_number_value(json_object_get(tolerance, "atol"));
    size_t i;
    json_t *item;
    RUN_NAMED("mel: matrix", matrix_is_near(g));
    json_array_foreach(json_object_get(g->json, "cases"), i, item) {
        const char *clip = json_string_value(json_object_get(item, "clip"));
        RUN_NAMED(clip, window_is_near(g, i, item, bound));
    }
}
