/* A model in this process. */
#include <string.h>

#include "base/mem.h"
#include "base/system.h"
#include "lab/subject_int.h"
#include "weights/store.h"

enum { DEFAULT_PARALLEL = 8, MOST_PARALLEL = 256 };

/* --- opening --- */

static void close_local(subject *base) {
    subject_local *s = (subject_local *)base;
    while (s->n_adapters > 0) hone_adapter_close(s->adapters[--s->n_adapters]);
    hone_model_close(s->model);
    while (s->n_others > 0) hone_model_close(s->others[--s->n_others]);
    hone_strategy_close(s->strategy);
    mem_free(s);
}

hone_status subject_local_session(const subject_local *s, hone_session **out) {
    TRY(hone_session_open(out, s->model, &s->session));
    if (s->n_adapters == 0) return HONE_OK;
    hone_status status = hone_session_set_adapters(*out, s->adapters, s->scales, s->n_adapters);
    if (status != HONE_OK) {
        hone_session_close(*out);
        *out = NULL;
    }
    return status;
}

static hone_status open_adapters(subject_local *s, const subject_settings *settings) {
    if (settings->n_adapters > HONE_MAX_ADAPTERS)
        return fail(HONE_ERR_ARGUMENT, "%zu adapters, at most %d", settings->n_adapters,
                    HONE_MAX_ADAPTERS);
    for (size_t i = 0; i < settings->n_adapters; i++) {
        TRY(hone_adapter_open(&s->adapters[i], s->model, settings->adapters[i]));
        s->scales[i] = settings->adapter_scales ? settings->adapter_scales[i] : 1;
        s->n_adapters++;
    }
    return HONE_OK;
}

/* Says at once what a session would say later, and how long its context is. */
static hone_status try_session(subject_local *s) {
    hone_session *session;
    TRY(subject_local_session(s, &session));
    s->base.info.n_context = hone_session_context(session);
    hone_session_close(session);
    return HONE_OK;
}

static hone_status open_model(subject_local *s, const subject_settings *settings) {
    const hone_model_options options = {.n_threads = settings->n_threads};
    double start_ms = clock_ms();
    TRY(store_open_model(&s->model, settings->model, &options));
    const hone_model_info *model = hone_model_describe(s->model);
    TRY(open_adapters(s, settings));
    if (model->takes_text) TRY(try_session(s));
    s->base.info.model = s->model;
    s->base.info.has_chat = model->has_chat_template;
    s->base.info.load_ms = clock_ms() - start_ms;
    return HONE_OK;
}

static hone_status open_strategy(subject_local *s, const subject_settings *settings) {
    const hone_model_options options = {.n_threads = settings->n_threads};
    const char *name;
    TRY(hone_strategy_parse(&s->strategy, settings->strategy));
    s->base.info.strategy = hone_strategy_text(s->strategy);
    while ((name = hone_strategy_model(s->strategy, s->n_others))) {
        TRY(store_open_model(&s->others[s->n_others], name, &options));
        s->n_others++;
    }
    return HONE_OK;
}

/* --- answers --- */

/* A place where one answer after the other is made. */
typedef struct slot {
    hone_session *session;
    hone_answer *answer; /* NULL = free */
    local_request request;
    size_t item;
} slot;

typedef struct generating {
    subject_local *s;
    const subject_request *requests;
    subject_answer *answers;
    slot *slots;
    hone_answer **running; /* [n_slots] */
    size_t n, n_slots, next, n_done;
} generating;

void local_request_init(local_request *to, const subject_request *r) {
    to->request = (hone_request){.sampling = r->sampling, .sequence = r->sequence,
                                 .max_tokens = r->max_tokens, .stop = r->stop, .n_stop = r->n_stop};
    if (!r->chat) {
        to->request.prompt = r->prompt;
        to->request.prompt_bytes = strlen(r->prompt);
        return;
    }
    const char *texts[] = {r->system, r->prompt}, *roles[] = {"system", "user"};
    size_t n = 0;
    for (size_t i = r->system ? 0 : 1; i < 2; i++, n++) {
        to->parts[n] = (hone_part){HONE_PART_TEXT, texts[i], strlen(texts[i])};
        to->messages[n] = (hone_message){.role = roles[i], .parts = &to->parts[n], .n_parts = 1};
    }
    to->request.messages = to->messages;
    to->request.n_messages = n;
}

/* Gives the free slot the next request that can be begun. */
static hone_status admit(generating *g, slot *place) {
    while (!place->answer && g->next < g->n) {
        size_t item = g->next++;
        local_request_init(&place->request, &g->requests[item]);
        place->item = item;
        hone_status status = hone_answer_open(&place->answer, place->session,
                                              &place->request.request);
        if (status == HONE_ERR_MEMORY) return status;
        if (status == HONE_OK) return HONE_OK;
        TRY(subject_note_failure(&g->answers[item], status, hone_error_message()));
        g->n_done++;
    }
    return HONE_OK;
}

static hone_status settle(generating *g, slot *place) {
    subject_answer *out = &g->answers[place->item];
    hone_result result;
    const char *words;
    hone_status status = hone_answer_error(place->answer, &words);
    if (status != HONE_OK) {
        status = subject_note_failure(out, status, words);
    } else {
        status = hone_answer_conclude(place->answer, &result);
        if (status == HONE_OK) {
            out->end = result.finish == HONE_FINISH_STOP ? SUBJECT_STOPPED : SUBJECT_CUT;
            out->n_prompt_tokens = result.n_prompt_tokens;
            out->n_tokens = result.n_tokens;
            out->text = result.text;
            result.text = NULL;
            hone_result_release(&result);
        }
    }
    hone_answer_close(place->answer);
    place->answer = NULL;
    g->n_done++;
    return status;
}

static hone_status step(generating *g) {
    size_t n_running = 0;
    for (size_t i = 0; i < g->n_slots; i++) {
        if (!g->slots[i].answer) TRY(admit(g, &g->slots[i]));
        if (g->slots[i].answer) g->running[n_running++] = g->slots[i].answer;
    }
    if (n_running == 0) return HONE_OK;
    TRY(hone_answers_step(g->running, n_running, 0));
    for (size_t i = 0; i < g->n_slots; i++) {
        slot *place = &g->slots[i];
        if (place->answer && hone_answer_finished(place->answer)) TRY(settle(g, place));
    }
    return HONE_OK;
}

static hone_status open_slots(generating *g) {
    g->slots = mem_calloc(g->n_slots, sizeof *g->slots);
    g->running = mem_calloc(g->n_slots, sizeof *g->running);
    if (!g->slots || !g->running) return mem_fail("answers", g->n_slots * sizeof *g->slots);
    for (size_t i = 0; i < g->n_slots; i++)
        TRY(subject_local_session(g->s, &g->slots[i].session));
    return HONE_OK;
}

static void close_slots(generating *g) {
    for (size_t i = 0; g->slots && i < g->n_slots; i++) {
        hone_answer_close(g->slots[i].answer);
        hone_session_close(g->slots[i].session);
    }
    mem_free(g->slots);
    mem_free(g->running);
}

static hone_status generate(subject *base, const subject_request *requests, size_t n,
                            subject_answer *answers, const subject_progress *progress) {
    subject_local *s = (subject_local *)base;
    generating g = {.s = s, .requests = requests, .answers = answers, .n = n};
    g.n_slots = base->info.n_parallel < n ? base->info.n_parallel : n;
    hone_status status = open_slots(&g);
    while (status == HONE_OK && g.n_done < n) {
        status = step(&g);
        if (status == HONE_OK && !subject_goes_on(progress, g.n_done, n))
            status = fail(HONE_ERR_CANCELLED, "stopped");
    }
    close_slots(&g);
    return status;
}

/* --- speech --- */

static hone_status transcribe(subject *base, const char *path, const char *language, char **text,
                              double *seconds) {
    subject_local *s = (subject_local *)base;
    hone_transcribe_options options;
    hone_transcript transcript;
    hone_audio *audio;
    hone_transcribe_defaults(&options);
    options.language = language;
    options.exact = base->info.exact;
    TRY(hone_audio_open(&audio, path));
    hone_status status = hone_transcribe(s->model, audio, &options, &transcript);
    hone_audio_close(audio);
    TRY(status);
    if (transcript.cancelled) {
        hone_transcript_release(&transcript);
        return fail(HONE_ERR_CANCELLED, "stopped");
    }
    *seconds = transcript.seconds;
    *text = transcript.text;
    transcript.text = NULL;
    hone_transcript_release(&transcript);
    return HONE_OK;
}

static const subject_ops text_ops = {close_local, generate, subject_local_score, NULL};
static const subject_ops strategy_ops = {close_local, subject_local_strategy, subject_local_score,
                                         NULL};
static const subject_ops speech_ops = {close_local, NULL, NULL, transcribe};

hone_status subject_local_open(subject **out, const subject_settings *settings) {
    if (!settings->model) return fail(HONE_ERR_ARGUMENT, "no model is named");
    if (settings->n_parallel > MOST_PARALLEL)
        return fail(HONE_ERR_ARGUMENT, "%zu answers at once, at most %d", settings->n_parallel,
                    MOST_PARALLEL);
    subject_local *s = mem_calloc(1, sizeof *s);
    if (!s) return mem_fail("model", sizeof *s);
    s->session = (hone_session_options){
        .n_context = settings->n_context, .exact = settings->exact,
        .kv = settings->exact ? HONE_KV_F32 : settings->kv};
    s->base.info = (subject_info){
        .kind = "local", .exact = settings->exact, .kv = s->session.kv,
        .n_parallel = settings->n_parallel ? settings->n_parallel : DEFAULT_PARALLEL};
    hone_status status = open_model(s, settings);
    if (status == HONE_OK && settings->strategy) status = open_strategy(s, settings);
    if (status != HONE_OK) {
        close_local(&s->base);
        return status;
    }
    s->base.ops = !hone_model_describe(s->model)->takes_text ? &speech_ops
                  : s->strategy                              ? &strategy_ops
                                                             : &text_ops;
    *out = &s->base;
    return HONE_OK;
}
