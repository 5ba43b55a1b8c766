/* Where `transcribe` and its kin get audio: a file, standard input, raw samples, a microphone. */
#ifndef CLI_AUDIO_INPUT_H
#define CLI_AUDIO_INPUT_H

#include "cli/options.h"
#include "hone/audio.h"

/* Options that say what raw samples look like; CLI_UNSET = the bytes are a file of some format. */
typedef struct audio_input_settings {
    int64_t pcm_rate, pcm_channels;
} audio_input_settings;

#define AUDIO_INPUT_OPTIONS(s)                                                                  \
    CLI_INTEGER("pcm-rate", 0, &(s).pcm_rate, "HZ", 1, 1000000,                                 \
                "the input is raw signed 16-bit samples, little-endian, at this rate"),         \
    CLI_INTEGER("pcm-channels", 0, &(s).pcm_channels, "N", 1, 64,                               \
                "channels of raw samples (default 1)")

/* Opens a file, or "-" = standard input, which ends early at Ctrl-C. One at a time. */
hone_status audio_input_open(hone_audio **audio, const char *name,
                             const audio_input_settings *settings);

/* Opens the default microphone; close the audio, then it. HONE_ERR_UNSUPPORTED where hone was built
 * without ALSA, HONE_ERR_IO where there is none. */
typedef struct microphone microphone;
hone_status microphone_open(microphone **m, hone_audio **audio);
void microphone_close(microphone *m); /* NULL is allowed */

#endif
