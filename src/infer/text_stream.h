/* From the pieces of tokens to the text that a user sees.
 *
 * Pieces may end inside a character, and the beginning of a stop string may already be in the text:
 * such an end is held back until more text decides. What comes out is always whole characters of
 * valid UTF-8, never a part of a stop string that matched, and the same however the bytes are cut
 * into pieces.
 *
 * Stop strings are looked for in the text as it comes out: after invalid bytes became U+FFFD and
 * the first space was dropped. The match that starts earliest wins (of those at one place the
 * longest); neither it nor anything behind it comes out. A match is therefore reported only when no
 * earlier one can complete any more: with "abcx" and "b", the text "ab" waits for what follows. */
#ifndef INFER_TEXT_STREAM_H
#define INFER_TEXT_STREAM_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/status.h"

/* Each byte of text is compared with each stop string: their number and length are bounded. */
enum { TEXT_STREAM_MAX_STOPS = 256, TEXT_STREAM_MAX_STOP_BYTES = 1024 };

typedef struct text_stream text_stream;

/* The stop strings (NUL-terminated) are copied; `stops` may be NULL with 0. HONE_ERR_ARGUMENT for
 * an empty or too long one, for too many, and for invalid UTF-8. `drop_first_space`: a space at the
 * very beginning is the tokenizer's (SentencePiece) and does not come out. */
hone_status text_stream_open(text_stream **out, const char *const *stops, size_t n_stops,
                             bool drop_first_space);
void text_stream_close(text_stream *s);

/* Takes the next bytes and appends to `text` what is certain, possibly nothing. Once *stopped is
 * true it stays so, and nothing comes out any more. On HONE_ERR_MEMORY stream and text are as
 * before. */
hone_status text_stream_push(text_stream *s, const char *bytes, size_t n, buf *text,
                             bool *stopped);

/* The answer ends here: appends what was held back, an unfinished character as U+FFFD. *stopped is
 * true also if a match that had waited for more text is found only now. On HONE_ERR_MEMORY stream
 * and text are as before; after success the stream is at its end and later calls add nothing. */
hone_status text_stream_finish(text_stream *s, buf *text, bool *stopped);

#endif
