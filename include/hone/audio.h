/* Audio in: any file, bytes or raw samples, read as mono floats at 16 kHz.
 *
 * A reader decodes and resamples as it goes, in bounded memory whatever the length. Containers and
 * codecs: WAV, FLAC, MP3, Ogg (Vorbis, Opus), M4A/MP4 (AAC, ALAC), bare AAC, WebM and Matroska; the
 * first audio stream counts. Several channels become their mean. One thread at a time. */
#ifndef HONE_AUDIO_H
#define HONE_AUDIO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hone/status.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { HONE_AUDIO_RATE = 16000 };

typedef struct hone_audio hone_audio;

/* Fills at most n bytes and returns how many, 0 at the end, −1 on failure. */
typedef ptrdiff_t hone_audio_reader(void *user, void *bytes, size_t n);

/* Errors of all that open: HONE_ERR_NOT_FOUND, HONE_ERR_IO, HONE_ERR_FORMAT (empty, not audio, no
 * audio stream, a rate of 0, more than 64 channels, a WAV header that promises over 16 times what
 * the file has, nothing that can be decoded), HONE_ERR_UNSUPPORTED (a format or codec that is not
 * read, by name; a library built without decoders), HONE_ERR_MEMORY. An audio file without a sample
 * is fine. */
HONE_API hone_status hone_audio_open(hone_audio **audio, const char *path);

/* The bytes of a file; borrowed until the reader is closed. */
HONE_API hone_status hone_audio_open_bytes(hone_audio **audio, const void *bytes, size_t n_bytes);

/* A file that comes through a pipe or a connection. Formats that need their end first (MP4 files
 * that were not made for streaming) cannot be read like this. */
HONE_API hone_status hone_audio_open_stream(hone_audio **audio, hone_audio_reader *read,
                                            void *user);

/* Raw little-endian signed 16-bit samples, channels interleaved. */
HONE_API hone_status hone_audio_open_pcm(hone_audio **audio, int rate, int n_channels,
                                         hone_audio_reader *read, void *user);

/* Samples in memory, mono at 16 kHz; borrowed until the reader is closed. */
HONE_API hone_status hone_audio_open_samples(hone_audio **audio, const float *samples, size_t n);

typedef struct hone_audio_info {
    const char *container, *codec; /* "wav", "pcm_s16le"; belong to the reader */
    int rate, n_channels;          /* of the source */
    double seconds;                /* as the file says, before anything is decoded; 0 = not known */
} hone_audio_info;

HONE_API const hone_audio_info *hone_audio_describe(const hone_audio *audio);

/* Fills samples[n], each finite and within −1 … 1 (what is not becomes 0 or is clipped); *n_read < n
 * only at the end. A source that breaks off in its middle ends there: hone_audio_truncated tells. */
HONE_API hone_status hone_audio_read(hone_audio *audio, float *samples, size_t n, size_t *n_read);
HONE_API bool hone_audio_truncated(const hone_audio *audio);

/* Begins again at the first sample. HONE_ERR_UNSUPPORTED, and nothing changed, for what cannot be
 * read twice: streams, raw samples, pipes. After another failure the reader can only be closed. */
HONE_API hone_status hone_audio_rewind(hone_audio *audio);
HONE_API bool hone_audio_can_rewind(const hone_audio *audio);

HONE_API void hone_audio_close(hone_audio *audio); /* NULL is allowed */

#ifdef __cplusplus
}
#endif
#endif
