/* whisper: tiny model folders against recorded encoder outputs, forced logits, language
 * probabilities and greedy ids, in the exact mode. */
#define TEST_SHARED_STATE
#include <jansson.h>

#include "base/mem.h"
#include "golden.h"
#include "infer/speech_decode.h"
#include "test.h"

typedef struct speech {
    const golden *g;
    hone_model *model;
    safetensors *mels;
    json_t *mel_json;
    double encoder_atol, logits_atol, worst_encoder, worst_logits;
} speech;

static float *case_mel(const speech *s, size_t i) {
    char name[32];
    snprintf(name, sizeof name, "mel.%zu", i);
    const safetensors_entry *e = safetensors_find(s->mels, name);
    json_t *c = json_array_get(json_object_get(s->mel_json, "cases"), i);
    float floor = (float)json_real_value(json_object_get(c, "floor"));
    float *mel = malloc(80 * 3000 * sizeof *mel);
    for (size_t b = 0; b < 80; b++)
        for (size_t t = 0; t < 3000; t++)
            mel[b * 3000 + t] = t < e->view.ne[0]
                                    ? ((const float *)e->view.data)[b * e->view.ne[0] + t]
                                    : floor;
    return mel;
}

static whisper_run exact_run(const speech *s) {
    hone_model *m = s->model;
    return (whisper_run){.m = &m->speech, .c = &m->compute, .scratch = &m->speech_scratch,
                         .exact = true};
}

static void encoder_matches(speech *s, const float *mel, whisper_cross *cross, size_t i) {
    whisper_run run = exact_run(s);
    const float *audio = NULL, *want = golden_floats(s->g, "encoder", i);
    size_t embd = s->model->speech.h.encoder.n_embd;
    if (!want || !CHECK_OK(whisper_encode(&run, mel, cross, &audio))) return;
    for (size_t t = 0; t < 250; t++) {
        double d = largest_difference(audio + 6 * t * embd, want + t * embd, embd);
        CHECK_MSG(d <= s->encoder_atol, "case %zu, position %zu: %g", i, 6 * t, d);
        if (d > s->worst_encoder) s->worst_encoder = d;
    }
}

static void logits_match(speech *s, const whisper_cross *cross, size_t i, const json_t *c) {
    whisper_run run = exact_run(s);
    size_t n, n_vocab = s->model->speech.h.n_vocab;
    int32_t *ids = golden_ids(json_object_get(c, "forced_ids"), &n);
    const float *want = golden_floats(s->g, "logits", i);
    float *logits = malloc(n * n_vocab * sizeof *logits);
    uint32_t rows[64];
    for (uint32_t r = 0; r < 64; r++) rows[r] = r;
    /* All at once, and one by one on another row of the cache: bit for bit the same. */
    float *single = malloc(n_vocab * sizeof *single);
    whisper_cache cache;
    CHECK_OK(whisper_cache_init(&cache, run.m, true, 2));
    whisper_batch all = {.cache = &cache, .items = &(whisper_item){0, 0, ids, n, cross},
                         .n_items = 1, .logit_rows = rows, .n_logit_rows = n, .logits = logits};
    if (CHECK_OK(whisper_decode(&run, &all))) {
        double d = largest_difference(logits, want, n * n_vocab);
        CHECK_MSG(d <= s->logits_atol, "case %zu: %g", i, d);
        if (d > s->worst_logits) s->worst_logits = d;
    }
    for (size_t t = 0; t < n; t++) {
        whisper_batch one = {.cache = &cache, .items = &(whisper_item){1, t, ids + t, 1, cross},
                             .n_items = 1, .logit_rows = rows, .n_logit_rows = 1, .logits = single};
        CHECK_OK(whisper_decode(&run, &one));
        CHECK_MSG(memcmp(single, logits + t * n_vocab, n_vocab * sizeof *single) == 0,
                  "case %zu: token %zu alone differs", i, t);
    }
    whisper_cache_release(&cache);
    free(single);
    free(logits);
    free(ids);
}

/* Greedy ids of one window, as long as the reference has them. */
static void greedy_matches(speech *s, const whisper_cross *cross, const json_t *c,
                           bool timestamps) {
    static const float cold[] = {0};
    size_t n, n_start;
    const char *key = timestamps ? "greedy_timestamps" : "greedy";
    const json_t *want = json_object_get(c, key);
    int32_t *ids = golden_ids(json_object_get(want, "ids"), &n);
    int32_t *start = golden_ids(timestamps ? json_object_get(want, "start")
                                           : json_object_get(c, "greedy_start"), &n_start);
    const speech_tokens *known = &s->model->speech_ids;
    speech_settings settings = {
        .rules = {.ids = known, .timestamps = timestamps, .suppress_blank = true,
                  .suppress = known->suppress, .n_suppress = known->n_suppress, .last_initial = 50},
        .temperatures = cold, .n_temperatures = 1, .beam_size = 1, .best_of = 1, .patience = 1,
        .length_penalty = NAN, .compression_ratio_threshold = NAN, .logprob_threshold = NAN,
        .no_speech_threshold = NAN, .max_tokens = n, .exact = true};
    speech_window *w = calloc(1, sizeof *w);
    *w = (speech_window){.cross = cross, .n_prompt = n_start};
    memcpy(w->prompt, start, n_start * sizeof *start);
    if (CHECK_OK(speech_decode(s->model, &settings, w, 1)))
        for (size_t i = 0; i < n; i++)
            CHECK_MSG(i < w->n_tokens && w->tokens[i] == ids[i], "%s, step %zu: %d, expected %d",
                      key, i, i < w->n_tokens ? w->tokens[i] : -1, ids[i]);
    free(w);
    free(start);
    free(ids);
}

/* Of the language tokens, from the logits behind the start token. */
static void language_matches(speech *s, const whisper_cross *cross, size_t i) {
    char name[32];
    snprintf(name, sizeof name, "language.%zu", i);
    const safetensors_entry *want = safetensors_find(s->g->tensors, name);
    if (!want) return; /* English only */
    float probabilities[SPEECH_MAX_LANGUAGES];
    CHECK_OK(speech_languages(s->model, cross, true, probabilities));
    double d = largest_difference(probabilities, want->view.data, want->view.ne[0]);
    CHECK_MSG(d <= 1e-5, "case %zu: %g", i, d);
}

static void check_case(speech *s, size_t i, const json_t *c) {
    float *mel = case_mel(s, i);
    whisper_cross cross = {0};
    RUN_NAMED("encoder", encoder_matches(s, mel, &cross, i));
    RUN_NAMED("forced logits", logits_match(s, &cross, i, c));
    RUN_NAMED("greedy", greedy_matches(s, &cross, c, false));
    RUN_NAMED("greedy with time marks", greedy_matches(s, &cross, c, true));
    RUN_NAMED("languages", language_matches(s, &cross, i));
    whisper_cross_release(&cross);
    free(mel);
}

static double tolerance(const golden *g, const char *of) {
    return json_real_value(json_object_get(
        json_object_get(json_object_get(g->json, "tolerances"), of), "atol"));
}

void check_whisper(const golden *g) {
    speech s = {.g = g, .encoder_atol = tolerance(g, "encoder"),
                .logits_atol = tolerance(g, "logits")};
    char path[4096];
    snprintf(path, sizeof path, "%s/../mel/golden.safetensors", g->folder);
    if (safetensors_open(&s.mels, path) != HONE_OK) {
        printf("skipped %s: no ../mel beside it\n", g->folder);
        test_skipped++;
        return;
    }
    snprintf(path, sizeof path, "%s/../mel/golden.json", g->folder);
    CHECK_OK(json_parse_file(&s.mel_json, path, 1 << 24));
    if (CHECK_OK(hone_model_open(&s.model, g->folder, NULL))) {
        const json_t *cases = json_object_get(g->json, "cases");
        for (size_t i = 0; i < json_array_size(cases); i++)
            check_case(&s, i, json_array_get(cases, i));
        printf("largest differences: encoder %.2g, logits %.2g\n", s.worst_encoder, s.worst_logits);
    } else {
        test_failed++;
    }
    hone_model_close(s.model);
    json_decref(s.mel_json);
    safetensors_close(s.mels);
}
