/* Whisper's tokens beyond text: which id means what, the languages, and what is never written.
 *
 * All special ids follow from two tokens of the vocabulary, <|startoftranscript|> and
 * <|translate|>, between which the languages stand (docs/models/whisper.md). */
#ifndef INFER_SPEECH_TOKENS_H
#define INFER_SPEECH_TOKENS_H

#include "format/speech_languages.h"
#include "model/whisper.h"
#include "text/tokenizer.h"

typedef struct speech_tokens {
    int32_t end; /* <|endoftext|>; ids below are text */
    int32_t start, first_language, translate, transcribe, start_of_prev, no_speech, no_timestamps;
    int32_t first_timestamp; /* <|0.00|>; one each 0.02 s */
    int32_t n_vocab;
    size_t n_languages;
    bool multilingual;
    int32_t *suppress; /* OpenAI's set "-1": [n_suppress], owned */
    size_t n_suppress;
    int32_t *blanks;   /* not at the beginning: [n_blanks], owned */
    size_t n_blanks;
} speech_tokens;

/* HONE_ERR_FORMAT when the vocabulary lacks the special tokens or has no room for timestamps. */
hone_status speech_tokens_init(speech_tokens *s, const tokenizer *t, const whisper_hparams *h);
void speech_tokens_release(speech_tokens *s);

#endif
