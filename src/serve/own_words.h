/* What a model of the store brings along (serve/model_settings.h), put before what a request says.
 * */
#ifndef SERVE_OWN_WORDS_H
#define SERVE_OWN_WORDS_H

#include "serve/model_settings.h"

/* A new list: the model's system prompt unless `system` is false or either list begins with one;
 * the model's own messages; `messages`, in the form of serve/chat.h. */
hone_status own_words_join(json_t **out, const model_settings *own, const json_t *messages,
                           bool system);

/* Whether that would be more than `messages`. */
bool own_words_are_there(const model_settings *own);

#endif
