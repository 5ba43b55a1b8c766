/* Chat completions made by a strategy (hone/strategy.h): `strategy` in the body, optillm's
 * `optillm_approach`, or its slug before the model's name ("sc8-smollm2:135m"). */
#ifndef SERVE_OPENAI_STRATEGY_H
#define SERVE_OPENAI_STRATEGY_H

#include "serve/openai_answer.h"

bool openai_strategy_is_wanted(const openai_request *r);

/* Answers the exchange, whole or streamed, and takes over what `base` holds. A stream tells each
 * draw that has ended in a chunk without text, under `hone`; then the answer; the trace comes with
 * it. */
void openai_strategy_answer(const openai_answer *base);

#endif
