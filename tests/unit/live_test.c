/* Live transcription with the tiny reference model, which babbles: what is heard and when. */
#include "hone/hone.h"
#include "test.h"
#include "wav.h"

typedef struct heard {
    size_t n_segments, n_partials, stop_after;
    double last_end;
    bool in_order, partial_open;
} heard;

static int on_segment(void *user, const hone_segment *s) {
    heard *h = user;
    CHECK(s->id == h->n_segments);
    h->in_order = h->in_order && s->start >= h->last_end - 0.05 && s->end >= s->start;
    h->last_end = s->end;
    h->n_segments++;
    return h->stop_after && h->n_segments >= h->stop_after;
}

static void on_partial(void *user, const char *text) {
    heard *h = user;
    h->n_partials += *text != 0;
    h->partial_open = *text != 0;
}

/* NULL where it is missing. */
static hone_model *open_model(void) {
    char path[4096];
    hone_model *model = NULL;
    if (!test_shared()) return NULL;
    snprintf(path, sizeof path, "%s/golden/whisper-en", test_shared());
    FILE *probe = fopen(path, "r");
    if (!probe) return NULL;
    fclose(probe);
    CHECK_OK(hone_model_open(&model, path, NULL));
    return model;
}

static hone_status run(hone_model *model, heard *h, const float *samples, size_t n, size_t piece) {
    hone_transcribe_options options;
    hone_live *live;
    hone_transcribe_defaults(&options);
    options.beam_size = 1;
    options.n_temperatures = 1;
    options.max_tokens = 20;
    options.language = "en";
    options.on_segment = on_segment;
    options.user = h;
    h->in_order = true;
    hone_status status = hone_live_open(&live, model, &(hone_live_options){
                                            .transcribe = &options, .on_partial = on_partial,
                                            .user = h});
    if (!CHECK_OK(status)) return status;
    for (size_t at = 0; at < n && status == HONE_OK; at += piece)
        status = hone_live_push(live, samples + at, n - at < piece ? n - at : piece);
    if (status == HONE_OK) status = hone_live_finish(live);
    hone_live_close(live);
    return status;
}

static void pauses_settle_what_was_said(void) {
    hone_model *model = open_model();
    if (!model) SKIP("no reference model");
    /* pauses of nine seconds: a slow machine looks less often, but still into each */
    size_t n_clip, n = 16000 * 38;
    float *clip = wav_read_clip("librivox-sense-0880.wav", &n_clip);
    float *samples = calloc(n, sizeof *samples);
    for (size_t k = 0; clip && k < 3; k++)
        memcpy(samples + 16000 * (1 + 12 * k), clip, n_clip * sizeof *clip);
    heard h = {0};
    CHECK_OK(run(model, &h, samples, n, 1600));
    CHECK_MSG(h.n_segments >= 3, "%zu segments", h.n_segments);
    CHECK(h.in_order && !h.partial_open);
    CHECK(h.last_end <= 38);
    free(samples);
    free(clip);
    hone_model_close(model);
}

static void silence_says_nothing(void) {
    hone_model *model = open_model();
    if (!model) SKIP("no reference model");
    float *samples = calloc(16000 * 40, sizeof *samples);
    heard h = {0};
    CHECK_OK(run(model, &h, samples, 16000 * 40, 16000));
    CHECK(h.n_segments == 0 && h.n_partials == 0);
    CHECK_OK(run(model, &h, samples, 0, 1)); /* nothing at all */
    free(samples);
    hone_model_close(model);
}

/* Speech without a pause: the window fills up, and what is settled leaves it. */
static void speech_without_end_is_settled(void) {
    hone_model *model = open_model();
    if (!model) SKIP("no reference model");
    size_t n_clip, n = 16000 * 65;
    float *clip = wav_read_clip("librivox-sense-0870.wav", &n_clip);
    float *samples = calloc(n, sizeof *samples);
    for (size_t i = 0; clip && i < n; i++) samples[i] = clip[8000 + i % (n_clip - 24000)];
    heard h = {0};
    CHECK_OK(run(model, &h, samples, n, 16000 * 7));
    CHECK(h.n_segments >= 2 && h.in_order);
    free(samples);
    free(clip);
    hone_model_close(model);
}

static void the_caller_may_stop(void) {
    hone_model *model = open_model();
    if (!model) SKIP("no reference model");
    size_t n_clip;
    float *clip = wav_read_clip("jfk-en.wav", &n_clip);
    heard h = {.stop_after = 1};
    CHECK(!clip || run(model, &h, clip, n_clip, 16000) == HONE_ERR_CANCELLED);
    free(clip);
    hone_model_close(model);
}

int main(void) {
    RUN(pauses_settle_what_was_said);
    RUN(silence_says_nothing);
    RUN(speech_without_end_is_settled);
    RUN(the_caller_may_stop);
    return test_summary();
}
