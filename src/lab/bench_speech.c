#include "lab/bench_speech.h"

#include <math.h>
#include <stdio.h>

#include "base/cpu.h"
#include "base/mem.h"
#include "base/system.h"

enum { WINDOW_SECONDS = 30, N_PARTS = 4 };

typedef struct run {
    bench_speech *b;
    hone_model *model;
    const bench_speech_settings *s;
    float *noise;      /* NULL: there is a file */
    int32_t end;       /* the token that is forbidden where lengths are fixed */
    double *values[N_PARTS]; /* [repeat] each: factor, spectrum, encoder, decoder */
} run;

/* --- the work --- */

/* Loud enough not to be taken for silence (xorshift64*). */
static hone_status make_noise(run *r) {
    const size_t n = (size_t)WINDOW_SECONDS * HONE_AUDIO_RATE;
    uint64_t state = r->s->seed * 0x9E3779B97F4A7C15u + 1;
    r->noise = mem_alloc(n * sizeof *r->noise);
    if (!r->noise) return mem_fail("audio", n * sizeof *r->noise);
    for (size_t i = 0; i < n; i++) {
        state ^= state >> 12, state ^= state << 25, state ^= state >> 27;
        r->noise[i] = (float)((int32_t)(state * 0x2545F4914F6CDD1Du >> 32)) * 0x1p-33f;
    }
    return HONE_OK;
}

static void find_end(run *r) {
    int32_t n_vocab = (int32_t)hone_model_describe(r->model)->n_vocab;
    for (r->end = 0; r->end < n_vocab && !hone_is_stop_token(r->model, r->end);) r->end++;
}

static void choose_options(const run *r, size_t n_beams, hone_transcribe_options *o) {
    static const float cold[] = {0};
    hone_transcribe_defaults(o);
    o->beam_size = (int)n_beams;
    o->exact = r->s->exact;
    o->language = r->s->language;
    if (!r->noise) return;
    o->language = "en";
    o->timestamps = false;
    o->temperatures = cold;
    o->n_temperatures = 1;
    o->suppress = &r->end;
    o->n_suppress = 1;
    o->suppress_blank = false;
    o->compression_ratio_threshold = o->no_speech_threshold = NAN;
    o->max_tokens = BENCH_SPEECH_TOKENS;
}

static size_t count_tokens(const hone_transcript *t) {
    size_t n = 0;
    for (size_t i = 0; i < t->n_segments; i++) n += t->segments[i].n_tokens;
    return n;
}

static hone_status transcribe_once(const run *r, size_t n_beams, bench_speech_row *row,
                                   double parts[N_PARTS]) {
    hone_transcribe_options o;
    hone_transcript t;
    hone_audio *audio;
    choose_options(r, n_beams, &o);
    if (r->noise)
        TRY(hone_audio_open_samples(&audio, r->noise, (size_t)WINDOW_SECONDS * HONE_AUDIO_RATE));
    else
        TRY(hone_audio_open(&audio, r->s->audio));
    double begin = clock_ms();
    hone_status status = hone_transcribe(r->model, audio, &o, &t);
    double took = clock_ms() - begin;
    hone_audio_close(audio);
    TRY(status);
    double windows = t.n_windows ? (double)t.n_windows : 1;
    bool cancelled = t.cancelled;
    row->seconds = t.seconds;
    row->n_windows = t.n_windows;
    row->n_tokens = count_tokens(&t);
    parts[0] = t.seconds > 0 ? took / 1e3 / t.seconds : 0;
    parts[1] = t.seconds > 0 ? t.mel_ms * WINDOW_SECONDS / t.seconds : 0;
    parts[2] = t.encode_ms / windows;
    parts[3] = t.decode_ms > 0 ? 1e3 * (double)row->n_tokens / t.decode_ms : 0;
    hone_transcript_release(&t);
    return cancelled ? fail(HONE_ERR_CANCELLED, "cancelled") : HONE_OK;
}

static hone_status tell(const run *r, size_t n_beams, size_t done) {
    const bench_speech_settings *s = r->s;
    const char *what = n_beams == 1 ? "one hypothesis" : "five beams";
    bool go_on = !s->observe || s->observe(s->context, what, BENCH_SPEECH_TOKENS, done, s->repeat);
    return go_on ? HONE_OK : HONE_ERR_CANCELLED;
}

static hone_status measure(run *r, size_t n_beams, bench_speech_row *row) {
    double parts[N_PARTS];
    row->n_beams = n_beams;
    TRY(tell(r, n_beams, 0));
    TRY(transcribe_once(r, n_beams, row, parts));
    for (size_t i = 0; i < r->s->repeat; i++) {
        TRY(tell(r, n_beams, i + 1));
        TRY(transcribe_once(r, n_beams, row, parts));
        for (int p = 0; p < N_PARTS; p++) r->values[p][i] = parts[p];
    }
    row->factor = spread_of(r->values[0], r->s->repeat);
    row->spectrum_ms = spread_of(r->values[1], r->s->repeat);
    row->encoder_ms = spread_of(r->values[2], r->s->repeat);
    row->decoder = spread_of(r->values[3], r->s->repeat);
    validity_judge_spread(&r->b->validity, n_beams == 1 ? "one hypothesis" : "five beams",
                          spread_width(&row->factor));
    return HONE_OK;
}

static hone_status measure_all(run *r) {
    bench shared;
    double before, after;
    machine_state first, last;
    bench_init(&shared);
    int n_threads = hone_model_describe(r->model)->n_threads;
    TRY(bench_look_at_limits(&shared, n_threads, &before));
    bool forgotten = system_forget_peak(); /* looking at the limits took memory, too */
    machine_look(&first);
    TRY(measure(r, 1, &r->b->rows[0]));
    TRY(measure(r, BENCH_SPEECH_BEAMS, &r->b->rows[1]));
    machine_look(&last);
    r->b->peak_memory_bytes = forgotten ? system_peak_resident_bytes() : system_resident_bytes();
    TRY(bench_look_at_limits(&shared, n_threads, &after));
    r->b->limits = shared.limits;
    validity_add(&r->b->validity, &shared.validity);
    validity_judge_machine(&r->b->validity, &first, &last, n_threads, cpu_usable_count());
    validity_judge_limits(&r->b->validity, before, after);
    validity_judge_repetitions(&r->b->validity, r->s->repeat);
    return HONE_OK;
}

hone_status bench_speech_run(bench_speech *b, hone_model *model,
                             const bench_speech_settings *settings) {
    run r = {.b = b, .model = model, .s = settings};
    *b = (bench_speech){.peak_memory_bytes = 0};
    hone_status status = settings->audio ? HONE_OK : make_noise(&r);
    for (int p = 0; p < N_PARTS && status == HONE_OK; p++) {
        r.values[p] = mem_calloc(settings->repeat, sizeof **r.values);
        if (!r.values[p]) status = mem_fail("measurements", settings->repeat * sizeof **r.values);
    }
    if (status == HONE_OK) {
        find_end(&r);
        status = measure_all(&r);
    }
    for (int p = 0; p < N_PARTS; p++) mem_free(r.values[p]);
    mem_free(r.noise);
    return status;
}

/* --- keeping --- */

static hone_status store_row(const bench_speech_row *row, results *r, int64_t id) {
    char condition[64];
    snprintf(condition, sizeof condition, "beams=%zu seconds=%.0f tokens=%zu", row->n_beams,
             row->seconds, row->n_tokens);
    const struct {
        const char *name, *unit;
        const spread *s;
        int better;
    } all[] = {{"real_time_factor", "s/s", &row->factor, -1},
               {"spectrum", "ms", &row->spectrum_ms, -1},
               {"encoder", "ms", &row->encoder_ms, -1},
               {"decoder", "tokens/s", &row->decoder, 1}};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        const spread *s = all[i].s;
        const result_metric metric = {.name = all[i].name, .condition = condition,
                                      .unit = all[i].unit, .value = s->median, .low = s->low,
                                      .high = s->high, .n = s->n, .better = all[i].better};
        TRY(results_add_metrics(r, id, &metric, 1));
    }
    return HONE_OK;
}

hone_status bench_speech_store(const bench_speech *b, results *r, int64_t id) {
    const result_metric memory = {.name = "peak_memory", .unit = "bytes",
                                  .value = (double)b->peak_memory_bytes, .low = NAN, .high = NAN,
                                  .n = 1, .better = -1};
    for (int i = 0; i < 2; i++) TRY(store_row(&b->rows[i], r, id));
    return results_add_metrics(r, id, &memory, 1);
}
