/* Transcripts as files: subtitles, tables, JSON.
 *
 * | format       | what                                                      | with words           |
 * |--------------|-----------------------------------------------------------|----------------------|
 * | text         | a line for each segment                                   | the same             |
 * | srt          | SubRip: number, 00:00:00,000 --> 00:00:00,000, text       | a cue for each word  |
 * | vtt          | WebVTT: 00:00.000 --> 00:00.000, text with & < > escaped  | times within the cue |
 * | tsv          | start, end in milliseconds, text, parted by tabs          | a line for each word |
 * | csv          | the same after RFC 4180, text quoted                      | a line for each word |
 * | lrc          | [mm:ss.xx]text                                            | <mm:ss.xx> before it |
 * | json         | {text, language, duration, segments [{start, end, text}]} | words in a segment   |
 * | verbose_json | OpenAI's object of that name, all fields                  | words beside segments|
 *
 * Text is trimmed; line ends in it become spaces, so that no cue ends early. */
#ifndef HONE_TRANSCRIPT_FORMAT_H
#define HONE_TRANSCRIPT_FORMAT_H

#include "hone/transcribe.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum hone_transcript_format {
    HONE_FORMAT_TEXT, HONE_FORMAT_SRT, HONE_FORMAT_VTT, HONE_FORMAT_JSON,
    HONE_FORMAT_VERBOSE_JSON, HONE_FORMAT_TSV, HONE_FORMAT_CSV, HONE_FORMAT_LRC
} hone_transcript_format;

/* "text", "verbose_json", …: the names in the order of the enum, parted by '|'. */
#define HONE_TRANSCRIPT_FORMATS "text|srt|vtt|json|verbose_json|tsv|csv|lrc"

/* What a file of that kind is called behind the point: "txt", "srt", …, "json" for both. */
HONE_API const char *hone_transcript_extension(hone_transcript_format format);

/* Whether the format can be written while segments come: not the two of JSON. */
HONE_API bool hone_transcript_streams(hone_transcript_format format);

/* Piece by piece: what comes before the first segment, and one segment; *n_cues starts at 0 and
 * counts what subtitles number. *text is NUL-terminated and freed with hone_free.
 * HONE_ERR_ARGUMENT for a format that does not stream. */
HONE_API const char *hone_transcript_head(hone_transcript_format format);
HONE_API hone_status hone_transcript_segment(hone_transcript_format format,
                                             const hone_segment *segment, size_t *n_cues,
                                             char **text);

/* All of it, whatever the format; words where segments have them. */
HONE_API hone_status hone_transcript_text(hone_transcript_format format, hone_speech_task task,
                                          const hone_transcript *transcript, char **text);

#ifdef __cplusplus
}
#endif
#endif
