/* Word error rates: each clip transcribed, and its text beside what was said; after the plain
 * normaliser (lab/score_text.h) and after Whisper's (text/whisper_normalizer.h). */
#include <string.h>

#include "base/mem.h"
#include "lab/eval_int.h"
#include "lab/score_text.h"
#include "text/whisper_normalizer.h"
#include "text/word_errors.h"

enum { MAX_TEXT_BYTES = 16 << 20 };

typedef hone_status normaliser(buf *out, const char *text, size_t n, bool english);

static hone_status normalise_plain(buf *out, const char *text, size_t n, bool english) {
    (void)english;
    return score_plain_words(out, text, n);
}

static hone_status normalise_whisper(buf *out, const char *text, size_t n, bool english) {
    return english ? whisper_normalise_english(out, text, n, NULL)
                   : whisper_normalise_basic(out, text, n, false, false);
}

static hone_status count_errors(metric_counts *counts, normaliser *normalise, bool english,
                                const char *said, const char *heard) {
    buf a, b;
    word_errors e;
    buf_init(&a, MAX_TEXT_BYTES);
    buf_init(&b, MAX_TEXT_BYTES);
    hone_status status = normalise(&a, said, strlen(said), english);
    if (status == HONE_OK) status = normalise(&b, heard, strlen(heard), english);
    if (status == HONE_OK)
        status = word_errors_count(&e, a.data ? a.data : "", b.data ? b.data : "");
    if (status == HONE_OK) *counts = (metric_counts){{(double)e.n_errors, (double)e.n_words}};
    buf_release(&a);
    buf_release(&b);
    return status;
}

static hone_status hear(eval_run_state *run, eval_item *item) {
    const json_t *json = eval_json(run, item);
    const char *file = NULL, *said = NULL, *language = NULL;
    char *heard;
    double seconds;
    fs_path path;
    TRY(json_get_string(json, "file", &file));
    TRY(json_get_string(json, "text", &said));
    TRY(json_get_string(json, "lang", &language));
    if (!file || !said) return fail(HONE_ERR_FORMAT, "it lacks \"file\" or \"text\"");
    TRY(fs_path_format(&path, "%s%s%s", *file == '/' ? "" : run->t->folder.text,
                       *file == '/' ? "" : "/", file));
    TRY(subject_transcribe(run->s, path.text, language, &heard, &seconds));
    bool english = !language || strcmp(language, "en") == 0;
    hone_status status = count_errors(&item->counts[0], normalise_plain, english, said, heard);
    if (status == HONE_OK)
        status = count_errors(&item->counts[1], normalise_whisper, english, said, heard);
    if (status == HONE_OK) {
        item->sample = json_pack("{s:s, s:s, s:s, s:s, s:s, s:f, s:f, s:f}", "task", run->t->name,
                                 "id", task_item_id(run->t, item->index), "file", file, "output",
                                 heard, "text", said, "seconds", seconds, "errors",
                                 item->counts[0].of[0], "words", item->counts[0].of[1]);
        run->r->n_empty += heard[strspn(heard, " ")] == '\0' && item->counts[0].of[1] > 0;
        item->done = true;
    }
    mem_free(heard);
    return status;
}

hone_status eval_run_speech(eval_run_state *run) {
    eval_result *r = run->r;
    eval_add_figure(r, "wer", &metric_word_error_rate);
    eval_add_figure(r, "wer_whisper", &metric_word_error_rate);
    for (size_t i = 0; i < r->n_items; i++) {
        hone_status status = hear(run, &r->items[i]);
        if (status == HONE_OK) status = eval_tell(run, "transcribing", i + 1, r->n_items);
        if (status == HONE_ERR_CANCELLED) return status;
        if (status != HONE_OK)
            return fail_context(status, "item %s", task_item_id(run->t, r->items[i].index));
    }
    return HONE_OK;
}
