/* whisper_real: the real weights over recorded clips, in the exact mode: detected languages, ids
 * with and without time marks and of translations, first logits, encoder outputs, word errors.
 *
 * The model is $HONE_TEST_MODELS/whisper-base or whisper-tiny.en: a file or a folder of any form. */
#define TEST_SHARED_STATE
#include <jansson.h>

#include "golden.h"
#include "infer/speech_decode.h"
#include "infer/speech_input.h"
#include "test.h"
#include "text/whisper_normalizer.h"
#include "text/word_errors.h"
#include "wav.h"

/* A clip whose best two candidates come closer than this may go either way. */
#define CLEAR_MARGIN 0.05

enum { PLAIN, TIMED, TRANSLATED, KINDS };
static const char *const kind_names[KINDS] = {"plain", "timed", "translate"};

typedef struct real {
    const golden *g;
    hone_model *model;
    float *mel;
    whisper_cross cross;
    size_t n_same, n_unclear, n_languages;
    size_t n_words[KINDS], n_errors[KINDS], want_errors[KINDS];
} real;

static hone_status decode(real *r, const int32_t *prompt, size_t n_prompt, bool timestamps,
                          speech_window *w) {
    static const float cold[] = {0};
    const speech_tokens *ids = &r->model->speech_ids;
    speech_settings settings = {
        .rules = {.ids = ids, .timestamps = timestamps, .suppress_blank = true,
                  .suppress = ids->suppress, .n_suppress = ids->n_suppress, .last_initial = 50},
        .temperatures = cold, .n_temperatures = 1, .beam_size = 1, .best_of = 1, .patience = 1,
        .length_penalty = NAN, .compression_ratio_threshold = NAN, .logprob_threshold = NAN,
        .no_speech_threshold = NAN, .max_tokens = 224, .exact = true};
    *w = (speech_window){.cross = &r->cross, .n_prompt = n_prompt};
    memcpy(w->prompt, prompt, n_prompt * sizeof *prompt);
    return speech_decode(r->model, &settings, w, 1);
}

static void add_normalised(buf *out, const char *text, size_t n, bool english) {
    CHECK_OK(english ? whisper_normalise_english(out, text, n, NULL)
                     : whisper_normalise_basic(out, text, n, false, false));
    CHECK_OK(buf_add(out, "", 1));
}

static void count_errors(real *r, int kind, const json_t *clip, const speech_window *w) {
    const char *reference = json_string_value(json_object_get(clip, "reference"));
    bool english = !strcmp(json_string_value(json_object_get(clip, "lang")), "en");
    const json_t *edits = json_object_get(json_object_get(clip, kind_names[kind]), "edits");
    if (!reference || !edits) return;
    buf text, want, have;
    buf_init(&text, 1 << 20);
    buf_init(&want, 1 << 20);
    buf_init(&have, 1 << 20);
    word_errors e = {0};
    CHECK_OK(speech_add_text(r->model, w->tokens, w->n_tokens, &text));
    add_normalised(&want, reference, strlen(reference), english);
    add_normalised(&have, text.data ? text.data : "", text.len, english);
    CHECK_OK(word_errors_count(&e, want.data, have.data));
    r->n_words[kind] += e.n_words;
    r->n_errors[kind] += e.n_errors;
    r->want_errors[kind] += (size_t)json_integer_value(edits);
    buf_release(&text);
    buf_release(&want);
    buf_release(&have);
}

static void ids_match(real *r, int kind, const json_t *clip) {
    const json_t *want = json_object_get(clip, kind_names[kind]);
    size_t n, n_prompt;
    if (!want) return;
    int32_t *ids = golden_ids(json_object_get(want, "ids"), &n);
    int32_t *prompt = golden_ids(json_object_get(want, "prompt"), &n_prompt);
    double margin = json_real_value(json_object_get(want, "min_margin"));
    speech_window *w = calloc(1, sizeof *w);
    while (n > 0 && ids[n - 1] == r->model->speech_ids.end) n--;
    bool timestamps = prompt[n_prompt - 1] != r->model->speech_ids.no_timestamps;
    if (CHECK_OK(decode(r, prompt, n_prompt, timestamps, w))) {
        bool same = w->n_tokens == n && memcmp(w->tokens, ids, n * sizeof *ids) == 0;
        CHECK_MSG(same || margin <= CLEAR_MARGIN, "%s, %s: other ids, though the margin is %g",
                  json_string_value(json_object_get(clip, "file")), kind_names[kind], margin);
        r->n_same += same;
        r->n_unclear += !same;
        count_errors(r, kind, clip, w);
    }
    free(w);
    free(prompt);
    free(ids);
}

static void language_matches(real *r, const json_t *clip) {
    const json_t *want = json_object_get(clip, "detected");
    float probabilities[SPEECH_MAX_LANGUAGES];
    if (!want || !CHECK_OK(speech_languages(r->model, &r->cross, true, probabilities))) return;
    size_t best = 0;
    for (size_t i = 1; i < r->model->speech_ids.n_languages; i++)
        if (probabilities[i] > probabilities[best]) best = i;
    const char *code = json_string_value(json_object_get(want, "language"));
    CHECK_MSG(!strcmp(code, speech_language_code(best)), "%s, expected %s",
              speech_language_code(best), code);
    CHECK_NEAR(probabilities[best], json_real_value(json_object_get(want, "probability")), 1e-3);
    r->n_languages++;
}

/* The encoder's first 64 positions, of the clips that have them. */
static void encoder_matches(const real *r, size_t i, const float *audio) {
    char name[32];
    snprintf(name, sizeof name, "encoder.%zu", i);
    const safetensors_entry *want = safetensors_find(r->g->tensors, name);
    if (!want) return;
    double d = largest_difference(audio, want->view.data, want->view.ne[0] * want->view.ne[1]);
    CHECK_MSG(d < 2e-3, "clip %zu: %g", i, d); /* of values up to 25 */
}

static bool encode(real *r, size_t i, const json_t *clip) {
    char path[4096];
    const char *file = json_string_value(json_object_get(clip, "file"));
    snprintf(path, sizeof path, "%s/data/speech/%s", test_shared(), file);
    hone_audio *source = NULL;
    speech_input in;
    const float *audio = NULL;
    size_t n_content;
    whisper_run run = speech_run(r->model, true);
    if (!CHECK_OK(hone_audio_open(&source, path))) return false;
    bool fine = CHECK_OK(speech_input_open(&in, r->model, source, HONE_MEL_HF, false)) &&
                CHECK_OK(speech_input_window(&in, 0, r->mel, &n_content)) &&
                CHECK_OK(whisper_encode(&run, r->mel, &r->cross, &audio));
    if (fine) encoder_matches(r, i, audio);
    speech_input_close(&in);
    hone_audio_close(source);
    return fine;
}

static void check_clip(real *r, size_t i, const json_t *clip) {
    if (!encode(r, i, clip)) return;
    language_matches(r, clip);
    for (int kind = 0; kind < KINDS; kind++) ids_match(r, kind, clip);
}

static void word_errors_match(const real *r) {
    for (int kind = 0; kind < TRANSLATED; kind++)
        CHECK_MSG(r->n_errors[kind] == r->want_errors[kind] || r->n_unclear > 0,
                  "%s: %zu word errors, expected %zu", kind_names[kind], r->n_errors[kind],
                  r->want_errors[kind]);
}

/* --- whole transcripts: beams, conditions and word times, as openai-whisper gives them --- */

static float *join_clips(const json_t *files, size_t *n) {
    float *all = NULL;
    *n = 0;
    for (size_t i = 0; i < json_array_size(files); i++) {
        size_t n_clip;
        float *clip = wav_read_clip(json_string_value(json_array_get(files, i)), &n_clip);
        if (!clip) continue;
        all = realloc(all, (*n + n_clip) * sizeof *all);
        memcpy(all + *n, clip, n_clip * sizeof *all);
        *n += n_clip;
        free(clip);
    }
    return all;
}

static double number(const json_t *object, const char *key) {
    return json_number_value(json_object_get(object, key));
}

static void segment_matches(const hone_segment *s, const json_t *want, size_t i) {
    size_t n;
    int32_t *ids = golden_ids(json_object_get(want, "tokens"), &n);
    CHECK_MSG(s->n_tokens == n && memcmp(s->tokens, ids, n * sizeof *ids) == 0,
              "segment %zu: other tokens: \"%s\"", i, s->text);
    CHECK_NEAR(s->start, number(want, "start"), 1e-3);
    CHECK_NEAR(s->end, number(want, "end"), 1e-3);
    CHECK_NEAR(s->avg_logprob, number(want, "avg_logprob"), 1e-3);
    CHECK_NEAR(s->compression_ratio, number(want, "compression_ratio"), 1e-4);
    CHECK_NEAR(s->no_speech_prob, number(want, "no_speech_prob"), 1e-4);
    const json_t *words = json_object_get(want, "words");
    CHECK_MSG(s->n_words == json_array_size(words), "segment %zu: %zu words", i, s->n_words);
    for (size_t w = 0; w < s->n_words && w < json_array_size(words); w++) {
        const json_t *word = json_array_get(words, w);
        CHECK(!strcmp(s->words[w].text, json_string_value(json_array_get(word, 0))));
        CHECK_NEAR(s->words[w].start, json_number_value(json_array_get(word, 1)), 1e-3);
        CHECK_NEAR(s->words[w].end, json_number_value(json_array_get(word, 2)), 1e-3);
        CHECK_NEAR(s->words[w].probability, json_number_value(json_array_get(word, 3)), 1e-3);
    }
    free(ids);
}

static void transcript_matches(const real *r, const json_t *c) {
    static const float cold[] = {0};
    size_t n;
    hone_transcribe_options o;
    hone_transcribe_defaults(&o);
    o.exact = true;
    o.temperatures = cold;
    o.n_temperatures = 1;
    o.no_speech_threshold = 2; /* no check for silence: OpenAI's program decodes every window */
    o.language = json_string_value(json_object_get(c, "language"));
    o.task = json_is_true(json_object_get(c, "translate")) ? HONE_TRANSLATE : HONE_TRANSCRIBE;
    o.beam_size = (int)number(c, "beam_size");
    o.patience = (float)number(c, "patience");
    if (json_is_number(json_object_get(c, "length_penalty")))
        o.length_penalty = (float)number(c, "length_penalty");
    o.words = json_is_true(json_object_get(c, "words"));
    o.timestamps = json_is_true(json_object_get(c, "timestamps"));
    o.condition_on_previous_text = json_is_true(json_object_get(c, "condition"));
    o.prompt = json_string_value(json_object_get(c, "prompt"));
    float *samples = join_clips(json_object_get(c, "files"), &n);
    hone_audio *audio = NULL;
    hone_transcript t = {0};
    CHECK_OK(hone_audio_open_samples(&audio, samples, n));
    if (CHECK_OK(hone_transcribe(r->model, audio, &o, &t))) {
        const json_t *segments = json_object_get(c, "segments");
        CHECK_MSG(t.n_segments == json_array_size(segments), "%zu segments", t.n_segments);
        for (size_t i = 0; i < t.n_segments && i < json_array_size(segments); i++)
            segment_matches(&t.segments[i], json_array_get(segments, i), i);
        hone_transcript_release(&t);
    }
    hone_audio_close(audio);
    free(samples);
}

static void check_transcripts(const real *r) {
    const char *name = "";
    char path[256];
    json_t *vectors = NULL;
    json_get_string(r->g->json, "name", &name);
    snprintf(path, sizeof path, "tests/vectors/%.100s.json", name);
    if (json_parse_file(&vectors, path, 1 << 20) != HONE_OK) return; /* none for this model */
    const json_t *cases = json_object_get(vectors, "cases");
    for (size_t i = 0; i < json_array_size(cases); i++)
        RUN_NAMED("transcript", transcript_matches(r, json_array_get(cases, i)));
    json_decref(vectors);
}

static hone_model *open_model(const golden *g) {
    const char *folder = getenv("HONE_TEST_MODELS"), *name = "";
    char path[4096];
    hone_model *model = NULL;
    json_get_string(g->json, "name", &name);
    snprintf(path, sizeof path, "%s/%s", folder ? folder : ".", name);
    if (folder && hone_model_open(&model, path, NULL) == HONE_OK) return model;
    printf("skipped %s: no model at %s\n", g->folder, path);
    test_skipped++;
    return NULL;
}

void check_real_whisper(const golden *g) {
    real r = {.g = g, .mel = malloc(MEL_BANDS * MEL_WINDOW_FRAMES * sizeof(float)),
              .model = open_model(g)};
    const json_t *clips = json_object_get(g->json, "clips");
    for (size_t i = 0; r.model && i < json_array_size(clips); i++) {
        const json_t *clip = json_array_get(clips, i);
        RUN_NAMED(json_string_value(json_object_get(clip, "file")), check_clip(&r, i, clip));
    }
    if (r.model) {
        RUN_NAMED("word errors", word_errors_match(&r));
        check_transcripts(&r);
        printf("%zu transcripts with the same ids, %zu with others where the margin is unclear; "
               "%zu languages; word errors %zu of %zu (reference %zu), with time marks %zu (%zu)\n",
               r.n_same, r.n_unclear, r.n_languages, r.n_errors[PLAIN], r.n_words[PLAIN],
               r.want_errors[PLAIN], r.n_errors[TIMED], r.want_errors[TIMED]);
    }
    whisper_cross_release(&r.cross);
    hone_model_close(r.model);
    free(r.mel);
}
