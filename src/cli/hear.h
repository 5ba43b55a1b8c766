/* A question that is spoken: what `run` and `ask` make of --audio. */
#ifndef CLI_HEAR_H
#define CLI_HEAR_H

#include "base/buf.h"
#include "cli/options.h"

typedef struct hear_settings {
    const char *audio; /* NULL: nothing is spoken */
    const char *model, *language; /* language NULL = found out */
} hear_settings;

#define HEAR_SETTINGS_UNSET {NULL, "whisper:base", NULL}

/* Rows of an option table for hear_settings `s`. */
#define HEAR_OPTIONS(s)                                                                          \
    CLI_TEXT("audio", 0, &(s).audio, "FILE", "a spoken question, as hone transcribe reads it"),  \
    CLI_TEXT("speech-model", 0, &(s).model, "MODEL",                                             \
             "the Whisper model that hears it (default: whisper:base)"),                         \
    CLI_TEXT("language", 0, &(s).language, "NAME", "what is spoken (default: found out)")

/* Appends what is said in the file to `text`, behind an empty line where there is text already, and
 * shows it on stderr. The speech model is closed again. Returns an exit code; CLI_FAILED, with
 * words, where nothing is said. */
int hear(buf *text, const hear_settings *settings, int64_t threads);

#endif
