#include "cli/hear.h"

#include <stdio.h>

#include "cli/audio_input.h"
#include "cli/cli.h"
#include "cli/engine.h"
#include "cli/interrupt.h"
#include "cli/output.h"

static hone_status transcribe(hone_model *model, const hear_settings *s, hone_transcript *t) {
    const audio_input_settings any_file = {CLI_UNSET, CLI_UNSET};
    hone_transcribe_options options;
    hone_audio *audio;
    hone_transcribe_defaults(&options);
    options.language = s->language;
    hone_status status = audio_input_open(&audio, s->audio, &any_file);
    if (status != HONE_OK) return status;
    status = hone_transcribe(model, audio, &options, t);
    hone_audio_close(audio);
    return status;
}

static int take_over(buf *text, const hear_settings *s, const hone_transcript *t) {
    if (t->cancelled) return CLI_INTERRUPTED;
    if (t->truncated) cli_error("%s: the audio breaks off before its end", s->audio);
    if (!t->text[0]) {
        cli_error("%s: nothing is said in it", s->audio);
        return CLI_FAILED;
    }
    fprintf(stderr, "%sheard: %s%s\n", cli_colour_code(stderr, CLI_DIM), t->text,
            cli_colour_code(stderr, CLI_PLAIN));
    hone_status status = text->len ? buf_add_text(text, "\n\n") : HONE_OK;
    if (status == HONE_OK) status = buf_add_text(text, t->text);
    return status == HONE_OK ? CLI_OK : cli_fail(status);
}

int hear(buf *text, const hear_settings *s, int64_t threads) {
    hone_model *model;
    hone_transcript t;
    int code = engine_open_model(&model, s->model, threads);
    if (code != CLI_OK) return code;
    interrupt_arm_model(model);
    hone_status status = transcribe(model, s, &t);
    interrupt_disarm();
    hone_model_close(model);
    if (status != HONE_OK) return cli_fail(status);
    code = take_over(text, s, &t);
    hone_transcript_release(&t);
    return code;
}
