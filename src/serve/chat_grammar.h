/* What an answer must look like: JSON, a schema, or calls of tools in the form that the model's
 * parser knows (serve/chat.h). */
#ifndef SERVE_CHAT_GRAMMAR_H
#define SERVE_CHAT_GRAMMAR_H

#include "serve/chat.h"

/* *out is NULL where the answer is free. `calls`: the form that calls have. */
hone_status chat_grammar_make(hone_grammar **out, const chat_settings *s, call_format calls,
                              const hone_model *model);

#endif
