/* `hone transcribe`: speech in files, from a pipe or a microphone, as text, subtitles or JSON. */
#include "cli/transcribe.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/system.h"
#include "cli/cli.h"
#include "cli/engine.h"
#include "cli/interrupt.h"
#include "cli/output.h"

/* One file on its way. */
typedef struct job {
    const transcribe_settings *s;
    const char *name;
    size_t n_cues;
    bool streams;   /* segments go to stdout as they come */
    bool write_failed;
    double begin_ms;
} job;

/* --- while it works --- */

static const char *format_clock(cli_text *t, double seconds) {
    unsigned long s = (unsigned long)seconds;
    if (s >= 3600)
        snprintf(t->text, sizeof t->text, "%lu:%02lu:%02lu", s / 3600, s / 60 % 60, s % 60);
    else snprintf(t->text, sizeof t->text, "%lu:%02lu", s / 60, s % 60);
    return t->text;
}

static void show_progress(void *user, double done, double total) {
    const job *j = user;
    cli_text a, b, c;
    double elapsed = (clock_ms() - j->begin_ms) / 1000;
    if (done <= 0 || elapsed <= 0) return;
    if (total > done) {
        cli_progress("%s  %s of %s  %.1fx  %s left", j->name, format_clock(&a, done),
                     format_clock(&b, total), done / elapsed,
                     format_clock(&c, (total - done) * elapsed / done));
    } else {
        cli_progress("%s  %s  %.1fx", j->name, format_clock(&a, done), done / elapsed);
    }
}

static int print_segment(void *user, const hone_segment *segment) {
    job *j = user;
    char *text = NULL;
    hone_transcript_format format = (hone_transcript_format)j->s->format;
    if (!j->streams) return 0;
    if (hone_transcript_segment(format, segment, &j->n_cues, &text) != HONE_OK) return 1;
    cli_progress_clear();
    j->write_failed = !cli_write(text, strlen(text));
    hone_free(text);
    return j->write_failed;
}

/* --- when it is done --- */

/* "folder/talk.srt" for "records/talk.mp3"; "folder/stdin.srt" for "-". */
static hone_status output_path(const job *j, fs_path *path) {
    const char *slash = strrchr(j->name, '/'), *base = slash ? slash + 1 : j->name;
    const char *point = strrchr(base, '.');
    int n = (int)(point && point > base ? (size_t)(point - base) : strlen(base));
    if (!strcmp(j->name, "-")) base = "stdin", n = 5;
    return fs_path_format(path, "%s/%.*s.%s", j->s->output_folder, n, base,
                          hone_transcript_extension((hone_transcript_format)j->s->format));
}

static hone_status write_out(const job *j, const hone_transcript *t) {
    char *text = NULL;
    fs_path path;
    hone_status status = hone_transcript_text((hone_transcript_format)j->s->format,
                                              j->s->options.task, t, &text);
    if (status != HONE_OK) return status;
    if (j->s->output_folder) {
        status = output_path(j, &path);
        if (status == HONE_OK) status = fs_make_folders(j->s->output_folder);
        if (status == HONE_OK) status = fs_write_file(path.text, text, strlen(text));
        if (status == HONE_OK) fprintf(stderr, "%s\n", path.text);
    } else if (!j->streams) {
        cli_write(text, strlen(text));
    }
    hone_free(text);
    return status;
}

static void print_stats(const job *j, const hone_transcript *t) {
    double ms = clock_ms() - j->begin_ms;
    cli_text clock, all, mel, encode, decode;
    const char *dim = cli_colour_code(stderr, CLI_DIM), *plain = cli_colour_code(stderr, CLI_PLAIN);
    fprintf(stderr, "%s%s: %s of audio in %s, %.1fx real time; ", dim, j->name,
            format_clock(&clock, t->seconds), cli_format_ms(&all, ms),
            ms > 0 ? t->seconds * 1000 / ms : 0);
    fprintf(stderr, "spectrum %s, encoder %s, decoder %s, %zu windows, %zu tokens; language %s",
            cli_format_ms(&mel, t->mel_ms), cli_format_ms(&encode, t->encode_ms),
            cli_format_ms(&decode, t->decode_ms), t->n_windows, t->n_tokens, t->language);
    if (t->language_probability > 0)
        fprintf(stderr, " (%.0f %%)", 100 * (double)t->language_probability);
    fprintf(stderr, "%s\n", plain);
}

static int run_file(hone_model *model, const transcribe_settings *s, const char *name) {
    job j = {.s = s, .name = name, .begin_ms = clock_ms(),
             .streams = !s->output_folder &&
                        hone_transcript_streams((hone_transcript_format)s->format)};
    hone_transcribe_options options = s->options;
    hone_audio *audio;
    hone_transcript t;
    options.on_segment = print_segment;
    options.on_progress = show_progress;
    options.user = &j;
    hone_status status = audio_input_open(&audio, name, &s->input);
    if (status != HONE_OK) return cli_fail(status);
    const char *head = hone_transcript_head((hone_transcript_format)s->format);
    if (j.streams && *head) cli_write(head, strlen(head));
    status = hone_transcribe(model, audio, &options, &t);
    hone_audio_close(audio);
    cli_progress_clear();
    if (status != HONE_OK) return cli_fail(fail_context(status, "%s", name));
    status = write_out(&j, &t);
    int code = status == HONE_OK ? cli_finish_output() : cli_fail(status);
    if (t.truncated) cli_error("%s: the audio breaks off before its end", name);
    if (s->stats || (code == CLI_OK && cli_is_terminal(stdout) && cli_is_terminal(stderr)))
        print_stats(&j, &t);
    if (t.cancelled && !interrupt_seen() && code == CLI_OK) code = CLI_FAILED;
    if (t.truncated && code == CLI_OK) code = CLI_FAILED;
    hone_transcript_release(&t);
    return code;
}

static int run_files(hone_model *model, const transcribe_settings *s, const cli_operands *files) {
    int code = CLI_OK;
    for (size_t i = 0; i < files->n; i++) {
        if (files->n > 1 && !s->output_folder) {
            printf("%s==> %s <==\n", i ? "\n" : "", files->items[i]);
            fflush(stdout);
        }
        int own = run_file(model, s, files->items[i]);
        if (interrupt_seen()) return CLI_INTERRUPTED;
        if (own != CLI_OK) code = own; /* the others have their chance */
    }
    return code;
}

/* --- the command --- */

static int check_use(const cli_usage *usage, const transcribe_settings *s, bool live,
                     const cli_operands *files) {
    if (live && files->n > 1) return cli_wrong_use(usage, "--live takes one FILE, or a microphone");
    if (live && s->output_folder) return cli_wrong_use(usage, "--live prints to standard output");
    if (live && !hone_transcript_streams((hone_transcript_format)s->format))
        return cli_wrong_use(usage, "--live has no end for JSON to wait for; use another --format");
    if (!live && files->n == 0)
        return cli_wrong_use(usage, "what shall be transcribed? FILE is missing");
    if (files->n > 1 && !s->output_folder && s->format != HONE_FORMAT_TEXT)
        return cli_wrong_use(usage, "several files in this format need --output-dir");
    if (s->input.pcm_channels != CLI_UNSET && s->input.pcm_rate == CLI_UNSET)
        return cli_wrong_use(usage, "--pcm-channels goes with --pcm-rate");
    return CLI_OK;
}

static int run(const transcribe_settings *s, int64_t threads, bool live,
               const cli_operands *files) {
    hone_model *model;
    int code = engine_open_model(&model, s->model, threads);
    if (code != CLI_OK) return code;
    if (!hone_model_describe(model)->takes_audio) {
        cli_error("%s takes no audio: a Whisper model is needed, such as whisper:base", s->model);
        code = CLI_NOT_MET;
    } else {
        interrupt_arm_model(model);
        code = live ? transcribe_live(model, files->n ? files->items[0] : NULL, s)
                    : run_files(model, s, files);
        interrupt_disarm();
    }
    hone_model_close(model);
    return code;
}

int cmd_transcribe(int argc, char **argv) {
    transcribe_settings s = {.model = "whisper:base",
                             .input = {.pcm_rate = CLI_UNSET, .pcm_channels = CLI_UNSET}};
    bool translate = false, live = false;
    int64_t beam_size = CLI_UNSET, threads = CLI_UNSET;
    double temperature = NAN;
    hone_transcribe_defaults(&s.options);
    const cli_option options[] = {
        CLI_TEXT("model", 'm', &s.model, "MODEL", "a Whisper model (default: whisper:base)"),
        CLI_TEXT("language", 'l', &s.options.language, "NAME",
                 "what is spoken: de, german, …; default: found out"),
        CLI_FLAG("translate", 0, &translate, "into English"),
        CLI_CHOICE("format", 'f', &s.format, HONE_TRANSCRIPT_FORMATS, "what is written"),
        CLI_FLAG("words", 'w', &s.options.words,
                 "times of single words, where the format has them"),
        CLI_TEXT("output-dir", 'o', &s.output_folder, "FOLDER",
                 "write FOLDER/<name>.<format> for each file"),
        CLI_TEXT("prompt", 0, &s.options.prompt, "TEXT", "names, spelling and style to expect"),
        CLI_FLAG("live", 0, &live,
                 "from the microphone, with guesses while somebody speaks; a FILE is played"),
        AUDIO_INPUT_OPTIONS(s.input),
        CLI_FLAG("stats", 0, &s.stats, "say how long each part took (on stderr)"),
        CLI_HEADING("Decoding"),
        CLI_INTEGER("beam-size", 0, &beam_size, "N", 1, 16,
                    "hypotheses followed at once; 1 = greedy (default 5)"),
        CLI_REAL("temperature", 'T', &temperature, "X", 0, 2,
                 "only this one (default: 0, and up to 1 where the result is poor)"),
        CLI_FLAG("batched", 0, &s.options.batched,
                 "cut at silences and decode several windows at once: faster for long files"),
        CLI_FLAG("exact", 0, &s.options.exact, "float arithmetic throughout: slower"),
        CLI_INTEGER("threads", 't', &threads, "N", 1, 1024,
                    "compute threads (default: $HONE_THREADS, or one for each usable core)"),
        CLI_OPTIONS_END,
    };
    const cli_usage usage = {
        .command = "transcribe",
        .operands = "[FILE…]",
        .about = "Turns speech into text with a Whisper model, while it reads. FILE is WAV, FLAC, "
                 "MP3, Ogg (Vorbis, Opus), M4A/MP4, AAC or WebM at any rate; - is standard input, a "
                 "file of these or (with --pcm-rate) raw samples.",
        .examples = "hone transcribe talk.mp3\n"
                    "hone transcribe --language de --format srt --output-dir subtitles *.m4a\n"
                    "hone transcribe --translate --words -f verbose_json interview.ogg\n"
                    "hone transcribe --live\n"
                    "ffmpeg -i film.mkv -f s16le -ac 1 -ar 16000 - | hone transcribe --pcm-rate "
                    "16000 -\n",
        .options = options,
        .min_operands = 0,
        .max_operands = SIZE_MAX,
    };
    cli_operands files;
    int code = cli_parse(&usage, argc, argv, &files);
    if (code != CLI_PARSED) return code;
    code = check_use(&usage, &s, live, &files);
    if (code != CLI_OK) return code;
    float only = (float)temperature;
    s.options.task = translate ? HONE_TRANSLATE : HONE_TRANSCRIBE;
    if (beam_size != CLI_UNSET) s.options.beam_size = (int)beam_size;
    if (!isnan(temperature)) {
        s.options.temperatures = &only;
        s.options.n_temperatures = 1;
    }
    return run(&s, threads, live, &files);
}
