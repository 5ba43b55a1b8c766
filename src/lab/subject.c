#include "lab/subject.h"

#include <string.h>

#include "base/mem.h"
#include "lab/subject_int.h"

hone_status subject_open(subject **out, const subject_settings *settings) {
    const char *where = settings->url ? settings->url : "in process";
    subject *s = NULL;
    *out = NULL;
    if (settings->url && settings->strategy)
        return fail(HONE_ERR_ARGUMENT, "strategies run in this process, not through a URL");
    TRY(settings->url ? subject_url_open(&s, settings) : subject_local_open(&s, settings));
    const char *name = s->info.name ? s->info.name : settings->model;
    s->name = mem_copy_string(name, strlen(name));
    s->where = mem_copy_string(where, strlen(where));
    if (!s->name || !s->where) {
        subject_close(s);
        return mem_fail("model's name", strlen(name));
    }
    s->info.name = s->name;
    s->info.where = s->where;
    *out = s;
    return HONE_OK;
}

void subject_close(subject *s) {
    if (!s) return;
    mem_free(s->name);
    mem_free(s->where);
    s->ops->close(s);
}

const subject_info *subject_describe(const subject *s) { return &s->info; }

bool subject_goes_on(const subject_progress *progress, size_t n_done, size_t n_items) {
    return !progress || !progress->observe ||
           progress->observe(progress->context, n_done, n_items);
}

const char *subject_end_name(subject_end end) {
    switch (end) {
    case SUBJECT_NOT_DONE: return "not done";
    case SUBJECT_STOPPED: return "stop";
    case SUBJECT_CUT: return "length";
    case SUBJECT_NO_ROOM: return "no room";
    case SUBJECT_FAILED: return "error";
    }
    return "unknown";
}

void subject_answer_release(subject_answer *answer) {
    mem_free(answer->text);
    for (size_t i = 0; i < answer->n_draws; i++) mem_free(answer->draws[i]);
    mem_free(answer->draws);
    *answer = (subject_answer){.text = NULL};
}

hone_status subject_note_failure(subject_answer *answer, hone_status status, const char *words) {
    answer->text = mem_copy_string(words, strlen(words));
    if (!answer->text) return mem_fail("answer", strlen(words));
    answer->end = status == HONE_ERR_CONTEXT_FULL ? SUBJECT_NO_ROOM : SUBJECT_FAILED;
    return HONE_OK;
}

hone_status subject_generate(subject *s, const subject_request *requests, size_t n,
                             subject_answer *answers, const subject_progress *progress) {
    if (n == 0) return HONE_OK;
    if (!s->ops->generate) return fail(HONE_ERR_UNSUPPORTED, "%s takes no text", s->info.name);
    return s->ops->generate(s, requests, n, answers, progress);
}

hone_status subject_score(subject *s, subject_scoring *scorings, size_t n,
                          const subject_progress *progress) {
    if (n == 0) return HONE_OK;
    if (!s->ops->score)
        return fail(HONE_ERR_UNSUPPORTED, "%s gives no log-probabilities of a text", s->info.name);
    return s->ops->score(s, scorings, n, progress);
}

hone_status subject_transcribe(subject *s, const char *path, const char *language, char **text,
                               double *seconds) {
    if (!s->ops->transcribe) return fail(HONE_ERR_UNSUPPORTED, "%s takes no audio", s->info.name);
    return s->ops->transcribe(s, path, language, text, seconds);
}
