/* What `hone transcribe` shares between files and live audio. */
#ifndef CLI_TRANSCRIBE_H
#define CLI_TRANSCRIBE_H

#include "cli/audio_input.h"
#include "hone/hone.h"

typedef struct transcribe_settings {
    const char *model, *output_folder;
    hone_transcribe_options options;
    int format; /* hone_transcript_format */
    bool stats;
    audio_input_settings input;
} transcribe_settings;

/* From the microphone where `name` is NULL; else a file, as if somebody spoke it now, or "-".
 * Returns an exit code. */
int transcribe_live(hone_model *model, const char *name, const transcribe_settings *s);

#endif
