/* Defaults of a transcription, and what is refused before it begins. */
#include <math.h>
#include <string.h>

#include "infer/transcribe_int.h"

static const float default_temperatures[] = {0.0f, 0.2f, 0.4f, 0.6f, 0.8f, 1.0f};

void hone_transcribe_defaults(hone_transcribe_options *o) {
    *o = (hone_transcribe_options){
        .task = HONE_TRANSCRIBE,
        .timestamps = true,
        .condition_on_previous_text = true,
        .padding = HONE_MEL_OPENAI,
        .temperatures = default_temperatures,
        .n_temperatures = sizeof default_temperatures / sizeof *default_temperatures,
        .beam_size = 5,
        .best_of = 5,
        .patience = 1,
        .length_penalty = NAN,
        .compression_ratio_threshold = 2.4f,
        .logprob_threshold = -1.0f,
        .no_speech_threshold = 0.6f,
        .suppress_blank = true,
        .max_initial_timestamp = 1.0f,
    };
}

static hone_status check_range(const char *what, double value, double least, double most) {
    if (value >= least && value <= most) return HONE_OK;
    return fail(HONE_ERR_ARGUMENT, "%s is %g, expected %g to %g", what, value, least, most);
}

hone_status transcribe_check_options(const hone_transcribe_options *o, const hone_model *m,
                                     speech_settings *s) {
    const speech_tokens *ids = &m->speech_ids;
    size_t most_tokens = speech_context(m) / 2;
    TRY(check_range("beam size", o->beam_size, 1, SPEECH_MAX_BEAMS));
    TRY(check_range("best_of", o->best_of, 1, SPEECH_MAX_BEAMS));
    TRY(check_range("patience", (double)o->patience, 0.1, 16));
    TRY(check_range("tokens of a window", (double)o->max_tokens, 0, (double)most_tokens));
    TRY(check_range("windows at once", (double)o->n_batch, 0, SPEECH_MAX_WINDOWS));
    if (!isnan(o->length_penalty))
        TRY(check_range("length penalty", (double)o->length_penalty, -10, 10));
    for (size_t i = 0; i < o->n_temperatures; i++)
        TRY(check_range("temperature", (double)o->temperatures[i], 0, 2));
    for (size_t i = 0; o->suppress && i < o->n_suppress; i++)
        if (o->suppress[i] < 0 || o->suppress[i] >= ids->n_vocab)
            return fail(HONE_ERR_ARGUMENT, "token %d cannot be suppressed: the vocabulary has %d",
                        o->suppress[i], ids->n_vocab);
    *s = (speech_settings){
        .rules = {.ids = ids, .timestamps = o->timestamps, .suppress_blank = o->suppress_blank,
                  .suppress = o->suppress ? o->suppress : ids->suppress,
                  .n_suppress = o->suppress ? o->n_suppress : ids->n_suppress,
                  .last_initial = -1},
        .temperatures = o->n_temperatures ? o->temperatures : default_temperatures,
        .n_temperatures = o->n_temperatures ? o->n_temperatures
                                            : sizeof default_temperatures / sizeof(float),
        .beam_size = (size_t)o->beam_size,
        .best_of = (size_t)o->best_of,
        .patience = o->patience,
        .length_penalty = o->length_penalty,
        .compression_ratio_threshold = o->compression_ratio_threshold,
        .logprob_threshold = o->logprob_threshold,
        .no_speech_threshold = o->no_speech_threshold,
        .max_tokens = o->max_tokens ? o->max_tokens : most_tokens,
        .exact = o->exact,
        .seed = o->seed,
    };
    if (o->max_initial_timestamp >= 0 && o->max_initial_timestamp <= 30)
        s->rules.last_initial = (int32_t)lroundf(o->max_initial_timestamp /
                                                 (float)SECONDS_PER_TIMESTAMP);
    return HONE_OK;
}

hone_status transcribe_check_language(const hone_transcribe_options *o, const hone_model *m,
                                      int *language) {
    const speech_tokens *ids = &m->speech_ids;
    bool detect = !o->language || strcmp(o->language, "auto") == 0;
    int found = detect ? -1 : speech_language_find(o->language);
    if (!detect && found < 0)
        return fail(HONE_ERR_UNSUPPORTED, "language \"%.40s\" is not known; use a code such as "
                    "\"de\" or a name such as \"german\"", o->language);
    if (!ids->multilingual) {
        if (found > 0 || o->task == HONE_TRANSLATE)
            return fail(HONE_ERR_UNSUPPORTED, "%s hears English only: for %s a multilingual model "
                        "is needed", m->source.path,
                        found > 0 ? speech_language_name((size_t)found) : "translations");
        found = 0;
    }
    if (found >= (int)ids->n_languages)
        return fail(HONE_ERR_UNSUPPORTED, "%s does not know %s", m->source.path,
                    speech_language_name((size_t)found));
    *language = found;
    return HONE_OK;
}
