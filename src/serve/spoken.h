/* Spoken parts of messages: OpenAI's input_audio, heard by a speech model and put into words before
 * anybody else reads the messages. */
#ifndef SERVE_SPOKEN_H
#define SERVE_SPOKEN_H

#include "base/json.h"
#include "serve/models.h"

/* Each part {type: input_audio, input_audio: {data, format}} of the request's messages becomes one
 * of type text. It is heard by the first open model that takes audio, otherwise by whisper:base.
 * `format` is not looked at: the bytes tell. HONE_ERR_ARGUMENT, HONE_ERR_FORMAT for what is no
 * audio or where nothing is said; the errors of models_borrow and of hone_transcribe. */
hone_status spoken_parts_hear(models *m, json_t *body);

#endif
