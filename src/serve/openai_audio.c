/* /v1/audio/transcriptions and /v1/audio/translations: an upload in, a transcript out; as a stream
 * of events where asked for. */
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "serve/openai.h"
#include "serve/reply.h"
#include "serve/stream.h"

enum { MAX_FIELD_BYTES = 65536, LOOK_MS = 100 };
#define MAX_UPLOAD ((size_t)256 << 20)
#define MAX_EVENTS_BYTES ((size_t)64 << 20)

typedef struct audio_request {
    buf file;
    char *model, *language, *prompt, *format, *temperature, *stream;
    bool words, segments; /* timestamp_granularities */
    hone_status status;
} audio_request;

static void request_release(audio_request *r) {
    buf_release(&r->file);
    mem_free(r->model);
    mem_free(r->language);
    mem_free(r->prompt);
    mem_free(r->format);
    mem_free(r->temperature);
    mem_free(r->stream);
}

/* Appends to a text field; forms come in pieces. */
static hone_status add_text(char **field, const char *data, size_t n) {
    size_t old = *field ? strlen(*field) : 0;
    if (old + n > MAX_FIELD_BYTES) return fail(HONE_ERR_FORMAT, "a field of the form is too long");
    char *longer = mem_realloc(*field, old + n + 1, 1);
    if (!longer) return mem_fail("form", old + n);
    memcpy(longer + old, data, n);
    longer[old + n] = '\0';
    *field = longer;
    return HONE_OK;
}

static bool on_part(void *user, const char *name, const char *file_name, const char *data,
                    size_t n) {
    (void)file_name;
    audio_request *r = user;
    const struct { const char *name; char **field; } texts[] = {
        {"model", &r->model}, {"language", &r->language}, {"prompt", &r->prompt},
        {"response_format", &r->format}, {"temperature", &r->temperature}, {"stream", &r->stream}};
    if (!name) return true;
    if (!strcmp(name, "file")) r->status = buf_add(&r->file, data, n);
    if (!strncmp(name, "timestamp_granularities", 23)) {
        r->words |= n >= 4 && !memcmp(data, "word", 4);
        r->segments |= n >= 7 && !memcmp(data, "segment", 7);
    }
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (!strcmp(name, texts[i].name)) r->status = add_text(texts[i].field, data, n);
    return r->status == HONE_OK;
}

static hone_status read_form(audio_request *r, const exchange *x) {
    buf_init(&r->file, MAX_UPLOAD);
    hone_status status = exchange_form(x, on_part, r);
    if (r->status != HONE_OK) return r->status;
    TRY(status);
    if (r->file.len == 0) return fail(HONE_ERR_ARGUMENT, "the form has no file");
    return HONE_OK;
}

/* --- settings --- */

typedef struct audio_settings {
    hone_transcribe_options options;
    hone_transcript_format format;
    float temperature;
    bool stream;
} audio_settings;

static hone_status find_format(const audio_request *r, hone_transcript_format *format) {
    static const struct { const char *name; hone_transcript_format format; } known[] = {
        {"json", HONE_FORMAT_JSON}, {"text", HONE_FORMAT_TEXT}, {"srt", HONE_FORMAT_SRT},
        {"verbose_json", HONE_FORMAT_VERBOSE_JSON}, {"vtt", HONE_FORMAT_VTT}};
    const char *name = r->format ? r->format : "json";
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (!strcmp(name, known[i].name)) {
            *format = known[i].format;
            return HONE_OK;
        }
    return fail(HONE_ERR_ARGUMENT,
                "response_format %s is none of json, text, srt, verbose_json, vtt", name);
}

static hone_status make_settings(audio_settings *s, const audio_request *r, bool translate) {
    hone_transcribe_defaults(&s->options);
    TRY(find_format(r, &s->format));
    s->options.task = translate ? HONE_TRANSLATE : HONE_TRANSCRIBE;
    s->options.language = r->language && r->language[0] ? r->language : NULL;
    s->options.prompt = r->prompt && r->prompt[0] ? r->prompt : NULL;
    s->options.words = r->words;
    s->options.background = true; /* text answers keep their pace */
    if ((r->words || r->segments) && s->format != HONE_FORMAT_VERBOSE_JSON)
        return fail(HONE_ERR_ARGUMENT,
                    "timestamp_granularities needs response_format to be verbose_json");
    s->stream = r->stream && !strcmp(r->stream, "true");
    if (!r->temperature) return HONE_OK;
    char *end;
    s->temperature = strtof(r->temperature, &end);
    if (*end || end == r->temperature || !(s->temperature >= 0 && s->temperature <= 1))
        return fail(HONE_ERR_ARGUMENT, "temperature must be a number between 0 and 1");
    if (s->temperature > 0) { /* 0 = the usual ladder */
        s->options.temperatures = &s->temperature;
        s->options.n_temperatures = 1;
    }
    return HONE_OK;
}

/* --- whole answers --- */

static int stop_when_gone(void *user, const hone_segment *segment) {
    (void)segment;
    return exchange_is_gone(user);
}

static void reply_transcript(exchange *x, const audio_settings *s, const hone_transcript *t) {
    if (s->format == HONE_FORMAT_JSON) { /* OpenAI's has the text alone */
        reply_json(x, 200, json_pack("{s:s, s:{s:s, s:f}}", "text", t->text, "usage", "type",
                                     "duration", "seconds", ceil(t->seconds)));
        return;
    }
    char *text;
    hone_status status = hone_transcript_text(s->format, s->options.task, t, &text);
    if (status != HONE_OK) {
        reply_failure(x, status);
        return;
    }
    exchange_reply(x, 200,
                   s->format == HONE_FORMAT_VERBOSE_JSON ? "application/json"
                                                         : "text/plain; charset=utf-8",
                   text, strlen(text));
    hone_free(text);
}

static void transcribe_whole(exchange *x, const served_model *served, const audio_request *r,
                             audio_settings *s) {
    hone_audio *audio;
    hone_transcript transcript = {0};
    s->options.on_segment = stop_when_gone;
    s->options.user = x;
    hone_status status = hone_audio_open_bytes(&audio, r->file.data, r->file.len);
    if (status == HONE_OK) {
        status = hone_transcribe(served->model, audio, &s->options, &transcript);
        hone_audio_close(audio);
    }
    if (status == HONE_OK) reply_transcript(x, s, &transcript);
    else reply_failure(x, status);
    hone_transcript_release(&transcript);
}

/* --- streams --- */

/* A transcription in a thread of its own, whose events the connection's thread writes out. */
typedef struct audio_stream {
    models *m;
    exchange *x;
    served_model served;
    audio_request request;
    audio_settings settings;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t news;
    buf events; /* not yet taken */
    bool ended, left;
} audio_stream;

static void add_event(audio_stream *s, json_t *value) {
    pthread_mutex_lock(&s->lock);
    if (stream_add_sse(&s->events, NULL, value) != HONE_OK) s->left = true;
    pthread_cond_signal(&s->news);
    pthread_mutex_unlock(&s->lock);
}

static int on_segment(void *user, const hone_segment *segment) {
    audio_stream *s = user;
    add_event(s, json_pack("{s:s, s:s}", "type", "transcript.text.delta", "delta", segment->text));
    pthread_mutex_lock(&s->lock);
    bool left = s->left;
    pthread_mutex_unlock(&s->lock);
    return left;
}

static void *transcribe_thread(void *user) {
    audio_stream *s = user;
    hone_audio *audio;
    hone_transcript transcript = {0};
    json_use_mem();
    hone_status status = hone_audio_open_bytes(&audio, s->request.file.data, s->request.file.len);
    if (status == HONE_OK) {
        status = hone_transcribe(s->served.model, audio, &s->settings.options, &transcript);
        hone_audio_close(audio);
    }
    if (status == HONE_OK)
        add_event(s, json_pack("{s:s, s:s}", "type", "transcript.text.done", "text",
                               transcript.text));
    else
        add_event(s, reply_error_object(reply_status_of(status), NULL, NULL, hone_error_message()));
    hone_transcript_release(&transcript);
    pthread_mutex_lock(&s->lock);
    s->ended = true;
    pthread_cond_signal(&s->news);
    pthread_mutex_unlock(&s->lock);
    return NULL;
}

/* Hands over what the other thread has made. */
static hone_status make_events(void *state, buf *out, bool *ended) {
    audio_stream *s = state;
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += LOOK_MS * 1000000L;
    if (until.tv_nsec >= 1000000000) until.tv_sec++, until.tv_nsec -= 1000000000;
    pthread_mutex_lock(&s->lock);
    if (s->events.len == 0 && !s->ended && !s->left)
        pthread_cond_timedwait(&s->news, &s->lock, &until);
    hone_status status = s->events.len ? buf_add(out, s->events.data, s->events.len) : HONE_OK;
    s->events.len = 0;
    s->left |= exchange_is_gone(s->x);
    *ended = s->ended || s->left;
    pthread_mutex_unlock(&s->lock);
    return status;
}

static void stream_close(void *state) {
    audio_stream *s = state;
    pthread_mutex_lock(&s->lock);
    s->left = true;
    pthread_mutex_unlock(&s->lock);
    pthread_join(s->thread, NULL);
    pthread_cond_destroy(&s->news);
    pthread_mutex_destroy(&s->lock);
    buf_release(&s->events);
    request_release(&s->request);
    models_return(s->m, &s->served);
    mem_free(s);
}

/* Takes request and model over where it returns HONE_OK. */
static hone_status start_stream(models *m, exchange *x, const served_model *served,
                                audio_request *r, const audio_settings *settings) {
    audio_stream *s = mem_calloc(1, sizeof *s);
    if (!s) return mem_fail("transcription", sizeof *s);
    *s = (audio_stream){.m = m, .x = x, .served = *served, .request = *r, .settings = *settings};
    if (settings->options.n_temperatures == 1)
        s->settings.options.temperatures = &s->settings.temperature;
    s->settings.options.on_segment = on_segment;
    s->settings.options.user = s;
    buf_init(&s->events, MAX_EVENTS_BYTES);
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->news, NULL);
    if (pthread_create(&s->thread, NULL, transcribe_thread, s) != 0) {
        mem_free(s);
        return fail(HONE_ERR_BUSY, "no thread can be started");
    }
    static const stream_maker maker = {make_events, openai_tell_failure, stream_close};
    reply_stream(x, "text/event-stream", &maker, s);
    return HONE_OK;
}

/* --- the endpoint --- */

static void transcribe(models *m, exchange *x, bool translate) {
    audio_request r = {0};
    audio_settings settings = {0};
    served_model served = {0};
    hone_status status = read_form(&r, x);
    if (status == HONE_OK) status = make_settings(&settings, &r, translate);
    if (status == HONE_OK) status = models_borrow(m, r.model, &served);
    if (status == HONE_OK && !hone_model_describe(served.model)->takes_audio)
        status = fail(HONE_ERR_UNSUPPORTED, "%s takes no audio", served.name);
    if (status == HONE_OK && settings.stream) {
        status = start_stream(m, x, &served, &r, &settings);
        if (status == HONE_OK) return;
    } else if (status == HONE_OK) {
        transcribe_whole(x, &served, &r, &settings);
    }
    if (status != HONE_OK) reply_failure(x, status);
    if (served.name) models_return(m, &served);
    request_release(&r);
}

void openai_transcriptions(const call *c) { transcribe(c->models, c->x, false); }
void openai_translations(const call *c) { transcribe(c->models, c->x, true); }
