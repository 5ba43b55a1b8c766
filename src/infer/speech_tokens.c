#include "infer/speech_tokens.h"

#include <string.h>

#include "base/mem.h"

/* --- what is never written --- */

/* What stands for sounds rather than for words in subtitles, by OpenAI's rule: the first token of
 * " -" and " '"; each of these alone and behind a space, where that is one token; and the first
 * token of each note sign. */
static const char *const signs[] = {
    "\"", "#", "(", ")", "*", "+", "/", ":", ";", "<", "=", ">", "@", "[", "\\", "]", "^", "_",
    "`", "{", "|", "}", "~", "「", "」", "『", "』", "<<", ">>", "<<<", ">>>", "--", "---", "-(",
    "-[", "('", "(\"", "((", "))", "(((", ")))", "[[", "]]", "{{", "}}", "♪♪", "♪♪♪",
}, *const notes[] = {"♩", "♪", "♫", "♬", "♭", "♮", "♯"};

static hone_status add(int32_t **ids, size_t *n, int32_t id) {
    for (size_t i = 0; i < *n; i++)
        if ((*ids)[i] == id) return HONE_OK;
    int32_t *grown = mem_realloc(*ids, *n + 1, sizeof *grown);
    if (!grown) return mem_fail("suppressed tokens", (*n + 1) * sizeof *grown);
    *ids = grown;
    grown[(*n)++] = id;
    return HONE_OK;
}

static hone_status suppress(speech_tokens *s, int32_t id) {
    return add(&s->suppress, &s->n_suppress, id);
}

/* The text's first token: always, or only where it is the only one. */
static hone_status suppress_text(speech_tokens *s, const tokenizer *t, const char *text,
                                 bool only_whole) {
    token_list list = {0};
    hone_status status = tokenizer_encode(t, text, strlen(text), NULL, 0, 0, &list);
    if (status == HONE_OK && list.n > 0 && (list.n == 1 || !only_whole))
        status = suppress(s, list.ids[0]);
    token_list_release(&list);
    return status;
}

static hone_status suppress_both(speech_tokens *s, const tokenizer *t, const char *sign,
                                 bool only_whole) {
    char spaced[16] = " ";
    memcpy(spaced + 1, sign, strlen(sign) + 1);
    TRY(suppress_text(s, t, sign, only_whole));
    return suppress_text(s, t, spaced, only_whole);
}

static hone_status suppress_sounds(speech_tokens *s, const tokenizer *t) {
    TRY(suppress_text(s, t, " -", false));
    TRY(suppress_text(s, t, " '", false));
    for (size_t i = 0; i < sizeof signs / sizeof *signs; i++)
        TRY(suppress_both(s, t, signs[i], true));
    for (size_t i = 0; i < sizeof notes / sizeof *notes; i++)
        TRY(suppress_both(s, t, notes[i], false));
    return HONE_OK;
}

static hone_status find_suppressed(speech_tokens *s, const tokenizer *t,
                                   const whisper_hparams *h) {
    if (!h->suppress) TRY(suppress_sounds(s, t));
    for (size_t i = 0; i < h->n_suppress; i++) TRY(suppress(s, h->suppress[i]));
    for (int32_t id = s->translate; id <= s->no_speech; id++) TRY(suppress(s, id));
    return suppress(s, s->start);
}

static int32_t find(const tokenizer *t, const char *text) {
    return tokenizer_find(t, text, strlen(text));
}

static hone_status find_blanks(speech_tokens *s, const tokenizer *t, const whisper_hparams *h) {
    for (size_t i = 0; i < h->n_begin_suppress; i++)
        TRY(add(&s->blanks, &s->n_blanks, h->begin_suppress[i]));
    if (h->begin_suppress) return HONE_OK;
    int32_t space = find(t, " ");
    if (space >= 0) TRY(add(&s->blanks, &s->n_blanks, space));
    return add(&s->blanks, &s->n_blanks, s->end);
}

/* --- the ids --- */

hone_status speech_tokens_init(speech_tokens *s, const tokenizer *t, const whisper_hparams *h) {
    *s = (speech_tokens){.end = find(t, "<|endoftext|>"),
                         .start = find(t, "<|startoftranscript|>"),
                         .translate = find(t, "<|translate|>"),
                         .n_vocab = (int32_t)h->n_vocab,
                         .multilingual = h->multilingual};
    if (s->end < 0 || s->start <= s->end || s->translate <= s->start + 1 ||
        s->translate - s->start - 1 > SPEECH_MAX_LANGUAGES)
        return fail(HONE_ERR_FORMAT, "the vocabulary lacks Whisper's special tokens: "
                    "<|endoftext|> is %d, <|startoftranscript|> %d, <|translate|> %d", s->end,
                    s->start, s->translate);
    s->first_language = s->start + 1;
    s->n_languages = (size_t)(s->translate - s->first_language);
    s->transcribe = s->translate + 1;
    s->start_of_prev = s->translate + 3;
    s->no_speech = s->translate + 4;
    s->no_timestamps = s->translate + 5;
    s->first_timestamp = s->translate + 6;
    if (s->n_vocab <= s->first_timestamp)
        return fail(HONE_ERR_FORMAT, "a vocabulary of %d tokens has no room for timestamps from %d "
                    "on", s->n_vocab, s->first_timestamp);
    hone_status status = find_suppressed(s, t, h);
    if (status == HONE_OK) status = find_blanks(s, t, h);
    if (status != HONE_OK) speech_tokens_release(s);
    return status;
}

void speech_tokens_release(speech_tokens *s) {
    mem_free(s->suppress);
    mem_free(s->blanks);
    *s = (speech_tokens){0};
}
