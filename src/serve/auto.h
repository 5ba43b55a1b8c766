/* "auto" in place of a model's name: the router (route/route.h) chooses among the models that the
 * server has, by what the question is about, what was measured, and what memory and loaded models
 * allow (docs/route.md). */
#ifndef SERVE_AUTO_H
#define SERVE_AUTO_H

#include "base/json.h"
#include "route/route.h"
#include "serve/models.h"

bool auto_is_wanted(const char *model);

/* Borrows the first choice that can be had; each that cannot be loaded, or has no template for
 * a chat, is a reason, and the next one is tried. Where no model of the store will do, the one that
 * has been open for longest answers. `body` is a request's: its messages in OpenAI's or Ollama's
 * form, a response's input, or prompts; "priority" is "speed", "balanced" (the default) or
 * "quality". Release the choice after HONE_OK. HONE_ERR_ARGUMENT for another priority and for
 * prompts of token ids, HONE_ERR_NOT_FOUND where nobody can answer, and the last failure of
 * loading. */
hone_status auto_borrow(route_choice *choice, served_model *served, models *m, route_files *files,
                        const json_t *body);

/* Whether "priority" is one, for requests that name their model, too. HONE_ERR_ARGUMENT. */
hone_status auto_check(const json_t *body);

/* Whether messages, in either form, have one of the system: then a rule's text is not wanted. */
bool auto_has_system(const json_t *messages);

/* The choice as it is told: the object of `hone route --json`. NULL when memory is short. */
json_t *auto_to_json(const route_choice *choice, const json_t *body);

#endif
