/* `hone transcribe --live`: a thread listens, this one transcribes what has come so far.
 *
 * Settled segments go to stdout; the guess in between is a line on stderr, rewritten on a terminal,
 * else one line each. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/mem.h"
#include "base/system.h"
#include "cli/cli.h"
#include "cli/interrupt.h"
#include "cli/output.h"
#include "cli/transcribe.h"

enum {
    PIECE = HONE_AUDIO_RATE / 10,
    ROOM = 60 * HONE_AUDIO_RATE /* samples that may wait for a slow machine */
};

/* What was heard and not transcribed yet. */
typedef struct ear {
    hone_audio *audio;
    bool paced; /* a file: handed over at the speed of sound */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    float *samples; /* [n] of ROOM */
    size_t n;
    bool ended, stop;
    hone_status status; /* why it ended */
    char words[512];
} ear;

static void sleep_until(double begin_ms, double seconds) {
    double wait = begin_ms + seconds * 1000 - clock_ms();
    if (wait <= 0) return;
    struct timespec t = {(time_t)(wait / 1000), (long)(wait * 1e6) % 1000000000};
    nanosleep(&t, NULL);
}

static void *listen(void *user) {
    ear *e = user;
    static float piece[PIECE];
    double begin = clock_ms();
    size_t n = 0, total = 0;
    hone_status status;
    do {
        status = hone_audio_read(e->audio, piece, PIECE, &n);
        if (status != HONE_OK) n = 0;
        total += n;
        if (e->paced) sleep_until(begin, (double)total / HONE_AUDIO_RATE);
        pthread_mutex_lock(&e->lock);
        while (e->n + n > ROOM && !e->stop) pthread_cond_wait(&e->changed, &e->lock);
        if (e->stop) n = 0;
        memcpy(e->samples + e->n, piece, n * sizeof *piece);
        e->n += n;
        e->ended = n == 0;
        e->status = status;
        if (status != HONE_OK) snprintf(e->words, sizeof e->words, "%s", hone_error_message());
        pthread_cond_signal(&e->changed);
        pthread_mutex_unlock(&e->lock);
    } while (n > 0);
    return NULL;
}

/* Everything that waits, at least one piece; 0 at the end. */
static size_t take(ear *e, float *samples) {
    pthread_mutex_lock(&e->lock);
    while (e->n == 0 && !e->ended && !interrupt_seen()) {
        struct timespec soon;
        clock_gettime(CLOCK_REALTIME, &soon);
        soon.tv_nsec += 100000000; /* a signal wakes nobody */
        if (soon.tv_nsec >= 1000000000) soon.tv_sec++, soon.tv_nsec -= 1000000000;
        pthread_cond_timedwait(&e->changed, &e->lock, &soon);
    }
    size_t n = interrupt_seen() ? 0 : e->n;
    memcpy(samples, e->samples, n * sizeof *samples);
    e->n = 0;
    pthread_cond_signal(&e->changed);
    pthread_mutex_unlock(&e->lock);
    return n;
}

/* --- results --- */

typedef struct output {
    hone_transcript_format format;
    size_t n_cues;
} output;

static int print_settled(void *user, const hone_segment *segment) {
    output *out = user;
    char *text = NULL;
    if (hone_transcript_segment(out->format, segment, &out->n_cues, &text) != HONE_OK) return 1;
    cli_progress_clear();
    bool written = cli_write(text, strlen(text));
    hone_free(text);
    return !written;
}

static void show_partial(void *user, const char *text) {
    (void)user;
    if (cli_is_terminal(stderr)) {
        if (*text) cli_progress("%s", text);
        else cli_progress_clear();
    } else if (*text) {
        fprintf(stderr, "… %s\n", text);
    }
}

/* --- all of it --- */

static hone_status transcribe(hone_model *model, ear *e, const transcribe_settings *s,
                              float *samples) {
    output out = {.format = (hone_transcript_format)s->format};
    hone_transcribe_options options = s->options;
    hone_live *live;
    options.on_segment = print_settled;
    options.user = &out;
    hone_status status = hone_live_open(&live, model, &(hone_live_options){
                                            .transcribe = &options, .on_partial = show_partial});
    if (status != HONE_OK) return status;
    const char *head = hone_transcript_head(out.format);
    if (*head) cli_write(head, strlen(head));
    size_t n;
    while (status == HONE_OK && (n = take(e, samples)) > 0)
        status = hone_live_push(live, samples, n);
    hone_transcribe_uncancel(model); /* what was said before Ctrl-C is still worth its text */
    if (status == HONE_OK || status == HONE_ERR_CANCELLED) status = hone_live_finish(live);
    hone_live_close(live);
    cli_progress_clear();
    return status;
}

static int listen_and_transcribe(hone_model *model, ear *e, const transcribe_settings *s) {
    float *samples = mem_calloc(ROOM, sizeof *samples);
    e->samples = mem_calloc(ROOM, sizeof *e->samples);
    pthread_t thread;
    if (!samples || !e->samples || pthread_create(&thread, NULL, listen, e) != 0) {
        cli_error("not enough memory to listen");
        mem_free(samples);
        mem_free(e->samples);
        return CLI_FAILED;
    }
    hone_status status = transcribe(model, e, s, samples);
    int code = status == HONE_OK ? cli_finish_output() : cli_fail(status);
    pthread_mutex_lock(&e->lock);
    e->stop = true;
    pthread_cond_signal(&e->changed);
    pthread_mutex_unlock(&e->lock);
    pthread_join(thread, NULL);
    if (e->status != HONE_OK) {
        cli_error("%s", e->words);
        code = CLI_FAILED;
    }
    mem_free(samples);
    mem_free(e->samples);
    return interrupt_seen() ? CLI_INTERRUPTED : code;
}

int transcribe_live(hone_model *model, const char *name, const transcribe_settings *s) {
    ear e = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};
    microphone *m = NULL;
    hone_status status = name ? audio_input_open(&e.audio, name, &s->input)
                              : microphone_open(&m, &e.audio);
    if (status != HONE_OK) return cli_fail(status);
    e.paced = name && strcmp(name, "-") != 0;
    if (!name && cli_is_terminal(stderr)) fprintf(stderr, "Listening; Ctrl-C ends.\n");
    int code = listen_and_transcribe(model, &e, s);
    hone_audio_close(e.audio);
    microphone_close(m);
    return code;
}
