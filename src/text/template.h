/* Chat templates: the Jinja that models ship, interpreted (docs/templates.md).
 *
 * The environment is the one transformers sets up: trim_blocks, lstrip_blocks, no autoescape, loop
 * controls, raise_exception, strftime_now, tojson without HTML escapes. A template is hostile until
 * it ends: steps, output, recursion and memory are bounded, and passing a bound is an error. */
#ifndef TEXT_TEMPLATE_H
#define TEXT_TEMPLATE_H

#include <jansson.h>
#include <time.h>

#include "base/buf.h"
#include "text/tokenizer.h"

typedef struct chat_template chat_template;

/* Parses the source. HONE_ERR_FORMAT names line and what was expected; HONE_ERR_UNSUPPORTED names a
 * filter, test or tag that hone does not have (inside of an if, a filter or test that is missing
 * fails only a render that reaches it, as in jinja2). Immutable afterwards; shared by threads. */
hone_status chat_template_open(chat_template **out, const char *source, size_t n);
void chat_template_close(chat_template *t);

/* The text of a chat and the parts of it that the template itself wrote (or that come from
 * top-level string variables such as bos_token). Strings below `messages`, `tools`, `documents` and
 * any other list or object stay outside the spans through every operation on them: they are users'
 * text. */
typedef struct template_output {
    char *text; /* NUL-terminated, mem_free by template_output_release */
    size_t n;
    text_span *control; /* in order, apart, none empty */
    size_t n_control;
} template_output;

void template_output_release(template_output *out);

/* `variables`: a JSON object (messages, tools, bos_token, eos_token, add_generation_prompt, …).
 * `now`: the clock that strftime_now sees, as local time. HONE_ERR_FORMAT when the template raises
 * (its own words in the message) or misuses a value; HONE_ERR_MEMORY at a bound;
 * HONE_ERR_UNSUPPORTED for a method that hone lacks. *out stays untouched on failure. */
hone_status chat_template_render(const chat_template *t, const json_t *variables,
                                 const struct tm *now, template_output *out);

#endif
